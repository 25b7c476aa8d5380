//! How many files are sent at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;

use super::refusal::Refusal;

/// Files of one account at once. A file reads the whole list, which is work for the store.
const PER_ACCOUNT: usize = 2;
/// Files of all accounts at once.
const MOST: usize = 4;

/// How many files each account is being sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Downloads(Arc<Mutex<HashMap<String, usize>>>);

/// A place among the files that are being sent.
#[derive(Debug)]
pub(super) struct Place {
    all: Downloads,
    account: String,
}

impl Downloads {
    /// Takes a place for a file of this account.
    ///
    /// # Errors
    /// As many files are being sent as may be at once.
    pub(super) fn begin(&self, account: &str) -> Result<Place, Refusal> {
        let mut of = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = of.get(account).copied().unwrap_or_default();
        if own >= PER_ACCOUNT || of.values().sum::<usize>() >= MOST {
            let whose = if own >= PER_ACCOUNT { "to your account" } else { "to all accounts" };
            let text =
                format!("As many files are being sent {whose} as may be at once. Try again when one has arrived.");
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, text));
        }
        of.insert(account.to_owned(), own + 1);
        Ok(Place { all: self.clone(), account: account.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        match of.get_mut(&self.account) {
            Some(own) if *own > 1 => *own -= 1,
            Some(_) | None => drop(of.remove(&self.account)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_two_files_at_once_and_all_have_four() {
        let all = Downloads::default();
        let begin = |account: &str| all.begin(account).map_err(|refused| (refused.status, refused.text));
        let mut places = vec![begin("ada").expect("the first"), begin("ada").expect("the second")];
        let (status, text) = begin("ada").expect_err("the third");
        assert!(status == StatusCode::TOO_MANY_REQUESTS && text.contains("your account"), "{text}");
        places.extend([begin("bob").expect("another account"), begin("eve").expect("another account")]);
        assert!(begin("kim").expect_err("the fifth").1.contains("all accounts"));
        drop(places.remove(0));
        assert!(begin("ada").is_ok(), "one has ended");
        drop(places);
        assert!(all.0.lock().expect("a lock").is_empty(), "nothing is left");
    }
}
