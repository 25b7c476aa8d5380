//! `/change`: what somebody can do with hosts that were chosen in a list: labels, owner, note, site, a waiver, retirement.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::limits;
use muster_proto::model::{ApprovalRule, BulkKind, BulkReport, DispositionKind, OrderId, Timestamp, WaiverReason};

use super::act::{HOST_KEYS, HostsMeant, expected, finish, see};
use super::chrome::{Chrome, page};
use super::form::Form;
use super::format::{Moment, clean, counted, number};
use super::paging::{Choice, choices};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions::{self, BulkChange};

/// Hosts that the page names.
const NAMED: usize = 20;
/// A waiver lasts to the end of its last day.
const DAY: Duration = Duration::from_secs(86_400);
/// Hosts that a page of a list can have ticked: an address has no space for more.
const TICKED: usize = 300;
/// Changes that the page lists.
const LISTED: usize = 20;

#[derive(Template)]
#[template(path = "change.html")]
struct ChangePage {
    chrome: Chrome,
    /// What the hosts are chosen by.
    filter: String,
    /// What is wrong with it.
    problem: String,
    /// `12 hosts`; empty if none were asked for.
    chosen: String,
    /// What the forms say about the hosts that the page shows; empty without any.
    expected: String,
    /// Whether more are chosen than one change may have.
    is_too_many: bool,
    names: Vec<(String, String)>,
    /// `and 7 more`; empty without any.
    more: String,
    /// Hidden fields of each form.
    fields: Vec<(&'static str, String)>,
    /// The orders of which a waiver can be asked for.
    orders: Vec<String>,
    reasons: Vec<(&'static str, &'static str)>,
    kinds: Vec<(&'static str, &'static str)>,
    /// The first and the last day of a waiver.
    days: (String, String),
    /// Whether another person has to approve what this one asks for.
    needs_two: bool,
    /// Whether the person has to log in again before what is sensitive.
    must_log_in: bool,
    menu: Vec<Choice>,
    most_retired: usize,
    is_too_many_to_retire: bool,
    changes: Vec<BulkRow>,
}

/// A change of many hosts.
pub(super) struct BulkRow {
    number: u64,
    what: String,
    asked: Moment,
    hosts: String,
    done: String,
    changed: String,
    refused: String,
    /// Those that were so already.
    unchanged: String,
    has_refused: bool,
    ended: Option<Moment>,
}

impl BulkRow {
    fn of(bulk: &BulkReport) -> Self {
        let verb = match bulk.kind {
            BulkKind::Label => "label",
            BulkKind::Unlabel => "remove label",
            BulkKind::Own if bulk.value.is_empty() => "clear owner",
            BulkKind::Own => "owner",
            BulkKind::Note => "note",
            BulkKind::Move => "move to site",
        };
        Self {
            number: bulk.number,
            what: format!("{verb} {}", clean(&bulk.value, 120)),
            asked: Moment::at(bulk.asked_at),
            hosts: number(bulk.hosts),
            done: number(bulk.done),
            changed: number(bulk.changed),
            refused: number(bulk.refused),
            unchanged: number(bulk.hosts.saturating_sub(bulk.changed + bulk.refused)),
            has_refused: bulk.refused > 0,
            ended: bulk.ended_at.map(Moment::at),
        }
    }
}

/// `GET /change`: the hosts that are meant, with what can be done with them.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), &HOST_KEYS)?;
    let meant = HostsMeant::read(&query)?;
    if meant.ticked() > TICKED {
        let text = format!("At most {TICKED} hosts can be ticked at once. Take all that match a filter instead.");
        return Err(Refusal::asked(text));
    }
    let (found, problem) = match meant.is_nothing() {
        true => (None, String::new()),
        false => match meant.select(&state, &visitor, limits::BULK_HOSTS).await? {
            Ok(found) => (Some(found.hosts), String::new()),
            Err(problem) => (None, problem),
        },
    };
    let (count, is_too_many) =
        found.as_ref().map_or((0, false), |hosts| (hosts.len(), hosts.len() > limits::BULK_HOSTS));
    let shown: Vec<_> = found.iter().flatten().take(NAMED).map(|host| host.id).collect();
    let names = state.or_refusal(visitor.context.names(&shown).await)?;
    let names: Vec<_> = names.iter().map(|host| (host.id.to_string(), clean(&host.hostname, 64))).collect();
    let more = count.saturating_sub(names.len()) as u64;
    let changes = state.or_refused(actions::bulk_list(state.store.as_ref(), visitor.caller()).await)?;
    let now = state.now();
    let active = visitor.context.orders(false).into_iter().map(|order| (order.id.to_string(), order.id.to_string()));
    let active: Vec<(String, String)> = active.collect();
    page(&ChangePage {
        chrome: Chrome::new(&state, &visitor, "/hosts"),
        filter: meant.filter().to_owned(),
        problem,
        chosen: if found.is_some() { counted(count as u64, "host") } else { String::new() },
        expected: found.as_deref().filter(|hosts| !hosts.is_empty()).map(expected).unwrap_or_default(),
        is_too_many,
        names,
        more: if more == 0 { String::new() } else { format!("and {}", counted(more, "more host")) },
        fields: meant.fields(),
        orders: waivable(&visitor, meant.order()),
        reasons: WaiverReason::ALL.iter().map(|reason| (reason.name(), reason_text(*reason))).collect(),
        kinds: DispositionKind::ALL.iter().map(|kind| (kind.name(), kind_text(*kind))).collect(),
        days: (day(now), day(now.plus(state.waivers.longest).minus(DAY))),
        needs_two: state.waivers.approval == ApprovalRule::TwoPeople,
        must_log_in: visitor.must_have_proved_lately(&state, "/change").is_err(),
        menu: if active.len() > 1 { choices(&query, "order", active) } else { Vec::new() },
        most_retired: limits::HOSTS_PER_RETIREMENT,
        is_too_many_to_retire: count > limits::HOSTS_PER_RETIREMENT,
        changes: changes.iter().take(LISTED).map(BulkRow::of).collect(),
    })
}

/// The active orders, the one under which the hosts were chosen first.
fn waivable(visitor: &Visitor, chosen: Option<&OrderId>) -> Vec<String> {
    let mut orders: Vec<OrderId> = visitor.context.orders(false).into_iter().map(|order| order.id).collect();
    orders.sort_by_key(|order| Some(order) != chosen);
    orders.iter().map(ToString::to_string).collect()
}

fn day(at: Timestamp) -> String {
    at.to_rfc3339().chars().take(10).collect()
}

const fn reason_text(reason: WaiverReason) -> &'static str {
    match reason {
        WaiverReason::ReplacementPending => "replacement ordered or planned",
        WaiverReason::LegacySystem => "legacy system, cannot be changed",
        WaiverReason::VendorDependency => "required by a vendor",
        WaiverReason::RegulatoryExemption => "legal or regulatory exemption",
        WaiverReason::Research => "research on the product",
        WaiverReason::FalseFinding => "false positive",
        WaiverReason::Other => "other (explain below)",
    }
}

const fn kind_text(kind: DispositionKind) -> &'static str {
    match kind {
        DispositionKind::Destroyed => "destroyed",
        DispositionKind::Reimaged => "reimaged, now another host",
        DispositionKind::Transferred => "transferred",
        DispositionKind::Sold => "sold",
        DispositionKind::Lost => "lost or stolen",
    }
}

/// `POST /change`: a label, an owner, a note or a site for the hosts.
pub(super) async fn change(Extract(state): Extract<State>, visitor: Visitor, form: Form) -> Result<Response, Refusal> {
    let form = form.fields(&[&HOST_KEYS[..], &["change", "value"]].concat())?;
    let kind: Option<BulkKind> = form.one("change")?;
    let kind = kind.ok_or_else(|| Refusal::asked("The form does not say what to change."))?;
    let change = state.or_refused(BulkChange::read(kind, form.get("value")))?;
    let hosts = HostsMeant::read(&form)?.select_to_act(&state, &visitor, &form, limits::BULK_HOSTS).await?;
    if hosts.is_empty() {
        return Err(Refusal::asked("No host matches, so nothing was changed."));
    }
    let (store, clock, caller) = (Arc::clone(&state.store), Arc::clone(&state.clock), visitor.caller().clone());
    let count = hosts.len();
    let rules = state.rules.load_full();
    let done = async move { actions::hosts_change(store.as_ref(), &caller, &change, &hosts, &rules, &clock).await };
    let bulk = finish(&state, done).await?;
    let by = &visitor.caller().name;
    tracing::info!(bulk = bulk.number, change = kind.name(), hosts = count, by = %by, "changes hosts");
    see(&format!("/change/{}", bulk.number))
}

#[derive(Template)]
#[template(path = "change_done.html")]
struct ChangeDonePage {
    chrome: Chrome,
    change: BulkRow,
    /// The hosts that have the label or the owner now; empty if no list shows them.
    link: String,
    may_change: bool,
}

/// `GET /change/NUMBER`: how far a change is.
pub(super) async fn progress(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(number): Path<u64>,
) -> Result<Response, Refusal> {
    let bulk = state.or_refused(actions::bulk_show(state.store.as_ref(), visitor.caller(), number).await)?;
    let term = match bulk.kind {
        BulkKind::Label => format!("label:{}", bulk.value),
        BulkKind::Move => format!("site:{}", bulk.value),
        BulkKind::Unlabel | BulkKind::Own | BulkKind::Note => String::new(),
    };
    let link = if term.is_empty() { term } else { Query::default().with("where", &term).link("/hosts") };
    let may_change = visitor.may("ChangeHosts");
    page(&ChangeDonePage {
        chrome: Chrome::new(&state, &visitor, "/hosts"),
        change: BulkRow::of(&bulk),
        link,
        may_change,
    })
}
