//! `muster login-link`: a link that logs the caller's account in to the web board once.

use anyhow::Context as _;

use super::client::Client;
use super::render::{Answer, Screen};

const HEADER: [&str; 2] = ["link", "expires_at"];

/// The link begins with the public address of the web board, and without one with `server`.
pub(super) async fn run(mut client: Client, server: &str, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let (path, expires_at, public_url) = client.login_link().await?;
    // The link logs in the person who opens it, so it must not lead anywhere but to a port with TLS.
    let origin = if public_url.starts_with("https://") { &public_url } else { server };
    let link = format!("{origin}{path}");
    let whole = serde_json::json!({ "link": link, "expires_at": expires_at });
    let answer = Answer { whole: &whole, header: &HEADER };
    let row = || vec![vec![link.clone(), expires_at.to_rfc3339()]];
    let shown = screen.show(&answer, std::slice::from_ref(&whole), row, |_| format!("{link}\n"));
    let flushed = shown.and_then(|()| Ok(screen.flush()?));
    flushed.context("the login link was made but could not be printed; make another one with `muster login-link`")?;
    Ok(0)
}
