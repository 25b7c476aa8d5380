//! `muster-agent run` as a service: it is woken by real changes, handles signals, and notifies the service manager.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use muster_tests::canned::Root;
use muster_tests::lab::{Agent, Lab, PATIENCE};
use muster_tests::process::{Answer, Process};
use muster_tests::{eventually, left_out};

/// From a change to the flag at the collector.
const PROMISED: Duration = Duration::from_secs(5);

/// How often something is installed and removed; the full proof is twenty.
fn rounds() -> u32 {
    std::env::var("MUSTER_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

/// The service over a root.
fn start(agent: &Agent, root: &Path, environment: &[(&str, String)]) -> Result<Process> {
    let mut command = agent.command("run")?;
    command.arg("--root").arg(root).envs(environment.iter().map(|(name, value)| (name, value)));
    Process::start(command, &agent.state_dir().with_extension("log"))
}

fn lane(lab: &Lab, name: &str) -> Result<String> {
    let explained = lab.muster(&["explain", name, "-o", "json"])?.json()?;
    let verdicts = explained["host"]["verdicts"].as_array().context("no verdicts")?.clone();
    let verdict = verdicts.into_iter().find(|verdict| verdict["order"]["id"] == "us-bis-icts-2021-002");
    Ok(verdict.context("no verdict")?["lane"].as_str().unwrap_or_default().to_owned())
}

fn until_lane(lab: &Lab, name: &str, wanted: &[&str], patience: Duration) -> Result<Duration> {
    let begun = Instant::now();
    eventually(&format!("{name} is in one of the lanes {wanted:?}"), patience, || {
        Ok(wanted.contains(&lane(lab, name)?.as_str()).then_some(()))
    })?;
    Ok(begun.elapsed())
}

/// A package as dpkg takes it, named like the vendor's and holding what the vendor's leaves on a machine.
pub(crate) fn kaspersky_package(folder: &Path) -> Result<PathBuf> {
    let tree = folder.join("kesl");
    let write = |path: &str, text: &str| -> Result<()> {
        let file = tree.join(path);
        std::fs::create_dir_all(file.parent().context("a parent")?)?;
        std::fs::write(file, text)?;
        Ok(())
    };
    write("opt/kaspersky/kesl/bin/kesl-control", "\u{7f}ELF")?;
    write("usr/lib/systemd/system/kesl.service", "[Service]\nExecStart=/opt/kaspersky/kesl/libexec/kesl\n")?;
    write(
        "DEBIAN/control",
        "Package: kesl\nVersion: 12.0.0-6672\nArchitecture: all\nMaintainer: Kaspersky <nobody@example.org>\n\
         Description: Kaspersky Endpoint Security\n",
    )?;
    let package = folder.join("kesl.deb");
    Answer::of(Command::new("dpkg-deb").args(["--build", "--root-owner-group"]).arg(&tree).arg(&package))?
        .expect_code(0)?;
    Ok(package)
}

fn dpkg(root: &Path, arguments: &[&str]) -> Result<()> {
    let mut root_is = std::ffi::OsString::from("--root=");
    root_is.push(root);
    let mut command = Command::new("dpkg");
    command.arg(root_is).arg("--force-script-chrootless").arg("--force-bad-path").args(arguments);
    Answer::of(&mut command)?.expect_code(0).context("dpkg")?;
    Ok(())
}

#[test]
fn what_dpkg_installs_and_removes_is_judged_at_the_collector_within_five_seconds() -> Result<()> {
    if !is_root() || Command::new("dpkg-deb").arg("--version").output().is_err() {
        left_out("a real package", "a real package needs dpkg and root; the next test does without");
        return Ok(());
    }
    let lab = Lab::start()?;
    let root = Root::debian("workshop")?;
    for folder in ["var/lib/dpkg/updates", "var/lib/dpkg/triggers"] {
        std::fs::create_dir_all(root.path().join(folder))?;
    }
    let package = kaspersky_package(lab.folder())?;
    let package = package.to_str().context("a path in UTF-8")?;
    let agent = lab.enrolled_agent("workshop")?;
    let service = start(&agent, root.path(), &[])?;
    until_lane(&lab, "workshop", &["clear"], PATIENCE)?;
    let mut took = Vec::new();
    for round in 1..=rounds() {
        dpkg(root.path(), &["-i", package])?;
        let installed = until_lane(&lab, "workshop", &["replace"], PROMISED)
            .with_context(|| format!("round {round}, installed; the agent printed:\n{}", service.output()))?;
        dpkg(root.path(), &["--purge", "kesl"])?;
        let removed = until_lane(&lab, "workshop", &["confirm", "protect"], PROMISED)
            .with_context(|| format!("round {round}, removed; the agent printed:\n{}", service.output()))?;
        println!("round {round}: installed {} ms, removed {} ms", installed.as_millis(), removed.as_millis());
        took.extend([installed, removed]);
    }
    took.sort();
    println!("{} changes: median {:?}, slowest {:?}", took.len(), took[took.len() / 2], took[took.len() - 1]);
    Ok(())
}

#[test]
fn a_file_of_the_watchlist_and_a_unit_wake_the_agent_where_no_package_manager_is_asked() -> Result<()> {
    let lab = Lab::start()?;
    let root = Root::debian("by-hand")?;
    let agent = lab.enrolled_agent("by-hand")?;
    let service = start(&agent, root.path(), &[])?;
    until_lane(&lab, "by-hand", &["clear"], PATIENCE)?;
    root.write("opt/kaspersky/kesl/bin/kesl-control", "\u{7f}ELF")?;
    root.write("usr/lib/systemd/system/kesl.service", "[Service]\nExecStart=/opt/kaspersky/kesl/libexec/kesl\n")?;
    eventually("the machine is not clear any more", PROMISED, || Ok((lane(&lab, "by-hand")? != "clear").then_some(())))
        .with_context(|| format!("the agent printed:\n{}", service.output()))?;
    let status = Answer::of(agent.command("status")?.args(["-o", "json"]))?.expect_code(0)?.json()?;
    assert!(status["watching"]["directories"].as_u64() > Some(10), "{status}");
    assert_eq!(status["watching"]["unwatched"], serde_json::json!([]), "{status}");
    assert_eq!(status["running"], true, "{status}");
    drop(service);
    let status = Answer::of(agent.command("status")?.args(["-o", "json"]))?.expect_code(0)?.json()?;
    assert_eq!((&status["running"], &status["watching"]), (&false.into(), &serde_json::Value::Null), "{status}");
    Ok(())
}

#[test]
fn memory_does_not_grow_with_the_number_of_scans() -> Result<()> {
    /// Of its own, at rest: with whatever the allocator keeps.
    const MOST_KIB: u64 = 6 * 1024;
    let lab = Lab::start()?;
    let agent = lab.enrolled_agent("frugal")?;
    // The running system, since a small one leaves little behind whatever the allocator does.
    let service = Process::start(agent.command("run")?, &agent.state_dir().with_extension("log"))?;
    let own_kib = || -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", service.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    let snapshots = || service.log_lines("the collector acknowledged the snapshot");
    eventually("the first report", PATIENCE, || Ok((snapshots()? > 0).then_some(())))?;
    for _ in 0..60 {
        let before = snapshots()?;
        signal(&service, "HUP")?;
        eventually("a report more", PATIENCE, || Ok((snapshots()? > before).then_some(())))?;
    }
    eventually(&format!("at most {MOST_KIB} KiB are kept"), PATIENCE, || Ok((own_kib()? <= MOST_KIB).then_some(())))
        .with_context(|| format!("{} KiB", own_kib().unwrap_or_default()))
}

#[test]
fn sighup_reloads_the_settings_and_invalid_ones_are_ignored() -> Result<()> {
    let lab = Lab::start()?;
    let root = Root::debian("tuned")?;
    let agent = lab.enrolled_agent("tuned")?;
    let mut service = start(&agent, root.path(), &[])?;
    let config = agent.state_dir().with_extension("toml");
    let says = |service: &Process, what: &str| {
        eventually(what, PATIENCE, || Ok(service.output().contains(what).then_some(())))
            .with_context(|| service.output())
    };
    says(&service, "the collector acknowledged the snapshot")?;
    std::fs::write(&config, "[spool]\nmax_mib = \"plenty\"\nsize = 1\n")?;
    signal(&service, "HUP")?;
    says(&service, "the old one stays in force")?;
    for part in ["spool.max_mib", "spool.size: unknown key"] {
        assert!(service.output().contains(part), "{part} is not named:\n{}", service.output());
    }
    assert!(!service.output().contains("\"DEBUG\""), "{}", service.output());
    std::fs::write(&config, "[log]\nlevel = \"debug\"\n")?;
    signal(&service, "HUP")?;
    says(&service, "the configuration was reloaded")?;
    says(&service, "\"DEBUG\"")?;
    assert!(service.stop(PATIENCE)?.success());
    Ok(())
}

#[test]
fn the_service_notifies_the_service_manager() -> Result<()> {
    let lab = Lab::start()?;
    let root = Root::debian("supervised")?;
    let agent = lab.enrolled_agent("supervised")?;
    let path = lab.folder().join("notify");
    let socket = UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let environment = [("NOTIFY_SOCKET", path.display().to_string()), ("WATCHDOG_USEC", "400000".to_owned())];
    let mut service = start(&agent, root.path(), &environment)?;
    let receive = |wanted: &str| -> Result<String> {
        let mut buffer = [0; 512];
        loop {
            let size = socket.recv(&mut buffer).with_context(|| format!("waiting for {wanted}"))?;
            let text = String::from_utf8_lossy(&buffer[..size]).into_owned();
            if text.contains(wanted) {
                return Ok(text);
            }
        }
    };
    let ready = receive("READY=1")?;
    assert!(ready.contains("watching "), "{ready}");
    for _ in 0..3 {
        receive("WATCHDOG=1")?;
    }
    signal(&service, "HUP")?;
    receive("RELOADING=1")?;
    receive("READY=1")?;
    signal(&service, "TERM")?;
    receive("STOPPING=1")?;
    assert!(service.wait(PATIENCE)?.success());
    Ok(())
}

#[test]
fn a_stop_during_a_delivery_is_fast_and_keeps_the_snapshot() -> Result<()> {
    let lab = Lab::start()?;
    let root = Root::debian("stopped")?;
    let agent = lab.enrolled_agent("stopped")?;
    // A server that accepts the connection and then sends nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let environment = [("MUSTER_AGENT__COLLECTOR", format!("https://{}", silent.local_addr()?))];
    let mut service = start(&agent, root.path(), &environment)?;
    let (_connection, _) = silent.accept()?;
    let begun = Instant::now();
    signal(&service, "TERM")?;
    assert!(service.wait(Duration::from_secs(20))?.success());
    ensure!(begun.elapsed() < Duration::from_secs(15), "it took {:?}", begun.elapsed());
    let status = Answer::of(agent.command("status")?.args(["-o", "json"]))?.expect_code(0)?.json()?;
    assert_eq!(status["spool"]["snapshots"], 1, "{status}");
    Ok(())
}

fn signal(process: &Process, name: &str) -> Result<()> {
    let id = process.id().to_string();
    ensure!(Command::new("kill").args([&format!("-{name}"), &id]).status()?.success(), "kill -{name} {id} failed");
    Ok(())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
