//! The pin of the CA that all collectors on this database share.
//!
//! A host that enrolled at one collector must be accepted by all, so all have the same CA files. The database remembers
//! the pin of the first collector; one with another CA is noticed before it enrolls a host. The CA's key is not in the
//! database: somebody who can read a backup must not be able to sign certificates.

use super::fault::Step;
use super::session::Session;

/// Stores the pin unless there is one; returns the pin that is stored.
pub(super) async fn claim(session: &Session, pin: &str) -> Step<String> {
    session.execute("INSERT INTO authority (pin) VALUES ($1) ON CONFLICT DO NOTHING", &[&pin]).await?;
    // Of two collectors that start together, the second gets the pin of the first.
    Ok(get(session).await?.unwrap_or_else(|| pin.to_owned()))
}

/// Writes the pin again, to learn whether the database accepts writes.
pub(super) async fn write_again(session: &Session) -> Step<()> {
    session.execute("UPDATE authority SET pin = pin", &[]).await.map(drop)
}

/// The stored pin.
pub(super) async fn get(session: &Session) -> Step<Option<String>> {
    let found = session.query_first("SELECT pin FROM authority", &[]).await?;
    Ok(found.map(|found| found.try_get(0)).transpose()?)
}
