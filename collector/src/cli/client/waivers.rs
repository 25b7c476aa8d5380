//! Waivers and dispositions, asked of the collector.

use std::time::Duration;

use anyhow::Context as _;
use muster_proto::model::{
    DispositionKind, DispositionReport, DutyEvidence, HostActionReport, OrderId, RetirementReport, WaiverReport,
};
use muster_proto::wire::{self, WaiverDecision};
use tonic::{Request, Status};

use super::{Client, LIST_ORDERS, all, missing};
use crate::cli::args::waivers::{AskArgs, WaiversFilterArgs};
use crate::cli::selection::Selection;

/// How long a request with many hosts may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(600);
/// Hosts of a waiver that one answer has.
const HOSTS_OF_A_PAGE: u32 = 10_000;
/// What to do about an unknown waiver.
const LIST_WAIVERS: &str = "list the waivers with `muster waivers --all`";
/// What to do about an unknown disposition.
const LIST_DISPOSITIONS: &str = "list the dispositions with `muster dispositions --all`";

impl Client {
    /// All waivers of a filter.
    pub(in crate::cli) async fn waivers(&mut self, filter: &WaiversFilterArgs) -> anyhow::Result<Vec<WaiverReport>> {
        let order = filter.order.as_ref().map(OrderId::to_string).unwrap_or_default();
        let ending_ms = filter.ending.map_or(0, |within| u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
        let mut waivers: Vec<WaiverReport> = Vec::new();
        let mut page_token = String::new();
        loop {
            let request =
                wire::ListWaiversRequest { order: order.clone(), all: filter.all, ending_ms, page_rows: 0, page_token };
            let answer = self.inner.list_waivers(request).await.map_err(missing(LIST_ORDERS))?.into_inner();
            waivers.extend(all::<_, WaiverReport>(answer.waivers)?);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Ok(waivers);
            }
        }
    }

    /// A waiver with its first hosts, or all of them.
    pub(in crate::cli) async fn waiver(&mut self, number: u64, all_hosts: bool) -> anyhow::Result<WaiverReport> {
        let page_rows = if all_hosts { HOSTS_OF_A_PAGE } else { 0 };
        let mut request = wire::GetWaiverRequest { number, page_rows, page_token: String::new() };
        let mut hosts = Vec::new();
        loop {
            let answer = self.inner.get_waiver(request.clone()).await.map_err(missing(LIST_WAIVERS))?.into_inner();
            request.page_token.clone_from(&answer.next_page_token);
            let mut read = waiver(answer)?;
            hosts.append(&mut read.first_hosts);
            if !all_hosts || request.page_token.is_empty() {
                return Ok(WaiverReport { first_hosts: hosts, ..read });
            }
        }
    }

    pub(in crate::cli) async fn waiver_ask(
        &mut self,
        asked: &AskArgs,
        selection: Selection,
    ) -> anyhow::Result<WaiverReport> {
        let first = wire::WaiverAsked {
            order: asked.order.to_string(),
            reason: asked.reason.code().into(),
            control: asked.control.clone(),
            until_ms: asked.until.millis(),
            beyond_milestone: asked.beyond_milestone,
        };
        let (mut first, mut selection_first) = (Some(first), Some(selection.first));
        let messages = selection.lines.into_iter().map(move |lines| wire::AskWaiverRequest {
            asked: first.take(),
            selection: selection_first.take(),
            lines,
        });
        let mut request = Request::new(tokio_stream::iter(messages.collect::<Vec<_>>()));
        request.set_timeout(ASK_TIMEOUT);
        let answer = self.inner.ask_waiver(request).await;
        waiver(answer.map_err(of_list())?.into_inner())
    }

    pub(in crate::cli) async fn waiver_decide(
        &mut self,
        number: u64,
        decision: WaiverDecision,
    ) -> anyhow::Result<WaiverReport> {
        let request = wire::DecideWaiverRequest { number, decision: decision.into() };
        waiver(self.inner.decide_waiver(request).await.map_err(missing(LIST_WAIVERS))?.into_inner())
    }

    /// Says that hosts have left.
    pub(in crate::cli) async fn hosts_retire(
        &mut self,
        selection: Selection,
        kind: DispositionKind,
        evidence: String,
        file: Option<DutyEvidence>,
    ) -> anyhow::Result<RetirementReport> {
        let (mut first, kind, file) = (Some(selection.first), kind.code().into(), file.map(Into::into));
        let messages = selection.lines.into_iter().map(move |lines| wire::RetireHostsRequest {
            selection: first.take(),
            lines,
            kind,
            evidence: evidence.clone(),
            file: file.clone(),
        });
        let mut request = Request::new(tokio_stream::iter(messages.collect::<Vec<_>>()));
        request.set_timeout(ASK_TIMEOUT);
        let answer = self.inner.retire_hosts(request).await;
        Ok(answer.map_err(of_list())?.into_inner().try_into()?)
    }

    pub(in crate::cli) async fn hosts_unretire(
        &mut self,
        selection: Selection,
        reason: String,
    ) -> anyhow::Result<HostActionReport> {
        let mut first = Some(selection.first);
        let messages = selection.lines.into_iter().map(move |lines| wire::UnretireHostsRequest {
            selection: first.take(),
            lines,
            reason: reason.clone(),
        });
        let mut request = Request::new(tokio_stream::iter(messages.collect::<Vec<_>>()));
        request.set_timeout(ASK_TIMEOUT);
        let answer = self.inner.unretire_hosts(request).await;
        Ok(answer.map_err(of_list())?.into_inner().try_into()?)
    }

    pub(in crate::cli) async fn dispositions(&mut self, asked_all: bool) -> anyhow::Result<Vec<DispositionReport>> {
        let mut dispositions: Vec<DispositionReport> = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = wire::ListDispositionsRequest { all: asked_all, page_rows: 0, page_token };
            let answer = self.inner.list_dispositions(request).await;
            let answer = answer.map_err(missing(LIST_DISPOSITIONS))?.into_inner();
            dispositions.extend(all::<_, DispositionReport>(answer.dispositions)?);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Ok(dispositions);
            }
        }
    }

    pub(in crate::cli) async fn disposition(&mut self, number: u64) -> anyhow::Result<DispositionReport> {
        let answer = self.inner.get_disposition(wire::GetDispositionRequest { number }).await;
        disposition(answer.map_err(missing(LIST_DISPOSITIONS))?.into_inner())
    }

    pub(in crate::cli) async fn disposition_decide(
        &mut self,
        number: u64,
        approve: bool,
    ) -> anyhow::Result<DispositionReport> {
        let answer = self.inner.decide_disposition(wire::DecideDispositionRequest { number, approve }).await;
        disposition(answer.map_err(missing(LIST_DISPOSITIONS))?.into_inner())
    }
}

/// What to do about what is not there: an order or hosts.
fn of_list() -> impl Fn(Status) -> anyhow::Error {
    |status| missing(super::list_of(status.message()))(status)
}

fn waiver(answer: wire::GetWaiverResponse) -> anyhow::Result<WaiverReport> {
    Ok(answer.waiver.context("the answer has no waiver")?.try_into()?)
}

fn disposition(answer: wire::GetDispositionResponse) -> anyhow::Result<DispositionReport> {
    Ok(answer.disposition.context("the answer has no disposition")?.try_into()?)
}
