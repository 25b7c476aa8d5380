//! What identifies a machine beyond its host name: stored with the facts, changed with them, and gone when the agent says nothing.

use muster_proto::model::{HostFacts, MachineIdentity};

use super::Backend;
use super::kit::{assert_healthy, at, check_in, enrollment, facts, host, new_token, packages, token_create};
use crate::store::{CheckIn, Enrollment, Store};

fn with_serial(serial: &str) -> HostFacts {
    let identity = MachineIdentity {
        serial: serial.to_owned(),
        hardware_uuid: "4c4c4544-0042-3510-8056-b4c04f4e4d31".to_owned(),
        asset_tag: "FIN-0042".to_owned(),
        macs: vec!["00:1b:63:84:45:e6".to_owned(), "00:1b:63:84:45:e7".to_owned()],
        fqdn: "host-001.example.org".to_owned(),
        domain: "example.org".to_owned(),
        chassis: "notebook".to_owned(),
    };
    HostFacts { identity, ..facts("host-001") }
}

async fn stored(store: &dyn Store) -> HostFacts {
    store.host_get(host(1)).await.expect("gets").expect("is there").facts
}

pub(crate) async fn what_identifies_a_machine_is_kept_changed_and_forgotten(backend: impl Backend) {
    let store = backend.open();
    token_create(&store, new_token(1)).await.expect("creates");
    store.host_enroll(Enrollment { facts: with_serial("A1"), ..enrollment(1) }).await.expect("enrolls");
    assert_eq!(stored(store.as_ref()).await, with_serial("A1"));
    for (seq, sent) in (1..).zip([with_serial("A2"), with_serial("A2"), facts("host-001"), with_serial("A3")]) {
        let sections = [packages(&[("adduser", "3.134")])];
        let sent_now = CheckIn { facts: Some(sent.clone()), ..check_in(1, seq, 10 + seq, &sections) };
        store.check_in(sent_now).await.expect("checks in");
        assert_eq!(stored(store.as_ref()).await, sent, "{seq}");
        let claimed = store.queue_claim(9, at(100 * seq)).await.expect("claims");
        assert!(claimed.iter().all(|claimed| claimed.facts == sent), "{seq}");
    }
    store.close().await.expect("closes");
    let store = backend.open();
    assert_eq!(stored(store.as_ref()).await, with_serial("A3"), "after a restart");
    assert_healthy(&store).await;
}
