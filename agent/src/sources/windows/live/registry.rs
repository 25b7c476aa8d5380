//! The registry of the running system. The hives of users who are not logged on are read as files.

mod sizes;

use std::sync::Arc;

use windows_registry::{Key, LOCAL_MACHINE, USERS};

use crate::sources::parse::hive::bounds;
use crate::sources::parse::windows::variables::Folders;
use crate::sources::registry::hives::HiveRegistry;
use crate::sources::registry::profiles;
use crate::sources::registry::{Listing, Registry, RegistryError, User, Value, folded, folders, is_same_name, names};
use crate::sources::root::Root;

/// `KEY_WOW64_64KEY`: the same view for a program of 32 bits; the other one is `WOW6432Node`.
const FULL_VIEW: u32 = 0x0100;
/// Errors of Windows: no such file, path or key; a key that was deleted while it was open; access denied.
const FILE_NOT_FOUND: u32 = 2;
const PATH_NOT_FOUND: u32 = 3;
const ACCESS_DENIED: u32 = 5;
const KEY_DELETED: u32 = 1018;
/// How often a key is listed that changes meanwhile.
const TRIES: usize = 3;

/// The registry of the running system.
#[derive(Debug)]
pub(in crate::sources) struct LiveRegistry {
    files: HiveRegistry,
}

/// The hives that Windows has loaded: those of the machine, and those of everybody who is logged on.
#[derive(Debug)]
struct Loaded;

impl Loaded {
    fn open(path: &str) -> Result<Key, RegistryError> {
        let mut names = names(path);
        let top = match names.next().map(folded).as_deref() {
            Some("HKLM") => LOCAL_MACHINE,
            Some("HKU") => USERS,
            _ => return Err(RegistryError::broken(path, "no hive that is read has this part of the registry")),
        };
        let rest: Vec<&str> = names.collect();
        top.options().read().access(FULL_VIEW).open(rest.join(r"\")).map_err(|error| of_windows(path, error.code().0))
    }

    /// Whether Windows has loaded this hive, or may have.
    fn has(key: &str) -> bool {
        Self::open(key).err() != Some(RegistryError::Absent)
    }
}

fn of_windows(path: &str, code: i32) -> RegistryError {
    // The lower half of the code is the error of Windows.
    match code.cast_unsigned() & 0xffff {
        FILE_NOT_FOUND | PATH_NOT_FOUND | KEY_DELETED => RegistryError::Absent,
        ACCESS_DENIED => RegistryError::Denied,
        error => RegistryError::broken(path, format!("Windows answers with error {error}")),
    }
}

/// Lists a key until two listings agree. The listings of the system end early, without an error, at an entry that
/// disappears or grows.
fn settled<T>(key: &str, list: impl Fn() -> Result<Vec<T>, RegistryError>) -> Result<Listing<T>, RegistryError> {
    let mut before = list()?;
    for _ in 1..TRIES {
        let after = list()?;
        if after.len() == before.len() {
            return Ok(Listing::complete(after));
        }
        before = after;
    }
    Ok(Listing { entries: before, faults: vec![format!("{key} changes while it is read")] })
}

impl Registry for Loaded {
    fn keys(&self, key: &str) -> Result<Listing<String>, RegistryError> {
        let open = Self::open(key)?;
        sizes::check_keys(key, &open)?;
        let list = || open.keys().map(Iterator::collect).map_err(|error| of_windows(key, error.code().0));
        let mut listing: Listing<String> = settled(key, list)?;
        // Such a name cannot be opened again, so what is below it is not read.
        if listing.entries.iter().any(|name| name.contains(['\u{fffd}', '\0'])) {
            listing.faults.push(format!("a key below {key} has a name that cannot be opened"));
        }
        Ok(listing)
    }

    fn values(&self, key: &str) -> Result<Listing<Value>, RegistryError> {
        let open = Self::open(key)?;
        sizes::check_values(key, &open)?;
        let value = |(name, value): (String, windows_registry::Value)| Value {
            name,
            kind: value.ty().into(),
            data: value.to_vec(),
        };
        let list = || {
            let (mut values, mut bytes) = (Vec::new(), 0_usize);
            for value in open.values().map_err(|error| of_windows(key, error.code().0))?.map(value) {
                bytes = bytes.saturating_add(value.data.len());
                if bytes > bounds::VALUES_BYTES {
                    let reason = format!("its values have more than {} bytes together", bounds::VALUES_BYTES);
                    return Err(RegistryError::broken(key, reason));
                }
                values.push(value);
            }
            Ok(values)
        };
        settled(key, list)
    }

    fn value(&self, key: &str, name: &str) -> Result<Value, RegistryError> {
        let open = Self::open(key)?;
        sizes::check_values(key, &open)?;
        let value = open.get_value(name).map_err(|error| of_windows(key, error.code().0))?;
        Ok(Value { name: name.to_owned(), kind: value.ty().into(), data: value.to_vec() })
    }

    fn users(&self) -> Listing<User> {
        let listed = self.keys("HKU");
        let listed = listed.unwrap_or_else(|error| Listing { entries: Vec::new(), faults: vec![error.to_string()] });
        // The others are aliases and the classes of users.
        let is_user = |name: &String| folded(name).starts_with("S-1-") && !folded(name).ends_with("_CLASSES");
        let user = |sid: String| User {
            // A home that is not known still needs a name of its own, which never leaves the host.
            profile: profiles::folder_of(self, &sid).unwrap_or_else(|_| sid.clone()),
            key: format!(r"HKU\{sid}"),
            classes: format!(r"HKU\{sid}_Classes"),
            sid: Some(sid),
        };
        Listing { entries: listed.entries.into_iter().filter(is_user).map(user).collect(), faults: listed.faults }
    }
}

/// The folders of this machine, by the hives that are loaded: no disk is asked. `letter` is the volume of Windows if they do not
/// say it.
pub(in crate::sources) fn machine_folders(letter: char) -> Folders {
    folders(&Loaded, letter)
}

impl LiveRegistry {
    /// The registry of the running system, whose files are below this root.
    pub(in crate::sources) fn open(root: &Arc<Root>) -> Self {
        Self { files: HiveRegistry::of_users(Arc::clone(root), &Loaded) }
    }

    /// Reads from the hives that are loaded, and the hive of a user that is not loaded as a file.
    fn read<T>(
        &self,
        path: &str,
        read: impl Fn(&dyn Registry) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let loaded = read(&Loaded);
        let mut names = names(path);
        let user = match (names.next(), names.next()) {
            (Some(top), Some(user)) if is_same_name(top, "HKU") => format!(r"HKU\{user}"),
            _ => return loaded,
        };
        if !matches!(loaded, Err(RegistryError::Absent)) || Loaded::has(&user) {
            return loaded;
        }
        match read(&self.files) {
            // The user has logged on since, which locks the file.
            Err(RegistryError::Broken { .. } | RegistryError::HiveDenied(_)) if Loaded::has(&user) => read(&Loaded),
            read => read,
        }
    }
}

impl Registry for LiveRegistry {
    fn keys(&self, key: &str) -> Result<Listing<String>, RegistryError> {
        self.read(key, |registry| registry.keys(key))
    }

    fn values(&self, key: &str) -> Result<Listing<Value>, RegistryError> {
        self.read(key, |registry| registry.values(key))
    }

    fn value(&self, key: &str, name: &str) -> Result<Value, RegistryError> {
        self.read(key, |registry| registry.value(key, name))
    }

    fn users(&self) -> Listing<User> {
        let (mut users, loaded) = (self.files.users(), Loaded.users());
        for user in loaded.entries {
            if users.entries.iter().all(|known| !is_same_name(&known.key, &user.key)) {
                users.entries.push(user);
            }
        }
        users.faults.extend(loaded.faults);
        users
    }
}

#[cfg(test)]
mod tests {
    use windows_registry::{CURRENT_USER, Type};

    use super::*;
    use crate::sources::registry::kind;

    fn registry() -> LiveRegistry {
        LiveRegistry::open(&Arc::new(Root::running_system().expect("the running system")))
    }

    #[test]
    fn the_registry_of_the_running_system_is_read_with_types() {
        let name = format!("muster-test-{}", std::process::id());
        let path = format!(r"Software\{name}");
        let key = CURRENT_USER.create(format!(r"{path}\Лаборатория")).expect("created");
        key.set_string("Имя", "Касперский").expect("written");
        key.set_u32("Number", 7).expect("written");
        key.set_bytes("Bytes", Type::Other(77), &[1, 2, 3]).expect("written");
        let registry = registry();
        let user = registry.users().entries.into_iter().find(|user| {
            registry.keys(&format!(r"{}\Software", user.key)).is_ok_and(|keys| keys.entries.contains(&name))
        });
        let key = format!(r"{}\software\{name}", user.expect("the user of this process").key);
        assert_eq!(registry.keys(&key).expect("read"), Listing::complete(vec!["Лаборатория".to_owned()]));
        let key = format!(r"{key}\лаборатория");
        assert_eq!(registry.value(&key, "имя").expect("read").text().as_deref(), Some("Касперский"));
        assert_eq!(registry.value(&key, "Number").expect("read").number(), Some(7));
        let values = registry.values(&key).expect("read");
        let bytes = values.entries.iter().find(|value| value.name == "Bytes").expect("listed");
        assert_eq!((values.entries.len(), bytes.kind, bytes.data.as_slice()), (3, 77, &[1, 2, 3][..]));
        assert_eq!(registry.value(&key, "Other"), Err(RegistryError::Absent));
        let large = vec![0; bounds::VALUE_BYTES + 1];
        CURRENT_USER
            .create(format!(r"{path}\Лаборатория"))
            .expect("opened")
            .set_bytes("Large", Type::Bytes, &large)
            .expect("written");
        for refused in [registry.values(&key).err(), registry.value(&key, "Large").err()] {
            assert!(
                matches!(&refused, Some(RegistryError::Broken { what, .. }) if what.contains("one of its values has")),
                "{refused:?}"
            );
        }
        assert_eq!(registry.keys(&format!(r"{key}\none")), Err(RegistryError::Absent));
        CURRENT_USER.remove_tree(path).expect("removed");
    }

    #[test]
    fn the_machine_and_its_current_control_set_are_read() {
        let registry = registry();
        assert!(registry.users().entries.iter().all(|user| user.profile.len() > 3));
        let version = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion";
        let folder = registry.value(version, "SystemRoot").expect("read");
        assert_eq!((folder.kind, folder.text().map(|folder| folder.len() > 3)), (kind::SZ, Some(true)));
        assert!(registry.keys(r"HKLM\SYSTEM\CurrentControlSet\Services").expect("read").entries.len() > 1);
        assert_eq!(registry.keys(r"HKLM\SOFTWARE\Muster None"), Err(RegistryError::Absent));
        assert_eq!(registry.keys(r"HKU\S-1-5-21-1-2-3-4"), Err(RegistryError::Absent));
    }
}
