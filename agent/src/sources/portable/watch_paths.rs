//! `watch-paths`: which of the paths that the watchlist names exist. Reads no content.

use std::io;

use muster_proto::model::{Kind, Observation, SourceName};

use crate::sources::root::Stands;
use crate::sources::watchlist::{has_wildcard, matches};
use crate::sources::{Scene, Sighting, Source, error_reason, is_absent, is_denied};

pub(in crate::sources) struct WatchPaths;

impl Source for WatchPaths {
    fn name(&self) -> SourceName {
        SourceName::WatchPaths
    }

    fn look(&self, scene: &Scene) -> Sighting {
        let mut observations = Vec::new();
        let mut failed: Option<(String, io::Error)> = None;
        for path in &scene.watchlist.paths {
            if let Err(error) = test(scene, path, &mut observations) {
                failed.get_or_insert((path.clone(), error));
            }
        }
        match failed {
            None => Sighting::complete(observations),
            Some((path, error)) if observations.is_empty() && is_denied(&error) => Sighting::of_error(&path, &error),
            Some((path, error)) => Sighting::partial(observations, error_reason(&path, &error)),
        }
    }

    fn uses_watchlist(&self) -> bool {
        true
    }
}

fn test(scene: &Scene, path: &str, observations: &mut Vec<Observation>) -> io::Result<()> {
    let (parent, pattern) = path.rsplit_once('/').unwrap_or(("", path));
    if !has_wildcard(pattern) {
        observations.extend(scene.root.stands(path)?.map(|stands| observation(path, stands)));
        return Ok(());
    }
    let entries = match scene.root.list(if parent.is_empty() { "/" } else { parent }) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries.iter().filter(|entry| matches(pattern, &entry.name)) {
        let path = format!("{parent}/{}", entry.name);
        observations.extend(scene.root.stands(&path)?.map(|stands| observation(&path, stands)));
    }
    Ok(())
}

fn observation(path: &str, stands: Stands) -> Observation {
    let mut observation = Observation::new(Kind::Path, path);
    path.clone_into(&mut observation.path);
    observation.attributes.insert("type".to_owned(), stands.name().to_owned());
    observation
}
