//! Login links: how many an account may make.

use std::time::Duration;

use muster_proto::model::Timestamp;

/// Links of an account. It may make another one as long as fewer of them are within their time, whether they are used or not: each is
/// an entry of the ledger, which nobody may fill.
pub(in crate::store) const PER_ACCOUNT: usize = 5;
/// How long the store still knows that a link is over, so that its page can say so.
pub(in crate::store) const TOLD_FOR: Duration = Duration::from_secs(86_400);

/// Whether an account with links that end then, the first one first, may make another one: how many of the first ones are removed for it.
///
/// # Errors
/// It has made too many; the instant at which it may make another one.
pub(in crate::store) fn may_make(ends: &[Timestamp], now: Timestamp) -> Result<usize, Timestamp> {
    let removed = (ends.len() + 1).saturating_sub(PER_ACCOUNT);
    match ends.get(removed.wrapping_sub(1)) {
        Some(end) if removed > 0 && *end > now => Err(*end),
        Some(_) | None => Ok(removed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_makes_five_links_within_their_time() {
        let at = |second: u64| Timestamp::from_millis(1_767_000_000_000).plus(Duration::from_secs(second));
        let ends = |seconds: &[u64]| seconds.iter().map(|second| at(*second)).collect::<Vec<_>>();
        assert_eq!(may_make(&[], at(0)), Ok(0));
        assert_eq!(may_make(&ends(&[10, 20, 30, 40]), at(5)), Ok(0));
        assert_eq!(may_make(&ends(&[10, 20, 30, 40, 50]), at(9)), Err(at(10)));
        assert_eq!(may_make(&ends(&[10, 20, 30, 40, 50]), at(10)), Ok(1), "the first one is over");
    }
}
