//! How busy processes are: their processor time, and waiting until they rest.

use std::time::{Duration, Instant};

/// The kernel counts processor time in hundredths of a second for whoever asks.
const TICK: Duration = Duration::from_millis(10);
/// A process that used less than one tick in this time rests.
const WINDOW: Duration = Duration::from_millis(150);
/// Nobody rests for ever: housekeeping may go on.
const MOST: Duration = Duration::from_secs(5);

/// Processor time that a process has used, in user and kernel mode; zero where the system does not say.
pub(crate) fn cpu(pid: u32) -> Duration {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| ticks(&stat))
        .map_or(Duration::ZERO, |ticks| TICK * ticks)
}

fn ticks(stat: &str) -> Option<u32> {
    // The name of the program may hold anything, also spaces and brackets; the fields begin after its end.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Waits until the processes have come to rest.
pub(crate) async fn rest(pids: &[u32]) {
    let deadline = Instant::now() + MOST;
    loop {
        let before: Duration = pids.iter().map(|pid| cpu(*pid)).sum();
        tokio::time::sleep(WINDOW).await;
        let after: Duration = pids.iter().map(|pid| cpu(*pid)).sum();
        if after <= before + TICK || Instant::now() >= deadline {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 4 0 100";
        assert_eq!(ticks(&format!("77 (muster-collecto) {rest}")), Some(300));
        assert_eq!(ticks(&format!("77 (a) b (c) {rest}")), Some(300));
        assert_eq!(ticks("77"), None);
    }
}
