//! `/coverage`: the roster: which machines should answer, and which do.

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{EntryReport, EntryState, RosterCounts, RosterRow, Timestamp};

use super::chrome::{Chrome, page};
use super::csv;
use super::format::{Moment, clean, name, number};
use super::paging::{Choice, Pager, choices};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::reports::{ReportContext, RosterAsked};
use crate::roster_file::Preset;
use crate::store::SiteScope;

const KEYS: &[&str] = &["state", "text", "differing", "rows", "page"];
const HEADER: &[&str] = &[
    "entry",
    "name",
    "state",
    "since",
    "host",
    "hostname",
    "basis",
    "site",
    "platform",
    "sources",
    "serial",
    "fqdn",
    "owner",
    "owner_email",
    "candidates",
    "note",
];

#[derive(Template)]
#[template(path = "coverage.html")]
struct CoveragePage {
    chrome: Chrome,
    counts: Option<Counts>,
    lists: Vec<List>,
    states: Vec<Choice>,
    text: String,
    differing: bool,
    /// Whether the visitor sees entries of some sites only.
    is_of_sites: bool,
    rows: Vec<Row>,
    pager: Pager,
    is_filtered: bool,
    may_import: bool,
    /// Names of systems whose exports are known.
    presets: Vec<&'static str>,
}

/// The roster in numbers, each with the list that it counts.
struct Counts {
    listed: String,
    matched: String,
    missing: String,
    missing_link: String,
    review: String,
    excused: String,
    outside: String,
    percent: u64,
}

struct List {
    name: String,
    imported: Moment,
    records: String,
    missing: String,
}

struct Row {
    number: u64,
    name: String,
    site: String,
    state: &'static str,
    since: Moment,
    host: String,
    hostname: String,
    basis: &'static str,
    lists: String,
    serial: String,
    owner: String,
    note: String,
    candidates: Vec<Candidate>,
}

struct Candidate {
    host: String,
    name: String,
    why: &'static str,
    agreeing: String,
    seen: Moment,
}

/// The value of `state` for entries without a host: as many as the board counts as missing.
pub(super) const WITHOUT_HOST: &str = "without-host";

fn asked(query: &Query) -> Result<RosterAsked, Refusal> {
    let without_host = query.get("state") == WITHOUT_HOST;
    Ok(RosterAsked {
        state: if without_host { None } else { query.one::<EntryState>("state")? },
        without_host,
        text: query.name("text")?,
        differing: query.flag("differing")?,
        rows: query.rows()?,
        page: query.page(),
    })
}

/// `GET /coverage`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let context = &visitor.context;
    let found = state.or_refusal(context.roster(asked(&query)?).await)?;
    let counts = state.or_refusal(context.roster_counts().await)?;
    let lists =
        if visitor.may("ListRosterSources") { state.or_refusal(context.roster_sources().await)? } else { Vec::new() };
    let now = state.now();
    let list = |source: &muster_proto::model::RosterSourceReport| List {
        name: name(&source.name),
        imported: Moment::ago(source.imported, now),
        records: number(source.records),
        missing: number(source.missing),
    };
    let noun = if found.rows.len() == 1 { "entry" } else { "entries" };
    let mut pager = Pager::new("/coverage", &query, found.next.as_deref(), found.rows.len(), None, "");
    pager.shown = format!("{} {noun}", found.rows.len());
    let states = EntryState::ALL.iter().map(|state| (state.to_string(), state_name(*state).to_owned()));
    let states = states.chain([(WITHOUT_HOST.to_owned(), "without a host: missing or to review".to_owned())]);
    page(&CoveragePage {
        chrome: Chrome::new(&state, &visitor, "/coverage"),
        counts: counts.as_ref().map(Counts::of),
        lists: lists.iter().map(list).collect(),
        states: choices(&query, "state", states),
        text: query.get("text").to_owned(),
        differing: query.flag("differing")?,
        is_of_sites: visitor.caller().scope != SiteScope::All,
        rows: found.rows.iter().map(|entry| Row::of(entry, now)).collect(),
        pager: pager.with_file("/coverage.csv", &query),
        is_filtered: ["state", "text", "differing"].iter().any(|key| query.has(key)),
        may_import: visitor.may("ImportRoster"),
        presets: Preset::ALL.iter().map(|preset| preset.name()).collect(),
    })
}

const fn state_name(state: EntryState) -> &'static str {
    match state {
        EntryState::Matched => "matched with a host",
        EntryState::Missing => "missing: no host",
        EntryState::Review => "to review: perhaps a known host",
        EntryState::Excused => "excused",
        EntryState::Closed => "closed: in no list any more",
    }
}

impl Counts {
    fn of(counts: &RosterCounts) -> Self {
        Self {
            listed: number(counts.listed),
            matched: number(counts.matched),
            missing: number(counts.missing),
            missing_link: Query::default().with("state", WITHOUT_HOST).link("/coverage"),
            review: number(counts.review),
            excused: number(counts.excused),
            outside: number(counts.outside),
            percent: (counts.matched * 100).checked_div(counts.listed).unwrap_or_default(),
        }
    }
}

impl Row {
    fn of(entry: &EntryReport, now: Timestamp) -> Self {
        let candidate = |candidate: &muster_proto::model::CandidateReport| Candidate {
            host: candidate.host.to_string(),
            name: name(&candidate.hostname),
            why: candidate.why.name(),
            agreeing: candidate.agreeing.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", "),
            seen: Moment::ago(candidate.last_seen, now),
        };
        Self {
            number: entry.number,
            name: clean(&entry.name, 96),
            site: entry.site.as_ref().map(ToString::to_string).unwrap_or_default(),
            state: entry.state.name(),
            since: Moment::ago(entry.since, now),
            host: entry.host.map(|host| host.to_string()).unwrap_or_default(),
            hostname: clean(&entry.hostname, 96),
            basis: entry.basis.name(),
            lists: clean(&lists_of(entry), 96),
            serial: name(&first(entry, |row| &row.serial)),
            owner: clean(&first(entry, |row| &row.owner), 96),
            note: clean(&entry.note, 200),
            candidates: entry.candidates.iter().take(5).map(candidate).collect(),
        }
    }
}

/// `GET /coverage.csv`.
pub(super) async fn download(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let asked = asked(&Query::read(raw.as_deref(), KEYS)?)?;
    let read = move |context: ReportContext, page: Option<String>| {
        let asked = RosterAsked { rows: csv::ROWS, page, ..asked.clone() };
        async move {
            let found = context.roster(asked).await?;
            Ok((found.rows.iter().map(cells).collect(), found.next))
        }
    };
    csv::file(&state, visitor, "coverage", HEADER, read).await
}

fn cells(entry: &EntryReport) -> Vec<String> {
    vec![
        entry.number.to_string(),
        entry.name.clone(),
        entry.state.to_string(),
        entry.since.to_rfc3339(),
        entry.host.map(|host| host.to_string()).unwrap_or_default(),
        entry.hostname.clone(),
        entry.basis.to_string(),
        entry.site.as_ref().map(ToString::to_string).unwrap_or_default(),
        entry.platform.map(|platform| platform.to_string()).unwrap_or_default(),
        lists_of(entry),
        first(entry, |row| &row.serial),
        first(entry, |row| &row.fqdn),
        first(entry, |row| &row.owner),
        first(entry, |row| &row.owner_email),
        entry.candidates.iter().map(|candidate| candidate.host.to_string()).collect::<Vec<_>>().join(" "),
        entry.note.clone(),
    ]
}

/// The rows that lists still have.
pub(super) fn open(entry: &EntryReport) -> impl Iterator<Item = (&str, &RosterRow)> {
    let open = entry.records.iter().filter(|record| record.closed.is_none());
    open.map(|record| (record.source.as_str(), &record.row))
}

/// The names of the lists that still have it.
pub(super) fn lists_of(entry: &EntryReport) -> String {
    open(entry).map(|(source, _)| source).collect::<Vec<_>>().join(", ")
}

/// The first list's value that is not empty.
fn first(entry: &EntryReport, of: fn(&RosterRow) -> &String) -> String {
    open(entry).map(|(_, row)| of(row)).find(|text| !text.is_empty()).cloned().unwrap_or_default()
}
