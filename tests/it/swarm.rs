//! The load generator against a real collector: a fleet enrolls, reports for some days, and is resumed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use muster_tests::binaries;
use muster_tests::lab::{Lab, write_owner_only};
use muster_tests::process::Answer;
use serde_json::Value;

const HOSTS: u64 = 20;

fn swarm(lab: &Lab, more: &[&str]) -> Answer {
    let mut command = Command::new(binaries::find("muster-swarm").unwrap());
    command.args(["run", "--collector", &format!("https://{}", lab.listening().agents)]);
    command.args(["--hosts", &HOSTS.to_string(), "-o", "ndjson"]).args(more);
    Answer::of(&mut command).unwrap()
}

fn token_file(lab: &Lab) -> String {
    let path = lab.folder().join("swarm.token");
    write_owner_only(&path, &lab.token(u32::try_from(HOSTS).unwrap(), "1h").unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Done, failed and bytes of the phase.
fn phase(phases: &[Value], name: &str) -> (u64, u64, u64) {
    let phase = phases.iter().find(|phase| phase["phase"] == name);
    let phase = phase.unwrap_or_else(|| panic!("no phase {name} in {phases:?}"));
    let number = |key: &str| phase[key].as_u64().unwrap();
    (number("done"), number("failed"), number("bytes"))
}

/// The hosts in each lane of the first board.
fn lanes(lab: &Lab) -> BTreeMap<String, u64> {
    lab.judged().unwrap();
    let boards = lab.muster(&["board", "-o", "json"]).unwrap().json().unwrap();
    let lanes = boards[0]["counts"]["lanes"].as_object().unwrap().iter();
    lanes.map(|(lane, count)| (lane.clone(), count.as_u64().unwrap())).filter(|(_, count)| *count > 0).collect()
}

fn hosts_on_the_board(lab: &Lab) -> u64 {
    lab.judged().unwrap();
    let boards = lab.muster(&["board", "-o", "json"]).unwrap().json().unwrap();
    boards[0]["counts"]["total"].as_u64().unwrap()
}

#[test]
fn a_fleet_enrolls_and_reports_and_the_board_counts_every_host() {
    let lab = Lab::start().unwrap();
    let answer = swarm(&lab, &["--token-file", &token_file(&lab), "--profile", "distinct", "--days", "0"]);
    let phases = answer.expect_code(0).unwrap().ndjson().unwrap();
    assert_eq!(phase(&phases, "keys").0, HOSTS);
    assert_eq!(phase(&phases, "enroll").0, HOSTS);
    let (reported, failed, bytes) = phase(&phases, "day 0");
    assert_eq!((reported + failed, failed), (reported, 0));
    assert!(reported >= HOSTS / 2, "only {reported} hosts were awake");
    assert!(bytes > reported * 15_000, "{bytes} bytes from {reported} distinct hosts");
    assert_eq!(hosts_on_the_board(&lab), HOSTS);
}

#[test]
fn each_share_of_a_fleet_puts_its_hosts_into_the_intended_lane_on_every_platform() {
    for (shares, lane) in [
        (["--kaspersky", "0", "--remnants", "0", "--protected", "0", "--unreadable", "0"], "clear"),
        (["--kaspersky", "100", "--remnants", "0", "--protected", "0", "--unreadable", "0"], "replace"),
        (["--kaspersky", "100", "--remnants", "0", "--protected", "100", "--unreadable", "0"], "remove"),
        (["--kaspersky", "0", "--remnants", "100", "--protected", "0", "--unreadable", "0"], "protect"),
        (["--kaspersky", "0", "--remnants", "100", "--protected", "100", "--unreadable", "0"], "confirm"),
        (["--kaspersky", "0", "--remnants", "0", "--protected", "0", "--unreadable", "100"], "unknown"),
    ] {
        let lab = Lab::start().unwrap();
        let more = ["--windows", "35", "--macos", "35", "--asleep", "0", "--silent", "0", "--days", "0"];
        let token = token_file(&lab);
        swarm(&lab, &[&shares[..], &more, &["--token-file", &token]].concat()).expect_code(0).unwrap();
        assert_eq!(lanes(&lab), BTreeMap::from([(lane.to_owned(), HOSTS)]), "{shares:?}");
    }
}

#[test]
fn most_hosts_of_a_fleet_are_clear() {
    for profile in ["images", "distinct"] {
        let lab = Lab::start().unwrap();
        let token = token_file(&lab);
        let more = ["--token-file", &token, "--profile", profile, "--asleep", "0", "--days", "0"];
        swarm(&lab, &more).expect_code(0).unwrap();
        let lanes = lanes(&lab);
        assert!(lanes["clear"] * 10 >= HOSTS * 8, "{profile}: {lanes:?}");
    }
}

#[test]
fn a_resumed_fleet_has_the_same_keys_and_uploads_nothing_twice() {
    let lab = Lab::start().unwrap();
    let folder = lab.folder().join("fleet");
    let kept = ["--dir", folder.to_str().unwrap(), "--asleep", "0", "--silent", "0"];
    let token = token_file(&lab);
    let first = [&kept[..], &["--token-file", &token]].concat();
    let phases = swarm(&lab, &first).expect_code(0).unwrap().ndjson().unwrap();
    assert!(phase(&phases, "day 0").2 > 0);
    assert_eq!(phase(&phases, "day 1").0, HOSTS);
    assert_owner_only(&folder.join("keys.ndjson"));

    let again = [&kept[..], &["--first-day", "1", "--days", "0", "--connections", "kept"]].concat();
    let phases = swarm(&lab, &again).expect_code(0).unwrap().ndjson().unwrap();
    assert_eq!((phase(&phases, "keys").0, phase(&phases, "enroll").0), (0, 0));
    assert_eq!(phase(&phases, "day 1"), (HOSTS, 0, 0));
    assert_eq!(hosts_on_the_board(&lab), HOSTS);
}

#[test]
fn a_swarm_without_a_token_or_with_a_wrong_pin_fails_with_the_reason() {
    let lab = Lab::start().unwrap();
    let refused = swarm(&lab, &[]).expect_code(1).unwrap();
    assert!(
        refused.stderr.contains("20 hosts are not enrolled yet; name a token with --token-file"),
        "{}",
        refused.stderr
    );

    let file = lab.folder().join("false.token");
    let token = lab.token(1, "1h").unwrap();
    let (known, pin) = token.trim().rsplit_once('.').unwrap();
    let other = if pin.starts_with('a') { "b" } else { "a" };
    write_owner_only(&file, &format!("{known}.{other}{}", &pin[1..])).unwrap();
    let refused = swarm(&lab, &["--token-file", file.to_str().unwrap()]).expect_code(1).unwrap();
    assert!(refused.stderr.contains("with the token's pin"), "{}", refused.stderr);
    assert!(refused.stderr.contains("UnknownIssuer"), "{}", refused.stderr);
}

#[test]
fn the_bench_prints_one_document_with_all_figures_and_nothing_else() {
    let mut command = Command::new(binaries::find("muster-swarm").unwrap());
    command.args(["bench", "--quick", "-o", "json", "--store", "sqlite", "--pairs", "2", "--wave", "30"]);
    command.args(["--slice-seconds", "0.2", "--image-hosts", "100", "--at-once", "8"]);
    command.args(["--days", "1", "--lists-seconds", "0.2"]);
    command.arg("--collector-program").arg(binaries::find("muster-collector").unwrap());
    let answer = Answer::of(&mut command).unwrap().expect_code(0).unwrap();
    let document = answer.json().unwrap();
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0]["store"], "sqlite");
    for key in [
        "full_report_ratio",
        "checkin_ratio",
        "checkin_kept_ratio",
        "full_reports_per_s",
        "checkins_per_s",
        "checkins_kept_per_s",
        "echo_full_per_s",
        "echo_fresh_per_s",
        "echo_kept_per_s",
        "bytes_per_host_images",
        "bytes_per_host_distinct",
        "enrollments_per_s",
        "enrollments_images_per_s",
        "first_reports_images_per_s",
        "rejudge_s",
        "rejudged_hosts",
        "lists_reports_per_s",
    ] {
        assert!(runs[0][key].as_f64().is_some_and(|figure| figure > 0.0), "{key} in {}", runs[0]);
    }
    assert!(runs[0]["judge_queue_lag_p99_ms"].is_u64(), "{}", runs[0]);
    assert_eq!(runs[0]["failed"], 0, "{}", runs[0]);
    let of = |key: &str| runs[0][key].as_f64().unwrap();
    let ratio = of("full_reports_per_s") / of("echo_full_per_s");
    assert!((ratio - of("full_report_ratio")).abs() < 0.01, "{}", runs[0]);
    for what in ["board", "hosts", "findings", "all findings", "search kesl", "search openssl"] {
        let read = |is_loaded: bool| {
            let of_load = |figures: &&Value| figures["what"] == what && figures["with_reports"] == is_loaded;
            runs[0]["lists"].as_array().unwrap().iter().find(of_load).and_then(|figures| figures["p99_ms"].as_f64())
        };
        assert!(read(false) > Some(0.0) && read(true) > Some(0.0), "{what} in {}", runs[0]);
    }
    let phases: Vec<_> = runs[0]["memory"].as_array().unwrap().iter().map(|after| after["phase"].clone()).collect();
    assert_eq!(
        phases,
        [
            "start",
            "enrollments",
            "full reports",
            "check-ins",
            "start",
            "enrollments",
            "first reports",
            "restart",
            "days of reports",
            "lists",
            "re-judging"
        ]
    );
    assert!(runs[0]["memory"].as_array().unwrap().iter().all(|after| after["resident_mib"].as_f64() > Some(1.0)));
}

fn assert_owner_only(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{} may be read by others", path.display());
}
