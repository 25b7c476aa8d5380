//! Whether the signatures of a protection product are fresh, and for how long that answer holds: signatures age without
//! any change on the host.

use std::time::Duration;

use muster_proto::model::{HostState, Platform, Timestamp};

use crate::rules::{Catalogue, Product};

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How far ahead of the collector's clock a date may be. Dates without a time are in some local time zone, and clocks
/// differ. A date that is further ahead says nothing about age.
const AHEAD: Duration = DAY;

/// Signatures are not older than the products. An earlier date is how a tool spells none: Defender gives an age of 65,535 days,
/// and an empty time of Windows is in 1601.
const FIRST: Timestamp = Timestamp::from_millis(631_152_000_000); // 1990-01-01

const INSTANT: Duration = Duration::from_millis(1);

/// What the dates of signatures say at the time of receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    Fresh,
    Stale,
    /// There are none.
    Absent,
    /// Every date is in the future.
    Ahead,
}

/// The answer for one product, and for which times of receipt it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spell {
    pub(super) freshness: Freshness,
    /// From this time on.
    pub(super) from: Timestamp,
    /// Up to and including this time.
    pub(super) until: Timestamp,
}

/// The freshness of a product's signatures on a host; `None` if the host reports no date.
pub(super) fn freshness(
    catalogue: &Catalogue,
    platform: Platform,
    product: &Product,
    state: &HostState,
    received: Timestamp,
) -> Option<Spell> {
    let signatures = catalogue.signatures_of(product, platform, state);
    let dates: Vec<Timestamp> = signatures.iter().filter_map(|signature| signature.released).collect();
    // The limit comes from a rule file and may be any number, so the product saturates.
    spell(&dates, Duration::from_secs(product.fresh_days.saturating_mul(DAY.as_secs())), received)
}

fn spell(dates: &[Timestamp], limit: Duration, received: Timestamp) -> Option<Spell> {
    let counts_from = |date: Timestamp| date.minus(AHEAD);
    let (past, future): (Vec<Timestamp>, Vec<Timestamp>) =
        dates.iter().filter(|date| **date >= FIRST).partition(|date| counts_from(**date) <= received);
    // The answer can change when the next future date starts to count.
    let next = future.into_iter().map(counts_from).min();
    let until = next.map_or(Timestamp::from_millis(i64::MAX), |next| next.minus(INSTANT));
    let Some(newest) = past.into_iter().max() else {
        if next.is_none() && !dates.is_empty() {
            return Some(Spell { freshness: Freshness::Absent, from: Timestamp::from_millis(i64::MIN), until });
        }
        return next.map(|_| Spell { freshness: Freshness::Ahead, from: Timestamp::from_millis(i64::MIN), until });
    };
    let turn = newest.plus(limit);
    Some(if received <= turn {
        // Before `from` the newest date is in the future, and an older one decides.
        Spell { freshness: Freshness::Fresh, from: counts_from(newest), until: until.min(turn) }
    } else {
        // `Fresh` includes the turn itself, so `Stale` starts one millisecond later and no time belongs to both.
        Spell { freshness: Freshness::Stale, from: turn.plus(INSTANT), until }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAYS: i64 = 24 * 3_600_000;

    /// Days after 1990, before which no date counts.
    fn at(days: i64) -> Timestamp {
        Timestamp::from_millis(631_152_000_000 + days * DAYS)
    }

    fn answer(dates: &[i64], received: i64) -> Option<Freshness> {
        let dates: Vec<Timestamp> = dates.iter().map(|days| at(*days)).collect();
        let limit = Duration::from_secs(7 * 86_400);
        let answer = spell(&dates, limit, at(received));
        if let Some(answer) = answer {
            // The answer is the same within its spell and differs outside of it.
            for inside in [answer.from, answer.until] {
                assert_eq!(spell(&dates, limit, inside), Some(answer), "{dates:?} on day {received}, {inside:?}");
            }
            for beyond in [answer.from.minus(INSTANT), answer.until.plus(INSTANT)] {
                let is_end_of_time = beyond == answer.from || beyond == answer.until;
                assert!(is_end_of_time || spell(&dates, limit, beyond) != Some(answer), "{dates:?}, {beyond:?}");
            }
        }
        answer.map(|answer| answer.freshness)
    }

    #[test]
    fn signatures_become_stale_after_the_limit() {
        assert_eq!(answer(&[], 100), None);
        assert_eq!(answer(&[100], 107), Some(Freshness::Fresh));
        assert_eq!(answer(&[100], 108), Some(Freshness::Stale));
        assert_eq!(answer(&[90, 100], 107), Some(Freshness::Fresh), "the newest counts");
    }

    #[test]
    fn a_date_in_the_future_does_not_count() {
        assert_eq!(answer(&[101], 100), Some(Freshness::Fresh), "another time zone");
        assert_eq!(answer(&[102], 100), Some(Freshness::Ahead));
        assert_eq!(answer(&[5_000, 100], 101), Some(Freshness::Fresh), "the other date counts");
        assert_eq!(answer(&[5_000, 100], 110), Some(Freshness::Stale));
    }
    #[test]
    fn a_date_before_all_products_means_no_signatures() {
        assert_eq!(answer(&[-50_000], 100), Some(Freshness::Absent), "an age of 65,535 days");
        assert_eq!(answer(&[-50_000, 100], 101), Some(Freshness::Fresh), "another date counts");
        assert_eq!(answer(&[-50_000, 5_000], 101), Some(Freshness::Ahead));
    }
}
