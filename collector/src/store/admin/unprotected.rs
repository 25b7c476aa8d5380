//! Hosts that are unprotected under an order.

use muster_proto::model::{OrderId, Timestamp};

use crate::store::SiteScope;
use crate::store::sql::{AdminTx, Step};

// A host that left needs no protection.
const UNPROTECTED: &str = "SELECT r.site, count(*), min(r.unprotected_since) FROM remediation_row r
     JOIN identity_row i ON i.no = r.host
     WHERE r.order_id = $1 AND r.in_scope AND r.unprotected_since IS NOT NULL AND NOT EXISTS (
         SELECT 1 FROM disposition_host x CROSS JOIN disposition d
         WHERE x.host = r.host AND d.no = x.disposition AND x.ended_at IS NULL AND x.returned_at IS NULL AND d.state = 3
             AND i.last_seen <= d.requested_at)
     GROUP BY r.site ORDER BY r.site";

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
