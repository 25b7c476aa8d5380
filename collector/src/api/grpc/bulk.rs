//! The methods of FleetService that change many hosts.

use muster_proto::convert::ConvertError;
use muster_proto::limits;
use muster_proto::model::{BulkKind, OrderId};
use muster_proto::wire;
use tonic::{Response, Status, Streaming};

use super::fleet::{Answer, Fleet, into_all, optional, short};
use crate::actions::{self, ActionError, BulkChange, Caller};
use crate::api::status;
use crate::reports::{HostsMeantBy, HostsSelected};

/// Hosts and lines that an answer names.
const NAMED_HOSTS: usize = 100;
const NAMED_LINES: usize = 1_000;

impl Fleet {
    pub(super) async fn hosts_change(
        &self,
        caller: &Caller,
        mut messages: Streaming<wire::ChangeHostsRequest>,
    ) -> Answer<wire::ChangeHostsResponse> {
        let (first, lines) = with_lines(&mut messages, |message| &mut message.lines).await?;
        let kind = u8::try_from(first.change).ok().and_then(BulkKind::from_code);
        let field = "ChangeHostsRequest.change";
        let kind = kind.ok_or_else(|| status::malformed(&ConvertError::Code { field, code: first.change }))?;
        let change = self.or_refused(BulkChange::read(kind, &first.value))?;
        let missing = || status::malformed(&ConvertError::Missing { field: "ChangeHostsRequest.selection" });
        let selection = first.selection.ok_or_else(missing)?;
        let selected = self.select(caller, selection, lines, limits::BULK_HOSTS).await?;
        let count = selected.hosts.len() as u64;
        if let Some(expected) = first.expected.filter(|expected| *expected != count) {
            return self.or_refused(Err(ActionError::OtherHosts { selected: count, expected }));
        }
        let bulk = match first.dry_run || selected.hosts.is_empty() {
            true => None,
            false => {
                let (store, rules, clock) = (self.store.as_ref(), self.rules.load_full(), &self.clock);
                let changed = actions::hosts_change(store, caller, &change, &selected.hosts, &rules, clock).await;
                let bulk = self.or_refused(changed)?;
                tracing::info!(bulk = bulk.number, change = kind.name(), hosts = count, by = %caller.name, "changes hosts");
                Some(bulk)
            }
        };
        let first: Vec<_> = selected.hosts.iter().take(NAMED_HOSTS).map(|host| host.id).collect();
        let hosts = self.or_status(self.context(caller).names(&first).await)?;
        let hosts = hosts.into_iter().map(|host| wire::ChangedHost {
            id: bytes::Bytes::copy_from_slice(host.id.as_bytes()),
            hostname: host.hostname,
        });
        let head = |lines: &[String]| lines.iter().take(NAMED_LINES).cloned().collect();
        Ok(Response::new(wire::ChangeHostsResponse {
            selected: count,
            hosts: hosts.collect(),
            not_found: head(&selected.not_found),
            not_found_lines: selected.not_found.len() as u64,
            ambiguous: head(&selected.ambiguous),
            ambiguous_lines: selected.ambiguous.len() as u64,
            bulk: bulk.map(Into::into),
        }))
    }

    /// The hosts of the caller's sites that a request means, at most `most` and one more.
    pub(super) async fn select(
        &self,
        caller: &Caller,
        selection: wire::HostSelection,
        lines: Vec<String>,
        most: usize,
    ) -> Result<HostsSelected, Status> {
        // A client that forgets a field must not mean every host by it.
        if !selection.by_lines && (selection.filter.trim().is_empty() || !lines.is_empty()) {
            return Err(Status::invalid_argument(
                "hosts must be chosen by lines or by a filter; the filter `enrolled:any` means every host",
            ));
        }
        let meant = match selection.by_lines {
            true => HostsMeantBy::Lines(lines),
            false => HostsMeantBy::Filter {
                order: optional("HostSelection.order", selection.order, OrderId::new)?,
                filter: self.filter(&short("HostSelection.filter", selection.filter)?)?,
            },
        };
        self.or_status(self.context(caller).select(meant, most).await)
    }

    pub(super) async fn bulk_list(&self, caller: &Caller) -> Answer<wire::ListBulkChangesResponse> {
        let changes = self.or_refused(actions::bulk_list(self.store.as_ref(), caller).await)?;
        Ok(Response::new(wire::ListBulkChangesResponse { changes: into_all(changes) }))
    }

    pub(super) async fn bulk_get(&self, caller: &Caller, number: u64) -> Answer<wire::GetBulkChangeResponse> {
        let change = self.or_refused(actions::bulk_show(self.store.as_ref(), caller, number).await)?;
        Ok(Response::new(wire::GetBulkChangeResponse { change: Some(change.into()) }))
    }
}

/// The first message of a stream, and the lines of all of its messages.
pub(super) async fn with_lines<M: Default>(
    messages: &mut Streaming<M>,
    lines_of: impl Fn(&mut M) -> &mut Vec<String>,
) -> Result<(M, Vec<String>), Status> {
    let mut first = messages.message().await?.unwrap_or_default();
    let (mut lines, mut bytes) = (Vec::new(), 0);
    let mut came = std::mem::take(lines_of(&mut first));
    loop {
        // An empty line takes memory, too.
        bytes += came.iter().map(|line| line.len() + 1).sum::<usize>();
        if bytes > limits::HOST_LINES_BYTES {
            return Err(too_long(bytes));
        }
        lines.append(&mut came);
        match messages.message().await? {
            Some(mut message) => came = std::mem::take(lines_of(&mut message)),
            None => return Ok((first, lines)),
        }
    }
}

fn too_long(value: usize) -> Status {
    let (field, limit_name, limit) = ("lines", "HOST_LINES_BYTES", limits::HOST_LINES_BYTES);
    status::malformed(&ConvertError::Limit { field, value, limit_name, limit })
}
