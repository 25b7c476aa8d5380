//! Paths of a Mac whose files were copied, or whose volumes are mounted, below a directory. macOS tells neither upper case from
//! lower case nor composed letters from decomposed ones, and shows two volumes as one tree; the system that scans the copy does
//! none of this. So each path is translated into the one that exists.
//!
//! `/System/Volumes/Data` is the other half of `/`: firmlinks show its `Applications`, `Library`, `Users` and `private` at the
//! top (firmlink(5) of macOS 10.15 and later). A copy can have either half, or both, so both are read, as one. `/var`, `/etc`
//! and `/tmp` are links to folders in `/private`, which a copy may lack or may have followed.

use std::cell::Cell;
use std::io;
use std::sync::OnceLock;

use super::listings::Listings;
use super::names::{Last, elsewhere};
use super::{FileKind, platform};
use crate::sources::is_absent;
use crate::sources::parse::macos::name::folded;

/// The number of links that are followed for one path, as on Linux.
const LINKS_FOLLOWED: usize = 40;
/// The number of names in one path. macOS allows paths of 1024 bytes.
const NAMES: usize = 512;
/// The volume with everything that is not the system's own.
const DATA: &str = "/System/Volumes/Data";
/// Links at the top that lead below `/private`.
const PRIVATE: &[&str] = &["var", "etc", "tmp"];

/// Translates the paths of one root.
#[derive(Debug)]
pub(super) struct MacNames {
    listings: Listings,
    /// Whether the root has a folder for the other half.
    has_data: OnceLock<bool>,
}

/// One search for a path: how many links may still be followed.
struct Search<'s> {
    names: &'s MacNames,
    place: &'s platform::Place,
    last: Last,
    links: Cell<usize>,
}

impl MacNames {
    pub(super) fn new() -> Self {
        Self { listings: Listings::new(folded), has_data: OnceLock::new() }
    }

    /// The path that exists, as the system that scans spells it. What is behind a link that leads nowhere is elsewhere and never
    /// absent: what belongs there may only not have been copied.
    pub(super) fn find(&self, place: &platform::Place, path: &str, last: Last) -> io::Result<String> {
        let search = Search { names: self, place, last, links: Cell::new(LINKS_FOLLOWED) };
        let asked = parts(path);
        if let Some(found) = search.exact(&asked) {
            return Ok(found);
        }
        match search.find(asked.clone()) {
            Err(error) if is_absent(&error) => match self.broken_top(place, &asked) {
                Some(link) if asked.len() == 2 && last != Last::Follow => Ok(link),
                Some(_) => Err(behind_link()),
                None if self.is_elsewhere(place, &asked) => Err(elsewhere()),
                None => Err(error),
            },
            found => found,
        }
    }

    /// The link at the top that the path leads through, if the folder to which it leads was not copied.
    fn broken_top(&self, place: &platform::Place, asked: &[String]) -> Option<String> {
        let (name, is_link) = self.at_top(place, asked)?;
        let search = Search { names: self, place, last: Last::Follow, links: Cell::new(LINKS_FOLLOWED) };
        let leads_nowhere = is_link && search.find(asked.get(..2)?.to_vec()).is_err();
        leads_nowhere.then(|| format!("/{name}"))
    }

    /// Whether the path is on a disk that was not copied: macOS mounts them in `/Volumes`.
    fn is_elsewhere(&self, place: &platform::Place, asked: &[String]) -> bool {
        let [first, _, ..] = asked else { return false };
        let search = Search { names: self, place, last: Last::Follow, links: Cell::new(LINKS_FOLLOWED) };
        folded(first) == "volumes" && asked.len() > 2 && search.find(asked[..2].to_vec()).is_err()
    }

    /// The entry at the top for a path below `/private` that macOS also shows there, and whether it is a link.
    fn at_top(&self, place: &platform::Place, asked: &[String]) -> Option<(String, bool)> {
        let [first, name, ..] = asked else { return None };
        let is_shown = folded(first) == "private" && PRIVATE.contains(&folded(name).as_str());
        let found = is_shown.then(|| self.listings.find(place, "/", name, |_| Ok(None)));
        found?.ok().flatten()
    }

    /// The folders that together are one folder of the Mac.
    pub(super) fn folders(&self, place: &platform::Place, path: &str) -> io::Result<Vec<String>> {
        // A link can lead to a folder that is in both halves.
        let asked = parts(&self.find(place, path, Last::Follow)?);
        let mut folders: Vec<String> = Vec::new();
        let mut absent = None;
        for half in self.halves(place, &asked) {
            let search = Search { names: self, place, last: Last::Follow, links: Cell::new(LINKS_FOLLOWED) };
            match search.half(&half, asked.clone()) {
                Ok(found) if !folders.contains(&found) => folders.push(found),
                Ok(_) => {}
                Err(error) if is_absent(&error) => drop(absent.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        match absent {
            Some(error) if folders.is_empty() => Err(error),
            _ => Ok(folders),
        }
    }

    /// Where a path may be.
    fn halves(&self, place: &platform::Place, asked: &[String]) -> Vec<Half> {
        let has_data = *self.has_data.get_or_init(|| place.file_at(DATA).is_ok_and(|file| file.is_some()));
        let mut halves = vec![Half { base: "", skipped: 0 }];
        if has_data {
            halves.push(Half { base: DATA, skipped: 0 });
        }
        // A copy that has followed the link has a folder at the top.
        if self.at_top(place, asked).is_some_and(|(_, is_link)| !is_link) {
            halves.push(Half { base: "", skipped: 1 });
        }
        halves
    }
}

/// One place at which a path may be: below a base, without the first of its names.
struct Half {
    base: &'static str,
    skipped: usize,
}

impl Search<'_> {
    /// The path in the spelling that was asked for, if it exists. Nearly all do, and this needs no listing.
    fn exact(&self, asked: &[String]) -> Option<String> {
        self.names.halves(self.place, asked).into_iter().find_map(|half| {
            let path = joined(half.base, asked.get(half.skipped..)?);
            let is_link = || self.place.read_link(&path).is_ok();
            let exists = match self.place.file_at(&path) {
                Ok(Some(file)) if file.kind == FileKind::BrokenLink => self.last == Last::Keep,
                Ok(Some(_)) => true,
                Ok(None) | Err(_) => self.last == Last::Keep && is_link(),
            };
            exists.then_some(path)
        })
    }

    /// The path in whichever half it is.
    fn find(&self, asked: Vec<String>) -> io::Result<String> {
        let mut failed: Option<io::Error> = None;
        for half in self.names.halves(self.place, &asked) {
            match self.half(&half, asked.clone()) {
                Ok(found) => return Ok(found),
                // What could not be read counts more than what is not there.
                Err(error) if failed.as_ref().is_none_or(is_absent) => failed = Some(error),
                Err(_) => {}
            }
        }
        Err(failed.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn half(&self, half: &Half, mut names: Vec<String>) -> io::Result<String> {
        names.drain(..half.skipped.min(names.len()));
        if names.len() > NAMES {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        names.reverse();
        let mut found: Vec<String> = Vec::new();
        while let Some(name) = names.pop() {
            let folder = joined(half.base, &found);
            let known = match self.names.listings.find(self.place, &folder, &name, |_| Ok(None)) {
                Ok(known) => known,
                Err(error) if is_absent(&error) => None,
                Err(error) => return Err(error),
            };
            let Some((name, is_link)) = known else { return Err(io::ErrorKind::NotFound.into()) };
            found.push(name);
            if !is_link || (names.is_empty() && self.last == Last::Keep) {
                continue;
            }
            let link = joined(half.base, &found);
            found.pop();
            return self.behind(&link, found, names);
        }
        Ok(joined(half.base, &found))
    }

    /// The path behind a link in this folder, with the names that are left, last first. If the link leads nowhere, what is behind
    /// it is unknown; if it leads to a folder without them, they are absent.
    fn behind(&self, link: &str, folder: Vec<String>, mut left: Vec<String>) -> io::Result<String> {
        let links = self.links.get().checked_sub(1).ok_or_else(behind_link)?;
        self.links.set(links);
        let target = self.place.read_link(link)?;
        let folder = if target.starts_with('/') { Vec::new() } else { folder };
        let target = joined_names(folder, target.split('/').map(str::to_owned));
        left.reverse();
        let is_end = left.is_empty();
        let error = match self.find(canonical(joined_names(target.clone(), left.into_iter()))) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let leads_nowhere = is_absent(&error) && (is_end || self.find(canonical(target)).is_err());
        match leads_nowhere || error.kind() == io::ErrorKind::CrossesDevices {
            true if is_end && self.last == Last::Show => Ok(link.to_owned()),
            true => Err(behind_link()),
            false => Err(error),
        }
    }
}

/// More names below a folder. The folder's own lead through no link.
fn joined_names(folder: Vec<String>, more: impl Iterator<Item = String>) -> Vec<String> {
    more.filter(|name| !matches!(name.as_str(), "" | ".")).fold(folder, |mut names, name| {
        if name == ".." {
            names.pop();
        } else {
            names.push(name);
        }
        names
    })
}

/// The names of a path of the Mac: without the base of the other half, and below `/private` where the links at the top lead.
fn parts(path: &str) -> Vec<String> {
    canonical(joined_names(Vec::new(), path.split('/').map(str::to_owned)))
}

fn canonical(mut names: Vec<String>) -> Vec<String> {
    let data: Vec<String> = DATA.split('/').skip(1).map(folded).collect();
    if names.len() > data.len() && names.iter().zip(&data).all(|(name, of_data)| folded(name) == *of_data) {
        names.drain(..data.len());
    }
    if names.first().is_some_and(|first| PRIVATE.contains(&folded(first).as_str())) {
        names.insert(0, "private".to_owned());
    }
    names
}

fn joined(base: &str, names: &[String]) -> String {
    if names.is_empty() && base.is_empty() {
        return "/".to_owned();
    }
    names.iter().fold(base.to_owned(), |path, name| format!("{path}/{name}"))
}

/// The path is behind a link that leads nowhere: to another volume, or to what was not copied. Nothing is known of it.
fn behind_link() -> io::Error {
    io::Error::new(io::ErrorKind::CrossesDevices, "it is behind a link that leads to another volume or nowhere")
}

#[cfg(all(test, unix))]
#[path = "mac_names_tests.rs"]
mod tests;
