//! `/exceptions`: waivers that are requested and in force, the one that ends first at the beginning, and the dispositions that wait for
//! a second person.

use std::time::Duration;

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{OrderId, Timestamp, WaiverReport, WaiverState};

use super::chrome::{Chrome, page};
use super::csv;
use super::dispositions::{self, DispositionRow};
use super::format::{Moment, clean, counted, number};
use super::paging::{Choice, Pager, choices};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::reports::{Page, ReportContext, WaiversAsked};

const KEYS: &[&str] = &["order", "list", "rows", "page"];
const HEADER: &[&str] = &[
    "number",
    "order",
    "state",
    "reason",
    "hosts",
    "until",
    "beyond_milestone",
    "requested_by",
    "requested",
    "decided_by",
    "decided",
    "self_approved",
    "ended_by",
    "ended",
    "control",
];
/// Waivers that end within this time are ending.
const ENDING: Duration = Duration::from_secs(30 * 86_400);
/// Dispositions that wait which the page shows; their own page has all.
const WAITING: usize = 20;

#[derive(Template)]
#[template(path = "exceptions.html")]
struct ExceptionsPage {
    chrome: Chrome,
    orders: Vec<Choice>,
    lists: Vec<Choice>,
    /// What is wrong with the order.
    problem: String,
    rows: Vec<WaiverRow>,
    pager: Pager,
    is_filtered: bool,
    waiting: Vec<DispositionRow>,
    has_more_waiting: bool,
}

/// A waiver, as pages show it.
pub(super) struct WaiverRow {
    pub(super) link: String,
    pub(super) number: u64,
    pub(super) order: String,
    pub(super) state: &'static str,
    /// Whether somebody has to decide.
    pub(super) is_open: bool,
    pub(super) reason: &'static str,
    pub(super) control: String,
    pub(super) hosts: String,
    pub(super) until: Moment,
    pub(super) distance: Moment,
    pub(super) beyond_milestone: bool,
    pub(super) requested_by: String,
    pub(super) requested: Moment,
    pub(super) decided: String,
    pub(super) is_self_approved: bool,
    pub(super) ended: String,
}

impl WaiverRow {
    pub(super) fn of(waiver: &WaiverReport, now: Timestamp) -> Self {
        let by = |name: &str| clean(name, 96);
        Self {
            link: format!("/exceptions/{}", waiver.number),
            number: waiver.number,
            order: waiver.order.to_string(),
            state: waiver.state.name(),
            is_open: waiver.state == WaiverState::Requested,
            reason: waiver.reason.name(),
            control: clean(&waiver.control, 200),
            hosts: number(waiver.hosts),
            until: Moment::deadline(waiver.until),
            distance: Moment::ago(waiver.until, now),
            beyond_milestone: waiver.beyond_milestone,
            requested_by: by(&waiver.requested_by),
            requested: Moment::at(waiver.requested_at),
            decided: by(&waiver.decided_by),
            is_self_approved: waiver.is_self_approved,
            ended: by(&waiver.ended_by),
        }
    }
}

/// The choices of the menu, the default first.
const LISTS: [(&str, &str); 3] = [
    ("open", "requested and in force"),
    ("ending", "in force, ending within 30 days"),
    ("all", "all, also those that are over"),
];

fn asked(query: &Query) -> Result<WaiversAsked, Refusal> {
    let list = match query.get("list") {
        "" => LISTS[0].0,
        list => list,
    };
    if LISTS.iter().all(|(name, _)| *name != list) {
        return Err(Refusal::asked(format!("\"{}\" is no list: it is open, ending or all.", clean(list, 64))));
    }
    Ok(WaiversAsked {
        order: query.one::<OrderId>("order")?,
        all: list == "all",
        ending: (list == "ending").then_some(ENDING),
        rows: query.rows()?,
        page: query.page(),
    })
}

/// `GET /exceptions`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let context = &visitor.context;
    let (found, problem) = match state.or_problem(context.waivers(asked(&query)?).await)? {
        Ok(found) => (found, String::new()),
        Err(problem) => (Page { rows: Vec::new(), next: None, total: None }, problem),
    };
    let waiting = state.or_refusal(context.dispositions(false, WAITING, None).await)?;
    let orders = context.orders(true).into_iter().filter(|order| order.active);
    let now = state.now();
    let mut pager = Pager::new("/exceptions", &query, found.next.as_deref(), found.rows.len(), None, "waiver");
    pager.shown = counted(found.rows.len() as u64, "waiver");
    page(&ExceptionsPage {
        chrome: Chrome::new(&state, &visitor, "/exceptions"),
        orders: choices(&query, "order", orders.map(|order| (order.id.to_string(), order.id.to_string()))),
        lists: choices(&query, "list", LISTS.map(|(name, text)| (name.to_owned(), text.to_owned()))),
        problem,
        rows: found.rows.iter().map(|one| WaiverRow::of(one, now)).collect(),
        pager: pager.with_file("/exceptions.csv", &query),
        is_filtered: query.has("order") || query.has("list"),
        waiting: waiting.rows.iter().map(|one| dispositions::row(one, now)).collect(),
        has_more_waiting: waiting.next.is_some(),
    })
}

/// `GET /exceptions.csv`.
pub(super) async fn download(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let asked = asked(&Query::read(raw.as_deref(), KEYS)?)?;
    let read = move |context: ReportContext, page: Option<String>| {
        let asked = WaiversAsked { rows: csv::ROWS, page, ..asked.clone() };
        async move {
            let found = context.waivers(asked).await?;
            Ok((found.rows.iter().map(cells).collect(), found.next))
        }
    };
    csv::file(&state, visitor, "exceptions", HEADER, read).await
}

fn cells(waiver: &WaiverReport) -> Vec<String> {
    let instant = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339).unwrap_or_default();
    vec![
        waiver.number.to_string(),
        waiver.order.to_string(),
        waiver.state.to_string(),
        waiver.reason.to_string(),
        waiver.hosts.to_string(),
        waiver.until.to_rfc3339(),
        waiver.beyond_milestone.to_string(),
        waiver.requested_by.clone(),
        waiver.requested_at.to_rfc3339(),
        waiver.decided_by.clone(),
        instant(waiver.decided_at),
        waiver.is_self_approved.to_string(),
        waiver.ended_by.clone(),
        instant(waiver.ended_at),
        waiver.control.clone(),
    ]
}
