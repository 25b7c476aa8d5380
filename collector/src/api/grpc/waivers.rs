//! The methods of FleetService about waivers.

use std::collections::BTreeSet;
use std::time::Duration;

use muster_proto::convert::ConvertError;
use muster_proto::limits;
use muster_proto::model::{HostId, OrderId, Timestamp, WaiverReason};
use muster_proto::wire;
use tonic::{Response, Status, Streaming};

use super::bulk::with_lines;
use super::fleet::{Answer, Fleet, into_all, optional, required, rows};
use crate::actions::{self, ActionError, Caller, WaiverAsked, WaiverDecision};
use crate::api::status;
use crate::reports::WaiversAsked;

/// Hosts that a waiver is shown with if nothing else is asked for.
const SHOWN_HOSTS: usize = 100;

impl Fleet {
    pub(super) async fn waiver_ask(
        &self,
        caller: &Caller,
        mut messages: Streaming<wire::AskWaiverRequest>,
    ) -> Answer<wire::GetWaiverResponse> {
        let (first, lines) = with_lines(&mut messages, |message| &mut message.lines).await?;
        let missing = || status::malformed(&ConvertError::Missing { field: "AskWaiverRequest.asked" });
        let asked = asked(first.asked.ok_or_else(missing)?)?;
        let rules = self.rules.load_full();
        // What is wrong whatever the hosts are comes first.
        self.or_refused(actions::waiver_check(caller, &rules, &self.waivers, &asked, (self.clock)()))?;
        let selection = wire::HostSelection { order: asked.order.to_string(), ..first.selection.unwrap_or_default() };
        let hosts = self.selected(caller, selection, lines, limits::HOSTS_PER_WAIVER).await?;
        let (store, settings) = (self.store.as_ref(), &self.waivers);
        let done = actions::waiver_ask(store, caller, &rules, settings, &asked, hosts, &self.clock).await;
        let number = self.or_refused(done)?;
        tracing::info!(waiver = number, by = %caller.name, "asked for a waiver");
        self.waiver_get(caller, wire::GetWaiverRequest { number, ..Default::default() }).await
    }

    /// The ids of the hosts of the caller's sites that a request means, at most `most` and one more. A line that is no host or several
    /// is refused, so that a wrong name changes nothing.
    pub(super) async fn selected(
        &self,
        caller: &Caller,
        selection: wire::HostSelection,
        lines: Vec<String>,
        most: usize,
    ) -> Result<BTreeSet<HostId>, Status> {
        let expected = selection.expected;
        let found = self.select(caller, selection, lines, most).await?;
        let (not_found, ambiguous) = (found.not_found.len() as u64, found.ambiguous.len() as u64);
        if let Some(first) = found.not_found.first().or(found.ambiguous.first()) {
            let first = first.chars().take(limits::HOSTNAME_BYTES).collect();
            return self.or_refused(Err(ActionError::Lines { not_found, ambiguous, first }));
        }
        let selected = found.hosts.len() as u64;
        if let Some(expected) = expected.filter(|expected| *expected != selected) {
            return self.or_refused(Err(ActionError::OtherHosts { selected, expected }));
        }
        Ok(found.hosts.into_iter().map(|host| host.id).collect())
    }

    pub(super) async fn waiver_list(
        &self,
        caller: &Caller,
        request: wire::ListWaiversRequest,
    ) -> Answer<wire::ListWaiversResponse> {
        let asked = WaiversAsked {
            order: optional("ListWaiversRequest.order", request.order, OrderId::new)?,
            all: request.all,
            ending: Some(request.ending_ms).filter(|millis| *millis > 0).map(Duration::from_millis),
            rows: rows(request.page_rows)?,
            page: Some(request.page_token).filter(|token| !token.is_empty()),
        };
        let page = self.or_status(self.context(caller).waivers(asked).await)?;
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(wire::ListWaiversResponse { waivers: into_all(page.rows), next_page_token }))
    }

    pub(super) async fn waiver_get(
        &self,
        caller: &Caller,
        request: wire::GetWaiverRequest,
    ) -> Answer<wire::GetWaiverResponse> {
        let shown = if request.page_rows == 0 { SHOWN_HOSTS } else { rows(request.page_rows)? };
        let page = Some(request.page_token.as_str()).filter(|token| !token.is_empty());
        let (waiver, next) = self.or_status(self.context(caller).waiver(request.number, shown, page).await)?;
        let next_page_token = next.unwrap_or_default();
        Ok(Response::new(wire::GetWaiverResponse { waiver: Some(waiver.into()), next_page_token }))
    }

    pub(super) async fn waiver_decide(
        &self,
        caller: &Caller,
        request: wire::DecideWaiverRequest,
    ) -> Answer<wire::GetWaiverResponse> {
        let (number, code) = (request.number, request.decision);
        let decision = match wire::WaiverDecision::try_from(code) {
            Ok(wire::WaiverDecision::Approve) => WaiverDecision::Approve,
            Ok(wire::WaiverDecision::Refuse) => WaiverDecision::Refuse,
            Ok(wire::WaiverDecision::End) => WaiverDecision::End,
            Ok(wire::WaiverDecision::Unspecified) | Err(_) => {
                let (field, code) = ("DecideWaiverRequest.decision", code.unsigned_abs());
                return Err(status::malformed(&ConvertError::Code { field, code }));
            }
        };
        let (store, now) = (self.store.as_ref(), (self.clock)());
        let done = actions::waiver_decide(store, caller, &self.waivers, number, decision, now).await;
        self.or_refused(done)?;
        tracing::info!(waiver = number, decision = ?decision, by = %caller.name, "decided about a waiver");
        self.waiver_get(caller, wire::GetWaiverRequest { number, ..Default::default() }).await
    }
}

fn asked(asked: wire::WaiverAsked) -> Result<WaiverAsked, Status> {
    let code = asked.reason;
    let reason = u8::try_from(code).ok().and_then(WaiverReason::from_code);
    let unknown = || status::malformed(&ConvertError::Code { field: "WaiverAsked.reason", code });
    Ok(WaiverAsked {
        order: required("WaiverAsked.order", asked.order, OrderId::new)?,
        reason: reason.ok_or_else(unknown)?,
        control: asked.control,
        until: Timestamp::from_millis(asked.until_ms),
        beyond_milestone: asked.beyond_milestone,
    })
}
