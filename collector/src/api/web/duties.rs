//! `/duties`: what orders demand, and until when.

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{DutyReport, DutyState, DutySubject, OrderId, Timestamp};

use super::chrome::{Chrome, page};
use super::csv;
use super::format::{Moment, clean};
use super::paging::{Choice, Pager, choices};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::reports::{DutiesAsked, ReportContext};

const KEYS: &[&str] = &["order", "all", "rows", "page"];
const HEADER: &[&str] = &[
    "number",
    "order",
    "clock",
    "subject",
    "hostname",
    "site",
    "opened",
    "due",
    "state",
    "overdue",
    "settled",
    "reference",
    "what",
];

#[derive(Template)]
#[template(path = "duties.html")]
struct DutiesPage {
    chrome: Chrome,
    orders: Vec<Choice>,
    all: bool,
    rows: Vec<Row>,
    pager: Pager,
    is_filtered: bool,
    may_finish: bool,
    /// This page.
    address: String,
}

struct Row {
    number: u64,
    order: String,
    what: String,
    confirmed: bool,
    subject: String,
    /// The host, if the duty is about one.
    host: String,
    opened: Moment,
    due: Moment,
    distance: Moment,
    state: &'static str,
    is_open: bool,
    overdue: bool,
    settled: Option<Moment>,
    reference: String,
    evidence: String,
}

impl Row {
    fn of(duty: &DutyReport, now: Timestamp) -> Self {
        let host = match &duty.subject {
            DutySubject::Host(host) => host.to_string(),
            DutySubject::Order | DutySubject::Product(_) => String::new(),
        };
        let subject = match &duty.subject {
            DutySubject::Host(_) if !duty.hostname.is_empty() => duty.hostname.clone(),
            DutySubject::Product(product) => product.to_string(),
            subject @ (DutySubject::Host(_) | DutySubject::Order) => subject.to_string(),
        };
        Self {
            number: duty.number,
            order: duty.order.to_string(),
            what: clean(if duty.what.is_empty() { &duty.clock } else { &duty.what }, 500),
            confirmed: duty.confirmed,
            subject: clean(&subject, 128),
            host,
            opened: Moment::at(duty.opened),
            due: Moment::deadline(duty.due),
            distance: Moment::ago(duty.due, now),
            state: duty.state.name(),
            is_open: duty.state == DutyState::Open,
            overdue: duty.overdue,
            settled: duty.settled.map(Moment::at),
            reference: clean(&duty.reference, 500),
            evidence: duty.evidence.as_ref().map(|file| clean(&file.name, 128)).unwrap_or_default(),
        }
    }
}

fn asked(query: &Query) -> Result<DutiesAsked, Refusal> {
    let order: Option<OrderId> = query.one("order")?;
    Ok(DutiesAsked { order, all: query.flag("all")?, rows: query.rows()?, page: query.page() })
}

/// `GET /duties`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let found = state.or_refusal(visitor.context.duties(asked(&query)?).await)?;
    let orders = visitor.context.orders(false);
    let now = state.now();
    let noun = if found.rows.len() == 1 { "duty" } else { "duties" };
    let mut pager = Pager::new("/duties", &query, found.next.as_deref(), found.rows.len(), None, "");
    pager.shown = format!("{} {noun}", found.rows.len());
    page(&DutiesPage {
        chrome: Chrome::new(&state, &visitor, "/duties"),
        orders: choices(&query, "order", orders.iter().map(|order| (order.id.to_string(), order.id.to_string()))),
        all: query.flag("all")?,
        rows: found.rows.iter().map(|duty| Row::of(duty, now)).collect(),
        pager: pager.with_file("/duties.csv", &query),
        is_filtered: query.has("order"),
        may_finish: visitor.may("FinishDuty"),
        address: query.link("/duties"),
    })
}

/// `GET /duties.csv`.
pub(super) async fn download(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let asked = asked(&Query::read(raw.as_deref(), KEYS)?)?;
    let read = move |context: ReportContext, page: Option<String>| {
        let asked = DutiesAsked { rows: csv::ROWS, page, ..asked.clone() };
        async move {
            let found = context.duties(asked).await?;
            Ok((found.rows.iter().map(cells).collect(), found.next))
        }
    };
    csv::file(&state, visitor, "duties", HEADER, read).await
}

fn cells(duty: &DutyReport) -> Vec<String> {
    vec![
        duty.number.to_string(),
        duty.order.to_string(),
        duty.clock.clone(),
        duty.subject.to_string(),
        duty.hostname.clone(),
        duty.site.as_ref().map(ToString::to_string).unwrap_or_default(),
        duty.opened.to_rfc3339(),
        duty.due.to_rfc3339(),
        duty.state.to_string(),
        duty.overdue.to_string(),
        duty.settled.map(Timestamp::to_rfc3339).unwrap_or_default(),
        duty.reference.clone(),
        duty.what.clone(),
    ]
}
