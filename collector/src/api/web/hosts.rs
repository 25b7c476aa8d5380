//! `/hosts`: all hosts with their lanes.

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{HostMark, HostRow, HostsSort, Lane, OrderId, SiteId, Timestamp, TokenId};

use super::chrome::{Chrome, page};
use super::csv;
use super::format::{LaneMark, Moment, name};
use super::paging::{Choice, Pager, choices};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::reports::{HostsQuery, Page, ReportContext};

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
];

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
    lanes: Vec<Option<(LaneMark, bool)>>,
    marks: String,
    labels: Vec<String>,
    owner: String,
}

impl Row {
    fn of(host: &HostRow, orders: &[OrderId], now: Timestamp) -> Self {
        let lane =
            |order: &OrderId| host.lanes.get(order).map(|lane| (LaneMark::of(*lane), host.overdue.contains(order)));
        Self {
            id: host.id.to_string(),
            name: name(&host.hostname),
            site: host.site.to_string(),
            system: name(&host.os_name),
            seen: host.last_seen.map(|seen| Moment::ago(seen, now)),
            lanes: orders.iter().map(lane).collect(),
            marks: marks_of(host),
            labels: host.labels.iter().map(|label| name(label.as_str())).collect(),
            owner: name(&host.owner),
        }
    }
}

/// What is asked for. Lanes and silence are those of an order: the only active one, or the first if none is named.
fn asked(query: &Query, context: &ReportContext) -> Result<HostsQuery, Refusal> {
    let mut order: Option<OrderId> = query.one("order")?;
    let lanes: Vec<Lane> = query.list("lane")?;
    let sort = query.one("sort")?.unwrap_or(HostsSort::Name);
    let silent_only = query.has("silent");
    let filter = query.filter()?;
    if order.is_none() && filter.order().is_none() && (!lanes.is_empty() || silent_only || sort == HostsSort::Lane) {
        order = context.orders(false).into_iter().next().map(|order| order.id);
    }
    Ok(HostsQuery {
        order,
        lanes,
        silent_only,
        sites: query.list::<SiteId>("site")?,
        name: query.get("name").chars().take(253).collect(),
        marks: query.list::<HostMark>("mark")?,
        enrolled_with: query.one::<TokenId>("token")?,
        filter,
        sort,
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
    let problem = query.filter().err().map(|refused| refused.text).unwrap_or_default();
    let asked = asked(&if problem.is_empty() { query.clone() } else { query.without("where") }, context)?;
    let found = match problem.as_str() {
        "" => state.or_refusal(context.hosts(asked.clone()).await)?,
        _ => Page { rows: Vec::new(), next: None, total: Some(0) },
    };
    // The form shows the order that was taken.
    let query = asked.order.as_ref().map_or_else(|| query.clone(), |order| query.with("order", order.as_str()));
    let total = match found.total {
        Some(total) => Some(total),
        None => state.or_refusal(context.hosts(HostsQuery { page: None, rows: 1, ..asked }).await)?.total,
    };
    let orders: Vec<OrderId> = context.orders(false).into_iter().map(|order| order.id).collect();
    let now = state.now();
    let names = |name: &'static str| (name.to_owned(), name.to_owned());
    let sort = |sort: &HostsSort| (sort.to_string(), sort_name(*sort).to_owned());
    let pager = Pager::new("/hosts", &query, found.next.as_deref(), found.rows.len(), total, "host");
    let filters = ["where", "order", "lane", "silent", "site", "name", "mark", "token"];
    page(&HostsPage {
        chrome: Chrome::new(&state, &visitor, "/hosts"),
        orders: choices(&query, "order", orders.iter().map(|order| (order.to_string(), order.to_string()))),
        lanes: choices(&query, "lane", Lane::ALL.iter().map(|lane| names(lane.name()))),
        marks: choices(&query, "mark", HostMark::ALL.iter().map(|mark| names(mark.name()))),
        sorts: choices(&query, "sort", HostsSort::ALL.iter().map(sort)),
        site: query.get("site").to_owned(),
        name: query.get("name").to_owned(),
        silent: query.has("silent"),
        filter: query.get("where").to_owned(),
        problem,
        rows: found.rows.iter().map(|host| Row::of(host, &orders, now)).collect(),
        columns: match orders.as_slice() {
            [_] => vec!["Lane".to_owned()],
            several => several.iter().map(ToString::to_string).collect(),
        },
        pager: pager.with_file("/hosts.csv", &query),
        is_filtered: filters.iter().any(|key| query.has(key)),
    })
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
    let context = visitor.context;
    let asked = asked(&Query::read(raw.as_deref(), KEYS)?, &context)?;
    let read = move |page: Option<String>| {
        let (state, context) = (state.clone(), context.clone());
        let asked = HostsQuery { rows: csv::ROWS, page, ..asked.clone() };
        async move {
            let found = state.or_refusal(context.hosts(asked).await)?;
            Ok((found.rows.iter().flat_map(cells).collect(), found.next))
        }
    };
    csv::file("hosts", HEADER, read).await
}

fn cells(host: &HostRow) -> Vec<Vec<String>> {
    let row = |order: &str, lane: &str, overdue: &str, silent: &str| {
        let seen = host.last_seen.map(Timestamp::to_rfc3339).unwrap_or_default();
        let system = [host.platform.to_string(), host.os_name.clone(), seen];
        let head = [host.id.to_string(), host.hostname.clone(), host.site.to_string()];
        let tail = [order, lane, overdue, silent].map(str::to_owned);
        [head.as_slice(), &system, &tail, &[marks_of(host), labels_of(host), host.owner.clone()]].concat()
    };
    // A host without a verdict must not be missing.
    if host.lanes.is_empty() {
        return vec![row("", "", "", "")];
    }
    let of_order = |(order, lane): (&OrderId, &Lane)| {
        let (overdue, silent) = (host.overdue.contains(order), host.silent.contains(order));
        row(order.as_str(), lane.name(), &overdue.to_string(), &silent.to_string())
    };
    host.lanes.iter().map(of_order).collect()
}

fn marks_of(host: &HostRow) -> String {
    host.marks.iter().map(|mark| mark.name()).collect::<Vec<_>>().join(", ")
}

fn labels_of(host: &HostRow) -> String {
    host.labels.iter().map(|label| label.as_str()).collect::<Vec<_>>().join(", ")
}
