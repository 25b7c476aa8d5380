//! `/ledger`: who did what, newest first.

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{EntryKind, LedgerEntry};

use super::chrome::{Chrome, page};
use super::csv;
use super::format::{Moment, clean, name};
use super::paging::{Choice, Pager, choices};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::reports::{LedgerAsked, ReportContext};

const KEYS: &[&str] = &["kind", "by", "host", "rows", "page"];
const HEADER: &[&str] = &["number", "at", "kind", "actor", "account", "text", "entry"];

#[derive(Template)]
#[template(path = "ledger.html")]
struct LedgerPage {
    chrome: Chrome,
    kinds: Vec<Choice>,
    by: String,
    host: String,
    rows: Vec<Row>,
    pager: Pager,
    is_filtered: bool,
}

struct Row {
    number: u64,
    at: Moment,
    kind: &'static str,
    actor: String,
    text: String,
    entry: String,
}

impl Row {
    fn of(entry: &LedgerEntry) -> Self {
        Self {
            number: entry.number,
            at: Moment::at(entry.at),
            kind: entry.kind.name(),
            actor: name(&entry.actor),
            text: clean(&entry.text, 200),
            entry: clean(&entry.entry, 400),
        }
    }
}

fn asked(query: &Query) -> Result<LedgerAsked, Refusal> {
    Ok(LedgerAsked {
        since: None,
        kind: query.one::<EntryKind>("kind")?,
        by: query.name("by")?,
        host: query.name("host")?,
        rows: query.rows()?,
        page: query.page(),
    })
}

/// `GET /ledger`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), KEYS)?;
    let found = state.or_refusal(visitor.context.ledger(asked(&query)?).await)?;
    let noun = if found.rows.len() == 1 { "entry" } else { "entries" };
    let mut pager = Pager::new("/ledger", &query, found.next.as_deref(), found.rows.len(), None, "");
    pager.shown = format!("{} {noun}", found.rows.len());
    page(&LedgerPage {
        chrome: Chrome::new(&state, &visitor, "/ledger"),
        kinds: choices(&query, "kind", EntryKind::ALL.iter().map(|kind| (kind.to_string(), kind.to_string()))),
        by: query.get("by").to_owned(),
        host: query.get("host").to_owned(),
        rows: found.rows.iter().map(Row::of).collect(),
        pager: pager.with_file("/ledger.csv", &query),
        is_filtered: ["kind", "by", "host"].iter().any(|key| query.has(key)),
    })
}

/// `GET /ledger.csv`.
pub(super) async fn download(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let asked = asked(&Query::read(raw.as_deref(), KEYS)?)?;
    let read = move |context: ReportContext, page: Option<String>| {
        let asked = LedgerAsked { rows: csv::ROWS, page, ..asked.clone() };
        async move {
            let found = context.ledger(asked).await?;
            Ok((found.rows.iter().map(cells).collect(), found.next))
        }
    };
    csv::file(&state, visitor, "ledger", HEADER, read).await
}

fn cells(entry: &LedgerEntry) -> Vec<String> {
    vec![
        entry.number.to_string(),
        entry.at.to_rfc3339(),
        entry.kind.to_string(),
        entry.actor.clone(),
        entry.account.clone(),
        entry.text.clone(),
        entry.entry.clone(),
    ]
}
