//! Exit codes, tables, usage and errors, without a collector.

use std::collections::BTreeMap;
use std::io::BufReader;

use muster_proto::model::{
    Binding, Board, BoardCounts, CollectorStatus, Finding, HostId, HostMark, Lane, ListenerUse, OperatorsCertificate,
    OrderId, OrderReport, Platform, Presence, Protection, Resources, RosterCounts, RulesRefused, SiteId, StoreUse,
    Timestamp,
};

use super::client::Part;
use super::*;

fn order(due: Option<&str>) -> OrderReport {
    OrderReport {
        id: OrderId::new("order-1").expect("an id"),
        title: "Title".to_owned(),
        issuer: "Issuer".to_owned(),
        jurisdiction: "US".to_owned(),
        binding: Binding::Prohibition,
        active: true,
        due: due.map(|due| Timestamp::parse_rfc3339(due).expect("an instant")),
        due_confirmed: true,
        zone: "UTC".to_owned(),
        calendar: String::new(),
        milestones: Vec::new(),
        clocks: Vec::new(),
        recurring: Vec::new(),
        sources: Vec::new(),
        layer: "shipped".to_owned(),
        addendum: String::new(),
        platforms: Vec::new(),
        sites: Vec::new(),
        labels: Vec::new(),
        patience_ms: 0,
        approved: Vec::new(),
    }
}

fn board(lanes: &[(Lane, u64)], overdue: u64) -> Board {
    let mut counts: BTreeMap<Lane, u64> = Lane::ALL.iter().map(|lane| (*lane, 0)).collect();
    counts.extend(lanes.iter().copied());
    let total = counts.values().sum::<u64>() + 2;
    Board {
        order: order(Some("2024-09-29T00:00:00-04:00")),
        counts: BoardCounts { lanes: counts, total, out_of_scope: 2, overdue, silent: 1, ..BoardCounts::default() },
        outside: None,
        roster: None,
        as_of: Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").expect("an instant"),
        judge_queue: Some(3),
        overdue_duties: 0,
        unprotected: Some(0),
        unprotected_since: None,
    }
}

#[test]
fn the_worst_order_decides_the_exit_code() {
    let clear = board(&[(Lane::Clear, 9), (Lane::Done, 1)], 0);
    let gap = board(&[(Lane::Unknown, 1)], 0);
    let finding = board(&[(Lane::Confirm, 1)], 0);
    let overdue = board(&[(Lane::Unknown, 1)], 1);
    assert_eq!(of_boards(&[]), 0);
    assert_eq!(of_boards(std::slice::from_ref(&clear)), 0);
    assert_eq!(of_boards(&[clear.clone(), gap.clone()]), 4);
    assert_eq!(of_boards(&[gap.clone(), finding.clone()]), 3);
    let unprotected = Board { unprotected: Some(2), unprotected_since: Some(Timestamp::default()), ..clear.clone() };
    let page = super::board::page(&[unprotected], &status(), &Paint::plain());
    assert!(page.contains("  2 hosts are unprotected, the first since 1970-01-01T00:00:00Z ("), "{page}");
    let late = Board { overdue_duties: 1, ..clear.clone() };
    assert_eq!(of_boards(&[late.clone(), finding.clone()]), 5);
    let page = super::board::page(&[late], &status(), &Paint::plain());
    assert!(page.contains("1 duty is overdue: `muster duties --order "), "{page}");
    assert_eq!(of_boards(&[finding, overdue, gap, clear]), 5);
}

pub(super) fn status() -> CollectorStatus {
    CollectorStatus {
        version: "0".to_owned(),
        rules_version: "r".to_owned(),
        hosts: 5,
        judge_queue: 3,
        judge_queue_lag_ms: 1500,
        now: Timestamp::default(),
        rules_refused: None,
        editions: 12_345,
        editions_percent: 79,
        editions_alarm: false,
        marks: std::collections::BTreeMap::new(),
        store_refuses: None,
        resources: Resources::default(),
    }
}

#[test]
fn a_store_that_accepts_no_writes_is_shown_in_status() {
    let mut status = status();
    assert!(!super::status::page(&status, &Paint::plain()).contains("accepts no writes"));
    let reason = "no space left\u{7}".to_owned();
    status.store_refuses = Some(muster_proto::model::StoreRefuses { since: Timestamp::default(), reason });
    let page = super::status::page(&status, &Paint::plain());
    assert!(page.contains("the store accepts no writes since") && page.contains("agents keep what"), "{page}");
    assert!(!page.contains('\u{7}'), "{page:?}");
}

#[test]
fn status_shows_connections_store_and_certificate() {
    let mut status = status();
    let agents = ListenerUse { name: "agents".to_owned(), connections: 12, limit: 8192, unproven: 3, refused: 40 };
    let operators = ListenerUse { name: "operators".to_owned(), unproven: 0, refused: 0, ..agents.clone() };
    status.resources = Resources {
        listeners: vec![agents, operators],
        store: Some(StoreUse { bytes: 3 << 29, growth_per_day: Some(12 << 20), free_bytes: Some(34 << 30) }),
        certificate_expires: Some(Timestamp::from_millis(86_400_000)),
        operators_certificate: Some(OperatorsCertificate {
            expires: Timestamp::from_millis(172_800_000),
            refused: Some("operators.key /k does not belong".to_owned()),
        }),
    };
    let page = super::status::page(&status, &Paint::plain());
    for line in [
        "  port for agents     12 of 8192 connections, 3 of them not identified yet, 40 refused\n",
        "  port for operators  12 of 8192 connections\n",
        "  store               1.5 GiB, grows by 12 MiB a day; 34 GiB free, enough for 2901 days\n",
        "  certificate         until 1970-01-02T00:00:00Z (in 1d), renewed before\n",
        "  of the company      until 1970-01-03T00:00:00Z (in 2d), on the operators' port\n",
        "the new operators.certificate is not in use: operators.key /k does not belong",
    ] {
        assert!(page.contains(line), "{line}{page}");
    }
    assert!(page.lines().count() <= 20, "{page}");
    status.resources.store = Some(StoreUse { bytes: 3, growth_per_day: None, free_bytes: None });
    assert!(super::status::page(&status, &Paint::plain()).contains("  store               3 B\n"));
}

#[test]
fn a_dictionary_that_is_nearly_full_is_shown_in_status() {
    let mut status = status();
    assert!(super::status::page(&status, &Paint::plain()).contains("12345, 79 % of the limit\n"));
    (status.editions_percent, status.editions_alarm) = (80, true);
    let page = super::status::page(&status, &Paint::plain());
    assert!(
        page.contains("the dictionary of editions is nearly full: sections with new software are refused at 100 %"),
        "{page}"
    );
}

#[test]
fn the_status_counts_hosts_that_are_set_apart() {
    let marks = [(HostMark::Quarantined, 2), (HostMark::Revoked, 1)].into();
    let page = super::status::page(&CollectorStatus { marks, ..status() }, &Paint::plain());
    assert!(page.contains("5 (2 quarantined, 1 revoked)"), "{page}");
}

#[test]
fn refused_rules_are_shown_in_status_and_below_the_board() {
    let mut status = status();
    let boards = [board(&[(Lane::Clear, 2)], 0)];
    assert!(!super::status::page(&status, &Paint::plain()).contains("refused"));
    let fault = "/rules/orders/our.toml:3: no".to_owned();
    status.rules_refused = Some(RulesRefused { since: Timestamp::default(), fault });
    let expected = "the rules on disk were refused since 1970-01-01T00:00:00Z";
    for page in [super::status::page(&status, &Paint::plain()), super::board::page(&boards, &status, &Paint::plain())] {
        let line = page.lines().find(|line| line.contains(expected)).unwrap_or_default();
        assert!(line.ends_with(": /rules/orders/our.toml:3: no"), "{page}");
    }
}

#[test]
fn the_board_shows_every_lane_the_sum_and_the_judge_queue() {
    let status = status();
    let text = super::board::page(&[board(&[(Lane::Replace, 1), (Lane::Clear, 2)], 1)], &status, &Paint::plain());
    let expected = "\
order-1  Title
  due 2024-09-29T04:00:00Z (458d 20h ago)

  LANE          HOSTS  SHARE
  retired           0
  waived            0
  missing           0
  replace           1  33.3%
  remove            0
  silent            0
  unknown           0
  protect           0
  confirm           0
  done              0
  clear             2  66.6%
  in scope          3
  out of scope      2
  total             5  adds up
  no roster: machines that never enrolled are not counted; `muster roster import` adds a list of machines

  1 overdue, 1 silent in any lane, 3 waiting (the oldest for 1s) to be judged
  as of 2026-01-01T00:00:00Z
";
    assert_eq!(text, expected);
    let mut wrong = board(&[], 0);
    wrong.counts.total += 1;
    assert!(super::board::page(&[wrong], &status, &Paint::plain()).contains("DOES NOT ADD UP"));
}

#[test]
fn with_a_roster_the_board_adds_up_to_it_and_shows_the_other_hosts_beside() {
    let roster = RosterCounts { listed: 7, matched: 5, missing: 2, review: 1, excused: 3, outside: 4 };
    let outside = board(&[(Lane::Remove, 2)], 0).counts;
    let mut shown = board(&[(Lane::Missing, 2), (Lane::Clear, 3)], 0);
    (shown.roster, shown.outside) = (Some(roster), Some(outside));
    let text = super::board::page(&[shown.clone()], &status(), &Paint::plain());
    for line in [
        "  LANE           ON ROSTER  SHARE    OUTSIDE",
        "  missing                2  40.0%          0",
        "  remove                 0                 2",
        "  on the roster          7  adds up        4",
        "  every share is a part of the machines in scope of the 7 on the roster",
        "  1 of the missing ones may be known hosts: `muster roster --state review`",
        "  3 excused and not counted: `muster roster --state excused`",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
    }
    assert_eq!(of_boards(&[shown.clone()]), 3, "a host that is not on the roster has work left");
    shown.roster = Some(RosterCounts { listed: 8, ..roster });
    assert!(super::board::page(&[shown], &status(), &Paint::plain()).contains("DOES NOT ADD UP"));
}

struct Outcome {
    code: u8,
    out: String,
    err: String,
}

async fn muster(arguments: &[&str], input: &str) -> Outcome {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut input = BufReader::new(input.as_bytes());
    let world = World {
        out: &mut out,
        err: &mut err,
        input: &mut input,
        paint: Paint::plain(),
        now: Timestamp::default(),
        home: None,
        config_home: Some("/nonexistent".into()),
    };
    let arguments = ["muster"].iter().chain(arguments).map(std::ffi::OsString::from);
    let code = run(arguments, world).await;
    Outcome { code, out: String::from_utf8(out).expect("text"), err: String::from_utf8(err).expect("text") }
}

#[tokio::test]
async fn wrong_usage_exits_with_two_and_help_with_zero() {
    for arguments in [
        &["bord"][..],
        &["board", "-o", "xml"],
        &["host"],
        &[],
        &["hosts", "--lane", "fast"],
        // A variable of the shell that is not set.
        &["host", ""],
        &["explain", ""],
        &["tokens", "create", "--site", "hq", "--expires", "0s"],
    ] {
        let outcome = muster(arguments, "").await;
        assert_eq!((outcome.code, outcome.out.as_str()), (2, ""), "{arguments:?}: {}", outcome.err);
        assert!(!outcome.err.is_empty());
    }
    let help = muster(&["--help"], "").await;
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("findings") && help.out.contains("5  hosts are past the due date"), "{}", help.out);
    let never = muster(&["tokens", "create", "--site", "hq", "--expires", "0s"], "").await.err;
    assert!(never.contains("valid for at least 1s"), "{never}");
    let software = muster(&["software", "--help"], "").await.out;
    assert!(software.starts_with("Count or list the hosts") && software.contains("--hosts"), "{software}");
    assert_eq!(muster(&["version"], "").await.out, format!("muster {}\n", env!("CARGO_PKG_VERSION")));
    let json = muster(&["version", "-o", "json"], "").await.out;
    let version: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(muster(&["version", "-o", "csv"], "").await.out.lines().next(), Some("program,version"));
    assert_eq!(muster(&["completions", "bash", "-o", "json"], "").await.code, 2);
}

#[tokio::test]
async fn a_command_without_a_server_says_how_to_set_one() {
    let outcome = muster(&["board"], "").await;
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("--server") && outcome.err.contains("profiles.toml"), "{}", outcome.err);
}

#[tokio::test]
async fn match_writes_one_line_per_line() {
    let line = r#"{"platform":"linux","source_kind":"deb","name":"kesl","vendor":"","version":"12.0","id":""}"#;
    let outcome = muster(&["catalogue", "match", "-", "-o", "ndjson"], &format!("{line}\nnoise\n{line}")).await;
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let lines: Vec<serde_json::Value> =
        outcome.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["match"], "prohibited");
    assert!(lines[1]["error"].is_string());
    assert_eq!(lines[0], lines[2]);
    let csv = muster(&["catalogue", "match", "-o", "csv"], &format!("{line}\n\n")).await.out;
    assert!(csv.starts_with("match,product,") && csv.lines().count() == 2 && csv.contains("\nprohibited,"), "{csv}");
    let json = muster(&["catalogue", "match", "-o", "json"], line).await.out;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).expect("JSON")[0]["match"], "prohibited");
    let table = muster(&["catalogue", "match", "-o", "table"], line).await.out;
    assert!(table.starts_with("MATCH") && table.ends_with("1 line\n"), "{table}");
    let unknown = muster(&["catalogue", "match", "--order", "nobody"], "").await;
    assert!(unknown.code == 1 && unknown.err.contains("nobody"), "{}", unknown.err);
}

#[tokio::test]
async fn check_counts_the_files_and_refuses_files_that_it_does_not_read() {
    let overlay = tempfile::tempdir().expect("a directory");
    let place = overlay.path().to_str().expect("text");
    let outcome = muster(&["catalogue", "check", place], "").await;
    assert_eq!(outcome.code, 1, "{}", outcome.out);
    assert!(outcome.err.contains(&format!("{place}: no rule file found")), "{}", outcome.err);

    let write = |name: &str, text: &str| {
        let path = overlay.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write("vendors/ours.toml", "id = \"ours\"\nname = \"Ours\"\nspellings = [\"Ours Ltd\"]\n");
    write("README.md", "ours");
    let outcome = muster(&["catalogue", "check", place], "").await;
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.out.contains(&format!("1 file from {place}\n")), "{}", outcome.out);

    write("orders/our.tml", "id = \"our\"");
    let outcome = muster(&["catalogue", "check", place, "-o", "json"], "").await;
    assert_eq!(outcome.code, 1, "{}", outcome.out);
    assert!(outcome.out.contains("orders/our.tml") && outcome.out.contains("end in .toml"), "{}", outcome.out);
}

struct ClosedPipe;

impl std::io::Write for ClosedPipe {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs `muster` with a standard output that is already closed.
async fn muster_unread(arguments: &[&str]) -> (u8, String) {
    let (mut out, mut err) = (ClosedPipe, Vec::new());
    // Without an end: a program that reads on would not return.
    let mut input = BufReader::new(std::io::repeat(b'\n'));
    let world = World {
        out: &mut out,
        err: &mut err,
        input: &mut input,
        paint: Paint::plain(),
        now: Timestamp::default(),
        home: None,
        config_home: None,
    };
    let arguments = ["muster"].iter().chain(arguments).map(std::ffi::OsString::from);
    (run(arguments, world).await, String::from_utf8(err).expect("text"))
}

#[tokio::test]
async fn a_closed_pipe_changes_no_exit_code_and_is_no_error() {
    let stray = tempfile::tempdir().expect("a directory");
    let stray = stray.path().to_str().expect("text");
    for (arguments, code) in [
        (&["catalogue", "match"][..], 0),
        (&["version"], 0),
        (&["completions", "bash"], 0),
        (&["--help"], 0),
        (&["catalogue", "check", "-o", "json"], 0),
        (&["catalogue", "check", stray, "-o", "json"], 1),
        (&["catalogue", "check", stray, "-o", "csv"], 1),
    ] {
        assert_eq!(muster_unread(arguments).await, (code, String::new()), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_bare_plural_noun_lists_and_filters_do_not_mix_with_show() {
    for arguments in [
        &["hosts", "--site", "hq", "show", "web-1"][..],
        &["orders", "--all", "show", "x"],
        &["ledger", "--by", "ada", "list", "--since", "24h"],
        &["ledger", "--by", "ada", "show", "5"],
        &["ledger", "--limit", "0"],
        &["changes", "--limit", "0"],
    ] {
        assert_eq!(muster(arguments, "").await.code, 2, "{arguments:?}");
    }
    for arguments in [
        &["hosts"][..],
        &["hosts", "show", "web-1", "-o", "json"],
        &["orders", "-o", "json", "show", "us-bis-icts-2021-002"],
        &["tokens"],
        &["ledger", "--by", "ada", "list"],
        &["ledger", "list", "--by", "ada"],
        &["findings", "--lane", "replace"],
    ] {
        let outcome = muster(arguments, "").await;
        assert!(
            outcome.code == 1 && outcome.err.starts_with("error: no collector address is set\n  use "),
            "{arguments:?}: {}",
            outcome.err
        );
    }
    let lane = muster(&["hosts", "--lane", "replac"], "").await.err;
    assert!(lane.contains("a similar value exists: 'replace'"), "{lane}");
}

fn finding(n: u8, advice: &str) -> Finding {
    Finding {
        order: OrderId::new("order-1").expect("an id"),
        host: HostId::from_bytes([n; 16]),
        hostname: format!("host-{n}"),
        site: SiteId::new("hq").expect("an id"),
        platform: Platform::Linux,
        lane: Lane::Replace,
        overdue: true,
        silent: false,
        presence: Presence::Installed,
        protection: Protection::None,
        since: Timestamp::from_millis(1),
        last_seen: Some(Timestamp::from_millis(2)),
        reason: "it is installed".to_owned(),
        advice: advice.to_owned(),
    }
}

#[test]
fn every_finding_has_its_advice_and_the_page_says_how_many_there_are() {
    let mut rows: Vec<Finding> = (1..=20).map(|n| finding(n, &format!("uninstall {n:02}"))).collect();
    rows.extend((21..=25).map(|n| finding(n, "ask the owner")));
    let boards = [board(&[(Lane::Replace, 37)], 37)];
    let page = |part: &Part<Finding>| super::findings::page(part, &boards, Timestamp::from_millis(3), &Paint::plain());
    let text = page(&Part { rows: rows.clone(), total: Some(37), next: Some("abc".to_owned()) });
    for n in 1..=20 {
        assert!(text.contains(&format!("uninstall {n:02}")), "{text}");
    }
    assert!(text.contains("replace (host-21, host-22, host-23 and 2 more): ask the owner"), "{text}");
    assert!(text.contains("25 of 37 findings; for the next ones add `--after abc`\n"), "{text}");
    let text = page(&Part { rows, total: Some(25), next: None });
    assert!(text.contains("\n25 findings\n"), "{text}");
    let rows =
        [Lane::Replace, Lane::Remove, Lane::Confirm, Lane::Replace].map(|lane| Finding { lane, ..finding(1, "x") });
    let text = page(&Part { rows: rows.to_vec(), total: Some(4), next: None });
    let advices: Vec<&str> = text.lines().filter(|line| line.ends_with("): x")).collect();
    assert_eq!(advices, ["replace (host-1, host-1): x", "remove (host-1): x", "confirm (host-1): x"], "{text}");
}
