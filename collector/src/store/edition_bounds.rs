//! How many editions the dictionary may hold, and how many of them one delivery may add.
//!
//! Every collector holds the dictionary in memory, so it is bounded in total. What one host may add is bounded by the caller
//! of the store, which gives each delivery an allowance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Editions, and the bytes of their texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EditionTotals {
    /// The number of editions.
    pub editions: u64,
    /// The bytes of their texts.
    pub text_bytes: u64,
}

impl EditionTotals {
    /// The totals with one edition more.
    pub(in crate::store) const fn add(&mut self, text_bytes: usize) {
        self.editions += 1;
        self.text_bytes += text_bytes as u64;
    }

    /// The totals with one edition less.
    pub(in crate::store) const fn take(&mut self, text_bytes: usize) {
        self.editions -= 1;
        self.text_bytes -= text_bytes as u64;
    }

    const fn plus(self, more: Self) -> Self {
        Self {
            editions: self.editions.saturating_add(more.editions),
            text_bytes: self.text_bytes.saturating_add(more.text_bytes),
        }
    }

    const fn fits(self, most: Self) -> bool {
        self.editions <= most.editions && self.text_bytes <= most.text_bytes
    }
}

/// The most that the dictionary may hold, and when to warn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditionLimit {
    /// The most that it may hold.
    pub most: EditionTotals,
    /// How full it is, in percent, when operators are warned.
    pub alarm_percent: u64,
}

/// What the dictionary holds, and the most that it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditionLevel {
    /// What it holds.
    pub held: EditionTotals,
    /// The memory that it takes in this process.
    pub memory_bytes: u64,
    /// Its limit.
    pub limit: EditionLimit,
}

impl EditionLevel {
    /// How full the dictionary is, in percent: by editions or by their texts, whichever is fuller.
    #[must_use]
    pub fn percent(&self) -> u64 {
        let percent = |held: u64, most: u64| {
            let percent = u128::from(held) * 100 / u128::from(most.max(1));
            u64::try_from(percent).unwrap_or(u64::MAX)
        };
        let most = self.limit.most;
        percent(self.held.editions, most.editions).max(percent(self.held.text_bytes, most.text_bytes))
    }

    /// Whether it is so full that operators are warned.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        self.percent() >= self.limit.alarm_percent
    }
}

/// The bound of a dictionary. It has none until it is set.
#[derive(Debug)]
pub(in crate::store) struct EditionBound {
    editions: AtomicU64,
    text_bytes: AtomicU64,
    alarm_percent: AtomicU64,
}

impl Default for EditionBound {
    fn default() -> Self {
        Self {
            editions: AtomicU64::new(u64::MAX),
            text_bytes: AtomicU64::new(u64::MAX),
            alarm_percent: AtomicU64::new(100),
        }
    }
}

impl EditionBound {
    // Relaxed, because the values guard no other memory and are set once, before the first delivery.
    pub(in crate::store) fn set(&self, limit: EditionLimit) {
        self.editions.store(limit.most.editions, Ordering::Relaxed);
        self.text_bytes.store(limit.most.text_bytes, Ordering::Relaxed);
        self.alarm_percent.store(limit.alarm_percent, Ordering::Relaxed);
    }

    /// The level of a dictionary that holds this much, in so many bytes of memory.
    pub(in crate::store) fn level(&self, held: EditionTotals, memory_bytes: usize) -> EditionLevel {
        let alarm_percent = self.alarm_percent.load(Ordering::Relaxed);
        let limit = EditionLimit { most: self.most(), alarm_percent };
        EditionLevel { held, memory_bytes: memory_bytes as u64, limit }
    }

    fn most(&self) -> EditionTotals {
        EditionTotals {
            editions: self.editions.load(Ordering::Relaxed),
            text_bytes: self.text_bytes.load(Ordering::Relaxed),
        }
    }

    /// Whether a dictionary that holds this much may take this much more.
    pub(in crate::store) fn admits(&self, held: EditionTotals, new: EditionTotals) -> bool {
        held.plus(new).fits(self.most())
    }

    /// Whether a dictionary that holds this much takes these new editions of a section, which count against the allowance
    /// of its delivery.
    pub(in crate::store) fn admit(
        &self,
        held: EditionTotals,
        new: EditionTotals,
        allowance: &Allowance,
    ) -> Result<(), HeldBack> {
        if !self.admits(held, new) {
            return Err(HeldBack::Store);
        }
        if allowance.take(new.editions) { Ok(()) } else { Err(HeldBack::Host) }
    }
}

/// How much of something an operation may use: new editions of a delivery, changes of a check-in. The store takes from it; the
/// caller asks afterwards how much it took.
#[derive(Debug, Clone)]
pub struct Allowance {
    given: u64,
    left: Arc<AtomicU64>,
}

impl Allowance {
    /// So many.
    #[must_use]
    pub fn new(editions: u64) -> Self {
        Self { given: editions, left: Arc::new(AtomicU64::new(editions)) }
    }

    /// As many as there may be.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(u64::MAX)
    }

    /// Whether anything is left.
    pub(in crate::store) fn is_left(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }

    /// Takes so many, or none of them if fewer are left.
    pub(in crate::store) fn take(&self, editions: u64) -> bool {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(editions));
        taken.is_ok()
    }

    /// How many were taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.given - self.left.load(Ordering::Relaxed)
    }
}

/// Why sections of a delivery were not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBack {
    /// Their new editions exceed the allowance of the delivery.
    Host,
    /// The dictionary is full.
    Store,
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn totals(editions: u64, text_bytes: u64) -> EditionTotals {
        EditionTotals { editions, text_bytes }
    }

    const fn limit(most: EditionTotals) -> EditionLimit {
        EditionLimit { most, alarm_percent: 80 }
    }

    #[test]
    fn a_dictionary_takes_editions_up_to_its_bound_in_number_and_in_bytes() {
        let bound = EditionBound::default();
        assert!(bound.admits(totals(u64::MAX - 1, 0), totals(1, 1)), "no bound");
        bound.set(limit(totals(10, 100)));
        assert!(bound.admits(totals(9, 90), totals(1, 10)));
        assert!(!bound.admits(totals(9, 90), totals(2, 2)), "too many");
        assert!(!bound.admits(totals(1, 90), totals(1, 11)), "too long");
    }

    #[test]
    fn an_allowance_is_taken_whole_or_not_at_all() {
        let (bound, allowance) = (EditionBound::default(), Allowance::new(5));
        let admit = |new| bound.admit(totals(0, 0), totals(new, 0), &allowance);
        assert_eq!(
            (admit(3), admit(3), admit(2), admit(1)),
            (Ok(()), Err(HeldBack::Host), Ok(()), Err(HeldBack::Host))
        );
        assert_eq!(allowance.taken(), 5);
        bound.set(limit(totals(0, 0)));
        let allowance = Allowance::new(5);
        assert_eq!(bound.admit(totals(0, 0), totals(1, 0), &allowance), Err(HeldBack::Store));
        assert_eq!(allowance.taken(), 0, "what the dictionary refuses costs nothing");
    }

    #[test]
    fn a_dictionary_is_as_full_as_the_fuller_of_its_measures() {
        let level = |held, most| EditionLevel { held, memory_bytes: 0, limit: limit(most) };
        let percent = |held, most| level(held, most).percent();
        assert_eq!(percent(totals(80, 10), totals(100, 100)), 80);
        assert_eq!(percent(totals(1, 99), totals(100, 100)), 99);
        assert_eq!(percent(totals(1, 1), totals(0, u64::MAX)), 100);
        assert_eq!(percent(totals(u64::MAX, 0), totals(u64::MAX, 1)), 100);
        let is_alarming = |editions| level(totals(editions, 0), totals(100, 100)).is_alarming();
        assert_eq!([79, 80, 101].map(is_alarming), [false, true, true]);
    }
}
