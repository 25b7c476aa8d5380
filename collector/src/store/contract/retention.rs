//! What is removed of the past of hosts, and what is kept.

use std::sync::Arc;

use muster_proto::model::Lane;

use super::Backend;
use super::kit::{
    all_judged, assert_healthy, at, check_in, enrolled, host, judged, judgement, packages, reports, settled, state,
};
use crate::store::{CheckIn, HistoryRemoved, HistoryStep, Store};

pub(super) fn before(seconds: u64, unfinished: u64) -> HistoryStep {
    let instant = at(seconds);
    HistoryStep {
        after: 0,
        hosts: 100,
        snapshots: instant,
        states: instant,
        verdicts: instant,
        unfinished: at(unfinished),
    }
}

fn counts(removed: HistoryRemoved) -> (u64, u64, u64) {
    (removed.snapshots, removed.states, removed.verdicts)
}

/// Takes steps of this many hosts until there are no more.
async fn removed(store: &Arc<dyn Store>, step: HistoryStep, hosts: u32) -> (u64, u64, u64) {
    let mut pass = HistoryRemoved::default();
    for steps in 0.. {
        let step = HistoryStep { after: pass.next.unwrap_or_default(), hosts, ..step };
        pass = pass.plus(store.history_remove(step).await.expect("removes"));
        if pass.next.is_none() {
            return counts(pass);
        }
        assert!(steps < 10, "it ends");
    }
    unreachable!("the loop returns")
}

/// Three hosts with three snapshots, three states and three lanes each, which end at 20 and 30 seconds. Work is left on
/// host 2.
async fn past(store: &Arc<dyn Store>) {
    enrolled(store, 3).await;
    for (seq, seconds, lane) in [(1, 10, Lane::Replace), (2, 20, Lane::Remove), (3, 30, Lane::Clear)] {
        for n in 1..=3 {
            let all = [packages(&[("adduser", &*format!("{n}.{seq}"))])];
            reports(store, n, 2 * seq, seconds, &all).await;
            let other =
                CheckIn { state: Some(state(&format!("boot-{seq}"))), ..check_in(n, 2 * seq + 1, seconds, &all) };
            store.check_in(other).await.expect("checks in");
        }
        let claimed = store.queue_claim(100, at(seconds)).await.expect("claims");
        let lane_of = |id| if id == host(2) && lane == Lane::Clear { Lane::Confirm } else { lane };
        let judgements = claimed.iter().map(|queued| judgement(queued, vec![judged(lane_of(queued.host))])).collect();
        settled(store, judgements, at(seconds)).await;
    }
    all_judged(store, Lane::Clear, 31).await;
}

pub(crate) async fn the_past_of_hosts_is_removed_when_its_retention_ends(backend: impl Backend) {
    let store = backend.open();
    past(&store).await;
    assert_eq!(removed(&store, before(19, 0), 2).await, (0, 0, 0), "nothing has ended yet");
    // The first snapshot, state and lane of hosts 1 and 3 ended at 20 seconds; work is left on host 2.
    assert_eq!(removed(&store, before(25, 0), 2).await, (2, 2, 2));
    assert_eq!(removed(&store, before(25, 0), 1).await, (0, 0, 0), "each once");
    assert_eq!(removed(&store, before(25, 20), 100).await, (1, 1, 1), "work is left, but for too long");
    assert_healthy(&store).await;
    // Whatever is current stays, however old it is.
    assert_eq!(removed(&store, before(1_000, 1_000), 100).await, (3, 3, 3));
    assert_eq!(removed(&store, before(1_000, 1_000), 100).await, (0, 0, 0));
    for n in 1..=3 {
        let kept = store.host_get(host(n)).await.expect("gets").expect("there");
        assert!(kept.snapshot.is_some());
        assert_eq!(
            (kept.state.boot_id.as_str(), kept.verdicts.len(), kept.history.len()),
            ("boot-3", 1, 1),
            "host {n}"
        );
    }
    assert_healthy(&store).await;
    // And the past begins anew.
    reports(&store, 1, 20, 40, &[packages(&[("adduser", "9")])]).await;
    all_judged(&store, Lane::Replace, 41).await;
    assert_eq!(removed(&store, before(41, 0), 100).await, (0, 0, 0), "work is left again");
    assert_healthy(&store).await;
}
