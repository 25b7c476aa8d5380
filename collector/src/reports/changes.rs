//! Which hosts changed lane, from what, to what, and why.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::limits;
use muster_proto::model::{ChangesReport, ChangesSort, HostId, OrderId, SiteId, Timestamp};
use muster_proto::suggest::did_you_mean;

use super::{HostsQuery, ReportContext, ReportError};
use crate::filter::Filter;
use crate::store::{ChangeKey, ChangesQuery, HostQuery, SiteScope};

/// The longest time back: gaps in reports are kept that long.
const LONGEST: Duration = Duration::from_millis(limits::CHANGES_MS.unsigned_abs());

/// Which changes a list shows.
#[derive(Debug, Clone, Default)]
pub struct ChangesAsked {
    /// How far back the list goes.
    pub span: Duration,
    /// Only changes under this order, active or not; `None` is every order.
    pub order: Option<OrderId>,
    /// Only hosts of these sites; empty is every site.
    pub sites: Vec<SiteId>,
    /// Only hosts that match this now, under the order of the list.
    pub filter: Filter,
    /// The hosts that match the filter, if they are known already. They are those of the whole fleet, so a list of many pages
    /// looks for them once.
    pub only: Option<HostsMatched>,
    /// The order of the list.
    pub sort: ChangesSort,
    /// At most this many.
    pub rows: usize,
    /// The token of the previous page, which has the same order.
    pub page: Option<String>,
}

/// Hosts that match a filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostsMatched(Arc<HashSet<HostId>>);

impl ReportContext {
    /// Hosts that changed lane, with the token of the next page. The counts are those of the whole list, but
    /// zero on pages after the first. Silence is computed with the present patience of each active order.
    ///
    /// # Errors
    /// The order does not exist, the time is too long, the page token is not valid, or the store failed.
    pub async fn changes(&self, asked: ChangesAsked) -> Result<(ChangesReport, Option<String>), ReportError> {
        let asked = ChangesAsked { order: Self::order_named(asked.order.as_ref(), &asked.filter)?, ..asked };
        if let Some(id) = asked.order.as_ref().filter(|id| self.rules.order(id.as_str()).is_none()) {
            let hint = did_you_mean(id.as_str(), self.rules.orders.iter().map(|order| order.id.as_str()));
            return Err(ReportError::NoOrder { order: id.clone(), hint });
        }
        if asked.span > LONGEST {
            return Err(ReportError::TooLongAgo { days: LONGEST.as_secs() / (24 * 3600) });
        }
        let page = asked.page.as_deref().map(read_token).transpose()?;
        let (since, after) = match page {
            // The list keeps its beginning from page to page, or it would lose its oldest changes.
            Some((_, after)) if after.sort() != asked.sort => return Err(ReportError::PageToken),
            Some((since, after)) => (since.max(self.now.minus(LONGEST)), Some(after)),
            None => (self.now.minus(asked.span), None),
        };
        let only = match asked.only.clone() {
            Some(known) => Some(known),
            None => self.changes_only(&asked).await?,
        };
        let query = ChangesQuery {
            since,
            now: self.now,
            order: asked.order,
            patience: self.active_orders().into_iter().map(|order| (order.id.clone(), order.patience)).collect(),
            sites: self.sites.intersection(&SiteScope::of(&asked.sites)),
            only: only.map(|HostsMatched(hosts)| hosts),
            sort: asked.sort,
            rows: asked.rows,
            after,
        };
        let stored = self.store.change_list(query).await?;
        Ok((stored.report, stored.next.map(|next| format!("{}@{next}", since.millis()))))
    }
}

impl ReportContext {
    /// The hosts that the filter of a list means now; `None` if it means every host.
    ///
    /// # Errors
    /// The filter needs an order, the order is unknown or not active, or the store failed.
    pub async fn changes_only(&self, asked: &ChangesAsked) -> Result<Option<HostsMatched>, ReportError> {
        if asked.filter.is_empty() {
            return Ok(None);
        }
        let named = Self::order_named(asked.order.as_ref(), &asked.filter)?;
        // An order that is not active has no lanes now, and the list may still be about it.
        let order = named.filter(|_| asked.filter.needs_order());
        let hosts = HostsQuery { order, filter: asked.filter.clone(), ..HostsQuery::default() };
        let Some((whole, _)) = self.host_query(&hosts)? else { return Ok(Some(HostsMatched::default())) };
        let selected = self.store.host_select(HostQuery { rows: usize::MAX, ..whole }).await?;
        Ok(Some(HostsMatched(Arc::new(selected.into_iter().map(|host| host.id).collect()))))
    }
}

fn read_token(token: &str) -> Result<(Timestamp, ChangeKey), ReportError> {
    let (since, after) = token.split_once('@').ok_or(ReportError::PageToken)?;
    let since = since.parse().map_err(|_| ReportError::PageToken)?;
    Ok((Timestamp::from_millis(since), after.parse().map_err(|_| ReportError::PageToken)?))
}
