//! `/orders/ID`: an order as it is in force: milestones, clocks, scope, where its facts come from, and its file.

use askama::Template;
use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use muster_proto::model::{MilestoneReport, OrderFile, OrderId, OrderReport, TermReport, Timestamp};

use super::chrome::{Chrome, page};
use super::format::{Moment, clean, span};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::reports::ReportError;

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage {
    chrome: Chrome,
    id: String,
    title: String,
    active: bool,
    /// Names and values.
    facts: Vec<(&'static str, String)>,
    due: Option<Moment>,
    distance: Option<Moment>,
    due_confirmed: bool,
    is_past: bool,
    milestones: Vec<Milestone>,
    terms: Vec<Term>,
    sources: Vec<Source>,
    files: Vec<File>,
    board_link: String,
    duties_link: String,
    may_switch: bool,
}

struct Milestone {
    id: String,
    what: String,
    stated: String,
    at: Moment,
    distance: Moment,
    is_past: bool,
    confirmed: bool,
    addendum: String,
}

struct Term {
    what: String,
    starts: String,
    term: String,
    per: String,
    fields: String,
    confirmed: bool,
}

/// Where a fact comes from: a link if it is an address.
struct Source {
    text: String,
    link: String,
}

struct File {
    name: String,
    sha256: String,
    link: String,
}

/// `GET /orders/ID`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(asked): Path<String>,
) -> Result<Response, Refusal> {
    let order = order_of(&visitor, &asked)?;
    let files = files_of(&state, &visitor, &order.id).await?;
    page(&view(&state, &visitor, &order, &files))
}

/// `GET /orders/ID/files/NUMBER`: a file as it is in force, to keep.
pub(super) async fn file(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path((asked, number)): Path<(String, usize)>,
) -> Result<Response, Refusal> {
    let order = order_of(&visitor, &asked)?;
    let files = files_of(&state, &visitor, &order.id).await?;
    let file = number.checked_sub(1).and_then(|at| files.into_iter().nth(at));
    let file = file.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "The order has no such file."))?;
    let name: String = file.name.rsplit('/').next().unwrap_or_default().chars().filter(|c| is_plain(*c)).collect();
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    let disposition = disposition.map_err(|_| Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR))?;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, disposition)], file.text).into_response())
}

/// Whether a character can be in the name of a file in a header.
const fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn order_of(visitor: &Visitor, asked: &str) -> Result<OrderReport, Refusal> {
    let none = || Refusal::new(StatusCode::NOT_FOUND, format!("There is no order \"{}\".", clean(asked, 64)));
    let id = OrderId::new(asked).map_err(|_| none())?;
    visitor.context.orders(true).into_iter().find(|order| order.id == id).ok_or_else(none)
}

async fn files_of(state: &State, visitor: &Visitor, id: &OrderId) -> Result<Vec<OrderFile>, Refusal> {
    match visitor.context.order_files(id, None).await {
        Ok(files) => Ok(files.files),
        // The rules are kept before they are in force; until then the page has no file.
        Err(ReportError::NoRules { .. } | ReportError::NoOrder { .. }) => Ok(Vec::new()),
        Err(failed) => state.or_refusal(Err(failed)),
    }
}

fn view(state: &State, visitor: &Visitor, order: &OrderReport, files: &[OrderFile]) -> OrderPage {
    let now = state.now();
    let of_order = Query::default().with("order", order.id.as_str());
    let terms = order.clocks.iter().chain(&order.recurring);
    OrderPage {
        chrome: Chrome::new(state, visitor, "/orders"),
        id: order.id.to_string(),
        title: clean(&order.title, 300),
        active: order.active,
        facts: facts(order),
        due: order.due.map(Moment::deadline),
        distance: order.due.map(|due| Moment::ago(due, now)),
        due_confirmed: order.due_confirmed,
        is_past: order.due.is_some_and(|due| due <= now),
        milestones: order.milestones.iter().map(|milestone| Milestone::of(milestone, now)).collect(),
        terms: terms.map(Term::of).collect(),
        sources: order.sources.iter().map(|source| Source::of(source)).collect(),
        files: (1..).zip(files).map(|(number, file)| File::of(&order.id, number, file)).collect(),
        board_link: of_order.link("/"),
        duties_link: of_order.link("/duties"),
        may_switch: visitor.may("SwitchOrder"),
    }
}

fn facts(order: &OrderReport) -> Vec<(&'static str, String)> {
    let all = |texts: &[String]| if texts.is_empty() { "all".to_owned() } else { clean(&texts.join(", "), 1_000) };
    let facts = [
        ("Issued by", clean(&order.issuer, 300)),
        ("Applies in", clean(&order.jurisdiction, 300)),
        ("Force", order.binding.to_string()),
        ("Platforms", all(&order.platforms)),
        ("Sites", all(&order.sites)),
        ("Silent after", span(std::time::Duration::from_millis(order.patience_ms))),
        (
            "Accepted protection",
            if order.approved.is_empty() { String::new() } else { clean(&order.approved.join(", "), 1_000) },
        ),
        ("Days of", clean(&order.zone, 64)),
        ("Calendar", clean(&order.calendar, 64)),
        ("File", clean(&order.layer, 64)),
        ("Addendum", clean(&order.addendum, 64)),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

impl Milestone {
    fn of(milestone: &MilestoneReport, now: Timestamp) -> Self {
        Self {
            id: clean(&milestone.id, 64),
            what: clean(&milestone.what, 500),
            stated: clean(&milestone.stated, 64),
            at: Moment::deadline(milestone.reached),
            distance: Moment::ago(milestone.reached, now),
            is_past: milestone.reached <= now,
            confirmed: milestone.confirmed,
            addendum: clean(&milestone.addendum, 64),
        }
    }
}

impl Term {
    fn of(term: &TermReport) -> Self {
        Self {
            what: clean(&term.what, 500),
            starts: clean(&term.starts, 128),
            term: clean(&term.term, 128),
            per: clean(&term.per, 64),
            fields: clean(&term.fields.join(", "), 1_000),
            confirmed: term.confirmed,
        }
    }
}

impl Source {
    fn of(text: &str) -> Self {
        // Files of orders come from people, and a link must lead to a page and run nothing.
        let is_link = text.starts_with("https://") && text.bytes().all(|byte| byte.is_ascii_graphic());
        Self { text: clean(text, 500), link: if is_link { text.to_owned() } else { String::new() } }
    }
}

impl File {
    fn of(order: &OrderId, number: usize, file: &OrderFile) -> Self {
        let link = format!("/orders/{order}/files/{number}");
        Self { name: clean(&file.name, 128), sha256: file.sha256.clone(), link }
    }
}
