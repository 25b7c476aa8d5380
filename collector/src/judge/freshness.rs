//! How old the signatures of a guard are, and until when the answer stays what it is: the clock judges too.

use std::time::Duration;

use muster_proto::model::{HostState, Platform, Timestamp};

use crate::rules::{Catalogue, Product};

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// So far ahead of the collector a date may be: dates without a time are those of some time zone, and clocks differ. A
/// date that is further ahead says nothing of an age.
const AHEAD: Duration = DAY;

const INSTANT: Duration = Duration::from_millis(1);

/// What dates of signatures say at one time of receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    Fresh,
    Stale,
    /// Every date is in the future.
    Ahead,
}

/// The answer for one product, and for which times of receipt it is the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spell {
    pub(super) freshness: Freshness,
    /// From here on.
    pub(super) from: Timestamp,
    /// Up to and with this time.
    pub(super) until: Timestamp,
}

/// What the signatures that the host shows of a product say; `None` without a date.
pub(super) fn freshness(
    catalogue: &Catalogue,
    platform: Platform,
    product: &Product,
    state: &HostState,
    received: Timestamp,
) -> Option<Spell> {
    let signatures = catalogue.signatures_of(product, platform, state);
    let dates: Vec<Timestamp> = signatures.iter().filter_map(|signature| signature.released).collect();
    spell(&dates, Duration::from_secs(product.fresh_days.saturating_mul(DAY.as_secs())), received)
}

fn spell(dates: &[Timestamp], limit: Duration, received: Timestamp) -> Option<Spell> {
    let counts_from = |date: Timestamp| date.minus(AHEAD);
    let (past, future): (Vec<Timestamp>, Vec<Timestamp>) =
        dates.iter().partition(|date| counts_from(**date) <= received);
    // When the next date begins to count, the answer may be another.
    let next = future.into_iter().map(counts_from).min();
    let until = next.map_or(Timestamp::from_millis(i64::MAX), |next| next.minus(INSTANT));
    let Some(newest) = past.into_iter().max() else {
        return next.map(|_| Spell { freshness: Freshness::Ahead, from: Timestamp::from_millis(i64::MIN), until });
    };
    let turn = newest.plus(limit);
    Some(if received <= turn {
        Spell { freshness: Freshness::Fresh, from: counts_from(newest), until: until.min(turn) }
    } else {
        Spell { freshness: Freshness::Stale, from: turn.plus(INSTANT), until }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAYS: i64 = 24 * 3_600_000;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_millis(days * DAYS)
    }

    fn answer(dates: &[i64], received: i64) -> Option<Freshness> {
        let dates: Vec<Timestamp> = dates.iter().map(|days| at(*days)).collect();
        let limit = Duration::from_secs(7 * 86_400);
        let said = spell(&dates, limit, at(received));
        if let Some(said) = said {
            // It is the same answer in the whole spell and not beyond it.
            for inside in [said.from, said.until] {
                assert_eq!(spell(&dates, limit, inside), Some(said), "{dates:?} on day {received}, {inside:?}");
            }
            for beyond in [said.from.minus(INSTANT), said.until.plus(INSTANT)] {
                let is_end_of_time = beyond == said.from || beyond == said.until;
                assert!(is_end_of_time || spell(&dates, limit, beyond) != Some(said), "{dates:?}, {beyond:?}");
            }
        }
        said.map(|said| said.freshness)
    }

    #[test]
    fn signatures_grow_old() {
        assert_eq!(answer(&[], 100), None);
        assert_eq!(answer(&[100], 107), Some(Freshness::Fresh));
        assert_eq!(answer(&[100], 108), Some(Freshness::Stale));
        assert_eq!(answer(&[90, 100], 107), Some(Freshness::Fresh), "the newest counts");
    }

    #[test]
    fn a_date_in_the_future_proves_no_age() {
        assert_eq!(answer(&[101], 100), Some(Freshness::Fresh), "another time zone");
        assert_eq!(answer(&[102], 100), Some(Freshness::Ahead));
        assert_eq!(answer(&[5_000, 100], 101), Some(Freshness::Fresh), "another date does");
        assert_eq!(answer(&[5_000, 100], 110), Some(Freshness::Stale));
    }
}
