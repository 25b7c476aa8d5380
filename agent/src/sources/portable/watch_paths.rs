//! `watch-paths`: which paths of the watchlist exist, and whether the folders among them contain a program.

use std::collections::BTreeSet;
use std::io;

use muster_proto::model::{Kind, Observation, Platform, ReportedState, SourceName};

use super::tree::{Content, Contents, Examiner, Head};
use crate::sources::parse::macos::bundle::Bundle;
use crate::sources::parse::plist;
use crate::sources::parse::windows::path::folded;
use crate::sources::parse::windows::variables::Folders;
use crate::sources::parse::windows::version_resource;
use crate::sources::reading_builder::Kept;
use crate::sources::registry::folders;
use crate::sources::root::{BrokenLink, FileAt, FileKind};
use crate::sources::watchlist::{has_wildcard, matches_on};
use crate::sources::{ScanContext, Source, SourceReading, error_reason, is_absent, is_denied};

pub(in crate::sources) struct WatchPaths;

impl Source for WatchPaths {
    fn name(&self) -> SourceName {
        SourceName::WatchPaths
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut found = Found::default();
        let mut failed: Option<(String, io::Error)> = None;
        let mut examiner = Examiner::new(&context.root, context.platform());
        // A list without paths, or one that an older agent filtered, has scanned nothing.
        if context.watchlist.paths.is_empty() {
            return SourceReading::failed("the watchlist has no paths for this platform");
        }
        let (paths, doubt) = paths(context);
        for path in &paths {
            if let Err(error) = test(context, &mut examiner, path, &mut found) {
                failed.get_or_insert((path.clone(), error));
            }
            if let Some(excess) = found.kept.excess() {
                let error = io::Error::new(io::ErrorKind::FileTooLarge, format!("there is {excess}"));
                failed.get_or_insert((path.clone(), error));
                break;
            }
        }
        // A program can be in a watched folder and in the one above it.
        let mut observations = found.observations;
        observations.sort_unstable();
        observations.dedup();
        if context.platform() == Platform::Windows {
            // Entries that differ in case, or with a wildcard, lead to one file.
            let mut known = BTreeSet::new();
            observations.retain(|seen| known.insert(folded(&seen.path)));
        }
        match failed {
            None => match hidden(context, &paths, &observations) {
                Ok(None) => match doubt {
                    None => SourceReading::complete(observations),
                    Some(doubt) => SourceReading::partial(observations, doubt),
                },
                Ok(Some(link)) => SourceReading::partial(observations, link.to_string()),
                Err((path, error)) => SourceReading::partial(observations, error_reason(&path, &error)),
            },
            Some((path, error)) if observations.is_empty() && is_denied(&error) => {
                SourceReading::of_error(&path, &error)
            }
            Some((path, error)) => SourceReading::partial(observations, error_reason(&path, &error)),
        }
    }

    fn uses_watchlist(&self) -> bool {
        true
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    observations: Vec<Observation>,
    kept: Kept,
}

impl Found {
    fn add(&mut self, mut observation: Observation) {
        self.kept.add(&mut observation);
        self.observations.push(observation);
    }
}

/// The paths of the watchlist as this machine spells them, and why they may not be the right ones.
fn paths(context: &ScanContext) -> (Vec<String>, Option<String>) {
    let listed = &context.watchlist.paths;
    if context.platform() != Platform::Windows {
        return (listed.clone(), None);
    }
    let letter = context.root.volume();
    let folders = match &context.registry {
        Ok(registry) => folders(registry.as_ref(), letter),
        Err(unknown) => Folders { doubt: Some(unknown.reason.clone()), ..Folders::usual(letter) },
    };
    // Several entries can mean one path: `%ProgramFiles%` stands for both folders of programs.
    let mut known = BTreeSet::new();
    let paths = listed.iter().flat_map(|entry| folders.expand(entry));
    (paths.filter(|path| known.insert(folded(path))).collect(), folders.doubt)
}

/// The parent and the last name of a path, and what is between them.
fn split(path: &str) -> (&str, &str, &str) {
    match path.rfind(['/', '\\']) {
        Some(at) => (&path[..at], &path[at..=at], &path[at + 1..]),
        None => ("", "/", path),
    }
}

fn test(context: &ScanContext, examiner: &mut Examiner<'_>, path: &str, found: &mut Found) -> io::Result<()> {
    let (parent, separator, pattern) = split(path);
    let is_hidden = |error: &io::Error| {
        // What is below a broken link is reported once, with the link.
        error.kind() == io::ErrorKind::CrossesDevices && matches!(context.root.broken_link_above(path), Ok(Some(_)))
    };
    if !has_wildcard(pattern) {
        match context.root.file_at(path) {
            Ok(Some(file)) => observe(context, examiner, path, file, found),
            Ok(None) => {}
            Err(error) if is_hidden(&error) => {}
            Err(error) => return Err(error),
        }
        return Ok(());
    }
    let entries = match context.root.list(if parent.is_empty() { "/" } else { parent }) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) || is_hidden(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let platform = context.platform();
    for entry in entries.iter().filter(|entry| matches_on(platform, pattern, &entry.name)) {
        let path = format!("{parent}{separator}{}", entry.name);
        if let Some(file) = context.root.file_at(&path)? {
            observe(context, examiner, &path, file, found);
        }
        if found.kept.excess().is_some() {
            break;
        }
    }
    Ok(())
}

/// A broken link above a watched path: nothing is known of what is below it. A link that is itself watched was observed.
fn hidden(
    context: &ScanContext,
    paths: &[String],
    observations: &[Observation],
) -> Result<Option<BrokenLink>, (String, io::Error)> {
    let mut examined = BTreeSet::new();
    for path in paths {
        // The paths of one directory have the same parents.
        let (parent, _, _) = split(path);
        if !examined.insert(parent) {
            continue;
        }
        let link = context.root.broken_link_above(path).map_err(|error| (path.clone(), error))?;
        let is_observed = |link: &BrokenLink| observations.iter().any(|seen| seen.path == link.path);
        if let Some(link) = link.filter(|link| !is_observed(link)) {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

/// Adds what is at a path. On Windows the program that a folder contains is added, too: there a file with the ending of a
/// program proves a product, and its folder alone does not.
fn observe(context: &ScanContext, examiner: &mut Examiner<'_>, path: &str, file: FileAt, found: &mut Found) {
    let mut observation = named(context, path, file.kind);
    let mut program = None;
    let state = match file.kind {
        FileKind::BrokenLink => Some(ReportedState::BrokenLink),
        // A link to /dev/null or a pipe in the place of a program keeps it from being installed.
        FileKind::Other => Some(ReportedState::NoProgram),
        FileKind::File => state_of_file(examiner, path, file.executable),
        FileKind::Directory => match examiner.folder(path, file.identity) {
            Contents::NoFiles => Some(ReportedState::NoFiles),
            Contents::NoProgram => Some(ReportedState::NoProgram),
            Contents::Unknown => Some(ReportedState::Unclear),
            Contents::Program(path) => {
                program = Some(path);
                None
            }
        },
    };
    state.into_iter().for_each(|state| observation.set_state(state));
    if context.platform() == Platform::Windows {
        if let Some(program) = program {
            let mut observation = named(context, &program, FileKind::File);
            add_version(context, &mut observation);
            found.add(observation);
        } else if file.kind == FileKind::File {
            add_version(context, &mut observation);
        }
    }
    if context.platform() == Platform::Macos && file.kind == FileKind::Directory {
        add_version_of_bundle(context, &mut observation);
    }
    found.add(observation);
}

fn named(context: &ScanContext, path: &str, kind: FileKind) -> Observation {
    // Both slashes are one separator on Windows, and a path has one spelling in a section.
    let path = if context.platform() == Platform::Windows { path.replace('/', r"\") } else { path.to_owned() };
    let mut observation = Observation::new(Kind::Path, path.as_str());
    observation.path = path;
    observation.attributes.insert("type".to_owned(), kind.name().to_owned());
    observation
}

/// Adds the version of a bundle of macOS.
fn add_version_of_bundle(context: &ScanContext, observation: &mut Observation) {
    let properties = context.root.read(&format!("{}/Contents/Info.plist", observation.path), plist::FILE_BYTES);
    if let Some(plist) = properties.ok().and_then(|bytes| plist::parse(&bytes).ok()) {
        observation.version = Bundle::of(&plist).version;
    }
}

/// Adds the version of a program. Its company is an attribute and no vendor, because anybody can write one into a file.
fn add_version(context: &ScanContext, observation: &mut Observation) {
    let Ok(file) = context.root.open(&observation.path) else { return };
    let Ok(Some(info)) = version_resource::read(&file) else { return };
    observation.version = info.file_version;
    for (name, text) in [("company", info.company), ("product", info.product)] {
        if !text.is_empty() {
            observation.attributes.insert(name.to_owned(), text);
        }
    }
}

/// An empty file proves nothing, and neither does a text in the place of a program or its folder. Settings prove what they
/// configure.
fn state_of_file(examiner: &mut Examiner<'_>, path: &str, executable: bool) -> Option<ReportedState> {
    let is_settings = path.starts_with("/etc/") || path.starts_with("/var/");
    let has_ending = split(path).2.contains('.');
    match examiner.file(path, executable)? {
        Head::Empty => Some(ReportedState::NoProgram),
        Head::Content(Content::Data) if !is_settings && !has_ending => Some(ReportedState::NoProgram),
        Head::Content(Content::Unclear) if !is_settings && !has_ending => Some(ReportedState::Unclear),
        Head::Content(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use muster_proto::model::{Outcome, Watchlist};

    use super::*;
    use crate::sources::parse::windows::version_resource::tests as tests_of_versions;
    use crate::sources::registry::memory::MemoryRegistry;
    use crate::sources::root::Root;

    fn write(root: &Path, path: &str, bytes: &[u8]) {
        let file = root.join(path);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        std::fs::write(file, bytes).expect("written");
    }

    fn read(root: &Path, paths: &[&str]) -> SourceReading {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let watchlist = Watchlist { version: 1, paths, ..Watchlist::default() };
        let context = ScanContext::new(Root::below(root).expect("a root"), watchlist);
        // The registry says nothing of folders that were moved.
        WatchPaths.read(&ScanContext { registry: Ok(Arc::new(MemoryRegistry::default())), ..context })
    }

    #[test]
    fn without_the_registry_a_watched_program_may_be_in_another_folder() {
        let dir = tempfile::tempdir().expect("temporary directory");
        write(dir.path(), "Windows/System32/config/SYSTEM", b"");
        write(dir.path(), "Program Files/Kaspersky Lab/avp.exe", b"MZ\x90");
        let read = |path: &str| {
            let watchlist = Watchlist { version: 1, paths: vec![path.to_owned()], ..Watchlist::default() };
            WatchPaths.read(&ScanContext::new(Root::below(dir.path()).expect("a root"), watchlist))
        };
        let reading = read("%ProgramFiles%/Kaspersky Lab");
        assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 2));
        assert!(reading.reason.contains("the hive is missing"), "{}", reading.reason);
        assert_eq!(read("%ProgramFiles%/Gone").outcome, Outcome::Failed);
    }

    #[test]
    fn a_folder_of_windows_is_proven_by_a_program_with_its_version_in_it() {
        let dir = tempfile::tempdir().expect("temporary directory");
        write(dir.path(), "Windows/System32/config/SYSTEM", b"");
        let texts = [("CompanyName", "AO Kaspersky Lab"), ("ProductName", "Kaspersky")];
        write(
            dir.path(),
            "Program Files/Kaspersky Lab/KES/avp.exe",
            &tests_of_versions::program([12, 3, 0, 493], &texts),
        );
        let reading = read(dir.path(), &["%ProgramFiles%/Kaspersky Lab/KES*"]);
        let rows: Vec<_> = reading.observations.iter().map(|row| (row.path.as_str(), row.version.as_str())).collect();
        let folder = r"C:\Program Files\Kaspersky Lab\KES";
        assert_eq!(rows, [(folder, ""), (format!(r"{folder}\avp.exe").as_str(), "12.3.0.493")]);
        let program = &reading.observations[1];
        assert_eq!((program.attributes["company"].as_str(), program.vendor.as_str()), ("AO Kaspersky Lab", ""));
    }

    #[test]
    fn a_file_of_windows_is_reported_once_whatever_the_case_of_the_entries() {
        let dir = tempfile::tempdir().expect("temporary directory");
        write(dir.path(), "Windows/System32/config/SYSTEM", b"");
        write(dir.path(), "Program Files/Kaspersky Lab/KES/avp.exe", b"MZ\x90");
        let reading = read(dir.path(), &["%ProgramFiles%/Kaspersky Lab/*", "%ProgramFiles%/kaspersky lab"]);
        let mut paths: Vec<String> = reading.observations.iter().map(|seen| folded(&seen.path)).collect();
        let count = paths.len();
        paths.dedup();
        assert_eq!((count, paths.len()), (3, 3), "{:?}", reading.observations);
    }

    #[test]
    fn paths_of_windows_are_found_in_any_case_and_in_both_folders_of_programs() {
        let dir = tempfile::tempdir().expect("temporary directory");
        write(dir.path(), "windows/System32/config/SYSTEM", b"");
        write(dir.path(), "program files/KASPERSKY LAB/avp.exe", b"MZ\x90");
        write(dir.path(), "Program Files (x86)/Kaspersky Lab/logs/avp.log", b"text");
        write(dir.path(), "Windows/System32/drivers/klif.sys", b"MZ\x90");
        let paths = ["%ProgramFiles%/Kaspersky Lab", "%SystemRoot%\\System32\\drivers\\KL*.sys", "%ProgramData%/gone"];
        let reading = read(dir.path(), &paths);
        let seen: Vec<(&str, &str)> =
            reading.observations.iter().map(|seen| (seen.path.as_str(), seen.state.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("C:\\Program Files (x86)\\Kaspersky Lab", "no-program"),
                ("C:\\Program Files\\Kaspersky Lab", ""),
                ("C:\\Program Files\\Kaspersky Lab\\avp.exe", ""),
                ("C:\\Windows\\System32\\drivers\\klif.sys", ""),
            ]
        );
        assert_eq!(reading.outcome, Outcome::Found);
        assert_eq!(read(dir.path(), &["%ProgramData%/gone"]).outcome, Outcome::Empty);
    }

    #[test]
    fn a_list_without_paths_has_not_been_scanned() {
        let dir = tempfile::tempdir().expect("temporary directory");
        assert_eq!(read(dir.path(), &[]).outcome, Outcome::Failed);
    }
}
