//! `/hosts`: all hosts with their lanes.

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{HostMark, HostRow, HostsSort, Lane, OrderId, SiteId, Timestamp, TokenId};

use super::chrome::{Chrome, page};
use super::csv;
use super::format::{LaneMark, Moment, clean, name};
use super::paging::{Choice, Pager, choices};
use super::query::Query;
use super::refusal::Refusal;
use super::selection::{List, Selection};
use super::state::State;
use super::visitor::Visitor;
use crate::filter::Filter;
use crate::reports::{HostsQuery, Page, ReportContext, ReportError};

const KEYS: &[&str] = &["where", "order", "lane", "silent", "site", "name", "mark", "token", "sort", "rows", "page"];
const HEADER: &[&str] = &[
    "id",
    "hostname",
    "site",
    "platform",
    "os_name",
    "last_seen",
    "order",
    "lane",
    "overdue",
    "silent",
    "marks",
    "labels",
    "owner",
    "true_lane",
];

/// Labels that a row shows.
const LABELS: usize = 5;

#[derive(Template)]
#[template(path = "hosts.html")]
struct HostsPage {
    chrome: Chrome,
    orders: Vec<Choice>,
    lanes: Vec<Choice>,
    marks: Vec<Choice>,
    sorts: Vec<Choice>,
    site: String,
    name: String,
    silent: bool,
    filter: String,
    /// What is wrong with the filter.
    problem: String,
    /// The columns of lanes, one for each active order.
    columns: Vec<String>,
    rows: Vec<Row>,
    /// For somebody who may change hosts.
    selection: Option<Selection>,
    pager: Pager,
    is_filtered: bool,
}

struct Row {
    id: String,
    name: String,
    site: String,
    system: String,
    seen: Option<Moment>,
    /// The lane under each order; `None` if the order does not apply to the host.
    lanes: Vec<Option<LaneCell>>,
    marks: String,
    labels: Vec<String>,
    owner: String,
}

struct LaneCell {
    lane: LaneMark,
    overdue: bool,
    /// The lane without the waiver or the disposition; empty without one.
    true_lane: &'static str,
}

impl Row {
    fn of(host: &HostRow, orders: &[OrderId], now: Timestamp) -> Self {
        let lane = |order: &OrderId| {
            host.lanes.get(order).map(|lane| LaneCell {
                lane: LaneMark::of(*lane),
                overdue: host.overdue.contains(order),
                true_lane: host.true_lanes.get(order).map_or("", |lane| lane.name()),
            })
        };
        Self {
            id: host.id.to_string(),
            name: clean(&host.hostname, 96),
            site: host.site.to_string(),
            system: clean(&host.os_name, 64),
            seen: host.last_seen.map(|seen| Moment::ago(seen, now)),
            lanes: orders.iter().map(lane).collect(),
            marks: marks_of(host),
            labels: shown_labels(host),
            owner: clean(&host.owner, 96),
        }
    }
}

fn asked(query: &Query, filter: Filter) -> Result<HostsQuery, Refusal> {
    Ok(HostsQuery {
        order: query.one::<OrderId>("order")?,
        lanes: query.list::<Lane>("lane")?,
        silent_only: query.flag("silent")?,
        sites: query.list::<SiteId>("site")?,
        name: query.name("name")?,
        marks: query.list::<HostMark>("mark")?,
        enrolled_with: query.one::<TokenId>("token")?,
        filter,
        sort: query.one("sort")?.unwrap_or(HostsSort::Name),
        rows: query.rows()?,
        page: query.page(),
    })
}

/// `GET /hosts`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let context = &visitor.context;
    // A wrong filter stays in its box, with what is wrong about it.
    let found = match query.filter() {
        Ok(filter) => state.or_problem(hosts(context, asked(&query, filter)?).await)?,
        Err(problem) => Err(problem),
    };
    let (found, problem) = match found {
        Ok(found) => (found, String::new()),
        Err(problem) => (Page { rows: Vec::new(), next: None, total: Some(0) }, problem),
    };
    let orders: Vec<OrderId> = context.orders(false).into_iter().map(|order| order.id).collect();
    let now = state.now();
    let names = |name: &'static str| (name.to_owned(), name.to_owned());
    let sort = |sort: &HostsSort| (sort.to_string(), sort_name(*sort).to_owned());
    let pager = Pager::new("/hosts", &query, found.next.as_deref(), found.rows.len(), found.total, "host");
    let filters = ["where", "order", "lane", "silent", "site", "name", "mark", "token"];
    // Machines that never enrolled are entries of the roster and no hosts.
    let lanes = Lane::ALL.iter().filter(|lane| **lane != Lane::Missing);
    // The worst lane first is a question about the lanes of one order.
    let order = if query.get("sort") == HostsSort::Lane.name() { orders.first().cloned() } else { None };
    let list = List { query: &query, lanes: &[], menus: &["name", "mark", "token"], order, needs_order: false };
    page(&HostsPage {
        chrome: Chrome::new(&state, &visitor, "/hosts"),
        orders: choices(&query, "order", orders.iter().map(|order| (order.to_string(), order.to_string()))),
        lanes: choices(&query, "lane", lanes.map(|lane| names(lane.name()))),
        marks: choices(&query, "mark", HostMark::ALL.iter().map(|mark| names(mark.name()))),
        sorts: choices(&query, "sort", HostsSort::ALL.iter().map(sort)),
        site: query.get("site").to_owned(),
        name: query.get("name").to_owned(),
        silent: query.flag("silent")?,
        filter: query.get("where").to_owned(),
        problem,
        rows: found.rows.iter().map(|host| Row::of(host, &orders, now)).collect(),
        columns: match orders.as_slice() {
            [_] => vec!["Lane".to_owned()],
            several => several.iter().map(ToString::to_string).collect(),
        },
        selection: visitor.may("ChangeHosts").then(|| list.selection()).transpose()?,
        pager: pager.with_file("/hosts.csv", &query),
        is_filtered: filters.iter().any(|key| query.has(key)),
    })
}

/// A page of hosts with the number of all.
async fn hosts(context: &ReportContext, asked: HostsQuery) -> Result<Page<HostRow>, ReportError> {
    let mut found = context.hosts(asked.clone()).await?;
    // Only the first page has the total.
    if found.total.is_none() {
        found.total = context.hosts(HostsQuery { page: None, rows: 1, ..asked }).await?.total;
    }
    Ok(found)
}

const fn sort_name(sort: HostsSort) -> &'static str {
    match sort {
        HostsSort::Name => "host name",
        HostsSort::Site => "site",
        HostsSort::LastSeen => "longest unseen",
        HostsSort::Lane => "worst lane first",
    }
}

/// `GET /hosts.csv`: one row for each host and order.
pub(super) async fn download(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let asked = asked(&query, query.filter().map_err(Refusal::asked)?)?;
    let read = move |context: ReportContext, page: Option<String>| {
        let asked = HostsQuery { rows: csv::ROWS, page, ..asked.clone() };
        async move {
            let found = context.hosts(asked).await?;
            Ok((found.rows.iter().flat_map(cells).collect(), found.next))
        }
    };
    csv::file(&state, visitor, "hosts", HEADER, read).await
}

fn cells(host: &HostRow) -> Vec<Vec<String>> {
    let row = |order: &str, lane: &str, overdue: &str, silent: &str, true_lane: &str| {
        let seen = host.last_seen.map(Timestamp::to_rfc3339).unwrap_or_default();
        let system = [host.platform.to_string(), host.os_name.clone(), seen];
        let head = [host.id.to_string(), host.hostname.clone(), host.site.to_string()];
        let tail = [order, lane, overdue, silent].map(str::to_owned);
        [head.as_slice(), &system, &tail, &[marks_of(host), labels_of(host), host.owner.clone(), true_lane.to_owned()]]
            .concat()
    };
    // A host without a verdict must not be missing.
    if host.lanes.is_empty() {
        return vec![row("", "", "", "", "")];
    }
    let of_order = |(order, lane): (&OrderId, &Lane)| {
        let (overdue, silent) = (host.overdue.contains(order), host.silent.contains(order));
        // As in the file of `muster hosts`: without a waiver or a disposition it is the lane.
        let true_lane = host.true_lanes.get(order).unwrap_or(lane).name();
        row(order.as_str(), lane.name(), &overdue.to_string(), &silent.to_string(), true_lane)
    };
    host.lanes.iter().map(of_order).collect()
}

fn marks_of(host: &HostRow) -> String {
    host.marks.iter().map(|mark| mark.name()).collect::<Vec<_>>().join(", ")
}

fn labels_of(host: &HostRow) -> String {
    host.labels.iter().map(|label| label.as_str()).collect::<Vec<_>>().join(", ")
}

/// The first labels; the host's own page has all.
fn shown_labels(host: &HostRow) -> Vec<String> {
    let mut shown: Vec<String> = host.labels.iter().take(LABELS).map(|label| name(label.as_str())).collect();
    if host.labels.len() > LABELS {
        shown.push(format!("and {} more", host.labels.len() - LABELS));
    }
    shown
}
