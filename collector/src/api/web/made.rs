//! The page with a token that was just made. It is shown once and kept nowhere.

use askama::Template;
use axum::response::Response;
use http::StatusCode;

use super::chrome::{Chrome, page};
use super::format::Moment;
use super::refusal::Refusal;

/// A token that was just made. The address of the page does not have it, so no history and no log keeps it.
#[derive(Template)]
#[template(path = "made.html")]
pub(super) struct Made {
    pub(super) chrome: Chrome,
    /// `Enrollment token for the site lab`.
    pub(super) title: String,
    pub(super) secret: String,
    /// `None` for a token that does not expire.
    pub(super) expires: Option<Moment>,
    /// What to do with it, and the command for that.
    pub(super) commands: Vec<(&'static str, String)>,
    /// The page that lists such tokens, and its name.
    pub(super) back: (&'static str, &'static str),
}

impl Made {
    /// The answer with the page.
    ///
    /// # Errors
    /// The template failed.
    pub(super) fn answer(&self) -> Result<Response, Refusal> {
        let mut answer = page(self)?;
        *answer.status_mut() = StatusCode::CREATED;
        Ok(answer)
    }
}
