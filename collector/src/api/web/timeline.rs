//! `/timeline`: how many machines had work left at the end of each day, by lane, site, label or cause, and when an order will be
//! finished.

mod chart;
mod forecast;
mod numbers;
mod scale;

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{
    ForecastReport, Lane, OmittedDays, OrderId, OrderReport, SiteId, TimelineBy, TimelineDay, TimelineReport, Timestamp,
};

use super::chrome::{Chrome, page};
use super::csv;
use super::format::{clean, counted, number};
use super::narrowing::problem_of;
use super::paging::{Choice, choices};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::reports::{ReportContext, ReportError, TimelineAsked};
use chart::Chart;
use forecast::Forecast;
use numbers::{Numbers, causes_text, date, group_name};

const KEYS: &[&str] = &["order", "by", "from", "to", "site"];
const COUNTS: &[&str] = &["at", "site", "lane", "hosts"];
const OF_LABELS: &[&str] = &["at", "label", "lane", "hosts"];
const STEPS: &[&str] = &["at", "cause", "from", "to", "hosts"];
/// Days of which the rows of a file are made at a time.
const DAYS: usize = 10;

#[derive(Template)]
#[template(path = "timeline.html")]
struct TimelinePage {
    chrome: Chrome,
    orders: Vec<Choice>,
    by: Vec<Choice>,
    from: String,
    to: String,
    site: String,
    /// What is wrong with what was asked for.
    problem: String,
    /// Whether no order is active and none was asked for.
    has_no_order: bool,
    view: Option<View>,
}

/// A timeline that could be read.
struct View {
    order: String,
    title: String,
    chart: Option<Chart>,
    /// Whether any machine was counted.
    has_machines: bool,
    /// Names of the columns of the table, without the day.
    columns: Vec<String>,
    /// `90 days`.
    days_counted: String,
    rows: Vec<Row>,
    /// What the page leaves out, as sentences.
    notes: Vec<String>,
    /// Causes with machines that came to have work left, that had none left any more, and others.
    causes: Vec<(&'static str, [String; 3])>,
    is_by_cause: bool,
    forecast: Option<Forecast>,
    /// Why there is no forecast.
    no_forecast: String,
    /// The same question about the last 90 days.
    whole: String,
    download: String,
}

struct Row {
    day: String,
    cells: Vec<String>,
    causes: String,
}

/// `GET /timeline`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let context = &visitor.context;
    let orders = orders(context);
    let (view, problem, has_no_order) = match asked(&query, &orders) {
        Ok(Some(asked)) => match view(&state, context, &query, &orders, asked).await? {
            Ok(view) => (Some(view), String::new(), false),
            Err(problem) => (None, problem, false),
        },
        Ok(None) => (None, String::new(), true),
        Err(problem) => (None, problem, false),
    };
    // What is shown is chosen in the menu, also if the address does not say it.
    let chosen = match &view {
        Some(view) => query.with("order", &view.order),
        None => query.clone(),
    };
    let of_order = |order: &OrderReport| {
        let id = order.id.to_string();
        (id.clone(), if order.active { id } else { format!("{id} (not active)") })
    };
    page(&TimelinePage {
        chrome: Chrome::new(&state, &visitor, "/timeline"),
        orders: choices(&chosen, "order", orders.iter().map(of_order)),
        by: choices(&query, "by", TimelineBy::ALL.iter().map(|by| (by.name().to_owned(), by.name().to_owned()))),
        from: query.get("from").to_owned(),
        to: query.get("to").to_owned(),
        site: query.get("site").to_owned(),
        problem,
        has_no_order,
        view,
    })
}

/// `GET /timeline.csv`: all numbers, as `muster timeline` has them.
pub(super) async fn download(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let asked = asked(&query, &orders(&visitor.context)).map_err(Refusal::asked)?;
    let none = || Refusal::asked("No order is active. Say which one: /timeline.csv?order=ID.");
    let asked = asked.ok_or_else(none)?;
    let by = asked.by;
    let report = Arc::new(state.or_refusal(visitor.context.timeline(asked).await)?);
    let header = match by {
        Some(TimelineBy::Cause) => STEPS,
        Some(TimelineBy::Label) => OF_LABELS,
        Some(TimelineBy::Site) | None => COUNTS,
    };
    let read = move |_: ReportContext, after: Option<String>| {
        let report = Arc::clone(&report);
        async move {
            let from: usize = after.and_then(|after| after.parse().ok()).unwrap_or_default();
            let days = report.days.get(from..).unwrap_or_default();
            let rows = days.iter().take(DAYS).flat_map(|day| cells(day, by)).collect();
            Ok((rows, (days.len() > DAYS).then(|| (from + DAYS).to_string())))
        }
    };
    csv::file(&state, visitor, "timeline", header, read).await
}

fn cells(day: &TimelineDay, by: Option<TimelineBy>) -> Vec<Vec<String>> {
    let at = day.at.to_rfc3339();
    let lane = |lane: Option<Lane>| lane.map(|lane| lane.to_string()).unwrap_or_default();
    let groups = match by {
        Some(TimelineBy::Cause) => {
            let steps = day.steps.iter();
            let row = |step: &muster_proto::model::LaneStep| {
                vec![at.clone(), step.cause.to_string(), lane(step.from), lane(step.to), step.hosts.to_string()]
            };
            return steps.map(row).collect();
        }
        Some(TimelineBy::Site | TimelineBy::Label) => {
            day.groups.iter().map(|group| (group_name(group), &group.counts)).collect()
        }
        None => vec![(String::new(), &day.counts)],
    };
    let mut rows = Vec::new();
    for (name, counts) in groups {
        let row = |lane: &str, hosts: u64| vec![at.clone(), name.clone(), lane.to_owned(), hosts.to_string()];
        rows.extend(counts.lanes.iter().map(|(lane, hosts)| row(lane.name(), *hosts)));
        rows.extend([row("out-of-scope", counts.out_of_scope), row("total", counts.total)]);
    }
    rows
}

/// The active orders, the one that is due first at the beginning, and then the others.
fn orders(context: &ReportContext) -> Vec<OrderReport> {
    let mut orders = context.orders(true);
    let due = |order: &OrderReport| (order.due.is_none(), order.due);
    orders.sort_by(|one, other| (!one.active, due(one), &one.id).cmp(&(!other.active, due(other), &other.id)));
    orders
}

/// What the address asks for; `None` if it names no order and none is active.
fn asked(query: &Query, orders: &[OrderReport]) -> Result<Option<TimelineAsked>, String> {
    let order = query.one::<OrderId>("order").map_err(|refused| refused.text)?;
    let order = order.or_else(|| orders.first().filter(|order| order.active).map(|order| order.id.clone()));
    let by = match query.get("by") {
        "" => None,
        by => Some(by.parse().map_err(|_| {
            format!("A timeline cannot be divided by \"{}\". It is divided by site, label or cause.", clean(by, 64))
        })?),
    };
    let (from, to) = (day(query.get("from"))?, day(query.get("to"))?);
    let sites = query.list::<SiteId>("site").map_err(|refused| refused.text)?;
    Ok(order.map(|order| TimelineAsked { order, from, to, sites, by }))
}

/// The beginning of a day in UTC; `None` for an empty text.
fn day(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = (text.len() == 10).then(|| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"))).and_then(Result::ok);
    day.map(Some).ok_or_else(|| format!("\"{}\" is no day. A day is written like this: 2026-11-30.", clean(text, 64)))
}

/// The timeline and the forecast, or what is wrong with the question.
async fn view(
    state: &State,
    context: &ReportContext,
    query: &Query,
    orders: &[OrderReport],
    asked: TimelineAsked,
) -> Result<Result<View, String>, Refusal> {
    let (order, by, sites) = (asked.order.clone(), asked.by, asked.sites.clone());
    let report = match state.or_problem(context.timeline(asked).await)? {
        Ok(report) => report,
        Err(problem) => return Ok(Err(problem)),
    };
    let (forecast, no_forecast) = match context.forecast(&order, sites).await {
        Ok(forecast) => (Some(forecast), String::new()),
        Err(ReportError::NotActive { .. }) => (None, "There is none: the order is not active.".to_owned()),
        Err(ReportError::NoMachines { sites }) if sites.is_empty() => {
            (None, "There is none: no machine is counted.".to_owned())
        }
        Err(ReportError::TimelinesBusy { .. } | ReportError::TimelineTooLong { .. }) => {
            (None, "There was no time for it. Load the page again, or use `muster forecast`.".to_owned())
        }
        Err(refused @ (ReportError::NotKnown { .. } | ReportError::NoMachines { .. })) => {
            (None, problem_of(&refused).unwrap_or_default())
        }
        Err(failed) => return Err(state.or_refusal::<()>(Err(failed)).err().unwrap_or_else(unexpected)),
    };
    let title = orders.iter().find(|found| found.id == order).map(|order| clean(&order.title, 200));
    let title = title.unwrap_or_else(|| order.to_string());
    Ok(Ok(View::of(&report, by, title, query, (forecast.as_ref(), no_forecast))))
}

fn unexpected() -> Refusal {
    Refusal::of_code(http::StatusCode::INTERNAL_SERVER_ERROR)
}

impl View {
    fn of(
        report: &TimelineReport,
        by: Option<TimelineBy>,
        title: String,
        query: &Query,
        (forecast, no_forecast): (Option<&ForecastReport>, String),
    ) -> Self {
        let numbers = Numbers::of(report, by);
        let query = query.with("order", report.order.as_str());
        let is_by_cause = by == Some(TimelineBy::Cause);
        let causes = if is_by_cause { Numbers::causes(report) } else { Vec::new() };
        let of_chart = match by {
            None => "Machines with work left, by lane".to_owned(),
            Some(TimelineBy::Cause) => "Machines with new work, and machines that were finished".to_owned(),
            Some(by) => format!("Machines with work left, by {by}"),
        };
        let mut columns: Vec<String> = numbers.series.iter().map(|series| series.name.clone()).collect();
        columns.extend(["work left", "all machines"].map(str::to_owned));
        Self {
            order: report.order.to_string(),
            title,
            has_machines: report.days.iter().any(|day| day.counts.total > 0),
            chart: Chart::new(&numbers, of_chart, described(&numbers)),
            columns,
            days_counted: counted(numbers.days.len() as u64, "day"),
            rows: rows(&numbers),
            notes: notes(report, &numbers, by),
            causes: causes.into_iter().map(|(cause, hosts)| (cause.name(), hosts.map(number))).collect(),
            is_by_cause,
            forecast: forecast.map(Forecast::of),
            no_forecast,
            whole: query.without("from").without("to").link("/timeline"),
            download: query.link("/timeline.csv"),
        }
    }
}

/// `On 2026-09-01 work was left on 412 of 1,000 machines, now on 20 of 1,000 machines.`
fn described(numbers: &Numbers) -> String {
    let (Some(first), Some(last)) = (numbers.days.first(), numbers.days.last()) else { return String::new() };
    let of = |day: &numbers::Day| format!("on {} of {}", number(day.open), counted(day.total, "machine"));
    let when = |day: &numbers::Day| if day.name == "now" { "now".to_owned() } else { format!("on {}", day.name) };
    match (first.number == last.number, last.name.as_str()) {
        (true, "now") => format!("Work is left {}.", of(last)),
        (true, day) => format!("On {day} work was left {}.", of(last)),
        (false, _) => format!("On {} work was left {}, {} {}.", first.name, of(first), when(last), of(last)),
    }
}

/// The newest day first.
fn rows(numbers: &Numbers) -> Vec<Row> {
    let row = |(at, day): (usize, &numbers::Day)| {
        let values = numbers.series.iter().map(|series| series.values.get(at).copied().unwrap_or_default());
        let mut cells: Vec<String> = values.map(|value| number(value.unsigned_abs())).collect();
        cells.extend([number(day.open), number(day.total)]);
        Row { day: day.name.clone(), cells, causes: causes_text(&day.causes) }
    };
    numbers.days.iter().enumerate().rev().map(row).collect()
}

fn notes(report: &TimelineReport, numbers: &Numbers, by: Option<TimelineBy>) -> Vec<String> {
    let mut notes = Vec::new();
    if numbers.every > 1 {
        notes.push(format!("Every {}th day is shown. The file has all {} days.", numbers.every, report.days.len()));
    }
    notes.extend(Some(numbers.left_out.clone()).filter(|text| !text.is_empty()));
    match by {
        Some(TimelineBy::Site) => {
            notes.push("Sites are those of now: a host that was moved counts at its new site on all days.".to_owned());
        }
        Some(TimelineBy::Label) => notes.push(
            "Labels are those of then: a host with several counts at each of them, and one with none at none."
                .to_owned(),
        ),
        Some(TimelineBy::Cause) | None => {}
    }
    notes.extend(report.omitted.iter().map(left_out));
    notes
}

/// `2026-08-01 to 2026-08-30 are left out: the order was not active.`
fn left_out(omitted: &OmittedDays) -> String {
    let (from, until, why) = (date(omitted.from), date(omitted.until), omitted.why.meaning());
    if from == until {
        format!("{from} is left out: {why}.")
    } else {
        format!("{from} to {until} are left out: {why}.")
    }
}
