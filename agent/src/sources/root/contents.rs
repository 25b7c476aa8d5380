//! Which platform a root is of: its files decide, and not the system that scans it.

use std::io;

use muster_proto::model::Platform;

use super::{ENTRIES, NAME_BYTES, platform};
use crate::sources::is_absent;

/// A file that every machine of a platform has and no other: the hive from which Windows starts, the version of macOS, and
/// the description of a Linux distribution. A Linux without it is recognised by the absence of the others.
const MARKS: &[(Platform, &str)] = &[
    (Platform::Windows, "Windows/System32/config/SYSTEM"),
    // A copy that lacks the other one is an incomplete Windows, and no Linux.
    (Platform::Windows, "Windows/System32/config/SOFTWARE"),
    (Platform::Macos, "System/Library/CoreServices/SystemVersion.plist"),
    // The volume of data alone: the accounts of the machine, and what its installer has recorded.
    (Platform::Macos, "private/var/db/dslocal/nodes"),
    (Platform::Macos, "private/var/db/receipts"),
    (Platform::Macos, "System/Volumes/Data/private/var/db"),
    (Platform::Linux, "etc/os-release"),
    (Platform::Linux, "usr/lib/os-release"),
];

/// The platform, or the files of several platforms that were found.
pub(super) fn platform_of(place: &platform::Place) -> io::Result<Result<Platform, String>> {
    let mut found: Vec<(Platform, String)> = Vec::new();
    for (platform, mark) in MARKS {
        if found.iter().any(|(known, _)| known == platform) {
            continue;
        }
        let path = match platform {
            // A file system of Windows that is mounted elsewhere tells upper case from lower case.
            Platform::Windows => in_any_case(place, "", mark)?,
            Platform::Macos | Platform::Linux => {
                let path = format!("/{mark}");
                place.file_at(&path)?.map(|_| path)
            }
        };
        found.extend(path.map(|path| (*platform, path)));
    }
    Ok(match found.as_slice() {
        [] => Ok(Platform::Linux),
        [(platform, _)] => Ok(*platform),
        several => {
            let named: Vec<String> = several.iter().map(|(platform, path)| format!("{path} ({platform})")).collect();
            Err(named.join(" and "))
        }
    })
}

/// The path at which a file is found if upper and lower case do not matter.
fn in_any_case(place: &platform::Place, folder: &str, rest: &str) -> io::Result<Option<String>> {
    let (name, below) = rest.split_once('/').map_or((rest, None), |(name, below)| (name, Some(below)));
    let entries = match place.list(if folder.is_empty() { "/" } else { folder }, ENTRIES, NAME_BYTES) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(None),
        // A folder that cannot be listed may still be passed, and the usual spelling tried.
        Err(_) => {
            let path = format!("{folder}/{rest}");
            return Ok(place.file_at(&path)?.map(|_| path));
        }
    };
    for entry in entries.iter().filter(|entry| entry.name.eq_ignore_ascii_case(name)) {
        let path = format!("{folder}/{}", entry.name);
        // Not a link that leads nowhere or back to itself.
        if place.file_at(&path)?.is_none_or(|file| file.kind == super::FileKind::BrokenLink) {
            continue;
        }
        match below {
            None => return Ok(Some(path)),
            Some(below) => {
                if let Some(found) = in_any_case(place, &path, below)? {
                    return Ok(Some(found));
                }
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use muster_proto::model::Platform;

    use crate::sources::root::{Root, RootError};

    fn root(files: &[&str]) -> Result<Platform, RootError> {
        let dir = tempfile::tempdir().expect("temporary directory");
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, "x").expect("written");
        }
        Root::below(dir.path()).map(|root| root.platform())
    }

    #[test]
    fn the_files_of_a_root_decide_its_platform() {
        for (files, platform) in [
            (&[][..], Platform::Linux),
            (&["etc/os-release", "usr/lib/os-release"], Platform::Linux),
            (&["Windows/System32/config/SYSTEM"], Platform::Windows),
            (&["WINDOWS/system32/Config/system"], Platform::Windows),
            (&["windows/explorer.exe", "Windows/System32/config/SYSTEM"], Platform::Windows),
            (&["System/Library/CoreServices/SystemVersion.plist"], Platform::Macos),
            (&["Windows/System32/config/SOFTWARE"], Platform::Windows),
            (&["Windows/System32/config"], Platform::Linux),
        ] {
            assert_eq!(root(files).expect("opens"), platform, "{files:?}");
        }
    }

    #[test]
    fn a_root_with_the_files_of_two_systems_is_refused_with_their_names() {
        let error = root(&["Windows/System32/config/SYSTEM", "etc/os-release"]).expect_err("two systems");
        let text = error.to_string();
        assert!(
            text.ends_with("it contains /Windows/System32/config/SYSTEM (windows) and /etc/os-release (linux)"),
            "{text}"
        );
    }
}
