//! The CPU time of processes, and waiting until they are idle.

use std::time::{Duration, Instant};

/// The kernel reports CPU time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);
/// A process that used less than one tick in this time is idle.
const WINDOW: Duration = Duration::from_millis(150);
/// The longest wait; background work may never stop.
const MOST: Duration = Duration::from_secs(5);

/// The CPU time of a process in user and kernel mode; zero if the system does not report it.
pub(crate) fn cpu(pid: u32) -> Duration {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| ticks(&stat))
        .map_or(Duration::ZERO, |ticks| TICK * ticks)
}

fn ticks(stat: &str) -> Option<u32> {
    // The program's name may have spaces and brackets, so the fields are read from behind its last bracket.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Waits until the processes are idle.
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
