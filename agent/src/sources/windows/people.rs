//! The home directories of a Windows machine: those in the list of profiles, wherever they are and whatever is in them, and
//! everything beside them.

use super::PARENTS_OF_HOMES;
use crate::sources::ScanContext;
use crate::sources::parse::windows::path::{FOLDERS_OF_NOBODY, folded, parse};
use crate::sources::parse::windows::text::strip_prefix;
use crate::sources::record::Part;
use crate::sources::registry::profiles::listed_folders;

const PROFILES: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList";

/// The home directories that must not appear in what is sent. While one profile cannot be read they are unknown.
pub(super) const HOMES: Part = Part {
    what: "the home directories",
    read: |context| {
        let homes = homes(context);
        Box::new(move |record| record.homes = homes)
    },
    unread: |record| record.homes = None,
};

fn homes(context: &ScanContext) -> Option<Vec<String>> {
    let registry = context.registry.as_ref().ok()?;
    let (users, listed) = (registry.users(), listed_folders(registry.as_ref()));
    if !users.is_complete() || !listed.is_complete() {
        return None;
    }
    let mut parents: Vec<String> = PARENTS_OF_HOMES.iter().map(|parent| (*parent).to_owned()).collect();
    let folder = registry.value(PROFILES, "ProfilesDirectory").ok().and_then(|value| value.text());
    let folder = folder.map(|folder| format!(r"{}\", folder.trim_end_matches('\\')));
    parents.extend(folder);
    let beside = parents.iter().flat_map(|parent| folders_in(context, parent));
    let profiles = users.entries.into_iter().map(|user| user.profile).chain(listed.entries).chain(beside);
    let homes: Vec<String> = profiles.filter(|home| !is_of_system(home) && !is_of_nobody(home)).collect();
    Some(parents.into_iter().chain(homes).collect())
}

/// The folders in a parent of homes: also what is left of people whose profile is gone. One that cannot be read is among the
/// faults of the users.
fn folders_in(context: &ScanContext, parent: &str) -> Vec<String> {
    let place = strip_prefix(parent, "%SystemDrive%").unwrap_or(parent);
    let entries = context.root.list(place.trim_end_matches(['/', '\\'])).unwrap_or_default();
    let folders = entries.into_iter().filter(|entry| entry.is_directory && !entry.is_link);
    folders.map(|entry| format!("{parent}{}", entry.name)).collect()
}

fn is_of_nobody(home: &str) -> bool {
    let name = home.rsplit(['/', '\\']).next().unwrap_or_default();
    name.is_empty() || FOLDERS_OF_NOBODY.contains(&folded(name).as_str())
}

/// The profiles of the system's own accounts are within the folder of Windows, and the same on every machine.
fn is_of_system(home: &str) -> bool {
    let names = parse(home).map(|path| path.names).unwrap_or_default();
    let names: Vec<String> = names.iter().map(|name| folded(name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    matches!(names.as_slice(), ["WINDOWS" | "WINNT", "SYSTEM32" | "SYSWOW64" | "SERVICEPROFILES", ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_the_system_are_nobody() {
        assert!(is_of_system(r"C:\WINDOWS\system32\config\systemprofile"));
        assert!(is_of_system(r"c:\windows\ServiceProfiles\LocalService"));
        assert!(!is_of_system(r"C:\Users\jane"));
    }
}
