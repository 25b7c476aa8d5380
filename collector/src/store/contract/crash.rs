//! For the crash test of a backend: a process that reports without end, and what must be stored after it was killed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::canonical;
use muster_proto::model::{Digest, Lane, RunId, Section};

use super::kit::{at, check_in, delivery, host, judged, judgement, packages, settled, snapshot, units};
use super::retention::before;
use crate::store::{CheckIn, CheckInAnswer, Delivered, Delivery, Store, UnreferencedPass};

/// What host `n` has in this step: every step is another snapshot, and some of it is shared.
fn sections(n: u8, step: u64) -> [Section; 2] {
    let version = format!("1.{step}");
    [packages(&[("adduser", "3.134"), ("kesl", &version)]), units(&[&format!("unit-{}-{}.service", n % 3, step / 5)])]
}

/// Reports for every host in its own task, judges and removes beside them, and calls `print` with `host step` for each acknowledged
/// snapshot.
pub(crate) async fn report_forever(
    store: Arc<dyn Store>,
    hosts: u8,
    round: u64,
    print: impl Fn(String) + Clone + Send + Sync + 'static,
) {
    let (mut tasks, removed) = (Vec::new(), Arc::clone(&store));
    for n in 1..=hosts {
        let (store, print) = (Arc::clone(&store), print.clone());
        tasks.push(tokio::spawn(async move {
            // A process that was killed starts as another run.
            let mut run = [u8::try_from(round).expect("small"); 16];
            for step in round * 100_000.. {
                report(&store, n, &mut run, step).await;
                print(format!("{n} {step}"));
            }
        }));
    }
    tasks.push(tokio::spawn(async move {
        for now in 0.. {
            let claimed = store.queue_claim(16, at(round * 1000 + now)).await.expect("claims");
            let lane = Lane::ALL[3 + usize::try_from(now % 8).expect("small")];
            let judgements = claimed.iter().map(|host| judgement(host, vec![judged(lane)])).collect();
            settled(&store, judgements, at(round * 1000 + now)).await;
        }
    }));
    tasks.push(tokio::spawn(async move {
        for now in 0.. {
            removed.history_remove(before(10_000_000, 10_000_000)).await.expect("removes");
            let now = at(round * 100_000 + now);
            let pass = UnreferencedPass { now, before: now, rows: 20, pause: Duration::ZERO, editions: true };
            removed.unreferenced_remove(pass).await.expect("removes");
        }
    }));
    for task in tasks {
        task.await.expect("reports until it is killed");
    }
}

async fn report(store: &Arc<dyn Store>, n: u8, run: &mut [u8; 16], step: u64) {
    let all = sections(n, step);
    loop {
        let drawn = RunId::from_bytes(*run);
        let asked = store.check_in(CheckIn { run: drawn, ..check_in(n, step, step, &all) }).await.expect("checks in");
        let operation = Delivery { run: drawn, ..delivery(n, step, step, &all, &all) };
        match asked {
            CheckInAnswer::Current => return,
            CheckInAnswer::NewRun => {}
            CheckInAnswer::SnapshotWanted | CheckInAnswer::SectionsWanted(_) => {
                match store.snapshot_deliver(operation).await.expect("delivers") {
                    Delivered::Accepted => return,
                    Delivered::NewRun => {}
                    other @ (Delivered::StateWanted
                    | Delivered::SectionsWanted(_)
                    | Delivered::SnapshotWanted
                    | Delivered::HeldBack(_)
                    | Delivered::Contradicts(_)
                    | Delivered::HostUnknown) => panic!("{other:?}"),
                }
            }
            other @ (CheckInAnswer::StateWanted
            | CheckInAnswer::Throttled
            | CheckInAnswer::Contradicts(_)
            | CheckInAnswer::HostUnknown) => panic!("{other:?}"),
        }
        // A crash loses the last check-ins, so a run may look like one that was replaced.
        run[0] += 1;
    }
}

/// The current snapshot of each host is the last acknowledged one, or a later one whose acknowledgement was cut off.
pub(crate) async fn acknowledged_is_there(store: &Arc<dyn Store>, lines: &[String]) {
    let mut last: HashMap<u8, u64> = HashMap::new();
    for line in lines {
        let (n, step) = line.split_once(' ').expect("host and step");
        last.insert(n.parse().expect("a host"), step.parse().expect("a step"));
    }
    for (n, step) in last {
        let kept = store.host_get(host(n)).await.expect("gets").expect("there").snapshot.expect("has one").digest;
        let digest = |step: u64| -> Digest { canonical::snapshot_digest(&snapshot(&sections(n, step))) };
        let later = (step..step + 64).find(|step| digest(*step) == kept);
        assert!(later.is_some(), "host {n}: step {step} was acknowledged, and is lost");
    }
}
