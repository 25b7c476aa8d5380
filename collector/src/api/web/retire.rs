//! `/dispositions/NUMBER`: one disposition with its hosts, for the person who decides about it; and the forms that retire hosts and
//! decide.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::limits;
use muster_proto::model::{ApprovalRule, DispositionKind, DispositionState};

use super::act::{HOST_KEYS, HostsMeant, finish, see};
use super::chrome::{Chrome, page};
use super::dispositions::Disposed;
use super::form::Form;
use super::format::{Moment, clean, counted};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions::{self, ActionError, DispositionAsked};

/// Where the result is seen.
const PAGE: &str = "/dispositions?all=1";
/// Hosts that the page of a disposition names.
const HOSTS: usize = 500;

#[derive(Template)]
#[template(path = "disposition.html")]
struct DispositionPage {
    chrome: Chrome,
    number: u64,
    state: &'static str,
    kind: &'static str,
    evidence: String,
    /// The name of the file that shows it; empty without one.
    file: String,
    requested_by: String,
    requested: Moment,
    decided: String,
    is_self_approved: bool,
    hosts: Vec<Disposed>,
    hosts_counted: String,
    /// `and 7 more hosts`; empty without any.
    more_hosts: String,
    may_decide: bool,
    may_approve: bool,
    /// Whether the visitor asked for it.
    is_own: bool,
    is_open: bool,
}

/// `GET /dispositions/NUMBER`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(number): Path<u64>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    Query::read(raw.as_deref(), &[])?;
    let one = state.or_refusal(visitor.context.disposition(number).await)?;
    let now = state.now();
    let is_own = one.requested_by == visitor.caller().name;
    let more = one.hosts.len().saturating_sub(HOSTS) as u64;
    page(&DispositionPage {
        chrome: Chrome::new(&state, &visitor, "/exceptions"),
        number,
        state: one.state.name(),
        kind: one.kind.name(),
        evidence: clean(&one.evidence, limits::CONTROL_BYTES),
        file: one.file.as_ref().map(|file| clean(&file.name, 128)).unwrap_or_default(),
        requested_by: clean(&one.requested_by, 96),
        requested: Moment::at(one.requested_at),
        decided: clean(&one.decided_by, 96),
        is_self_approved: one.is_self_approved,
        hosts: one.hosts.iter().take(HOSTS).map(|host| Disposed::of(host, now)).collect(),
        hosts_counted: counted(one.hosts.len() as u64, "host"),
        more_hosts: if more == 0 { String::new() } else { format!("and {}", counted(more, "more host")) },
        may_decide: visitor.may("DecideDisposition"),
        may_approve: !is_own || state.waivers.approval == ApprovalRule::OnePerson,
        is_own,
        is_open: one.state == DispositionState::Requested,
    })
}

/// `POST /dispositions`: retires hosts, or asks for it where a second person is needed.
pub(super) async fn retire(Extract(state): Extract<State>, visitor: Visitor, form: Form) -> Result<Response, Refusal> {
    let form = form.fields(&[&HOST_KEYS[..], &["kind", "evidence"]].concat())?;
    let kind: Option<DispositionKind> = form.one("kind")?;
    let kind = kind.ok_or_else(|| Refusal::asked("Say why the hosts left."))?;
    let meant = HostsMeant::read(&form)?;
    visitor.must_have_proved_lately(&state, &meant.link())?;
    let most = limits::HOSTS_PER_RETIREMENT;
    let hosts = meant.select_to_act(&state, &visitor, &form, most).await?;
    if hosts.len() > most {
        return state.or_refused(Err(ActionError::TooManyRetired));
    }
    let (hosts, evidence) = (hosts.iter().map(|host| host.id).collect(), form.get("evidence").to_owned());
    let asked = DispositionAsked { kind, hosts, evidence, file: None };
    let (store, rules, now) = (Arc::clone(&state.store), state.rules.load_full(), state.now());
    let caller = visitor.caller().clone();
    let retire = async move { actions::hosts_retire(store.as_ref(), &caller, &rules, asked, now).await };
    let report = finish(&state, retire).await?;
    let (retired, waiting) = (report.retired, report.waiting);
    tracing::info!(kind = kind.name(), retired, waiting, by = %visitor.caller().name, "retired hosts");
    see(PAGE)
}

/// `POST /dispositions/NUMBER`: approves or refuses one.
pub(super) async fn decide(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(number): Path<u64>,
    form: Form,
) -> Result<Response, Refusal> {
    let form = form.fields(&["decision"])?;
    let approve = match form.get("decision") {
        "approve" => true,
        "refuse" => false,
        other => return Err(Refusal::asked(format!("\"{}\" is no decision.", clean(other, 64)))),
    };
    if approve {
        visitor.must_have_proved_lately(&state, &format!("/dispositions/{number}"))?;
    }
    let (store, caller, settings, now) =
        (Arc::clone(&state.store), visitor.caller().clone(), state.waivers, state.now());
    let decide =
        async move { actions::disposition_decide(store.as_ref(), &caller, &settings, number, approve, now).await };
    finish(&state, decide).await?;
    tracing::info!(disposition = number, approve, by = %visitor.caller().name, "decided about a disposition");
    see(&format!("/dispositions/{number}"))
}
