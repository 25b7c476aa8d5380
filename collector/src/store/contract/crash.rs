//! For the crash test of a backend: a process that reports without end, and what must be stored after it was killed.

use std::collections::HashMap;
use std::sync::Arc;

use muster_proto::canonical;
use muster_proto::model::{Digest, Lane, Section};

use super::kit::{at, check_in, delivery, host, judged, judgement, packages, run, settled, snapshot, units};
use crate::store::{CheckIn, CheckInAnswer, Delivered, Delivery, Store};

/// What host `n` has in this step: every step is another snapshot, and some of it is shared.
fn sections(n: u8, step: u64) -> [Section; 2] {
    let version = format!("1.{step}");
    [packages(&[("adduser", "3.134"), ("kesl", &version)]), units(&[&format!("unit-{}-{}.service", n % 3, step / 5)])]
}

/// Reports for every host in its own task, judges beside them, and calls `print` with `host step` for each acknowledged
/// snapshot.
pub(crate) async fn report_forever(
    store: Arc<dyn Store>,
    hosts: u8,
    round: u64,
    print: impl Fn(String) + Clone + Send + Sync + 'static,
) {
    let mut tasks = Vec::new();
    for n in 1..=hosts {
        let (store, print) = (Arc::clone(&store), print.clone());
        tasks.push(tokio::spawn(async move {
            for step in round * 100_000.. {
                report(&store, n, round, step).await;
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
    for task in tasks {
        task.await.expect("reports until it is killed");
    }
}

async fn report(store: &Arc<dyn Store>, n: u8, round: u64, step: u64) {
    // A process that was killed starts as another run.
    let run = run(u8::try_from(round).expect("small"));
    let all = sections(n, step);
    let answer = store.check_in(CheckIn { run, ..check_in(n, step, step, &all) }).await.expect("checks in");
    if answer != CheckInAnswer::Current {
        let operation = Delivery { run, ..delivery(n, step, step, &all, &all) };
        assert_eq!(store.snapshot_deliver(operation).await.expect("delivers"), Delivered::Accepted);
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
