//! The memory of a scan: bounded, also with far too many or too long entries. What is left out for it makes the source incomplete.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use muster_tests::binaries;
use muster_tests::canned::Root;
use serde_json::Value;

/// The agent's own target; its unit allows twice as much (`MemoryMax=128M`).
const PEAK_KIB: u64 = 64 * 1024;

const MIB: usize = 1024 * 1024;

/// A scan of a root: the highest resident memory, and outcome and reason of a source.
pub(super) struct Scan {
    pub(super) peak_kib: u64,
    records: Vec<Value>,
}

impl Scan {
    pub(super) fn of(root: &Path) -> Result<Self> {
        let out = root.with_extension("out");
        let mut command = Command::new(binaries::find("muster-agent")?);
        command.args(["scan", "-o", "ndjson", "--state-dir", "/nowhere", "--root"]).arg(root);
        let mut agent = command.stdout(std::fs::File::create(&out)?).stderr(Stdio::null()).spawn()?;
        let status = format!("/proc/{}/status", agent.id());
        let mut peak_kib = 0;
        // The kernel keeps the highest value, so it does not matter when it is read, as long as the agent runs.
        let code = loop {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
            peak_kib = peak_kib.max(high.trim().trim_end_matches(" kB").parse().unwrap_or(0));
            if let Some(code) = agent.try_wait()? {
                break code;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        ensure!(code.success(), "{code}");
        let text = std::fs::read_to_string(&out)?;
        std::fs::remove_file(&out)?;
        let records = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Self { peak_kib, records })
    }

    pub(super) fn outcome(&self, source: &str) -> Result<(&str, &str)> {
        let record = self.records.iter().find(|record| record["record"] == "outcome" && record["source"] == source);
        let record = record.with_context(|| source.to_owned())?;
        Ok((record["outcome"].as_str().unwrap_or_default(), record["reason"].as_str().unwrap_or_default()))
    }
}

/// Requires that the scan stays within its memory, and that none of these sources claims to be complete.
fn assert_bounded(what: &str, root: &Root, sources: &[&str]) -> Result<()> {
    let scan = Scan::of(root.path())?;
    assert!(scan.peak_kib > 1024, "{what}: the memory was not measured");
    assert!(scan.peak_kib <= PEAK_KIB, "{what}: {} KiB", scan.peak_kib);
    for source in sources {
        let (outcome, reason) = scan.outcome(source)?;
        assert!(["partial", "failed"].contains(&outcome), "{what}: {source} is {outcome}");
        assert!(!reason.is_empty(), "{what}: {source}");
    }
    Ok(())
}

fn unit_files(root: &Path, count: usize) -> Result<()> {
    let folder = root.join("usr/lib/systemd/system");
    std::fs::create_dir_all(&folder)?;
    for number in 0..count {
        std::fs::write(
            folder.join(format!("unit-with-some-name-{number}.service")),
            "[Service]\nExecStart=/bin/true\n",
        )?;
    }
    Ok(())
}

#[test]
fn many_unit_files_are_bounded() -> Result<()> {
    let root = Root::debian("units")?;
    unit_files(root.path(), 20_000)?;
    assert_bounded("20,000 unit files", &root, &["systemd-units"])?;
    let root = Root::debian("more-units")?;
    unit_files(root.path(), 70_000)?;
    assert_bounded("70,000 unit files", &root, &["systemd-units"])
}

#[test]
fn a_long_line_in_a_package_database_is_bounded() -> Result<()> {
    for (size, sources) in [(90 * MIB, &["dpkg"][..]), (14 * MIB, &[])] {
        let root = Root::debian("line")?;
        let long =
            format!("Package: long\nStatus: install ok installed\nVersion: 1\nMaintainer: {}\n\n", "x".repeat(size));
        let path = root.path().join("var/lib/dpkg/status");
        let status = std::fs::read_to_string(&path)?;
        std::fs::write(&path, format!("{status}\n{long}"))?;
        assert_bounded(&format!("a line of {} MiB", size / MIB), &root, sources)?;
    }
    Ok(())
}
