//! `watch-paths`: which paths of the watchlist exist, and whether the folders among them contain a program.

use std::collections::BTreeSet;
use std::io;

use muster_proto::model::{Kind, Observation, ReportedState, SourceName};

use super::tree::{Content, Contents, Examiner, Head};
use crate::sources::root::{BrokenLink, FileAt, FileKind};
use crate::sources::watchlist::{has_wildcard, matches};
use crate::sources::{ScanContext, Source, SourceReading, error_reason, is_absent, is_denied};

pub(in crate::sources) struct WatchPaths;

impl Source for WatchPaths {
    fn name(&self) -> SourceName {
        SourceName::WatchPaths
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut observations = Vec::new();
        let mut failed: Option<(String, io::Error)> = None;
        let mut examiner = Examiner::new(&context.root, context.platform());
        // A list without paths, or one that an older agent filtered, has scanned nothing.
        if context.watchlist.paths.is_empty() {
            return SourceReading::failed("the watchlist has no paths for this platform");
        }
        for path in &context.watchlist.paths {
            if let Err(error) = test(context, &mut examiner, path, &mut observations) {
                failed.get_or_insert((path.clone(), error));
            }
        }
        match failed {
            None => match hidden(context, &observations) {
                Ok(None) => SourceReading::complete(observations),
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

fn test(
    context: &ScanContext,
    examiner: &mut Examiner<'_>,
    path: &str,
    observations: &mut Vec<Observation>,
) -> io::Result<()> {
    let (parent, pattern) = path.rsplit_once('/').unwrap_or(("", path));
    if !has_wildcard(pattern) {
        observations.extend(context.root.file_at(path)?.map(|file| observation(examiner, path, file)));
        return Ok(());
    }
    let entries = match context.root.list(if parent.is_empty() { "/" } else { parent }) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries.iter().filter(|entry| matches(pattern, &entry.name)) {
        let path = format!("{parent}/{}", entry.name);
        observations.extend(context.root.file_at(&path)?.map(|file| observation(examiner, &path, file)));
    }
    Ok(())
}

/// A broken link above a watched path: nothing is known of what is below it. A link that is itself watched was observed.
fn hidden(context: &ScanContext, observations: &[Observation]) -> Result<Option<BrokenLink>, (String, io::Error)> {
    let mut examined = BTreeSet::new();
    for path in &context.watchlist.paths {
        // The paths of one directory have the same parents.
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
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

fn observation(examiner: &mut Examiner<'_>, path: &str, file: FileAt) -> Observation {
    let mut observation = Observation::new(Kind::Path, path);
    path.clone_into(&mut observation.path);
    observation.attributes.insert("type".to_owned(), file.kind.name().to_owned());
    let state = match file.kind {
        FileKind::BrokenLink => Some(ReportedState::BrokenLink),
        // A link to /dev/null or a pipe in the place of a program keeps it from being installed.
        FileKind::Other => Some(ReportedState::NoProgram),
        FileKind::File => state_of_file(examiner, path, file.executable),
        FileKind::Directory => match examiner.folder(path, file.identity) {
            Contents::NoFiles => Some(ReportedState::NoFiles),
            Contents::NoProgram => Some(ReportedState::NoProgram),
            Contents::Unknown => Some(ReportedState::Unclear),
            Contents::Program => None,
        },
    };
    state.into_iter().for_each(|state| observation.set_state(state));
    observation
}

/// An empty file proves nothing, and neither does a text in the place of a program or its folder. Settings prove what they
/// configure.
fn state_of_file(examiner: &mut Examiner<'_>, path: &str, executable: bool) -> Option<ReportedState> {
    let is_settings = path.starts_with("/etc/") || path.starts_with("/var/");
    let has_ending = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    match examiner.file(path, executable)? {
        Head::Empty => Some(ReportedState::NoProgram),
        Head::Content(Content::Data) if !is_settings && !has_ending => Some(ReportedState::NoProgram),
        Head::Content(Content::Unclear) if !is_settings && !has_ending => Some(ReportedState::Unclear),
        Head::Content(_) => None,
    }
}
