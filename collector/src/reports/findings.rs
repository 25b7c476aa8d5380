//! Findings: hosts that are not finished, worst first. Pages are read one at a time, so the fleet is never in memory.

use muster_proto::model::{Finding, HostId, Lane, OrderId};

use super::verdict::effective;
use super::{Page, ReportContext, ReportError};
use crate::judge::{HostSituation, is_past_due, place, silent_before};
use crate::rules::Order;
use crate::store::{HostQuery, StoredHostRow, StoredVerdict};

/// The order of lanes in a list: the product itself, then what is left to do, then what cannot be judged.
const WORST_FIRST: [Lane; 7] =
    [Lane::Replace, Lane::Remove, Lane::Protect, Lane::Confirm, Lane::Missing, Lane::Unknown, Lane::Silent];

/// Which findings a list shows.
#[derive(Debug, Clone, Default)]
pub struct FindingsQuery {
    /// Only under this order; `None` is every active order.
    pub order: Option<OrderId>,
    /// Only in these lanes; empty is every lane that is not finished.
    pub lanes: Vec<Lane>,
    /// At most this many.
    pub rows: usize,
    /// The token of the previous page.
    pub page: Option<String>,
}

impl ReportContext {
    /// Hosts that are not finished: past-due orders first, then by lane, then by id.
    ///
    /// # Errors
    /// The order does not exist or is not active, the page token is not valid, or the store failed.
    pub async fn findings(&self, query: FindingsQuery) -> Result<Page<Finding>, ReportError> {
        let mut orders = self.orders_asked(query.order.as_ref())?;
        orders.sort_by_key(|order| (!is_past_due(order, self.now), &order.id));
        let lanes = WORST_FIRST.iter().filter(|lane| query.lanes.is_empty() || query.lanes.contains(lane));
        let lanes: Vec<Lane> = lanes.copied().collect();
        let mut buckets: Vec<(&Order, Lane)> =
            orders.iter().flat_map(|order| lanes.iter().map(move |lane| (*order, *lane))).collect();
        let mut after = None;
        if let Some(token) = &query.page {
            let (order, lane, host) = read_token(token).ok_or(ReportError::PageToken)?;
            let at = buckets.iter().position(|(one, its)| one.id == order && *its == lane);
            buckets.drain(..at.ok_or(ReportError::PageToken)?);
            after = Some(host);
        }
        let mut rows: Vec<Finding> = Vec::new();
        for (order, lane) in buckets {
            let asked = HostQuery {
                order: Some(order.id.clone()),
                lanes: vec![lane],
                silent_before: Some(silent_before(order, self.now)),
                in_scope_only: true,
                sites: self.sites.clone(),
                // The loop ends when the page is full, so this cannot underflow.
                rows: query.rows - rows.len(),
                // Only the first lane continues after a host; the others start at their beginning.
                after: after.take(),
                ..HostQuery::default()
            };
            let stored = self.store.host_list(asked).await?;
            rows.extend(stored.iter().filter_map(|row| self.finding(order, row)));
            if rows.len() >= query.rows {
                let next = rows.last().map(|row| format!("{}/{}/{}", row.order, row.lane, row.host));
                return Ok(Page { rows, next });
            }
        }
        Ok(Page { rows, next: None })
    }

    fn finding(&self, order: &Order, row: &StoredHostRow) -> Option<Finding> {
        let verdict = row.verdicts.iter().find(|verdict| verdict.order == order.id)?;
        let effective = effective(order, verdict, row.last_seen, self.now);
        let (reason, advice) = if effective.lane == verdict.awake_lane {
            (verdict.reason.clone(), verdict.advice.clone())
        } else {
            self.silence(order, row, verdict)
        };
        Some(Finding {
            order: order.id.clone(),
            host: row.host,
            hostname: row.hostname.clone(),
            site: row.site.clone(),
            platform: row.platform,
            lane: effective.lane,
            overdue: effective.overdue,
            presence: verdict.presence,
            protection: verdict.protection,
            since: effective.since,
            reason,
            advice,
        })
    }

    /// Reason and advice for a host that became silent after it was judged.
    fn silence(&self, order: &Order, row: &StoredHostRow, verdict: &StoredVerdict) -> (String, String) {
        let situation = HostSituation {
            platform: row.platform,
            site: &row.site,
            last_seen: row.last_seen,
            remediation: &verdict.remediation,
            decision: None,
        };
        let placed = place(order, None, &situation, self.now);
        let reason = placed.reasons.into_iter().next().map(|reason| reason.text);
        (reason.unwrap_or_else(|| verdict.reason.clone()), placed.advice)
    }
}

fn read_token(token: &str) -> Option<(OrderId, Lane, HostId)> {
    let mut parts = token.split('/');
    let (order, lane, host) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some((order.parse().ok()?, lane.parse().ok()?, host.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unfinished_lane_is_listed_once() {
        let mut listed = WORST_FIRST.to_vec();
        listed.sort();
        let unfinished: Vec<Lane> = Lane::ALL.iter().copied().filter(|lane| !lane.is_finished()).collect();
        assert_eq!(listed, unfinished);
    }

    #[test]
    fn only_a_page_token_that_was_issued_is_read() {
        let host = HostId::random();
        let read = read_token(&format!("us-bis-icts-2021-002/replace/{host}")).expect("a token");
        assert_eq!((read.0.as_str(), read.1, read.2), ("us-bis-icts-2021-002", Lane::Replace, host));
        for wrong in ["", "a", "a/replace", "a/nowhere/x", "a/replace/x", &format!("a/replace/{host}/more")] {
            assert!(read_token(wrong).is_none(), "{wrong}");
        }
    }
}
