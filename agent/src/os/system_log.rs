//! The system's log, for a service whose standard error nobody reads: the Event Log of Windows, and the log of macOS. systemd keeps
//! the standard error of a service itself, so there is no other log on Linux.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
#[path = "fallback/system_log.rs"]
mod platform;
#[cfg(target_os = "macos")]
#[path = "macos/system_log.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows/event_log.rs"]
mod platform;

/// How important an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The service has started, stopped or enrolled.
    Information,
    /// Something does not work, and may work later.
    Warning,
    /// Somebody must do something.
    Error,
}

/// The system's log. There is one for each process.
#[derive(Debug, Clone, Copy)]
pub struct SystemLog(());

impl SystemLog {
    /// The log, if the service manager has started this process and nothing keeps its standard error.
    #[must_use]
    pub fn of_service() -> Option<Self> {
        platform::is_needed().then_some(Self(()))
    }

    /// Reports one event. Beyond a budget for the hour, events are counted, and the next one that is reported says how many. An
    /// event that the system refuses is lost.
    pub fn report(self, severity: Severity, text: &str) {
        let left_out = BUDGET.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        match left_out {
            Some(0) => platform::report(severity, limited(text)),
            Some(count) => platform::report(
                severity,
                &format!("{}\n({count} events before this one were left out)", limited(text)),
            ),
            None => {}
        }
    }
}

/// Registers the agent with the system's log, so that it shows the texts. Returns what was done, as one line.
///
/// # Errors
/// The registration cannot be written.
#[cfg(windows)]
pub(in crate::os) fn register() -> std::io::Result<String> {
    platform::register()
}

/// Removes the registration. Returns what was done, as one line, if there was something to do.
///
/// # Errors
/// The registration cannot be removed.
#[cfg(windows)]
pub(in crate::os) fn unregister() -> std::io::Result<Option<String>> {
    platform::unregister()
}

/// Windows takes 31,839 characters (`ReportEventW`), and macOS cuts what is longer than a kilobyte; a person reads far fewer.
const LONGEST: usize = 8_000;

fn limited(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

static BUDGET: Mutex<Budget> = Mutex::new(Budget { events: Budget::MOST, since: None, left_out: 0 });

/// How many events may be reported. The log belongs to all programs of the machine, and new events push out old ones.
#[derive(Debug)]
struct Budget {
    events: u32,
    /// Since when the next event of the budget has been growing.
    since: Option<Instant>,
    left_out: u64,
}

impl Budget {
    /// As many at once.
    const MOST: u32 = 20;
    /// And one more after this time.
    const GROWTH: Duration = Duration::from_secs(3 * 60);

    /// Whether one more event may be reported, and how many were left out before it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let since = *self.since.get_or_insert(now);
        let grown =
            u32::try_from(now.saturating_duration_since(since).as_secs() / Self::GROWTH.as_secs()).unwrap_or(u32::MAX);
        if grown > 0 {
            self.events = self.events.saturating_add(grown).min(Self::MOST);
            self.since = Some(since + Self::GROWTH * grown);
        }
        if self.events == 0 {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.events -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_events_is_cut_and_counted() {
        let start = Instant::now();
        let mut budget = Budget { events: Budget::MOST, since: None, left_out: 0 };
        let reported = (0..1_000).filter(|_| budget.take(start).is_some()).count();
        assert_eq!(reported, 20);
        assert_eq!(budget.take(start + Budget::GROWTH / 2), None);
        assert_eq!(budget.take(start + Budget::GROWTH), Some(981), "the next one says how many were left out");
        assert_eq!(budget.take(start + Budget::GROWTH), None);
        let a_day = start + Duration::from_secs(86_400);
        let reported = (0..1_000).filter(|_| budget.take(a_day).is_some()).count();
        assert_eq!(reported, 20, "a quiet day saves no more than this");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(limited("short"), "short");
        let long = format!("{}ä", "x".repeat(LONGEST - 1));
        assert_eq!(limited(&long).len(), LONGEST - 1);
    }
}
