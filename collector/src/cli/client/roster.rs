//! The roster, asked of the collector.

use std::time::Duration;

use anyhow::Context as _;
use muster_proto::model::{EntryReport, ImportReport, RosterRow, RosterSourceReport};
use muster_proto::wire;
use tokio_stream::Stream;
use tonic::Request;

use super::{Client, all, missing, no_host};
use crate::cli::args::roster::RosterFilterArgs;

/// How long an import may take: a million rows take some minutes.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(3_600);
/// What to do about an unknown entry.
const LIST_ENTRIES: &str = "list the entries with `muster roster`";

impl Client {
    /// All entries of a filter.
    pub(in crate::cli) async fn roster(
        &mut self,
        filter: &RosterFilterArgs,
        differing: bool,
    ) -> anyhow::Result<Vec<EntryReport>> {
        let mut entries: Vec<EntryReport> = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = wire::ListRosterRequest {
                state: filter.state.map_or(0, |state| state.code().into()),
                text: filter.text.clone().unwrap_or_default(),
                differing,
                page_rows: 0,
                page_token,
            };
            let answer = self.inner.list_roster(request).await.map_err(missing(LIST_ENTRIES))?.into_inner();
            entries.extend(all::<_, EntryReport>(answer.entries)?);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Ok(entries);
            }
        }
    }

    pub(in crate::cli) async fn roster_entry(&mut self, number: u64) -> anyhow::Result<EntryReport> {
        let answer = self.inner.get_roster_entry(wire::GetRosterEntryRequest { number }).await;
        entry(answer.map_err(missing(LIST_ENTRIES))?.into_inner())
    }

    pub(in crate::cli) async fn roster_sources(&mut self) -> anyhow::Result<Vec<RosterSourceReport>> {
        let answer = self.inner.list_roster_sources(wire::ListRosterSourcesRequest {}).await;
        let sources = answer.map_err(missing(LIST_ENTRIES))?.into_inner().sources;
        Ok(sources.into_iter().map(Into::into).collect())
    }

    pub(in crate::cli) async fn roster_match(&mut self, number: u64, host: String) -> anyhow::Result<EntryReport> {
        let answer = self.inner.match_roster_entry(wire::MatchRosterEntryRequest { number, host }).await;
        entry(answer.map_err(no_host("muster roster match ENTRY", LIST_ENTRIES))?.into_inner())
    }

    pub(in crate::cli) async fn roster_unmatch(&mut self, number: u64) -> anyhow::Result<EntryReport> {
        let answer = self.inner.unmatch_roster_entry(wire::UnmatchRosterEntryRequest { number }).await;
        entry(answer.map_err(missing(LIST_ENTRIES))?.into_inner())
    }

    pub(in crate::cli) async fn roster_excuse(&mut self, number: u64, reason: String) -> anyhow::Result<EntryReport> {
        let answer = self.inner.excuse_roster_entry(wire::ExcuseRosterEntryRequest { number, reason }).await;
        entry(answer.map_err(missing(LIST_ENTRIES))?.into_inner())
    }

    /// Imports a list. The rows come while they are sent.
    pub(in crate::cli) async fn roster_import(
        &mut self,
        list: wire::ImportedList,
        rows: impl Stream<Item = Vec<RosterRow>> + Send + 'static,
    ) -> anyhow::Result<ImportReport> {
        use tokio_stream::StreamExt as _;
        let (source, dry_run) = (list.source.clone(), list.dry_run);
        let first = wire::ImportRosterRequest { list: Some(list), rows: Vec::new() };
        let rest = rows.map(|rows| {
            let rows = rows.into_iter().map(Into::into).collect();
            wire::ImportRosterRequest { list: None, rows }
        });
        let mut request = Request::new(tokio_stream::once(first).chain(rest));
        request.set_timeout(IMPORT_TIMEOUT);
        let answer = self
            .inner
            .import_roster(request)
            .await
            .map_err(missing("list the sources with `muster roster sources`"))?;
        Ok(answer.into_inner().into_report(source, dry_run))
    }
}

fn entry(answer: wire::GetRosterEntryResponse) -> anyhow::Result<EntryReport> {
    Ok(answer.entry.context("the answer has no entry")?.try_into()?)
}
