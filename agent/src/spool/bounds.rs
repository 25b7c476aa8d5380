//! The bounds of the spool, and which entries to remove when they are exceeded. Pure.
//!
//! After an outage the collector wants to know how the machine changed meanwhile, but not every quarter of a minute of it.
//! So the snapshots of one hour are coalesced into the last of that hour, then those of one day into the last of that day,
//! oldest first. Only if that is not enough, the oldest snapshot is dropped without a later one from the same day.

use std::time::Duration;

use muster_proto::model::Timestamp;

/// The bounds of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The bytes of all entries.
    pub bytes: u64,
    /// The age of an entry.
    pub age: Duration,
}

/// How an entry is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// A later snapshot of the same hour or day represents it.
    Coalesced,
    /// Nothing represents it.
    Dropped,
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Which of these entries, oldest first, must be removed to stay within the bounds. The newest never is.
pub(super) fn entries_to_remove(waiting: &[(Timestamp, u64)], bounds: Bounds, now: Timestamp) -> Vec<(usize, Loss)> {
    let Some(last) = waiting.len().checked_sub(1) else { return Vec::new() };
    let mut remaining: Vec<usize> = (0..waiting.len()).collect();
    let mut removed = Vec::new();
    remaining.retain(|&at| {
        let too_old = at != last && waiting[at].0.plus(bounds.age) < now;
        if too_old {
            removed.push((at, Loss::Dropped));
        }
        !too_old
    });
    let mut bytes: u64 = remaining.iter().map(|&at| waiting[at].1).sum();
    while bytes > bounds.bytes && remaining.len() > 1 {
        let (place, loss) = next(&remaining, waiting);
        let at = remaining.remove(place);
        bytes -= waiting[at].1;
        removed.push((at, loss));
    }
    // The caller removes by position, from the back, so the positions must ascend.
    removed.sort_unstable_by_key(|(at, _)| *at);
    removed
}

/// The next entry to remove, as an index into `remaining`.
fn next(remaining: &[usize], waiting: &[(Timestamp, u64)]) -> (usize, Loss) {
    for span in [HOUR_MS, DAY_MS] {
        // `div_euclid` also rounds down for times before 1970, which a wrong clock gives.
        let slot = |at: usize| waiting[at].0.millis().div_euclid(span);
        if let Some(place) = remaining.windows(2).position(|pair| slot(pair[0]) == slot(pair[1])) {
            // The earlier one of the pair goes, because the later one represents the hour or day.
            return (place, Loss::Coalesced);
        }
    }
    (0, Loss::Dropped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MONTH: Duration = Duration::from_secs(30 * 86_400);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000)
    }

    fn removed(minutes: &[i64], bytes: u64, age: Duration) -> Vec<(usize, Loss)> {
        let waiting: Vec<_> = minutes.iter().map(|minute| (at(*minute), 1)).collect();
        entries_to_remove(&waiting, Bounds { bytes, age }, at(minutes.last().copied().unwrap_or_default()))
    }

    #[test]
    fn snapshots_are_thinned_by_hour_then_by_day_then_dropped() {
        // Two in the first hour, one in the next, two on the following day.
        let snapshots = [5, 30, 70, 2000, 2010];
        assert_eq!(removed(&snapshots, 5, MONTH), []);
        assert_eq!(removed(&snapshots, 4, MONTH), [(0, Loss::Coalesced)]);
        assert_eq!(removed(&snapshots, 3, MONTH), [(0, Loss::Coalesced), (3, Loss::Coalesced)]);
        assert_eq!(removed(&snapshots, 2, MONTH), [(0, Loss::Coalesced), (1, Loss::Coalesced), (3, Loss::Coalesced)]);
        let dropped = removed(&snapshots, 1, MONTH);
        assert_eq!(dropped.last(), Some(&(3, Loss::Coalesced)));
        assert_eq!(dropped.iter().filter(|(_, loss)| *loss == Loss::Dropped).count(), 1);
    }

    #[test]
    fn entries_over_the_age_are_dropped_but_never_the_newest() {
        assert_eq!(removed(&[0, 1, 3000], 9, Duration::from_secs(3600)), [(0, Loss::Dropped), (1, Loss::Dropped)]);
        let waiting = [(at(0), 1)];
        assert_eq!(entries_to_remove(&waiting, Bounds { bytes: 0, age: Duration::ZERO }, at(9000)), []);
        assert_eq!(entries_to_remove(&[], Bounds { bytes: 0, age: Duration::ZERO }, at(0)), []);
    }

    proptest! {
        #[test]
        fn the_remaining_entries_are_within_the_bounds_or_only_the_newest(
            sizes in prop::collection::vec((0..90_000_i64, 1..100_u64), 1..40), bytes in 0..2000_u64, hours in 0..900_u64,
        ) {
            let mut waiting: Vec<_> = sizes.iter().map(|(minute, size)| (at(*minute), *size)).collect();
            waiting.sort();
            let now = waiting[waiting.len() - 1].0;
            let bounds = Bounds { bytes, age: Duration::from_secs(hours * 3600) };
            let removed = entries_to_remove(&waiting, bounds, now);
            let left: Vec<_> = (0..waiting.len()).filter(|at| removed.iter().all(|(removed, _)| removed != at)).collect();
            prop_assert_eq!(left.len() + removed.len(), waiting.len());
            prop_assert_eq!(left.last(), Some(&(waiting.len() - 1)));
            let total: u64 = left.iter().map(|at| waiting[*at].1).sum();
            prop_assert!(left.len() == 1 || total <= bytes);
            prop_assert!(left.iter().rev().skip(1).all(|at| waiting[*at].0.plus(bounds.age) >= now));
        }
    }
}
