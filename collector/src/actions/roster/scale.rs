//! How long the import of a large list takes. Ignored: it is a measurement.
//!
//! `cargo test --release -p muster-collector --lib roster_scale -- --ignored --nocapture`; `MUSTER_ROSTER_STORE` may be the URL of an
//! empty PostgreSQL database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_proto::model::{HostFacts, HostId, KeyFingerprint, MachineIdentity, RosterRow, Timestamp};

use super::{ListAsked, RosterImport, roster_advance};
use crate::actions::Caller;
use crate::rules;
use crate::store::{self, Enrollment, SiteScope, Store, contract};

/// Machines of the list. Every second one has a host.
const MACHINES: u32 = 100_000;

fn row(n: u32) -> RosterRow {
    RosterRow {
        name: format!("pc-{n:06}"),
        fqdn: format!("pc-{n:06}.example.org"),
        serial: format!("5CG{n:07}"),
        macs: vec![format!("00:1b:63:{:02x}:{:02x}:{:02x}", n >> 16, (n >> 8) & 255, n & 255)],
        external_id: n.to_string(),
        os: "Windows 11 Pro".to_owned(),
        site: "hamburg".to_owned(),
        ..RosterRow::default()
    }
}

async fn enroll(store: &Arc<dyn Store>, n: u32) {
    let identity = MachineIdentity { serial: format!("5CG{n:07}"), ..MachineIdentity::default() };
    let (mut id, mut key) = ([0; 16], [0; 32]);
    id[..4].copy_from_slice(&n.to_be_bytes());
    key[..4].copy_from_slice(&n.to_be_bytes());
    let enrollment = Enrollment {
        host: HostId::from_bytes(id),
        key: KeyFingerprint::from_bytes(key),
        facts: HostFacts { identity, ..contract::facts(&format!("pc-{n:06}")) },
        ..contract::enrollment(1)
    };
    store.host_enroll(enrollment).await.expect("enrolls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn roster_scale() {
    let folder = tempfile::tempdir().expect("a folder");
    let url =
        std::env::var("MUSTER_ROSTER_STORE").unwrap_or_else(|_| folder.path().join("fleet.db").display().to_string());
    let store = store::connect(&url).await.expect("opens");
    let clock: crate::clock::Clock = Arc::new(|| Timestamp::from_millis(1_790_000_000_000));
    contract::token_create(&store, contract::new_token(0)).await.expect("creates");
    let began = Instant::now();
    let hosts: Vec<u32> = (0..MACHINES).step_by(2).collect();
    for hosts in hosts.chunks(500) {
        futures_util::future::join_all(hosts.iter().map(|n| enroll(&store, *n))).await;
    }
    println!("enrolled {} hosts in {:.1} s", hosts.len(), began.elapsed().as_secs_f64());
    let rules = rules::load(None).expect("rules");
    let began = Instant::now();
    roster_advance(&store, &rules, &clock).await.expect("advances");
    println!("identifiers of {} hosts in {:.1} s", hosts.len(), began.elapsed().as_secs_f64());
    let import = async |what: &str, machines: u32| -> Duration {
        let began = Instant::now();
        let list = ListAsked {
            source: "directory".to_owned(),
            file: "list.csv".to_owned(),
            dry_run: false,
            accept_loss: true,
            rows: machines.into(),
        };
        let caller = Caller::collector("root");
        let begin = RosterImport::begin(Arc::clone(&store), &caller, &rules, Arc::clone(&clock), list);
        let mut import = begin.await.expect("begins");
        for first in (0..machines).step_by(250) {
            import.push((first..machines.min(first + 250)).map(row).collect()).await.expect("pushes");
        }
        let report = import.finish().await.expect("imports");
        println!("{what}: {machines} rows in {:.1} s: {:?}", began.elapsed().as_secs_f64(), report.roster);
        began.elapsed()
    };
    import("first", MACHINES).await;
    import("again", MACHINES).await;
    import("a tenth fewer", MACHINES / 10 * 9).await;
    assert_eq!(store.host_count(&SiteScope::All).await.expect("counts"), u64::from(MACHINES / 2));
    store.close().await.expect("closes");
}
