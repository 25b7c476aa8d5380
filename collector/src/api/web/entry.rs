//! `/coverage/NUMBER`: an entry of the roster beside the hosts that it may be; and the forms that settle which one it is, that it is
//! another one, or that none has to be it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{EntryReport, EntryState, HostReport, RosterRow};

use super::act::{finish, see};
use super::chrome::{Chrome, page};
use super::coverage::{lists_of, open};
use super::form::Form;
use super::format::{Moment, clean, name};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions::{self, EntryDecision};
use crate::reports::ReportError;

/// Candidates that stand beside the entry.
const CANDIDATES: usize = 5;

#[derive(Template)]
#[template(path = "entry.html")]
struct EntryPage {
    chrome: Chrome,
    number: u64,
    name: String,
    state: &'static str,
    since: Moment,
    /// The host that it is matched with; empty without one.
    host: String,
    hostname: String,
    basis: &'static str,
    note: String,
    candidates: Vec<Candidate>,
    rows: Vec<Row>,
    may_decide: bool,
    /// Whether it has no host, and a list still has it.
    is_open: bool,
}

/// A host that it may be.
struct Candidate {
    id: String,
    name: String,
}

/// What the lists say, and what each candidate says.
struct Row {
    what: &'static str,
    listed: String,
    of_hosts: Vec<Value>,
}

struct Value {
    text: String,
    /// Whether the lists say the same.
    is_same: bool,
}

impl Row {
    fn of(what: &'static str, listed: Vec<String>, of_hosts: Vec<String>) -> Self {
        let folded = |text: &str| text.trim().to_lowercase();
        let known: Vec<String> = listed.iter().map(|text| folded(text)).filter(|text| !text.is_empty()).collect();
        let is_same = |text: &str| text.split(", ").any(|one| known.contains(&folded(one)));
        let value = |text: String| Value { is_same: is_same(&text), text: clean(&text, 256) };
        let mut shown: Vec<String> = listed.into_iter().filter(|text| !text.is_empty()).collect();
        shown.sort_unstable();
        shown.dedup();
        Self { what, listed: clean(&shown.join(", "), 256), of_hosts: of_hosts.into_iter().map(value).collect() }
    }

    const fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }
}

/// `GET /coverage/NUMBER`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(number): Path<u64>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    Query::read(raw.as_deref(), &[])?;
    let entry = state.or_refusal(visitor.context.roster_entry(number).await)?;
    let mut hosts = Vec::new();
    for candidate in entry.candidates.iter().take(CANDIDATES) {
        match visitor.context.host(&candidate.host.to_string()).await {
            Ok(host) => hosts.push(host),
            // It was removed meanwhile.
            Err(ReportError::NoHost { .. }) => {}
            Err(failed) => return state.or_refusal(Err(failed)),
        }
    }
    let now = state.now();
    let candidate = |host: &HostReport| Candidate { id: host.id.to_string(), name: name(&host.facts.hostname) };
    page(&EntryPage {
        chrome: Chrome::new(&state, &visitor, "/coverage"),
        number,
        name: name(&entry.name),
        state: entry.state.name(),
        since: Moment::ago(entry.since, now),
        host: entry.host.map(|host| host.to_string()).unwrap_or_default(),
        hostname: name(&entry.hostname),
        basis: entry.basis.name(),
        note: clean(&entry.note, 500),
        candidates: hosts.iter().map(candidate).collect(),
        rows: rows(&entry, &hosts),
        may_decide: visitor.may("MatchRosterEntry"),
        is_open: match entry.state {
            EntryState::Missing | EntryState::Review | EntryState::Excused => true,
            EntryState::Matched | EntryState::Closed => false,
        },
    })
}

/// The entry and its candidates side by side; what neither has is left out.
fn rows(entry: &EntryReport, hosts: &[HostReport]) -> Vec<Row> {
    let listed = |of: fn(&RosterRow) -> String| open(entry).map(|(_, row)| of(row)).collect::<Vec<_>>();
    let each = |of: fn(&HostReport) -> String| hosts.iter().map(of).collect::<Vec<_>>();
    let seen = |at: muster_proto::model::Timestamp| at.whole_seconds().to_rfc3339();
    let rows = [
        Row::of("Name", listed(|row| row.name.clone()), each(|host| host.facts.hostname.clone())),
        Row::of("Full name", listed(|row| row.fqdn.clone()), each(|host| host.facts.identity.fqdn.clone())),
        Row::of("Serial number", listed(|row| row.serial.clone()), each(|host| host.facts.identity.serial.clone())),
        Row::of(
            "Hardware UUID",
            listed(|row| row.hardware_uuid.clone()),
            each(|host| host.facts.identity.hardware_uuid.clone()),
        ),
        Row::of(
            "Network cards",
            open(entry).flat_map(|(_, row)| row.macs.clone()).collect(),
            each(|host| host.facts.identity.macs.join(", ")),
        ),
        Row::of("Operating system", listed(|row| row.os.clone()), each(|host| host.facts.os_name.clone())),
        Row::of("Site", listed(|row| row.site.clone()), each(|host| host.site.to_string())),
        Row::of(
            "Owner",
            listed(|row| row.owner.clone()),
            each(|host| host.owner.as_ref().map(|owner| owner.owner.clone()).unwrap_or_default()),
        ),
        Row::of(
            "Last seen",
            open(entry).filter_map(|(_, row)| row.last_seen.map(seen)).collect(),
            hosts.iter().map(|host| host.last_seen.map(seen).unwrap_or_default()).collect(),
        ),
        Row::of("Lists", vec![lists_of(entry)], hosts.iter().map(|_| String::new()).collect()),
    ];
    let has_text = |row: &Row| !row.is_empty() || row.of_hosts.iter().any(|value| !value.text.is_empty());
    rows.into_iter().filter(has_text).collect()
}

/// `POST /coverage/NUMBER/match`.
pub(super) async fn is_host(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(number): Path<u64>,
    form: Form,
) -> Result<Response, Refusal> {
    let form = form.fields(&["host"])?;
    let host = state.or_refusal(visitor.context.host_id(form.get("host")).await)?;
    decide(&state, &visitor, number, EntryDecision::Match(host)).await
}

/// `POST /coverage/NUMBER/unmatch`.
pub(super) async fn is_another(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(number): Path<u64>,
    form: Form,
) -> Result<Response, Refusal> {
    form.fields(&[])?;
    decide(&state, &visitor, number, EntryDecision::Unmatch).await
}

/// `POST /coverage/NUMBER/excuse`.
pub(super) async fn excuse(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(number): Path<u64>,
    form: Form,
) -> Result<Response, Refusal> {
    let reason = form.fields(&["reason"])?.get("reason").to_owned();
    decide(&state, &visitor, number, EntryDecision::Excuse(reason)).await
}

async fn decide(state: &State, visitor: &Visitor, number: u64, decision: EntryDecision) -> Result<Response, Refusal> {
    let (store, clock, caller) = (Arc::clone(&state.store), Arc::clone(&state.clock), visitor.caller().clone());
    let decide = async move { actions::entry_decide(store.as_ref(), &caller, number, decision, &clock).await };
    finish(state, decide).await?;
    tracing::info!(entry = number, by = %visitor.caller().name, "decided about an entry of the roster");
    see(&format!("/coverage/{number}"))
}
