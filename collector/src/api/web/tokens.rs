//! `/tokens`: enrollment tokens, with which hosts come in.

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::{Timestamp, TokenReport, TokenStatus};

use super::chrome::{Chrome, page};
use super::format::{Moment, counted, number};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions;

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
    })
}
