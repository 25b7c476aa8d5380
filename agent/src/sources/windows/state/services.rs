//! Which services and drivers of the watchlist run, as the service manager says. It also knows services that the registry no
//! longer has: they run until the next start.

use std::collections::BTreeSet;

use muster_proto::model::{Outcome, UnitState};

use crate::sources::ScanContext;
use crate::sources::watchlist::matches_in_any_case as matches;
use crate::sources::windows::service_status::ServiceStatus;

/// The watched services of the running system, and how completely they were listed.
pub(super) fn running(context: &ScanContext) -> (Vec<UnitState>, Outcome) {
    match listed() {
        Ok(all) => watched(&context.watchlist.units, &all),
        Err(outcome) => (Vec::new(), outcome),
    }
}

#[cfg(windows)]
fn listed() -> Result<Vec<ServiceStatus>, Outcome> {
    crate::sources::windows::live::services::list()
}

#[cfg(not(windows))]
fn listed() -> Result<Vec<ServiceStatus>, Outcome> {
    Err(Outcome::Failed)
}

/// The services that the watchlist names. A list without any service was not read: some run on every Windows.
pub(in crate::sources::windows) fn watched(patterns: &[String], all: &[ServiceStatus]) -> (Vec<UnitState>, Outcome) {
    if !all.iter().any(|one| one.is_running && !one.is_driver) {
        return (Vec::new(), Outcome::Failed);
    }
    let is_watched = |one: &&ServiceStatus| {
        // The watchlist names a driver by its service or by its file.
        let file = format!("{}.sys", one.name);
        patterns.iter().any(|pattern| matches(pattern, &one.name) || (one.is_driver && matches(pattern, &file)))
    };
    let state = |one: &ServiceStatus| UnitState { name: one.name.clone(), active: one.is_running };
    let found: BTreeSet<UnitState> = all.iter().filter(is_watched).map(state).collect();
    let outcome = if found.is_empty() { Outcome::Empty } else { Outcome::Found };
    (found.into_iter().collect(), outcome)
}
