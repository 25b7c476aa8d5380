//! The packages on a machine that runs systemd: both services under their hardened units, from the installation to the
//! purge. What systemd only does at run time shows here: namespaces, capabilities, system calls, readiness, watchdog.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use muster_tests::booted::Booted;
use muster_tests::process::Answer;
use muster_tests::{eventually, left_out};
use serde_json::Value;

use crate::packages::packages;
use crate::roots::machines;

const PATIENCE: Duration = Duration::from_secs(60);
/// The longest time from a change to the new lane at the collector.
const PROMISED: Duration = Duration::from_secs(5);
const AGENT: &str = "muster-agent.service";
const COLLECTOR: &str = "muster-collector.service";

/// The machine with both packages and a package to be found, none installed yet.
fn machine(root: &Path, log: &Path) -> Result<Option<Booted>> {
    for deb in packages("deb", "0.1.0", root)? {
        let name = deb.file_name().and_then(|name| name.to_str()).context("a name")?;
        std::fs::rename(&deb, root.join(name.split('_').next().unwrap_or(name)).with_extension("deb"))?;
    }
    std::fs::copy(crate::service::kaspersky_package(log.parent().context("a folder")?)?, root.join("kesl.deb"))?;
    match Booted::start(root, log)? {
        Ok(machine) => Ok(Some(machine)),
        Err(why) => {
            left_out("the services under a running systemd", &why);
            Ok(None)
        }
    }
}

/// Where the collector listens, and the operators' program there.
struct Collector<'a> {
    machine: &'a Booted,
    agents: String,
    operators: String,
}

impl<'a> Collector<'a> {
    /// Installs, initialises and starts the collector as documented, on free ports, because the network is shared.
    fn start(machine: &'a Booted) -> Result<Self> {
        machine.run(&["dpkg", "-i", "/muster-collector.deb"])?;
        machine.run(&["runuser", "-u", "muster", "--", "muster-collector", "init", "--data-dir", "/var/lib/muster"])?;
        machine.run(&["systemctl", "restart", COLLECTOR])?;
        let note = eventually("the collector listens", PATIENCE, || {
            Ok(machine.run(&["cat", "/var/lib/muster/listening.json"]).ok())
        });
        let note: Value = serde_json::from_str(&note.with_context(|| machine.journal())?)?;
        let place = |door: &str| note[door].as_str().map(str::to_owned).context("an address");
        Ok(Self { machine, agents: place("agents")?, operators: place("operators")? })
    }

    fn muster(&self, arguments: &[&str]) -> Result<String> {
        let server = format!("https://{}", self.operators);
        let mut line = vec!["muster", "--server", &server, "--token-file", "/var/lib/muster/admin.token"];
        line.extend(["--ca-file", "/var/lib/muster/ca.pem"]);
        line.extend(arguments);
        // The exit code depends on the host's lane.
        let answer = Answer::of(self.machine.command(line[0]).args(&line[1..]))?;
        ensure!(!answer.stdout.is_empty(), "muster says: {}", answer.stderr);
        Ok(answer.stdout)
    }

    fn host(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.muster(&["host", "booted", "-o", "json"])?)?)
    }

    fn until_lane(&self, wanted: &[&str], patience: Duration) -> Result<Duration> {
        let begun = Instant::now();
        let seen = eventually(&format!("the host is in one of the lanes {wanted:?}"), patience, || {
            let host = self.host()?;
            let verdicts = host["verdicts"].as_array().context("no verdicts")?;
            let verdict = verdicts.iter().find(|one| one["order"]["id"] == "us-bis-icts-2021-002");
            let lane = verdict.and_then(|one| one["lane"].as_str()).context("no lane")?;
            Ok(wanted.contains(&lane).then_some(()))
        });
        seen.with_context(|| self.machine.journal())?;
        Ok(begun.elapsed())
    }
}

fn enroll(machine: &Booted, collector: &Collector<'_>) -> Result<()> {
    let token = machine.run(&[
        "runuser",
        "-u",
        "muster",
        "--",
        "muster-collector",
        "tokens",
        "create",
        "--data-dir",
        "/var/lib/muster",
        "--site",
        "lab",
        "--uses",
        "1",
        "--expires",
        "1h",
    ])?;
    machine.run(&["sh", "-c", &format!("umask 077; echo '{}' >/root/token", token.trim())])?;
    let url = format!("https://{}", collector.agents);
    machine.run(&["muster-agent", "enroll", "--collector", &url, "--token-file", "/root/token"]).map(drop)
}

/// Asserts that the unit's sandbox does not keep any source from reading.
fn assert_sees_everything(host: &Value) -> Result<()> {
    let sources = host["sources"].as_array().context("no sources")?;
    for source in sources {
        let outcome = source["outcome"].as_str().unwrap_or_default();
        ensure!(matches!(outcome, "found" | "empty" | "not-applicable"), "{source}");
    }
    for outcome in ["units_outcome", "realtime_outcome", "users_outcome"] {
        let outcome = host["state"][outcome].as_str().unwrap_or_default().to_owned();
        ensure!(matches!(outcome.as_str(), "found" | "empty"), "{outcome} in {}", host["state"]);
    }
    Ok(())
}

fn assert_reloads(machine: &Booted) -> Result<()> {
    machine.run(&["sh", "-c", "sed -i 's/^# level = .*/level = \"debug\"/' /etc/muster/agent.toml"])?;
    let before = machine.property(AGENT, "MainPID")?;
    machine.run(&["systemctl", "reload", AGENT])?;
    eventually("the settings are read anew", PATIENCE, || {
        Ok(machine.journal().contains("the configuration was reloaded").then_some(()))
    })?;
    ensure!(machine.property(AGENT, "MainPID")? == before, "a reload is no restart");
    ensure!(machine.property(AGENT, "ActiveState")? == "active");
    Ok(())
}

fn assert_is_watched(machine: &Booted) -> Result<()> {
    let drop_in = "mkdir -p /run/systemd/system/muster-agent.service.d && \
        printf '[Service]\\nWatchdogSec=2\\nRestartSec=1\\n' >/run/systemd/system/muster-agent.service.d/quick.conf";
    machine.run(&["sh", "-c", drop_in])?;
    machine.run(&["systemctl", "daemon-reload"])?;
    machine.run(&["systemctl", "restart", AGENT])?;
    let sign = || machine.property(AGENT, "WatchdogTimestampMonotonic");
    for number in 1..=3 {
        let last = sign()?;
        eventually(&format!("sign of life {number}"), PATIENCE, || Ok((sign()? != last).then_some(())))?;
    }
    ensure!(machine.property(AGENT, "NRestarts")? == "0", "a living agent is taken for dead");
    let frozen = machine.property(AGENT, "MainPID")?;
    // The shell's builtin: a minimal Debian has no /bin/kill.
    machine.run(&["sh", "-c", &format!("kill -STOP {frozen}")])?;
    eventually("a frozen agent is replaced", PATIENCE, || {
        let replaced =
            machine.property(AGENT, "NRestarts")? != "0" && machine.property(AGENT, "ActiveState")? == "active";
        Ok((replaced && machine.property(AGENT, "MainPID")? != frozen).then_some(()))
    })
}

#[test]
fn both_packages_work_under_a_running_systemd_from_installation_to_purge() -> Result<()> {
    let Some(root) = machines::debian()? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    std::fs::create_dir_all(root.path().join("etc/muster/collector.d"))?;
    let free = "[agents]\nlisten = \"127.0.0.1:0\"\n[operators]\nlisten = \"127.0.0.1:0\"\n[probes]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(root.path().join("etc/muster/collector.d/free.toml"), free)?;
    std::fs::write(root.path().join("etc/hostname"), "booted\n")?;
    let Some(machine) = machine(root.path(), &folder.path().join("boot.log"))? else { return Ok(()) };
    let collector = Collector::start(&machine)?;

    machine.run(&["dpkg", "-i", "/muster-agent.deb"])?;
    ensure!(machine.property(AGENT, "ConditionResult")? == "no", "without an identity there is nobody to report to");
    enroll(&machine, &collector)?;
    // Returns when the agent has reported that it is ready.
    machine.run(&["systemctl", "start", AGENT])?;
    ensure!(machine.property(AGENT, "StatusText")?.contains("watching "));
    collector.until_lane(&["clear"], PATIENCE)?;
    assert_sees_everything(&collector.host()?)?;

    machine.run(&["dpkg", "-i", "/kesl.deb"])?;
    let took = collector.until_lane(&["replace"], PROMISED)?;
    println!("from dpkg to the lane under both units: {} ms", took.as_millis());
    machine.run(&["dpkg", "--purge", "kesl"])?;
    collector.until_lane(&["confirm", "protect"], PROMISED)?;

    assert_reloads(&machine)?;
    assert_is_watched(&machine)?;

    for unit in [AGENT, COLLECTOR] {
        machine.run(&["systemctl", "stop", unit])?;
        ensure!(machine.property(unit, "Result")? == "success", "{unit}: {}", machine.journal());
    }
    ensure!(machine.journal().contains("the agent is stopping; unacknowledged snapshots stay in the spool"));
    machine.run(&["systemctl", "start", COLLECTOR])?;
    machine.run(&["dpkg", "--purge", "muster-agent", "muster-collector"])?;
    for unit in [AGENT, COLLECTOR] {
        ensure!(machine.property(unit, "LoadState")? == "not-found", "{unit} is still there");
    }
    Ok(())
}
