//! The turn: of the sources that need much memory, one reads at a time.
//!
//! A source reads beside the others until it has read [`UNSHARED_BYTES`]. Then it waits for the turn, which it has until its
//! section is encoded. The time of waiting is not counted as its own. A source that hangs while it has the turn loses it after
//! its time limit, so that the others are read; its next access fails.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{UNSHARED_BYTES, UNSHARED_ENTRIES};
use crate::deadline;

/// The turn of one scan.
#[derive(Debug, Clone)]
pub struct Turn(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// How long a source may have the turn.
    limit: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the source that has the turn, and since when.
    holder: Option<(u64, Instant)>,
    next: u64,
}

/// A source that reads on this thread. It gives the turn back when it is dropped.
#[derive(Debug)]
pub struct Reading(());

#[derive(Debug)]
struct Reader {
    turn: Turn,
    number: u64,
    read: usize,
    has_turn: bool,
}

thread_local! {
    /// The source of this thread. Other threads read little, and have none.
    static READER: RefCell<Option<Reader>> = const { RefCell::new(None) };
}

impl Turn {
    /// Nobody has it. A source loses it after this time.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), limit }))
    }

    /// What this thread reads from now on is counted.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let mut state = self.lock();
        state.next += 1;
        let reader = Reader { turn: self.clone(), number: state.next, read: 0, has_turn: false };
        READER.set(Some(reader));
        Reading(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, number: u64) {
        let mut state = self.lock();
        loop {
            let rest = state.holder.map_or(Duration::ZERO, |(_, since)| self.0.limit.saturating_sub(since.elapsed()));
            if rest.is_zero() {
                state.holder = Some((number, Instant::now()));
                return;
            }
            let waited = self.0.changed.wait_timeout(state, rest);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn is_held_by(&self, number: u64) -> bool {
        self.lock().holder.is_some_and(|(holder, _)| holder == number)
    }

    fn give_back(&self, number: u64) {
        let mut state = self.lock();
        if state.holder.is_some_and(|(holder, _)| holder == number) {
            state.holder = None;
            self.0.changed.notify_all();
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let reader = READER.take();
        if let Some(reader) = reader.filter(|reader| reader.has_turn) {
            // Before the next source begins.
            crate::os::memory::give_back();
            reader.turn.give_back(reader.number);
        }
    }
}

impl Reader {
    fn take(&mut self) {
        if !self.has_turn {
            deadline::paused(|| self.turn.take(self.number));
            self.has_turn = true;
        }
    }
}

/// Counts what this thread is about to read. Waits for the turn if that is more than it may read without.
///
/// # Errors
/// `TimedOut` if the source has lost its turn.
pub fn count(bytes: usize) -> io::Result<()> {
    READER.with_borrow_mut(|reader| {
        let Some(reader) = reader else { return Ok(()) };
        reader.read = reader.read.saturating_add(bytes);
        if reader.has_turn && !reader.turn.is_held_by(reader.number) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if reader.read > UNSHARED_BYTES {
            reader.take();
        }
        Ok(())
    })
}

/// Waits for the turn, whatever this thread has read.
///
/// # Errors
/// As [`count`].
pub fn take() -> io::Result<()> {
    READER.with_borrow_mut(|reader| reader.iter_mut().for_each(Reader::take));
    count(0)
}

/// Lists a folder of at most `most` entries: first few of them, and all with the turn.
///
/// # Errors
/// As `list`; `FileTooLarge` means that there are more than it was asked for.
pub fn list<T>(most: usize, mut list: impl FnMut(usize) -> io::Result<T>) -> io::Result<T> {
    let must_wait = READER.with_borrow(|reader| reader.as_ref().is_some_and(|reader| !reader.has_turn));
    if !must_wait || most <= UNSHARED_ENTRIES {
        return list(most);
    }
    match list(UNSHARED_ENTRIES) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            READER.with_borrow_mut(|reader| reader.iter_mut().for_each(Reader::take));
            list(most)
        }
        listed => listed,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn small_sources_read_at_the_same_time_and_large_ones_one_after_another() {
        let turn = Turn::new(LONG);
        let first = turn.reading();
        count(UNSHARED_BYTES + 1).expect("it has the turn");
        let (send, order) = mpsc::channel();
        let other = turn.clone();
        let small_send = send.clone();
        let small = std::thread::spawn(move || {
            let _reading = other.reading();
            count(UNSHARED_BYTES).expect("it needs no turn");
            small_send.send("small").expect("received");
        });
        small.join().expect("no panic");
        let other = turn.clone();
        let large_send = send.clone();
        let large = std::thread::spawn(move || {
            let _reading = other.reading();
            count(UNSHARED_BYTES + 1).expect("it has the turn");
            large_send.send("large").expect("received");
        });
        std::thread::sleep(Duration::from_millis(50));
        send.send("first").expect("received");
        drop(first);
        large.join().expect("no panic");
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["small", "first", "large"]);
    }

    #[test]
    fn a_source_that_hangs_loses_the_turn() {
        let turn = Turn::new(Duration::from_millis(50));
        let _hangs = turn.reading();
        count(UNSHARED_BYTES + 1).expect("it has the turn");
        let other = turn.clone();
        let second = std::thread::spawn(move || {
            let _reading = other.reading();
            count(UNSHARED_BYTES + 1).map_err(|error| error.kind())
        });
        assert_eq!(second.join().expect("no panic"), Ok(()));
        assert_eq!(count(1).map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
    }

    #[test]
    fn a_large_folder_is_listed_with_the_turn() {
        let turn = Turn::new(LONG);
        let _reading = turn.reading();
        let folder = |entries: usize| {
            move |most| if entries > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(entries) }
        };
        let has_turn = || turn.lock().holder.is_some();
        assert_eq!(list(65_536, folder(UNSHARED_ENTRIES)).expect("listed"), UNSHARED_ENTRIES);
        assert!(!has_turn());
        assert_eq!(list(65_536, folder(60_000)).expect("listed"), 60_000);
        assert!(has_turn());
        assert!(list(65_536, folder(70_000)).is_err());
    }
}
