//! `/accounts`: who may log in, and who is logged in, for administrators.

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{AccountReport, Holder, Role, Timestamp};

use super::chrome::{Chrome, page};
use super::format::{Moment, counted, name};
use super::query::Query;
use super::refusal::Refusal;
use super::sessions::SessionRow;
use super::state::State;
use super::visitor::Visitor;
use crate::actions;
use crate::store::SiteScope;

/// Accounts that the page shows. There are at most 1,000 that are not revoked.
const ACCOUNTS: usize = 200;
/// Sessions that the page shows.
const SESSIONS: usize = 100;

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    chrome: Chrome,
    /// A part of the names that are shown.
    text: String,
    rows: Vec<Row>,
    /// `and 7 more`; empty without any.
    more: String,
    sessions: Vec<SessionRow>,
    more_sessions: String,
    roles: Vec<&'static str>,
    holders: Vec<&'static str>,
    /// The sites to which a new account must be bound; empty if it need not be.
    own_sites: String,
}

struct Row {
    id: String,
    /// Whether it is a person of the identity provider, whose account has no token.
    is_of_provider: bool,
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
            id: account.id.to_string(),
            is_of_provider: account.holder == Holder::ProviderPerson,
            name: name(account.name.as_str()),
            role: account.role.name(),
            holder: match account.holder {
                Holder::ProviderPerson => "person of the provider",
                Holder::Person | Holder::Machine => account.holder.name(),
            },
            sites: if sites.is_empty() { "all".to_owned() } else { sites.join(", ") },
            created: Moment::at(account.created_at),
            tokens: match account.holder {
                Holder::ProviderPerson => "logs in with the identity provider".to_owned(),
                Holder::Person | Holder::Machine => counted(valid, "valid token"),
            },
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
    let query = Query::read(raw.as_deref(), &["name"])?;
    let mut accounts = state.or_refused(actions::account_list(state.store.as_ref(), visitor.caller()).await)?;
    let now = state.now();
    let sessions = actions::session_list(state.store.as_ref(), visitor.caller(), state.sessions, now).await;
    let mut sessions = state.or_refused(sessions)?;
    let text = query.name("name")?.to_lowercase();
    let is_meant = |name: &str| name.to_lowercase().contains(&text);
    accounts.retain(|account| is_meant(account.name.as_str()));
    sessions.retain(|session| is_meant(session.name.as_str()));
    let more = |count: usize, most: usize, noun: &str| match count.saturating_sub(most) as u64 {
        0 => String::new(),
        more => format!("and {}; search for a name to see them", counted(more, noun)),
    };
    page(&AccountsPage {
        chrome: Chrome::new(&state, &visitor, "/about"),
        text: query.get("name").to_owned(),
        rows: accounts.iter().take(ACCOUNTS).map(|account| Row::of(account, now)).collect(),
        more: more(accounts.len(), ACCOUNTS, "more account"),
        sessions: sessions
            .iter()
            .take(SESSIONS)
            .map(|session| SessionRow::of(session, &visitor, "/accounts", now))
            .collect(),
        more_sessions: more(sessions.len(), SESSIONS, "more session"),
        roles: Role::ALL.iter().map(|role| role.name()).collect(),
        holders: vec![Holder::Person.name(), Holder::Machine.name()],
        own_sites: match &visitor.caller().scope {
            SiteScope::All => String::new(),
            bound @ SiteScope::Only(_) => bound.to_string(),
        },
    })
}
