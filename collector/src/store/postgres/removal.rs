//! The lock and the counter by which rows are removed although collectors remember their numbers.
//!
//! ```text
//!  who refers to rows by number:  [ BEGIN  share the lock  is the generation the one of what I remember?  … COMMIT ]
//!  who removes rows:              [ BEGIN  hold the lock alone  does nothing refer to them?  remove  count up  COMMIT ]
//! ```
//!
//! While the lock is shared nothing is removed; and if the generation is the remembered one, nothing was removed since. If it
//! is another one, the collector forgets what it remembers and does its work again, this time under the lock from its start.
//! Editions have a generation of their own, because of them a collector remembers all and forgets only those that were
//! removed, see `intern`.

use tokio_postgres::Row;

use super::fault::{PostgresFault, Step};
use super::session::Session;

/// "REMV" in ASCII. It comes before every other lock of a transaction, except that of administrative writes.
pub(super) const SHARE: &str = "SELECT pg_advisory_xact_lock_shared(x'52454d56'::int8)";
/// The same until [`RELEASE`], before a transaction begins.
pub(super) const SHARE_FOR_SESSION: &str = "SELECT pg_advisory_lock_shared(x'52454d56'::int8)";
pub(super) const RELEASE: &str = "SELECT pg_advisory_unlock_shared(x'52454d56'::int8)";
const HOLD: &str = "SELECT pg_advisory_xact_lock(x'52454d56'::int8)";
/// Must be a statement after [`SHARE`]: a statement sees what was committed before it began.
pub(super) const GENERATIONS: &str = "SELECT coalesce(max(generation), 0), coalesce(max(editions), 0) FROM removal";
const COUNT_UP: &str = "
    INSERT INTO removal (generation) VALUES (1) ON CONFLICT (only_one) DO UPDATE SET generation = removal.generation + 1";
const COUNT_UP_EDITIONS: &str = "
    INSERT INTO removal (editions) VALUES (1) ON CONFLICT (only_one) DO UPDATE SET editions = removal.editions + 1
    RETURNING editions";

/// How often rows were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Generations {
    /// Snapshots or sections.
    pub(super) rows: i64,
    pub(super) editions: i32,
}

impl Generations {
    /// From the answer to [`GENERATIONS`].
    pub(super) fn of(found: Option<&Row>) -> Step<Self> {
        let Some(found) = found else { return Ok(Self::default()) };
        Ok(Self { rows: found.try_get(0)?, editions: found.try_get(1)? })
    }
}

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

/// The next generation of editions: every collector learns which were removed. The lock must be held.
pub(super) async fn count_up_editions(session: &Session) -> Step<i32> {
    let found = session.query_first(COUNT_UP_EDITIONS, &[]).await?;
    found.map_or_else(|| Err(PostgresFault::other("the count of removals has no row")), |found| Ok(found.try_get(0)?))
}

/// The generations of what is read next.
pub(super) async fn generations(session: &Session) -> Step<Generations> {
    Generations::of(session.query_first(GENERATIONS, &[]).await?.as_ref())
}
