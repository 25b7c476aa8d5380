//! `/changes`: which hosts changed lane, and why.

use std::time::Duration;

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{ChangeRow, ChangesReport, ChangesSort, Lane, OrderId, SiteId};

use super::chrome::{Chrome, page};
use super::csv;
use super::format::{LaneMark, Moment, counted, name, number};
use super::paging::{Choice, Pager, choices};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::filter::Filter;
use crate::reports::{ChangesAsked, ReportContext, ReportError};

const KEYS: &[&str] = &["where", "days", "order", "site", "sort", "rows", "page"];
const HEADER: &[&str] = &["at", "host", "hostname", "site", "order", "from", "to", "cause"];
/// How far back, in days: the choices of the menu.
const DAYS: [u64; 4] = [1, 7, 30, 90];

#[derive(Template)]
#[template(path = "changes.html")]
struct ChangesPage {
    chrome: Chrome,
    days: Vec<Choice>,
    orders: Vec<Choice>,
    sorts: Vec<Choice>,
    site: String,
    filter: String,
    /// What is wrong with the filter.
    problem: String,
    hosts: String,
    causes: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    at: Moment,
    host: String,
    name: String,
    site: String,
    order: String,
    from: Option<LaneMark>,
    to: Option<LaneMark>,
    cause: &'static str,
}

impl Row {
    fn of(change: &ChangeRow) -> Self {
        Self {
            at: Moment::at(change.at),
            host: change.host.to_string(),
            name: name(&change.hostname),
            site: change.site.to_string(),
            order: change.order.to_string(),
            from: change.from.map(LaneMark::of),
            to: change.to.map(LaneMark::of),
            cause: change.cause.name(),
        }
    }
}

fn asked(query: &Query, filter: Filter) -> Result<ChangesAsked, Refusal> {
    let days: u64 = query.one("days")?.unwrap_or(DAYS[0]);
    let order: Option<OrderId> = query.one("order")?;
    Ok(ChangesAsked {
        span: Duration::from_secs(days.saturating_mul(86_400)),
        order,
        sites: query.list::<SiteId>("site")?,
        filter,
        only: None,
        sort: query.one("sort")?.unwrap_or_default(),
        rows: query.rows()?,
        page: query.page(),
    })
}

/// `GET /changes`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let context = &visitor.context;
    // A wrong filter stays in its box, with what is wrong about it.
    let found = match query.filter() {
        Ok(filter) => state.or_problem(changes(context, asked(&query, filter)?).await)?,
        Err(problem) => Err(problem),
    };
    let ((report, next), problem) = match found {
        Ok(found) => (found, String::new()),
        Err(problem) => ((ChangesReport::default(), None), problem),
    };
    let orders = context.orders(true);
    let days = |days: &u64| (days.to_string(), if *days == 1 { "a day".to_owned() } else { format!("{days} days") });
    page(&ChangesPage {
        chrome: Chrome::new(&state, &visitor, "/changes"),
        days: choices(&query, "days", DAYS.iter().map(days)),
        orders: choices(
            &query,
            "order",
            orders.iter().filter(|order| order.active).map(|order| (order.id.to_string(), order.id.to_string())),
        ),
        sorts: choices(&query, "sort", ChangesSort::ALL.iter().map(|sort| (sort.to_string(), format!("{sort} first")))),
        site: query.get("site").to_owned(),
        filter: query.get("where").to_owned(),
        problem,
        hosts: counted(report.hosts, "host"),
        causes: report.causes.iter().map(|(cause, count)| (cause.name(), number(*count))).collect(),
        rows: report.changes.iter().map(Row::of).collect(),
        pager: Pager::new("/changes", &query, next.as_deref(), report.changes.len(), Some(report.total), "change")
            .with_file("/changes.csv", &query),
    })
}

/// A page of changes with the counts of the whole list.
async fn changes(
    context: &ReportContext,
    mut asked: ChangesAsked,
) -> Result<(ChangesReport, Option<String>), ReportError> {
    asked.only = context.changes_only(&asked).await?;
    let (report, next) = context.changes(asked.clone()).await?;
    if asked.page.is_none() {
        return Ok((report, next));
    }
    // Only the first page has the counts.
    let (counts, _) = context.changes(ChangesAsked { page: None, rows: 1, ..asked }).await?;
    Ok((ChangesReport { changes: report.changes, ..counts }, next))
}

/// `GET /changes.csv`.
pub(super) async fn download(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let mut asked = asked(&query, query.filter().map_err(Refusal::asked)?)?;
    asked.only = state.or_refusal(visitor.context.changes_only(&asked).await)?;
    let read = move |context: ReportContext, page: Option<String>| {
        let asked = ChangesAsked { rows: csv::ROWS, page, ..asked.clone() };
        async move {
            let (report, next) = context.changes(asked).await?;
            Ok((report.changes.iter().map(cells).collect(), next))
        }
    };
    csv::file(&state, visitor, "changes", HEADER, read).await
}

fn cells(change: &ChangeRow) -> Vec<String> {
    let lane = |lane: Option<Lane>| lane.map_or(String::new(), |lane| lane.to_string());
    vec![
        change.at.to_rfc3339(),
        change.host.to_string(),
        change.hostname.clone(),
        change.site.to_string(),
        change.order.to_string(),
        lane(change.from),
        lane(change.to),
        change.cause.to_string(),
    ]
}
