//! The memory of a scan: bounded, also with far too many or too long entries. What is left out for it makes the source incomplete.

mod linux;
mod windows;

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
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
        Self::printed_as(root, &[], "ndjson")
    }

    /// Reads only these sources, or all, and prints them in this form; only `ndjson` is read.
    fn printed_as(root: &Path, sources: &[&str], form: &str) -> Result<Self> {
        let out = root.with_extension("out");
        let mut command = Command::new(binaries::find("muster-agent")?);
        command.args(["scan", "-o", form, "--state-dir", "/nowhere", "--root"]).arg(root);
        for source in sources {
            command.args(["--source", source]);
        }
        let (code, peak_kib) = peak_of(command.stdout(std::fs::File::create(&out)?).stderr(Stdio::null()))?;
        ensure!(code.success(), "{code}");
        let text = if form == "ndjson" { std::fs::read_to_string(&out)? } else { String::new() };
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

/// Runs a command, and returns how it ended and its highest resident memory.
fn peak_of(command: &mut Command) -> Result<(ExitStatus, u64)> {
    let mut agent = command.spawn()?;
    let status = format!("/proc/{}/status", agent.id());
    let mut peak_kib = 0;
    // The kernel keeps the highest value, so it does not matter when it is read, as long as the agent runs.
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        peak_kib = peak_kib.max(high.trim().trim_end_matches(" kB").parse().unwrap_or(0));
        if let Some(code) = agent.try_wait()? {
            return Ok((code, peak_kib));
        }
        std::thread::sleep(Duration::from_millis(1));
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

/// The sources that a hostile Linux root must not be able to make complete.
const LINUX: &[&str] =
    &["dpkg", "rpm", "apk", "pacman", "system-packages", "snap", "systemd-units", "browser-extensions", "trust-store"];

/// The sources whose sections take all that sections may have.
const LARGEST: &[&str] = &["dpkg", "rpm", "apk", "pacman"];

#[test]
fn all_sources_at_their_largest_at_once_are_bounded() -> Result<()> {
    let root = Root::debian("hostile")?;
    linux::fill(root.path())?;
    // A system that is not known must have every store read.
    std::fs::remove_file(root.path().join("etc/os-release"))?;
    std::fs::write(root.path().join("etc/os-release"), "ID=unheard-of\n")?;
    let scan = Scan::of(root.path())?;
    println!("all sources at once: peak of {} KiB", scan.peak_kib);
    for source in LINUX {
        let (outcome, reason) = scan.outcome(source)?;
        assert!(["partial", "failed", "timed-out"].contains(&outcome), "{source} is {outcome}");
        println!("{source}: {outcome}, {reason}");
        assert!(!reason.is_empty(), "{source}");
    }
    assert!(scan.peak_kib > 1024, "the memory was not measured");
    assert!(scan.peak_kib <= PEAK_KIB, "{} KiB", scan.peak_kib);
    Ok(())
}

#[test]
fn the_largest_sections_are_printed_within_the_memory() -> Result<()> {
    let root = Root::debian("printed")?;
    linux::fill_packages(root.path())?;
    for form in ["json", "table"] {
        let scan = Scan::printed_as(root.path(), LARGEST, form)?;
        println!("printed as {form}: peak of {} KiB", scan.peak_kib);
        assert!(scan.peak_kib > 1024 && scan.peak_kib <= PEAK_KIB, "{form}: {} KiB", scan.peak_kib);
    }
    Ok(())
}

#[test]
fn an_honest_large_machine_reaches_no_limit() -> Result<()> {
    let root = Root::debian("large")?;
    linux::large_but_honest(root.path())?;
    let scan = Scan::of(root.path())?;
    println!("a large machine: peak of {} KiB", scan.peak_kib);
    for source in ["dpkg", "systemd-units", "browser-extensions"] {
        assert_eq!(scan.outcome(source)?, ("found", ""), "{source}");
    }
    assert!(scan.peak_kib <= PEAK_KIB, "{} KiB", scan.peak_kib);
    Ok(())
}

/// The sources that a hostile Windows root must not be able to make complete.
const WINDOWS: &[&str] = &["uninstall-keys", "msi", "appx", "services", "scheduled-tasks"];

#[test]
fn all_sources_of_a_windows_root_at_their_largest_at_once_are_bounded() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("root");
    windows::fill(&root)?;
    let scan = Scan::of(&root)?;
    println!("all sources of Windows at once: peak of {} KiB", scan.peak_kib);
    for source in WINDOWS {
        let (outcome, reason) = scan.outcome(source)?;
        println!("{source}: {outcome}, {reason}");
        assert!(["partial", "failed", "timed-out"].contains(&outcome), "{source} is {outcome}");
        assert!(!reason.is_empty(), "{source}");
    }
    assert!(scan.peak_kib > 1024, "the memory was not measured");
    assert!(scan.peak_kib <= PEAK_KIB, "{} KiB", scan.peak_kib);
    Ok(())
}
