//! The queue of entries in one directory. The name of a file is its number, its time and its label, so that order, age
//! and content are known without reading.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_proto::model::Timestamp;

use super::entry::{self, EntryError};
use crate::os;

const EXTENSION: &str = "look";

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

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all entries.
    pub bytes: u64,
    /// Age of an entry.
    pub age: Duration,
}

/// What was lost, since the spool was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Losses {
    /// Entries dropped for their age, for lack of room, or because the collector cannot take them.
    pub dropped: u64,
    /// Entries that the disk did not give back as they were written.
    pub damaged: u64,
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
    path: PathBuf,
}

/// The entries that wait, oldest first.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    bounds: Bounds,
    waiting: Vec<Waiting>,
    losses: Losses,
    next: u64,
}

impl Spool {
    /// Opens the spool in a directory, which is made when it is not there.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn open(dir: &Path, bounds: Bounds) -> Result<Self, SpoolError> {
        os::make_private_dir(dir).map_err(access(dir))?;
        let (mut spool, strays) = Self::survey(dir, bounds)?;
        for stray in strays {
            // Left by a process that was killed while it wrote: never acknowledged by anybody, never whole.
            std::fs::remove_file(&stray).map_err(access(&stray))?;
        }
        spool.next = spool.waiting.last().map_or(1, |last| last.number + 1);
        Ok(spool)
    }

    /// Reads what waits, and changes nothing: for showing.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn peek_into(dir: &Path, bounds: Bounds) -> Result<Self, SpoolError> {
        Ok(Self::survey(dir, bounds)?.0)
    }

    fn survey(dir: &Path, bounds: Bounds) -> Result<(Self, Vec<PathBuf>), SpoolError> {
        let mut spool = Self { dir: dir.to_owned(), bounds, waiting: Vec::new(), losses: Losses::default(), next: 1 };
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
            if let Some((number, at, label)) = parse_name(&name) {
                let bytes = file.metadata().map_err(access(&path))?.len();
                spool.waiting.push(Waiting { number, at, label, bytes, path });
            } else if name.contains(".new-") {
                strays.push(path);
            }
        }
        spool.waiting.sort();
        // A count that is lost or damaged begins anew: it never keeps entries from leaving.
        let losses = std::fs::read(spool.losses_file()).unwrap_or_default();
        spool.losses = serde_json::from_slice(&losses).unwrap_or_default();
        Ok((spool, strays))
    }

    /// Adds an entry; durable when it returns. Older ones make room for it. Returns how many were dropped.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&mut self, label: &str, payload: &[u8], now: Timestamp) -> Result<u64, SpoolError> {
        let number = self.next;
        let path = self.dir.join(format!("{number:016}-{}-{label}.{EXTENSION}", now.millis()));
        let bytes = entry::encode(payload);
        os::write_private(&path, &bytes).map_err(access(&path))?;
        let bytes = bytes.len() as u64;
        self.waiting.push(Waiting { number, at: now, label: label.to_owned(), bytes, path });
        self.next += 1;
        self.keep_bounds(now)
    }

    /// The oldest entry that is whole. Damaged ones are removed and counted.
    ///
    /// # Errors
    /// A file cannot be read or removed.
    pub fn oldest(&mut self) -> Result<Option<Entry>, SpoolError> {
        while let Some(first) = self.waiting.first() {
            let bytes = std::fs::read(&first.path).map_err(access(&first.path))?;
            match entry::decode(bytes) {
                Ok(payload) => return Ok(Some(Entry { number: first.number, label: first.label.clone(), payload })),
                Err(error) => self.discard_damaged(error)?,
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
        self.remove(at)
    }

    /// Removes an entry that the collector cannot take, and counts it; the newest stays. Whether it was removed.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn give_up(&mut self, number: u64) -> Result<bool, SpoolError> {
        let at = self.waiting.iter().position(|waiting| waiting.number == number);
        let Some(at) = at.filter(|at| at + 1 < self.waiting.len()) else { return Ok(false) };
        self.remove(at)?;
        self.losses.dropped += 1;
        self.save_losses()?;
        Ok(true)
    }

    /// The label of the newest entry.
    #[must_use]
    pub fn newest_label(&self) -> Option<&str> {
        self.waiting.last().map(|waiting| waiting.label.as_str())
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
        self.losses
    }

    fn keep_bounds(&mut self, now: Timestamp) -> Result<u64, SpoolError> {
        let mut dropped = 0;
        while self.waiting.len() > 1 {
            let too_old = self.waiting[0].at.plus(self.bounds.age) < now;
            if !too_old && self.bytes() <= self.bounds.bytes {
                break;
            }
            self.remove(0)?;
            dropped += 1;
        }
        if dropped > 0 {
            self.losses.dropped += dropped;
            self.save_losses()?;
        }
        Ok(dropped)
    }

    fn discard_damaged(&mut self, error: EntryError) -> Result<(), SpoolError> {
        tracing::error!(spool.file = %self.waiting[0].path.display(), error = %error, "a spool entry is damaged and is dropped");
        self.remove(0)?;
        self.losses.damaged += 1;
        self.save_losses()
    }

    fn remove(&mut self, at: usize) -> Result<(), SpoolError> {
        let path = self.waiting.remove(at).path;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(access(&path)(error)),
            Ok(()) | Err(_) => {}
        }
        os::sync_dir(&self.dir).map_err(access(&self.dir))
    }

    fn losses_file(&self) -> PathBuf {
        self.dir.join("losses.json")
    }

    fn save_losses(&self) -> Result<(), SpoolError> {
        let path = self.losses_file();
        let bytes = serde_json::to_vec(&self.losses).map_err(io::Error::from).map_err(access(&path))?;
        os::write_private(&path, &bytes).map_err(access(&path))
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
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 1 << 20, age: Duration::from_secs(100) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn drain(spool: &mut Spool) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(entry) = spool.oldest().expect("readable") {
            seen.push(String::from_utf8(entry.payload).expect("text"));
            spool.acknowledged(entry.number).expect("removed");
        }
        seen
    }

    #[test]
    fn entries_leave_in_order_and_survive_the_process() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut spool = Spool::open(dir.path(), BOUNDS).expect("opened");
        for text in ["one", "two", "three"] {
            spool.put("x", text.as_bytes(), at(1)).expect("kept");
        }
        assert_eq!(spool.oldest().expect("readable").expect("there").payload, b"one");
        spool.acknowledged(1).expect("removed");
        drop(spool);
        let mut spool = Spool::open(dir.path(), BOUNDS).expect("opened again");
        spool.put("x", b"four", at(2)).expect("kept");
        assert_eq!(drain(&mut spool), ["two", "three", "four"]);
        assert!(Spool::open(dir.path(), BOUNDS).expect("opened").is_empty());
    }

    #[test]
    fn a_file_cut_at_any_byte_is_dropped_and_counted_and_the_others_leave() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut spool = Spool::open(dir.path(), BOUNDS).expect("opened");
        spool.put("x", b"one", at(1)).expect("kept");
        let path = spool.waiting[0].path.clone();
        let whole = std::fs::read(&path).expect("read");
        spool.put("x", b"two", at(1)).expect("kept");
        drop(spool);
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("cut");
            let mut spool = Spool::open(dir.path(), BOUNDS).expect("opened");
            assert_eq!(spool.oldest().expect("readable").expect("there").payload, b"two", "cut at {cut}");
            assert_eq!(spool.losses().damaged, cut as u64 + 1);
        }
    }

    #[test]
    fn what_a_killed_writer_left_is_no_entry() {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::write(dir.path().join("0000000000000001-1-x.look.new-77"), "half").expect("written");
        let mut spool = Spool::open(dir.path(), BOUNDS).expect("opened");
        assert_eq!(drain(&mut spool), Vec::<String>::new());
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0);
    }

    #[test]
    fn bounds_drop_the_oldest_but_never_the_newest() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let small = Bounds { bytes: 150, age: Duration::from_secs(100) };
        let mut spool = Spool::open(dir.path(), small).expect("opened");
        assert_eq!(spool.put("a", &[b'a'; 60], at(1)).expect("kept"), 0);
        assert_eq!(spool.put("b", &[b'b'; 60], at(2)).expect("kept"), 1);
        assert_eq!(spool.put("c", &[b'c'; 600], at(3)).expect("kept"), 1);
        assert_eq!((spool.len(), spool.newest_label()), (1, Some("c")));
        assert_eq!(spool.put("d", b"d", at(500)).expect("kept"), 1);
        assert_eq!(Spool::open(dir.path(), small).expect("opened").losses(), Losses { dropped: 3, damaged: 0 });
    }

    #[test]
    fn what_the_collector_cannot_take_is_given_up_unless_it_is_the_newest() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut spool = Spool::open(dir.path(), BOUNDS).expect("opened");
        spool.put("a", b"a", at(1)).expect("kept");
        assert!(!spool.give_up(1).expect("asked"));
        spool.put("b", b"b", at(1)).expect("kept");
        assert!(spool.give_up(1).expect("asked"));
        assert_eq!(drain(&mut spool), ["b"]);
        assert_eq!(spool.losses().dropped, 1);
    }
}
