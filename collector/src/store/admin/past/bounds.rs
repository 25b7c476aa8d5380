//! What is known of the past of an order: the rules of each time, what retention has removed, and what a restore has lost.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_proto::model::{OrderId, Timestamp};

use crate::store::admin::orders::names;
use crate::store::admin::waivers::clean::DECISIONS;
use crate::store::decide::past::{OrderThen, PastBounds, RulesThen};
use crate::store::sql::{AdminTx, Row, Step};

const FIRST: &str = "SELECT at FROM ledger ORDER BY no LIMIT 1";
const REMOVED: &str = "SELECT history, until FROM history_removed ORDER BY history";
const LOST: &str = "SELECT backup_at, restored_at FROM restoration ORDER BY restored_at";
// Two sets may come in force in one millisecond; the later one has the greater revision.
const RULES: &str = "SELECT p.from_at, s.version, o.patience, o.platforms, o.sites, s.shortest
     FROM rule_period p LEFT JOIN rule_set s ON s.version = p.version
         LEFT JOIN rule_order o ON o.version = p.version AND o.order_id = $1
     WHERE p.from_at >= coalesce((SELECT max(b.from_at) FROM rule_period b WHERE b.from_at <= $2), 0)
     ORDER BY p.from_at, coalesce(s.revision, 0), p.version DESC";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FIRST, REMOVED, LOST, RULES];

/// When the store's first entry was made.
///
/// # Errors
/// The database fails.
pub(crate) fn first_entry(tx: &mut dyn AdminTx) -> Step<Option<Timestamp>> {
    tx.query(FIRST, &[])?.first().map(|row| row.time(0)).transpose()
}

/// When the store was restored from a backup that was made before an instant; `None` if no restore has lost that instant.
///
/// # Errors
/// The database fails.
pub(crate) fn lost_until(tx: &mut dyn AdminTx, at: Timestamp) -> Step<Option<Timestamp>> {
    for row in tx.query(LOST, &[])? {
        if row.time(0)? < at && at < row.time(1)? {
            return row.time(1).map(Some);
        }
    }
    Ok(None)
}

/// What is known of the past of an order from an instant on.
///
/// # Errors
/// The database fails.
pub(crate) fn bounds(tx: &mut dyn AdminTx, order: &OrderId, from: Timestamp, now: Timestamp) -> Step<PastBounds> {
    let first = first_entry(tx)?;
    let mut removed = BTreeMap::new();
    for row in tx.query(REMOVED, &[])? {
        removed.insert(row.text(0)?.to_owned(), row.time(1)?);
    }
    let (lanes_removed, decisions_removed) = (removed.remove("verdicts"), removed.remove(DECISIONS));
    let lost = tx.query(LOST, &[])?.iter().map(|row| Ok((row.time(0)?, row.time(1)?))).collect::<Step<_>>()?;
    let rows = tx.query(RULES, &[order.as_str().into(), from.into()])?;
    let rules = rows.iter().map(rules_then).collect::<Step<Vec<_>>>()?;
    let rules = rules.into_iter().filter(|rules| rules.from <= now).collect();
    Ok(PastBounds { now, first, lanes_removed, decisions_removed, lost, rules })
}

fn rules_then(row: &Row) -> Step<RulesThen> {
    let span = |at: usize| -> Step<Option<Duration>> {
        if row.is_null(at) { Ok(None) } else { row.count(at).map(|millis| Some(Duration::from_millis(millis))) }
    };
    let order = match span(2)? {
        Some(patience) => Some(OrderThen { patience, platforms: names(row, 3)?, sites: names(row, 4)? }),
        None => None,
    };
    Ok(RulesThen { from: row.time(0)?, is_kept: !row.is_null(1), order, shortest: span(5)? })
}
