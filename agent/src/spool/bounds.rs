//! How much may wait, and what has to go when it is more. Pure.
//!
//! A collector that comes back after a day wants to know what the machine looked like meanwhile, but not every quarter of
//! a minute of it. So scans of one hour are coalesced into the last of that hour, then scans of one day into the last of
//! that day, the oldest first; only when that is not enough the oldest one is dropped without a successor in its time.

use std::time::Duration;

use muster_proto::model::Timestamp;

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all entries.
    pub bytes: u64,
    /// Age of an entry.
    pub age: Duration,
}

/// What becomes of an entry that has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// A later scan of the same hour or day stands for it.
    Coalesced,
    /// Nothing stands for it.
    Dropped,
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Which of these entries, oldest first, have to go so that the rest is within the bounds. The last never has to.
pub(super) fn victims(waiting: &[(Timestamp, u64)], bounds: Bounds, now: Timestamp) -> Vec<(usize, Fate)> {
    let Some(last) = waiting.len().checked_sub(1) else { return Vec::new() };
    let mut left: Vec<usize> = (0..waiting.len()).collect();
    let mut gone = Vec::new();
    left.retain(|&at| {
        let too_old = at != last && waiting[at].0.plus(bounds.age) < now;
        if too_old {
            gone.push((at, Fate::Dropped));
        }
        !too_old
    });
    let mut bytes: u64 = left.iter().map(|&at| waiting[at].1).sum();
    while bytes > bounds.bytes && left.len() > 1 {
        let (place, fate) = next(&left, waiting);
        let at = left.remove(place);
        bytes -= waiting[at].1;
        gone.push((at, fate));
    }
    gone.sort_unstable_by_key(|(at, _)| *at);
    gone
}

/// Which goes next, by its place among those that are left.
fn next(left: &[usize], waiting: &[(Timestamp, u64)]) -> (usize, Fate) {
    for span in [HOUR_MS, DAY_MS] {
        let slot = |at: usize| waiting[at].0.millis().div_euclid(span);
        if let Some(place) = left.windows(2).position(|pair| slot(pair[0]) == slot(pair[1])) {
            return (place, Fate::Coalesced);
        }
    }
    (0, Fate::Dropped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MONTH: Duration = Duration::from_secs(30 * 86_400);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000)
    }

    fn gone(minutes: &[i64], bytes: u64, age: Duration) -> Vec<(usize, Fate)> {
        let waiting: Vec<_> = minutes.iter().map(|minute| (at(*minute), 1)).collect();
        victims(&waiting, Bounds { bytes, age }, at(minutes.last().copied().unwrap_or_default()))
    }

    #[test]
    fn snapshots_of_an_hour_go_before_snapshots_of_a_day_and_those_before_the_oldest() {
        // Two of the first hour, one of the next, two of the day after.
        let snapshots = [5, 30, 70, 2000, 2010];
        assert_eq!(gone(&snapshots, 5, MONTH), []);
        assert_eq!(gone(&snapshots, 4, MONTH), [(0, Fate::Coalesced)]);
        assert_eq!(gone(&snapshots, 3, MONTH), [(0, Fate::Coalesced), (3, Fate::Coalesced)]);
        assert_eq!(gone(&snapshots, 2, MONTH), [(0, Fate::Coalesced), (1, Fate::Coalesced), (3, Fate::Coalesced)]);
        let dropped = gone(&snapshots, 1, MONTH);
        assert_eq!(dropped.last(), Some(&(3, Fate::Coalesced)));
        assert_eq!(dropped.iter().filter(|(_, fate)| *fate == Fate::Dropped).count(), 1);
    }

    #[test]
    fn age_drops_whatever_stands_beside_and_never_the_newest() {
        assert_eq!(gone(&[0, 1, 3000], 9, Duration::from_secs(3600)), [(0, Fate::Dropped), (1, Fate::Dropped)]);
        let waiting = [(at(0), 1)];
        assert_eq!(victims(&waiting, Bounds { bytes: 0, age: Duration::ZERO }, at(9000)), []);
        assert_eq!(victims(&[], Bounds { bytes: 0, age: Duration::ZERO }, at(0)), []);
    }

    proptest! {
        #[test]
        fn what_is_left_is_within_the_bounds_or_the_newest_alone(
            sizes in prop::collection::vec((0..90_000_i64, 1..100_u64), 1..40), bytes in 0..2000_u64, hours in 0..900_u64,
        ) {
            let mut waiting: Vec<_> = sizes.iter().map(|(minute, size)| (at(*minute), *size)).collect();
            waiting.sort();
            let now = waiting[waiting.len() - 1].0;
            let bounds = Bounds { bytes, age: Duration::from_secs(hours * 3600) };
            let gone = victims(&waiting, bounds, now);
            let left: Vec<_> = (0..waiting.len()).filter(|at| gone.iter().all(|(gone, _)| gone != at)).collect();
            prop_assert_eq!(left.len() + gone.len(), waiting.len());
            prop_assert_eq!(left.last(), Some(&(waiting.len() - 1)));
            let total: u64 = left.iter().map(|at| waiting[*at].1).sum();
            prop_assert!(left.len() == 1 || total <= bytes);
            prop_assert!(left.iter().rev().skip(1).all(|at| waiting[*at].0.plus(bounds.age) >= now));
        }
    }
}
