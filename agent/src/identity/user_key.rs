//! The secret from which this host derives user pseudonyms. It never leaves the host. If it is lost, users get other
//! pseudonyms from then on; nothing else happens.

use std::io;
use std::path::{Path, PathBuf};

use super::IdentityError;
use crate::memory::file;
use crate::os;

const FILE: &str = "users.key";

/// The secret in this state directory; generated if it is missing or damaged.
///
/// # Errors
/// The file cannot be read or written, or the system has no randomness.
pub fn user_key(state_dir: &Path) -> Result<[u8; 32], IdentityError> {
    let path = user_key_file(state_dir);
    match file::read(&path, file::USER_KEY) {
        Ok(bytes) => {
            if let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice()) {
                return Ok(key);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(IdentityError::Read { path, source }),
    }
    let key = temporary_user_key()?;
    os::write_private(&path, &key).map_err(|source| IdentityError::Write { path, source })?;
    Ok(key)
}

/// Where the secret is.
#[must_use]
pub fn user_key_file(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// A secret that is not saved, for a scan that is only printed.
///
/// # Errors
/// The system has no randomness.
pub fn temporary_user_key() -> Result<[u8; 32], IdentityError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| IdentityError::Key(error.to_string()))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_stable_and_a_damaged_one_is_replaced() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let key = user_key(dir.path()).expect("made");
        assert_eq!(user_key(dir.path()).expect("read"), key);
        assert_ne!(temporary_user_key().expect("made"), key);
        std::fs::write(dir.path().join(FILE), "cut").expect("written");
        let replaced = user_key(dir.path()).expect("replaced");
        assert_ne!(replaced, key);
        assert_eq!(user_key(dir.path()).expect("read"), replaced);
    }
}
