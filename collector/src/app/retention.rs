//! Removes the past of hosts in the background, and then what nothing refers to any more; in small steps between which reports
//! and judgements go on.

use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::Timestamp;

use crate::actions;
use crate::clock::Clock;
use crate::config::Retention;
use crate::shutdown::StopToken;
use crate::store::{HistoryRemoved, HistoryStep, Store, StoreError, UnreferencedPass, UnreferencedRemoved};
use crate::telemetry::Metrics;

/// How many hosts one step looks at. It removes at most what they have collected since the last pass.
const HOSTS: u32 = 200;
/// The time between two steps: others use the store meanwhile.
const PAUSE: Duration = Duration::from_millis(20);
/// How many rows of what nothing refers to are removed in one transaction.
const ROWS: u32 = 500;
/// The time between two passes over all hosts.
const EVERY: Duration = Duration::from_secs(3600);

/// Removes until the stop.
pub(super) async fn remove(
    store: Arc<dyn Store>,
    settings: Retention,
    metrics: Arc<Metrics>,
    clock: Clock,
    stop: StopToken,
) {
    let mut editions_at = None;
    loop {
        let now = clock();
        let editions = is_due(editions_at, now, settings.editions_every);
        let pass = async {
            history(&*store, &settings, &metrics, &clock).await?;
            // They answer for the same past as the lanes.
            metrics.removed("labels", actions::said_forget(&*store, clock().minus(settings.verdicts), clock()).await?);
            unreferenced(&*store, &settings, &metrics, clock(), editions).await
        };
        // Each transaction is whole, so a pass may end between two of them.
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = pass => outcome,
        };
        match outcome {
            Ok(()) if editions => editions_at = Some(now),
            Ok(()) => {}
            Err(StoreError::Closed { .. }) => return,
            Err(failed) => {
                tracing::error!(error = %failed, "removing what retention does not keep failed; trying again in an hour");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Goes over the past of all hosts.
async fn history(store: &dyn Store, settings: &Retention, metrics: &Metrics, clock: &Clock) -> Result<(), StoreError> {
    let mut pass = HistoryRemoved::default();
    loop {
        let removed = store.history_remove(step(settings, pass.next.unwrap_or_default(), clock())).await?;
        let HistoryRemoved { snapshots, states, verdicts, next: _ } = removed;
        for (history, rows) in [("snapshots", snapshots), ("states", states), ("verdicts", verdicts)] {
            metrics.removed(history, rows);
        }
        pass = pass.plus(removed);
        if pass.next.is_none() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let HistoryRemoved { snapshots, states, verdicts, next: _ } = pass;
    if pass.rows() > 0 {
        tracing::info!(snapshots, states, verdicts, "removed what retention does not keep of the past of hosts");
    }
    Ok(())
}

/// Goes over everything that a host may refer to.
async fn unreferenced(
    store: &dyn Store,
    settings: &Retention,
    metrics: &Metrics,
    now: Timestamp,
    editions: bool,
) -> Result<(), StoreError> {
    let before = now.minus(settings.unreferenced);
    let pass = UnreferencedPass { now, before, rows: ROWS, pause: PAUSE, editions };
    let removed = store.unreferenced_remove(pass).await?;
    let UnreferencedRemoved { snapshots, sections, states, editions, texts } = removed;
    let tables = ["snapshots", "sections", "states", "editions", "texts"];
    for (table, rows) in tables.into_iter().zip([snapshots, sections, states, editions, texts]) {
        metrics.removed_unreferenced(table, rows);
    }
    if removed.rows() > 0 {
        tracing::info!(snapshots, sections, states, editions, texts, "removed what nothing refers to");
    }
    Ok(())
}

/// Whether editions are due, which were last looked for at that time. A clock that was set back does not delay them.
fn is_due(last: Option<Timestamp>, now: Timestamp, every: Duration) -> bool {
    last.is_none_or(|last| now < last || now.since(last) >= every)
}

fn step(settings: &Retention, after: i64, now: Timestamp) -> HistoryStep {
    HistoryStep {
        after,
        hosts: HOSTS,
        snapshots: now.minus(settings.snapshots),
        states: now.minus(settings.states),
        verdicts: now.minus(settings.verdicts),
        unfinished: now.minus(settings.unfinished),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_goes_back_as_far_as_each_setting_says() {
        let day = Duration::from_secs(24 * 3600);
        let now = Timestamp::from_millis(0).plus(1_000 * day);
        let step = step(&Retention::default(), 7, now);
        let age = |before: Timestamp| now.since(before).as_secs() / day.as_secs();
        assert_eq!([step.snapshots, step.states, step.verdicts, step.unfinished].map(age), [90, 90, 730, 365]);
        assert_eq!(step.after, 7);
    }

    #[test]
    fn editions_are_looked_for_after_the_start_and_then_as_often_as_the_setting_says() {
        let (every, at) = (Retention::default().editions_every, Timestamp::from_millis(0).plus(10 * EVERY));
        assert!(is_due(None, at, every));
        assert!(!is_due(Some(at), at.plus(23 * EVERY), every));
        assert!(is_due(Some(at), at.plus(24 * EVERY), every));
        assert!(is_due(Some(at), at.minus(EVERY), every), "the clock was set back");
    }
}
