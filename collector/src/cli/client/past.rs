//! Hosts as they were, asked of the collector.

use muster_proto::model::{Lane, OrderId, PastHost, PastHostReport, SiteId, Timestamp};
use muster_proto::wire;

use super::{Client, LIST_HOSTS, LIST_ORDERS, Part, all, codes, list_of, no_host, page_rows, text, wrong_place};
use crate::filter::Filter;

/// Which hosts of the past to list.
#[derive(Debug)]
pub(in crate::cli) struct PastFilter {
    pub(in crate::cli) as_of: Timestamp,
    pub(in crate::cli) order: Option<OrderId>,
    pub(in crate::cli) lanes: Vec<Lane>,
    pub(in crate::cli) sites: Vec<SiteId>,
    pub(in crate::cli) name: String,
    pub(in crate::cli) filter: Option<Filter>,
    pub(in crate::cli) silent: bool,
    pub(in crate::cli) limit: Option<usize>,
    pub(in crate::cli) after: Option<String>,
}

impl Client {
    pub(in crate::cli) async fn past_hosts(&mut self, filter: &PastFilter) -> anyhow::Result<Part<PastHost>> {
        let mut hosts: Vec<PastHost> = Vec::new();
        let mut page_token = filter.after.clone().unwrap_or_default();
        loop {
            let request = wire::ListPastHostsRequest {
                as_of_ms: filter.as_of.millis(),
                order: text(filter.order.as_ref()),
                lanes: codes(&filter.lanes),
                silent_only: filter.silent,
                sites: filter.sites.iter().map(ToString::to_string).collect(),
                name: filter.name.clone(),
                filter: text(filter.filter.as_ref()),
                page_rows: page_rows(filter.limit, hosts.len()),
                page_token,
            };
            let refused = wrong_place(&filter.after, LIST_ORDERS);
            let answer = self.inner.list_past_hosts(request).await.map_err(refused)?.into_inner();
            hosts.extend(all::<_, PastHost>(answer.hosts)?);
            page_token = answer.next_page_token;
            if page_token.is_empty() || filter.limit.is_some_and(|limit| hosts.len() >= limit) {
                return Ok(Part { rows: hosts, total: None, next: Some(page_token).filter(|token| !token.is_empty()) });
            }
        }
    }

    /// A host at an instant. `command` is the one that a refusal repeats with another host.
    pub(in crate::cli) async fn past_host(
        &mut self,
        command: &'static str,
        host: &str,
        order: Option<&OrderId>,
        as_of: Timestamp,
    ) -> anyhow::Result<PastHostReport> {
        let request = wire::GetPastHostRequest { host: host.to_owned(), as_of_ms: as_of.millis(), order: text(order) };
        let refused = |status: tonic::Status| {
            let list = if status.code() == tonic::Code::NotFound { list_of(status.message()) } else { LIST_HOSTS };
            no_host(command, list)(status)
        };
        Ok(self.inner.get_past_host(request).await.map_err(refused)?.into_inner().try_into()?)
    }
}
