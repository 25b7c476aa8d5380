//! Modes and owners of files.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{AccessError, Others};

const WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

pub(super) fn check_mode(path: &Path, others: Others) -> Result<(), AccessError> {
    let Some(metadata) = examined(path)? else { return Ok(()) };
    let mode = metadata.mode() & 0o7777;
    let forbidden = match others {
        Others::Nothing => 0o077,
        Others::GroupReads => 0o037,
        Others::Read => WRITE,
    };
    if mode & forbidden == 0 {
        return Ok(());
    }
    let what = if mode & forbidden & WRITE == 0 { "read" } else { "change" };
    let change = match others {
        Others::Read => "go-w",
        Others::Nothing | Others::GroupReads if metadata.is_dir() => "700",
        Others::Nothing | Others::GroupReads => "600",
    };
    let command = format!("chmod {change} {}", quoted(path));
    Err(AccessError::Mode { path: path.to_owned(), what, mode, command })
}

pub(super) fn check_owner(path: &Path, state_dir: &Path) -> Result<(), AccessError> {
    let Some(metadata) = examined(path)? else { return Ok(()) };
    let own = rustix::process::geteuid();
    let owner = metadata.uid();
    let mut trusted = vec![0, own.as_raw()];
    if own.is_root() {
        trusted.extend(examined(state_dir)?.map(|state| state.uid()));
    }
    if trusted.contains(&owner) {
        return Ok(());
    }
    let command = format!("chown {} {}", own.as_raw(), quoted(path));
    Err(AccessError::Owner { path: path.to_owned(), owner, command })
}

/// A token may belong to the person who was given it.
pub(super) fn check_token(path: &Path) -> Result<(), AccessError> {
    check_mode(path, Others::GroupReads)
}

#[expect(clippy::unnecessary_wraps, reason = "on Windows they are examined")]
pub(super) const fn check_settings(_file: &Path) -> Result<(), AccessError> {
    Ok(())
}

/// Who may write in a folder above the program could put another one in its place, unless the folder keeps the files of others
/// (sticky).
pub(super) fn check_program(program: &Path) -> Result<(), AccessError> {
    check_program_below(Path::new("/"), program)
}

/// Leaves out the folders above `top`.
fn check_program_below(top: &Path, program: &Path) -> Result<(), AccessError> {
    let remedy =
        "copy the program to /Library/Application Support/Muster, and run the command again from there as root";
    let refused = |folder: &Path, what, why: String| {
        let (folder, path) = (folder.into(), program.to_owned());
        Err(AccessError::Above { folder, path, what, why, remedy })
    };
    let own = rustix::process::geteuid().as_raw();
    let check = |path: &Path, what: &'static str, is_kept: u32| {
        let unknown = |source| AccessError::Unknown { path: path.to_owned(), source };
        let metadata = std::fs::symlink_metadata(path).map_err(unknown)?;
        let mode = metadata.mode() & 0o7777;
        if metadata.file_type().is_symlink() {
            refused(path, "replace", "it is a link".to_owned())
        } else if ![0, own].contains(&metadata.uid()) {
            refused(path, what, format!("it belongs to user {}", metadata.uid()))
        } else if mode & WRITE != 0 && mode & is_kept == 0 {
            refused(path, what, format!("its mode is {mode:04o}"))
        } else {
            Ok(())
        }
    };
    super::places::check_program(
        program,
        |path| check(path, "change", 0),
        |folder, _is_top| if folder.starts_with(top) { check(folder, "replace", STICKY) } else { Ok(()) },
    )
}

/// The folders of services are made by root, and those of users are their own business.
pub(super) const fn unsafe_parent(_state_dir: &Path) -> Option<&Path> {
    None
}

fn examined(path: &Path) -> Result<Option<Metadata>, AccessError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(AccessError::Unknown { path: path.to_owned(), source }),
    }
}

/// The path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_program_that_others_may_change_or_replace_is_refused() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let dir = std::fs::canonicalize(dir.path()).expect("a path");
        let folder = dir.join("Muster/bin");
        let program = folder.join("muster-agent");
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(&program, "").expect("written");
        let set = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
        let above = folder.parent().expect("a folder");
        for path in [&program, &folder, above, &dir] {
            set(path, 0o755);
        }
        // Whose the folders above are, and who may write there, depends on the machine.
        let check_program = |program: &Path| check_program_below(&dir, program);
        check_program(&program).unwrap_or_else(|error| panic!("{error}"));
        for (path, what) in [(program.as_path(), "change"), (&folder, "change"), (above, "replace"), (&dir, "replace")]
        {
            for mode in [0o775, 0o757] {
                set(path, mode);
                let refused = check_program(&program).expect_err("others may write there");
                let (path, program) = (path.display(), program.display());
                let expected = format!(
                    "others than the administrators can {what} {path}, and with it {program}: its mode is {mode:04o}"
                );
                assert_eq!(refused.to_string(), expected);
                assert!(refused.advice().is_some_and(|advice| advice.starts_with("copy the program to")));
            }
            set(path, 0o755);
        }
        set(above, 0o1777);
        check_program(&program).expect("nobody can replace what is in it");
        set(&folder, 0o1777);
        check_program(&program).expect_err("but beside the program nobody else may put anything");
        set(&folder, 0o755);
        std::os::unix::fs::symlink(&folder, dir.join("link")).expect("linked");
        let refused = check_program(&dir.join("link/muster-agent")).expect_err("a link");
        assert!(refused.to_string().ends_with(": it is a link"), "{refused}");
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(above, Some(4711), None).expect("given away");
            let refused = check_program(&program).expect_err("its owner can replace it");
            assert!(refused.to_string().ends_with(": it belongs to user 4711"), "{refused}");
        }
        assert!(matches!(check_program(&folder.join("gone")), Err(AccessError::Unknown { .. })));
    }
}
