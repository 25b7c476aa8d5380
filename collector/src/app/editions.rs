//! Warns in the log while the dictionary of editions is nearly full.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::shutdown::StopToken;
use crate::store::{EditionLevel, Store, StoreError};
use muster_proto::model::Timestamp;

/// How often the dictionary is looked at.
const EVERY: Duration = Duration::from_secs(60);
/// How often a warning is repeated.
const AGAIN: Duration = Duration::from_secs(3600);

/// What the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    NearlyFull,
    Full,
    NoLonger,
}

/// When to say it. One line when the level changes, and one an hour while it lasts.
#[derive(Debug, Default)]
struct Alarm {
    said: Option<(Notice, Timestamp)>,
}

impl Alarm {
    fn notice(&mut self, level: &EditionLevel, now: Timestamp) -> Option<Notice> {
        if !level.is_alarming() {
            return self.said.take().map(|_| Notice::NoLonger);
        }
        let notice = if level.percent() >= 100 { Notice::Full } else { Notice::NearlyFull };
        if self.said.is_some_and(|(said, at)| said == notice && now.since(at) < AGAIN) {
            return None;
        }
        self.said = Some((notice, now));
        Some(notice)
    }
}

/// Warns until the stop.
pub(super) async fn watch(store: Arc<dyn Store>, clock: Clock, stop: StopToken) {
    let mut alarm = Alarm::default();
    loop {
        match store.editions_level().await {
            Ok(level) => log(alarm.notice(&level, clock()), &level),
            Err(StoreError::Closed { .. }) => return,
            Err(failed) => tracing::error!(error = %failed, "the size of the dictionary of editions could not be read"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn log(notice: Option<Notice>, level: &EditionLevel) {
    let (editions, text_bytes, percent) = (level.held.editions, level.held.text_bytes, level.percent());
    match notice {
        Some(Notice::Full) => tracing::error!(
            editions,
            text_bytes,
            percent,
            "the dictionary of editions is full: sections with new software are refused; raise editions.most or editions.text_bytes"
        ),
        Some(Notice::NearlyFull) => tracing::warn!(
            editions,
            text_bytes,
            percent,
            "the dictionary of editions is nearly full; at 100 % sections with new software are refused"
        ),
        Some(Notice::NoLonger) => {
            tracing::info!(editions, text_bytes, percent, "the dictionary of editions has space again")
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{EditionLimit, EditionTotals};

    #[test]
    fn a_level_is_told_when_it_changes_and_once_an_hour() {
        let mut alarm = Alarm::default();
        let mut at = |editions, seconds: u64| {
            let most = EditionTotals { editions: 100, text_bytes: 100 };
            let held = EditionTotals { editions, text_bytes: 0 };
            let level = EditionLevel { held, memory_bytes: 0, limit: EditionLimit { most, alarm_percent: 80 } };
            alarm.notice(&level, Timestamp::from_millis(0).plus(Duration::from_secs(seconds)))
        };
        let told = [(79, 0), (80, 60), (99, 120), (100, 180), (100, 3779), (100, 3780), (79, 3800), (10, 3900)];
        let expected = [
            None,
            Some(Notice::NearlyFull),
            None,
            Some(Notice::Full),
            None,
            Some(Notice::Full),
            Some(Notice::NoLonger),
            None,
        ];
        assert_eq!(told.map(|(editions, seconds)| at(editions, seconds)), expected);
    }
}
