//! Hosts that are unprotected under an order.

use muster_proto::model::{OrderId, Timestamp};

use crate::store::SiteScope;
use crate::store::sql::{AdminTx, Step};

const UNPROTECTED: &str = "SELECT site, count(*), min(unprotected_since) FROM remediation_row
     WHERE order_id = $1 AND in_scope AND unprotected_since IS NOT NULL GROUP BY site ORDER BY site";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[UNPROTECTED];

/// Hosts that are unprotected now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct UnprotectedHosts {
    pub(crate) hosts: u64,
    /// Since when the first of them is.
    pub(crate) since: Option<Timestamp>,
}

/// The hosts in scope of an order that are unprotected, of those that a caller of these sites may see.
///
/// # Errors
/// The database fails.
pub(crate) fn count(tx: &mut dyn AdminTx, order: &OrderId, sites: &SiteScope) -> Step<UnprotectedHosts> {
    let mut counted = UnprotectedHosts::default();
    for row in tx.query(UNPROTECTED, &[order.as_str().into()])? {
        if sites.contains(&row.parse("a site", 0)?) {
            counted.hosts += row.count(1)?;
            counted.since = counted.since.into_iter().chain(row.maybe_time(2)?).min();
        }
    }
    Ok(counted)
}
