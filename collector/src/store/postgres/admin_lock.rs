//! The lock of administrative writes.

use super::fault::Step;
use super::session::Session;

/// Administrative writes wait for each other, so that a decision holds until it is committed, as on SQLite. Rules come into force in
/// the same way. The lock is taken before any row: "ADMN" in ASCII.
pub(super) async fn take(session: &Session) -> Step<()> {
    session.execute("SELECT pg_advisory_xact_lock(x'41444d4e'::int8)", &[]).await.map(drop)
}
