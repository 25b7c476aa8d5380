//! Listings of folders that are kept during one scan, with the names as the system that is scanned compares them. A scan asks
//! for thousands of files in a few large folders, and one listing takes milliseconds.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::{ENTRIES, Entry, FileKind, NAME_BYTES, platform};
use crate::sources::is_absent;

/// How many names of listed folders are kept. At the limit the names take some 3 MiB.
const NAMES_KEPT: usize = 32_768;

/// The listings of one root.
#[derive(Debug)]
pub(super) struct Listings {
    /// Two names that are folded to one text are one name.
    folded: fn(&str) -> String,
    kept: Mutex<Kept>,
}

/// The listings that are kept, each sorted by folded name.
#[derive(Debug, Default)]
struct Kept {
    folders: BTreeMap<String, Arc<Vec<Known>>>,
    names: usize,
}

/// A name in a folder.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) folded: String,
    /// The name as it is stored.
    pub(super) name: String,
    pub(super) is_link: bool,
}

impl Listings {
    pub(super) fn new(folded: fn(&str) -> String) -> Self {
        Self { folded, kept: Mutex::default() }
    }

    /// The names in a folder.
    pub(super) fn get(&self, place: &platform::Place, folder: &str) -> io::Result<Arc<Vec<Known>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listing) = kept.folders.get(folder) {
            return Ok(Arc::clone(listing));
        }
        // Not under the lock: a folder that does not answer must not hold up the others.
        drop(kept);
        let entries = place.list(folder, ENTRIES, NAME_BYTES)?;
        let known = |Entry { name, is_link, .. }: Entry| Known { folded: (self.folded)(&name), name, is_link };
        let mut listing: Vec<Known> = entries.into_iter().map(known).collect();
        listing.sort_unstable_by(|a, b| (&a.folded, &a.name).cmp(&(&b.folded, &b.name)));
        let listing = Arc::new(listing);
        kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.names + listing.len() > NAMES_KEPT {
            *kept = Kept::default();
        }
        if listing.len() <= NAMES_KEPT {
            kept.names += listing.len();
            kept.folders.insert(folder.to_owned(), Arc::clone(&listing));
        }
        Ok(listing)
    }

    /// The stored spelling of a name in a folder, and whether it is a link; `None` if there is none. `otherwise` is asked for a
    /// name that the folder does not have.
    pub(super) fn find(
        &self,
        place: &platform::Place,
        folder: &str,
        name: &str,
        otherwise: impl FnOnce(&[Known]) -> io::Result<Option<(String, bool)>>,
    ) -> io::Result<Option<(String, bool)>> {
        let listing = match self.get(place, folder) {
            Ok(listing) => listing,
            Err(error) if is_absent(&error) => return Err(error),
            // A folder that cannot be listed may still be passed, by the exact name.
            Err(error) => {
                let path = if folder == "/" { format!("/{name}") } else { format!("{folder}/{name}") };
                return match place.file_at(&path) {
                    Ok(Some(file)) => {
                        let is_link = file.kind == FileKind::BrokenLink || place.read_link(&path).is_ok();
                        Ok(Some((name.to_owned(), is_link)))
                    }
                    Ok(None) | Err(_) => Err(error),
                };
            }
        };
        let wanted = (self.folded)(name);
        let start = listing.partition_point(|known| known.folded < wanted);
        let same = listing[start..].iter().take_while(|known| known.folded == wanted);
        // On a disk that tells upper from lower case there may be several; the exact one comes first.
        match same.min_by_key(|known| known.name != name) {
            Some(known) => Ok(Some((known.name.clone(), known.is_link))),
            None => otherwise(&listing),
        }
    }
}
