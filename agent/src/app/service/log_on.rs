//! The scan that a log-on asks for. It waits until the user's part of the registry is there, and what starts at the log-on has
//! started. Other scans until then do not replace it, because they may have come too early.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long after a log-on the agent scans at the latest. Later log-ons until then belong to the same scan: a terminal server has
/// hundreds in the morning.
const AFTER_LOG_ON: Duration = Duration::from_secs(5 * 60);

/// When a scan is due because somebody has logged on.
#[derive(Debug, Default)]
pub(super) struct LogOnScan(Option<Instant>);

impl LogOnScan {
    /// Somebody has logged on.
    pub(super) fn ask(&mut self, now: Instant) {
        self.0.get_or_insert(now + AFTER_LOG_ON);
    }

    /// A scan begins. It is the one that was asked for if that is due.
    pub(super) fn begins(&mut self, now: Instant) {
        self.0 = self.0.filter(|due| *due > now);
    }

    /// Waits until the scan is due; for ever if none was asked for. Cancel-safe.
    pub(super) fn due(&self) -> impl Future<Output = ()> + use<> {
        let due = self.0;
        async move {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_ons_until_the_scan_belong_to_it_and_a_later_one_asks_again() {
        let begun = Instant::now();
        let at = |minutes: u64| begun + Duration::from_secs(60 * minutes);
        let mut scan = LogOnScan::default();
        scan.begins(at(0));
        assert_eq!(scan.0, None);
        scan.ask(at(1));
        scan.ask(at(2));
        scan.begins(at(5));
        assert_eq!(scan.0, Some(at(6)), "a scan that comes too early leaves it due");
        scan.begins(at(6));
        assert_eq!(scan.0, None);
        scan.ask(at(7));
        assert_eq!(scan.0, Some(at(12)));
    }
}
