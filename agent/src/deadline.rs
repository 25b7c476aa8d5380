//! Runs work that may never return, such as a read from a dead disk, on its own thread under a time limit.
//!
//! A thread that does not return in time is abandoned: it can only read, and its result is discarded. Until it ends, its work
//! gets no second thread, because each one would use up the process' limits, and the answer stays the same as the first
//! time, so that two scans with one fault have one digest. The thread notes what it reads, so the answer names the place.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// The limit for the agent's own small files: settings, token, watchlist, and the root of a scan. A local disk answers within
/// milliseconds, and a spun-down one within seconds. No setting, because it must hold before the settings are read.
pub const OWN_FILES: Duration = Duration::from_secs(10);

/// The shortest wait for a thread, so that waiting for one that waits for others takes no processor time.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    /// The work did not return in time.
    #[error("timed out after {} s{}", limit.as_secs_f32(), While(place))]
    TimedOut {
        /// The time limit.
        limit: Duration,
        /// What it was reading; empty if it noted nothing.
        place: String,
    },
    /// The work panicked, which is a bug of the agent, or the system gave it no thread.
    #[error("internal error: the thread ended without a result")]
    Aborted,
}

struct While<'a>(&'a str);

impl fmt::Display for While<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " while reading {}", self.0) }
    }
}

impl From<Unfinished> for std::io::Error {
    fn from(unfinished: Unfinished) -> Self {
        let kind = match unfinished {
            Unfinished::TimedOut { .. } => std::io::ErrorKind::TimedOut,
            Unfinished::Aborted => std::io::ErrorKind::Other,
        };
        Self::new(kind, unfinished)
    }
}

/// What the waiting side sees of a thread.
type Place = Arc<Mutex<Progress>>;

#[derive(Debug, Default)]
struct Progress {
    /// What it is reading.
    place: String,
    /// How long it has waited for others, and since when it waits now.
    paused: Duration,
    paused_since: Option<Instant>,
    /// Nobody waits for its result any more.
    is_abandoned: bool,
}

impl Progress {
    fn paused(&self) -> Duration {
        self.paused + self.paused_since.map(|since| since.elapsed()).unwrap_or_default()
    }
}

thread_local! {
    /// The place that the waiting side sees. Threads that nobody waits for have none.
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// Notes what this thread is about to read.
pub fn reading(path: &str) {
    PLACE.with_borrow(|place| {
        if let Some(place) = place {
            let place = &mut lock(place).place;
            place.clear();
            place.push_str(path);
        }
    });
}

/// Whether nobody waits for the result of this thread any more.
#[must_use]
pub fn is_abandoned() -> bool {
    PLACE.with_borrow(|place| place.as_ref().is_some_and(|place| lock(place).is_abandoned))
}

/// Waits for others. The time does not count against the limit of this thread.
pub fn paused<T>(wait: impl FnOnce() -> T) -> T {
    let place = PLACE.with_borrow(Clone::clone);
    let Some(place) = place else { return wait() };
    lock(&place).paused_since = Some(Instant::now());
    let result = wait();
    let mut progress = lock(&place);
    progress.paused = progress.paused();
    progress.paused_since = None;
    drop(progress);
    result
}

/// Work whose threads have not returned. Kept from one scan to the next.
#[derive(Debug, Clone, Default)]
pub struct StuckWork(Arc<Mutex<BTreeMap<String, Stuck>>>);

#[derive(Debug)]
struct Stuck {
    /// The thread holds a clone until it ends.
    place: Place,
    answer: Unfinished,
}

impl StuckWork {
    /// The first answer of a thread that still runs.
    fn answer(&self, name: &str) -> Option<Unfinished> {
        let stuck = lock(&self.0);
        stuck.get(name).filter(|stuck| Arc::strong_count(&stuck.place) > 1).map(|stuck| stuck.answer.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nobody can panic while it changes the content, so that is valid even if the lock is poisoned.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A started thread, or why there is none.
struct Thread {
    name: String,
    limit: Duration,
    started: Instant,
    place: Place,
    stuck: StuckWork,
    /// The answer, if no thread was started.
    known: Option<Unfinished>,
}

impl Thread {
    fn start(name: &str, limit: Duration, stuck: &StuckWork, work: impl FnOnce() + Send + 'static) -> Self {
        let place = Place::default();
        let mut known = stuck.answer(name);
        if known.is_none() {
            let noted = Arc::clone(&place);
            let noting = move || {
                // Until this thread ends, the work counts as stuck.
                PLACE.set(Some(noted));
                work();
            };
            // The kernel shows 15 bytes.
            if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(noting) {
                tracing::error!(thread = name, error = %error, "cannot start a thread");
                known = Some(Unfinished::Aborted);
            }
        }
        Self { name: name.to_owned(), limit, started: Instant::now(), place, stuck: stuck.clone(), known }
    }

    fn rest(&self) -> Duration {
        self.limit.saturating_sub(self.took())
    }

    /// How long it has worked, without the time for which it waited for others.
    fn took(&self) -> Duration {
        self.started.elapsed().saturating_sub(lock(&self.place).paused())
    }

    /// The answer of a thread that is over its limit.
    fn timed_out(self) -> Unfinished {
        let mut progress = lock(&self.place);
        progress.is_abandoned = true;
        let answer = Unfinished::TimedOut { limit: self.limit, place: without_process_ids(&progress.place) };
        drop(progress);
        lock(&self.stuck.0).insert(self.name, Stuck { place: self.place, answer: answer.clone() });
        answer
    }
}

/// Process ids differ from scan to scan.
fn without_process_ids(path: &str) -> String {
    let is_id = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    if !path.starts_with("/proc/") {
        return path.to_owned();
    }
    path.split('/').map(|name| if is_id(name) { "ID" } else { name }).collect::<Vec<_>>().join("/")
}

/// Work on its own thread.
pub struct Task<T> {
    thread: Thread,
    answer: mpsc::Receiver<T>,
}

impl<T: Send + 'static> Task<T> {
    /// Starts the work. The limit counts from here. The name says which work is the same as earlier work that is stuck.
    pub fn start(name: &str, limit: Duration, stuck: &StuckWork, work: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, answer) = mpsc::sync_channel(1);
        let thread = Thread::start(name, limit, stuck, move || {
            // After the time limit nobody receives this, and the result is discarded.
            let _ = sender.send(work());
        });
        Self { thread, answer }
    }

    /// Waits for the result until the limit. Also returns how long the work took.
    pub fn wait(self) -> (Result<T, Unfinished>, Duration) {
        if let Some(known) = self.thread.known {
            return (Err(known), Duration::ZERO);
        }
        loop {
            let answer = self.answer.recv_timeout(self.thread.rest().max(SHORTEST_WAIT));
            let took = self.thread.took();
            match answer {
                Ok(result) => return (Ok(result), took),
                // It may have waited for others meanwhile.
                Err(RecvTimeoutError::Timeout) if !self.thread.rest().is_zero() => {}
                Err(RecvTimeoutError::Timeout) => return (Err(self.thread.timed_out()), took),
                Err(RecvTimeoutError::Disconnected) => return (Err(Unfinished::Aborted), took),
            }
        }
    }
}

/// Runs work on its own thread, and waits for it.
///
/// # Errors
/// It did not return in time, or panicked.
pub fn run<T: Send + 'static>(
    name: &str,
    limit: Duration,
    stuck: &StuckWork,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    Task::start(name, limit, stuck, work).wait().0
}

/// As [`run`], without holding up the async runtime.
///
/// # Errors
/// As [`run`].
pub async fn run_async<T: Send + 'static>(
    name: &str,
    limit: Duration,
    stuck: &StuckWork,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    let (sender, answer) = oneshot::channel();
    let thread = Thread::start(name, limit, stuck, move || drop(sender.send(work())));
    if let Some(known) = thread.known {
        return Err(known);
    }
    match tokio::time::timeout(thread.rest(), answer).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(_)) => Err(Unfinished::Aborted),
        Err(_) => Err(thread.timed_out()),
    }
}

/// Runs work that ends by itself on its own thread, without holding up the async runtime. The runtime's own threads for such
/// work are few, and may all wait for a name server.
///
/// # Errors
/// It panicked, or the system gave it no thread.
pub async fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    let (sender, answer) = oneshot::channel();
    let working = move || drop(sender.send(work()));
    if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(working) {
        tracing::error!(thread = name, error = %error, "cannot start a thread");
    }
    answer.await.map_err(|_| Unfinished::Aborted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hang() {
        reading("/proc/4711/fdinfo/3");
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn work_that_does_not_return_is_named_with_its_place_and_gets_no_second_thread() {
        let stuck = StuckWork::default();
        let first = run("one", Duration::from_millis(500), &stuck, hang).expect_err("it hangs");
        assert_eq!(first.to_string(), "timed out after 0.5 s while reading /proc/ID/fdinfo/ID");
        let again = run("one", Duration::from_secs(60), &stuck, || unreachable!("a second thread"));
        assert_eq!(again, Err(first));
        assert_eq!(run("other", Duration::from_secs(60), &stuck, || 7), Ok(7));
    }

    #[test]
    fn work_is_started_again_after_it_has_returned() {
        let stuck = StuckWork::default();
        let (go_on, gate) = mpsc::channel::<()>();
        let late = run("one", Duration::from_millis(500), &stuck, move || gate.recv().is_ok());
        assert!(matches!(late, Err(Unfinished::TimedOut { .. })), "{late:?}");
        drop(go_on);
        let end = Instant::now() + Duration::from_secs(20);
        while run("one", Duration::from_secs(60), &stuck, || ()).is_err() {
            assert!(Instant::now() < end, "it is never started again");
        }
    }

    #[test]
    fn waiting_for_others_does_not_count() {
        let waits = || {
            paused(|| std::thread::sleep(Duration::from_secs(2)));
            7
        };
        let task = Task::start("one", Duration::from_secs(1), &StuckWork::default(), waits);
        let (result, took) = task.wait();
        assert_eq!(result, Ok(7));
        assert!(took < Duration::from_secs(2), "{took:?}");
    }

    #[test]
    fn work_that_nobody_waits_for_knows_it() {
        let (go_on, gate) = mpsc::channel::<()>();
        let (send, seen) = mpsc::channel();
        let late = run("one", Duration::from_millis(500), &StuckWork::default(), move || {
            let before = is_abandoned();
            let _ = gate.recv();
            send.send((before, is_abandoned()))
        });
        assert!(late.is_err());
        drop(go_on);
        assert_eq!(seen.recv_timeout(Duration::from_secs(20)), Ok((false, true)));
    }

    #[test]
    fn a_panic_is_an_answer() {
        let panicked = run("one", Duration::from_secs(60), &StuckWork::default(), || panic!("a fault"));
        assert_eq!(panicked, Err::<(), _>(Unfinished::Aborted));
    }

    #[tokio::test]
    async fn waiting_leaves_the_runtime_free() {
        let stuck = StuckWork::default();
        let (free, freed) = mpsc::channel();
        // The work waits for another task of the same runtime.
        let work = run_async("one", Duration::from_secs(60), &stuck, move || freed.recv());
        let other = async move { free.send(()) };
        let (work, other) = tokio::join!(work, other);
        assert_eq!((work, other), (Ok(Ok(())), Ok(())));
        let late = run_async("two", Duration::from_millis(500), &stuck, hang).await;
        assert_eq!(late.map_err(|unfinished| unfinished.to_string().contains("fdinfo")), Err(true));
    }
}
