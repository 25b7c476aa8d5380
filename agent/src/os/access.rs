//! Who may read and change the agent's own files, checked before they are used.

use std::io;
use std::path::{Path, PathBuf};

#[cfg(any(windows, test))]
#[path = "access/descriptor.rs"]
mod descriptor;
#[path = "access/places.rs"]
mod places;
#[cfg(unix)]
#[path = "unix/access.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows/access.rs"]
mod platform;

/// What others may do with a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Nothing: keys, the identity, the spool.
    Nothing,
    /// Its group may read it: a token that an administrator gives to the service. On Windows everybody may, because it may be on
    /// a share that the machines read.
    GroupReads,
    /// Everybody may read it, as far as they get there: the state folder.
    Read,
}

/// A file or folder is too open.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Others can read or change it.
    #[error("others than its owner can {what} {} (mode {mode:04o})", path.display())]
    Mode {
        /// The file or folder.
        path: PathBuf,
        /// `read` or `change`.
        what: &'static str,
        /// Its mode.
        mode: u32,
        /// The command that closes it.
        command: String,
    },
    /// It belongs to another user, who can change it.
    #[error("{} belongs to the user with the number {owner}, who can change it", path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// The number of its owner.
        owner: u32,
        /// The command that gives it to this agent's user.
        command: String,
    },
    /// Others can read or change it, by its access list (Windows).
    #[error("others than the administrators can {what} {}: {who}", path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// `read` or `change`.
        what: &'static str,
        /// The account that can: a name, or a security identifier.
        who: String,
        /// The command that closes it.
        command: String,
        /// For a folder, the command that shows the links in it.
        links: Option<Box<str>>,
    },
    /// Others can change it, by its access list, and it is one that the machines of a fleet read (Windows).
    #[error("others than the administrators can change {}: {who}", path.display())]
    Shared {
        /// The file.
        path: PathBuf,
        /// The account that can: a name, or a security identifier.
        who: String,
    },
    /// It belongs to another account, who can change its access list (Windows).
    #[error("{} belongs to {owner}, who can change it", path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// The security identifier of its owner, or its two letters.
        owner: String,
        /// The command that gives it to the administrators.
        command: String,
        /// For a folder, the command that shows the links in it.
        links: Option<Box<str>>,
    },
    /// Others can change a folder that a file is in or below, or put another in its place. The folder may have files of others in
    /// it, so the file goes and not they (Windows).
    #[error("others than the administrators can {what} {}, and with it {}: {why}", folder.display(), path.display())]
    Above {
        /// The folder.
        folder: Box<Path>,
        /// The file.
        path: PathBuf,
        /// `change` or `replace`.
        what: &'static str,
        /// Who can, or why nobody knows.
        why: String,
        /// Where to put the file.
        remedy: &'static str,
    },
    /// It is a link, and its maker decides where it leads (Windows).
    #[error("{} is a link", path.display())]
    Link {
        /// The file or folder.
        path: PathBuf,
        /// The command that removes the link, and not what is behind it.
        command: String,
    },
    /// It cannot be examined.
    #[error("cannot examine {}", path.display())]
    Unknown {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl AccessError {
    /// What to do, with the command to run where there is one; `None` if the system does not say what is wrong.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Mode { command, .. } | Self::Owner { command, .. } | Self::Link { command, .. } => {
                Some(format!("run `{command}`"))
            }
            // What the command does to everything in a folder, it would do behind a link too.
            Self::Open { command, links: Some(links), .. } | Self::Foreign { command, links: Some(links), .. } => {
                Some(format!("run `{links}` and delete the links that it shows, then run `{command}`"))
            }
            Self::Open { command, links: None, .. } | Self::Foreign { command, links: None, .. } => {
                Some(format!("run `{command}`"))
            }
            Self::Above { remedy, .. } => Some((*remedy).to_owned()),
            Self::Shared { path, who } => Some(format!(
                "remove the right of {who} to change {}; the machines keep their right to read it",
                path.display()
            )),
            Self::Unknown { .. } => None,
        }
    }
}

/// Checks what others may do with a file or folder. One that does not exist is not open.
///
/// # Errors
/// They may do more, or it cannot be examined.
pub fn check_mode(path: &Path, others: Others) -> Result<(), AccessError> {
    platform::check_mode(path, others)
}

/// Checks that a file or folder belongs to the user of this process or to the administrator. To the administrator's own
/// process the owner of the folder in which the service keeps its state is as good.
///
/// # Errors
/// It belongs to somebody else, or cannot be examined.
pub fn check_owner(path: &Path, state_dir: &Path) -> Result<(), AccessError> {
    platform::check_owner(path, state_dir)
}

/// Checks what others may do with a file that has an enrollment token, and on Windows to whom it belongs: machines read it from a
/// share, and its owner could make them enroll elsewhere.
///
/// # Errors
/// Others may read or change it, or it cannot be examined.
pub fn check_token(path: &Path) -> Result<(), AccessError> {
    platform::check_token(path)
}

/// Checks on Windows that nobody but the administrators can change the settings: the file, the files in the directory beside it,
/// and the folders of both. Everybody may make folders in ProgramData, and the service of Windows may do everything. On other
/// systems the folder of the settings is the administrator's from the start.
///
/// # Errors
/// Somebody else can change them, or they cannot be examined.
pub fn check_settings(file: &Path) -> Result<(), AccessError> {
    platform::check_settings(file)
}

/// Checks that nobody but the administrators can change the program of a service that may do everything, or replace a folder above
/// it. On Linux the service has an account of its own, and needs no such check.
///
/// # Errors
/// Somebody else can, or it cannot be examined.
pub fn check_program(program: &Path) -> Result<(), AccessError> {
    platform::check_program(program)
}

/// The folder above a state directory, if anybody could have made it before the agent did, and could replace the state directory.
#[must_use]
pub fn unsafe_parent(state_dir: &Path) -> Option<&Path> {
    platform::unsafe_parent(state_dir)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_too_open_is_refused_with_the_command_that_closes_it() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("a key");
        check_mode(&path, Others::Nothing).expect("it does not exist");
        std::fs::write(&path, "x").expect("written");
        let check = |mode: u32, others| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
            check_mode(&path, others).map_err(|error| (error.to_string(), error.advice().unwrap_or_default()))
        };
        for (mode, others) in [
            (0o600, Others::Nothing),
            (0o400, Others::Nothing),
            (0o640, Others::GroupReads),
            (0o440, Others::GroupReads),
            (0o755, Others::Read),
        ] {
            check(mode, others).unwrap_or_else(|error| panic!("{mode:o}: {error:?}"));
        }
        let shown = path.display();
        for (mode, others, what) in [
            (0o640, Others::Nothing, "read"),
            (0o604, Others::Nothing, "read"),
            (0o660, Others::Nothing, "change"),
            (0o644, Others::GroupReads, "read"),
            (0o660, Others::GroupReads, "change"),
            (0o775, Others::Read, "change"),
            (0o777, Others::Read, "change"),
        ] {
            let (error, advice) = check(mode, others).expect_err("too open");
            assert_eq!(error, format!("others than its owner can {what} {shown} (mode {mode:04o})"));
            let command = if others == Others::Read { "go-w" } else { "600" };
            assert_eq!(advice, format!("run `chmod {command} '{shown}'`"));
        }
        let (_, advice) = check_mode(dir.path(), Others::Nothing)
            .map_err(|error| (error.to_string(), error.advice()))
            .and_then(|()| {
                std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("set");
                check_mode(dir.path(), Others::Nothing).map_err(|error| (error.to_string(), error.advice()))
            })
            .expect_err("too open");
        assert_eq!(advice, Some(format!("run `chmod 700 {}`", dir.path().display())));
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().expect("temporary directory");
        let (state, key) = (dir.path().join("state"), dir.path().join("state/key"));
        std::fs::create_dir(&state).expect("made");
        std::fs::write(&key, "x").expect("written");
        check_owner(&key, &state).expect("it is root's");
        std::os::unix::fs::chown(&key, Some(4711), None).expect("given away");
        let error = check_owner(&key, &state).expect_err("somebody else's");
        assert!(error.to_string().contains("the user with the number 4711"), "{error}");
        assert_eq!(error.advice(), Some(format!("run `chown 0 {}`", key.display())));
        std::os::unix::fs::chown(&state, Some(4711), None).expect("given away");
        check_owner(&key, &state).expect("the service's own");
    }
}
