//! `/dispositions`: why hosts left the fleet, newest first.

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{DisposedHost, DispositionReport, DispositionState, Timestamp};

use super::chrome::{Chrome, page};
use super::csv;
use super::format::{Moment, clean, counted};
use super::paging::Pager;
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::reports::ReportContext;

const KEYS: &[&str] = &["all", "rows", "page"];
const HEADER: &[&str] = &[
    "number",
    "state",
    "kind",
    "id",
    "hostname",
    "requested_by",
    "requested",
    "decided_by",
    "decided",
    "self_approved",
    "taken_back",
    "returned",
    "file",
    "evidence",
];
/// Hosts of a disposition that its row names.
const HOSTS: usize = 5;

#[derive(Template)]
#[template(path = "dispositions.html")]
struct DispositionsPage {
    chrome: Chrome,
    all: bool,
    rows: Vec<DispositionRow>,
    pager: Pager,
}

/// A disposition, as lists show it.
pub(super) struct DispositionRow {
    pub(super) number: u64,
    pub(super) state: &'static str,
    /// Whether somebody has to decide.
    pub(super) is_open: bool,
    pub(super) kind: &'static str,
    pub(super) evidence: String,
    pub(super) requested_by: String,
    pub(super) requested: Moment,
    pub(super) decided: String,
    pub(super) is_self_approved: bool,
    pub(super) hosts: Vec<Disposed>,
    /// `and 7 more hosts`; empty without any.
    pub(super) more_hosts: String,
}

/// A host of a disposition.
pub(super) struct Disposed {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) ended: Option<Moment>,
    pub(super) returned: Option<Moment>,
}

impl Disposed {
    pub(super) fn of(host: &DisposedHost, now: Timestamp) -> Self {
        Self {
            id: host.id.to_string(),
            name: clean(&host.hostname, 64),
            ended: host.ended_at.map(|at| Moment::ago(at, now)),
            returned: host.returned_at.map(|at| Moment::ago(at, now)),
        }
    }
}

/// A disposition as lists show it.
pub(super) fn row(one: &DispositionReport, now: Timestamp) -> DispositionRow {
    let more = one.hosts.len().saturating_sub(HOSTS) as u64;
    DispositionRow {
        number: one.number,
        state: one.state.name(),
        is_open: one.state == DispositionState::Requested,
        kind: one.kind.name(),
        evidence: clean(&one.evidence, 200),
        requested_by: clean(&one.requested_by, 96),
        requested: Moment::at(one.requested_at),
        decided: clean(&one.decided_by, 96),
        is_self_approved: one.is_self_approved,
        hosts: one.hosts.iter().take(HOSTS).map(|host| Disposed::of(host, now)).collect(),
        more_hosts: if more == 0 { String::new() } else { format!("and {}", counted(more, "more host")) },
    }
}

/// `GET /dispositions`: those that wait for a second person, or all.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let all = query.flag("all")?;
    let found = visitor.context.dispositions(all, query.rows()?, query.page().as_deref()).await;
    let found = state.or_refusal(found)?;
    let now = state.now();
    let pager = Pager::new("/dispositions", &query, found.next.as_deref(), found.rows.len(), None, "disposition");
    page(&DispositionsPage {
        chrome: Chrome::new(&state, &visitor, "/exceptions"),
        all,
        rows: found.rows.iter().map(|one| row(one, now)).collect(),
        pager: pager.with_file("/dispositions.csv", &query),
    })
}

/// `GET /dispositions.csv`: one row for each host.
pub(super) async fn download(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let all = query.flag("all")?;
    let read = move |context: ReportContext, page: Option<String>| async move {
        // One of them may have very many hosts.
        let found = context.dispositions(all, csv::ROWS / 10, page.as_deref()).await?;
        Ok((found.rows.iter().flat_map(cells).collect(), found.next))
    };
    csv::file(&state, visitor, "dispositions", HEADER, read).await
}

fn cells(one: &DispositionReport) -> Vec<Vec<String>> {
    let instant = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339).unwrap_or_default();
    let row = |host: &DisposedHost| {
        vec![
            one.number.to_string(),
            one.state.to_string(),
            one.kind.to_string(),
            host.id.to_string(),
            host.hostname.clone(),
            one.requested_by.clone(),
            one.requested_at.to_rfc3339(),
            one.decided_by.clone(),
            instant(one.decided_at),
            one.is_self_approved.to_string(),
            instant(host.ended_at),
            instant(host.returned_at),
            one.file.as_ref().map(|file| file.name.clone()).unwrap_or_default(),
            one.evidence.clone(),
        ]
    };
    one.hosts.iter().map(row).collect()
}
