//! The methods of FleetService about the roster.

use std::sync::Arc;

use muster_proto::convert::ConvertError;
use muster_proto::limits;
use muster_proto::model::{EntryState, RosterRow};
use muster_proto::wire;
use tonic::{Response, Status, Streaming};

use super::fleet::{Answer, Fleet, into_all, rows, short};
use crate::actions::{self, Caller, EntryDecision, ListAsked, RosterImport};
use crate::api::status;
use crate::reports::RosterAsked;

impl Fleet {
    pub(super) async fn roster_import(
        &self,
        caller: &Caller,
        mut messages: Streaming<wire::ImportRosterRequest>,
    ) -> Answer<wire::ImportRosterResponse> {
        let first = messages.message().await?.unwrap_or_default();
        let missing = || status::malformed(&ConvertError::Missing { field: "ImportRosterRequest.list" });
        let (list, mut rows) = (first.list.ok_or_else(missing)?, first.rows);
        let wire::ImportedList { source, file, dry_run, accept_loss, rows: announced } = list;
        let asked = ListAsked { source, file, dry_run, accept_loss, rows: announced };
        let (store, rules, clock) = (Arc::clone(&self.store), self.rules.load_full(), Arc::clone(&self.clock));
        let mut import = self.or_refused(RosterImport::begin(store, caller, &rules, clock, asked).await)?;
        loop {
            let pushed = match read(rows) {
                Ok(rows) => self.or_refused(import.push(rows).await),
                Err(refused) => Err(refused),
            };
            let next = match pushed {
                Ok(()) => messages.message().await,
                Err(refused) => Err(refused),
            };
            match next {
                Ok(Some(message)) => rows = message.rows,
                Ok(None) => break,
                Err(refused) => {
                    import.abandon().await;
                    return Err(refused);
                }
            }
        }
        let report = self.or_refused(import.finish().await)?;
        let counts = report.counts;
        tracing::info!(
            source = report.source,
            added = counts.added,
            changed = counts.changed,
            absent = counts.absent,
            dry_run = report.dry_run,
            by = %caller.name,
            "imported a list of machines"
        );
        Ok(Response::new(report.into()))
    }

    pub(super) async fn roster_list(
        &self,
        caller: &Caller,
        request: wire::ListRosterRequest,
    ) -> Answer<wire::ListRosterResponse> {
        let state = |code: u32| {
            let state = u8::try_from(code).ok().and_then(EntryState::from_code);
            state.ok_or_else(|| status::malformed(&ConvertError::Code { field: "ListRosterRequest.state", code }))
        };
        let asked = RosterAsked {
            state: Some(request.state).filter(|code| *code > 0).map(state).transpose()?,
            without_host: false,
            text: short("ListRosterRequest.text", request.text)?,
            differing: request.differing,
            rows: rows(request.page_rows)?,
            page: Some(request.page_token).filter(|token| !token.is_empty()),
        };
        let page = self.or_status(self.context(caller).roster(asked).await)?;
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(wire::ListRosterResponse { entries: into_all(page.rows), next_page_token }))
    }

    pub(super) async fn roster_entry(&self, caller: &Caller, number: u64) -> Answer<wire::GetRosterEntryResponse> {
        let entry = self.or_status(self.context(caller).roster_entry(number).await)?;
        Ok(Response::new(wire::GetRosterEntryResponse { entry: Some(entry.into()) }))
    }

    pub(super) async fn roster_sources(&self, caller: &Caller) -> Answer<wire::ListRosterSourcesResponse> {
        let sources = self.or_status(self.context(caller).roster_sources().await)?;
        Ok(Response::new(wire::ListRosterSourcesResponse { sources: into_all(sources) }))
    }

    pub(super) async fn roster_match(
        &self,
        caller: &Caller,
        request: wire::MatchRosterEntryRequest,
    ) -> Answer<wire::GetRosterEntryResponse> {
        let host = short("MatchRosterEntryRequest.host", request.host)?;
        let host = self.or_status(self.context(caller).host_id(&host).await)?;
        self.roster_decide(caller, request.number, EntryDecision::Match(host)).await
    }

    pub(super) async fn roster_decide(
        &self,
        caller: &Caller,
        number: u64,
        decision: EntryDecision,
    ) -> Answer<wire::GetRosterEntryResponse> {
        let done = actions::entry_decide(self.store.as_ref(), caller, number, decision, &self.clock).await;
        self.or_refused(done)?;
        tracing::info!(entry = number, by = %caller.name, "decided about an entry of the roster");
        self.roster_entry(caller, number).await
    }
}

fn read(rows: Vec<wire::RosterRow>) -> Result<Vec<RosterRow>, Status> {
    let (value, limit) = (rows.len(), limits::ROSTER_ROWS_PER_MESSAGE);
    if value > limit {
        let (field, limit_name) = ("ImportRosterRequest.rows", "ROSTER_ROWS_PER_MESSAGE");
        return Err(status::malformed(&ConvertError::Limit { field, value, limit_name, limit }));
    }
    let rows = rows.into_iter().map(TryInto::try_into).collect::<Result<_, ConvertError>>();
    rows.map_err(|refused| status::malformed(&refused))
}
