//! The operators' program: exit codes, forms of output, and what it says when something is wrong.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use muster_tests::binaries;
use muster_tests::canned::Root;
use muster_tests::lab::{Lab, write_owner_only};
use muster_tests::process::Answer;
use serde_json::{Value, json};

/// The operators' program without a server, given this on standard input.
fn muster_fed(arguments: &[&str], input: &str) -> Result<Answer> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(binaries::find("muster")?);
    command.env("HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path()).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let input = input.to_owned();
    // Written aside, so that neither side waits for the other with a full pipe.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    Ok(Answer {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

fn observation(kind: &str, name: &str, version: &str) -> Value {
    json!({"platform": "linux", "source_kind": kind, "name": name, "vendor": "", "version": version, "id": ""})
}

#[test]
fn match_answers_line_for_line_in_the_same_order() -> Result<()> {
    let lines = [
        observation("deb", "kesl", "12.0.0-6672").to_string(),
        "this is no JSON".to_owned(),
        observation("deb", "adduser", "3.134").to_string(),
        json!({"record": "outcome", "source": "dpkg", "outcome": "found", "reason": "", "items": 2, "took_ms": 1})
            .to_string(),
        json!({"platform": "linux", "source_kind": "deb", "name": "kesl", "version": "12.0.0-6672", "state": "rc"})
            .to_string(),
        observation("deb", "klnagent64", "15.1.0-20748").to_string(),
    ];
    let answer =
        muster_fed(&["catalogue", "match", "-", "-o", "ndjson"], &(lines.join("\n") + "\n"))?.expect_code(0)?;
    let answers = answer.ndjson()?;
    assert_eq!(answers.len(), lines.len(), "{}", answer.stdout);
    assert_eq!(answers[0]["match"], "prohibited");
    assert_eq!(answers[0]["family"], "kesl");
    assert!(answers[0]["product"].is_string() && answers[0]["rule"].is_string(), "{}", answers[0]);
    assert_eq!(answers[0]["name"], "kesl", "what came in comes out");
    assert!(answers[1]["error"].is_string(), "{}", answers[1]);
    assert_eq!(answers[2]["match"], "none");
    assert_eq!(answers[3]["record"], "outcome", "outcome lines pass through");
    assert!(answers[3].get("match").is_none());
    assert_eq!(answers[4]["match"], "remnant");
    assert_eq!(answers[5]["family"], "nagent");
    Ok(())
}

/// Ten products of a vendor that no default knows, with an order and scenarios of their own: data, and no rebuild.
const OVERLAY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/overlay");
const OVERLAY_RECORDS: &str = include_str!("../fixtures/overlay-records.jsonl");

#[test]
fn ten_products_are_added_by_an_overlay_alone() -> Result<()> {
    let checked = muster_fed(&["catalogue", "check", OVERLAY, "-o", "json"], "")?.expect_code(0)?;
    let plain = muster_fed(&["catalogue", "check", "-o", "json"], "")?.expect_code(0)?;
    let (checked, plain): (Value, Value) =
        (serde_json::from_str(&checked.stdout)?, serde_json::from_str(&plain.stdout)?);
    let grown = |key: &str| checked[key].as_u64().unwrap_or(0) - plain[key].as_u64().unwrap_or(0);
    assert_eq!((grown("products"), grown("orders"), grown("scenarios")), (10, 1, 9));
    assert_eq!(checked["notices"], json!([]), "the recognisers of the overlay clash");

    let order = ["--order", "example-nordwacht-ban"];
    let arguments = |more: &[&'static str]| [&["catalogue", "match", "--overlay", OVERLAY], &order[..], more].concat();
    let matched = muster_fed(&arguments(&[]), OVERLAY_RECORDS)?.expect_code(0)?;
    let mut products = std::collections::BTreeSet::new();
    for answer in matched.ndjson()? {
        assert_eq!(answer["match"], answer["expect"], "{answer}");
        assert_eq!(answer["product"], answer["product_expected"], "{answer}");
        products.extend(answer["product"].as_str().filter(|id| !id.is_empty()).map(str::to_owned));
    }
    assert_eq!(products.len(), 10, "{products:?}");
    let without = muster_fed(&["catalogue", "match"], OVERLAY_RECORDS)?.expect_code(0)?;
    assert!(without.ndjson()?.iter().all(|answer| answer["match"] == "none"), "{}", without.stdout);
    Ok(())
}

#[test]
fn the_table_counts_recall_and_accusations_by_platform_and_kind() -> Result<()> {
    let record = |name: &str, expect: &str| {
        json!({"platform": "linux", "source_kind": "deb", "name": name, "expect": expect}).to_string()
    };
    let lines = [record("kesl", "prohibited"), record("bash", "prohibited"), record("kess", "benign"), "x".to_owned()];
    let answer = muster_fed(&["catalogue", "match", "--table", "-o", "csv"], &lines.join("\n"))?.expect_code(0)?;
    let rows: Vec<&str> = answer.stdout.lines().collect();
    assert_eq!(rows[0], "of,prohibited,recall,others,others_recall,harmless,accused,products,products_recall");
    assert_eq!(rows[1], "linux deb,2,50.0%,0,,1,1,0,");
    assert_eq!(rows[2], "all,2,50.0%,0,,1,1,0,");
    let page = muster_fed(&["catalogue", "match", "--table"], &lines.join("\n"))?.expect_code(0)?;
    assert!(page.stdout.contains("1 line not counted"), "{}", page.stdout);
    Ok(())
}

#[test]
fn match_reads_what_scan_writes() -> Result<()> {
    let root = Root::debian("piped")?.with_kaspersky()?;
    let mut scan = Command::new(binaries::find("muster-agent")?);
    let scanned = Answer::of(scan.args(["scan", "-o", "ndjson", "--root"]).arg(root.path()))?.expect_code(0)?;
    let matched = muster_fed(&["catalogue", "match", "-o", "ndjson"], &scanned.stdout)?.expect_code(0)?;
    let (before, after) = (scanned.ndjson()?, matched.ndjson()?);
    assert_eq!(before.len(), after.len());
    let said = |name: &str| after.iter().find(|line| line["source"] == "dpkg" && line["name"] == name);
    assert_eq!(said("kesl").map(|line| &line["match"]), Some(&json!("prohibited")));
    assert_eq!(said("klnagent64").map(|line| &line["match"]), Some(&json!("management-only")));
    let healthy = after.iter().filter(|line| line["source"] == "dpkg" && line["match"] == "none").count();
    assert_eq!(healthy, muster_tests::canned::package_count(), "a healthy package was matched");
    Ok(())
}

#[test]
fn a_collector_that_is_not_there_is_named() -> Result<()> {
    let mut lab = Lab::start()?;
    lab.stop_collector()?;
    let answer = lab.muster(&["board"])?.expect_code(1)?;
    assert!(answer.stderr.contains(&lab.listening().operators), "{}", answer.stderr);
    assert_eq!(answer.stdout, "");
    Ok(())
}

#[test]
fn a_wrong_token_is_refused_and_not_repeated() -> Result<()> {
    let lab = Lab::start()?;
    let file = lab.folder().join("wrong.token");
    let wrong = format!("admin.{}", "b".repeat(52));
    write_owner_only(&file, &wrong)?;
    let mut command = Command::new(binaries::find("muster")?);
    command.args(["--server", &format!("https://{}", lab.listening().operators)]);
    command.arg("--token-file").arg(&file).arg("--ca-file").arg(lab.ca()).arg("board");
    let answer = Answer::of(&mut command)?.expect_code(1)?;
    assert!(answer.stderr.contains("token"), "{}", answer.stderr);
    assert!(!answer.stderr.contains(&wrong), "{}", answer.stderr);
    Ok(())
}

#[test]
fn a_token_file_that_others_can_read_is_refused() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::start()?;
    let file = lab.data_dir().join("admin.token");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
    let answer = lab.muster(&["board"])?.expect_code(1)?;
    assert!(answer.stderr.contains("admin.token"), "{}", answer.stderr);
    Ok(())
}

#[test]
fn a_collector_of_another_ca_is_not_believed() -> Result<()> {
    let lab = Lab::start()?;
    let other = Lab::start()?;
    let mut command = Command::new(binaries::find("muster")?);
    command.args(["--server", &format!("https://{}", lab.listening().operators)]);
    command.arg("--token-file").arg(lab.data_dir().join("admin.token")).arg("--ca-file").arg(other.ca()).arg("board");
    let answer = Answer::of(&mut command)?.expect_code(1)?;
    assert!(answer.stderr.to_lowercase().contains("certificate"), "{}", answer.stderr);
    Ok(())
}

#[test]
fn wrong_usage_is_two_and_says_what() -> Result<()> {
    for (arguments, word) in
        [(&["bord"][..], "bord"), (&["board", "--wat"], "--wat"), (&["host"], "host"), (&["board", "-o", "xml"], "xml")]
    {
        let answer = muster_fed(arguments, "")?.expect_code(2)?;
        assert!(answer.stderr.to_lowercase().contains(word), "{arguments:?}: {}", answer.stderr);
    }
    Ok(())
}

#[test]
fn a_host_that_nobody_knows_is_named() -> Result<()> {
    let lab = Lab::start()?;
    for verb in ["host", "explain"] {
        let answer = lab.muster(&[verb, "atlantis"])?.expect_code(1)?;
        assert!(answer.stderr.contains("atlantis"), "{}", answer.stderr);
    }
    Ok(())
}

#[test]
fn every_list_comes_in_every_form_and_says_the_same() -> Result<()> {
    let lab = Lab::start()?;
    lab.enrolled_agent("plant-7")?.report(Root::debian("plant-7")?.with_kaspersky()?.path())?;
    lab.judged()?;
    for verb in [
        &["board"][..],
        &["hosts"],
        &["software", "kesl"],
        &["software", "kesl", "--hosts"],
        &["findings"],
        &["orders"],
        &["catalogue", "list"],
        &["host", "plant-7"],
        &["explain", "plant-7"],
    ] {
        let form = |form: &str| lab.muster(&[verb, &["-o", form]].concat());
        let table = lab.muster(verb)?;
        let coded = !["hosts", "software", "orders", "catalogue"].contains(&verb[0]);
        assert_eq!(table.code, Some(if coded { 5 } else { 0 }), "{verb:?}: {}", table.stderr);
        assert!(!table.stdout.contains('\u{1b}'), "{verb:?} colours what is no terminal");
        for other in ["json", "ndjson", "csv"] {
            let answer = form(other)?;
            assert_eq!(answer.code, table.code, "{verb:?} -o {other}: {}", answer.stderr);
            assert!(!answer.stdout.trim().is_empty(), "{verb:?} -o {other} says nothing");
        }
        form("json")?.json().with_context(|| format!("{verb:?}"))?;
        form("ndjson")?.ndjson().with_context(|| format!("{verb:?}"))?;
    }
    let findings = lab.muster(&["findings", "-o", "ndjson"])?.ndjson()?;
    assert!(
        findings.iter().any(|finding| finding["hostname"] == "plant-7" && finding["lane"] == "replace"),
        "{findings:?}"
    );
    Ok(())
}

#[test]
fn software_is_found_by_a_part_of_its_name() -> Result<()> {
    let lab = Lab::start()?;
    lab.enrolled_agent("plant-7")?.report(Root::debian("plant-7")?.with_kaspersky()?.path())?;
    lab.enrolled_agent("plant-8")?.report(Root::debian("plant-8")?.path())?;
    let found = lab.muster(&["software", "KESL", "-o", "json"])?.expect_code(0)?.json()?;
    assert_eq!(found["hosts_total"], 1, "{found}");
    let editions = found["editions"].as_array().context("a list")?;
    assert!(editions.iter().any(|one| one["name"] == "kesl" && one["kind"] == "deb" && one["hosts"] == 1), "{found}");
    let page = lab.muster(&["software", "kesl", "--hosts"])?.expect_code(0)?.stdout;
    assert!(
        page.contains("plant-7") && !page.contains("plant-8") && page.contains("1 host has software matching \"kesl\""),
        "{page}"
    );
    let both = lab.muster(&["software", "dpkg", "-o", "json"])?.expect_code(0)?.json()?;
    assert_eq!(both["hosts_total"], 2, "{both}");
    let none = lab.muster(&["software", "no-such-thing"])?.expect_code(0)?.stdout;
    assert_eq!(none, "0 hosts have software matching \"no-such-thing\"\n");
    let exact = lab.muster(&["software", "kesl", "--version", "0", "-o", "json"])?.expect_code(0)?.json()?;
    assert_eq!(exact["hosts_total"], 0, "the start of a version is not the version: {exact}");
    let elsewhere = lab.muster(&["software", "dpkg", "--site", "elsewhere", "-o", "json"])?.expect_code(0)?.json()?;
    assert_eq!(elsewhere["hosts_total"], 0, "{elsewhere}");
    let short = lab.muster(&["software", "k"])?.expect_code(1)?;
    assert!(short.stderr.contains("at least 2 characters"), "{}", short.stderr);
    Ok(())
}

#[test]
fn a_list_is_cut_sorted_and_continued() -> Result<()> {
    let lab = Lab::start()?;
    for name in ["plant-9", "plant-7", "plant-8"] {
        lab.enrolled_agent(name)?.report(Root::debian(name)?.with_kaspersky()?.path())?;
    }
    lab.judged()?;
    for (verb, rows) in [("hosts", "hosts"), ("findings", "findings")] {
        let first = lab.muster(&[verb, "--limit", "2", "-o", "json"])?.json()?;
        let next = first["next"].as_str().context("there is one more")?;
        let rest = lab.muster(&[verb, "--limit", "2", "--after", next, "-o", "json"])?.json()?;
        let names = |page: &Value| -> Vec<String> {
            page[rows].as_array().into_iter().flatten().map(|row| row["hostname"].to_string()).collect()
        };
        assert_eq!([names(&first), names(&rest)].concat(), ["\"plant-7\"", "\"plant-8\"", "\"plant-9\""], "{verb}");
        assert_eq!((&first["total"], &rest["next"]), (&json!(3), &Value::Null), "{verb}");
        let table = lab.muster(&[verb, "--limit", "1"])?.stdout;
        assert!(table.contains(&format!("1 of 3 {verb}; for the next ones add `--after ")), "{table}");
        let refused = lab.muster(&[verb, "--after", "nonsense"])?.expect_code(1)?;
        let expected =
            "error: --after \"nonsense\" is not a value that an earlier list printed\n  copy the value of `next`";
        assert!(refused.stderr.starts_with(expected), "{}", refused.stderr);
        lab.muster(&[verb, "--limit", "0"])?.expect_code(2)?;
    }
    let all = lab.muster(&["software", "dpkg", "--hosts", "--limit", "3", "-o", "json"])?.expect_code(0)?.json()?;
    assert_eq!((&all["hosts_total"], &all["next"]), (&json!(3), &Value::Null), "{all}");
    for (wrong, advice) in [
        (["ledger", "--host", "nosuch"].as_slice(), "list the hosts with `muster hosts`"),
        (&["ledger", "--by", "nosuch"], "list the accounts with `muster accounts`"),
        (&["explain", "plant-7", "--order", "nosuch"], "list the orders with `muster orders --all`"),
    ] {
        let refused = lab.muster(wrong)?.expect_code(1)?.stderr;
        assert!(refused.ends_with(&format!("\n  {advice}\n")), "{refused}");
    }
    let awake = lab.muster(&["hosts", "--silent", "-o", "json"])?.expect_code(0)?.json()?;
    assert_eq!((&awake["total"], &awake["hosts"]), (&json!(0), &json!([])));
    Ok(())
}

#[test]
fn completions_are_printed_for_the_usual_shells() -> Result<()> {
    for shell in ["bash", "zsh", "fish"] {
        let answer = muster_fed(&["completions", shell], "")?.expect_code(0)?;
        assert!(answer.stdout.contains("muster") && answer.stdout.contains("findings"), "{shell}");
    }
    Ok(())
}
