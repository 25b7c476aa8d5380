//! `/exceptions/NUMBER`: one waiver with its hosts, for the person who decides about it; and the forms that ask for one.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::limits;
use muster_proto::model::{ApprovalRule, HostName, Lane, OrderId, Timestamp, WaiverReason, WaiverState};

use super::act::{HOST_KEYS, HostsMeant, finish, see};
use super::chrome::{Chrome, page};
use super::exceptions::WaiverRow;
use super::form::Form;
use super::format::{LaneMark, clean, counted, number};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions::{self, WaiverAsked, WaiverDecision};

/// Hosts of a page.
const HOSTS: usize = 200;

#[derive(Template)]
#[template(path = "waiver.html")]
struct WaiverPage {
    chrome: Chrome,
    waiver: WaiverRow,
    /// Its hosts by the lanes that they are in without it.
    lanes: Vec<(LaneMark, String)>,
    hosts: Vec<(String, String)>,
    /// The page with more hosts; empty on the last.
    next: String,
    hosts_counted: String,
    may_decide: bool,
    /// Whether the visitor asked for it.
    is_own: bool,
    /// Whether the visitor may approve it.
    may_approve: bool,
    /// What protects the hosts, in full.
    control: String,
    is_requested: bool,
    is_in_force: bool,
}

/// `GET /exceptions/NUMBER`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(number_asked): Path<u64>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), &["page"])?;
    let found = visitor.context.waiver(number_asked, HOSTS, query.page().as_deref()).await;
    let (waiver, next) = state.or_refusal(found)?;
    let host = |host: &HostName| (host.id.to_string(), clean(&host.hostname, 64));
    let is_own = waiver.requested_by == visitor.caller().name;
    let lane = |(lane, hosts): (&Lane, &u64)| (LaneMark::of(*lane), number(*hosts));
    page(&WaiverPage {
        chrome: Chrome::new(&state, &visitor, "/exceptions"),
        lanes: waiver.lanes.iter().map(lane).collect(),
        hosts: waiver.first_hosts.iter().map(host).collect(),
        next: next.map(|next| query.with("page", &next).link(&address(number_asked))).unwrap_or_default(),
        hosts_counted: counted(waiver.hosts, "host"),
        may_decide: visitor.may("DecideWaiver"),
        is_own,
        may_approve: !is_own || state.waivers.approval == ApprovalRule::OnePerson,
        control: clean(&waiver.control, limits::CONTROL_BYTES),
        is_requested: waiver.state == WaiverState::Requested,
        is_in_force: waiver.state == WaiverState::InForce,
        waiver: WaiverRow::of(&waiver, state.now()),
    })
}

fn address(number: u64) -> String {
    format!("/exceptions/{number}")
}

/// `POST /exceptions`: asks for a waiver of the hosts.
pub(super) async fn ask(Extract(state): Extract<State>, visitor: Visitor, form: Form) -> Result<Response, Refusal> {
    let keys = [&HOST_KEYS[..], &["waive", "reason", "control", "until", "beyond"]].concat();
    let form = form.fields(&keys)?;
    let asked = asked(&form)?;
    let (caller, rules, settings) = (visitor.caller().clone(), state.rules.load_full(), state.waivers);
    // What is wrong whatever the hosts are comes first.
    state.or_refused(actions::waiver_check(&caller, &rules, &settings, &asked, state.now()))?;
    let meant = HostsMeant::read(&form)?;
    let hosts = meant.select_to_act(&state, &visitor, &form, limits::HOSTS_PER_WAIVER).await?;
    let hosts = hosts.into_iter().map(|host| host.id).collect();
    let (store, clock) = (Arc::clone(&state.store), Arc::clone(&state.clock));
    let ask =
        async move { actions::waiver_ask(store.as_ref(), &caller, &rules, &settings, &asked, hosts, &clock).await };
    let waiver = finish(&state, ask).await?;
    tracing::info!(waiver, by = %visitor.caller().name, "asked for a waiver");
    see(&address(waiver))
}

fn asked(form: &Query) -> Result<WaiverAsked, Refusal> {
    let needed = |key: &str, what: &str| {
        if form.has(key) { Ok(()) } else { Err(Refusal::asked(format!("Say {what}."))) }
    };
    needed("waive", "from which order the hosts are exempt")?;
    needed("reason", "why the hosts are exempt")?;
    needed("until", "until when the hosts are exempt")?;
    let missing = || Refusal::asked("The form is not complete.");
    Ok(WaiverAsked {
        order: form.one::<OrderId>("waive")?.ok_or_else(missing)?,
        reason: form.one::<WaiverReason>("reason")?.ok_or_else(missing)?,
        control: form.get("control").to_owned(),
        until: end_of(form.get("until"))?,
        beyond_milestone: form.flag("beyond")?,
    })
}

/// The end of a day in UTC.
fn end_of(day: &str) -> Result<Timestamp, Refusal> {
    let at = Timestamp::parse_rfc3339(&format!("{day}T00:00:00Z"));
    let at = at
        .map_err(|_| Refusal::asked(format!("\"{}\" is no day. A day is written as in 2027-01-31.", clean(day, 64))))?;
    Ok(at.plus(Duration::from_secs(86_400)))
}

/// `POST /exceptions/NUMBER`: approves, refuses or ends a waiver.
pub(super) async fn decide(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(number): Path<u64>,
    form: Form,
) -> Result<Response, Refusal> {
    let form = form.fields(&["decision"])?;
    let decision = match form.get("decision") {
        "approve" => WaiverDecision::Approve,
        "refuse" => WaiverDecision::Refuse,
        "end" => WaiverDecision::End,
        other => return Err(Refusal::asked(format!("\"{}\" is no decision.", clean(other, 64)))),
    };
    if decision == WaiverDecision::Approve {
        visitor.must_have_proved_lately(&state, &address(number))?;
    }
    let (store, caller) = (Arc::clone(&state.store), visitor.caller().clone());
    let (settings, now) = (state.waivers, state.now());
    let decide = async move { actions::waiver_decide(store.as_ref(), &caller, &settings, number, decision, now).await };
    finish(&state, decide).await?;
    tracing::info!(waiver = number, decision = ?decision, by = %visitor.caller().name, "decided about a waiver");
    see(&address(number))
}
