//! Kills the collector's process at any moment: what was acknowledged is stored, once, and the database is consistent.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::store::contract::{acknowledged_is_there, enrolled_fleet, report_forever};
use crate::store::{self, Store};

const PLACE: &str = "MUSTER_TEST_CRASH_STORE";
const ROUNDS: u64 = 12;
const HOSTS: u8 = 8;

fn open(place: &Path) -> Arc<dyn Store> {
    store::open(&place.display().to_string()).expect("opens")
}

/// The process that is killed: it prints every acknowledged snapshot. Run only by the test below.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "the child of the crash test"]
async fn the_child_that_is_killed() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let round: u64 = std::env::var("MUSTER_TEST_CRASH_ROUND").expect("set").parse().expect("a number");
    let store = open(Path::new(&place));
    let print = |line: String| {
        let mut out = std::io::stdout().lock();
        // One write a line: a line that is read whole was acknowledged.
        out.write_all(format!("\nack {line}\n").as_bytes()).and_then(|()| out.flush()).expect("prints");
    };
    report_forever(store, HOSTS, round, print).await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("fleet.db");
    let store = open(&place);
    enrolled_fleet(&store, HOSTS).await;
    store.close().await.expect("closes");
    let mut all = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "store::sqlite::crash::the_child_that_is_killed", "--ignored", "--nocapture"])
            .env(PLACE, &place)
            .env("MUSTER_TEST_CRASH_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut acknowledged = Vec::new();
        // Kills it some acknowledgements later, and in each round at another point of the operations that follow.
        for line in lines {
            let Ok(line) = line else { break };
            let Some(ack) = line.strip_prefix("ack ") else { continue };
            acknowledged.push(ack.to_owned());
            if acknowledged.len() == usize::try_from(5 + round * 30).expect("small") {
                std::thread::sleep(Duration::from_micros(round * 700));
                child.kill().expect("kills");
            }
        }
        child.wait().expect("ends");
        assert!(!acknowledged.is_empty(), "the child did nothing in round {round}");
        all += acknowledged.len();
        let store = open(&place);
        acknowledged_is_there(&store, &acknowledged).await;
        assert_eq!(store.check().await.expect("checks").faults, Vec::<String>::new(), "round {round}");
        store.close().await.expect("closes");
    }
    assert!(all > 100, "only {all} snapshots were acknowledged");
    let sql = super::open::writer(&place).expect("opens");
    let removed: i64 =
        sql.query_row("SELECT max(no) - count(*) FROM edition", [], |row| row.get(0)).expect("counts editions");
    assert!(removed > 0, "no edition was removed");
}
