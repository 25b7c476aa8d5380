//! Exit codes, pages and usage, without a server.

use std::collections::BTreeMap;
use std::io::BufReader;

use muster_proto::model::{
    Binding, Board, BoardCounts, CollectorStatus, Lane, OrderId, OrderReport, RulesRefused, Timestamp,
};

use super::render::Paint;
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
        milestones: Vec::new(),
        sources: Vec::new(),
    }
}

fn board(lanes: &[(Lane, u64)], overdue: u64) -> Board {
    let mut counts: BTreeMap<Lane, u64> = Lane::ALL.iter().map(|lane| (*lane, 0)).collect();
    counts.extend(lanes.iter().copied());
    let total = counts.values().sum::<u64>() + 2;
    Board {
        order: order(Some("2024-09-29T00:00:00-04:00")),
        counts: BoardCounts { lanes: counts, total, out_of_scope: 2, overdue, silent: 1 },
        as_of: Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").expect("an instant"),
        judge_queue: 3,
    }
}

#[test]
fn the_code_is_that_of_the_worst_order() {
    let clear = board(&[(Lane::Clear, 9), (Lane::Done, 1)], 0);
    let gap = board(&[(Lane::Unknown, 1)], 0);
    let finding = board(&[(Lane::Confirm, 1)], 0);
    let overdue = board(&[(Lane::Unknown, 1)], 1);
    assert_eq!(of_boards(&[]), 0);
    assert_eq!(of_boards(std::slice::from_ref(&clear)), 0);
    assert_eq!(of_boards(&[clear.clone(), gap.clone()]), 4);
    assert_eq!(of_boards(&[gap.clone(), finding.clone()]), 3);
    assert_eq!(of_boards(&[finding, overdue, gap, clear]), 5);
}

fn status() -> CollectorStatus {
    CollectorStatus {
        version: "0".to_owned(),
        rules_version: "r".to_owned(),
        hosts: 5,
        judge_queue: 3,
        judge_queue_lag_ms: 1500,
        now: Timestamp::default(),
        rules_refused: None,
    }
}

#[test]
fn refused_rules_stand_in_status_and_below_the_board() {
    let mut status = status();
    let boards = [board(&[(Lane::Clear, 2)], 0)];
    assert!(!super::status::page(&status, &Paint::plain()).contains("refused"));
    let fault = "/rules/orders/our.toml:3: no".to_owned();
    status.rules_refused = Some(RulesRefused { since: Timestamp::default(), fault });
    let expected = "the rules on disk are refused since 1970-01-01T00:00:00Z";
    for page in [super::status::page(&status, &Paint::plain()), super::board::page(&boards, &status, &Paint::plain())] {
        let line = page.lines().find(|line| line.contains(expected)).unwrap_or_default();
        assert!(line.ends_with(": /rules/orders/our.toml:3: no"), "{page}");
    }
}

#[test]
fn the_board_shows_every_lane_the_sum_and_what_waits() {
    let status = status();
    let text = super::board::page(&[board(&[(Lane::Replace, 1), (Lane::Clear, 2)], 1)], &status, &Paint::plain());
    let expected = "\
order-1  Title
  due 2024-09-29T04:00:00Z (458d 20h ago)

  LANE          HOSTS  SHARE
  retired           0
  waived            0
  missing           0
  replace           1  33.3 %
  remove            0
  silent            0
  unknown           0
  protect           0
  confirm           0
  done              0
  clear             2  66.6 %
  in scope          3
  out of scope      2
  total             5  adds up

  1 overdue, 1 silent whatever their lane; 3 wait, the oldest for 1s, for judgement
  as of 2026-01-01T00:00:00Z
";
    assert_eq!(text, expected);
    let mut wrong = board(&[], 0);
    wrong.counts.total += 1;
    assert!(super::board::page(&[wrong], &status, &Paint::plain()).contains("DOES NOT ADD UP"));
}

struct Said {
    code: u8,
    out: String,
    err: String,
}

async fn muster(arguments: &[&str], input: &str) -> Said {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut input = BufReader::new(input.as_bytes());
    let world = World {
        out: &mut out,
        err: &mut err,
        input: &mut input,
        colour: false,
        now: Timestamp::default(),
        home: None,
        config_home: Some("/nonexistent".into()),
    };
    let arguments = ["muster"].iter().chain(arguments).map(std::ffi::OsString::from);
    let code = run(arguments, world).await;
    Said { code, out: String::from_utf8(out).expect("text"), err: String::from_utf8(err).expect("text") }
}

#[tokio::test]
async fn wrong_usage_is_two_and_help_is_an_answer() {
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
        let said = muster(arguments, "").await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{arguments:?}: {}", said.err);
        assert!(!said.err.is_empty());
    }
    let help = muster(&["--help"], "").await;
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("findings") && help.out.contains("5 past its due date"), "{}", help.out);
    let never = muster(&["tokens", "create", "--site", "hq", "--expires", "0s"], "").await.err;
    assert!(never.contains("lives at least one second"), "{never}");
    let software = muster(&["software", "--help"], "").await.out;
    assert!(software.starts_with("How many hosts have") && software.contains("--hosts"), "{software}");
    assert_eq!(muster(&["version"], "").await.out, format!("muster {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_verb_without_a_server_says_how_to_name_one() {
    let said = muster(&["board"], "").await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("--server") && said.err.contains("profiles.toml"), "{}", said.err);
}

#[tokio::test]
async fn match_answers_line_for_line() {
    let line = r#"{"platform":"linux","source_kind":"deb","name":"kesl","vendor":"","version":"12.0","id":""}"#;
    let said = muster(&["catalogue", "match", "-", "-o", "ndjson"], &format!("{line}\nnoise\n{line}")).await;
    assert_eq!(said.code, 0, "{}", said.err);
    let lines: Vec<serde_json::Value> =
        said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["match"], "prohibited");
    assert!(lines[1]["error"].is_string());
    assert_eq!(lines[0], lines[2]);
    assert_eq!(muster(&["catalogue", "match", "-o", "csv"], "").await.code, 2);
    let unknown = muster(&["catalogue", "match", "--order", "nobody"], "").await;
    assert!(unknown.code == 1 && unknown.err.contains("nobody"), "{}", unknown.err);
}

#[tokio::test]
async fn check_says_how_many_files_it_read_and_refuses_what_it_does_not_read() {
    let overlay = tempfile::tempdir().expect("a directory");
    let place = overlay.path().to_str().expect("text");
    let said = muster(&["catalogue", "check", place], "").await;
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.err.contains(&format!("{place}: holds no rule file")), "{}", said.err);

    let write = |name: &str, text: &str| {
        let path = overlay.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write("vendors/ours.toml", "id = \"ours\"\nname = \"Ours\"\nspellings = [\"Ours Ltd\"]\n");
    write("README.md", "ours");
    let said = muster(&["catalogue", "check", place], "").await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains(&format!("1 file(s) of {place}\n")), "{}", said.out);

    write("orders/our.tml", "id = \"our\"");
    let said = muster(&["catalogue", "check", place, "-o", "json"], "").await;
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("orders/our.tml") && said.out.contains("end in .toml"), "{}", said.out);
}

struct Shut;

impl std::io::Write for Shut {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn who_stops_reading_has_what_they_wanted() {
    let (mut out, mut err) = (Shut, Vec::new());
    let mut input = BufReader::new("{}\n".as_bytes());
    let world = World {
        out: &mut out,
        err: &mut err,
        input: &mut input,
        colour: false,
        now: Timestamp::default(),
        home: None,
        config_home: None,
    };
    let arguments = ["muster", "catalogue", "match"].map(std::ffi::OsString::from);
    assert_eq!(run(arguments, world).await, 0);
    assert!(err.is_empty(), "{}", String::from_utf8_lossy(&err));
}
