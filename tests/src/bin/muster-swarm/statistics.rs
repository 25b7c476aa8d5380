//! Rates and latencies of many calls.

use std::time::{Duration, Instant};

/// What became of a number of calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Microseconds of every call that was answered well.
    micros: Vec<u32>,
    /// Calls that were not.
    pub(crate) failed: u64,
    /// What the first of those said.
    pub(crate) first_failure: Option<String>,
    /// How long all of it took.
    pub(crate) elapsed: Duration,
}

impl Tally {
    /// Counts a call that began then.
    pub(crate) fn count<T>(&mut self, began: Instant, answer: anyhow::Result<T>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.note(began.elapsed());
                Some(answer)
            }
            Err(error) => {
                self.fail(&error);
                None
            }
        }
    }

    /// Counts a call that was answered well.
    pub(crate) fn note(&mut self, took: Duration) {
        self.micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// Counts a call that was not.
    pub(crate) fn fail(&mut self, error: &anyhow::Error) {
        self.failed += 1;
        self.first_failure.get_or_insert_with(|| format!("{error:#}"));
    }

    /// Adds calls that were made beside these; time is not added.
    pub(crate) fn merge(&mut self, other: Self) {
        self.micros.extend(other.micros);
        self.failed += other.failed;
        if self.first_failure.is_none() {
            self.first_failure = other.first_failure;
        }
    }

    /// Adds calls that were made after these.
    pub(crate) fn append(&mut self, other: Self) {
        self.elapsed += other.elapsed;
        self.merge(other);
    }

    /// Calls that were answered well.
    pub(crate) fn done(&self) -> u64 {
        self.micros.len() as u64
    }

    /// Calls answered well in a second.
    pub(crate) fn per_second(&self) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { self.done() as f64 / self.elapsed.as_secs_f64() }
    }

    /// Milliseconds within which this share of the calls was answered; zero when there was none.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        percentile(&sorted, share).map_or(0.0, |micros| f64::from(micros) / 1000.0)
    }
}

/// The smallest of the sorted values that this share of them does not exceed.
pub(crate) fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// `part / whole`, and zero where there is no whole.
pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_occurred_and_that_share_does_not_exceed() {
        let values: Vec<u32> = (1..=100).collect();
        assert_eq!(percentile(&values, 0.5), Some(50));
        assert_eq!(percentile(&values, 0.99), Some(99));
        assert_eq!(percentile(&values, 1.0), Some(100));
        assert_eq!(percentile(&values, 0.0), Some(1));
        assert_eq!(percentile(&[7_u32], 0.99), Some(7));
        assert_eq!(percentile::<u32>(&[], 0.5), None);
    }

    #[test]
    fn a_tally_counts_failures_apart_and_keeps_the_first_reason() {
        let mut tally = Tally::default();
        assert_eq!(tally.count(Instant::now(), Ok(5)), Some(5));
        assert_eq!(tally.count::<u8>(Instant::now(), Err(anyhow::anyhow!("first"))), None);
        tally.fail(&anyhow::anyhow!("second"));
        assert_eq!((tally.done(), tally.failed, tally.first_failure.as_deref()), (1, 2, Some("first")));
    }

    #[test]
    fn calls_made_beside_each_other_share_their_time_and_calls_made_after_add_theirs() {
        let of = |calls: u64, seconds| {
            let mut tally = Tally { elapsed: Duration::from_secs(seconds), ..Tally::default() };
            (0..calls).for_each(|n| tally.note(Duration::from_millis(n)));
            tally
        };
        let mut beside = of(10, 2);
        beside.merge(of(10, 2));
        assert!((beside.per_second() - 10.0).abs() < 1e-9);
        let mut after = of(10, 2);
        after.append(of(30, 2));
        assert!((after.per_second() - 10.0).abs() < 1e-9);
        assert!((after.percentile_ms(1.0) - 29.0).abs() < 1e-9);
    }
}
