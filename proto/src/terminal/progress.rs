//! The progress of long work, on standard error: a bar on a terminal, now and then a line anywhere else, and nothing at all
//! for short work.
//!
//! ```no_run
//! use muster_proto::terminal::Progress;
//! let progress = Progress::default();
//! let shown = progress.show("copying the database");
//! progress.expect(100); // pages; may be called again when more is known
//! for _ in 0..100 {
//!     progress.advance(1);
//! }
//! drop(shown); // removes the bar, before anything else is printed
//! ```
//!
//! The work only adds to counters. A thread draws them, so the work is not slowed down and may run in any thread.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::escape::printable;
use super::width::{columns, cut};

/// Work that takes less shows no bar.
const SHORT: Duration = Duration::from_millis(400);
/// How often the bar is drawn.
const DRAWN: Duration = Duration::from_millis(100);
/// How often a line is printed where there is no terminal.
const PRINTED: Duration = Duration::from_secs(10);
/// The width of the bar.
const BAR: u64 = 24;
/// Removes a bar and puts the cursor at its start.
const CLEAR: &str = "\r\u{1b}[K";

/// Whether a bar is on the screen. Held while anything is written, so that a log line never continues a bar.
static IS_DRAWN: Mutex<bool> = Mutex::new(false);

fn is_drawn() -> MutexGuard<'static, bool> {
    IS_DRAWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts how far a task is. Clones count together. Nobody sees it until [`Progress::show`].
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    done: AtomicU64,
    total: AtomicU64,
    note: Mutex<String>,
}

impl Progress {
    /// Sets how many steps there are in total. 0, the default, means unknown.
    pub fn expect(&self, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
    }

    /// Counts finished steps.
    pub fn advance(&self, steps: u64) {
        self.0.done.fetch_add(steps, Ordering::Relaxed);
    }

    /// Sets a few words about the current step; shown after the numbers.
    pub fn note(&self, words: impl Into<String>) {
        *self.0.note.lock().unwrap_or_else(PoisonError::into_inner) = words.into();
    }

    /// Shows the progress on standard error until the result is dropped. Drop it before printing anything else.
    #[must_use = "dropping it ends the display"]
    pub fn show(&self, task: &str) -> ShownProgress {
        let (stop, stopped) = mpsc::channel();
        let (progress, task) = (self.clone(), task.to_owned());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = io::stderr().is_terminal() && !is_dumb;
        let draw = move || if terminal { progress.draw(&task, &stopped) } else { progress.print(&task, &stopped) };
        // Without a thread the work goes on unseen.
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(draw).ok();
        ShownProgress { stop: Some(stop), thread }
    }

    fn draw(&self, task: &str, stopped: &Receiver<()>) {
        let began = Instant::now();
        let mut pause = SHORT;
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            let width = columns(true).unwrap_or(80);
            let line = self.line(task, began.elapsed(), true);
            // One column stays free: some terminals start a new line when the last one is written.
            let mut is_drawn = is_drawn();
            let _ = write!(io::stderr(), "{CLEAR}{}", cut(&line, width - 1));
            *is_drawn = true;
            pause = DRAWN;
        }
        remove_bar(&mut is_drawn());
    }

    fn print(&self, task: &str, stopped: &Receiver<()>) {
        let began = Instant::now();
        while stopped.recv_timeout(PRINTED) == Err(RecvTimeoutError::Timeout) {
            let _ = writeln!(io::stderr(), "{}", self.line(task, began.elapsed(), false));
        }
    }

    /// `copying  [####----]  50 %  12 of 24  3s left  NOTE`, without the bar where there is no terminal.
    fn line(&self, task: &str, elapsed: Duration, with_bar: bool) -> String {
        let (done, total) = (self.0.done.load(Ordering::Relaxed), self.0.total.load(Ordering::Relaxed));
        let mut parts = vec![task.to_owned()];
        if total == 0 {
            parts.extend((done > 0).then(|| done.to_string()));
            parts.push(span(elapsed));
        } else {
            // More may be done than was expected; a bar beyond its end would be wrong, the number is not.
            let part = u128::from(done.min(total));
            let share = |of: u64| u64::try_from(part * u128::from(of) / u128::from(total)).unwrap_or(of);
            if with_bar {
                let full = share(BAR);
                let repeat = |sign: &str, count: u64| sign.repeat(usize::try_from(count).unwrap_or(0));
                parts.push(format!("[{}{}]", repeat("#", full), repeat("-", BAR - full)));
            }
            parts.push(format!("{} %", share(100)));
            parts.push(format!("{done} of {total}"));
            if let Some(left) = left(elapsed, done, total) {
                parts.push(format!("{} left", span(left)));
            }
        }
        let note = self.0.note.lock().unwrap_or_else(PoisonError::into_inner);
        if !note.is_empty() {
            parts.push(printable(&note).replace('\n', " "));
        }
        parts.join("  ")
    }
}

fn remove_bar(is_drawn: &mut bool) {
    if std::mem::take(is_drawn) {
        let _ = write!(io::stderr(), "{CLEAR}");
    }
}

/// Standard error for a log. It removes a bar before it writes; the bar comes back with the next step. Errors are ignored,
/// because there is nowhere to report them.
#[derive(Debug, Clone, Copy)]
pub struct StderrAboveProgress;

impl Write for StderrAboveProgress {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut is_drawn = is_drawn();
        remove_bar(&mut is_drawn);
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long the rest takes if it goes on like this.
fn left(elapsed: Duration, done: u64, total: u64) -> Option<Duration> {
    let rest = total.checked_sub(done).filter(|_| done > 0)?;
    let millis = elapsed.as_millis() * u128::from(rest) / u128::from(done);
    Some(Duration::from_millis(u64::try_from(millis).ok()?))
}

fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (hours, minutes, _) => format!("{hours}h {minutes}m"),
    }
}

/// A progress on the screen. Dropping it removes the bar.
#[derive(Debug)]
pub struct ShownProgress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for ShownProgress {
    fn drop(&mut self) {
        // Ends the wait of the thread at once.
        self.stop = None;
        // Waits, so that the bar is removed before the caller prints something.
        self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn the_line_has_the_share_and_the_time_that_is_left() {
        let progress = Progress::default();
        assert_eq!(progress.line("checking", SECONDS(75), true), "checking  1m 15s");
        progress.expect(200);
        progress.clone().advance(50);
        let line = progress.line("checking", SECONDS(10), true);
        assert_eq!(line, "checking  [######------------------]  25 %  50 of 200  30s left");
        progress.note("dpkg\u{202e}\n");
        assert_eq!(
            progress.line("checking", SECONDS(10), false),
            "checking  25 %  50 of 200  30s left  dpkg\\u{202e} "
        );
        progress.advance(200);
        assert!(progress.line("checking", SECONDS(10), true).contains("]  100 %  250 of 200"), "more than expected");
    }

    #[test]
    fn short_work_ends_at_once() {
        let began = Instant::now();
        drop(Progress::default().show("nothing"));
        assert!(began.elapsed() < SHORT);
    }
}
