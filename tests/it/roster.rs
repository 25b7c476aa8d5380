//! The roster with the real programs: lists of machines are imported, their machines enroll, and the board adds up to them.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use muster_tests::canned::Root;
use muster_tests::eventually;
use muster_tests::lab::{Lab, PATIENCE};
use serde_json::Value;

/// As the portal of Entra ID exports devices; the last one is no computer.
const ENTRA: &str = "\
displayName,accountEnabled,operatingSystem,registeredOwners,userNames,approximateLastSignInDateTime,deviceId,objectId
PC-17,True,Linux,Jane Doe,jane.doe@example.org,2026-11-27T16:12:09Z,6a0f5f0e-5b1c-4d0f-9c55-1d1f6f7a9b01,0b7d9c52-3e57-4a9b-8d0a-5c3f4e2a1d77
PC-18,True,Linux,John Doe,john.doe@example.org,2026-11-27T16:12:09Z,6a0f5f0e-5b1c-4d0f-9c55-1d1f6f7a9b02,0b7d9c52-3e57-4a9b-8d0a-5c3f4e2a1d78
Jane's phone,True,iOS,Jane Doe,jane.doe@example.org,2025-06-11T10:00:00Z,f0c3a7d2-9b44-4c21-8c7e-6f0d3e5b2a90,77c1e0a4-52f3-4b36-9e0f-0a9b8c7d6e5f
";

/// As somebody keeps purchases: with a serial number, in the encoding and with the delimiter of a European Excel.
const PURCHASES: &[u8] = b"Seriennummer;Ger\xe4t;Standort;DNS\r\n5CG9120ABC;PC-17;Hamburg;PC-17.example.org\r\n5CG9120XYZ;PC-19;K\xf6ln;\r\n";

fn write(lab: &Lab, name: &str, bytes: &[u8]) -> Result<String> {
    let place: PathBuf = lab.folder().join(name);
    std::fs::write(&place, bytes)?;
    Ok(place.display().to_string())
}

/// What an import says as JSON.
fn import(lab: &Lab, arguments: &[&str]) -> Result<Value> {
    let answer = lab.muster(&[&["roster", "import", "-o", "json"], arguments].concat())?.expect_code(0)?.json()?;
    Ok(answer["import"].clone())
}

fn board(lab: &Lab) -> Result<Value> {
    let boards = lab.muster(&["board", "-o", "json"])?.json()?;
    Ok(boards[0].clone())
}

#[test]
fn lists_are_imported_their_machines_enroll_and_the_board_adds_up_to_the_roster() -> Result<()> {
    let lab = Lab::start()?;
    let none = lab.muster(&["board"])?.stdout;
    ensure!(none.contains("no roster: machines that never enrolled are not counted"), "{none}");
    let entra = write(&lab, "entra.csv", ENTRA.as_bytes())?;
    let list = ["--source", "entra", "--preset", "entra", entra.as_str()];

    let tried = import(&lab, &[list.as_slice(), &["--dry-run"]].concat())?;
    ensure!(tried["counts"]["added"] == 2 && tried["roster"]["listed"] == 0, "{tried}");
    ensure!(lab.muster(&["roster"])?.stdout.contains("no entries"), "a dry run changes nothing");
    let first = import(&lab, &list)?;
    ensure!(first["counts"]["added"] == 2 && first["roster"]["missing"] == 2, "{first}");
    let second = import(&lab, &list)?;
    ensure!(second["counts"]["unchanged"] == 2 && second["counts"]["added"] == 0, "{second}");

    // A second list of machines, of which one is in the first too.
    let purchases = write(&lab, "purchases.csv", PURCHASES)?;
    let columns =
        ["--map", "serial=Seriennummer", "--map", "name=Gerät", "--map", "site=Standort", "--map", "fqdn=DNS"];
    let bought = import(&lab, &[&["--source", "purchases", purchases.as_str()], columns.as_slice()].concat())?;
    ensure!(bought["roster"]["listed"] == 3, "{bought}");

    // One machine of the roster enrolls, and one that no list has.
    let listed = Root::debian("pc-17")?;
    listed.write("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 pc-17.example.org pc-17\n")?;
    lab.enrolled_agent("pc-17")?.report(listed.path())?;
    lab.enrolled_agent("stranger")?.report(Root::debian("stranger")?.path())?;
    lab.judged()?;
    let seen = eventually("the match", PATIENCE, || {
        let board = board(&lab)?;
        Ok(Some(board).filter(|board| board["roster"]["matched"] == 1))
    })?;
    let lanes = seen["counts"]["lanes"].as_object().context("lanes")?;
    let sum: u64 = lanes.values().filter_map(Value::as_u64).sum();
    ensure!(seen["counts"]["total"] == 3 && sum == 3, "the lanes add up to the roster: {seen}");
    ensure!(lanes["missing"] == 2 && seen["outside"]["total"] == 1, "{seen}");
    let text = lab.muster(&["board"])?.stdout;
    ensure!(text.contains("on the roster") && text.contains("adds up"), "{text}");
    let host = lab.muster(&["host", "PC-17.Example.org"])?.stdout;
    ensure!(host.contains("pc-17"), "a host is found by its full name: {host}");

    // A machine that is excused no longer counts.
    let missing = lab.muster(&["roster", "--state", "missing", "-o", "json"])?.json()?;
    let number = missing[0]["number"].as_u64().context("a number")?.to_string();
    lab.muster(&["roster", "excuse", &number, "--reason", "sold in June"])?.expect_code(0)?;
    let after = board(&lab)?;
    ensure!(after["counts"]["total"] == 2 && after["roster"]["excused"] == 1, "{after}");
    let ledger = lab.muster(&["ledger"])?.stdout;
    for part in ["list entra: 2 new", "roster-matched", "sold in June"] {
        ensure!(ledger.contains(part), "no {part:?} in\n{ledger}");
    }
    Ok(())
}

#[test]
fn a_list_that_lost_a_tenth_or_cannot_be_read_changes_nothing() -> Result<()> {
    let lab = Lab::start()?;
    let rows = |count: usize| (1..=count).map(|n| format!("pc-{n},S-{n}\n")).collect::<String>();
    let whole = write(&lab, "whole.csv", format!("name,serial\n{}", rows(20)).as_bytes())?;
    import(&lab, &["--source", "cmdb", &whole])?;
    let part = write(&lab, "part.csv", format!("name,serial\n{}", rows(17)).as_bytes())?;
    let refused = lab.muster(&["roster", "import", "--source", "cmdb", &part])?.expect_code(1)?.stderr;
    ensure!(refused.contains("3 of the 20 machines") && refused.contains("--accept-loss"), "{refused}");
    ensure!(lab.muster(&["roster", "-o", "csv"])?.stdout.lines().count() == 21, "nothing was changed");
    let accepted = import(&lab, &["--source", "cmdb", "--accept-loss", &part])?;
    ensure!(accepted["counts"]["absent"] == 3 && accepted["roster"]["listed"] == 17, "{accepted}");

    let broken = write(&lab, "broken.csv", b"name,serial,mac\npc-1,S-1,12:34\npc-2,S-2,00:1b:63:84:45:e6\n")?;
    let refused = lab.muster(&["roster", "import", "--source", "net", &broken])?.expect_code(1)?.stderr;
    ensure!(refused.contains("1 of 2 rows") && refused.contains("line 2, column \"mac\""), "{refused}");
    let accepted = import(&lab, &["--source", "net", "--accept-errors", &broken])?;
    ensure!(accepted["counts"]["added"] == 1, "{accepted}");
    let workbook = write(&lab, "list.xlsx", b"PK\x03\x04rest")?;
    let refused = lab.muster(&["roster", "import", "--source", "net", &workbook])?.expect_code(1)?.stderr;
    ensure!(refused.contains("Excel") && refused.contains("CSV"), "{refused}");
    Ok(())
}
