//! `/accounts`: who may log in, for administrators.

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{AccountReport, Timestamp};

use super::chrome::{Chrome, page};
use super::format::{Moment, counted, name};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions;

/// Accounts that the page shows. There are at most 1,000 that are not revoked.
const MOST: usize = 500;

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    chrome: Chrome,
    rows: Vec<Row>,
    /// `and 7 more`; empty without any.
    more: String,
}

struct Row {
    name: String,
    role: &'static str,
    holder: &'static str,
    sites: String,
    created: Moment,
    /// `2 valid tokens`; empty for an account that is revoked.
    tokens: String,
    revoked: Option<Moment>,
}

impl Row {
    fn of(account: &AccountReport, now: Timestamp) -> Self {
        let sites: Vec<&str> = account.sites.iter().take(20).map(|site| site.as_str()).collect();
        let valid = account.tokens.iter().filter(|token| token.is_valid(now)).count() as u64;
        Self {
            name: name(account.name.as_str()),
            role: account.role.name(),
            holder: account.holder.name(),
            sites: if sites.is_empty() { "all".to_owned() } else { sites.join(", ") },
            created: Moment::at(account.created_at),
            tokens: counted(valid, "valid token"),
            revoked: account.revoked_at.map(Moment::at),
        }
    }
}

/// `GET /accounts`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    Query::read(raw.as_deref(), &[])?;
    let accounts = state.or_refused(actions::account_list(state.store.as_ref(), visitor.caller()).await)?;
    let now = state.now();
    let more = accounts.len().saturating_sub(MOST) as u64;
    page(&AccountsPage {
        chrome: Chrome::new(&state, &visitor, "/about"),
        rows: accounts.iter().take(MOST).map(|account| Row::of(account, now)).collect(),
        more: if more == 0 { String::new() } else { format!("and {}", counted(more, "more account")) },
    })
}
