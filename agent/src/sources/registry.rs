//! The registry of a Windows machine, as sources read it: by path, with types, as bytes. Nothing here can write.
//!
//! A path names a key in full: `HKLM\SOFTWARE\…`, `HKLM\SYSTEM\CurrentControlSet\…`, `HKU\<SID>\…` for a user's
//! `NTUSER.DAT` and `HKU\<SID>_Classes\…` for their `UsrClass.dat`. Backslashes separate names, and a name may contain any
//! other character. Names match in any case. The 32-bit view is spelled out as `WOW6432Node`. Links to other keys are
//! followed within the same registry.
//!
//! Absent, denied and broken stay apart, because only an absent key proves that something is not there.

pub mod hives;
#[cfg(test)]
pub(crate) mod memory;
pub mod profiles;

mod folders;

use std::fmt;

pub use folders::folders;

pub use super::parse::registry_value::{Value, folded, is_same_name, kind, wide_text};

/// The registry of the scanned machine: that of the running system, or the hive files of a root.
pub trait Registry: Send + Sync + fmt::Debug {
    /// The names of the keys below a key, in stored order.
    ///
    /// # Errors
    /// There is no such key, or it could not be read.
    fn keys(&self, key: &str) -> Result<Listing<String>, RegistryError>;

    /// The values of a key, in stored order. The default value has an empty name.
    ///
    /// # Errors
    /// There is no such key, or it could not be read.
    fn values(&self, key: &str) -> Result<Listing<Value>, RegistryError>;

    /// One value of a key. Whether the hive is complete is not visible here: a source that reads only single values lists
    /// the key as well.
    ///
    /// # Errors
    /// There is no such key or value, or it could not be read.
    fn value(&self, key: &str, name: &str) -> Result<Value, RegistryError>;

    /// Everybody who has a profile on the machine. The faults say which profiles could not be found out; a profile whose
    /// hive could not be read is listed, and reading its key fails.
    fn users(&self) -> Listing<User>;
}

/// What a key contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// What was read.
    pub entries: Vec<T>,
    /// What could not be read, with places. Any fault means that there may be more entries than these.
    pub faults: Vec<String>,
}

impl<T> Listing<T> {
    /// A complete listing.
    #[must_use]
    pub const fn complete(entries: Vec<T>) -> Self {
        Self { entries, faults: Vec::new() }
    }

    /// Whether everything could be read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.faults.is_empty()
    }
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self::complete(Vec::new())
    }
}

/// Somebody who has a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The security identifier; `None` for a profile folder that the list of profiles does not name.
    pub sid: Option<String>,
    /// The folder of the profile, such as `C:\Users\jane`; the security identifier if Windows names none. It usually contains the user's name and never leaves the host.
    pub profile: String,
    /// The key of the user's settings, such as `HKU\S-1-5-21-…`.
    pub key: String,
    /// The key of the user's classes, such as `HKU\S-1-5-21-…_Classes`.
    pub classes: String,
}

/// Why a key or value could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It does not exist: the keys above it were read completely.
    #[error("does not exist")]
    Absent,
    /// The agent may not read it.
    #[error("permission denied")]
    Denied,
    /// The agent may not read the file of the hive.
    #[error("{0}: permission denied")]
    HiveDenied(String),
    /// It, or a key above it, is damaged or incomplete.
    #[error("{place}: {what}")]
    Broken {
        /// The hive, with the place in it.
        place: String,
        /// What is wrong there.
        what: String,
    },
}

impl RegistryError {
    /// A fault at this place.
    #[must_use]
    pub fn broken(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Broken { place: place.into(), what: what.into() }
    }
}

/// The names that a path consists of.
pub fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('\\').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_is_part_of_a_name() {
        assert_eq!(names(r"HKLM\SOFTWARE\\a/b\").collect::<Vec<_>>(), ["HKLM", "SOFTWARE", "a/b"]);
    }
}
