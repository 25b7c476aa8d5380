//! Several collectors on one database.

use super::server::Database;
use crate::store::contract::{self, Backend};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_at_two_collectors_leaves_the_store_consistent() {
    let place = Database::create();
    contract::a_crowd_at(vec![place.open(), place.open()]).await;
}
