//! What an installer does with the agent's own files: it writes settings and the enrollment token (`service configure`), and
//! deletes everything (`service purge`).

use std::io;
use std::path::{Path, PathBuf};

use muster_proto::model::EnrollmentToken;

use super::state_files::{self, StateFileError};
use crate::config::{EditError, with_collector};
use crate::memory;
use crate::os;
use crate::os::access::{self, AccessError, Others};

/// The first lines of a settings file that this command creates.
const HEADER: &str = "# Settings of muster-agent. `muster-agent service configure` sets single keys and keeps the rest.\n\
                      # collector = \"https://muster.example.org:7443\"\n";

/// Why the agent's own files cannot be written or deleted.
#[derive(Debug, thiserror::Error)]
pub enum OwnFilesError {
    /// A file or folder cannot be read, written or deleted.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The settings file cannot be changed.
    #[error("cannot change {}", path.display())]
    Edit {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: EditError,
    },
    /// Others can change the settings, or can read or change the state.
    #[error("the agent's files are not safe")]
    Access(#[from] AccessError),
    /// The state directory cannot be used.
    #[error("cannot use the state directory")]
    State(#[from] StateFileError),
    /// The agent is running.
    #[error("an agent is running in {}; stop the service first", .0.display())]
    Running(PathBuf),
    /// A folder is a link, and what is behind it may not belong to the agent.
    #[error("{} is a link; nothing was deleted", .0.display())]
    Link(PathBuf),
    /// The state directory is not that of an agent.
    #[error("{} has no files of an agent; nothing was deleted", .0.display())]
    Foreign(PathBuf),
}

impl OwnFilesError {
    /// What to do about it; `None` if that depends on the cause.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Access(error) => error.advice(),
            Self::Edit { path, .. } => Some(format!("correct {} by hand, then run the command again", path.display())),
            Self::Link(path) => Some(format!("delete {} or what it leads to yourself", path.display())),
            Self::Foreign(_) => Some("name the agent's own folder with --state-dir".to_owned()),
            Self::File { .. } | Self::State(_) | Self::Running(_) => None,
        }
    }
}

/// What `service configure` sets. `None` keeps what there is.
#[derive(Debug, Default)]
pub struct Changes {
    /// The collector's address, already checked.
    pub collector: Option<String>,
    /// The token to enroll with.
    pub token: Option<EnrollmentToken>,
}

/// Writes settings and token. Everything that can be checked is checked before the first change. Returns what was done, one
/// line each.
///
/// # Errors
/// A file cannot be read, changed or written.
pub fn configure(file: &Path, state_dir: &Path, changes: &Changes) -> Result<Vec<String>, OwnFilesError> {
    let failed = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| OwnFilesError::File { operation, path, source }
    };
    access::check_settings(file)?;
    let old = match memory::file::read_text(file, memory::file::SETTINGS) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("read", file)(error)),
    };
    let before = old.as_deref().unwrap_or(HEADER);
    let new = match &changes.collector {
        Some(collector) => {
            with_collector(before, collector).map_err(|source| OwnFilesError::Edit { path: file.to_owned(), source })?
        }
        None => before.to_owned(),
    };
    let folder = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    os::make_settings_dir(folder).map_err(failed("create", folder))?;
    // Who may write there could make the agent report to somebody else.
    access::check_mode(folder, Others::Read)?;
    access::check_owner(folder, state_dir)?;
    if changes.token.is_some() {
        os::make_private_dir(state_dir).map_err(failed("create", state_dir))?;
        state_files::check_access(state_dir)?;
    }
    let mut done = Vec::new();
    if old.as_ref() != Some(&new) {
        os::write_settings(file, new.as_bytes()).map_err(failed("write", file))?;
        done.push(format!("wrote the settings to {}", file.display()));
    }
    if let Some(token) = &changes.token {
        let path = state_files::own_token_file(state_dir);
        os::write_private(&path, format!("{token}\n").as_bytes()).map_err(failed("write", &path))?;
        done.push(format!(
            "saved the enrollment token {} for the service; it is deleted after the enrollment",
            token.id
        ));
    }
    if done.is_empty() {
        done.push("nothing to change".to_owned());
    }
    Ok(done)
}

/// Deletes the settings, `agent.d` beside them, and the state directory. No link is followed. Returns what was deleted, one
/// line each.
///
/// # Errors
/// The agent is running, a folder is a link, or something cannot be deleted.
pub fn purge(file: &Path, state_dir: &Path) -> Result<Vec<String>, OwnFilesError> {
    let more = file.with_extension("d");
    let folders = [file.parent(), state_dir.parent()].into_iter().flatten().filter(|dir| !dir.as_os_str().is_empty());
    for place in folders.chain([state_dir, &more]) {
        if std::fs::symlink_metadata(place).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(OwnFilesError::Link(place.to_owned()));
        }
    }
    if state_files::is_running(state_dir)? {
        return Err(OwnFilesError::Running(state_dir.to_owned()));
    }
    // A mistyped --state-dir must not cost another program its files.
    if state_dir.exists() && state_dir != os::default_state_dir() && !state_files::has_any(state_dir) {
        return Err(OwnFilesError::Foreign(state_dir.to_owned()));
    }
    let mut done = Vec::new();
    // The library deletes links inside as links.
    delete(&mut done, state_dir, |path| std::fs::remove_dir_all(path))?;
    delete(&mut done, &more, remove_settings)?;
    delete(&mut done, file, os::remove_file)?;
    if let Some(folder) = file.parent().filter(|_| file == os::default_config_file()) {
        // Another program's files keep the folder.
        let _ = std::fs::remove_dir(folder);
    }
    if done.is_empty() {
        done.push("nothing to delete".to_owned());
    }
    Ok(done)
}

/// Deletes a folder of settings. Whatever else is in it keeps it.
fn remove_settings(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            os::remove_file(&path)?;
        }
    }
    std::fs::remove_dir(dir)
}

fn delete(
    done: &mut Vec<String>,
    path: &Path,
    remove: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), OwnFilesError> {
    match remove(path) {
        Ok(()) => done.push(format!("deleted {}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(OwnFilesError::File { operation: "delete", path: path.to_owned(), source }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTOR: &str = "https://muster.example.org:7443";

    fn token() -> EnrollmentToken {
        let part = "a".repeat(52);
        format!("abcdefgh1234.{part}.{part}").parse().expect("a token")
    }

    fn files() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (file, state) = (dir.path().join("Muster/agent.toml"), dir.path().join("Muster/agent"));
        (dir, file, state)
    }

    #[test]
    fn the_first_installation_writes_settings_and_token() {
        let (_dir, file, state) = files();
        let changes = Changes { collector: Some(COLLECTOR.to_owned()), token: Some(token()) };
        let done = configure(&file, &state, &changes).expect("configured");
        assert_eq!(done.len(), 2, "{done:?}");
        assert!(done.iter().all(|line| !line.contains("aaaa")), "the secret is shown: {done:?}");
        let text = std::fs::read_to_string(&file).expect("written");
        assert_eq!(text, format!("{HEADER}collector = \"{COLLECTOR}\"\n"));
        let path = state_files::own_token_file(&state);
        assert_eq!(std::fs::read_to_string(&path).expect("written").trim(), token().to_string());
        if let Some(mode) = os::test_kit::mode(&path) {
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn without_changes_settings_and_state_stay_as_they_are() {
        let (_dir, file, state) = files();
        std::fs::create_dir_all(&state).expect("made");
        std::fs::write(&file, "# mine\ncollector = 'https://old'\n").expect("written");
        let done = configure(&file, &state, &Changes::default()).expect("configured");
        assert_eq!(done, ["nothing to change"]);
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "# mine\ncollector = 'https://old'\n");
        assert_eq!(std::fs::read_dir(&state).expect("listed").count(), 0);
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        let (_dir, file, state) = files();
        let folder = file.parent().expect("a folder");
        std::fs::create_dir_all(folder).expect("made");
        if !os::test_kit::open_to_all(folder) {
            return os::test_kit::left_out("modes");
        }
        let changes = Changes { collector: Some(COLLECTOR.to_owned()), token: Some(token()) };
        assert!(matches!(configure(&file, &state, &changes), Err(OwnFilesError::Access(_))));
        assert!(!file.exists() && !state.exists());
    }

    #[test]
    fn broken_settings_are_refused_before_anything_changes() {
        let (_dir, file, state) = files();
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(&file, "[scan\n").expect("written");
        let changes = Changes { collector: Some(COLLECTOR.to_owned()), token: Some(token()) };
        configure(&file, &state, &changes).expect_err("refused");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "[scan\n");
        assert!(!state.exists());
    }

    #[test]
    fn purge_deletes_the_agents_files_and_nothing_else() {
        let (dir, file, state) = files();
        for (path, text) in [
            ("Muster/agent.toml", "x"),
            ("Muster/agent.d/10.toml", "x"),
            ("Muster/agent/identity/identity.json", "x"),
            ("Muster/agent/lock", ""),
            ("Muster/collector.toml", "another program's"),
            ("outside/kept", "x"),
        ] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        let linked = os::test_kit::link(dir.path().join("outside"), &state.join("way-out"));
        let done = purge(&file, &state).expect("purged");
        assert_eq!(done.len(), 3, "{done:?}");
        assert!(!state.exists() && !file.exists() && !file.with_extension("d").exists());
        assert!(dir.path().join("Muster/collector.toml").exists());
        assert!(dir.path().join("outside/kept").exists(), "a link was followed (linked: {linked})");
        assert_eq!(purge(&file, &state).expect("again"), ["nothing to delete"]);
    }

    #[test]
    fn purge_deletes_no_folder_of_another_program() {
        let (dir, file, state) = files();
        for path in ["Muster/agent.d/10.toml", "Muster/agent.d/other", "Muster/agent/spool/mail"] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, "x").expect("written");
        }
        let error = purge(&file, &state).expect_err("not the agent's");
        assert!(matches!(error, OwnFilesError::Foreign(_)) && error.advice().is_some(), "{error}");
        assert!(state.join("spool/mail").exists() && file.with_extension("d").join("10.toml").exists());
        std::fs::write(state.join("lock"), "").expect("written");
        purge(&file, &state).expect_err("`agent.d` is not empty");
        assert!(file.with_extension("d").join("other").exists());
    }

    #[test]
    fn an_open_state_directory_is_refused_before_anything_changes() {
        let (_dir, file, state) = files();
        std::fs::create_dir_all(&state).expect("made");
        if !os::test_kit::open_to_all(&state) {
            return os::test_kit::left_out("modes");
        }
        let changes = Changes { collector: Some(COLLECTOR.to_owned()), token: Some(token()) };
        configure(&file, &state, &changes).expect_err("others can change it");
        assert!(!file.exists(), "the collector was changed without its token");
    }

    #[test]
    fn purge_refuses_a_running_agent() {
        let (_dir, file, state) = files();
        std::fs::create_dir_all(&state).expect("made");
        let held = os::lock(&state.join("lock")).expect("locked");
        assert!(matches!(purge(&file, &state), Err(OwnFilesError::Running(_))));
        drop(held);
        purge(&file, &state).expect("purged");
    }

    #[test]
    fn purge_refuses_a_folder_that_is_a_link() {
        let (dir, file, state) = files();
        std::fs::create_dir_all(dir.path().join("real/agent")).expect("made");
        std::fs::write(dir.path().join("real/agent/kept"), "x").expect("written");
        if !os::test_kit::link(dir.path().join("real"), &dir.path().join("Muster")) {
            return os::test_kit::left_out("links");
        }
        assert!(matches!(purge(&file, &state), Err(OwnFilesError::Link(_))));
        assert!(dir.path().join("real/agent/kept").exists());
    }
}
