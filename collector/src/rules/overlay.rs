//! Reads a rule directory: only regular files, each of them and all together bounded, and within a deadline.
//!
//! A rule directory may be on a network file system that does not answer, or hold a pipe that nobody writes to. Neither may
//! stop the caller, so [`read_within`] reads in a thread of its own.

use std::fs::{File, FileType, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use muster_proto::limits;

use super::placeholders;
use super::rule_fault::{RuleErrors, RuleFault};
use super::toml_reader::RuleFile;

/// The folders of a rule directory.
pub(crate) const FOLDERS: [&str; 6] = ["vendors", "states", "catalogue", "calendars", "orders", "scenarios"];

/// How much of a rule directory is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OverlayLimits {
    /// `rules.file_bytes`: bytes of one file.
    pub(crate) file_bytes: u64,
    /// `rules.files`: entries of all folders.
    pub(crate) files: usize,
    /// `rules.read_deadline`: how long reading may take.
    pub(crate) deadline: Duration,
}

impl Default for OverlayLimits {
    fn default() -> Self {
        Self {
            file_bytes: limits::RULE_FILE_BYTES,
            files: limits::RULE_FILES,
            deadline: Duration::from_millis(limits::RULES_READ_MS),
        }
    }
}

/// The contents of a rule directory.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// The rule files.
    pub(crate) files: Vec<RuleFile>,
    /// Other files, which are not read. A rule file with a mistyped ending is one of them.
    pub(crate) strays: Vec<RuleFault>,
}

/// Like [`read_overlay`], but gives up at the deadline. The thread that reads is then left behind.
pub(crate) fn read_within(place: &Path, limits: &OverlayLimits) -> Result<Overlay, RuleErrors> {
    let (folder, its_limits) = (place.to_owned(), *limits);
    within(limits.deadline, move || read_overlay(&folder, &its_limits))
        .unwrap_or_else(|| Err(RuleErrors::new(vec![late(place, limits)])))
}

/// The result of the work, or `None` if it is not there by the deadline.
pub(crate) fn within<T: Send + 'static>(deadline: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = mpsc::sync_channel(1);
    // If there is no thread, `done` is dropped, and nothing is received.
    let _ = std::thread::Builder::new().name("rules".to_owned()).spawn(move || {
        // The receiver is gone after the deadline.
        let _ = done.send(work());
    });
    result.recv_timeout(deadline).ok()
}

/// The fault of a directory that was not read by the deadline.
pub(crate) fn late(place: &Path, limits: &OverlayLimits) -> RuleFault {
    let seconds = limits.deadline.as_secs_f64();
    whole(
        place,
        format!("reading took longer than {seconds} s (rules.read_deadline); check the file system that it is on"),
    )
}

fn whole(path: &Path, reason: String) -> RuleFault {
    RuleFault { file: path.display().to_string(), line: 0, reason }
}

/// The rule files of a directory, and the files in its folders that are not read.
///
/// # Errors
/// Files that cannot be read, are no regular files, are in the wrong place, or exceed a limit.
pub(crate) fn read_overlay(place: &Path, limits: &OverlayLimits) -> Result<Overlay, RuleErrors> {
    let mut reader = Reader { limits, entries: 0, overlay: Overlay::default(), faults: Vec::new() };
    reader.top(place);
    let Reader { mut overlay, faults, .. } = reader;
    // Directories list files in no fixed order, and faults must not depend on it.
    overlay.files.sort_by(|a, b| (&a.folder, &a.name).cmp(&(&b.folder, &b.name)));
    overlay.strays.sort();
    if faults.is_empty() { Ok(overlay) } else { Err(RuleErrors::new(faults)) }
}

/// The paths of the directory and of its folders, at most one more than the limit allows.
pub(crate) fn listed(place: &Path, limits: &OverlayLimits) -> Vec<PathBuf> {
    let inside = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let all = inside(place).flat_map(|path| inside(&path).collect::<Vec<_>>().into_iter().chain([path]));
    all.take(limits.files + 1).collect()
}

/// A directory while it is read.
struct Reader<'l> {
    limits: &'l OverlayLimits,
    /// How many entries were listed so far.
    entries: usize,
    overlay: Overlay,
    faults: Vec<RuleFault>,
}

impl Reader<'_> {
    fn top(&mut self, place: &Path) {
        for path in self.entries(place) {
            let name = name_of(&path);
            if is_beside(&name) {
                continue;
            }
            if path.is_dir() && FOLDERS.contains(&name.as_str()) {
                self.folder(&path, &name);
            } else if name == placeholders::FILE {
                self.file(&path, "", name);
            } else if path.is_dir() || name.ends_with(".toml") {
                self.faults
                    .push(whole(&path, format!("rule files must be in one of the folders {}", FOLDERS.join(", "))));
            }
        }
    }

    fn folder(&mut self, place: &Path, folder: &str) {
        for path in self.entries(place) {
            let name = name_of(&path);
            if is_beside(&name) {
                continue;
            }
            if !name.ends_with(".toml") {
                self.overlay.strays.push(whole(&path, "is not read; rule file names must end in .toml".to_owned()));
                continue;
            }
            self.file(&path, folder, name);
        }
    }

    fn file(&mut self, path: &Path, folder: &str, name: String) {
        let remedy = " (rules.file_bytes); split it into several files";
        match read_file(path, self.limits.file_bytes, remedy) {
            Ok(text) => {
                let place = path.display().to_string();
                self.overlay.files.push(RuleFile { folder: folder.to_owned(), name, place, text });
            }
            Err(reason) => self.faults.push(whole(path, reason)),
        }
    }

    /// The entries of a directory, as many as the limit still allows.
    fn entries(&mut self, place: &Path) -> Vec<PathBuf> {
        let entries = match std::fs::read_dir(place) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.faults.push(whole(place, "directory not found".to_owned()));
                return Vec::new();
            }
            Err(error) => {
                self.faults.push(whole(place, format!("cannot read: {error}")));
                return Vec::new();
            }
        };
        let mut paths = Vec::new();
        for entry in entries {
            if self.entries >= self.limits.files {
                let reason = format!(
                    "the rule directory has more than {} entries (rules.files); remove what is no rule, or join rules",
                    self.limits.files
                );
                self.faults.push(whole(place, reason));
                break;
            }
            self.entries += 1;
            match entry {
                Ok(entry) => paths.push(entry.path()),
                Err(error) => self.faults.push(whole(place, format!("cannot list: {error}"))),
            }
        }
        paths
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether a file is a note or an editor's backup, which nobody mistakes for a rule.
fn is_beside(name: &str) -> bool {
    name.starts_with('.') || name.starts_with("README") || name.ends_with(".md") || name.ends_with('~')
}

/// Files of orders and addenda that somebody names, with the limits of an overlay.
///
/// # Errors
/// A file cannot be read, is no regular file, or is too long.
pub(crate) fn read_order_files(paths: &[PathBuf]) -> Result<Vec<RuleFile>, RuleErrors> {
    let (mut files, mut faults) = (Vec::new(), Vec::new());
    for path in paths {
        let remedy = ", which is the most that an order may have; remove what it does not need";
        match read_file(path, limits::RULE_FILE_BYTES, remedy) {
            Ok(text) => {
                let place = path.display().to_string();
                files.push(RuleFile { folder: "orders".to_owned(), name: name_of(path), place, text });
            }
            Err(reason) => faults.push(whole(path, reason)),
        }
    }
    if faults.is_empty() { Ok(files) } else { Err(RuleErrors::new(faults)) }
}

/// The text of a regular file with at most this many bytes, or why it is not read. `remedy` ends the fault of a longer one.
fn read_file(path: &Path, most: u64, remedy: &str) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot read: {error}");
    // Opening a device can act on it, so ask first.
    require_file(std::fs::metadata(path).map_err(cannot)?.file_type())?;
    let without_waiting = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(without_waiting).open(path).map_err(cannot)?;
    // Somebody may have replaced the file since.
    require_file(file.metadata().map_err(cannot)?.file_type())?;
    read_text(&file, most, remedy)
}

fn require_file(found: FileType) -> Result<(), String> {
    if found.is_file() {
        return Ok(());
    }
    let what = if found.is_dir() {
        "a directory"
    } else if found.is_fifo() {
        "a named pipe"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(format!("is {what}; rule files must be regular files, so replace or remove it"))
}

fn read_text(file: &File, most: u64, remedy: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    // The file may grow while it is read, so its stated size is not what counts.
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot read: {error}"))?;
    if bytes.len() as u64 > most {
        return Err(format!("has more than {most} bytes{remedy}"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::test_overlay::overlay as written;

    fn refused(place: &Path, limits: &OverlayLimits) -> Vec<String> {
        read_overlay(place, limits).expect_err("it is refused").faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn files_that_are_not_read_are_reported_but_do_not_refuse_the_rules() {
        let place = written(&[
            ("README", "ours"),
            ("orders/README.txt", "ours"),
            ("orders/notes.md", "ours"),
            ("orders/our.toml~", "id = = 1"),
            ("orders/.our.toml.swp", "id = = 1"),
            ("orders/our.yaml", "id: our"),
            ("catalogue/our.tml", "id = \"our\""),
        ]);
        assert!(crate::rules::load(Some(place.path())).is_ok());
        let read = read_overlay(place.path(), &OverlayLimits::default()).expect("no fault");
        let shown: Vec<String> = read.strays.iter().map(ToString::to_string).collect();
        let reason = "is not read; rule file names must end in .toml";
        let expected = ["catalogue/our.tml", "orders/our.yaml"]
            .map(|name| format!("{}: {reason}", place.path().join(name).display()));
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_missing_overlay_directory_is_reported() {
        let place = written::<&str>(&[]);
        let gone = place.path().join("gone");
        let shown = crate::rules::load(Some(&gone)).expect_err("it is refused").to_string();
        assert_eq!(shown, format!("the rules have 1 error\n  {}: directory not found", gone.display()));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting_for_it() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let place = written(&[("catalogue/real", "id = = 1")]);
        let at = |name: &str| place.path().join("catalogue").join(name);
        mknodat(CWD, at("pipe.toml"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        let _socket = std::os::unix::net::UnixListener::bind(at("socket.toml")).expect("a socket");
        std::os::unix::fs::symlink("/dev/zero", at("zero.toml")).expect("a link");
        std::os::unix::fs::symlink("real", at("link.toml")).expect("a link");
        std::fs::create_dir(at("folder.toml")).expect("a folder");
        let rest = "rule files must be regular files, so replace or remove it";
        let expected: Vec<String> = [
            ("folder.toml", "a directory"),
            ("pipe.toml", "a named pipe"),
            ("socket.toml", "a socket"),
            ("zero.toml", "a device"),
        ]
        .iter()
        .map(|(name, what)| format!("{}: is {what}; {rest}", at(name).display()))
        .collect();
        // In a thread with a deadline, so that waiting for the pipe fails the test.
        let folder = place.path().to_owned();
        let found = within(Duration::from_secs(60), move || refused(&folder, &OverlayLimits::default()));
        assert_eq!(found.expect("it does not wait"), expected, "a link to a regular file is read");
    }

    #[test]
    fn a_file_or_a_directory_beyond_its_limit_is_refused_by_the_name_of_the_limit() {
        let limits = OverlayLimits { file_bytes: 10, files: 5, ..OverlayLimits::default() };
        let place = written(&[("catalogue/a.toml", "0123456789"), ("catalogue/b.toml", "0123456789a")]);
        let at = |name: &str| place.path().join("catalogue").join(name).display().to_string();
        let reason = "has more than 10 bytes (rules.file_bytes); split it into several files";
        assert_eq!(refused(place.path(), &limits), [format!("{}: {reason}", at("b.toml"))]);
        for name in ["b.toml", "c.md", "d.txt"] {
            std::fs::write(place.path().join("catalogue").join(name), "").expect("written");
        }
        assert!(read_overlay(place.path(), &limits).is_ok(), "five entries: the folder and four files");
        std::fs::write(place.path().join("catalogue/.e"), "").expect("written");
        let found = refused(place.path(), &limits);
        assert!(found.len() == 1 && found[0].contains("more than 5 entries (rules.files)"), "{found:?}");
        assert_eq!(listed(place.path(), &limits).len(), 6);
    }

    #[test]
    fn a_file_that_is_not_text_is_refused_with_its_line() {
        let place = written::<&str>(&[("catalogue/a.toml", "")]);
        std::fs::write(place.path().join("catalogue/a.toml"), b"one\ntwo\xff").expect("written");
        assert!(refused(place.path(), &OverlayLimits::default())[0].ends_with("line 2 is not UTF-8"));
    }

    #[test]
    fn a_directory_that_does_not_answer_is_given_up_at_the_deadline() {
        let (never, wait) = mpsc::channel::<()>();
        assert_eq!(within(Duration::from_millis(10), move || wait.recv().is_ok()), None);
        drop(never);
        let limits = OverlayLimits { deadline: Duration::from_millis(1500), ..OverlayLimits::default() };
        let shown = late(Path::new("/rules"), &limits).to_string();
        assert_eq!(
            shown,
            "/rules: reading took longer than 1.5 s (rules.read_deadline); check the file system that it is on"
        );
    }
}
