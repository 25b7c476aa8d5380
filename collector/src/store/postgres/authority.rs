//! One CA between all collectors on one database: a host that was enrolled at one must be believed at every other. Each is
//! given the same two files, and the database remembers the pin of the first, so that one with another CA is noticed
//! before it enrolls anybody. The key itself stays out of the database: who can read a backup must not be able to make
//! hosts.

use super::fault::Step;
use super::session::Session;

/// The pin that the database remembers; this one, when it remembers none.
pub(super) async fn claim(session: &Session, pin: &str) -> Step<String> {
    session.execute("INSERT INTO authority (pin) VALUES ($1) ON CONFLICT DO NOTHING", &[&pin]).await?;
    Ok(get(session).await?.unwrap_or_else(|| pin.to_owned()))
}

/// The pin that the database remembers.
pub(super) async fn get(session: &Session) -> Step<Option<String>> {
    let found = session.query_first("SELECT pin FROM authority", &[]).await?;
    Ok(found.map(|found| found.try_get(0)).transpose()?)
}
