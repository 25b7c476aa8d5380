//! What people and lists said of hosts at an instant of the past: labels, owners, and machines of the roster.

use std::sync::Arc;

use muster_proto::model::{BulkKind, HostFacts, MachineIdentity, RosterRow};

use super::Backend;
use super::filters::{change, numbers};
use super::kit::{at, enrollment, facts, new_token, token_create};
use super::roster::{import, match_all};
use crate::store::admin::past::portion;
use crate::store::admin::{self, AdminTx};
use crate::store::{Enrollment, Store};

/// The labels, the owner, and whether it was a machine of the roster, for each host.
type Said = Vec<(Vec<String>, String, bool)>;

async fn said(store: &Arc<dyn Store>, second: u64) -> Said {
    let read = move |tx: &mut dyn AdminTx| {
        let mut hosts = portion::hosts_after(tx, 0, 10, at(second))?;
        portion::add_said(tx, &mut hosts, at(second))?;
        // One alone is as in the list.
        for host in &hosts {
            let mut one = portion::host(tx, host.host, at(second))?.into_iter().collect::<Vec<_>>();
            portion::add_said(tx, &mut one, at(second))?;
            assert_eq!(one.first(), Some(host));
        }
        Ok(hosts)
    };
    let hosts = admin::read(store.as_ref(), "said", read).await.expect("reads");
    let of = |host: portion::HostThen| {
        (host.labels.iter().map(ToString::to_string).collect(), host.owner, host.entry.is_some())
    };
    hosts.into_iter().map(of).collect()
}

fn machine(n: u8) -> RosterRow {
    let (name, serial) = (format!("pc-{n}"), format!("SERIAL-{n}"));
    RosterRow { external_id: n.to_string(), name, serial, ..RosterRow::default() }
}

pub(crate) async fn what_was_said_of_hosts_is_known_of_each_instant(backend: impl Backend) {
    let store = backend.open();
    token_create(&store, new_token(0)).await.expect("token");
    for n in 1..=2 {
        let identity = MachineIdentity { serial: format!("SERIAL-{n}"), ..MachineIdentity::default() };
        let facts = HostFacts { identity, ..facts(&format!("host-{n:03}")) };
        store.host_enroll(Enrollment { facts, ..enrollment(n) }).await.expect("enrolls");
    }
    let all: Vec<i64> = numbers(&store).await.into_values().collect();
    let first = vec![all[0]];
    change(&store, BulkKind::Label, "vip", first.clone(), 20).await;
    change(&store, BulkKind::Own, "Jane", all.clone(), 30).await;
    change(&store, BulkKind::Unlabel, "vip", first.clone(), 40).await;
    change(&store, BulkKind::Own, "Bob", first.clone(), 50).await;
    import(&store, "ad", &[machine(1), machine(2)], 60).await;
    match_all(&store, 60).await;
    import(&store, "ad", &[machine(2)], 70).await;
    match_all(&store, 70).await;
    change(&store, BulkKind::Own, "", all.clone(), 80).await;
    let row = |labels: &[&str], owner: &str, listed| {
        (labels.iter().map(ToString::to_string).collect::<Vec<_>>(), owner.to_owned(), listed)
    };
    for (second, expected) in [
        (19, [row(&[], "", false), row(&[], "", false)]),
        (20, [row(&["vip"], "", false), row(&[], "", false)]),
        (39, [row(&["vip"], "Jane", false), row(&[], "Jane", false)]),
        (40, [row(&[], "Jane", false), row(&[], "Jane", false)]),
        (59, [row(&[], "Bob", false), row(&[], "Jane", false)]),
        (69, [row(&[], "Bob", true), row(&[], "Jane", true)]),
        (79, [row(&[], "Bob", false), row(&[], "Jane", true)]),
        (80, [row(&[], "", false), row(&[], "", true)]),
    ] {
        assert_eq!(said(&store, second).await, expected, "at {second}");
    }
}
