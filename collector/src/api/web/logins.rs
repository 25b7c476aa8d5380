//! How often an account may log in, and an address may begin a login with the identity provider. Every login is an entry of the ledger,
//! which keeps it for ever.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_proto::model::Timestamp;

/// Logins of an account within the period.
pub(super) const OF_ACCOUNT: usize = 20;
/// Logins with the provider that an address begins within the period. Many people may share one.
pub(super) const OF_ADDRESS: usize = 600;
const PERIOD: Duration = Duration::from_secs(3600);
/// Accounts or addresses that are remembered before those are forgotten whose logins are older, and then all of them.
const REMEMBERED: usize = 10_000;

/// The logins of the last hour.
#[derive(Debug)]
pub(super) struct Logins<K> {
    most: usize,
    all: Mutex<HashMap<K, VecDeque<Timestamp>>>,
}

impl<K: Clone + Eq + Hash> Logins<K> {
    pub(super) fn at_most(most: usize) -> Self {
        Self { most, all: Mutex::default() }
    }

    /// Counts a login.
    ///
    /// # Errors
    /// There were too many; the time until there may be another one.
    pub(super) fn count(&self, of: &K, now: Timestamp) -> Result<(), Duration> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.retain(|_, times| times.back().is_some_and(|last| now.since(*last) < PERIOD));
        }
        if all.len() >= REMEMBERED {
            all.clear();
        }
        let times = all.entry(of.clone()).or_default();
        while times.front().is_some_and(|first| now.since(*first) >= PERIOD) {
            times.pop_front();
        }
        match times.front() {
            Some(first) if times.len() >= self.most => Err(first.plus(PERIOD).since(now)),
            Some(_) | None => {
                times.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::AccountId;

    use super::*;

    #[test]
    fn an_account_logs_in_twenty_times_in_any_hour() {
        let (logins, start) = (Logins::at_most(OF_ACCOUNT), Timestamp::from_millis(1_767_000_000_000));
        let (ada, bob) = (AccountId::new("ada").expect("an id"), AccountId::new("bob").expect("an id"));
        let at = |seconds: u64| start.plus(Duration::from_secs(seconds));
        for n in 0..20 {
            assert_eq!(logins.count(&ada, at(n * 60)), Ok(()));
        }
        assert_eq!(logins.count(&ada, at(1_800)), Err(Duration::from_secs(1_800)));
        assert_eq!(logins.count(&bob, at(1_800)), Ok(()), "another account");
        assert_eq!(logins.count(&ada, at(3_600)), Ok(()), "the first one is an hour old");
        assert_eq!(logins.count(&ada, at(3_601)), Err(Duration::from_secs(59)));
    }
}
