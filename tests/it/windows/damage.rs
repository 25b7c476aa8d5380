//! Hives that were not closed or are cut: with its logs a hive has everything, and without them, or cut anywhere, no source says
//! that it read everything and has less.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::planting::Machine;
use super::{has_hivex, records, scan, scan_all, text, write_hives};

const HIVES: &[&str] = &[
    "Windows/System32/config/SOFTWARE",
    "Windows/System32/config/SYSTEM",
    "Users/jane/NTUSER.DAT",
    "Users/ola/NTUSER.DAT",
];
/// The sources that read one of the hives of the machine and nothing else that has rows.
const OF_HIVES: &[&str] = &["uninstall-keys", "services", "drivers", "filter-drivers", "registry", "trust-store"];

/// A machine with every record at its place.
fn machine() -> Result<Machine> {
    let mut machine = Machine::desktop();
    for (number, record) in records()?.iter().enumerate() {
        machine.add(record, number)?;
    }
    Ok(machine)
}

/// Outcome, reason and observations of each source.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    outcome: String,
    reason: String,
    rows: BTreeSet<String>,
}

fn by_source(rows: &[Value]) -> BTreeMap<String, Read> {
    let mut sources: BTreeMap<String, Read> = BTreeMap::new();
    for row in rows {
        let source = sources.entry(text(row, "source").to_owned()).or_default();
        if row["record"] == "outcome" {
            source.outcome = text(row, "outcome").to_owned();
            source.reason = text(row, "reason").to_owned();
        } else {
            let mut row = row.clone();
            row["machine"] = Value::Null;
            source.rows.insert(row.to_string());
        }
    }
    sources
}

/// The sources that claim to have read everything and have fewer rows than the whole machine. Rows may differ in their paths:
/// while the list of profiles cannot be read, folders that may be homes are not shown.
fn liars<'s>(whole: &BTreeMap<String, Read>, damaged: &'s BTreeMap<String, Read>) -> Vec<&'s str> {
    let claims = |read: &Read| matches!(read.outcome.as_str(), "found" | "empty" | "not-applicable");
    let has_less = |source: &str, read: &Read| whole.get(source).is_some_and(|all| read.rows.len() < all.rows.len());
    let liars = damaged.iter().filter(|(source, read)| claims(read) && has_less(source, read));
    liars.map(|(source, _)| source.as_str()).collect()
}

#[test]
fn hives_that_were_not_closed_are_complete_with_their_logs_and_never_without() -> Result<()> {
    if !has_hivex()? {
        return Ok(());
    }
    let (machine, folder) = (machine()?, tempfile::tempdir()?);
    let mut script = Vec::new();
    let forms = [None, Some("new"), Some("old"), Some("none")];
    for (number, form) in forms.iter().enumerate() {
        let from = script.len();
        machine.write(&folder.path().join(number.to_string()), &mut script)?;
        if let Some(form) = form {
            script[from..].iter_mut().for_each(|hive| hive["log"] = json!(form));
        }
    }
    write_hives(&script)?;
    let rows = scan_all(folder.path(), forms.len())?;
    let of = |number: usize| {
        let rows: Vec<Value> = rows.iter().filter(|row| row["machine"] == number).cloned().collect();
        by_source(&rows)
    };
    let whole = of(0);
    for source in OF_HIVES {
        ensure!(whole[*source].outcome == "found", "{source} is {:?}", whole[*source]);
    }
    for (number, form) in [(1, "the new form"), (2, "the old form")] {
        let replayed = of(number);
        for (source, read) in &whole {
            let replayed = replayed.get(source);
            ensure!(replayed == Some(read), "with logs of {form} {source} is {:?}", replayed.map(|read| &read.reason));
        }
    }
    let dirty = of(3);
    let complete: Vec<&&str> = OF_HIVES.iter().filter(|source| dirty[**source].outcome == "found").collect();
    ensure!(complete.is_empty(), "without logs {complete:?} are complete");
    ensure!(liars(&whole, &dirty).is_empty(), "without logs {:?} have less", liars(&whole, &dirty));
    let count = |read: &BTreeMap<String, Read>| OF_HIVES.iter().map(|source| read[*source].rows.len()).sum::<usize>();
    ensure!(count(&dirty) < count(&whole), "nothing was in the logs alone");
    println!("{} rows of hives; {} without the logs", count(&whole), count(&dirty));
    Ok(())
}

#[test]
fn hives_that_are_cut_anywhere_are_never_complete_with_less() -> Result<()> {
    if !has_hivex()? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    let mut script = Vec::new();
    machine()?.write(root, &mut script)?;
    write_hives(&script)?;
    let whole = by_source(&scan(root, 0)?);
    let mut cuts = 0;
    for hive in HIVES {
        let file = root.join(hive);
        let bytes = std::fs::read(&file)?;
        for cut in (0..bytes.len()).step_by(4096) {
            cuts += 1;
            std::fs::write(&file, &bytes[..cut])?;
            let damaged = by_source(&scan(root, 0)?);
            let liars = liars(&whole, &damaged);
            ensure!(liars.is_empty(), "{hive} cut at {cut} of {}: {liars:?} have less", bytes.len());
            ensure!(
                !damaged.is_empty() && is_noticed(&damaged),
                "{hive} cut at {cut} of {} is not noticed",
                bytes.len()
            );
        }
        std::fs::write(&file, &bytes)?;
    }
    ensure!(by_source(&scan(root, 0)?) == whole, "the machine has changed");
    println!("{cuts} cuts in {} hives", HIVES.len());
    Ok(())
}

/// Whether a source says that it is incomplete, other than those that only a running system answers.
fn is_noticed(read: &BTreeMap<String, Read>) -> bool {
    let is_complete = |source: &&str| matches!(read[*source].outcome.as_str(), "found" | "empty");
    !OF_HIVES.iter().all(is_complete)
}
