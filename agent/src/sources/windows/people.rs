//! The home directories of a Windows machine: those in the list of profiles, wherever they are, and everything beside them.

use super::PARENTS_OF_HOMES;
use crate::sources::ScanContext;
use crate::sources::parse::windows::path::{folded, parse};
use crate::sources::record::Part;

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
    let users = registry.users();
    if !users.is_complete() {
        return None;
    }
    let known = PARENTS_OF_HOMES.iter().map(|parent| (*parent).to_owned());
    let folder = registry.value(PROFILES, "ProfilesDirectory").ok().and_then(|value| value.text());
    let folder = folder.map(|folder| format!(r"{}\", folder.trim_end_matches('\\')));
    let profiles = users.entries.into_iter().map(|user| user.profile).filter(|home| !is_of_system(home));
    Some(known.chain(folder).chain(profiles).collect())
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
