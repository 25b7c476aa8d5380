//! Who has a profile on a Windows machine, and where their hives are: by the list of profiles in the registry, and by the
//! folders next to the profiles, since the list may have lost one.

use super::{Listing, Registry, RegistryError, User, is_same_name};
use crate::sources::root::{FileKind, Root};
use crate::sources::{error_reason, is_absent};

const VERSION: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion";
const LIST: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList";
const PATH: &str = "ProfileImagePath";
/// The account of the system. Its settings are not in its profile.
const SYSTEM: &str = "S-1-5-18";
/// A user's settings. The second has them if the user may not change them.
const SETTINGS: &[&str] = &["NTUSER.DAT", "NTUSER.MAN"];
const CLASSES: &str = r"AppData\Local\Microsoft\Windows\UsrClass.dat";
/// Users on one machine. A terminal server has a few hundred; each is read by several sources.
const USERS: usize = 4096;

/// The profiles of a machine.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    profiles: Vec<Profile>,
    /// What could not be found out.
    pub(super) faults: Vec<String>,
}

#[derive(Debug)]
struct Profile {
    user: User,
    settings: String,
    classes: String,
    identity: (u64, u64),
}

impl Profiles {
    pub(super) fn users(&self) -> Listing<User> {
        let entries = self.profiles.iter().map(|profile| profile.user.clone()).collect();
        Listing { entries, faults: self.faults.clone() }
    }

    /// The file of the hive with this name below `HKU`, and whether it has a user's settings.
    pub(super) fn file_of(&self, name: &str) -> Option<(&str, bool)> {
        let is = |key: &str| key.strip_prefix(r"HKU\").is_some_and(|key| is_same_name(key, name));
        self.profiles.iter().find_map(|profile| match profile {
            Profile { user, settings, .. } if is(&user.key) => Some((settings.as_str(), true)),
            Profile { user, classes, .. } if is(&user.classes) => Some((classes.as_str(), false)),
            _ => None,
        })
    }

    /// Adds a profile if it has settings, or if that cannot be said.
    fn add(&mut self, root: &Root, sid: Option<&str>, profile: &str) {
        let files: Vec<String> = match sid {
            Some(SYSTEM) => vec![r"\Windows\System32\config\DEFAULT".to_owned()],
            _ => SETTINGS.iter().map(|file| format!(r"{profile}\{file}")).collect(),
        };
        let mut identity = (0, 0);
        let found = files.iter().find(|file| match root.file_at(file) {
            Ok(None) => false,
            // A profile that is listed with a short name has the files of the folder with the long one.
            Ok(Some(file)) if file.kind == FileKind::File => {
                identity = file.identity;
                true
            }
            Ok(Some(_)) => true,
            Err(error) => !is_absent(&error),
        });
        let is_known = identity != (0, 0) && self.profiles.iter().any(|profile| profile.identity == identity);
        let Some(settings) = found.filter(|_| !is_known) else { return };
        if self.profiles.len() == USERS {
            self.faults.push(format!("there are more than {USERS} profiles"));
            return;
        }
        // No security identifier and no folder has a colon in its name.
        let folder = profile.rsplit('\\').next().unwrap_or_default();
        let mut key = sid.map_or_else(|| format!(r"HKU\folder:{folder}"), |sid| format!(r"HKU\{sid}"));
        // Folders in different places can have one name.
        for number in 2.. {
            if !self.profiles.iter().any(|known| is_same_name(&known.user.key, &key)) {
                break;
            }
            key = format!(r"HKU\folder:{folder}:{number}");
        }
        let user =
            User { sid: sid.map(str::to_owned), profile: profile.to_owned(), classes: format!("{key}_Classes"), key };
        let classes = format!(r"{profile}\{CLASSES}");
        self.profiles.push(Profile { user, settings: settings.clone(), classes, identity });
    }

    fn fault(&mut self, what: &str, error: &RegistryError) {
        self.faults.push(format!("cannot read {what}: {error}"));
    }
}

/// The folder of the profile that the list has for a security identifier.
///
/// # Errors
/// The list does not have it, or cannot be read.
pub fn folder_of(registry: &dyn Registry, sid: &str) -> Result<String, RegistryError> {
    let value = registry.value(&format!(r"{LIST}\{sid}"), PATH)?;
    let path = value.text().filter(|path| !path.is_empty()).ok_or(RegistryError::Absent)?;
    Ok(windows_folder(registry).map_or_else(|| path.clone(), |windows| expanded(&path, &windows)))
}

/// Every folder in the list of profiles, with or without the hive of a user. The faults say which could not be read.
pub fn listed_folders(registry: &dyn Registry) -> Listing<String> {
    let windows = windows_folder(registry).unwrap_or_else(|| r"C:\Windows".to_owned());
    let listed = match registry.keys(LIST) {
        Ok(listed) => listed,
        Err(RegistryError::Absent) => Listing::default(),
        Err(error) => return Listing { entries: Vec::new(), faults: vec![error.to_string()] },
    };
    let mut folders = Listing { entries: Vec::new(), faults: listed.faults };
    for key in listed.entries {
        match registry.value(&format!(r"{LIST}\{key}"), PATH).map(|value| value.text()) {
            Ok(Some(path)) => folders.entries.push(expanded(&path, &windows).trim_end_matches(['\\', '/']).to_owned()),
            // The entry of a profile that was never made.
            Err(RegistryError::Absent) => {}
            Ok(None) => folders.faults.push("a profile in the list of profiles has no path".to_owned()),
            Err(error) => folders.faults.push(error.to_string()),
        }
    }
    folders
}

/// The folder of Windows with its letter, as the registry says: `C:\Windows`. An image that was never started names the
/// folder of the setup that made it (`X:\$windows.~bt\Windows`), in which nothing is now.
pub fn windows_folder(registry: &dyn Registry) -> Option<String> {
    let folder = registry.value(VERSION, "SystemRoot").ok()?.text()?;
    let folder = folder.trim_end_matches('\\');
    let is_at_the_top = match folder.as_bytes() {
        [letter, b':', b'\\', name @ ..] => letter.is_ascii_alphabetic() && !name.is_empty() && !name.contains(&b'\\'),
        _ => false,
    };
    is_at_the_top.then(|| folder.to_owned())
}

/// Reads the list of profiles, and the folder that they are in.
pub(super) fn read(registry: &dyn Registry, root: &Root) -> Profiles {
    let mut profiles = Profiles::default();
    // The volume on which Windows is has no other name if the registry does not say it.
    let windows = windows_folder(registry).unwrap_or_else(|| format!(r"{}:\Windows", root.volume()));
    let listed = registry.keys(LIST).unwrap_or_else(|error| {
        profiles.fault("the list of profiles", &error);
        Listing::default()
    });
    profiles.faults.extend(listed.faults);
    for key in listed.entries {
        match registry.value(&format!(r"{LIST}\{key}"), PATH).map(|value| value.text().filter(|path| !path.is_empty()))
        {
            // Windows renames the entry of a profile that it could not load.
            Ok(Some(path)) => {
                let sid = key.strip_suffix(".bak").unwrap_or(&key);
                let path = expanded(&path, &windows);
                let path = path.trim_end_matches('\\');
                // The user may work in a temporary profile meanwhile, which then has the identifier.
                let is_taken = profiles.profiles.iter().any(|profile| profile.user.sid.as_deref() == Some(sid));
                if !profiles.profiles.iter().any(|profile| is_same_name(&profile.user.profile, path)) {
                    profiles.add(root, Some(sid).filter(|_| !is_taken), path);
                }
            }
            Ok(None) => profiles.faults.push("a profile in the list of profiles has no path".to_owned()),
            // The entry of a profile that was never made.
            Err(RegistryError::Absent) => {}
            Err(error) => profiles.fault("the path of a profile", &error),
        }
    }
    let folder = match registry.value(LIST, "ProfilesDirectory") {
        Ok(value) => value.text().unwrap_or_default(),
        Err(_) => String::new(),
    };
    let folder = if folder.is_empty() { r"%SystemDrive%\Users".to_owned() } else { folder };
    let folder = expanded(&folder, &windows);
    let folder = folder.trim_end_matches('\\');
    match root.list(folder) {
        Ok(entries) => entries.into_iter().filter(|entry| entry.is_directory && !entry.is_link).for_each(|entry| {
            let profile = format!(r"{folder}\{}", entry.name);
            let is_listed = profiles.profiles.iter().any(|known| is_same_name(&known.user.profile, &profile));
            if !is_listed {
                profiles.add(root, None, &profile);
            }
        }),
        Err(error) if is_absent(&error) => {}
        Err(error) => profiles.faults.push(error_reason("the folder of the profiles", &error)),
    }
    profiles
}

/// A path with the variables that paths of profiles have.
fn expanded(path: &str, windows: &str) -> String {
    for (variable, value) in [("%SystemRoot%", windows), ("%windir%", windows), ("%SystemDrive%", &windows[..2])] {
        if let Some((head, rest)) = path.split_at_checked(variable.len())
            && head.eq_ignore_ascii_case(variable)
        {
            return format!("{value}{rest}");
        }
    }
    path.to_owned()
}
