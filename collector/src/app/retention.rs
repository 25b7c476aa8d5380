//! Removes the past of hosts in the background, in small steps between which reports and judgements go on.

use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::Timestamp;

use crate::clock::Clock;
use crate::config::Retention;
use crate::shutdown::StopToken;
use crate::store::{HistoryRemoved, HistoryStep, Store, StoreError};
use crate::telemetry::Metrics;

/// How many hosts one step looks at. It removes at most what they have collected since the last pass.
const HOSTS: u32 = 200;
/// The time between two steps: others use the store meanwhile.
const PAUSE: Duration = Duration::from_millis(20);
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
    let mut pass = HistoryRemoved::default();
    loop {
        let step = step(&settings, pass.next.unwrap_or_default(), clock());
        let pause = match store.history_remove(step).await {
            Ok(removed) => {
                let HistoryRemoved { snapshots, states, verdicts, next: _ } = removed;
                for (history, rows) in [("snapshots", snapshots), ("states", states), ("verdicts", verdicts)] {
                    metrics.removed(history, rows);
                }
                pass = pass.plus(removed);
                if pass.next.is_some() { PAUSE } else { end_of_pass(&mut pass) }
            }
            Err(StoreError::Closed { .. }) => return,
            Err(failed) => {
                tracing::error!(error = %failed, "removing what retention does not keep failed; trying again in an hour");
                EVERY
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
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

fn end_of_pass(pass: &mut HistoryRemoved) -> Duration {
    let HistoryRemoved { snapshots, states, verdicts, next: _ } = std::mem::take(pass);
    if snapshots + states + verdicts > 0 {
        tracing::info!(snapshots, states, verdicts, "removed what retention does not keep of the past of hosts");
    }
    EVERY
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
}
