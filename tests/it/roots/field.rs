//! Hosts from public cases, from the disk to the lane: each root of `field.toml` is built, scanned by the real agent, judged
//! by the real collector, and explained by the real `muster`.
//!
//! One collector judges all of them, so that the whole table takes seconds.

mod build;
mod rpm_database;
mod table;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use muster_tests::lab::Lab;
use serde_json::Value;

use table::{Expect, Root, Table};

const US: &str = "us-bis-icts-2021-002";

/// How many agents scan at the same time.
const AT_ONCE: usize = 4;

/// What the collector says about one host.
pub(super) struct Explained {
    pub(super) verdict: Value,
    host: Value,
    text: String,
}

impl Expect {
    /// What differs from the expectation, each as a sentence.
    fn differences(&self, explained: &Explained) -> Vec<String> {
        let mut differences = Vec::new();
        for (key, expected) in [("presence", &self.presence), ("protection", &self.protection), ("lane", &self.lane)] {
            if explained.verdict[key] != **expected {
                differences.push(format!("{key} is {}, expected {expected}", explained.verdict[key]));
            }
        }
        if self.overdue.is_some_and(|overdue| explained.verdict["overdue"] != overdue) {
            differences.push(format!("overdue is {}", explained.verdict["overdue"]));
        }
        let found = explained.products();
        if self.products.is_some_and(|expected| expected != found.len()) {
            differences.push(format!("the products are {found:?}"));
        }
        for (source, expected) in &self.rows {
            let rows = explained.rows(source);
            if rows != Some(*expected) {
                differences.push(format!("{source} has {rows:?} observations, expected {expected}"));
            }
        }
        for part in self.says.iter().filter(|part| !explained.text.contains(part.as_str())) {
            differences.push(format!("the explanation does not say {part:?}"));
        }
        for part in self.never_says.iter().filter(|part| explained.text.contains(part.as_str())) {
            differences.push(format!("the explanation says {part:?}"));
        }
        differences
    }
}

impl Explained {
    pub(super) fn of(lab: &Lab, name: &str) -> Result<Self> {
        let json = lab.muster(&["explain", name, "-o", "json"])?.json()?;
        let text = lab.muster(&["explain", name])?.stdout;
        let verdicts = json["host"]["verdicts"].as_array().context("no verdicts")?;
        let verdict = verdicts.iter().find(|verdict| verdict["order"]["id"] == US).context("no verdict")?.clone();
        Ok(Self { verdict, host: json["host"].clone(), text })
    }

    /// The part of the explanation that says why.
    pub(super) fn why(&self) -> &str {
        self.text.split("\n\n").nth(1).unwrap_or(&self.text)
    }

    /// The products of the order that the reasons name.
    fn products(&self) -> Vec<&str> {
        let reasons = self.verdict["reasons"].as_array().into_iter().flatten();
        let products = reasons.filter(|reason| reason["kind"] == "product");
        products.filter_map(|reason| reason["product"]["id"].as_str()).collect()
    }

    fn rows(&self, source: &str) -> Option<u64> {
        let mut sources = self.host["sources"].as_array().into_iter().flatten();
        sources.find(|one| one["source"] == source)?["observations"].as_u64()
    }
}

/// Builds a root and lets its own agent report it.
fn report(lab: &Lab, token: &str, table: &Table, root: &Root) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("muster-field-").tempdir()?;
    build::build(folder.path(), table, root)?;
    let agent = lab.agent(&root.name);
    agent.enroll(token)?.expect_code(0)?;
    agent.report(folder.path())?;
    Ok(())
}

/// Reports every root, several at the same time; the faults with the names of their roots.
fn report_all(lab: &Lab, table: &Table) -> Result<Vec<String>> {
    let token = lab.token(u32::try_from(table.root.len())?, "1h")?;
    let next = AtomicUsize::new(0);
    let report_some = || {
        let mut faults = Vec::new();
        while let Some(root) = table.root.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = report(lab, &token, table, root) {
                faults.push(format!("{}: {error:#}", root.name));
            }
        }
        faults
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(report_some)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked")));
        Ok(joined.collect::<Result<Vec<_>>>()?.concat())
    })
}

/// The fault of one root: it differs, or it is right although it is marked as wrong.
fn fault(root: &Root, explained: &Explained) -> Option<String> {
    let differences = root.expect.differences(explained);
    let (name, about) = (&root.name, &root.about);
    match (differences.is_empty(), root.today.is_empty()) {
        (true, true) | (false, false) => None,
        (true, false) => Some(format!("{name}: it is right now; remove its mark `today`")),
        (false, true) => Some(format!("{name} ({about}): {}\n{}", differences.join("; "), explained.why())),
    }
}

#[test]
fn every_host_of_the_field_gets_its_lane_from_what_is_on_its_disk() -> Result<()> {
    let table = Table::read()?;
    let lab = Lab::start()?;
    let mut faults = report_all(&lab, &table)?;
    lab.judged()?;
    if faults.is_empty() {
        for root in &table.root {
            faults.extend(fault(root, &Explained::of(&lab, &root.name)?));
        }
    }
    assert!(faults.is_empty(), "{} of {} roots:\n{}", faults.len(), table.root.len(), faults.join("\n"));
    Ok(())
}

#[test]
fn every_root_names_its_case_or_is_a_control() -> Result<()> {
    for root in Table::read()?.root {
        assert_ne!(root.source.is_empty(), !root.about.starts_with("a control"), "{}: {:?}", root.name, root.source);
    }
    Ok(())
}

#[test]
fn rpm_itself_reads_the_databases_that_are_built() -> Result<()> {
    if !super::tools::can("rpm's databases of the field", &["rpm"])? {
        return Ok(());
    }
    let table = Table::read()?;
    let mut read = 0;
    for root in table.root.iter().filter(|root| !root.rpm.is_empty()) {
        let folder = tempfile::tempdir()?;
        build::build(folder.path(), &table, root)?;
        let place = table.system[&root.system].rpm_place.trim_start_matches('/');
        let names = rpm_names(&folder.path().join(place))?;
        for row in &root.rpm {
            let expected = format!("{}-{}.x86_64 {}", row.name, row.version, row.vendor);
            assert!(names.contains(&expected), "{}: rpm lists {names}", root.name);
        }
        read += 1;
    }
    assert!(read > 2, "{read} roots have an rpm database");
    Ok(())
}

fn rpm_names(database: &Path) -> Result<String> {
    let rpm = |arguments: &[&str]| {
        let mut rpm = Command::new("rpm");
        rpm.arg("--dbpath").arg(database).args(["--define", "_db_backend sqlite"]).args(arguments);
        super::tools::run(&mut rpm)
    };
    // rpm adds the other indices, without which it reads nothing.
    rpm(&["--initdb"])?;
    rpm(&["-qa", "--qf", "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH} %{VENDOR}\n"])
}
