//! The forms of `/accounts`: they create an account, give one a new token, and revoke one.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State as Extract};
use axum::response::Response;
use muster_proto::model::{AccountName, AccountReport, Holder, Role, Token};

use super::act::{finish, see};
use super::chrome::Chrome;
use super::form::Form;
use super::format::Moment;
use super::made::Made;
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions::{self, AccountRequest};

const PAGE: &str = "/accounts";

/// `POST /accounts`: creates an account and shows its token once.
pub(super) async fn create(Extract(state): Extract<State>, visitor: Visitor, form: Form) -> Result<Response, Refusal> {
    let form = form.fields(&["name", "role", "holder", "sites", "days"])?;
    let name: AccountName = form.one("name")?.ok_or_else(|| Refusal::asked("Name the account."))?;
    let role: Role = form.one("role")?.ok_or_else(|| Refusal::asked("Choose a role."))?;
    let holder: Holder = form.one("holder")?.ok_or_else(|| Refusal::asked("Choose who holds the account."))?;
    let sites = form.list("sites")?;
    if form.has("sites") && sites.is_empty() {
        return Err(Refusal::asked("Name the sites, or leave the field empty for all sites."));
    }
    let new = AccountRequest { name, role, holder, sites, lifetime: lifetime(&form)? };
    visitor.must_have_proved_lately(&state, PAGE)?;
    let (store, caller, now) = (Arc::clone(&state.store), visitor.caller().clone(), state.now());
    let create = async move { actions::account_create(store.as_ref(), &caller, new, now).await };
    let (token, account) = finish(&state, create).await?;
    tracing::info!(account.id = %account.id, by = %visitor.caller().name, "created an account");
    made(&state, &visitor, &token, &account)
}

/// `POST /accounts/ACCOUNT/rotate`: gives an account a new token, and ends the others after some hours.
pub(super) async fn rotate(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(asked): Path<String>,
    form: Form,
) -> Result<Response, Refusal> {
    let form = form.fields(&["days", "hours"])?;
    let lifetime = lifetime(&form)?;
    let hours: u32 = form.one("hours")?.unwrap_or(0);
    let grace = Duration::from_secs(u64::from(hours) * 3_600);
    visitor.must_have_proved_lately(&state, PAGE)?;
    let (store, caller, now) = (Arc::clone(&state.store), visitor.caller().clone(), state.now());
    let rotate = async move { actions::account_rotate(store.as_ref(), &caller, &asked, lifetime, grace, now).await };
    let (token, account) = finish(&state, rotate).await?;
    tracing::info!(account.id = %account.id, by = %visitor.caller().name, "gave an account a new token");
    made(&state, &visitor, &token, &account)
}

/// `POST /accounts/ACCOUNT/revoke`: ends an account with its tokens and sessions.
pub(super) async fn revoke(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(asked): Path<String>,
    form: Form,
) -> Result<Response, Refusal> {
    form.fields(&[])?;
    visitor.must_have_proved_lately(&state, PAGE)?;
    let (store, caller, now) = (Arc::clone(&state.store), visitor.caller().clone(), state.now());
    let revoke = async move { actions::account_revoke(store.as_ref(), &caller, &asked, now).await };
    let account = finish(&state, revoke).await?;
    tracing::info!(account.id = %account.id, by = %visitor.caller().name, "revoked an account");
    see(PAGE)
}

/// How long the token is valid; without days until it is revoked.
fn lifetime(form: &Query) -> Result<Option<Duration>, Refusal> {
    let days: Option<u32> = form.one("days")?;
    Ok(days.map(|days| Duration::from_secs(u64::from(days) * 86_400)))
}

fn made(state: &State, visitor: &Visitor, token: &Token, account: &AccountReport) -> Result<Response, Refusal> {
    let created = account.tokens.iter().find(|created| created.id == token.id);
    let made = Made {
        chrome: Chrome::new(state, visitor, "/about"),
        title: format!("Token of the account {}", account.name),
        secret: token.to_string(),
        expires: created.and_then(|created| created.expires_at).map(Moment::deadline),
        commands: Vec::new(),
        back: (PAGE, "All accounts"),
    };
    made.answer()
}
