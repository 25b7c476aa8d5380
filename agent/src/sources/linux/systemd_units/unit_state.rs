//! Derives the state of a unit from what it leads to, in this order: mask, link, target, program.
//!
//! A unit that leads to a program has no state. One that leads nowhere is a trace of something that was removed, or was
//! masked in advance, so it gets a state that says where the way ends.

use std::io;

use muster_proto::model::{Kind, Observation, ReportedState};

use super::init_scripts::InitScripts;
use super::targets::{is_missing, is_null};
use super::unit_files::{UnitFile, UnitFiles, template_of};
use crate::sources::parse::unit_file::Unit;
use crate::sources::root::FileKind;
use crate::sources::{ScanContext, is_absent};

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
                    let exec = self.executable(name, &text);
                    let is_missing = exec.as_deref().is_some_and(|exec| is_missing(self.context, exec));
                    if let Some(exec) = exec.filter(|_| !is_missing || ends.is_none()) {
                        observation.attributes.insert("exec".to_owned(), exec);
                    }
                    if is_missing {
                        ends.get_or_insert((file, ReportedState::BinaryMissing));
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
        match root.read_text(&file.path) {
            // An empty file masks a unit, as a link to /dev/null does.
            Ok(text) if text.is_empty() => Target::Masked,
            Ok(text) => Target::Text(text),
            // It was removed since the directory was listed.
            Err(error) if is_absent(&error) => Target::Ends(ReportedState::UnitMissing),
            Err(error) => {
                self.faults.push((file.path.clone(), error));
                Target::Unreadable
            }
        }
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

    /// The program of a unit with its drop-ins. `None` if it has none, or one with a specifier that only systemd can expand.
    fn executable(&mut self, name: &str, text: &str) -> Option<String> {
        let mut unit = Unit::default();
        unit.read(text);
        for file in self.below.iter().flat_map(|below| below.drop_ins_of(name)).chain(self.files.drop_ins_of(name)) {
            match self.context.root.read_text(file) {
                Ok(text) => unit.read(&text),
                Err(error) if is_absent(&error) => {}
                Err(error) => self.faults.push((file.to_owned(), error)),
            }
        }
        unit.exec
    }
}
