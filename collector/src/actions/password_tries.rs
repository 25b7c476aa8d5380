//! Wrong passwords: how long an account and an address have to wait after them. Pure; `now` is an argument.
//!
//! Each collector counts for itself, in memory: with several of them, somebody who guesses has so many times as many tries, which
//! is still nothing against a password that the rule accepts. A table of the store would let strangers make it write.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Tries without a wait.
const FREE: u32 = 10;
/// The wait after the next one; it doubles with each further one.
const FIRST: Duration = Duration::from_secs(2);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Tries are forgotten so long after the last one.
const KEPT: Duration = Duration::from_secs(3_600);

/// The tries of accounts, or of addresses. When there is no space, the one that tried longest ago is forgotten.
#[derive(Debug)]
pub(super) struct Tries<K> {
    most: usize,
    next: u64,
    of: HashMap<K, Tried>,
    /// The same keys, in the order of their last tries.
    order: BTreeMap<u64, K>,
}

#[derive(Debug, Clone, Copy)]
struct Tried {
    count: u32,
    last: Instant,
    place: u64,
}

impl Tried {
    /// The instant from which it may try again.
    fn from(&self) -> Instant {
        let doublings = match self.count.checked_sub(FREE) {
            Some(doublings) => doublings,
            None => return self.last,
        };
        let wait = 2_u32.checked_pow(doublings).map_or(LONGEST, |factor| FIRST.saturating_mul(factor).min(LONGEST));
        self.last + wait
    }
}

impl<K: Clone + Eq + Hash> Tries<K> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, next: 0, of: HashMap::new(), order: BTreeMap::new() }
    }

    /// The time until this one may try; `None` if it may now.
    pub(super) fn wait(&self, key: &K, now: Instant) -> Option<Duration> {
        let tried = self.of.get(key).filter(|tried| now.duration_since(tried.last) < KEPT)?;
        Some(tried.from().saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// Counts a try as wrong, before it is known to be. Otherwise many at the same time would all be free.
    pub(super) fn begin(&mut self, key: &K, now: Instant) {
        self.next += 1;
        let before =
            self.of.get(key).filter(|tried| now.duration_since(tried.last) < KEPT).map_or(0, |tried| tried.count);
        let tried = Tried { count: before.saturating_add(1), last: now, place: self.next };
        if let Some(earlier) = self.of.insert(key.clone(), tried) {
            self.order.remove(&earlier.place);
        }
        self.order.insert(self.next, key.clone());
        if self.of.len() > self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.of.remove(&oldest);
        }
    }

    /// A try that was counted was not wrong, or was not made.
    pub(super) fn take_back(&mut self, key: &K) {
        if let Some(tried) = self.of.get_mut(key) {
            tried.count = tried.count.saturating_sub(1);
        }
    }

    /// Forgets all tries of this one.
    pub(super) fn forget(&mut self, key: &K) {
        if let Some(tried) = self.of.remove(key) {
            self.order.remove(&tried.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_ten_tries_the_wait_doubles_up_to_a_quarter_of_an_hour() {
        let (mut tries, start) = (Tries::new(10), Instant::now());
        let mut now = start;
        for _ in 0..10 {
            assert_eq!(tries.wait(&"ada", now), None);
            tries.begin(&"ada", now);
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait = tries.wait(&"ada", now).expect("a wait");
            assert_eq!(tries.wait(&"ada", now + wait), None);
            waits.push(wait.as_secs());
            now += wait;
            tries.begin(&"ada", now);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        assert_eq!(tries.wait(&"bob", now), None, "another account");
        assert_eq!(tries.wait(&"ada", now + KEPT), None, "forgotten");
        tries.begin(&"ada", now + KEPT);
        assert_eq!(tries.wait(&"ada", now + KEPT), None, "the first of ten");
    }

    #[test]
    fn a_right_password_forgets_the_wrong_ones_and_a_try_that_was_not_made_does_not_count() {
        let (mut tries, now) = (Tries::new(10), Instant::now());
        for _ in 0..10 {
            tries.begin(&"ada", now);
        }
        assert!(tries.wait(&"ada", now).is_some());
        tries.take_back(&"ada");
        assert_eq!(tries.wait(&"ada", now), None);
        tries.begin(&"ada", now);
        tries.forget(&"ada");
        assert_eq!(tries.wait(&"ada", now), None);
        assert!(tries.of.is_empty() && tries.order.is_empty());
    }

    #[test]
    fn the_table_has_a_bound_and_keeps_those_who_tried_last() {
        let (mut tries, now) = (Tries::new(3), Instant::now());
        for _ in 0..11 {
            tries.begin(&0, now);
        }
        for key in 1..50 {
            tries.begin(&key, now);
            tries.begin(&0, now);
        }
        assert_eq!((tries.of.len(), tries.order.len()), (3, 3));
        assert!(tries.wait(&0, now).is_some());
    }
}
