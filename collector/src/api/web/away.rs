//! The pages that lead to the identity provider. They are no redirects, because the policy of our pages lets no form lead to another site.

use askama::Template;
use axum::response::Response;
use http::header::{REFRESH, SET_COOKIE};
use http::{HeaderValue, StatusCode, Uri};

use super::assets::{ICON, SCRIPT, STYLE};
use super::chrome::page;
use super::refusal::Refusal;
use super::state::State;
use crate::oidc::Provider;

/// The page that leads to the provider.
#[derive(Template)]
#[template(path = "away.html")]
struct AwayPage<'a> {
    style: &'static str,
    script: &'static str,
    icon: &'static str,
    heading: &'a str,
    provider: &'a str,
    address: &'a str,
}

/// The host of the provider, for people; empty without one.
pub(super) fn name_of(state: &State) -> String {
    let host = |provider: &Provider| provider.issuer().parse::<Uri>().ok()?.host().map(str::to_owned);
    state.provider.as_deref().and_then(host).unwrap_or_default()
}

/// The page that leads on to the provider's own logout; `None` if it has none. `cookie` ends the session's.
pub(super) async fn logged_out(state: &State, cookie: &str) -> Result<Option<Response>, Refusal> {
    let Some(provider) = &state.provider else { return Ok(None) };
    let Some(address) = provider.logout_address().await else { return Ok(None) };
    away(state, "Logged out of Muster", &address, cookie).map(Some)
}

/// A page that leads to the provider, by itself and with a link.
pub(super) fn away(state: &State, heading: &str, address: &str, cookie: &str) -> Result<Response, Refusal> {
    let (provider, style, script, icon) = (name_of(state), &STYLE.path, &SCRIPT.path, &ICON.path);
    let mut response = page(&AwayPage { style, script, icon, heading, provider: &provider, address })?;
    response.headers_mut().insert(REFRESH, header(&format!("0; url={address}"))?);
    response.headers_mut().insert(SET_COOKIE, header(cookie)?);
    Ok(response)
}

/// A value of a header.
pub(super) fn header(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::try_from(text).map_err(|_| Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR))
}
