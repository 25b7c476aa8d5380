//! The secret from which this host makes pseudonyms of its people. It never leaves; when it is lost, the pseudonyms are
//! others from then on, and nothing else happens.

use std::io;
use std::path::Path;

use super::IdentityError;
use crate::os;

const FILE: &str = "users.key";

/// The secret in this state directory; made when there is none. One that is damaged is made anew.
///
/// # Errors
/// The file cannot be read or written, or the system has no randomness.
pub fn user_key(state_dir: &Path) -> Result<[u8; 32], IdentityError> {
    let path = state_dir.join(FILE);
    match std::fs::read(&path) {
        Ok(bytes) => {
            if let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice()) {
                return Ok(key);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(IdentityError::Read { path, source }),
    }
    let key = passing_user_key()?;
    os::write_private(&path, &key).map_err(|source| IdentityError::Write { path, source })?;
    Ok(key)
}

/// A secret that nobody keeps, for a scan that is only shown.
///
/// # Errors
/// The system has no randomness.
pub fn passing_user_key() -> Result<[u8; 32], IdentityError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| IdentityError::Key(error.to_string()))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_stays_the_same_and_a_damaged_one_is_made_anew() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let key = user_key(dir.path()).expect("made");
        assert_eq!(user_key(dir.path()).expect("read"), key);
        assert_ne!(passing_user_key().expect("made"), key);
        std::fs::write(dir.path().join(FILE), "cut").expect("written");
        let anew = user_key(dir.path()).expect("made anew");
        assert_ne!(anew, key);
        assert_eq!(user_key(dir.path()).expect("read"), anew);
    }
}
