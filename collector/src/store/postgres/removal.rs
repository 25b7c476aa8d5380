//! The lock and the counter by which rows are removed although collectors remember their numbers.
//!
//! ```text
//!  who refers to rows by number:  [ BEGIN  share the lock  is the generation the one of what I remember?  … COMMIT ]
//!  who removes rows:              [ BEGIN  hold the lock alone  does nothing refer to them?  remove  count up  COMMIT ]
//! ```
//!
//! While the lock is shared nothing is removed; and if the generation is the remembered one, nothing was removed since. If it
//! is another one, the collector forgets what it remembers and does its work again, this time under the lock from its start.

use super::fault::Step;
use super::session::Session;

/// "REMV" in ASCII. It comes before every other lock of a transaction, except that of administrative writes.
pub(super) const SHARE: &str = "SELECT pg_advisory_xact_lock_shared(x'52454d56'::int8)";
/// The same until [`RELEASE`], before a transaction begins.
pub(super) const SHARE_FOR_SESSION: &str = "SELECT pg_advisory_lock_shared(x'52454d56'::int8)";
pub(super) const RELEASE: &str = "SELECT pg_advisory_unlock_shared(x'52454d56'::int8)";
const HOLD: &str = "SELECT pg_advisory_xact_lock(x'52454d56'::int8)";
/// Must be a statement after [`SHARE`]: a statement sees what was committed before it began.
pub(super) const GENERATION: &str = "SELECT coalesce(max(generation), 0) FROM removal";
const COUNT_UP: &str = "
    INSERT INTO removal (generation) VALUES (1) ON CONFLICT (only_one) DO UPDATE SET generation = removal.generation + 1";

/// Waits until nobody shares the lock, and keeps others from it until the transaction ends.
pub(super) async fn hold(session: &Session) -> Step<()> {
    session.execute(HOLD, &[]).await.map(drop)
}

/// Keeps rows from being removed until the transaction ends.
pub(super) async fn share(session: &Session) -> Step<()> {
    session.execute(SHARE, &[]).await.map(drop)
}

/// Makes every collector forget the numbers of sections and snapshots that it remembers. The lock must be held.
pub(super) async fn count_up(session: &Session) -> Step<()> {
    session.execute(COUNT_UP, &[]).await.map(drop)
}

/// The generation of what is read next.
pub(super) async fn generation(session: &Session) -> Step<i64> {
    Ok(session.query_first(GENERATION, &[]).await?.map_or(Ok(0), |found| found.try_get(0))?)
}
