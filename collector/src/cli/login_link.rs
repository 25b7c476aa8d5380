//! `muster login-link`: a link that logs the caller's account in to the web board once.

use anyhow::Context as _;

use super::client::Client;
use super::render::{Answer, Screen};

const HEADER: [&str; 2] = ["link", "expires_at"];

/// `server` is the address that the link begins with.
pub(super) async fn run(mut client: Client, server: &str, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let (path, expires_at) = client.login_link().await?;
    let link = format!("{server}{path}");
    let whole = serde_json::json!({ "link": link, "expires_at": expires_at });
    let answer = Answer { whole: &whole, header: &HEADER };
    let row = || vec![vec![link.clone(), expires_at.to_rfc3339()]];
    let shown = screen.show(&answer, std::slice::from_ref(&whole), row, |_| format!("{link}\n"));
    let flushed = shown.and_then(|()| Ok(screen.flush()?));
    flushed.context("the login link was made but could not be printed; make another one with `muster login-link`")?;
    Ok(0)
}
