//! Windows machines, scanned from Linux: the rows of public inventories are planted at their places in hives that hivex wrote,
//! in files and in recorded answers, each alone on a machine and all on one. Every row must be observed and recognised.

mod damage;
mod idle;
mod installed;
mod installer;
mod places;
mod planting;
mod service;
mod verdicts;
mod wakes;
mod wine;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use muster_tests::binaries;
use muster_tests::left_out::left_out;
use muster_tests::process::Answer;
use serde_json::{Value, json};

use planting::{Machine, Record};

/// Debian's Python, for which Debian packages hivex.
const PYTHON: &str = "/usr/bin/python3";
/// Set by `deploy/ci/test`, which installs hivex: then the test may not be left out.
const NEEDED: &str = "MUSTER_TEST_HIVEX";
/// Sources that every Windows machine has, so that a record too few cannot hide behind an outcome.
const COMPLETE: &[&str] =
    &["host", "uninstall-keys", "services", "drivers", "filter-drivers", "registry", "security-center", "processes"];

fn has_hivex() -> Result<bool> {
    let found = Command::new(PYTHON).args(["-c", "import hivex"]).output().is_ok_and(|output| output.status.success());
    ensure!(found || std::env::var_os(NEEDED).is_none(), "python3-hivex is missing: install it (deploy/ci/test does)");
    if !found {
        left_out("Windows machines", "python3-hivex is missing");
    }
    Ok(found)
}

/// The records for Windows that count.
fn records() -> Result<Vec<Record>> {
    let repository = binaries::repository();
    let mut records = Vec::new();
    for file in ["tests/fixtures/windows/records.jsonl", "collector/src/judge/recall_tests/inventories.jsonl"] {
        for line in std::fs::read_to_string(repository.join(file))?.lines() {
            let record: Record = serde_json::from_str(line).with_context(|| format!("{file}: {line}"))?;
            if record.platform == "windows" && !record.note.contains("certainty: low") {
                records.push(record);
            }
        }
    }
    Ok(records)
}

fn write_hives(script: &[Value]) -> Result<()> {
    let mut python = Command::new(PYTHON)
        .args(["-c", include_str!("windows/hives.py")])
        .stdin(Stdio::piped())
        .spawn()
        .context("start Python")?;
    let mut input = python.stdin.take().context("no input")?;
    for hive in script {
        writeln!(input, "{hive}")?;
    }
    drop(input);
    ensure!(python.wait()?.success(), "hivex failed");
    Ok(())
}

/// The rows of a scan: outcomes and observations, each with the number of its machine.
fn scan(root: &Path, number: usize) -> Result<Vec<Value>> {
    let mut command = Command::new(binaries::find("muster-agent")?);
    command.arg("scan").arg("--root").arg(root).arg("--wmi").arg(root.join("wmi.jsonl")).args(["-o", "ndjson"]);
    let answer = Answer::of(&mut command)?.expect_code(0)?;
    let mut rows = Vec::new();
    for mut row in answer.ndjson()? {
        row["machine"] = json!(number);
        rows.push(row);
    }
    Ok(rows)
}

/// Scans machines 0 to `count`, some at once.
fn scan_all(folder: &Path, count: usize) -> Result<Vec<Value>> {
    const AT_ONCE: usize = 4;
    let one = |start: usize| -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        for number in (start..count).step_by(AT_ONCE) {
            rows.extend(scan(&folder.join(number.to_string()), number)?);
        }
        Ok(rows)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|start| scope.spawn(move || one(start))).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow::anyhow!("a scan panicked"))??);
        }
        Ok(all)
    })
}

/// The rows with the answer of the catalogue.
fn matched(rows: &[Value]) -> Result<Vec<Value>> {
    let mut muster = Command::new(binaries::find("muster")?)
        .args(["catalogue", "match", "-o", "ndjson"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start muster")?;
    let mut input = muster.stdin.take().context("no input")?;
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = muster.wait_with_output()?;
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    ensure!(output.status.success(), "muster catalogue match: {:?}", output.status);
    String::from_utf8(output.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn text<'r>(row: &'r Value, key: &str) -> &'r str {
    row[key].as_str().unwrap_or_default()
}

/// What identifies an observation on every machine.
fn key_of(row: &Value) -> [String; 4] {
    ["source", "name", "id", "path"].map(|key| text(row, key).to_owned())
}

/// The gravest answer of some rows.
fn gravest<'r>(rows: &[&'r Value]) -> &'r str {
    const ORDER: &[&str] = &["none", "exempt", "suspect", "remnant", "embedded", "management-only", "prohibited"];
    let rank = |row: &&&Value| ORDER.iter().position(|answer| *answer == text(row, "match"));
    rows.iter().max_by_key(rank).map_or("none", |row| text(row, "match"))
}

/// Whether the answer is right for a record, and whether it accuses a harmless one.
fn judge(record: &Record, rows: &[&Value]) -> (bool, bool) {
    let answer = gravest(rows);
    let is_harmless = matches!(answer, "none" | "suspect" | "exempt");
    if let Some(product) = &record.expect_product {
        let is_product = |row: &&Value| {
            let also = row["also"].as_array().is_some_and(|also| also.iter().any(|one| one == product.as_str()));
            text(row, "product") == product || also
        };
        return (if product.is_empty() { is_harmless } else { rows.iter().any(is_product) }, false);
    }
    match record.expect.as_deref() {
        Some("prohibited") => (matches!(answer, "prohibited" | "management-only"), false),
        Some("remnant") => (answer == "remnant", false),
        Some("oem") => (answer == "embedded", false),
        _ => (is_harmless, !is_harmless),
    }
}

#[test]
fn every_windows_record_is_observed_and_recognised_alone_and_with_all_others() -> Result<()> {
    if !has_hivex()? {
        return Ok(());
    }
    let records = records()?;
    let folder = tempfile::tempdir()?;
    let mut script = Vec::new();
    let mut all = Machine::desktop();
    for (number, record) in records.iter().enumerate() {
        let mut machine = Machine::desktop();
        machine.add(record, number)?;
        machine.write(&folder.path().join(number.to_string()), &mut script)?;
        all.add(record, number)?;
    }
    let (with_all, plain) = (records.len(), records.len() + 1);
    all.write(&folder.path().join(with_all.to_string()), &mut script)?;
    Machine::desktop().write(&folder.path().join(plain.to_string()), &mut script)?;
    write_hives(&script)?;
    let rows = matched(&scan_all(folder.path(), plain + 1)?)?;
    let mut machines: BTreeMap<usize, Vec<&Value>> = BTreeMap::new();
    for row in &rows {
        let number = row["machine"].as_u64().and_then(|number| usize::try_from(number).ok()).context("a machine")?;
        machines.entry(number).or_default().push(row);
    }
    let observed = |number: usize| machines[&number].iter().filter(|row| row["record"] == "observation").copied();
    let of_every_machine: BTreeSet<[String; 4]> = observed(plain).map(key_of).collect();
    let product_of = |row: &Value| [text(row, "source").to_owned(), text(row, "product").to_owned()];
    let together: BTreeSet<[String; 2]> = observed(with_all).map(product_of).collect();
    let accused: Vec<&Value> = observed(plain).filter(|row| text(row, "match") != "none").collect();
    ensure!(accused.is_empty(), "a machine with nothing on it has {accused:#?}");
    let mut faults = incomplete(&machines);
    let mut table: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for (number, record) in records.iter().enumerate() {
        let own: Vec<&Value> = observed(number).filter(|row| !of_every_machine.contains(&key_of(row))).collect();
        let (is_right, accuses) = judge(record, &own);
        let expected = record.expect.as_deref().or(record.expect_product.as_deref()).unwrap_or_default();
        let seen: Vec<String> =
            own.iter().map(|row| format!("{} {:?}", text(row, "source"), text(row, "name"))).collect();
        println!("{} {:?} ({expected}) -> {} -> {}", record.source_kind, record.name, seen.join(", "), gravest(&own));
        let counts = table
            .entry(format!("{} {}", record.source_kind, record.expect.as_deref().unwrap_or("product")))
            .or_default();
        counts[0] += 1;
        counts[1] += usize::from(is_right);
        counts[2] += usize::from(!own.is_empty());
        if !is_right || accuses {
            faults.push(format!(
                "{} {:?} {:?}: expected {expected:?}, answered {} from {seen:?}",
                record.source_kind,
                record.name,
                record.id,
                gravest(&own)
            ));
        }
        // Among others a folder is proven by another of its programs, so products are compared and not rows.
        for row in own.iter().filter(|row| text(row, "match") != "none") {
            if !together.contains(&product_of(row)) {
                faults.push(format!(
                    "{} {:?} is lost among the others: {:?}",
                    record.source_kind,
                    record.name,
                    key_of(row)
                ));
            }
        }
    }
    for (kind, [records, right, observed]) in table {
        println!("{kind}: {records} records, {right} right, {observed} observed");
    }
    ensure!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

/// Sources that were not read completely, though they could be.
fn incomplete(machines: &BTreeMap<usize, Vec<&Value>>) -> Vec<String> {
    let mut faults = BTreeSet::new();
    for row in machines.values().flatten().filter(|row| row["record"] == "outcome") {
        let is_needed = COMPLETE.contains(&text(row, "source"));
        let outcome = text(row, "outcome");
        if is_needed && !matches!(outcome, "found" | "empty") || matches!(outcome, "failed" | "denied" | "timed-out") {
            faults.insert(format!("{} is {outcome}: {}", text(row, "source"), text(row, "reason")));
        }
    }
    faults.into_iter().collect()
}
