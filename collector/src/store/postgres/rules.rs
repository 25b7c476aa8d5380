//! Which rules are in force, when collectors that share the database have different ones: while they are upgraded one
//! after the other, or when one of them was given another overlay.
//!
//! - Rules that have never been in force are adopted at once; those that were in force before them are *replaced*.
//! - Only collectors that have the rules in force work the judge queue. The others leave it alone, and what they have judged
//!   before is left out: its ticket is outdated, and [`settle`](super::settle) asks which rules are in force.
//! - Rules that were replaced come back only when no collector has had those in force for [`ORPHANED`]: when all were set
//!   back. So an old collector that starts anew in the middle of an upgrade turns nothing round.
//!
//! Who has which rules shows by an advisory lock on the connection of the heartbeat, and ends with the process.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_proto::model::Timestamp;
use tokio::time::Instant;

use super::fault::Step;
use super::ledger;
use super::session::Session;
use crate::ledger::entry::Entry;

/// The class of the advisory locks of rules: "RU" in ASCII.
pub(super) const CLASS: i32 = 0x5255;
/// For how long nobody may have had the rules in force before others come back.
const ORPHANED: Duration = Duration::from_secs(5);

/// What this collector knows of it, learned once a second.
#[derive(Debug, Default)]
pub(super) struct RulesInForce(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The number and name of this collector's own rules.
    mine: Option<(i32, String)>,
    in_force: Option<i32>,
    orphaned_since: Option<Instant>,
}

impl RulesInForce {
    /// This collector's rules are these from now on.
    pub(super) fn have(&self, no: i32, version: &str) {
        self.lock().mine = Some((no, version.to_owned()));
    }

    /// The number of this collector's rules; 0 before it has any.
    pub(super) fn mine(&self) -> i32 {
        self.lock().mine.as_ref().map_or(0, |(no, _)| *no)
    }

    /// These are in force, and collectors that live have those.
    pub(super) fn heard(&self, in_force: Option<i32>, held: &HashSet<i32>) {
        let mut state = self.lock();
        let is_held = in_force.is_none_or(|no| held.contains(&no));
        if is_held || state.in_force != in_force {
            state.orphaned_since = None;
        }
        if !is_held {
            state.orphaned_since.get_or_insert_with(Instant::now);
        }
        state.in_force = in_force;
    }

    /// This collector's rules, when they are not in force and nobody has those that are.
    pub(super) fn to_bring_back(&self) -> Option<(i32, String)> {
        let state = self.lock();
        let is_orphaned = state.orphaned_since.is_some_and(|since| since.elapsed() >= ORPHANED);
        state.mine.clone().filter(|(no, _)| is_orphaned && state.in_force != Some(*no))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rules in force by their number, with their name.
pub(super) const IN_FORCE: &str = "SELECT no, text FROM rules WHERE adopted_at IS NOT NULL";

/// Puts every host on the judge queue when these rules are not in force and may be; `number` is theirs. `back` is whether they
/// come back although others have replaced them.
pub(super) async fn adopt(session: &Session, version: &str, number: i32, now: Timestamp, back: bool) -> Step<bool> {
    // One at a time, whatever row says which rules are in force.
    session.execute("SELECT pg_advisory_xact_lock(hashtext('muster rules'))", &[]).await?;
    let in_force = session.query_first(IN_FORCE, &[]).await?;
    let in_force: Option<(i32, String)> =
        in_force.map(|found| Ok::<_, tokio_postgres::Error>((found.try_get(0)?, found.try_get(1)?))).transpose()?;
    if in_force.as_ref().is_some_and(|(no, _)| *no == number) {
        return Ok(false);
    }
    if let (Some((_, other)), false) = (&in_force, back) {
        let ask = "SELECT 1 FROM rules WHERE no = $1 AND replaced_at IS NOT NULL";
        if session.query_first(ask, &[&number]).await?.is_some() {
            tracing::warn!(
                rules.version = version,
                in_force = %other,
                "these rules were replaced by others: collectors that have those judge, and this one does not"
            );
            return Ok(false);
        }
    }
    let replace = "UPDATE rules SET adopted_at = NULL, replaced_at = $1 WHERE adopted_at IS NOT NULL";
    session.execute(replace, &[&now.millis()]).await?;
    let adopt = "UPDATE rules SET adopted_at = $2, replaced_at = NULL WHERE no = $1";
    session.execute(adopt, &[&number, &now.millis()]).await?;
    let put = "INSERT INTO judge_queue (host, ticket, queued_at) SELECT no, (SELECT nextval('judge_queue_ticket')), $1
               FROM host ORDER BY no ON CONFLICT (host) DO UPDATE SET ticket = excluded.ticket";
    session.execute(put, &[&now.millis()]).await?;
    let from = in_force.map(|(_, text)| text);
    ledger::write(session, now, &Entry::RulesAdopted { from, to: version.to_owned() }).await?;
    Ok(true)
}
