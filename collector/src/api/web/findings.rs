//! `/findings`: hosts that are not finished.

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{Finding, FindingsSort, Lane, OrderId, SiteId, Timestamp};

use super::chrome::{Chrome, page};
use super::csv;
use super::format::{LaneMark, Moment, clean};
use super::paging::{Choice, Pager, choices};
use super::query::Query;
use super::refusal::Refusal;
use super::selection::{List, Selection};
use super::state::State;
use super::visitor::Visitor;
use crate::filter::Filter;
use crate::reports::{FindingsQuery, Page, ReportContext, ReportError};

const KEYS: &[&str] = &["where", "order", "lane", "site", "sort", "rows", "page"];
const HEADER: &[&str] = &[
    "order",
    "host",
    "hostname",
    "site",
    "platform",
    "lane",
    "overdue",
    "silent",
    "presence",
    "protection",
    "since",
    "last_seen",
    "reason",
    "advice",
];

#[derive(Template)]
#[template(path = "findings.html")]
struct FindingsPage {
    chrome: Chrome,
    orders: Vec<Choice>,
    lanes: Vec<Choice>,
    sorts: Vec<Choice>,
    site: String,
    filter: String,
    /// What is wrong with the filter.
    problem: String,
    has_several_orders: bool,
    rows: Vec<FindingRow>,
    /// For somebody who may change hosts.
    selection: Option<Selection>,
    pager: Pager,
    /// Whether the question leaves some findings out.
    is_filtered: bool,
}

struct FindingRow {
    order: String,
    host: String,
    name: String,
    site: String,
    platform: &'static str,
    lane: LaneMark,
    overdue: bool,
    presence: &'static str,
    protection: &'static str,
    since: Moment,
    seen: Option<Moment>,
    reason: String,
}

impl FindingRow {
    fn of(finding: &Finding, now: Timestamp) -> Self {
        Self {
            order: finding.order.to_string(),
            host: finding.host.to_string(),
            name: clean(&finding.hostname, 96),
            site: finding.site.to_string(),
            platform: finding.platform.name(),
            lane: LaneMark::of(finding.lane),
            overdue: finding.overdue,
            presence: finding.presence.name(),
            protection: finding.protection.name(),
            since: Moment::ago(finding.since, now),
            seen: finding.last_seen.map(|seen| Moment::ago(seen, now)),
            reason: clean(&finding.reason, 200),
        }
    }
}

fn asked(query: &Query, filter: Filter) -> Result<FindingsQuery, Refusal> {
    let lanes: Vec<Lane> = query.list("lane")?;
    if let Some(lane) = lanes.iter().find(|lane| lane.is_finished()) {
        let text =
            format!("Hosts in the lane `{lane}` are finished, so they are no findings. The list of hosts has them.");
        return Err(Refusal::asked(text));
    }
    Ok(FindingsQuery {
        order: query.one::<OrderId>("order")?,
        lanes,
        sites: query.list::<SiteId>("site")?,
        filter,
        sort: query.one("sort")?.unwrap_or(FindingsSort::Lane),
        rows: query.rows()?,
        page: query.page(),
    })
}

/// `GET /findings`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let context = &visitor.context;
    // A wrong filter stays in its box, with what is wrong about it.
    let found = match query.filter() {
        Ok(filter) => state.or_problem(findings(context, asked(&query, filter)?).await)?,
        Err(problem) => Err(problem),
    };
    let (found, problem) = match found {
        Ok(found) => (found, String::new()),
        Err(problem) => (Page { rows: Vec::new(), next: None, total: Some(0) }, problem),
    };
    let orders = context.orders(false);
    let now = state.now();
    let pager = Pager::new("/findings", &query, found.next.as_deref(), found.rows.len(), found.total, "finding");
    // Machines that never enrolled are entries of the roster and no hosts, so no finding is in that lane.
    let unfinished = Lane::ALL.iter().filter(|lane| !lane.is_finished() && **lane != Lane::Missing);
    let of_findings: Vec<Lane> = unfinished.clone().copied().collect();
    let list = List { query: &query, lanes: &of_findings, menus: &[], order: None, needs_order: orders.len() > 1 };
    page(&FindingsPage {
        chrome: Chrome::new(&state, &visitor, "/findings"),
        has_several_orders: orders.len() > 1,
        orders: choices(&query, "order", orders.iter().map(|order| (order.id.to_string(), order.id.to_string()))),
        lanes: choices(&query, "lane", unfinished.map(|lane| (lane.to_string(), lane.to_string()))),
        sorts: choices(
            &query,
            "sort",
            FindingsSort::ALL.iter().map(|sort| (sort.to_string(), sort_name(*sort).to_owned())),
        ),
        site: query.get("site").to_owned(),
        filter: query.get("where").to_owned(),
        problem,
        rows: found.rows.iter().map(|finding| FindingRow::of(finding, now)).collect(),
        selection: visitor.may("ChangeHosts").then(|| list.selection()).transpose()?,
        pager: pager.with_file("/findings.csv", &query),
        is_filtered: ["where", "order", "lane", "site"].iter().any(|key| query.has(key)),
    })
}

/// A page of findings with the number of all.
async fn findings(context: &ReportContext, asked: FindingsQuery) -> Result<Page<Finding>, ReportError> {
    let mut found = context.findings(asked.clone()).await?;
    // Only the first page has the total.
    if found.total.is_none() {
        found.total = context.findings(FindingsQuery { page: None, rows: 1, ..asked }).await?.total;
    }
    Ok(found)
}

const fn sort_name(sort: FindingsSort) -> &'static str {
    match sort {
        FindingsSort::Lane => "worst first",
        FindingsSort::Name => "host name",
        FindingsSort::Site => "site",
        FindingsSort::LastSeen => "longest unseen",
        FindingsSort::Since => "longest in the lane",
    }
}

/// `GET /findings.csv`.
pub(super) async fn download(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let asked = asked(&query, query.filter().map_err(Refusal::asked)?)?;
    let read = move |context: ReportContext, page: Option<String>| {
        let asked = FindingsQuery { rows: csv::ROWS, page, ..asked.clone() };
        async move {
            let found = context.findings(asked).await?;
            Ok((found.rows.iter().map(cells).collect(), found.next))
        }
    };
    csv::file(&state, visitor, "findings", HEADER, read).await
}

fn cells(finding: &Finding) -> Vec<String> {
    vec![
        finding.order.to_string(),
        finding.host.to_string(),
        finding.hostname.clone(),
        finding.site.to_string(),
        finding.platform.to_string(),
        finding.lane.to_string(),
        finding.overdue.to_string(),
        finding.silent.to_string(),
        finding.presence.to_string(),
        finding.protection.to_string(),
        finding.since.to_rfc3339(),
        finding.last_seen.map(Timestamp::to_rfc3339).unwrap_or_default(),
        finding.reason.clone(),
        finding.advice.clone(),
    ]
}
