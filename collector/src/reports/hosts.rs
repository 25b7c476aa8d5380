//! Lists of hosts.

use muster_proto::model::{HostId, HostRow, Lane, OrderId, SiteId};

use super::verdict::effective;
use super::{Page, ReportContext, ReportError};
use crate::judge::{effective_lane, is_overdue, is_silent, silent_before};
use crate::store::{HostQuery, SiteScope, StoredHostRow};

/// Which hosts a list shows.
#[derive(Debug, Clone, Default)]
pub struct HostsQuery {
    /// Only hosts to which this order applies.
    pub order: Option<OrderId>,
    /// Only hosts in these lanes under that order; empty is every lane.
    pub lanes: Vec<Lane>,
    /// Only hosts of these sites; empty is every site.
    pub sites: Vec<SiteId>,
    /// Only hosts whose name contains this; empty is every host.
    pub name: String,
    /// At most this many.
    pub rows: usize,
    /// The token of the previous page.
    pub page: Option<String>,
}

impl ReportContext {
    /// Hosts, in the order of their ids.
    ///
    /// # Errors
    /// The query is not valid, or the store failed.
    pub async fn hosts(&self, query: HostsQuery) -> Result<Page<HostRow>, ReportError> {
        let active = self.active_orders();
        let order = match (&query.order, query.lanes.is_empty(), active.as_slice()) {
            (Some(id), _, _) => self.orders_asked(Some(id))?.into_iter().next(),
            (None, true, _) => None,
            (None, false, [only]) => Some(*only),
            (None, false, several) => return Err(ReportError::LaneNeedsOrder { active: several.len() }),
        };
        let after = query.page.as_deref().map(str::parse::<HostId>).transpose().map_err(|_| ReportError::PageToken)?;
        let asked = HostQuery {
            order: order.map(|order| order.id.clone()),
            lanes: query.lanes,
            silent_before: order.map(|order| silent_before(order, self.now)),
            in_scope_only: order.is_some(),
            sites: self.sites.intersection(&SiteScope::of(&query.sites)),
            name: query.name,
            rows: query.rows,
            after,
        };
        let stored = self.store.host_list(asked).await?;
        // A full page may be the last one; the next one is then empty.
        let next = (stored.len() >= query.rows).then(|| stored.last().map(|row| row.host.to_string())).flatten();
        Ok(Page { rows: stored.into_iter().map(|row| self.host_row(row)).collect(), next })
    }

    fn host_row(&self, row: StoredHostRow) -> HostRow {
        let mut shown = HostRow {
            id: row.host,
            hostname: row.hostname,
            site: row.site,
            platform: row.platform,
            os_name: row.os_name,
            last_seen: row.last_seen,
            lanes: std::collections::BTreeMap::new(),
            overdue: Vec::new(),
        };
        for order in self.active_orders() {
            let verdict = row.verdicts.iter().find(|verdict| verdict.order == order.id);
            let (lane, overdue) = match verdict {
                Some(verdict) if !verdict.in_scope => continue,
                Some(verdict) => {
                    let effective = effective(order, verdict, row.last_seen, self.now);
                    (effective.lane, effective.overdue)
                }
                // It waits for its first judgement. The board counts it as unknown, so the list shows it as unknown.
                None if order.binds(shown.platform, &shown.site) => {
                    let lane = effective_lane(Lane::Unknown, is_silent(order, row.last_seen, self.now));
                    (lane, is_overdue(order, lane, true, self.now))
                }
                None => continue,
            };
            shown.lanes.insert(order.id.clone(), lane);
            if overdue {
                shown.overdue.push(order.id.clone());
            }
        }
        shown
    }
}
