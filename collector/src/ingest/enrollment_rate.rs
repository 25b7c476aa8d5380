//! How many hosts may enroll in a minute, by token and by address. Time is an argument.
//!
//! Each key may use its whole minute at once, and gets it back evenly. What waits is spread: the time to come back grows with
//! the number of hosts that were refused, so that ten thousand hosts do not return together.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_proto::model::{Timestamp, TokenId};

use crate::config::Enrollment;
use crate::tls::AddressKey;

const MINUTE_US: i64 = 60_000_000;
/// The longest time over which hosts that were refused are spread.
const MOST_SPREAD: Duration = Duration::from_secs(3600);

/// When a host that was refused may come back: after `next`, plus a random part of `spread`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ComeBack {
    pub(super) next: Duration,
    pub(super) spread: Duration,
}

/// The enrollments of the last minute.
#[derive(Debug)]
pub(super) struct EnrollmentRate {
    tokens: Mutex<Rate<TokenId>>,
    addresses: Mutex<Rate<AddressKey>>,
}

/// Which bound an enrollment has reached, and when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooMany {
    WithToken(ComeBack),
    AtAddress(ComeBack),
}

impl EnrollmentRate {
    pub(super) fn new(bounds: Enrollment) -> Self {
        Self {
            tokens: Mutex::new(Rate::new(bounds.token_per_minute, bounds.remembered)),
            addresses: Mutex::new(Rate::new(bounds.address_per_minute, bounds.remembered)),
        }
    }

    /// Counts an enrollment, or refuses it.
    pub(super) fn take(&self, token: &TokenId, address: Option<AddressKey>, now: Timestamp) -> Result<(), TooMany> {
        if let Some(address) = address {
            lock(&self.addresses).take(address, now).map_err(TooMany::AtAddress)?;
        }
        lock(&self.tokens).take(token.clone(), now).map_err(|come_back| {
            self.give_back_address(address);
            TooMany::WithToken(come_back)
        })
    }

    /// Takes back the count of an enrollment that made no host: a guess must not use up the minute of a token.
    pub(super) fn give_back(&self, token: &TokenId, address: Option<AddressKey>) {
        lock(&self.tokens).give_back(token);
        self.give_back_address(address);
    }

    fn give_back_address(&self, address: Option<AddressKey>) {
        if let Some(address) = address {
            lock(&self.addresses).give_back(&address);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one key has used.
#[derive(Debug, Clone, Copy)]
struct Used {
    /// When the minute would be whole again, in microseconds.
    whole_at: i64,
    /// Hosts that were refused since the key was last within its bound.
    refused: u32,
}

#[derive(Debug)]
struct Rate<K> {
    /// Microseconds that one enrollment takes of the minute.
    interval: i64,
    most: usize,
    keys: HashMap<K, Used>,
}

impl<K: Eq + Hash + Clone> Rate<K> {
    fn new(per_minute: u64, most: usize) -> Self {
        let per_minute = i64::try_from(per_minute).unwrap_or(MINUTE_US).clamp(1, MINUTE_US);
        Self { interval: MINUTE_US / per_minute, most, keys: HashMap::new() }
    }

    fn take(&mut self, key: K, now: Timestamp) -> Result<(), ComeBack> {
        let now = now.millis().saturating_mul(1_000);
        if self.keys.len() >= self.most && !self.keys.contains_key(&key) {
            self.make_space(now);
        }
        let used = self.keys.entry(key).or_insert(Used { whole_at: now, refused: 0 });
        // A clock that was set back must not refuse a key for longer than a minute.
        let after = used.whole_at.clamp(now, now + MINUTE_US) + self.interval;
        let wait = after - (now + MINUTE_US);
        if wait <= 0 {
            *used = Used { whole_at: after, refused: if after - now <= MINUTE_US / 2 { 0 } else { used.refused } };
            return Ok(());
        }
        used.refused = used.refused.saturating_add(1);
        let next = Duration::from_micros(wait.unsigned_abs()).max(Duration::from_secs(1));
        let spread = Duration::from_micros(self.interval.unsigned_abs()).saturating_mul(used.refused);
        Err(ComeBack { next, spread: spread.min(MOST_SPREAD) })
    }

    fn give_back(&mut self, key: &K) {
        if let Some(used) = self.keys.get_mut(key) {
            used.whole_at -= self.interval;
        }
    }

    /// Forgets the keys whose minute is whole again, and if there are none, the one that has used least.
    fn make_space(&mut self, now: i64) {
        self.keys.retain(|_, used| used.whole_at > now);
        if self.keys.len() >= self.most
            && let Some(least) = self.keys.iter().min_by_key(|(_, used)| used.whole_at).map(|(key, _)| key.clone())
        {
            self.keys.remove(&least);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }

    #[test]
    fn a_minute_may_be_used_at_once_and_comes_back_evenly() {
        let mut rate = Rate::new(60, 100);
        for n in 0..60 {
            assert_eq!(rate.take("a", at(0)), Ok(()), "{n}");
        }
        let refused = rate.take("a", at(0)).expect_err("one too many");
        assert_eq!(refused, ComeBack { next: Duration::from_secs(1), spread: Duration::from_secs(1) });
        assert_eq!(rate.take("b", at(0)), Ok(()), "another key");
        assert_eq!(rate.take("a", at(1_000)), Ok(()));
        assert!(rate.take("a", at(1_000)).is_err());
        rate.give_back(&"a");
        assert_eq!(rate.take("a", at(1_000)), Ok(()), "one made no host");
        assert!((0..60).all(|_| rate.take("a", at(62_000)).is_ok()), "the whole minute is back");
    }

    #[test]
    fn hosts_that_are_refused_are_spread_and_ten_thousand_of_them_enroll_within_an_hour() {
        let mut rate = Rate::new(Enrollment::default().address_per_minute, 100);
        // Each host comes at its time, and after a refusal as the agent does: after `next` and a part of `spread`.
        let mut due: BinaryHeap<Reverse<(i64, u32)>> = (0..10_000).map(|host| Reverse((0, host))).collect();
        let (mut enrolled, mut calls, mut last) = (0, 0_u32, 0);
        while let Some(Reverse((millis, host))) = due.pop() {
            calls += 1;
            match rate.take((), at(millis)) {
                Ok(()) => (enrolled, last) = (enrolled + 1, millis),
                Err(ComeBack { next, spread }) => {
                    let chance = f64::from((host.wrapping_mul(2_654_435_761).wrapping_add(calls)) % 1_000) / 1_000.0;
                    let pause = next + spread.mul_f64(chance);
                    due.push(Reverse((millis + i64::try_from(pause.as_millis()).expect("short"), host)));
                }
            }
        }
        assert_eq!(enrolled, 10_000);
        assert!(last <= 3_600_000, "the last host enrolled after {} s", last / 1_000);
        println!("10,000 hosts in {} s with {calls} calls", last / 1_000);
        assert!(calls < 100_000, "{calls} calls");
    }

    #[test]
    fn memory_is_bounded_and_a_clock_that_is_set_back_refuses_nobody_for_long() {
        let mut rate = Rate::new(2, 10);
        for key in 0..1_000 {
            let _ = rate.take(key, at(0));
            assert!(rate.keys.len() <= 10);
        }
        let mut rate = Rate::new(1, 10);
        assert_eq!(rate.take("a", at(86_400_000)), Ok(()));
        let refused = rate.take("a", at(0)).expect_err("used");
        assert!(refused.next <= Duration::from_secs(60), "{refused:?}");
    }

    #[test]
    fn a_token_that_is_refused_costs_its_address_nothing() {
        let bounds = Enrollment { token_per_minute: 1, address_per_minute: 2, remembered: 16 };
        let rate = EnrollmentRate::new(bounds);
        let address = Some(AddressKey::of(std::net::Ipv4Addr::LOCALHOST.into()));
        let token = |id: &str| TokenId::new(id).expect("an id");
        assert_eq!(rate.take(&token("a"), address, at(0)), Ok(()));
        for _ in 0..5 {
            assert!(matches!(rate.take(&token("a"), address, at(0)), Err(TooMany::WithToken(_))));
        }
        assert_eq!(rate.take(&token("b"), address, at(0)), Ok(()));
        assert!(matches!(rate.take(&token("c"), address, at(0)), Err(TooMany::AtAddress(_))));
        rate.give_back(&token("b"), address);
        assert_eq!(rate.take(&token("b"), address, at(0)), Ok(()));
    }
}
