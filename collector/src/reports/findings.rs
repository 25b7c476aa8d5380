//! Findings: hosts that are not finished. Pages are read one at a time, so the fleet is never in memory.

use muster_proto::model::{Finding, FindingsSort, HostMark, Lane, OrderId, Presence, Protection, SiteId};

use super::paging::{Page, Part};
use super::verdict::effective;
use super::{ReportContext, ReportError};
use crate::filter::Filter;
use crate::judge::{HostSituation, Remediation, effective_lane, is_overdue, is_silent, place, silent_before};
use crate::rules::Order;
use crate::store::{HostQuery, HostSort, SiteScope, StoredHostRow};

/// The order of lanes in a list: the product itself, then what is left to do, then what cannot be judged.
pub(super) const WORST_FIRST: [Lane; 7] =
    [Lane::Replace, Lane::Remove, Lane::Protect, Lane::Confirm, Lane::Missing, Lane::Unknown, Lane::Silent];

/// Which findings a list shows.
#[derive(Debug, Clone)]
pub struct FindingsQuery {
    /// Only under this order; `None` is every active order.
    pub order: Option<OrderId>,
    /// Only in these lanes; empty is every lane that is not finished.
    pub lanes: Vec<Lane>,
    /// Only hosts of these sites; empty is every site.
    pub sites: Vec<SiteId>,
    /// Only hosts that match this under the order of the finding.
    pub filter: Filter,
    /// The order of the findings of an order.
    pub sort: FindingsSort,
    /// At most this many.
    pub rows: usize,
    /// The token of an earlier page.
    pub page: Option<String>,
}

impl Default for FindingsQuery {
    fn default() -> Self {
        let sort = FindingsSort::Lane;
        let filter = Filter::default();
        Self { order: None, lanes: Vec::new(), sites: Vec::new(), filter, sort, rows: 1_000, page: None }
    }
}

impl ReportContext {
    /// Hosts that are not finished, order by order. The order with the earliest due date comes first.
    ///
    /// # Errors
    /// The order does not exist or is not active, the page token is not valid, or the store failed.
    pub async fn findings(&self, query: FindingsQuery) -> Result<Page<Finding>, ReportError> {
        let named = Self::order_named(query.order.as_ref(), &query.filter)?;
        let mut orders = self.orders_asked(named.as_ref())?;
        // An order without a due date is never overdue, so it comes last.
        orders.sort_by_key(|order| (order.due().is_none(), order.due(), &order.id));
        let lanes = WORST_FIRST.iter().filter(|lane| query.lanes.is_empty() || query.lanes.contains(lane));
        let lanes: Vec<Lane> = lanes.copied().collect();
        let sites = self.sites.intersection(&SiteScope::of(&query.sites));
        let whole = |order: &Order| HostQuery { lanes: lanes.clone(), sites: sites.clone(), ..self.of_order(order) };
        let whole = |order: &Order| self.narrow(whole(order), &query.filter, Some(order));
        let (mut parts, mut order_of) = (Vec::new(), Vec::new());
        for order in &orders {
            // No lane that is left is a finding, and an empty list would mean every lane.
            if let Some(whole) = whole(order).filter(|_| !lanes.is_empty()) {
                parts.extend(self.parts(order, &whole, query.sort).await?);
            }
            order_of.resize(parts.len(), *order);
        }
        let (rows, next) = self.page(&parts, query.rows, query.page.as_deref()).await?;
        let rows = rows.iter().filter_map(|(at, row)| self.finding(order_of[*at], row)).collect();
        let mut total = None;
        if query.page.is_none() {
            let mut counted = 0;
            for order in orders {
                if let Some(whole) = whole(order).filter(|_| !lanes.is_empty()) {
                    counted += self.hosts_total(&whole, Some(order)).await?;
                }
            }
            total = Some(counted);
        }
        Ok(Page { rows, next, total })
    }

    /// The parts of one order's findings, in their order. The hosts of all of them are `whole`.
    async fn parts(&self, order: &Order, whole: &HostQuery, sort: FindingsSort) -> Result<Vec<Part>, ReportError> {
        let part = |name: &str, query: HostQuery| Part { name: format!("{}/{name}", order.id), query };
        let by = |sort: HostSort| HostQuery { sort, ..whole.clone() };
        Ok(match sort {
            FindingsSort::Lane => {
                let of_lane = |lane: &Lane| part(lane.name(), HostQuery { lanes: vec![*lane], ..by(HostSort::Name) });
                WORST_FIRST.iter().filter(|lane| whole.lanes.contains(lane)).map(of_lane).collect()
            }
            FindingsSort::Site => {
                let of_site = |site: SiteId| {
                    let sites = SiteScope::Only(vec![site.clone()]);
                    part(site.as_str(), HostQuery { sites, ..by(HostSort::Name) })
                };
                self.store.site_tally(&whole.sites).await?.into_iter().map(|(site, _)| of_site(site)).collect()
            }
            FindingsSort::Name => vec![part("name", by(HostSort::Name))],
            FindingsSort::LastSeen => vec![part("last-seen", by(HostSort::LastSeen))],
            FindingsSort::Since => vec![part("since", by(HostSort::Since))],
        })
    }

    /// The hosts in the scope of an order.
    pub(super) fn of_order(&self, order: &Order) -> HostQuery {
        HostQuery {
            order: Some(order.id.clone()),
            silent_before: Some(silent_before(order, self.now)),
            decided_at: self.now,
            patience: order.patience,
            in_scope_only: true,
            sites: self.sites.clone(),
            ..HostQuery::default()
        }
    }

    fn finding(&self, order: &Order, row: &StoredHostRow) -> Option<Finding> {
        let Some(verdict) = row.verdicts.iter().find(|verdict| verdict.order == order.id) else {
            return order.binds(row.platform, &row.site, &row.labels).then(|| self.unjudged(order, row));
        };
        let effective = effective(order, verdict, &row.decisions, row.last_seen, self.now);
        let (reason, advice) = if effective.lane == verdict.awake_lane {
            (verdict.reason.clone(), verdict.advice.clone())
        } else {
            let (reason, advice) = self.silence(order, row, &verdict.remediation);
            (reason.unwrap_or_else(|| verdict.reason.clone()), advice)
        };
        Some(Finding {
            order: order.id.clone(),
            host: row.host,
            hostname: row.hostname.clone(),
            site: row.site.clone(),
            platform: row.platform,
            lane: effective.lane,
            overdue: effective.overdue,
            silent: effective.silent,
            presence: verdict.presence,
            protection: verdict.protection,
            since: effective.since,
            last_seen: row.last_seen,
            reason,
            advice,
        })
    }

    /// A host that waits for its first judgement. The board counts it as unknown, or as silent. No finding is decided about.
    fn unjudged(&self, order: &Order, row: &StoredHostRow) -> Finding {
        let silent = is_silent(order, row.last_seen, self.now);
        let lane = effective_lane(Lane::Unknown, silent);
        let last_seen = row.last_seen.unwrap_or(self.now);
        let waits = || (Some("Waits for its first judgement".to_owned()), String::new());
        let (reason, advice) = if silent { self.silence(order, row, &Remediation::default()) } else { waits() };
        Finding {
            order: order.id.clone(),
            host: row.host,
            hostname: row.hostname.clone(),
            site: row.site.clone(),
            platform: row.platform,
            lane,
            overdue: is_overdue(order, lane, true, self.now),
            silent,
            presence: Presence::Unknown,
            protection: Protection::Unknown,
            since: if silent { last_seen.plus(order.patience) } else { last_seen },
            last_seen: row.last_seen,
            reason: reason.unwrap_or_default(),
            advice,
        }
    }

    /// Reason and advice for a host that became silent after it was judged.
    fn silence(&self, order: &Order, row: &StoredHostRow, remediation: &Remediation) -> (Option<String>, String) {
        let situation = HostSituation {
            platform: row.platform,
            site: &row.site,
            labels: &row.labels,
            last_seen: row.last_seen,
            remediation,
            has_two_holders: row.marks.contains(&HostMark::TwoHolders),
            decision: None,
        };
        let placed = place(order, None, &situation, self.now);
        (placed.reasons.into_iter().next().map(|reason| reason.text), placed.advice)
    }
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
}
