//! Which units of the watchlist are running, from the control groups of all processes: every process of a service is in a
//! group named after its unit.

use std::collections::BTreeSet;

use muster_proto::limits;
use muster_proto::model::{Outcome, UnitState};

use super::super::watched_processes::WatchedProcesses;
use crate::sources::ScanContext;
use crate::sources::watchlist::matches;

/// `units` are those that the source `systemd-units` found, and `outcome` says how completely.
pub(super) fn of(
    context: &ScanContext,
    watched_processes: Result<&WatchedProcesses, &Outcome>,
    units: &[String],
    outcome: Outcome,
) -> (Vec<UnitState>, Outcome) {
    let is_watched = |unit: &&String| context.watchlist.units.iter().any(|pattern| matches(pattern, unit));
    // A running unit may have no file: it was deleted, or the unit is transient. Its processes still show it.
    let running = watched_processes.map(|watched_processes| watched_processes.units.iter()).unwrap_or_default();
    let watched: BTreeSet<&String> =
        units.iter().chain(running).filter(is_watched).take(limits::UNITS_PER_HOST).collect();
    if watched.is_empty() {
        // There is nothing to check. How certain that is depends on the source of the units.
        return (Vec::new(), if outcome == Outcome::Found { Outcome::Empty } else { outcome });
    }
    if !matches!(context.root.kind_at("/run/systemd/system"), Ok(Some(_))) {
        return (Vec::new(), Outcome::NotApplicable);
    }
    match watched_processes {
        Ok(watched_processes) => {
            let state =
                |name: &String| UnitState { name: name.clone(), active: watched_processes.units.contains(name) };
            let outcome = if outcome.is_complete() { Outcome::Found } else { outcome };
            (watched.into_iter().map(state).collect(), outcome)
        }
        Err(outcome) => (Vec::new(), *outcome),
    }
}
