//! A registry in memory, for tests of sources: what is put in, and faults wherever a test wants them.

use std::collections::BTreeMap;

use super::{Listing, Registry, RegistryError, User, Value, folded, is_same_name, names};

/// A key with what is in it, and what is wrong with it.
#[derive(Debug, Clone, Default)]
struct Key {
    keys: Vec<String>,
    values: Vec<Value>,
    key_faults: Vec<String>,
    value_faults: Vec<String>,
    error: Option<RegistryError>,
}

/// A registry in memory. An error at a key also hides everything below it.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryRegistry {
    keys: BTreeMap<Vec<String>, Key>,
    users: Listing<User>,
}

impl MemoryRegistry {
    fn key(&mut self, path: &str) -> &mut Key {
        let mut place = Vec::new();
        for name in names(path) {
            let parent = self.keys.entry(place.clone()).or_default();
            if !parent.keys.iter().any(|known| is_same_name(known, name)) {
                parent.keys.push(name.to_owned());
            }
            place.push(folded(name));
        }
        self.keys.entry(place).or_default()
    }

    /// Adds a key and those above it.
    #[must_use]
    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.key(key);
        self
    }

    /// Adds a value to a key.
    #[must_use]
    pub(crate) fn with_value(mut self, key: &str, value: Value) -> Self {
        self.key(key).values.push(value);
        self
    }

    /// Adds a text to a key.
    #[must_use]
    pub(crate) fn with_text(self, key: &str, name: &str, text: &str) -> Self {
        self.with_value(key, Value::of_text(name, text))
    }

    /// Adds a number to a key.
    #[must_use]
    pub(crate) fn with_number(self, key: &str, name: &str, number: u32) -> Self {
        self.with_value(key, Value::of_number(name, number))
    }

    /// Makes the list of the keys below a key incomplete.
    #[must_use]
    pub(crate) fn with_key_fault(mut self, key: &str, fault: &str) -> Self {
        self.key(key).key_faults.push(fault.to_owned());
        self
    }

    /// Makes the values of a key incomplete.
    #[must_use]
    pub(crate) fn with_value_fault(mut self, key: &str, fault: &str) -> Self {
        self.key(key).value_faults.push(fault.to_owned());
        self
    }

    /// Makes a key and everything below it unreadable.
    #[must_use]
    pub(crate) fn with_error(mut self, key: &str, error: RegistryError) -> Self {
        self.key(key).error = Some(error);
        self
    }

    /// Adds a user and the keys of their hives.
    #[must_use]
    pub(crate) fn with_user(mut self, sid: &str, profile: &str) -> Self {
        let key = format!(r"HKU\{sid}");
        let classes = format!("{key}_Classes");
        self.key(&key);
        self.key(&classes);
        let user = User { sid: Some(sid.to_owned()), profile: profile.to_owned(), key, classes };
        self.users.entries.push(user);
        self
    }

    /// Makes the list of users incomplete.
    #[must_use]
    pub(crate) fn with_user_fault(mut self, fault: &str) -> Self {
        self.users.faults.push(fault.to_owned());
        self
    }

    fn find(&self, path: &str) -> Result<&Key, RegistryError> {
        let mut place = Vec::new();
        let mut found = self.keys.get(&place);
        for name in names(path) {
            place.push(folded(name));
            let above = found;
            found = self.keys.get(&place);
            match (found.and_then(|key| key.error.as_ref()), above) {
                (Some(error), _) => return Err(error.clone()),
                // As in a real registry: what is not in an incomplete list may still exist.
                (None, Some(above)) if found.is_none() && !above.key_faults.is_empty() => {
                    return Err(RegistryError::broken(path, above.key_faults.join("; ")));
                }
                _ => {}
            }
        }
        found.ok_or(RegistryError::Absent)
    }
}

impl Registry for MemoryRegistry {
    fn keys(&self, key: &str) -> Result<Listing<String>, RegistryError> {
        let key = self.find(key)?;
        Ok(Listing { entries: key.keys.clone(), faults: key.key_faults.clone() })
    }

    fn values(&self, key: &str) -> Result<Listing<Value>, RegistryError> {
        let key = self.find(key)?;
        Ok(Listing { entries: key.values.clone(), faults: key.value_faults.clone() })
    }

    fn value(&self, key: &str, name: &str) -> Result<Value, RegistryError> {
        let found = self.find(key)?;
        match found.values.iter().find(|value| is_same_name(&value.name, name)) {
            Some(value) => Ok(value.clone()),
            None if found.value_faults.is_empty() => Err(RegistryError::Absent),
            None => Err(RegistryError::broken(key, found.value_faults.join("; "))),
        }
    }

    fn users(&self) -> Listing<User> {
        self.users.clone()
    }
}

#[test]
fn absent_denied_and_broken_stay_apart() {
    let registry = MemoryRegistry::default()
        .with_text(r"HKLM\SOFTWARE\One", "Name", "1")
        .with_number(r"HKLM\SOFTWARE\One", "Number", 7)
        .with_key(r"HKLM\SOFTWARE\Two")
        .with_value_fault(r"HKLM\SOFTWARE\Two", "cell 0x20")
        .with_key_fault(r"HKLM\SYSTEM", "cell 0x40")
        .with_error(r"HKU\S-1-5-21-1", RegistryError::Denied)
        .with_user("S-1-5-21-2", r"C:\Users\jane")
        .with_user_fault("ProfileList");
    let keys = registry.keys(r"hklm\software").expect("a key");
    assert_eq!((keys.entries.join(" "), keys.is_complete()), ("One Two".to_owned(), true));
    assert_eq!(registry.value(r"HKLM\Software\ONE", "NAME").expect("a value").text().as_deref(), Some("1"));
    assert_eq!(registry.value(r"HKLM\Software\ONE", "number").map(|value| value.number()), Ok(Some(7)));
    assert_eq!(registry.value(r"HKLM\SOFTWARE\One", "Other"), Err(RegistryError::Absent));
    let broken = RegistryError::broken(r"HKLM\SOFTWARE\Two", "cell 0x20");
    assert_eq!(registry.value(r"HKLM\SOFTWARE\Two", "Other"), Err(broken));
    assert!(matches!(registry.keys(r"HKLM\SYSTEM\Select"), Err(RegistryError::Broken { .. })));
    assert_eq!(registry.keys(r"HKU\S-1-5-21-1\Software"), Err(RegistryError::Denied));
    assert_eq!(registry.values(r"HKLM\SOFTWARE\Three"), Err(RegistryError::Absent));
    let users = registry.users();
    assert_eq!((users.entries.len(), users.faults.len()), (1, 1));
    assert!(registry.keys(&users.entries[0].classes).expect("a key").entries.is_empty());
}
