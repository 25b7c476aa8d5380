//! Many hosts with the real programs: filters, and labels, owners, notes and sites that people give them.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use muster_tests::canned::Root;
use muster_tests::lab::{Lab, PATIENCE, write_owner_only};
use muster_tests::process::Answer;
use muster_tests::{binaries, eventually};
use serde_json::Value;

fn hosts(lab: &Lab, arguments: &[&str]) -> Result<Vec<String>> {
    let answer = lab.muster(&[&["hosts", "-o", "json"], arguments].concat())?.expect_code(0)?.json()?;
    let rows = answer["hosts"].as_array().context("hosts")?;
    Ok(rows.iter().filter_map(|row| row["hostname"].as_str()).map(ToOwned::to_owned).collect())
}

#[test]
fn hosts_are_chosen_by_a_filter_or_a_list_and_labelled_owned_noted_and_moved() -> Result<()> {
    let lab = Lab::start()?;
    for name in ["web-1", "web-2", "db-1"] {
        lab.enrolled_agent(name)?.report(Root::debian(name)?.path())?;
    }
    lab.judged()?;
    // The job that recognises machines has written their names.
    eventually("the names", PATIENCE, || {
        let found = lab.muster(&["hosts", "label", "found", "web-1", "web-2", "db-1", "--dry-run"])?;
        Ok(Some(found).filter(|found| found.code == Some(0)))
    })?;
    let dry = lab.muster(&["hosts", "label", "wave-1", "--where", "name:web-*", "--dry-run"])?.expect_code(0)?.stdout;
    ensure!(dry.contains("2 hosts selected; nothing was changed") && dry.contains("web-2"), "{dry}");
    let done = lab.muster(&["hosts", "label", "wave-1", "--where", "name:web-*"])?.expect_code(0)?.stdout;
    ensure!(done.contains("2 hosts labelled wave-1"), "{done}");
    ensure!(hosts(&lab, &["--where", "label:wave-1"])? == ["web-1", "web-2"]);
    ensure!(hosts(&lab, &["--where", "-label:wave-1"])? == ["db-1"]);
    ensure!(hosts(&lab, &["--where", "label:wave-1 -name:web-2"])? == ["web-1"]);

    // A pasted list, of which one line is no host.
    let list = lab.folder().join("list.txt");
    std::fs::write(&list, "\u{feff}web-1, nobody\r\ndb-1\r\n\r\n")?;
    let place = list.display().to_string();
    let owned = lab.muster(&["hosts", "own", "Jane Doe", "--hosts-file", &place])?.expect_code(1)?.stdout;
    ensure!(owned.contains("2 hosts now owned by Jane Doe") && owned.contains("nobody: not found"), "{owned}");
    ensure!(hosts(&lab, &["--where", "owner:jane* -label:any"])? == ["db-1"]);
    ensure!(hosts(&lab, &["--where", "jane"])? == ["db-1", "web-1"], "a bare word finds owners");
    lab.muster(&["hosts", "note", "waits for a new disk", "db-1"])?.expect_code(0)?;
    let moved = lab.muster(&["hosts", "move", "annex", "db-1"])?.expect_code(0)?.stdout;
    ensure!(moved.contains("1 host moved to site annex"), "{moved}");
    let page = lab.muster(&["host", "db-1"])?.stdout;
    for part in ["Jane Doe, since", "waits for a new disk", "annex"] {
        ensure!(page.contains(part), "no {part:?} in\n{page}");
    }
    let board: Value = lab.muster(&["board", "-o", "json"])?.json()?;
    ensure!(board[0]["counts"]["total"] == 3, "nobody is lost by a move: {board}");
    let findings = lab.muster(&["findings", "--where", "site:annex", "-o", "json"])?.json()?;
    ensure!(findings["total"].as_u64() == findings["findings"].as_array().map(|all| all.len() as u64), "{findings}");

    // Mistakes name the column, and change nothing.
    let wrong = lab.muster(&["hosts", "label", "x", "--where", "lable:wave-1"])?.expect_code(2)?.stderr;
    ensure!(wrong.contains("column 1") && wrong.contains("label"), "{wrong}");
    let label = lab.muster(&["hosts", "label", "Wave 1", "db-1"])?.expect_code(2)?.stderr;
    ensure!(label.contains("only a-z, 0-9 and '-'"), "{label}");
    let none = lab.muster(&["hosts", "label", "x", "--where", "name:nobody"])?.expect_code(0)?.stdout;
    ensure!(none.contains("0 hosts selected; nothing was changed"), "{none}");

    // What was done is listed, and the ledger has its beginning and its end, without the owner's name.
    let bulk = lab.muster(&["hosts", "bulk"])?.stdout;
    ensure!(bulk.contains("wave-1") && bulk.contains("ended"), "{bulk}");
    let ledger = lab.muster(&["ledger", "--kind", "bulk-started", "-o", "json"])?.json()?;
    let entries = ledger.as_array().context("entries")?;
    ensure!(entries.len() == 4, "{ledger}");
    let stored = entries.iter().filter_map(|entry| entry["entry"].as_str());
    ensure!(stored.clone().count() == 4 && stored.clone().all(|entry| !entry.contains("Jane")), "{ledger}");
    Ok(())
}

#[test]
fn more_than_a_hundred_hosts_are_changed_only_after_a_question() -> Result<()> {
    let lab = Lab::start()?;
    let token = lab.folder().join("swarm.token");
    write_owner_only(&token, &lab.token(120, "1h")?)?;
    let mut swarm = Command::new(binaries::find("muster-swarm")?);
    swarm.args(["run", "--collector", &format!("https://{}", lab.listening().agents)]);
    swarm.args(["--hosts", "120", "-o", "ndjson", "--days", "0", "--token-file", &token.display().to_string()]);
    Answer::of(&mut swarm)?.expect_code(0)?;
    let refused = lab.muster(&["hosts", "label", "all", "--where", "enrolled:any"])?.expect_code(1)?.stderr;
    ensure!(refused.contains("120 hosts are selected") && refused.contains("--yes"), "{refused}");
    let empty = lab.muster(&["hosts", "label", "all", "--where", "", "--yes"])?.expect_code(1)?.stderr;
    ensure!(empty.contains("`enrolled:any` means every host"), "an unset variable is not the whole fleet: {empty}");
    let done = lab.muster(&["hosts", "label", "all", "--where", "enrolled:any", "--yes"])?.expect_code(0)?.stdout;
    ensure!(done.contains("120 hosts labelled all"), "{done}");
    ensure!(hosts(&lab, &["--where", "label:all", "--limit", "1000"])?.len() == 120);
    Ok(())
}
