//! The queue of entries in one directory. The name of a file is its number, its time and its label, so that order, age
//! and content are known without reading.

use std::io;
use std::path::{Path, PathBuf};

use muster_proto::model::{Losses, Timestamp};

use super::bounds::{self, Bounds, Fate};
use super::disk::{Disk, Real, is_full};
use super::entry;
use super::losses::Note;
use crate::os;

const EXTENSION: &str = "snapshot";

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A file or directory cannot be read or written.
    #[error("cannot use {path} of the spool")]
    Access {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// One entry that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number: entries leave in this order.
    pub number: u64,
    /// What the writer called it.
    pub label: String,
    /// The bytes.
    pub payload: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    number: u64,
    at: Timestamp,
    label: String,
    bytes: u64,
    name: String,
}

/// The entries that wait, oldest first.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    bounds: Bounds,
    waiting: Vec<Waiting>,
    note: Note,
    next: u64,
    disk: Box<dyn Disk>,
}

impl Spool {
    /// Opens the spool in a directory, which is made when it is not there.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn open(dir: &Path, bounds: Bounds) -> Result<Self, SpoolError> {
        match os::make_private_dir(dir) {
            // Nothing waits, and nothing can: the directory is made with the first entry for which there is room.
            Err(error) if is_full(&error) => {
                tracing::error!(spool.dir = %dir.display(), "there is no room for the spool")
            }
            made => made.map_err(access(dir))?,
        }
        Self::open_on(Box::new(Real), dir, bounds)
    }

    pub(super) fn open_on(disk: Box<dyn Disk>, dir: &Path, bounds: Bounds) -> Result<Self, SpoolError> {
        let (mut spool, strays) = Self::survey(disk, dir, bounds)?;
        for stray in &strays {
            // Left by a process that was killed while it wrote or removed: never acknowledged by anybody and not whole,
            // or counted as lost already.
            spool.disk.remove(stray).map_err(access(stray))?;
        }
        if !strays.is_empty() {
            spool.disk.settle(dir).map_err(access(dir))?;
        }
        // No new entry may bear the name of one that is noted as leaving. The note stays as it is: a full disk could not
        // take a new one, and must keep nobody from starting.
        let leaving = spool.note.leaving.iter().filter_map(|name| Some(parse_name(name)?.0)).max();
        let waiting = spool.waiting.last().map(|last| last.number);
        spool.next = waiting.max(leaving).map_or(1, |last| last + 1);
        Ok(spool)
    }

    /// Reads what waits, and changes nothing: for showing.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn peek_into(dir: &Path, bounds: Bounds) -> Result<Self, SpoolError> {
        Ok(Self::survey(Box::new(Real), dir, bounds)?.0)
    }

    fn survey(disk: Box<dyn Disk>, dir: &Path, bounds: Bounds) -> Result<(Self, Vec<PathBuf>), SpoolError> {
        let note = Note::read(dir);
        let mut spool = Self { dir: dir.to_owned(), bounds, waiting: Vec::new(), note, next: 1, disk };
        let mut strays = Vec::new();
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((spool, strays)),
            Err(source) => return Err(access(dir)(source)),
        };
        for file in entries {
            let file = file.map_err(access(dir))?;
            let path = file.path();
            let name = file.file_name().to_string_lossy().into_owned();
            if name.contains(".new-") || spool.note.leaving.contains(&name) {
                strays.push(path);
            } else if let Some((number, at, label)) = parse_name(&name) {
                let bytes = file.metadata().map_err(access(&path))?.len();
                spool.waiting.push(Waiting { number, at, label, bytes, name });
            }
        }
        spool.waiting.sort();
        Ok((spool, strays))
    }

    /// Other bounds, from the next entry on.
    pub const fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Adds an entry; durable when it returns. Older ones make room for it, within the bounds and on a full disk. Returns
    /// what was lost by that.
    ///
    /// # Errors
    /// It cannot be written, also when only one other waits.
    pub fn put(&mut self, label: &str, payload: &[u8], now: Timestamp) -> Result<Losses, SpoolError> {
        let number = self.next;
        let name = format!("{number:016}-{}-{label}.{EXTENSION}", now.millis());
        let path = self.dir.join(&name);
        let bytes = entry::encode(payload);
        let mut lost = Losses::default();
        if self.waiting.is_empty() {
            os::make_private_dir(&self.dir).map_err(access(&self.dir))?;
        }
        loop {
            match self.disk.replace(&path, &bytes) {
                Ok(()) => break,
                // The last one stays: a scan that is kept is better than one that might have been.
                Err(error) if is_full(&error) && self.waiting.len() > 1 => {
                    lost.add(self.lose(&[(0, Fate::Dropped)])?);
                }
                Err(error) => return Err(access(&path)(error)),
            }
        }
        self.waiting.push(Waiting { number, at: now, label: label.to_owned(), bytes: bytes.len() as u64, name });
        self.next += 1;
        lost.add(self.keep_bounds(now)?);
        Ok(lost)
    }

    /// Counts an entry that could not be put at all, and that nobody has.
    pub fn count_lost(&mut self) {
        self.note.losses.add(Losses { dropped: 1, ..Losses::default() });
        // A full disk refuses this too; the count is written with the next one.
        let _ = self.save_note();
    }

    /// The oldest entry that is whole. Damaged ones are removed and counted.
    ///
    /// # Errors
    /// A file cannot be read or removed.
    pub fn oldest(&mut self) -> Result<Option<Entry>, SpoolError> {
        while let Some(first) = self.waiting.first() {
            let path = self.dir.join(&first.name);
            let read = match std::fs::read(&path) {
                Ok(bytes) => entry::decode(bytes).map_err(|error| error.to_string()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err("it has been removed".to_owned()),
                Err(error) => return Err(access(&path)(error)),
            };
            match read {
                Ok(payload) => return Ok(Some(Entry { number: first.number, label: first.label.clone(), payload })),
                Err(error) => {
                    tracing::error!(spool.file = %path.display(), error, "a spool entry is damaged and is dropped");
                    self.leave(&[0], Losses { damaged: 1, ..Losses::default() })?;
                }
            }
        }
        Ok(None)
    }

    /// Removes an entry that was acknowledged.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn acknowledged(&mut self, number: u64) -> Result<(), SpoolError> {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.number == number) else { return Ok(()) };
        self.remove(&[at])
    }

    /// Removes an entry that the collector cannot take, and counts it; the newest stays. Whether it was removed.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn give_up(&mut self, number: u64) -> Result<bool, SpoolError> {
        let at = self.waiting.iter().position(|waiting| waiting.number == number);
        let Some(at) = at.filter(|at| at + 1 < self.waiting.len()) else { return Ok(false) };
        self.lose(&[(at, Fate::Dropped)])?;
        Ok(true)
    }

    /// Removes an entry whose payload cannot be used, and counts it.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn unreadable(&mut self, number: u64) -> Result<(), SpoolError> {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.number == number) else { return Ok(()) };
        self.leave(&[at], Losses { damaged: 1, ..Losses::default() })
    }

    /// Removes what is too old or too much by now. Returns what was lost by that.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn keep_bounds(&mut self, now: Timestamp) -> Result<Losses, SpoolError> {
        let waiting: Vec<_> = self.waiting.iter().map(|waiting| (waiting.at, waiting.bytes)).collect();
        self.lose(&bounds::victims(&waiting, self.bounds, now))
    }

    /// The label of the newest entry.
    #[must_use]
    pub fn newest_label(&self) -> Option<&str> {
        self.waiting.last().map(|waiting| waiting.label.as_str())
    }

    /// When the oldest entry that waits was made.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.waiting.first().map(|waiting| waiting.at)
    }

    /// How many entries wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The bytes of all entries that wait.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.waiting.iter().map(|waiting| waiting.bytes).sum()
    }

    /// What was lost so far.
    #[must_use]
    pub const fn losses(&self) -> Losses {
        self.note.losses
    }

    fn lose(&mut self, victims: &[(usize, Fate)]) -> Result<Losses, SpoolError> {
        let count = |wanted| victims.iter().filter(|(_, fate)| *fate == wanted).count() as u64;
        let lost = Losses { coalesced: count(Fate::Coalesced), dropped: count(Fate::Dropped), damaged: 0 };
        let places: Vec<usize> = victims.iter().map(|(at, _)| *at).collect();
        self.leave(&places, lost)?;
        Ok(lost)
    }

    /// Counts the entries at these places, and removes them.
    fn leave(&mut self, places: &[usize], lost: Losses) -> Result<(), SpoolError> {
        if places.is_empty() {
            return Ok(());
        }
        self.note.losses.add(lost);
        self.note.leaving = places.iter().map(|at| self.waiting[*at].name.clone()).collect();
        match self.save_note() {
            Ok(()) => self.remove(places),
            // Removing makes the room that counting needs.
            Err(SpoolError::Access { source, .. }) if is_full(&source) => {
                self.remove(places)?;
                self.note.leaving.clear();
                let _ = self.save_note();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn remove(&mut self, places: &[usize]) -> Result<(), SpoolError> {
        for at in places.iter().rev() {
            let path = self.dir.join(&self.waiting[*at].name);
            self.disk.remove(&path).map_err(access(&path))?;
            self.waiting.remove(*at);
        }
        self.disk.settle(&self.dir).map_err(access(&self.dir))
    }

    fn save_note(&mut self) -> Result<(), SpoolError> {
        let path = Note::place(&self.dir);
        let bytes = serde_json::to_vec(&self.note).map_err(io::Error::from).map_err(access(&path))?;
        self.disk.replace(&path, &bytes).map_err(access(&path))
    }
}

fn access(path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::Access { path, source }
}

fn parse_name(name: &str) -> Option<(u64, Timestamp, String)> {
    let mut parts = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.splitn(3, '-');
    let (number, at, label) = (parts.next()?, parts.next()?, parts.next()?);
    Some((number.parse().ok()?, Timestamp::from_millis(at.parse().ok()?), label.to_owned()))
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
