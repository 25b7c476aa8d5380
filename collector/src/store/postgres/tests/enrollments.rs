//! Enrollments that arrive together are committed together, and each gets its own answer.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use muster_proto::model::{HostId, KeyFingerprint};

use super::server::Database;
use crate::store::contract::{Backend, assert_healthy, enrollment, new_token, token_create};
use crate::store::{Enrolled, Enrollment, NewToken, Store};

/// An enrollment of a host with this number.
fn numbered(n: u32) -> Enrollment {
    let (mut id, mut key) = ([7; 16], [9; 32]);
    id[..4].copy_from_slice(&n.to_be_bytes());
    key[..4].copy_from_slice(&n.to_be_bytes());
    Enrollment { host: HostId::from_bytes(id), key: KeyFingerprint::from_bytes(key), ..enrollment(1) }
}

async fn all(store: &Arc<dyn Store>, enrollments: impl Iterator<Item = Enrollment>) -> Vec<Option<Enrolled>> {
    let one = |enrollment| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.host_enroll(enrollment).await.ok() })
    };
    let tasks: Vec<_> = enrollments.map(one).collect();
    join_all(tasks).await.into_iter().map(|ended| ended.expect("ends")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hundreds_of_enrollments_with_one_token_take_few_transactions() {
    let place = Database::create();
    let store = place.open();
    token_create(&store, new_token(0)).await.expect("creates");
    let begun = Instant::now();
    let answers = all(&store, (0..600).map(numbered)).await;
    println!("{:.0} enrollments/s", 600.0 / begun.elapsed().as_secs_f64());
    assert!(answers.iter().all(|answer| matches!(answer, Some(Enrolled::Host { .. }))));
    // Each row knows the transaction that created it.
    let transactions: usize = place.sql("SELECT count(DISTINCT xmin::text) FROM host").parse().expect("a number");
    assert!(transactions <= 200, "{transactions} transactions");
    assert_eq!(place.sql("SELECT uses FROM enrollment_token"), "600");
    assert_eq!(place.sql("SELECT count(*) FROM ledger WHERE kind = 6"), "600");
    assert_healthy(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_one_batch_a_token_is_not_used_too_often_and_a_key_makes_one_host() {
    let place = Database::create();
    let store = place.open();
    token_create(&store, NewToken { max_uses: 50, ..new_token(0) }).await.expect("creates");
    // Every key comes twice.
    let answers = all(&store, (0..200).map(|n| numbered(n / 2))).await;
    let enrolled = answers.iter().filter(|answer| matches!(answer, Some(Enrolled::Host { .. }))).count();
    let refused = answers.iter().filter(|answer| **answer == Some(Enrolled::TokenUsedUp)).count();
    // A repetition of a host that was created is answered, whatever is left of the token.
    assert_eq!((enrolled, refused), (100, 100));
    assert_eq!(place.sql("SELECT count(*) FROM host"), "50");
    assert_healthy(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_enrollment_that_cannot_be_stored_takes_no_other_with_it() {
    let place = Database::create();
    let store = place.open();
    token_create(&store, new_token(0)).await.expect("creates");
    let bad = |n: u32| {
        let mut enrollment = numbered(n);
        if n == 30 {
            // PostgreSQL stores no NUL. Ingest lets none pass.
            enrollment.facts.hostname = "a\0b".to_owned();
        }
        enrollment
    };
    let answers = all(&store, (0..60).map(bad)).await;
    let failed: Vec<usize> = (0..60).filter(|n| answers[*n].is_none()).collect();
    assert_eq!(failed, [30]);
    assert_eq!(place.sql("SELECT count(*) FROM host"), "59");
    assert_healthy(&store).await;
}
