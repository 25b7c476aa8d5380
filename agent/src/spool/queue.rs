//! The queue of entries in a directory. A file name contains number, time and label, so order, age and identity are known
//! without reading the file.

use std::io;
use std::path::{Path, PathBuf};

use muster_proto::model::{Losses, Timestamp};

use super::bounds::{self, Bounds, Loss};
use super::disk::{Disk, Real, is_full};
use super::entry;
use super::losses::LossRecord;
use crate::memory::file;
use crate::os::{self, WriteContent};

const EXTENSION: &str = "snapshot";

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A file or directory cannot be read or written.
    #[error("cannot access {path} in the spool")]
    Access {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// An entry of the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The number; entries are delivered in this order.
    pub number: u64,
    /// The label given by the writer.
    pub label: String,
    /// The payload.
    pub payload: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct QueuedEntry {
    number: u64,
    at: Timestamp,
    label: String,
    bytes: u64,
    name: String,
}

/// The spooled entries, oldest first.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    bounds: Bounds,
    entries: Vec<QueuedEntry>,
    record: LossRecord,
    next: u64,
    disk: Box<dyn Disk>,
}

impl Spool {
    /// Opens the spool in a directory, which is created if it does not exist.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn open(dir: &Path, bounds: Bounds) -> Result<Self, SpoolError> {
        match os::make_private_dir(dir) {
            // The disk is full. The directory is created with the first entry that fits.
            Err(error) if is_full(&error) => {
                tracing::error!(spool.dir = %dir.display(), "the disk is full; cannot create the spool directory")
            }
            made => made.map_err(access(dir))?,
        }
        Self::open_on(Box::new(Real), dir, bounds)
    }

    pub(super) fn open_on(disk: Box<dyn Disk>, dir: &Path, bounds: Bounds) -> Result<Self, SpoolError> {
        let (mut spool, strays) = Self::load(disk, dir, bounds)?;
        for stray in &strays {
            // Left by a process that was killed while it wrote or removed the file: either incomplete and never
            // acknowledged, or already counted as lost.
            spool.disk.remove(stray).map_err(access(stray))?;
        }
        if !strays.is_empty() {
            spool.disk.sync_removals(dir).map_err(access(dir))?;
        }
        // A new entry must not get the name of one that is recorded for removal. The record itself is not rewritten here:
        // on a full disk that would fail and keep the agent from starting.
        let removing = spool.record.removing.iter().filter_map(|name| Some(parse_name(name)?.0)).max();
        let newest = spool.entries.last().map(|last| last.number);
        spool.next = newest.max(removing).map_or(1, |last| last + 1);
        Ok(spool)
    }

    /// Opens the spool for display, without changing anything.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn open_read_only(dir: &Path, bounds: Bounds) -> Result<Self, SpoolError> {
        Ok(Self::load(Box::new(Real), dir, bounds)?.0)
    }

    fn load(disk: Box<dyn Disk>, dir: &Path, bounds: Bounds) -> Result<(Self, Vec<PathBuf>), SpoolError> {
        let record = LossRecord::read(dir);
        let mut spool = Self { dir: dir.to_owned(), bounds, entries: Vec::new(), record, next: 1, disk };
        let mut strays = Vec::new();
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            // The directory is created with the first entry.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((spool, strays)),
            Err(source) => return Err(access(dir)(source)),
        };
        for file in entries {
            let file = file.map_err(access(dir))?;
            let path = file.path();
            let name = file.file_name().to_string_lossy().into_owned();
            // `os::write_private` writes under such a name before it renames the file.
            if name.contains(".new-") || spool.record.removing.contains(&name) {
                strays.push(path);
            } else if let Some((number, at, label)) = parse_name(&name) {
                let bytes = file.metadata().map_err(access(&path))?.len();
                spool.entries.push(QueuedEntry { number, at, label, bytes, name });
            }
        }
        spool.entries.sort();
        Ok((spool, strays))
    }

    /// Changes the bounds, from the next entry on.
    pub const fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Adds an entry; it is durable when this returns. Older ones are removed to stay within the bounds, and on a full disk.
    /// Returns what was lost by that.
    ///
    /// # Errors
    /// It cannot be written, even with only one other entry left.
    pub fn put(&mut self, label: &str, payload: &[u8], now: Timestamp) -> Result<Losses, SpoolError> {
        self.put_with(label, &|out| out.write_all(payload), now)
    }

    /// As [`Self::put`], with a payload that is written piece by piece.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn put_with(&mut self, label: &str, payload: WriteContent<'_>, now: Timestamp) -> Result<Losses, SpoolError> {
        let number = self.next;
        let name = format!("{number:016}-{}-{label}.{EXTENSION}", now.millis());
        let path = self.dir.join(&name);
        let (header, bytes) = entry::header(payload).map_err(access(&path))?;
        let content = |out: &mut dyn io::Write| {
            out.write_all(&header)?;
            payload(out)
        };
        let mut lost = Losses::default();
        if self.entries.is_empty() {
            os::make_private_dir(&self.dir).map_err(access(&self.dir))?;
        }
        loop {
            match self.disk.replace(&path, &content) {
                Ok(()) => break,
                // Keep the last one: a stored snapshot is better than one that might not fit.
                Err(error) if is_full(&error) && self.entries.len() > 1 => {
                    lost.add(self.remove_counted(&[(0, Loss::Dropped)])?);
                }
                Err(error) => return Err(access(&path)(error)),
            }
        }
        // The bounds apply only after the new entry is durable, so older ones are not removed for one that is never
        // written.
        self.entries.push(QueuedEntry { number, at: now, label: label.to_owned(), bytes, name });
        self.next += 1;
        lost.add(self.enforce_bounds(now)?);
        Ok(lost)
    }

    /// Counts a snapshot that could be neither spooled nor delivered.
    pub fn count_lost(&mut self) {
        self.record.losses.add(Losses { dropped: 1, ..Losses::default() });
        // This fails too on a full disk; the count is then written with the next change.
        let _ = self.save_record();
    }

    /// The number of the oldest entry; `None` when the spool is empty.
    #[must_use]
    pub fn oldest_number(&self) -> Option<u64> {
        self.entries.first().map(|entry| entry.number)
    }

    /// The number of the newest entry; `None` when the spool is empty.
    #[must_use]
    pub fn newest_number(&self) -> Option<u64> {
        self.entries.last().map(|entry| entry.number)
    }

    /// Reads an entry. `None` when there is none of this number, or it is damaged; a damaged one is removed and counted.
    ///
    /// # Errors
    /// The file cannot be read or removed.
    pub fn read(&mut self, number: u64) -> Result<Option<Entry>, SpoolError> {
        let Some(at) = self.position(number) else { return Ok(None) };
        let path = self.dir.join(&self.entries[at].name);
        let read = match file::read(&path, file::SPOOL_ENTRY) {
            Ok(bytes) => entry::decode(bytes).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err("the file was removed".to_owned()),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(error.to_string()),
            // The disk may recover, so a file that cannot be read is neither removed nor counted.
            Err(error) => return Err(access(&path)(error)),
        };
        match read {
            Ok(payload) => Ok(Some(Entry { number, label: self.entries[at].label.clone(), payload })),
            Err(error) => {
                tracing::error!(spool.file = %path.display(), error, "a spool entry is damaged and is dropped");
                self.count_and_remove(&[at], Losses { damaged: 1, ..Losses::default() })?;
                Ok(None)
            }
        }
    }

    /// Reads the oldest entry that is not damaged. Damaged ones before it are removed and counted.
    ///
    /// # Errors
    /// A file cannot be read or removed.
    pub fn oldest(&mut self) -> Result<Option<Entry>, SpoolError> {
        while let Some(number) = self.oldest_number() {
            if let Some(entry) = self.read(number)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.entries.iter().position(|entry| entry.number == number)
    }

    /// Removes an entry that was acknowledged.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn acknowledged(&mut self, number: u64) -> Result<(), SpoolError> {
        let Some(at) = self.position(number) else { return Ok(()) };
        self.remove(&[at])
    }

    /// Removes and counts an entry that the collector rejects, unless it is the newest. Returns whether it was removed.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn give_up(&mut self, number: u64) -> Result<bool, SpoolError> {
        let at = self.position(number);
        // The newest entry is the current state of the machine, and nothing later would represent it.
        let Some(at) = at.filter(|at| at + 1 < self.entries.len()) else { return Ok(false) };
        self.remove_counted(&[(at, Loss::Dropped)])?;
        Ok(true)
    }

    /// Removes an entry whose payload cannot be decoded, and counts it as damaged.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn discard_damaged(&mut self, number: u64) -> Result<(), SpoolError> {
        let Some(at) = self.position(number) else { return Ok(()) };
        self.count_and_remove(&[at], Losses { damaged: 1, ..Losses::default() })
    }

    /// Removes what exceeds the bounds by now. Returns what was lost by that.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn enforce_bounds(&mut self, now: Timestamp) -> Result<Losses, SpoolError> {
        let entries: Vec<_> = self.entries.iter().map(|entries| (entries.at, entries.bytes)).collect();
        self.remove_counted(&bounds::entries_to_remove(&entries, self.bounds, now))
    }

    /// The label of the newest entry.
    #[must_use]
    pub fn newest_label(&self) -> Option<&str> {
        self.entries.last().map(|entries| entries.label.as_str())
    }

    /// The time of the oldest entry.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.entries.first().map(|entries| entries.at)
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all entries.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entries| entries.bytes).sum()
    }

    /// The losses so far.
    #[must_use]
    pub const fn losses(&self) -> Losses {
        self.record.losses
    }

    fn remove_counted(&mut self, entries_to_remove: &[(usize, Loss)]) -> Result<Losses, SpoolError> {
        let count = |wanted| entries_to_remove.iter().filter(|(_, loss)| *loss == wanted).count() as u64;
        let lost = Losses { coalesced: count(Loss::Coalesced), dropped: count(Loss::Dropped), damaged: 0 };
        let places: Vec<usize> = entries_to_remove.iter().map(|(at, _)| *at).collect();
        self.count_and_remove(&places, lost)?;
        Ok(lost)
    }

    /// Counts the entries at these positions as lost, then removes them.
    fn count_and_remove(&mut self, places: &[usize], lost: Losses) -> Result<(), SpoolError> {
        if places.is_empty() {
            return Ok(());
        }
        // First the record, then the removal: after a kill in between nothing is lost uncounted or counted twice.
        self.record.losses.add(lost);
        self.record.removing = places.iter().map(|at| self.entries[*at].name.clone()).collect();
        match self.save_record() {
            Ok(()) => self.remove(places),
            // On a full disk the removal frees the space for the record.
            Err(SpoolError::Access { source, .. }) if is_full(&source) => {
                self.remove(places)?;
                self.record.removing.clear();
                // If this fails, the count stays in memory and is written with the next change.
                let _ = self.save_record();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn remove(&mut self, places: &[usize]) -> Result<(), SpoolError> {
        // From the back, so that the other positions stay valid.
        for at in places.iter().rev() {
            let path = self.dir.join(&self.entries[*at].name);
            self.disk.remove(&path).map_err(access(&path))?;
            self.entries.remove(*at);
        }
        self.disk.sync_removals(&self.dir).map_err(access(&self.dir))
    }

    fn save_record(&mut self) -> Result<(), SpoolError> {
        let path = LossRecord::path(&self.dir);
        let bytes = serde_json::to_vec(&self.record).map_err(io::Error::from).map_err(access(&path))?;
        self.disk.replace(&path, &|out| out.write_all(&bytes)).map_err(access(&path))
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
