//! Which units of the watchlist are running, from the control groups of all processes: every process of a service is in a
//! group named after its unit.

use std::collections::BTreeSet;

use muster_proto::model::{Outcome, UnitState, Watchlist};

use crate::sources::watchlist::matches;

/// `running` are the units with a process. `units` are those that the source `systemd-units` found, and `outcome` says how
/// completely.
pub(super) fn of(
    watchlist: &Watchlist,
    running: Result<&BTreeSet<String>, &Outcome>,
    has_systemd: Result<bool, Outcome>,
    units: &[String],
    outcome: Outcome,
) -> (Vec<UnitState>, Outcome) {
    let is_watched = |unit: &&String| watchlist.units.iter().any(|pattern| matches(pattern, unit));
    // A running unit may have no file: it was deleted, or the unit is transient. Its processes still show it.
    let with_process = running.map(BTreeSet::iter).unwrap_or_default();
    let watched: BTreeSet<&String> = units.iter().chain(with_process).filter(is_watched).collect();
    if watched.is_empty() {
        // There is nothing to check. How certain that is depends on the source of the units.
        return (Vec::new(), if outcome == Outcome::Found { Outcome::Empty } else { outcome });
    }
    match has_systemd {
        Ok(true) => {}
        Ok(false) => return (Vec::new(), Outcome::NotApplicable),
        Err(outcome) => return (Vec::new(), outcome),
    }
    match running {
        Ok(running) => {
            let state = |name: &String| UnitState { name: name.clone(), active: running.contains(name) };
            let outcome = if outcome.is_complete() { Outcome::Found } else { outcome };
            (watched.into_iter().map(state).collect(), outcome)
        }
        Err(outcome) => (Vec::new(), *outcome),
    }
}
