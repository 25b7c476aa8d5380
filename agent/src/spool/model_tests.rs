//! Tests the spool against a model: the process is killed at every byte of every write and at every removal, and the disk
//! is full at every byte. Everything promised before must still be there, complete, in order and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use muster_proto::model::{Losses, Timestamp};
use proptest::prelude::*;

use super::disk::{Disk, Real};
use super::{Bounds, Spool};
use crate::os::WriteContent;

const BOUNDS: Bounds = Bounds { bytes: 400, age: Duration::from_secs(7200) };

/// What happens after the last allowed step. A written byte is a step, and so are a rename and a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The process is killed: nothing is cleaned up and no operation works any more.
    Killed,
    /// The disk is full: an unfinished write is cleaned up, removals work, and writes fail until something was removed.
    Full,
}

#[derive(Debug)]
struct Failing {
    left: usize,
    end: End,
    dead: bool,
    used: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Failing {
    fn step(&mut self) -> bool {
        self.used.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let works = self.left > 0;
        self.left = self.left.saturating_sub(1);
        works
    }

    fn fail(&mut self) -> io::Error {
        match self.end {
            End::Killed => {
                self.dead = true;
                io::Error::other("killed")
            }
            End::Full => io::ErrorKind::StorageFull.into(),
        }
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("killed before")) } else { Ok(()) }
    }
}

impl Disk for Failing {
    fn replace(&mut self, path: &Path, content: WriteContent<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        content(&mut bytes)?;
        self.alive()?;
        let mut new = path.as_os_str().to_owned();
        new.push(".new-1");
        let written = bytes.iter().take_while(|_| self.step()).count();
        std::fs::write(&new, &bytes[..written])?;
        if written < bytes.len() || !self.step() {
            if self.end == End::Full {
                std::fs::remove_file(&new)?;
            }
            return Err(self.fail());
        }
        std::fs::rename(&new, path)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.alive()?;
        if self.end == End::Full {
            // Enough for any write in this test, so that a removal helps.
            self.left = self.left.max(600);
        } else if !self.step() {
            return Err(self.fail());
        }
        Real.remove(path)
    }

    fn sync_removals(&mut self, _dir: &Path) -> io::Result<()> {
        self.alive()
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Bytes, and seconds since the operation before.
    Put(usize, i64),
    /// Takes the oldest, and acknowledges it.
    Deliver,
    /// Takes the oldest, and the collector cannot have it.
    GiveUp,
    Reopen,
}

/// What the spool has promised to keep.
#[derive(Debug, Default)]
struct Promised {
    /// Entries whose `put` returned, by label, until they are acknowledged.
    stored: BTreeMap<String, Vec<u8>>,
    /// What the interrupted operation may have done: added an entry, or removed one.
    perhaps_put: Option<(String, Vec<u8>)>,
    perhaps_removed: Option<String>,
    newest: Option<String>,
    puts: usize,
}

fn payload(label: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from((label * 31 + at) % 251).expect("below 251")).collect()
}

/// Runs the operations until one fails. Returns the model, the steps used, and whether all operations succeeded.
fn live(dir: &Path, steps: &[Step], writes: usize, end: End) -> (Promised, usize, bool) {
    let used = std::sync::Arc::default();
    let disk = |left: usize| Box::new(Failing { left, end, dead: false, used: std::sync::Arc::clone(&used) });
    let taken = || used.load(std::sync::atomic::Ordering::Relaxed);
    let mut promised = Promised::default();
    let mut now = 0;
    let Ok(mut spool) = Spool::open_on(disk(writes), dir, BOUNDS) else { return (promised, taken(), false) };
    for step in steps {
        let done = match step {
            Step::Put(bytes, seconds) => {
                now += seconds * 1000;
                promised.puts += 1;
                let (label, bytes) = (format!("l{}", promised.puts), payload(promised.puts, *bytes));
                promised.perhaps_put = Some((label.clone(), bytes.clone()));
                let put = spool.put(&label, &bytes, Timestamp::from_millis(now));
                if put.is_ok() {
                    promised.perhaps_put = None;
                    promised.newest = Some(label.clone());
                    promised.stored.insert(label, bytes);
                } else if end == End::Full {
                    // There was nothing to remove, and the caller got the error.
                    promised.perhaps_put = None;
                }
                put.is_ok() || end == End::Full
            }
            Step::Deliver | Step::GiveUp => deliver(&mut spool, &mut promised, matches!(step, Step::GiveUp)),
            Step::Reopen => {
                drop(spool);
                let left = writes.saturating_sub(taken());
                match Spool::open_on(disk(left), dir, BOUNDS) {
                    Ok(opened) => spool = opened,
                    Err(_) => return (promised, taken(), false),
                }
                true
            }
        };
        if !done {
            return (promised, taken(), false);
        }
    }
    (promised, taken(), true)
}

fn deliver(spool: &mut Spool, promised: &mut Promised, give_up: bool) -> bool {
    let Ok(oldest) = spool.oldest() else { return false };
    let Some(entry) = oldest else { return true };
    assert_eq!(promised.stored.get(&entry.label), Some(&entry.payload), "{}", entry.label);
    if give_up {
        return spool.give_up(entry.number).is_ok();
    }
    promised.perhaps_removed = Some(entry.label.clone());
    let done = spool.acknowledged(entry.number).is_ok();
    if done {
        promised.perhaps_removed = None;
        promised.stored.remove(&entry.label);
        if promised.newest.as_deref() == Some(&entry.label) {
            promised.newest = None;
        }
    }
    done
}

/// Opens the spool as the next process would, and compares it with the model.
fn assert_kept(dir: &Path, promised: &Promised, cut: &str) {
    let mut spool = Spool::open(dir, BOUNDS).unwrap_or_else(|error| panic!("{cut}: {error}"));
    let losses = spool.losses();
    assert_eq!(losses.damaged, 0, "{cut}: a kill damages nothing");
    let mut found = BTreeSet::new();
    let mut last = 0;
    while let Some(entry) = spool.oldest().expect("readable") {
        assert!(entry.number > last, "{cut}: {} is out of order", entry.label);
        last = entry.number;
        let perhaps = promised.perhaps_put.as_ref().filter(|(label, _)| *label == entry.label);
        let expected = promised.stored.get(&entry.label).or(perhaps.map(|(_, bytes)| bytes));
        assert_eq!(expected, Some(&entry.payload), "{cut}: {}", entry.label);
        assert!(found.insert(entry.label), "{cut}: twice");
        spool.acknowledged(entry.number).expect("removed");
    }
    if let Some(newest) = &promised.newest {
        let superseded = promised.perhaps_put.as_ref().is_some_and(|(label, _)| found.contains(label));
        let removed = promised.perhaps_removed.as_ref() == Some(newest);
        assert!(found.contains(newest) || superseded || removed, "{cut}: the newest, {newest}, is lost");
    }
    let missing: Vec<_> = promised
        .stored
        .keys()
        .filter(|label| !found.contains(*label) && promised.perhaps_removed.as_ref() != Some(*label))
        .collect();
    let removed = promised.perhaps_removed.as_ref().is_some_and(|label| !found.contains(label));
    let most = missing.len() as u64 + u64::from(removed);
    assert!(
        (missing.len() as u64..=most).contains(&losses.total()),
        "{cut}: {losses:?} were counted, missing are {missing:?}"
    );
    let listed = std::fs::read_dir(dir).expect("listed").filter_map(Result::ok);
    let strays: Vec<_> = listed.filter(|file| file.file_name().to_string_lossy().contains(".new-")).collect();
    assert!(strays.is_empty(), "{cut}: {strays:?} are left over");
}

/// A sequence with everything that the spool does: thinning by size, hour and age; delivery; giving up; restarts.
fn long_life() -> Vec<Step> {
    use Step::{Deliver, GiveUp, Put, Reopen};
    vec![
        Put(40, 0),
        Put(50, 10),
        Reopen,
        Put(60, 10),
        Put(120, 10),
        Put(100, 3600),
        Deliver,
        Put(10, 60),
        GiveUp,
        Put(300, 5),
        Reopen,
        Put(20, 90_000),
        Put(30, 1),
        Deliver,
        Deliver,
        Deliver,
        Put(5, 1),
        Put(6, 1),
    ]
}

#[test]
fn a_spool_killed_at_any_step_keeps_its_promises() {
    let whole = tempfile::tempdir().expect("temporary directory");
    let (promised, steps, done) = live(whole.path(), &long_life(), usize::MAX, End::Killed);
    assert!(done && steps > 1000, "{steps} steps");
    assert_kept(whole.path(), &promised, "not cut");
    for cut in 0..steps {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (promised, _, done) = live(dir.path(), &long_life(), cut, End::Killed);
        assert!(!done, "cut at write {cut} of {steps}, and nobody noticed");
        assert_kept(dir.path(), &promised, &format!("cut at step {cut}"));
    }
}

#[test]
fn a_full_disk_loses_old_snapshots_for_new_ones_and_counts_them() {
    let steps = 2000;
    for cut in 0..steps {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (promised, _, done) = live(dir.path(), &long_life(), cut, End::Full);
        assert!(done, "full at step {cut}: the spool does not work any more");
        let mut spool = Spool::open(dir.path(), BOUNDS).expect("opened");
        let mut left = BTreeSet::new();
        while let Some(entry) = spool.oldest().expect("readable") {
            assert_eq!(promised.stored.get(&entry.label), Some(&entry.payload), "full at step {cut}");
            left.insert(entry.label);
            spool.acknowledged(entry.number).expect("removed");
        }
        assert!(promised.newest.is_none_or(|newest| left.contains(&newest)), "full at step {cut}");
        assert_eq!(spool.losses().damaged, 0);
    }
}

#[test]
fn a_failed_put_on_an_empty_spool_is_an_error_and_can_be_counted() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let disk = Failing { left: 10, end: End::Full, dead: false, used: std::sync::Arc::default() };
    let mut spool = Spool::open_on(Box::new(disk), dir.path(), BOUNDS).expect("opened");
    let error = spool.put("a", &[7; 50], Timestamp::from_millis(1)).expect_err("no space");
    assert!(error.to_string().contains("cannot access"), "{error}");
    assert_eq!(spool.losses(), Losses::default(), "the caller may still deliver the snapshot");
    spool.count_lost();
    assert_eq!(spool.losses(), Losses { coalesced: 0, dropped: 1, damaged: 0 });
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..200_usize, 0..9000_i64).prop_map(|(bytes, seconds)| Step::Put(bytes, seconds)),
        2 => Just(Step::Deliver),
        1 => Just(Step::GiveUp),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #[test]
    fn any_sequence_killed_anywhere_keeps_its_promises(steps in prop::collection::vec(step(), 1..30), share in 0.0..1.2_f64) {
        let whole = tempfile::tempdir().expect("temporary directory");
        let (_, writes, _) = live(whole.path(), &steps, usize::MAX, End::Killed);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of some thousand writes")]
        let cut = (writes as f64 * share) as usize;
        let dir = tempfile::tempdir().expect("temporary directory");
        let (promised, _, _) = live(dir.path(), &steps, cut, End::Killed);
        assert_kept(dir.path(), &promised, &format!("cut at write {cut} of {writes}"));
    }
}
