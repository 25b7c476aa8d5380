//! Paths of a Windows machine whose volume is mounted below a directory. The system that scans it tells upper case from lower
//! case, separates names with `/`, and knows neither letters of volumes nor short names. So each path is translated into the
//! one that exists, name by name; links and reparse points are followed within the root.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::listings::{Known, Listings};
use super::platform;
use crate::sources::is_absent;
use crate::sources::parse::windows::path::{self, PathError, ShortName, Volume, folded};

/// The number of links that are followed for one path, as on Linux.
const LINKS_FOLLOWED: usize = 40;

/// Translates the paths of one root.
#[derive(Debug)]
pub(super) struct Names {
    /// The letter of the volume.
    letter: AtomicU32,
    /// Where the root is mounted: some drivers of NTFS write it into the targets of links.
    mounted: Option<String>,
    listings: Listings,
}

/// What is done with the last name of a path if it is a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    /// It is followed, but a link that leads nowhere is found itself.
    Show,
    Keep,
}

impl Names {
    pub(super) fn new(given: &Path) -> Self {
        let mounted = std::fs::canonicalize(given).ok().and_then(|path| path.to_str().map(str::to_owned));
        Self { letter: AtomicU32::new(u32::from('C')), mounted, listings: Listings::new(folded) }
    }

    pub(super) fn letter(&self) -> char {
        char::from_u32(self.letter.load(Ordering::Relaxed)).unwrap_or('C')
    }

    pub(super) fn set_letter(&self, letter: char) {
        self.letter.store(u32::from(letter.to_ascii_uppercase()), Ordering::Relaxed);
    }

    /// The path that exists, as the system that scans spells it. What is behind a link that leads nowhere or to another volume
    /// is elsewhere, never absent: what belongs there may only not be mounted.
    pub(super) fn find(&self, place: &platform::Place, path: &str, last: Last) -> io::Result<String> {
        let asked = path::parse(path).map_err(refused)?;
        self.check_volume(asked.volume)?;
        match self.walk(place, asked.names, last) {
            // Whether it is on this volume is only known if it is there.
            Err(error) if asked.volume == Volume::Unnamed && is_absent(&error) => Err(elsewhere()),
            found => found,
        }
    }

    fn check_volume(&self, volume: Volume) -> io::Result<()> {
        match volume {
            Volume::Letter(letter) if letter != self.letter() => Err(elsewhere()),
            Volume::Letter(_) | Volume::OfWindows | Volume::Unnamed => Ok(()),
        }
    }

    fn walk(&self, place: &platform::Place, mut names: Vec<String>, last: Last) -> io::Result<String> {
        names.reverse();
        let mut found: Vec<String> = Vec::new();
        let mut links = 0;
        // The link at the end of the path, which is what is there if it leads nowhere.
        let mut end: Option<String> = None;
        // How many of the asked names are left behind the last link. If more are, the name is one of the link's target.
        let mut behind: Option<usize> = None;
        while let Some(name) = names.pop() {
            let is_of_target = behind.is_some_and(|behind| names.len() >= behind);
            if name == ".." {
                found.pop();
                continue;
            }
            let folder = format!("/{}", found.join("/"));
            let known = match self.known(place, &folder, &name) {
                Ok(known) => known,
                Err(error) if is_absent(&error) => None,
                Err(error) => return Err(error),
            };
            let Some((name, is_link)) = known else {
                return if is_of_target { end.ok_or_else(behind_link) } else { Err(io::ErrorKind::NotFound.into()) };
            };
            found.push(name);
            if !is_link || (names.is_empty() && last == Last::Keep) {
                continue;
            }
            let link = format!("/{}", found.join("/"));
            if names.is_empty() && last == Last::Show {
                end.get_or_insert_with(|| link.clone());
            }
            if !is_of_target {
                behind = Some(names.len());
            }
            links += 1;
            if links > LINKS_FOLLOWED {
                return end.ok_or_else(behind_link);
            }
            let (volume, target) = match path::parse_target(self.within(&place.read_link(&link)?)) {
                Ok(target) => target,
                Err(PathError::Remote) => return Err(behind_link()),
                // No path: a reparse point that the driver does not understand.
                Err(_) => return end.ok_or_else(behind_link),
            };
            found.pop();
            match volume {
                // The point at which another volume is mounted, most likely.
                Some(Volume::Unnamed) => return Err(behind_link()),
                Some(volume) => {
                    self.check_volume(volume)?;
                    found.clear();
                }
                None => {}
            }
            names.extend(target.into_iter().rev());
        }
        Ok(format!("/{}", found.join("/")))
    }

    /// The target of a link without the directory at which the volume is mounted.
    fn within<'t>(&self, target: &'t str) -> &'t str {
        let mounted = self.mounted.as_deref().filter(|mounted| mounted.len() > 1);
        let rest = mounted.and_then(|mounted| target.strip_prefix(mounted));
        rest.filter(|rest| rest.starts_with('/')).unwrap_or(target)
    }

    /// The stored spelling of a name in a folder, and whether it is a link.
    fn known(&self, place: &platform::Place, folder: &str, name: &str) -> io::Result<Option<(String, bool)>> {
        self.listings.find(place, folder, name, |listing| by_short_name(listing, folder, name))
    }
}

/// The file that has this short name. If several may have it, nobody can say whether the one that is meant exists.
fn by_short_name(listing: &[Known], folder: &str, name: &str) -> io::Result<Option<(String, bool)>> {
    let Some(short) = ShortName::parse(name) else { return Ok(None) };
    if let Some(usual) = short.usual_at_top().filter(|_| folder == "/") {
        let usual = folded(usual);
        let known = listing.iter().find(|known| known.folded == usual);
        return Ok(known.map(|known| (known.name.clone(), known.is_link)));
    }
    let mut bearers = listing.iter().filter(|known| short.may_be_of(&known.name));
    match (bearers.next(), bearers.next()) {
        (None, _) => Ok(None),
        (Some(known), None) => Ok(Some((known.name.clone(), known.is_link))),
        (Some(_), Some(_)) => {
            Err(io::Error::new(io::ErrorKind::InvalidFilename, "several files may have this short name"))
        }
    }
}

/// The path is on another volume or machine. Nothing is known of it, so it is not absent.
pub(super) fn elsewhere() -> io::Error {
    io::Error::new(io::ErrorKind::CrossesDevices, "it is on another volume, which is not scanned")
}

/// As [`elsewhere`], of a running Windows, which has no such volume now: its disk is detached, or its drive is not connected.
#[cfg(windows)]
pub(super) fn volume_gone() -> io::Error {
    io::Error::new(io::ErrorKind::CrossesDevices, "it is on another volume, which is not there")
}

/// The folder below which a machine is scanned has gone since it was opened.
#[cfg(windows)]
pub(super) fn root_gone() -> io::Error {
    io::Error::new(io::ErrorKind::CrossesDevices, "the root of the scan is not there any more")
}

/// The path is behind a link that leads to another volume or nowhere. Nothing is known of it either.
pub(super) fn behind_link() -> io::Error {
    io::Error::new(io::ErrorKind::CrossesDevices, "it is behind a link that leads to another volume or nowhere")
}

pub(super) fn refused(error: PathError) -> io::Error {
    let kind = match error {
        PathError::Stream | PathError::Relative => io::ErrorKind::InvalidInput,
        PathError::Remote => io::ErrorKind::CrossesDevices,
        PathError::Impossible => io::ErrorKind::NotFound,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
