//! How many lines about refused requests go to the log. Strangers cause them, so they must not be able to fill it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_proto::model::Timestamp;

/// Lines of a minute; as many as there are about wrong tokens (`tls::guesses`).
const LINES: u64 = 100;
const MINUTE: Duration = Duration::from_secs(60);
/// Characters of a path in a line.
const PATH: usize = 200;

/// The lines of this minute.
#[derive(Debug, Default)]
pub(super) struct LogLimit(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    since: Option<Timestamp>,
    lines: u64,
    left_out: u64,
}

impl LogLimit {
    /// Whether another line may be written; with it, how many were left out since the last one.
    pub(super) fn line(&self, now: Timestamp) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back begins another minute, or the log would be silent until then.
        if counted.since.is_none_or(|since| now < since || now.since(since) >= MINUTE) {
            counted.since = Some(now);
            counted.lines = 0;
        }
        if counted.lines == LINES {
            counted.left_out += 1;
            return None;
        }
        counted.lines += 1;
        Some(std::mem::take(&mut counted.left_out))
    }
}

/// A path, cut for the log.
pub(super) fn path_of(path: &str) -> &str {
    path.char_indices().nth(PATH).map_or(path, |(end, _)| path.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_a_hundred_lines_and_the_next_one_tells_how_many_were_left_out() {
        let (limit, start) = (LogLimit::default(), Timestamp::from_millis(1_767_000_000_000));
        let written = (0..250).filter(|_| limit.line(start).is_some()).count();
        assert_eq!(written, 100);
        assert_eq!(limit.line(start.plus(Duration::from_secs(59))), None);
        assert_eq!(limit.line(start.plus(MINUTE)), Some(151));
        assert_eq!(limit.line(start.plus(MINUTE)), Some(0));
        assert_eq!(limit.line(start), Some(0), "the clock was set back");
    }

    #[test]
    fn a_long_path_is_cut() {
        assert_eq!(path_of("/hosts"), "/hosts");
        assert_eq!(path_of(&"ä".repeat(5_000)).chars().count(), PATH);
    }
}
