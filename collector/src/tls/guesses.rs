//! Wrong tokens by address: when an address may not try another one, and what the log says about it. Pure; `now` is an
//! argument.
//!
//! A token that was right lately is always tried, so that somebody who guesses does not lock out others at the address.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::addresses::AddressKey;

/// How many wrong tokens an address may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessBounds {
    /// Wrong tokens of one address in a period.
    pub per_address: u32,
    /// The period, which begins with the first wrong token.
    pub period: Duration,
    /// Addresses, and right tokens, that are remembered.
    pub remembered: usize,
}

/// What an address did in a period that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GuessReport {
    pub(super) address: AddressKey,
    /// Wrong tokens, with those that were not tried any more.
    pub(super) count: u64,
}

#[derive(Debug)]
struct Guessed {
    since: Instant,
    wrong: u32,
    refused: u64,
}

/// The wrong tokens of one listener.
#[derive(Debug)]
pub(super) struct Guesses {
    bounds: GuessBounds,
    of: HashMap<AddressKey, Guessed>,
    /// The addresses in the order in which their periods end.
    order: VecDeque<AddressKey>,
    right: HashSet<[u8; 32]>,
    right_order: VecDeque<[u8; 32]>,
}

impl Guesses {
    pub(super) fn new(bounds: GuessBounds) -> Self {
        let (of, order) = (HashMap::new(), VecDeque::new());
        Self { bounds, of, order, right: HashSet::new(), right_order: VecDeque::new() }
    }

    /// Whether a token with this hash may be tried. If not, the time until it may.
    pub(super) fn may_try(&mut self, address: AddressKey, token: &[u8; 32], now: Instant) -> Result<(), Duration> {
        if self.right.contains(token) {
            return Ok(());
        }
        match self.of.get_mut(&address) {
            Some(guessed) if guessed.wrong >= self.bounds.per_address => {
                let left = (guessed.since + self.bounds.period).saturating_duration_since(now);
                if left.is_zero() {
                    return Ok(());
                }
                guessed.refused += 1;
                Err(left)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The token was right.
    pub(super) fn right(&mut self, token: [u8; 32]) {
        if self.right.insert(token) {
            self.right_order.push_back(token);
            if self.right_order.len() > self.bounds.remembered
                && let Some(oldest) = self.right_order.pop_front()
            {
                self.right.remove(&oldest);
            }
        }
    }

    /// The token was wrong.
    pub(super) fn wrong(&mut self, address: AddressKey, now: Instant) {
        let guessed = self.of.entry(address).or_insert_with(|| {
            self.order.push_back(address);
            Guessed { since: now, wrong: 0, refused: 0 }
        });
        guessed.wrong = guessed.wrong.saturating_add(1);
    }

    /// Forgets an address whose period has ended, or the oldest one if there are too many, and tells what it did.
    pub(super) fn ended(&mut self, now: Instant) -> Option<GuessReport> {
        let address = *self.order.front()?;
        let since = self.of.get(&address)?.since;
        if now.duration_since(since) < self.bounds.period && self.order.len() <= self.bounds.remembered {
            return None;
        }
        self.order.pop_front();
        let Guessed { wrong, refused, .. } = self.of.remove(&address)?;
        Some(GuessReport { address, count: u64::from(wrong) + refused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: GuessBounds = GuessBounds { per_address: 2, period: Duration::from_secs(60), remembered: 3 };

    fn at(number: u8) -> AddressKey {
        AddressKey::of(std::net::IpAddr::from([192, 0, 2, number]))
    }

    #[test]
    fn an_address_waits_after_some_wrong_tokens_and_others_do_not() {
        let (mut guesses, now) = (Guesses::new(BOUNDS), Instant::now());
        for _ in 0..2 {
            assert_eq!(guesses.may_try(at(1), &[1; 32], now), Ok(()));
            guesses.wrong(at(1), now);
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(guesses.may_try(at(1), &[1; 32], later), Err(Duration::from_secs(40)));
        assert_eq!(guesses.may_try(at(2), &[1; 32], later), Ok(()));
        assert_eq!(guesses.may_try(at(1), &[1; 32], now + BOUNDS.period), Ok(()));
    }

    #[test]
    fn a_token_that_was_right_is_always_tried() {
        let (mut guesses, now) = (Guesses::new(BOUNDS), Instant::now());
        guesses.right([7; 32]);
        for _ in 0..5 {
            guesses.wrong(at(1), now);
        }
        assert!(guesses.may_try(at(1), &[7; 32], now).is_ok());
        assert!(guesses.may_try(at(1), &[8; 32], now).is_err());
    }

    #[test]
    fn a_period_is_told_once_with_all_that_was_tried() {
        let (mut guesses, now) = (Guesses::new(BOUNDS), Instant::now());
        for _ in 0..5 {
            if guesses.may_try(at(1), &[1; 32], now).is_ok() {
                guesses.wrong(at(1), now);
            }
        }
        assert_eq!(guesses.ended(now), None);
        let end = now + BOUNDS.period;
        assert_eq!(guesses.ended(end), Some(GuessReport { address: at(1), count: 5 }));
        assert_eq!(guesses.ended(end), None);
        assert!(guesses.may_try(at(1), &[1; 32], end).is_ok());
    }

    #[test]
    fn nothing_grows_with_the_number_of_addresses_or_tokens() {
        let (mut guesses, now) = (Guesses::new(BOUNDS), Instant::now());
        for number in 0..100 {
            guesses.wrong(at(number), now);
            guesses.right([number; 32]);
            while guesses.ended(now).is_some() {}
        }
        assert_eq!((guesses.of.len(), guesses.order.len()), (3, 3));
        assert_eq!((guesses.right.len(), guesses.right_order.len()), (3, 3));
    }
}
