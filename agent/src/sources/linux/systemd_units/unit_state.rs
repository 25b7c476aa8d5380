//! Derives the state of a unit from what it leads to, in this order: mask, link, target, program.
//!
//! A unit that leads to a program has no state. One that leads nowhere is a trace of something that was removed, or was
//! masked in advance, so it gets a state that says where the way ends.

use std::collections::BTreeMap;
use std::io;

use muster_proto::model::{Kind, Observation, ReportedState};

use super::init_scripts::InitScripts;
use super::targets::{is_missing, is_null};
use super::unit_files::{UnitFile, UnitFiles, drop_in_names, template_of};
use crate::sources::parse::unit_file::Unit;
use crate::sources::root::FileKind;
use crate::sources::{ScanContext, is_absent};

/// The largest unit file that is read. Generated ones with long lists of arguments can have more than 64 KiB.
const UNIT_BYTES: usize = 1024 * 1024;

/// What is known about the units of one manager, and the files that could not be read.
pub(super) struct Derivation<'a> {
    pub(super) context: &'a ScanContext,
    pub(super) files: &'a UnitFiles,
    /// The units that those of `files` override.
    pub(super) below: Option<&'a UnitFiles>,
    pub(super) scripts: Option<&'a InitScripts>,
    pub(super) faults: Vec<(String, io::Error)>,
}

/// What a unit file is, after its links.
enum Target {
    /// Another name of a unit that has its own file.
    Alias,
    Masked,
    /// The way ends here.
    Ends(ReportedState),
    /// It exists, and cannot be read.
    Unreadable,
    Text(String),
}

impl Derivation<'_> {
    /// The observation of a unit; `None` for an alias of a unit that has its own file, and for a mask of an init script.
    pub(super) fn observation(&mut self, name: &str) -> Option<Observation> {
        let mut observation = Observation::new(Kind::Service, name);
        name.clone_into(&mut observation.id);
        let mut masked = false;
        let mut ends: Option<(&UnitFile, ReportedState)> = None;
        for (file, is_own) in self.candidates(name) {
            match self.target(name, file, is_own) {
                Target::Alias => return None,
                Target::Masked => {
                    masked |= ends.is_none();
                    ends.get_or_insert((file, ReportedState::Masked));
                }
                Target::Ends(state) => drop(ends.get_or_insert((file, state))),
                Target::Unreadable => {
                    ends = None;
                    file.path.clone_into(&mut observation.path);
                    break;
                }
                Target::Text(text) => {
                    let (exec, state) = self.program(name, &text);
                    if let Some(exec) = exec.filter(|_| state.is_none() || ends.is_none()) {
                        observation.attributes.insert("exec".to_owned(), exec);
                    }
                    if let Some(state) = state {
                        ends.get_or_insert((file, state));
                        continue;
                    }
                    // A mask or a broken link above switches the unit off, and does not remove its program.
                    ends = None;
                    file.path.clone_into(&mut observation.path);
                    break;
                }
            }
        }
        if let Some((file, state)) = ends {
            if masked && self.scripts.is_some_and(|scripts| scripts.is_masked_by(name)) {
                return None;
            }
            file.path.clone_into(&mut observation.path);
            observation.set_state(state);
        } else if observation.path.is_empty() {
            self.without_file(name, &mut observation)?;
        }
        let enabled = if masked { Some("masked") } else { self.files.is_enabled(name).then_some("yes") };
        if let Some(enabled) = enabled {
            observation.attributes.insert("enabled".to_owned(), enabled.to_owned());
        }
        Some(observation)
    }

    /// The files that can define a unit, the one that counts first, each with whether it has the unit's own name.
    fn candidates<'f>(&self, name: &str) -> Vec<(&'f UnitFile, bool)>
    where
        Self: 'f,
    {
        let template = template_of(name);
        let mut candidates: Vec<(&UnitFile, bool)> = Vec::new();
        for (named, is_own) in [(name, true), (template.as_str(), false)] {
            // A name that is no instance is its own template.
            if !is_own && named == name {
                continue;
            }
            for files in [Some(self.files), self.below].into_iter().flatten() {
                candidates.extend(files.files_of(named).iter().map(|file| (file, is_own)));
            }
        }
        candidates
    }

    /// A unit without a file: only a link starts it. It is a trace of a unit that was removed.
    fn without_file(&mut self, name: &str, observation: &mut Observation) -> Option<()> {
        let link = self.files.start_link(name)?;
        link.path.clone_into(&mut observation.path);
        match self.target(name, link, true) {
            Target::Alias => return None,
            Target::Unreadable => {}
            Target::Ends(state) => observation.set_state(state),
            Target::Masked => observation.set_state(ReportedState::Masked),
            // systemd finds units by name in its directories, and not through such a link.
            Target::Text(_) => observation.set_state(ReportedState::UnitMissing),
        }
        Some(())
    }

    fn target(&mut self, name: &str, file: &UnitFile, is_own: bool) -> Target {
        let root = &self.context.root;
        if file.is_link
            && let Ok(target) = root.read_link(&file.path)
        {
            if is_null(&target) {
                return Target::Masked;
            }
            let target_name = target.rsplit('/').next().unwrap_or_default();
            match root.kind_at(&file.path) {
                Ok(None | Some(FileKind::BrokenLink)) => return Target::Ends(ReportedState::BrokenLink),
                // A link to a link to /dev/null.
                Ok(Some(FileKind::Other)) => return Target::Masked,
                // A link from an instance to its template is no alias: the instance is a unit with a name and drop-ins.
                Ok(Some(FileKind::File))
                    if is_own
                        && template_of(target_name) != template_of(name)
                        && self.is_file_of(target_name, &file.path) =>
                {
                    return Target::Alias;
                }
                Ok(Some(FileKind::File | FileKind::Directory)) | Err(_) => {}
            }
        }
        match self.read_text(&file.path) {
            // An empty file masks a unit, as a link to /dev/null does.
            Ok(Some(text)) if text.is_empty() => Target::Masked,
            Ok(Some(text)) => Target::Text(text),
            Ok(None) => Target::Ends(ReportedState::NoCommand),
            // It was removed since the directory was listed.
            Err(error) if is_absent(&error) => Target::Ends(ReportedState::UnitMissing),
            Err(error) => {
                self.record_fault(&file.path, error);
                Target::Unreadable
            }
        }
    }

    /// The text of a unit file or drop-in; `None` of a mask, pipe, device or directory, which systemd does not read either.
    fn read_text(&self, path: &str) -> io::Result<Option<String>> {
        let root = &self.context.root;
        match root.read(path, UNIT_BYTES) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            // An image of a disk has no /dev/null.
            Err(_) if root.read_link(path).is_ok_and(|target| is_null(&target)) => Ok(None),
            Err(error) => match root.kind_at(path) {
                Ok(Some(FileKind::Other | FileKind::Directory)) => Ok(None),
                _ => Err(error),
            },
        }
    }

    fn record_fault(&mut self, path: &str, error: io::Error) {
        let limit = if error.kind() == io::ErrorKind::FileTooLarge { " (at most 1 MiB)" } else { "" };
        self.faults.push((format!("{path}{limit}"), error));
    }

    /// Whether a link leads to a file of this unit. A link to a file outside the directories of units is no alias: the
    /// unit has the name of the link (`systemctl link`), and nothing else reports it.
    fn is_file_of(&self, name: &str, link: &str) -> bool {
        let root = &self.context.root;
        let stamp = |path: &str| root.open(path).and_then(|file| file.stamp());
        let Ok(target) = stamp(link) else { return false };
        let mut files = [Some(self.files), self.below].into_iter().flatten().flat_map(|files| files.files_of(name));
        files.any(|file| stamp(&file.path).is_ok_and(|file| file == target))
    }

    /// The program of a unit with its drop-ins: the first that exists, otherwise the first; and the state of a unit that
    /// certainly starts nothing.
    fn program(&mut self, name: &str, text: &str) -> (Option<String>, Option<ReportedState>) {
        let mut unit = Unit::default();
        unit.read(text);
        let is_whole = self.read_drop_ins(name, &mut unit);
        let literal = || unit.programs.iter().flatten();
        let existing = literal().find(|program| !is_missing(self.context, program));
        let exec = existing.or_else(|| literal().next()).cloned();
        let are_all_missing = existing.is_none() && unit.has_plain_paths() && unit.programs.iter().all(Option::is_some);
        let state = match is_whole {
            true if !unit.programs.is_empty() => are_all_missing.then_some(ReportedState::BinaryMissing),
            true if !unit.has_command() && name.ends_with(".service") => Some(ReportedState::NoCommand),
            _ => None,
        };
        (exec, state)
    }

    /// Applies the drop-ins of a unit. Returns whether all of them could be read.
    fn read_drop_ins(&mut self, name: &str, unit: &mut Unit) -> bool {
        // systemd applies them by file name. Of several with one name only the first counts, even if it is a mask.
        let mut drop_ins = BTreeMap::new();
        for name in drop_in_names(name) {
            for files in [Some(self.files), self.below].into_iter().flatten() {
                for path in files.drop_ins_of(&name) {
                    drop_ins.entry(path.rsplit('/').next().unwrap_or_default()).or_insert(path);
                }
            }
        }
        let mut is_whole = true;
        for path in drop_ins.into_values() {
            match self.read_text(path) {
                Ok(text) => unit.read(&text.unwrap_or_default()),
                Err(error) => {
                    is_whole = false;
                    if !is_absent(&error) {
                        self.record_fault(path, error);
                    }
                }
            }
        }
        is_whole
    }
}
