//! The methods of FleetService about dispositions.

use muster_proto::convert::ConvertError;
use muster_proto::limits;
use muster_proto::model::{DispositionKind, HostId};
use muster_proto::wire;
use tonic::{Response, Status, Streaming};

use super::bulk::with_lines;
use super::fleet::{Answer, Fleet, into_all, rows};
use crate::actions::{self, ActionError, Caller, DispositionAsked};
use crate::api::status;

impl Fleet {
    pub(super) async fn hosts_retire(
        &self,
        caller: &Caller,
        mut messages: Streaming<wire::RetireHostsRequest>,
    ) -> Answer<wire::RetireHostsResponse> {
        let (first, lines) = with_lines(&mut messages, |message| &mut message.lines).await?;
        let code = first.kind;
        let kind = u8::try_from(code).ok().and_then(DispositionKind::from_code);
        let unknown = || status::malformed(&ConvertError::Code { field: "RetireHostsRequest.kind", code });
        let kind = kind.ok_or_else(unknown)?;
        let hosts = self.retired(caller, first.selection, lines).await?;
        let (evidence, file) = (first.evidence, first.file.map(Into::into));
        let asked = DispositionAsked { kind, hosts, evidence, file };
        let rules = self.rules.load_full();
        let done = actions::hosts_retire(self.store.as_ref(), caller, &rules, asked, (self.clock)()).await;
        let report = self.or_refused(done)?;
        let (retired, waiting) = (report.retired, report.waiting);
        tracing::info!(kind = kind.name(), retired, waiting, by = %caller.name, "retired hosts");
        Ok(Response::new(report.into()))
    }

    async fn retired(
        &self,
        caller: &Caller,
        selection: Option<wire::HostSelection>,
        lines: Vec<String>,
    ) -> Result<Vec<HostId>, Status> {
        let most = limits::HOSTS_PER_RETIREMENT;
        let hosts = self.selected(caller, selection.unwrap_or_default(), lines, most).await?;
        let hosts = if hosts.len() > most { Err(ActionError::TooManyRetired) } else { Ok(hosts) };
        Ok(self.or_refused(hosts)?.into_iter().collect())
    }

    pub(super) async fn hosts_unretire(
        &self,
        caller: &Caller,
        mut messages: Streaming<wire::UnretireHostsRequest>,
    ) -> Answer<wire::HostActionResponse> {
        let (first, lines) = with_lines(&mut messages, |message| &mut message.lines).await?;
        let hosts = self.retired(caller, first.selection, lines).await?;
        let done = actions::hosts_unretire(self.store.as_ref(), caller, hosts, &first.reason, (self.clock)()).await;
        let report = self.or_refused(done)?;
        tracing::info!(hosts = report.changed, by = %caller.name, "took retired hosts back");
        Ok(Response::new(report.into()))
    }

    pub(super) async fn disposition_list(
        &self,
        caller: &Caller,
        request: wire::ListDispositionsRequest,
    ) -> Answer<wire::ListDispositionsResponse> {
        let (rows, page) = (rows(request.page_rows)?, Some(request.page_token).filter(|token| !token.is_empty()));
        let page = self.or_status(self.context(caller).dispositions(request.all, rows, page.as_deref()).await)?;
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(wire::ListDispositionsResponse { dispositions: into_all(page.rows), next_page_token }))
    }

    pub(super) async fn disposition_get(&self, caller: &Caller, number: u64) -> Answer<wire::GetDispositionResponse> {
        let disposition = self.or_status(self.context(caller).disposition(number).await)?;
        Ok(Response::new(wire::GetDispositionResponse { disposition: Some(disposition.into()) }))
    }

    pub(super) async fn disposition_decide(
        &self,
        caller: &Caller,
        request: wire::DecideDispositionRequest,
    ) -> Answer<wire::GetDispositionResponse> {
        let wire::DecideDispositionRequest { number, approve } = request;
        let (store, now) = (self.store.as_ref(), (self.clock)());
        let done = actions::disposition_decide(store, caller, &self.waivers, number, approve, now).await;
        self.or_refused(done)?;
        tracing::info!(disposition = number, approve, by = %caller.name, "decided about a disposition");
        self.disposition_get(caller, number).await
    }
}
