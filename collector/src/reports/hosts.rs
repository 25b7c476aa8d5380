//! Lists of hosts.

use std::collections::BTreeMap;

use muster_proto::model::{HostMark, HostRow, HostsSort, Lane, OrderId, SiteId, TokenId};

use super::findings::WORST_FIRST;
use super::paging::{Page, Part};
use super::{ReportContext, ReportError, board};
use crate::filter::Filter;
use crate::judge::{decided_lane, is_overdue, is_shown_silent, is_silent, true_lane};
use crate::rules::Order;
use crate::store::{HostQuery, HostSort, SiteScope, StoredHostRow};

/// Which hosts a list shows.
#[derive(Debug, Clone)]
pub struct HostsQuery {
    /// Only hosts to which this order applies.
    pub order: Option<OrderId>,
    /// Only hosts in these lanes under that order; empty is every lane.
    pub lanes: Vec<Lane>,
    /// Only hosts that are silent under that order, whatever their lanes are.
    pub silent_only: bool,
    /// Only hosts of these sites; empty is every site.
    pub sites: Vec<SiteId>,
    /// Only hosts whose name contains this; empty is every host.
    pub name: String,
    /// Only hosts with one of these marks; empty is every host.
    pub marks: Vec<HostMark>,
    /// Only hosts that enrolled with this token.
    pub enrolled_with: Option<TokenId>,
    /// Only hosts that match this.
    pub filter: Filter,
    /// The order of the hosts.
    pub sort: HostsSort,
    /// At most this many.
    pub rows: usize,
    /// The token of an earlier page.
    pub page: Option<String>,
}

impl Default for HostsQuery {
    fn default() -> Self {
        let (name, sort) = (String::new(), HostsSort::Name);
        Self {
            order: None,
            lanes: Vec::new(),
            silent_only: false,
            sites: Vec::new(),
            name,
            marks: Vec::new(),
            enrolled_with: None,
            filter: Filter::default(),
            sort,
            rows: 1_000,
            page: None,
        }
    }
}

impl ReportContext {
    /// Hosts with their lanes. An answer about lanes or silence is about one order, and shows only hosts in its scope.
    ///
    /// # Errors
    /// The query is not valid, or the store failed.
    pub async fn hosts(&self, query: HostsQuery) -> Result<Page<HostRow>, ReportError> {
        let Some((whole, order)) = self.host_query(&query)? else {
            return Ok(Page { rows: Vec::new(), next: None, total: Some(0) });
        };
        let parts = self.host_parts(&whole, query.sort).await?;
        let (rows, next) = self.page(&parts, query.rows, query.page.as_deref()).await?;
        let total = match query.page {
            None => Some(self.hosts_total(&whole, order).await?),
            Some(_) => None,
        };
        let rows = rows.into_iter().map(|(_, row)| self.host_row(row)).collect();
        Ok(Page { rows, next, total })
    }

    /// The hosts of all pages, and the order under which lanes are meant; `None` if no host can match.
    pub(super) fn host_query(&self, query: &HostsQuery) -> Result<Option<(HostQuery, Option<&Order>)>, ReportError> {
        let needs_order =
            !query.lanes.is_empty() || query.silent_only || query.sort == HostsSort::Lane || query.filter.needs_order();
        let named = Self::order_named(query.order.as_ref(), &query.filter)?;
        let active = self.active_orders();
        let order = match (&named, needs_order, active.as_slice()) {
            (Some(id), _, _) => self.orders_asked(Some(id))?.into_iter().next(),
            (None, false, _) => None,
            (None, true, [only]) => Some(*only),
            (None, true, several) => return Err(ReportError::LaneNeedsOrder { active: several.len() }),
        };
        let whole = HostQuery {
            lanes: query.lanes.clone(),
            silent_only: query.silent_only,
            sites: self.sites.intersection(&SiteScope::of(&query.sites)),
            name: query.name.clone(),
            marks: query.marks.clone(),
            enrolled_with: query.enrolled_with.clone(),
            ..order.map_or_else(HostQuery::default, |order| self.of_order(order))
        };
        Ok(self.narrow(whole, &query.filter, order).map(|whole| (whole, order)))
    }

    async fn host_parts(&self, whole: &HostQuery, sort: HostsSort) -> Result<Vec<Part>, ReportError> {
        let by = |sort: HostSort| HostQuery { sort, ..whole.clone() };
        Ok(match sort {
            HostsSort::Name => vec![Part { name: "name".to_owned(), query: by(HostSort::Name) }],
            HostsSort::LastSeen => vec![Part { name: "last-seen".to_owned(), query: by(HostSort::LastSeen) }],
            HostsSort::Site => {
                let part = |site: SiteId| Part {
                    name: format!("site/{site}"),
                    query: HostQuery { sites: SiteScope::Only(vec![site]), ..by(HostSort::Name) },
                };
                self.store.site_tally(&whole.sites).await?.into_iter().map(|(site, _)| part(site)).collect()
            }
            HostsSort::Lane => {
                let asked = |lane: &Lane| whole.lanes.is_empty() || whole.lanes.contains(lane);
                let finished = Lane::ALL.iter().copied().filter(|lane| lane.is_finished());
                let part = |lane: Lane| Part {
                    name: format!("lane/{lane}"),
                    query: HostQuery { lanes: vec![lane], ..by(HostSort::Name) },
                };
                WORST_FIRST.into_iter().chain(finished).filter(asked).map(part).collect()
            }
        })
    }

    /// The number of hosts on all pages: from the tally, unless hosts are chosen by name, mark or token.
    pub(super) async fn hosts_total(&self, query: &HostQuery, order: Option<&Order>) -> Result<u64, ReportError> {
        if !query.name.is_empty() || query.is_chosen() || query.filter.is_some() {
            return Ok(self.store.host_matches(query.clone()).await?);
        }
        let Some(order) = order else { return Ok(self.store.host_count(&query.sites).await?) };
        let tally = self.tally(order, &query.sites).await?.hosts();
        let lanes = if query.lanes.is_empty() { Lane::ALL } else { query.lanes.as_slice() };
        let is_asked = |silent: bool| if silent { !query.awake_only } else { !query.silent_only };
        let places = board::places(&tally).filter(|(lane, silent, _)| is_asked(*silent) && lanes.contains(lane));
        Ok(places.map(|(.., hosts)| hosts).sum())
    }

    fn host_row(&self, row: StoredHostRow) -> HostRow {
        let mut shown = HostRow {
            id: row.host,
            hostname: row.hostname,
            site: row.site,
            platform: row.platform,
            os_name: row.os_name,
            last_seen: row.last_seen,
            lanes: BTreeMap::new(),
            true_lanes: BTreeMap::new(),
            overdue: Vec::new(),
            silent: Vec::new(),
            marks: row.marks,
            labels: row.labels,
            owner: row.owner,
        };
        for order in self.active_orders() {
            let verdict = row.verdicts.iter().find(|verdict| verdict.order == order.id);
            let awake = match verdict {
                Some(verdict) if !verdict.in_scope => continue,
                Some(verdict) => verdict.awake_lane,
                // It waits for its first judgement. The board counts it as unknown, so the list shows it as unknown.
                None if order.binds(shown.platform, &shown.site, &shown.labels) => Lane::Unknown,
                None => continue,
            };
            let decision = row.decisions.under(&order.id, row.last_seen, self.now).map(|found| found.decision());
            let silent = is_silent(order, row.last_seen, self.now);
            let lane = decided_lane(decision, awake, silent);
            shown.lanes.insert(order.id.clone(), lane);
            if decision.is_some() {
                shown.true_lanes.insert(order.id.clone(), true_lane(decision, awake, silent));
            }
            if is_overdue(order, lane, true, self.now) {
                shown.overdue.push(order.id.clone());
            }
            if is_shown_silent(decision, silent) {
                shown.silent.push(order.id.clone());
            }
        }
        shown
    }
}
