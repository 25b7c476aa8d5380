//! Rates and latencies of many calls.

use std::time::{Duration, Instant};

/// The results of a number of calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Microseconds of each successful call.
    micros: Vec<u32>,
    /// Number of failed calls.
    pub(crate) failed: u64,
    /// Error of the first failed call.
    pub(crate) first_failure: Option<String>,
    /// Time for all calls.
    pub(crate) elapsed: Duration,
}

impl Tally {
    /// Counts a call that began at `began`.
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

    /// Counts a successful call.
    pub(crate) fn note(&mut self, took: Duration) {
        self.micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// Counts a failed call.
    pub(crate) fn fail(&mut self, error: &anyhow::Error) {
        self.failed += 1;
        self.first_failure.get_or_insert_with(|| format!("{error:#}"));
    }

    /// Adds calls that ran in parallel; the time is not added.
    pub(crate) fn merge(&mut self, other: Self) {
        self.micros.extend(other.micros);
        self.failed += other.failed;
        if self.first_failure.is_none() {
            self.first_failure = other.first_failure;
        }
    }

    /// Adds later calls and their time.
    pub(crate) fn append(&mut self, other: Self) {
        self.elapsed += other.elapsed;
        self.merge(other);
    }

    /// Number of successful calls.
    pub(crate) fn done(&self) -> u64 {
        self.micros.len() as u64
    }

    /// Successful calls per second.
    pub(crate) fn per_second(&self) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { self.done() as f64 / self.elapsed.as_secs_f64() }
    }

    /// The percentile of the latency in milliseconds; zero without calls.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        percentile(&sorted, share).map_or(0.0, |micros| f64::from(micros) / 1000.0)
    }
}

/// The percentile of sorted values.
pub(crate) fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// `part / whole`; zero if `whole` is zero.
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
