//! The page of an error: what happened, the number of the request, and ways out.

use askama::Template;
use http::StatusCode;

use super::assets::{ICON, SCRIPT, STYLE};
use super::format::clean;
use super::refusal::Refusal;

/// The page of an error.
#[derive(Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage<'a> {
    style: &'static str,
    script: &'static str,
    icon: &'static str,
    code: u16,
    heading: &'static str,
    text: String,
    request: &'a str,
    /// The page with the form that was sent; empty for an address.
    form: &'a str,
}

impl<'a> ErrorPage<'a> {
    /// `form` is the page with the form that was sent, and `request` the number of the request in the log.
    pub(super) fn new(refusal: &Refusal, form: Option<&'a str>, request: &'a str) -> Self {
        let heading = match refusal.status {
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT if form.is_some() => "Nothing was changed",
            StatusCode::BAD_REQUEST => "Invalid address",
            StatusCode::UNAUTHORIZED => "Please log in",
            StatusCode::FORBIDDEN => "Not allowed",
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::GONE => "That is over",
            StatusCode::CONFLICT => "Not possible now",
            StatusCode::TOO_MANY_REQUESTS => "Too many requests",
            StatusCode::SERVICE_UNAVAILABLE => "Not available now",
            StatusCode::BAD_GATEWAY => "Login failed",
            status if status.is_client_error() => "Request failed",
            _ => "Internal error",
        };
        let text = clean(&refusal.text, 2_000);
        Self {
            style: &STYLE.path,
            script: &SCRIPT.path,
            icon: &ICON.path,
            code: refusal.status.as_u16(),
            heading,
            text,
            request,
            form: form.unwrap_or_default(),
        }
    }
}
