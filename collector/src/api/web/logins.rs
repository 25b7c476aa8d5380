//! How often an account may log in. Every login is an entry of the ledger, which keeps it for ever.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_proto::model::{AccountId, Timestamp};

/// Logins of an account within the period.
const MOST: usize = 20;
const PERIOD: Duration = Duration::from_secs(3600);
/// Accounts that are remembered before those are forgotten whose logins are older. There are at most 1,000 accounts at a time.
const REMEMBERED: usize = 2_000;

/// The logins of the last hour.
#[derive(Debug, Default)]
pub(super) struct Logins(Mutex<HashMap<AccountId, VecDeque<Timestamp>>>);

impl Logins {
    /// Counts a login.
    ///
    /// # Errors
    /// The account has logged in too often; the time until it may again.
    pub(super) fn count(&self, account: &AccountId, now: Timestamp) -> Result<(), Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.retain(|_, times| times.back().is_some_and(|last| now.since(*last) < PERIOD));
        }
        let times = all.entry(account.clone()).or_default();
        while times.front().is_some_and(|first| now.since(*first) >= PERIOD) {
            times.pop_front();
        }
        match times.front() {
            Some(first) if times.len() >= MOST => Err(first.plus(PERIOD).since(now)),
            Some(_) | None => {
                times.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_logs_in_twenty_times_in_any_hour() {
        let (logins, start) = (Logins::default(), Timestamp::from_millis(1_767_000_000_000));
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
