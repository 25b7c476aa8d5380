//! A collector with the role of `deploy/config/postgres-role.sql`: it works, and it cannot change the ledger.

use super::opened;
use super::server::Own;
use crate::store::contract::{indexed, sealed, second_snapshot, small_fleet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_cannot_change_the_ledger_is_enough_for_a_collector() {
    let server = Own::plain();
    let owner = format!("postgres://muster:{}@{}/fleet", server.password(), server.at());
    opened(&owner).close().await.expect("closes");
    server.sql(include_str!("../../../../../deploy/config/postgres-role.sql"));
    server.sql("ALTER ROLE muster_collector PASSWORD 'of-the-role'");

    let store = opened(&format!("postgres://muster_collector:of-the-role@{}/fleet", server.at()));
    small_fleet(&store).await;
    second_snapshot(&store).await;
    indexed(&store).await;
    sealed(&store).await;
    assert_eq!(store.check().await.expect("checks").faults, Vec::<String>::new());
    store.close().await.expect("closes");

    for change in [
        "UPDATE ledger SET at = at + 1",
        "DELETE FROM ledger",
        "TRUNCATE ledger",
        "UPDATE ledger_leaf SET no = no + 1",
        "DELETE FROM ledger_leaf",
        "UPDATE schema_version SET name = 'other'",
        "DROP TABLE ledger",
    ] {
        let change = change.replace('\'', "''");
        let refused = format!(
            "SET ROLE muster_collector;
             DO $$ BEGIN EXECUTE '{change}'; RAISE 'it was allowed';
             EXCEPTION WHEN insufficient_privilege THEN NULL; END $$;"
        );
        server.sql(&refused);
    }
}
