//! Administrative SQL is written once: on both databases each statement means the same.

use std::collections::BTreeSet;

use super::server::Database;
use crate::store::contract::{Backend, all_of_administration};
use crate::store::{self, admin};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_administrative_statement_gives_the_same_rows_in_the_same_order_on_both_databases() {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = store::open(&folder.path().join("fleet.db").display().to_string()).expect("opens");
    let postgres = Database::create();
    let (ours, theirs) = (all_of_administration(&sqlite).await, all_of_administration(&postgres.open()).await);
    for (one, other) in ours.iter().zip(&theirs) {
        assert_eq!(one, other);
    }
    assert_eq!(ours.len(), theirs.len());
    let executed: BTreeSet<&str> = ours.iter().map(|statement| statement.sql).collect();
    let all: BTreeSet<&str> = admin::statements().into_iter().collect();
    assert_eq!(executed, all, "a statement is not listed, or no test executes it");
}
