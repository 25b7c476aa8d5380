//! Which rules are in force while the collectors on this database have different ones: during an upgrade, or because
//! one of them has another overlay.
//!
//! - Rules that were never in force are adopted at once. The ones in force before are then *replaced*.
//! - Only collectors that have the rules in force judge. The others take nothing from the judge queue, and their
//!   earlier judgements are left out: the tickets are outdated, and [`settle`](super::settle) checks which rules are in
//!   force.
//! - Replaced rules are adopted again only if no collector has had the rules in force for [`ORPHANED`], because all
//!   were set back. So an old collector that restarts during an upgrade does not undo it.
//!
//! Each collector shows its rules by an advisory lock on the heartbeat's connection, which ends with the process.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_proto::model::Timestamp;
use tokio::time::Instant;

use super::admin_lock;
use super::fault::Step;
use super::ledger;
use super::session::Session;
use crate::ledger::actor::ActorId;
use crate::ledger::entry::Entry;

/// The class of the advisory locks of rules: "RU" in ASCII.
pub(super) const CLASS: i32 = 0x5255;
/// After how long without a collector that has the rules in force replaced ones may be adopted again.
const ORPHANED: Duration = Duration::from_secs(5);

/// What this collector knows about the rules; updated once a second.
#[derive(Debug, Default)]
pub(super) struct RulesInForce(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The number and version of this collector's rules.
    mine: Option<(i32, String)>,
    in_force: Option<i32>,
    orphaned_since: Option<Instant>,
}

impl RulesInForce {
    /// Sets this collector's rules.
    pub(super) fn have(&self, no: i32, version: &str) {
        self.lock().mine = Some((no, version.to_owned()));
    }

    /// The number of this collector's rules; 0 before any are set.
    pub(super) fn mine(&self) -> i32 {
        self.lock().mine.as_ref().map_or(0, |(no, _)| *no)
    }

    /// Notes which rules are in force, and which rules running collectors have.
    pub(super) fn update(&self, in_force: Option<i32>, held: &HashSet<i32>) {
        let mut state = self.lock();
        // Where no rules are in force, none can be orphaned.
        let is_held = in_force.is_none_or(|no| held.contains(&no));
        // The time starts again when other rules come into force.
        if is_held || state.in_force != in_force {
            state.orphaned_since = None;
        }
        if !is_held {
            state.orphaned_since.get_or_insert_with(Instant::now);
        }
        state.in_force = in_force;
    }

    /// This collector's rules, if they may be adopted again: nobody has the rules in force.
    pub(super) fn to_readopt(&self) -> Option<(i32, String)> {
        let state = self.lock();
        let is_orphaned = state.orphaned_since.is_some_and(|since| since.elapsed() >= ORPHANED);
        state.mine.clone().filter(|(no, _)| is_orphaned && state.in_force != Some(*no))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Number and version of the rules in force.
pub(super) const IN_FORCE: &str = "SELECT no, text FROM rules WHERE adopted_at IS NOT NULL";

/// Adopts the rules with this version and number, unless they are in force or were replaced, and puts every host on the
/// judge queue. With `readopt`, also if they were replaced. Returns whether they were adopted.
pub(super) async fn adopt(session: &Session, version: &str, number: i32, now: Timestamp, readopt: bool) -> Step<bool> {
    // What an administrative transaction decides by the rules in force holds until its commit.
    admin_lock::take(session).await?;
    // A lock of its own, because there may be no row yet that says which rules are in force.
    session.execute("SELECT pg_advisory_xact_lock(hashtext('muster rules'))", &[]).await?;
    let in_force = session.query_first(IN_FORCE, &[]).await?;
    let in_force: Option<(i32, String)> =
        in_force.map(|found| Ok::<_, tokio_postgres::Error>((found.try_get(0)?, found.try_get(1)?))).transpose()?;
    if in_force.as_ref().is_some_and(|(no, _)| *no == number) {
        return Ok(false);
    }
    if let (Some((_, other)), false) = (&in_force, readopt) {
        let ask = "SELECT 1 FROM rules WHERE no = $1 AND replaced_at IS NOT NULL";
        if session.query_first(ask, &[&number]).await?.is_some() {
            tracing::warn!(
                rules.version = version,
                in_force = %other,
                "this collector does not judge: its rules were replaced by those in force"
            );
            return Ok(false);
        }
    }
    let replace = "UPDATE rules SET adopted_at = NULL, replaced_at = $1 WHERE adopted_at IS NOT NULL";
    session.execute(replace, &[&now.millis()]).await?;
    let adopt = "UPDATE rules SET adopted_at = $2, replaced_at = NULL WHERE no = $1";
    session.execute(adopt, &[&number, &now.millis()]).await?;
    let begin = "INSERT INTO rule_period (from_at, version) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    session.execute(begin, &[&now.millis(), &version]).await?;
    // Hosts come in the order of their locks. The subquery runs once: a ticket is compared only with that of the same
    // host.
    let put = "INSERT INTO judge_queue (host, ticket, queued_at) SELECT no, (SELECT nextval('judge_queue_ticket')), $1
               FROM host ORDER BY no ON CONFLICT (host) DO UPDATE SET ticket = excluded.ticket";
    session.execute(put, &[&now.millis()]).await?;
    let from = in_force.map(|(_, text)| text);
    ledger::write(session, now, &ActorId::Rules, &Entry::RulesAdopted { from, to: version.to_owned() }).await?;
    Ok(true)
}
