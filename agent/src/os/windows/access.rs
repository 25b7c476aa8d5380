//! Owners and access lists of files.

use std::io;
use std::os::windows::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::descriptor::{Descriptor, Unsafe};
use super::{AccessError, Others, places};
use crate::os::platform::security;

/// The groups that may do everything, by their numbers, because their names are translated: the system and the administrators.
const CLOSED: &str = "/inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F";
const CLOSED_FILE: &str = "/inheritance:r /grant:r *S-1-5-18:F *S-1-5-32-544:F";

pub(super) fn check_mode(path: &Path, others: Others) -> Result<(), AccessError> {
    check(path, |descriptor, own| descriptor.check_list(others, own))
}

pub(super) fn check_owner(path: &Path, _state_dir: &Path) -> Result<(), AccessError> {
    check(path, Descriptor::check_owner)
}

pub(super) fn check_token(path: &Path) -> Result<(), AccessError> {
    check_closed(path, Others::GroupReads).map_err(of_token)
}

/// The error of a token. The command that closes a file would also take the right to read it from the machines.
fn of_token(error: AccessError) -> AccessError {
    match error {
        AccessError::Open { path, who, .. } => AccessError::Shared { path, who },
        AccessError::Foreign { path, owner, .. } => {
            let command = format!("icacls {} /setowner *S-1-5-32-544", quoted(&path));
            AccessError::Foreign { path, owner, command, links: None }
        }
        AccessError::Mode { .. }
        | AccessError::Owner { .. }
        | AccessError::Shared { .. }
        | AccessError::Above { .. }
        | AccessError::Link { .. }
        | AccessError::Unknown { .. } => error,
    }
}

pub(super) fn check_settings(file: &Path) -> Result<(), AccessError> {
    check_settings_in(file, file == crate::os::default_config_file())
}

/// `is_own` means that nobody else has files in the folder, so that it can be closed.
fn check_settings_in(file: &Path, is_own: bool) -> Result<(), AccessError> {
    let absolute = absolute(file)?;
    let check = |path: &Path| {
        let checked = check_closed(path, Others::Read);
        if is_own || absolute.parent() != Some(path) {
            return checked;
        }
        checked.map_err(|error| of_folder(error, &absolute, r"move the settings to C:\ProgramData\Muster\agent.toml"))
    };
    places::check_settings(&absolute, check)
}

pub(super) fn check_program(program: &Path) -> Result<(), AccessError> {
    let program = absolute(program)?;
    let above = |error| {
        of_folder(error, &program, r"copy the program to C:\Program Files\Muster, and run the command again from there")
    };
    let check_own = |path: &Path| {
        let checked = check_closed(path, Others::Read);
        if path == program { checked } else { checked.map_err(above) }
    };
    let check_above =
        |folder: &Path, is_top| check(folder, |descriptor, own| descriptor.check_above(is_top, own)).map_err(above);
    places::check_program(&program, check_own, check_above)
}

fn absolute(path: &Path) -> Result<PathBuf, AccessError> {
    std::path::absolute(path).map_err(|source| AccessError::Unknown { path: path.to_owned(), source })
}

/// The error of a folder that a file is in or below.
fn of_folder(error: AccessError, file: &Path, remedy: &'static str) -> AccessError {
    let path = file.to_owned();
    match error {
        AccessError::Open { path: folder, what, who, .. } => {
            AccessError::Above { folder: folder.into(), path, what, why: who, remedy }
        }
        AccessError::Foreign { path: folder, owner, .. } => {
            let why = format!("it belongs to {owner}");
            AccessError::Above { folder: folder.into(), path, what: "change", why, remedy }
        }
        AccessError::Link { path: folder, .. } => {
            let why = "it is a link".to_owned();
            AccessError::Above { folder: folder.into(), path, what: "replace", why, remedy }
        }
        AccessError::Mode { .. }
        | AccessError::Owner { .. }
        | AccessError::Shared { .. }
        | AccessError::Above { .. }
        | AccessError::Unknown { .. } => error,
    }
}

/// Everybody may make folders in ProgramData. What an administrator names is the administrator's business.
pub(super) fn unsafe_parent(state_dir: &Path) -> Option<&Path> {
    state_dir.parent().filter(|_| state_dir == crate::os::default_state_dir())
}

fn check_closed(path: &Path, others: Others) -> Result<(), AccessError> {
    check(path, |descriptor, own| descriptor.check_owner(own).and_then(|()| descriptor.check_list(others, own)))
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
    is_safe(&descriptor, &own).map_err(|found| refused(path, metadata.is_dir(), found))
}

/// The error with the command that closes the file, or the folder with everything in it: what somebody else has made there keeps
/// its owner and its list when only the folder is closed, and Windows lets everybody pass through a folder to a file in it.
fn refused(path: &Path, is_folder: bool, found: Unsafe) -> AccessError {
    // The top of a volume is nobody's to close.
    if is_folder && path.parent().is_none() {
        let (what, why) = match found {
            Unsafe::Owner(owner) => ("change", format!("it belongs to {owner}")),
            Unsafe::Open { what, who } => (what, who),
        };
        let (folder, path) = (path.into(), path.to_owned());
        return AccessError::Above {
            folder,
            path,
            what,
            why,
            remedy: "use a folder that only administrators can change",
        };
    }
    let (quoted, path) = (quoted(path), path.to_owned());
    let (closed, all, own) = if is_folder { (CLOSED, " /T /L", " /R") } else { (CLOSED_FILE, "", "") };
    let close = format!("icacls {quoted} /reset{all} && icacls {quoted} {closed}");
    let links = is_folder.then(|| format!("dir /S /AL {quoted}").into());
    match found {
        Unsafe::Owner(owner) => {
            let command = format!("takeown /A{own} /F {quoted} && {close}");
            AccessError::Foreign { path, owner, command, links }
        }
        Unsafe::Open { what, who } => AccessError::Open { path, what, who, command: close, links },
    }
}

/// The path as the command interpreter reads it. No name of Windows contains a quotation mark.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::test_kit::open_to_all;

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

    /// A folder that is safe, in one that is.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let folder = dir.path().join("a folder");
        crate::os::make_private_dir(&folder).expect("made");
        (dir, folder)
    }

    fn write(path: &Path) -> &Path {
        crate::os::make_private_dir(path.parent().expect("a folder")).expect("made");
        crate::os::write_private(path, b"x").expect("written");
        path
    }

    /// Error and advice while everybody may change the file or folder.
    fn while_open(path: &Path, check: impl Fn() -> Result<(), AccessError>) -> (AccessError, String) {
        let before = security::descriptor_of(path).expect("read");
        assert!(open_to_all(path), "opened");
        let refused = check().expect_err("everybody may change it");
        security::set_list(path, &before).expect("closed again");
        let advice = refused.advice().expect("something can be done");
        (refused, advice)
    }

    #[test]
    fn settings_that_others_may_change_are_refused_with_the_command_that_closes_them() {
        let (_dir, folder) = folder();
        let file = folder.join("agent.toml");
        check_settings(&file).expect("there is nothing");
        let more = write(&folder.join("agent.d").join("10.toml")).to_owned();
        write(&file);
        check_settings(&file).expect("only the administrators may change them");
        for path in [&file, &more] {
            let (refused, advice) = while_open(path, || check_settings(&file));
            let expected = format!("others than the administrators can change {}: Everyone", path.display());
            assert_eq!(refused.to_string(), expected);
            let quoted = quoted(path);
            assert_eq!(advice, format!("run `icacls {quoted} /reset && icacls {quoted} {CLOSED_FILE}`"));
        }
        for path in [folder.as_path(), more.parent().expect("a folder")] {
            let (refused, advice) = while_open(path, || check_settings_in(&file, true));
            let expected = format!("others than the administrators can change {}: Everyone", path.display());
            assert_eq!(refused.to_string(), expected);
            let quoted = quoted(path);
            let command = format!("icacls {quoted} /reset /T /L && icacls {quoted} {CLOSED}");
            let links = format!("dir /S /AL {quoted}");
            assert_eq!(advice, format!("run `{links}` and delete the links that it shows, then run `{command}`"));
        }
        check_settings(&file).expect("closed again");
        // In another folder than the agent's may be files of others.
        let (refused, advice) = while_open(&folder, || check_settings(&file));
        let (above, file) = (folder.display(), file.display());
        let expected = format!("others than the administrators can change {above}, and with it {file}: Everyone");
        assert_eq!(refused.to_string(), expected);
        assert!(advice.starts_with("move the settings to"), "{advice}");
    }

    #[test]
    fn a_program_that_others_may_change_or_replace_is_refused() {
        let (_dir, folder) = folder();
        let program = folder.join("Muster").join("agent.exe");
        write(&program);
        check_program(&program).unwrap_or_else(|error| panic!("{error}"));
        let (refused, advice) = while_open(&program, || check_program(&program));
        assert!(matches!(&refused, AccessError::Open { path, .. } if *path == program), "{refused}");
        assert!(advice.contains("icacls"), "{advice}");
        for (above, what) in [(program.parent().expect("a folder"), "change"), (&folder, "replace")] {
            let (refused, advice) = while_open(above, || check_program(&program));
            let (above, program) = (above.display(), program.display());
            let expected =
                format!("others than the administrators can {what} {above}, and with it {program}: Everyone");
            assert_eq!(refused.to_string(), expected);
            assert!(advice.contains(r"C:\Program Files\Muster"), "{advice}");
        }
    }

    #[test]
    fn the_advice_for_a_token_leaves_the_machines_their_right_to_read_it() {
        let (_dir, folder) = folder();
        let token = folder.join("token");
        write(&token);
        check_token(&token).expect("only the administrators may change it");
        let (refused, advice) = while_open(&token, || check_token(&token));
        assert!(matches!(refused, AccessError::Shared { .. }), "{refused:?}");
        assert!(!advice.contains("icacls"), "{advice}");
        let foreign = of_token(super::refused(&token, false, Unsafe::Owner("S-1-5-21-1-2-3-1001".to_owned())));
        assert!(foreign.to_string().ends_with("belongs to S-1-5-21-1-2-3-1001, who can change it"), "{foreign}");
        let command = format!("icacls {} /setowner *S-1-5-32-544", quoted(&token));
        assert_eq!(foreign.advice(), Some(format!("run `{command}`")));
    }

    #[test]
    fn what_belongs_to_somebody_else_is_taken_with_everything_in_it() {
        let owned = |is_folder| {
            let refused = refused(Path::new(r"C:\a b"), is_folder, Unsafe::Owner("S-1-5-21-1-2-3-1001".to_owned()));
            (refused.to_string(), refused.advice().expect("something can be done"))
        };
        let (text, advice) = owned(true);
        assert_eq!(text, r"C:\a b belongs to S-1-5-21-1-2-3-1001, who can change it");
        let close = r#"icacls "C:\a b" /reset /T /L && icacls "C:\a b""#;
        assert!(advice.contains(&format!(r#"`takeown /A /R /F "C:\a b" && {close} {CLOSED}`"#)), "{advice}");
        assert!(advice.starts_with(r#"run `dir /S /AL "C:\a b"` and delete the links"#), "{advice}");
        let top = refused(Path::new(r"C:\"), true, Unsafe::Owner("BU".to_owned()));
        assert!(matches!(&top, AccessError::Above { .. }), "nobody may close a whole volume: {top:?}");
        let (_, advice) = owned(false);
        let close = r#"icacls "C:\a b" /reset && icacls "C:\a b""#;
        assert_eq!(advice, format!(r#"run `takeown /A /F "C:\a b" && {close} {CLOSED_FILE}`"#));
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
