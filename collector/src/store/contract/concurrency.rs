//! Many clients at once: nothing is lost, nothing is done twice, and an operation that fails affects no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_proto::model::{Lane, Section, TokenId};

use super::Backend;
use super::kit::{
    assert_healthy, at, check_in, current, delivery, enrolled, enrollment, host, judged, judgement, ledger, new_token,
    order, packages, settled, snapshot, token_create, token_list, units,
};
use crate::store::{CheckInAnswer, Delivered, NewToken, SiteScope, Store, StoreError};

const TASKS: u8 = 16;
const ROUNDS: u64 = 25;

/// The sections of host `n` in a round: one that all hosts share, and one that every fourth shares; both change.
fn sections(n: u8, round: u64) -> [Section; 2] {
    let version = format!("1.{}", round / 2);
    let group = format!("group-{}-{}.service", n % 4, round / 3);
    [packages(&[("adduser", "3.134"), ("kesl", &version)]), units(&["cron.service", &group])]
}

pub(crate) async fn concurrent_clients_leave_the_store_consistent(backend: impl Backend) {
    concurrent_clients_of(vec![backend.open()]).await;
}

/// The same with several stores on one database: a host takes the next store with every message, and each store has its
/// judges.
pub(crate) async fn concurrent_clients_of(stores: Vec<Arc<dyn Store>>) {
    let store = Arc::clone(&stores[0]);
    enrolled(&store, TASKS).await;
    let done = Arc::new(AtomicBool::new(false));
    let judges: Vec<_> =
        stores.iter().chain(&stores).map(|store| tokio::spawn(judge(Arc::clone(store), Arc::clone(&done)))).collect();
    let hosts: Vec<_> = (1..=TASKS).map(|n| tokio::spawn(report(stores.clone(), n))).collect();
    for host in hosts {
        host.await.expect("reports");
    }
    done.store(true, Ordering::SeqCst);
    for judge in judges {
        judge.await.expect("judges");
    }
    // Hosts whose claims expired while another judge had them.
    let claimed = store.queue_claim(1000, at(100_000)).await.expect("claims");
    let judgements = claimed.iter().map(|host| judgement(host, vec![judged(Lane::Clear)])).collect();
    settled(&store, judgements, at(100_000)).await;

    assert_eq!(store.queue_depth().await.expect("asks").waiting, 0);
    for n in 1..=TASKS {
        let last = muster_proto::canonical::snapshot_digest(&snapshot(&sections(n, ROUNDS - 1)));
        assert_eq!(current(&store, n).await, Some(last), "host {n}");
    }
    let tally = store.lane_tally(&order(), &SiteScope::All, at(0), at(0)).await.expect("tallies").hosts();
    assert_eq!(tally.in_scope.values().sum::<u64>(), u64::from(TASKS));
    assert_eq!(tally.unjudged, 0);
    assert_healthy(&store).await;
}

async fn report(stores: Vec<Arc<dyn Store>>, n: u8) {
    let mut turns = stores.iter().cycle().skip(usize::from(n));
    for round in 0..ROUNDS {
        let mut store = || turns.next().expect("there is a store");
        let (seq, seconds, all) = (round + 1, 10 + round, sections(n, round));
        let answer = store().check_in(check_in(n, seq, seconds, &all)).await.expect("checks in");
        if answer != CheckInAnswer::Current {
            // Half of the hosts deliver in two parts, as over a slow link.
            let parts = if n.is_multiple_of(2) { vec![&all[..1], &all[1..]] } else { vec![&all[..]] };
            let mut last = Delivered::SnapshotWanted;
            for part in parts {
                last = store().snapshot_deliver(delivery(n, seq, seconds, &all, part)).await.expect("delivers");
            }
            assert_eq!(last, Delivered::Accepted);
        }
        let again = store().check_in(check_in(n, seq, seconds, &all)).await.expect("replays");
        // A store that does not remember the first one takes it for a new check-in that changes nothing.
        assert!(
            matches!(again, CheckInAnswer::Current | CheckInAnswer::StateWanted),
            "host {n}, round {round}: {again:?}"
        );
    }
}

async fn judge(store: Arc<dyn Store>, done: Arc<AtomicBool>) {
    let mut now = 10;
    while !done.load(Ordering::SeqCst) || store.queue_depth().await.expect("asks").waiting > 0 {
        now += 1;
        let claimed = store.queue_claim(5, at(now)).await.expect("claims");
        if claimed.is_empty() {
            if done.load(Ordering::SeqCst) {
                break;
            }
            tokio::task::yield_now().await;
            continue;
        }
        let lane = Lane::ALL[3 + usize::try_from(now % 8).expect("small")];
        let judgements = claimed.iter().map(|host| judgement(host, vec![judged(lane)])).collect();
        settled(&store, judgements, at(now)).await;
    }
}

pub(crate) async fn an_operation_that_fails_affects_no_other(backend: impl Backend) {
    let store = backend.open();
    token_create(&store, new_token(0)).await.expect("token");
    let operations = (1..=40_u8).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            if n.is_multiple_of(4) {
                // The database itself refuses a second token with the same id, in the middle of the transaction.
                token_create(&store, new_token(0)).await.map(|()| None)
            } else {
                store.host_enroll(enrollment(n)).await.map(Some)
            }
        })
    });
    let mut failed = 0;
    for operation in operations.collect::<Vec<_>>() {
        match operation.await.expect("ends") {
            Ok(enrolled) => assert!(enrolled.is_some(), "a doubled token was accepted"),
            Err(StoreError::Operation { operation, .. }) => {
                assert_eq!(operation, "token_create");
                failed += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(failed, 10);
    assert_eq!(store.host_count(&SiteScope::All).await.expect("counts"), 30);
    assert_eq!(ledger(&store, 0, 100).await.len(), 31, "no entry of an operation that failed");
    assert_eq!(token_list(&store).await[0].uses, 30);
    assert_healthy(&store).await;
}

pub(crate) async fn a_reader_that_follows_the_ledger_misses_nothing(backend: impl Backend) {
    const EACH: u8 = 12;
    let store = backend.open();
    let writers: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in 0..EACH {
                    let id = TokenId::new(format!("token-{task}-{n}")).expect("valid");
                    token_create(&store, NewToken { id, ..new_token(0) }).await.expect("keeps");
                }
            })
        })
        .collect();
    let all = usize::from(TASKS) * usize::from(EACH);
    let mut followed = Vec::new();
    while followed.len() < all {
        let is_over = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let after = followed.last().copied().unwrap_or(0);
        let more = ledger(&store, after, 1_000).await;
        followed.extend(more.iter().map(|row| row.number));
        assert!(!is_over || followed.len() == all, "{} of {all} entries were seen", followed.len());
    }
    assert!(followed.is_sorted_by(|one, next| one < next), "{followed:?}");
    for writer in writers {
        writer.await.expect("ends");
    }
}

pub(crate) async fn a_closed_store_refuses_operations(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    store.close().await.expect("closes");
    store.close().await.expect("closing again is no fault");
    assert!(matches!(store.host_get(host(1)).await, Err(StoreError::Closed { .. })));
    let error = token_create(&store, new_token(0)).await.expect_err("closed");
    assert_eq!(error.to_string(), "token_create: the store is closed");
}
