//! `/tokens`: enrollment tokens, with which hosts come in; and the forms that create and revoke them.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::response::Response;
use http::StatusCode;
use muster_proto::model::{SiteId, Timestamp, TokenId, TokenReport, TokenStatus};

use super::act::{finish, see};
use super::chrome::{Chrome, page};
use super::form::Form;
use super::format::{Moment, clean, counted, number};
use super::made::Made;
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions::{self, NewEnrollment};

/// Tokens that the page shows, the newest first.
const MOST: usize = 200;

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    chrome: Chrome,
    rows: Vec<Row>,
    /// `and 7 more`; empty without any.
    more: String,
    may_create_tokens: bool,
    may_revoke: bool,
}

struct Row {
    id: String,
    site: String,
    status: &'static str,
    uses: String,
    created: Moment,
    expires: Moment,
    /// The hosts that enrolled with it.
    link: String,
    /// Whether it admits hosts.
    is_valid: bool,
}

impl Row {
    fn of(token: &TokenReport, now: Timestamp) -> Self {
        Self {
            id: token.id.to_string(),
            site: token.site.to_string(),
            status: status_name(token.status(now)),
            uses: match token.max_uses {
                0 => number(token.uses),
                most => format!("{} of {}", number(token.uses), number(most)),
            },
            created: Moment::at(token.created_at),
            expires: Moment::deadline(token.expires_at),
            is_valid: token.status(now) == TokenStatus::Valid,
            link: Query::default().with("token", token.id.as_str()).link("/hosts"),
        }
    }
}

const fn status_name(status: TokenStatus) -> &'static str {
    match status {
        TokenStatus::Valid => "valid",
        TokenStatus::UsedUp => "used up",
        TokenStatus::Expired => "expired",
        TokenStatus::Revoked => "revoked",
    }
}

/// `GET /tokens`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    Query::read(raw.as_deref(), &[])?;
    let tokens = actions::enrollment_token_list(state.store.as_ref(), visitor.caller()).await;
    let mut tokens = state.or_refused(tokens)?;
    tokens.sort_by(|one, other| (other.created_at, &one.id).cmp(&(one.created_at, &other.id)));
    let now = state.now();
    let more = tokens.len().saturating_sub(MOST) as u64;
    page(&TokensPage {
        chrome: Chrome::new(&state, &visitor, "/about"),
        rows: tokens.iter().take(MOST).map(|token| Row::of(token, now)).collect(),
        more: if more == 0 { String::new() } else { format!("and {}", counted(more, "more token")) },
        may_create_tokens: visitor.may("CreateEnrollmentToken"),
        may_revoke: visitor.may("RevokeEnrollmentToken"),
    })
}

/// `POST /tokens`: creates a token and shows it once.
pub(super) async fn create(Extract(state): Extract<State>, visitor: Visitor, form: Form) -> Result<Response, Refusal> {
    let form = form.fields(&["site", "hosts", "days"])?;
    let site: SiteId = form.one("site")?.ok_or_else(|| Refusal::asked("Name the site of the hosts."))?;
    let days: u32 = form.one("days")?.unwrap_or(1);
    let lifetime = Duration::from_secs(u64::from(days) * 86_400);
    let new = NewEnrollment { site: site.clone(), lifetime, max_uses: form.one("hosts")?.unwrap_or(1) };
    let (store, caller, pin, now) = (Arc::clone(&state.store), visitor.caller().clone(), state.pin, state.now());
    let create = async move { actions::enrollment_token_create(store.as_ref(), &caller, pin, new, now).await };
    let (token, report) = finish(&state, create).await?;
    // The id only: the secret must not reach the log.
    tracing::info!(token.id = %report.id, %site, by = %visitor.caller().name, "created an enrollment token");
    let made = Made {
        chrome: Chrome::new(&state, &visitor, "/about"),
        title: format!("Enrollment token for the site {site}"),
        commands: enrollments(&state.agents_url, &token.to_string()),
        secret: token.to_string(),
        expires: Some(Moment::deadline(report.expires_at)),
        back: ("/tokens", "All enrollment tokens"),
    };
    made.answer()
}

/// The commands that enroll a machine on which the agent is installed. The token is not an argument, which other users of the machine
/// could read.
fn enrollments(collector: &str, token: &str) -> Vec<(&'static str, String)> {
    let enroll = format!("enroll --collector {collector} --token-file -");
    vec![
        ("Linux and macOS, in a shell", format!("printf %s '{token}' | sudo muster-agent {enroll}")),
        (
            "Windows, in PowerShell as administrator",
            format!("'{token}' | & \"$env:ProgramFiles\\Muster\\muster-agent.exe\" {enroll}"),
        ),
    ]
}

/// `POST /tokens/TOKEN/revoke`.
pub(super) async fn revoke(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(asked): Path<String>,
    form: Form,
) -> Result<Response, Refusal> {
    form.fields(&[])?;
    let none = || Refusal::new(StatusCode::NOT_FOUND, format!("There is no token \"{}\".", clean(&asked, 64)));
    let token = TokenId::new(asked.as_str()).map_err(|_| none())?;
    let (store, caller, now) = (Arc::clone(&state.store), visitor.caller().clone(), state.now());
    let id = token.clone();
    let revoke = async move { actions::enrollment_token_revoke(store.as_ref(), &caller, id, now).await };
    if !finish(&state, revoke).await? {
        return Err(none());
    }
    tracing::info!(token.id = %token, by = %visitor.caller().name, "revoked an enrollment token");
    see("/tokens")
}
