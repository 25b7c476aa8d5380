//! `watch-paths`: which of the paths that the watchlist names exist. Reads no content.

use std::io;

use muster_proto::model::{Kind, Observation, SourceName};

use crate::sources::root::Stands;
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
        for path in &context.watchlist.paths {
            if let Err(error) = test(context, path, &mut observations) {
                failed.get_or_insert((path.clone(), error));
            }
        }
        match failed {
            None => SourceReading::complete(observations),
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

fn test(context: &ScanContext, path: &str, observations: &mut Vec<Observation>) -> io::Result<()> {
    let (parent, pattern) = path.rsplit_once('/').unwrap_or(("", path));
    if !has_wildcard(pattern) {
        observations.extend(context.root.stands(path)?.map(|stands| observation(context, path, stands)));
        return Ok(());
    }
    let entries = match context.root.list(if parent.is_empty() { "/" } else { parent }) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries.iter().filter(|entry| matches(pattern, &entry.name)) {
        let path = format!("{parent}/{}", entry.name);
        observations.extend(context.root.stands(&path)?.map(|stands| observation(context, &path, stands)));
    }
    Ok(())
}

fn observation(context: &ScanContext, path: &str, stands: Stands) -> Observation {
    let mut observation = Observation::new(Kind::Path, path);
    path.clone_into(&mut observation.path);
    observation.attributes.insert("type".to_owned(), stands.name().to_owned());
    let state = match stands {
        Stands::Directory if has_no_files(context, path, &mut { FOLDERS }) => NO_FILES,
        Stands::BrokenLink => stands.name(),
        Stands::File | Stands::Directory | Stands::Other => "",
    };
    state.clone_into(&mut observation.state);
    observation
}

/// The state of a folder that an uninstaller has emptied and left.
const NO_FILES: &str = "no-files";

/// So many folders are opened to find a file; who has more of them without one is not asked further.
const FOLDERS: u32 = 32;

/// Whether there is nothing but folders below. Where that cannot be seen there may be files.
fn has_no_files(context: &ScanContext, path: &str, folders: &mut u32) -> bool {
    let Some(left) = folders.checked_sub(1) else { return false };
    *folders = left;
    let Ok(entries) = context.root.list(path) else { return false };
    // Any file first: it needs no further folder.
    entries.iter().all(|entry| entry.is_directory)
        && entries.iter().all(|entry| has_no_files(context, &format!("{path}/{}", entry.name), folders))
}
