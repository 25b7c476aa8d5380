//! From a record to its verdict: rows of Security Center and running programs are replayed to the agent, what it observed is
//! judged, and the host is in the lane where it belongs. Registrations are also replayed switched off, expired, with old
//! signatures, and after their program is gone, each alone and beside a Defender in passive mode.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Result, ensure};
use muster_tests::binaries;
use muster_tests::process::Answer;
use serde_json::Value;

use super::planting::{Machine, Record, Registration};
use super::{has_hivex, records, scan_all, text, write_hives};

/// Values of `productState`, each with what it says.
const STATES: &[(u32, &str)] =
    &[(266_240, "on"), (266_256, "on, old signatures"), (262_144, "off"), (270_336, "snoozed"), (274_432, "expired")];

/// A machine, and what must be said of it.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) machine: Machine,
    pub(super) presence: &'static str,
    pub(super) protection: &'static str,
    pub(super) lane: &'static str,
    /// Texts that the advice contains.
    pub(super) advice: &'static [&'static str],
}

/// The cases of one record.
fn cases(record: &Record, number: usize) -> Result<Vec<Case>> {
    let is_prohibited = record.expect.as_deref() == Some("prohibited");
    let mut cases = Vec::new();
    let mut add = |name: String, machine: Machine, presence, protection, lane| {
        cases.push(Case { name, machine, presence, protection, lane, advice: &[] });
    };
    let title = format!("{number} {} {:?}", record.source_kind, record.name);
    if record.source_kind != "wsc" {
        let mut machine = Machine::desktop();
        machine.add(record, number)?;
        if is_prohibited {
            // A program shows which product is there, and some are those of its management.
            add(title, machine, "", "", "replace");
        } else {
            add(title, machine, "none", "", "clear");
        }
        return Ok(cases);
    }
    for with_defender in [false, true] {
        let desktop = || {
            let mut machine = Machine::desktop();
            if with_defender {
                machine.defender("Passive Mode");
            }
            machine
        };
        let beside = if with_defender { " beside a passive Defender" } else { "" };
        for (state, says) in STATES {
            let mut machine = desktop();
            machine.register(&Registration { record, state: *state, is_gone: false });
            let name = format!("{title} is {says}{beside}");
            match (is_prohibited, *says) {
                // What works with old signatures counts as installed only.
                (true, "on") => add(name, machine, "active", "", "replace"),
                (true, _) => add(name, machine, "installed", "", "replace"),
                (false, _) => add(name, machine, "none", "", "clear"),
            }
        }
        let mut machine = desktop();
        machine.register(&Registration { record, state: 266_240, is_gone: true });
        // A passive Defender is protection that does not protect, and a program that is gone is none.
        let protection = if with_defender { "unapproved" } else { "none" };
        let (presence, lane) = if is_prohibited { ("remnant", "protect") } else { ("none", "clear") };
        add(format!("{title} is gone{beside}"), machine, presence, protection, lane);
    }
    Ok(cases)
}

/// What the running system is asked, with the words of its errors.
const SECURITY_CENTER: &[&str] = &[
    r"root\SecurityCenter2:AntiVirusProduct",
    r"root\SecurityCenter2:AntiSpywareProduct",
    r"root\SecurityCenter2:FirewallProduct",
];
const DEFENDER: &[&str] = &[r"root\Microsoft\Windows\Defender:MSFT_MpComputerStatus"];
const PROCESSES: &[&str] = &[r"root\cimv2:Win32_Process"];

/// Machines without a product on which a question has no answer. Processes add evidence, and the order does not need them.
fn refusals() -> Vec<Case> {
    let mut cases = Vec::new();
    for (source, classes) in [("security-center", SECURITY_CENTER), ("defender", DEFENDER), ("processes", PROCESSES)] {
        for error in ["denied", "0x80041001", "timed-out", "absent"] {
            for is_server in [false, true] {
                let mut machine = Machine::desktop();
                if source == "defender" {
                    machine.defender("Normal");
                }
                if is_server {
                    machine.serve();
                }
                machine.refuse(classes, error);
                let lane = match (source, error) {
                    ("processes", _) => "clear",
                    // A server has no Security Center.
                    ("security-center", "absent") if is_server => "clear",
                    _ => "unknown",
                };
                let name = format!("{source} is {error}{}", if is_server { " on a server" } else { "" });
                let presence = if lane == "unknown" { "unknown" } else { "none" };
                let advice: &[&str] = match (lane, error) {
                    ("unknown", "denied") => &["\"Enable Account\" for the namespace"],
                    ("unknown", "timed-out") => &["Restart the service Winmgmt"],
                    ("unknown", _) => &["Scan on the running Windows"],
                    _ => &[],
                };
                cases.push(Case { name, machine, presence, protection: "", lane, advice });
            }
        }
    }
    cases
}

/// The text in TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The scenario of a machine: what was observed there, and what must be said of it.
fn scenario(case: &Case, rows: &[&Value]) -> String {
    let mut scenario = format!(
        "[[scenario]]\nname = {}\nplatform = \"windows\"\nread_everywhere = false\nexpect = {{ lane = \"{}\"",
        quoted(&case.name),
        case.lane,
    );
    // What is empty is not compared.
    for (what, expected) in [("presence", case.presence), ("protection", case.protection)] {
        if !expected.is_empty() {
            let _ = write!(scenario, ", {what} = \"{expected}\"");
        }
    }
    if !case.advice.is_empty() {
        let texts: Vec<String> = case.advice.iter().map(|text| quoted(text)).collect();
        let _ = write!(scenario, ", advice = [{}]", texts.join(", "));
    }
    scenario.push_str(" }\n");
    for outcome in rows.iter().filter(|row| row["record"] == "outcome") {
        let source = text(outcome, "source");
        let _ = write!(
            scenario,
            "[[scenario.source]]\nname = \"{source}\"\noutcome = \"{}\"\nreason = {}\n",
            text(outcome, "outcome"),
            quoted(text(outcome, "reason"))
        );
        let seen = rows.iter().filter(|row| row["record"] == "observation" && text(row, "source") == source);
        for row in seen {
            let _ = writeln!(scenario, "[[scenario.source.see]]\nkind = \"{}\"", text(row, "source_kind"));
            for field in ["name", "vendor", "version", "id", "path", "state"] {
                let _ = writeln!(scenario, "{field} = {}", quoted(text(row, field)));
            }
        }
    }
    scenario
}

#[test]
fn every_registration_and_process_leads_to_its_verdict() -> Result<()> {
    if !has_hivex()? {
        return Ok(());
    }
    let is_asked = |record: &Record| matches!(record.source_kind.as_str(), "wsc" | "process" | "process_path");
    let records: Vec<Record> = records()?.into_iter().filter(is_asked).collect();
    let of_kind = |kind: &str| records.iter().filter(|record| record.source_kind.starts_with(kind)).count();
    ensure!(of_kind("wsc") > 10 && of_kind("process") > 10, "the records are not there");
    let mut all = Vec::new();
    for (number, record) in records.iter().enumerate() {
        all.extend(cases(record, number)?);
    }
    all.extend(refusals());
    check(&all)?;
    println!("{} records in {} cases", records.len(), all.len());
    Ok(())
}

/// Writes the machines of all cases, scans them, and judges what was observed.
pub(super) fn check(all: &[Case]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut script = Vec::new();
    for (number, case) in all.iter().enumerate() {
        case.machine.write(&folder.path().join(number.to_string()), &mut script)?;
    }
    write_hives(&script)?;
    let rows = scan_all(folder.path(), all.len())?;
    let mut machines: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for row in &rows {
        machines.entry(row["machine"].as_u64().unwrap_or_default()).or_default().push(row);
    }
    ensure!(machines.len() == all.len(), "{} of {} machines were scanned", machines.len(), all.len());
    let rules = tempfile::tempdir()?;
    let scenarios: Vec<String> = all.iter().zip(machines.values()).map(|(case, rows)| scenario(case, rows)).collect();
    std::fs::create_dir(rules.path().join("scenarios"))?;
    // A file of rules has a limit of its size.
    for (number, part) in scenarios.chunks(32).enumerate() {
        std::fs::write(rules.path().join(format!("scenarios/replayed-{number}.toml")), part.concat())?;
    }
    let mut check = Command::new(binaries::find("muster")?);
    check.args(["catalogue", "check"]).arg(rules.path()).args(["-o", "ndjson"]);
    let answer = Answer::of(&mut check)?;
    ensure!(
        answer.code == Some(0),
        "{} of {} cases:\n{}{}",
        answer.stdout.lines().count(),
        all.len(),
        answer.stdout,
        answer.stderr
    );
    Ok(())
}
