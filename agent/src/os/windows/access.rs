//! Owners and access lists of files.

use std::io;
use std::os::windows::fs::FileTypeExt as _;
use std::path::Path;

use super::descriptor::{Descriptor, Unsafe};
use super::{AccessError, Others};
use crate::os::platform::security;

/// The groups that may do everything, by their numbers, because their names are translated: the system and the administrators.
const CLOSED: &str = "/inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F";
const CLOSED_FILE: &str = "/inheritance:r /grant:r *S-1-5-18:F *S-1-5-32-544:F";

pub(super) fn check_mode(path: &Path, others: Others) -> Result<(), AccessError> {
    let checked = check(path, |descriptor, own| descriptor.check_list(others, own));
    // The command that closes a token file would also take the right to read it from the machines.
    if let (Err(AccessError::Open { path, who, .. }), Others::GroupReads) = (&checked, others) {
        return Err(AccessError::Shared { path: path.clone(), who: who.clone() });
    }
    checked
}

pub(super) fn check_owner(path: &Path, _state_dir: &Path) -> Result<(), AccessError> {
    check(path, Descriptor::check_owner)
}

/// Everybody may make folders in ProgramData. What an administrator names is the administrator's business.
pub(super) fn unsafe_parent(state_dir: &Path) -> Option<&Path> {
    state_dir.parent().filter(|_| state_dir == crate::os::default_state_dir())
}

fn check(path: &Path, is_safe: impl FnOnce(&Descriptor, &str) -> Result<(), Unsafe>) -> Result<(), AccessError> {
    let unknown = |source| AccessError::Unknown { path: path.to_owned(), source };
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(unknown(error)),
    };
    // The maker of a link decides where it leads, and anybody may make one in ProgramData.
    let kind = metadata.file_type();
    if kind.is_symlink() {
        // `Metadata::is_dir` is false for every link.
        let remove = if kind.is_symlink_file() { "del" } else { "rmdir" };
        let command = format!("{remove} {}", quoted(path));
        return Err(AccessError::Link { path: path.to_owned(), command });
    }
    let text = security::descriptor_of(path).map_err(unknown)?;
    let own = security::own_account().map_err(unknown)?;
    let not_understood = || unknown(io::Error::new(io::ErrorKind::InvalidData, format!("its access list is {text}")));
    let descriptor = Descriptor::parse(&text).ok_or_else(not_understood)?;
    let Err(found) = is_safe(&descriptor, &own) else { return Ok(()) };
    let (quoted, path) = (quoted(path), path.to_owned());
    let closed = if metadata.is_dir() { CLOSED } else { CLOSED_FILE };
    Err(match found {
        Unsafe::Owner(owner) => {
            let command = format!("takeown /A /F {quoted} && icacls {quoted} /reset && icacls {quoted} {closed}");
            AccessError::Foreign { path, owner, command }
        }
        Unsafe::Open { what, who } => {
            let command = format!("icacls {quoted} /reset && icacls {quoted} {closed}");
            AccessError::Open { path, what, who, command }
        }
    })
}

/// The path as the command interpreter reads it. No name of Windows contains a quotation mark.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_the_agent_is_safe_and_what_is_in_it_too() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let folder = dir.path().join("a").join("b");
        crate::os::make_private_dir(&folder).expect("made");
        crate::os::write_private(&folder.join("key"), b"secret").expect("written");
        for path in [folder.as_path(), &folder.join("key"), dir.path().join("a").as_path()] {
            let shown = security::descriptor_of(path).expect("read");
            check_mode(path, Others::Nothing).unwrap_or_else(|error| panic!("{error}: {shown}"));
            check_owner(path, &folder).unwrap_or_else(|error| panic!("{error}: {shown}"));
        }
        check_mode(&folder.join("none"), Others::Nothing).expect("what does not exist is not open");
        assert_eq!(std::fs::read(folder.join("key")).expect("its owner reads it"), b"secret");
    }

    #[test]
    fn a_link_is_refused_with_the_command_that_removes_it() {
        use crate::os::test_kit::{left_out, link};
        let dir = tempfile::tempdir().expect("temporary directory");
        let (folder, leads) = (dir.path().join("folder"), dir.path().join("leads"));
        crate::os::make_private_dir(&folder).expect("made");
        if !link(&folder, &leads) {
            return left_out("links that this account may make");
        }
        let refused = check_mode(&leads, Others::Nothing).expect_err("a link");
        let command = format!("rmdir {}", quoted(&leads));
        assert!(matches!(&refused, AccessError::Link { command: known, .. } if *known == command), "{refused:?}");
    }

    #[test]
    fn the_account_of_this_process_is_known() {
        let own = security::own_account().expect("known");
        assert!(own.starts_with("S-1-") || own.len() == 2, "{own}");
    }
}
