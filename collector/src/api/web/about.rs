//! `/about`: the version, the state of the collector, the account that is logged in.

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{AccountReport, CollectorStatus};

use super::chrome::{Chrome, page};
use super::format::{Moment, clean, counted, number, span};
use super::query::Query;
use super::refusal::Refusal;
use super::sessions::SessionRow;
use super::state::State;
use super::visitor::Visitor;
use crate::actions;
use crate::ledger::actor::Actor;

#[derive(Template)]
#[template(path = "about.html")]
struct AboutPage {
    chrome: Chrome,
    version: String,
    rules: String,
    /// Names and values about the collector.
    facts: Vec<(&'static str, String)>,
    certificate: Option<Moment>,
    /// When the company's certificate ends, and why a newer one is not in use.
    company_certificate: Option<(Moment, Option<String>)>,
    marks: Vec<(&'static str, String, String)>,
    account: Option<Account>,
    /// Whether the visitor has a session, and with it those of other browsers.
    has_session: bool,
    sessions: Vec<SessionRow>,
    may_list_accounts: bool,
    may_list_tokens: bool,
}

struct Account {
    id: String,
    created: Moment,
    tokens: Vec<Token>,
}

struct Token {
    id: String,
    created: Moment,
    expires: Option<Moment>,
    is_valid: bool,
}

/// `GET /about`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    Query::read(raw.as_deref(), &[])?;
    let mut status = state.or_refusal(visitor.context.status(None, None).await)?;
    status.resources = state.resources.resources();
    let account = match &visitor.caller().actor {
        Actor::Account { account, .. } => {
            state.or_refused(actions::account_of_caller(state.store.as_ref(), account).await)?
        }
        Actor::Collector { .. } | Actor::Rules | Actor::Judge | Actor::Agent | Actor::Roster | Actor::Bulk => None,
    };
    let now = state.now();
    let sessions = match &account {
        Some(_) => {
            let own = actions::session_list_own(state.store.as_ref(), visitor.caller(), state.sessions, now).await;
            state.or_refused(own)?
        }
        None => Vec::new(),
    };
    let mark = |mark: &muster_proto::model::HostMark| Query::default().with("mark", mark.name()).link("/hosts");
    page(&AboutPage {
        chrome: Chrome::new(&state, &visitor, "/about"),
        version: status.version.clone(),
        rules: status.rules_version.clone(),
        facts: facts(&status),
        certificate: status.resources.certificate_expires.map(Moment::deadline),
        company_certificate: status.resources.operators_certificate.as_ref().map(|certificate| {
            let refused = certificate.refused.as_ref().map(|refused| clean(refused, 500));
            (Moment::deadline(certificate.expires), refused)
        }),
        marks: status.marks.iter().map(|(name, hosts)| (name.name(), number(*hosts), mark(name))).collect(),
        has_session: visitor.has_session(),
        sessions: sessions.iter().map(|session| SessionRow::of(session, &visitor, "/about", now)).collect(),
        may_list_accounts: visitor.may("ListAccounts"),
        may_list_tokens: visitor.may("ListEnrollmentTokens"),
        account: account.as_ref().map(|account| Account::of(account, &state)),
    })
}

fn facts(status: &CollectorStatus) -> Vec<(&'static str, String)> {
    let lag = span(std::time::Duration::from_millis(status.judge_queue_lag_ms));
    let waiting = match status.judge_queue {
        0 => "none".to_owned(),
        waiting => format!("{}, the oldest for {lag}", counted(waiting, "host")),
    };
    let mut facts = vec![
        ("Hosts", number(status.hosts)),
        ("Waiting to be judged", waiting),
        ("Editions of software", format!("{} ({} % of the limit)", number(status.editions), status.editions_percent)),
    ];
    if let Some(store) = status.resources.store {
        let left = store.days_left().map(|days| format!(", full in about {}", counted(days, "day")));
        let free = store.free_bytes.map(|free| format!(", {} free", bytes(free)));
        facts.push(("Store", [Some(bytes(store.bytes)), free, left].into_iter().flatten().collect()));
    }
    let port = |name: &str| match name {
        "agents" => "Agents' port",
        _ => "Operators' port",
    };
    facts.extend(status.resources.listeners.iter().map(|listener| {
        let used = format!("{} of {} connections", number(listener.connections), number(listener.limit));
        (port(&listener.name), used)
    }));
    facts
}

/// `1.5 GiB`.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let steps = (count.max(1).ilog2() / 10).min(5);
    let tenths = (u128::from(count) * 10) >> (10 * steps);
    let unit = UNITS.get(steps as usize).copied().unwrap_or_default();
    if steps == 0 { format!("{count} {unit}") } else { format!("{}.{} {unit}", tenths / 10, tenths % 10) }
}

impl Account {
    fn of(account: &AccountReport, state: &State) -> Self {
        let now = state.now();
        let token = |token: &muster_proto::model::AccountTokenReport| Token {
            id: token.id.to_string(),
            created: Moment::at(token.created_at),
            expires: token.expires_at.map(Moment::deadline),
            is_valid: token.is_valid(now),
        };
        Self {
            id: account.id.to_string(),
            created: Moment::at(account.created_at),
            tokens: account.tokens.iter().map(token).collect(),
        }
    }
}
