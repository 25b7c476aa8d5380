//! Changes of many hosts, asked of the collector.

use anyhow::Context as _;
use muster_proto::model::{BulkReport, HostId, HostName};
use muster_proto::wire;

use super::{Client, all, missing};

/// Lines of one message.
const LINES: usize = 2_000;
const LIST_CHANGES: &str = "list the changes with `muster hosts bulk`";
const LIST_ORDERS: &str = "list the orders with `muster orders`";

/// The hosts that were selected, and the change of them.
#[derive(Debug, serde::Serialize)]
pub(in crate::cli) struct Selected {
    /// How many.
    pub(in crate::cli) selected: u64,
    /// The first of them.
    pub(in crate::cli) hosts: Vec<HostName>,
    /// The first lines that no host has.
    pub(in crate::cli) not_found: Vec<String>,
    /// How many lines that are.
    pub(in crate::cli) not_found_lines: u64,
    /// The first lines that several hosts have.
    pub(in crate::cli) ambiguous: Vec<String>,
    /// How many lines that are.
    pub(in crate::cli) ambiguous_lines: u64,
    /// The change; `None` after a dry run.
    pub(in crate::cli) bulk: Option<BulkReport>,
}

impl Client {
    /// Changes hosts, or says which ones are meant.
    pub(in crate::cli) async fn hosts_change(
        &mut self,
        first: wire::ChangeHostsRequest,
        lines: Vec<String>,
    ) -> anyhow::Result<Selected> {
        let mut portions = lines.chunks(LINES).map(<[String]>::to_vec);
        let first = wire::ChangeHostsRequest { lines: portions.next().unwrap_or_default(), ..first };
        let rest: Vec<_> = portions.map(|lines| wire::ChangeHostsRequest { lines, ..Default::default() }).collect();
        let messages = tokio_stream::iter(std::iter::once(first).chain(rest));
        let answer = self.inner.change_hosts(messages).await.map_err(missing(LIST_ORDERS))?.into_inner();
        let host = |host: wire::ChangedHost| {
            let id = host.id.as_ref().try_into().ok().map(HostId::from_bytes).context("the answer has no host id")?;
            Ok(HostName { id, hostname: host.hostname })
        };
        Ok(Selected {
            selected: answer.selected,
            hosts: answer.hosts.into_iter().map(host).collect::<anyhow::Result<_>>()?,
            not_found: answer.not_found,
            not_found_lines: answer.not_found_lines,
            ambiguous: answer.ambiguous,
            ambiguous_lines: answer.ambiguous_lines,
            bulk: answer.bulk.map(TryInto::try_into).transpose()?,
        })
    }

    pub(in crate::cli) async fn bulk_list(&mut self) -> anyhow::Result<Vec<BulkReport>> {
        let answer = self.inner.list_bulk_changes(wire::ListBulkChangesRequest {}).await;
        all(answer.map_err(missing(LIST_CHANGES))?.into_inner().changes)
    }

    pub(in crate::cli) async fn bulk_get(&mut self, number: u64) -> anyhow::Result<BulkReport> {
        let answer = self.inner.get_bulk_change(wire::GetBulkChangeRequest { number }).await;
        let change = answer.map_err(missing(LIST_CHANGES))?.into_inner().change;
        Ok(change.context("the answer has no change")?.try_into()?)
    }
}
