//! The agent for Windows is woken by changes of the registry and of folders, and sleeps otherwise. `deploy/ci/windows` starts
//! these tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use muster_tests::eventually;
use muster_tests::lab::{Lab, PATIENCE};
use muster_tests::process::Process;
use muster_tests::wine::Wine;

use super::text;

/// The order that is active by default.
const US: &str = "us-bis-icts-2021-002";
/// Longer than a change takes to be reported.
const SETTLED: Duration = Duration::from_secs(5);
/// From a change to the flag at the collector, of 99 in a hundred. It is measured and not demanded, because other programs may use
/// the machine.
const GOAL: Duration = Duration::from_secs(2);
/// How often something is planted and removed.
const ROUNDS: u32 = 20;
const KEY: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\{muster-test-wakes}";
/// How long the agent is watched doing nothing, and how much of a processor it may take for that: ten times the goal, because
/// the system counts in steps of 10 ms.
const IDLE: Duration = Duration::from_secs(60);
const IDLE_SHARE: f64 = 0.005;

/// An enrolled agent for Windows that runs.
struct Service {
    lab: Lab,
    wine: Wine,
    process: Process,
    host: String,
    log: PathBuf,
}

impl Service {
    fn start(name: &str) -> Result<Self> {
        let (wine, lab) = (Wine::started()?, Lab::start()?);
        let folder = wine.on_drive(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        // What an earlier run left.
        wine.run(Path::new("reg"), &["delete", KEY, "/f", "/reg:64"])?;
        std::fs::write(folder.join("agent.toml"), format!("collector = \"https://{}\"\n", lab.listening().agents))?;
        std::fs::write(folder.join("token"), lab.token(1, "1h")?)?;
        let at = |file: &str| format!(r"C:\{name}\{file}");
        let own = ["--config", &at("agent.toml"), "--state-dir", &at("state")];
        let enroll = ["enroll", "--token-file", &at("token"), "-o", "json"];
        let enrolled = wine.agent(&[&enroll[..], &own].concat())?.expect_code(0)?.json()?;
        let mut command = wine.agent_command();
        command.arg("run").args(own);
        let log = lab.folder().join("agent.log");
        let process = Process::start(command, &log)?;
        let service = Self { lab, wine, process, host: text(&enrolled, "host_id").to_owned(), log };
        // Until its first scan the host is not flagged either.
        eventually("the agent has reported", PATIENCE, || Ok((service.reports() > 0).then_some(())))?;
        service.until(false)?;
        Ok(service)
    }

    fn presence(&self) -> Result<String> {
        let explained = self.lab.muster(&["explain", &self.host, "-o", "json"])?.json()?;
        let verdicts = explained["host"]["verdicts"].as_array().context("no verdicts")?.clone();
        let verdict = verdicts.into_iter().find(|verdict| verdict["order"]["id"] == US).context("no verdict")?;
        Ok(text(&verdict, "presence").to_owned())
    }

    /// Waits until the product is flagged, or is not.
    fn until(&self, flagged: bool) -> Result<Duration> {
        let begun = Instant::now();
        let what = format!("{} is flagged: {flagged}; the agent says:\n{}", self.host, self.output());
        eventually(&what, PATIENCE, || Ok(((self.presence()? == "installed") == flagged).then_some(())))?;
        Ok(begun.elapsed())
    }

    fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn reg(&self, arguments: &[&str]) -> Result<()> {
        self.wine.run(Path::new("reg"), &[arguments, &["/f", "/reg:64"]].concat())?.expect_code(0)?;
        Ok(())
    }

    /// How often the agent has reported.
    fn reports(&self) -> usize {
        self.output().matches("the collector acknowledged the snapshot").count()
    }

    /// The processor time of the agent so far.
    fn processor_time(&self) -> Result<Duration> {
        let ticks = u64::try_from(
            Command::new("getconf")
                .arg("CLK_TCK")
                .output()
                .map_or(100, |output| String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(100_i64)),
        )?;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields: Vec<&str> = stat.rsplit_once(')').context("no fields")?.1.split_whitespace().collect();
        let number = |at: usize| -> Result<u64> { Ok(fields.get(at).context("too few fields")?.parse()?) };
        Ok(Duration::from_millis((number(11)? + number(12)?) * 1000 / ticks))
    }
}

/// The last lines of a text.
fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[test]
#[ignore = "deploy/ci/windows runs it under Wine"]
fn what_is_added_to_the_registry_is_flagged() -> Result<()> {
    let service = Service::start("muster-wakes")?;
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        service.reg(&["add", &format!(r"{KEY}\{round}"), "/v", "DisplayVersion", "/d", "12.5.0.539"])?;
        service.reg(&["add", KEY, "/v", "Publisher", "/d", "AO Kaspersky Lab"])?;
        let begun = Instant::now();
        service.reg(&["add", KEY, "/v", "DisplayName", "/d", "Kaspersky Endpoint Security for Windows"])?;
        let added = begun.elapsed();
        service.until(true)?;
        let flagged = begun.elapsed();
        service.reg(&["delete", KEY])?;
        let cleared = service.until(false)?;
        println!(
            "round {round}: flagged after {flagged:.2?} (of which reg add {added:.2?}), cleared after {cleared:.2?}"
        );
        if flagged > GOAL {
            println!("the agent said:\n{}", tail(&service.output(), 30));
        }
        times.push(flagged);
    }
    times.sort_unstable();
    let slowest = *times.last().context("no round")?;
    let late = times.iter().filter(|time| **time > GOAL).count();
    println!("median {:.2?}, slowest {slowest:.2?}, {late} of {ROUNDS} above {GOAL:?}", times[times.len() / 2]);
    Ok(())
}

#[test]
#[ignore = "deploy/ci/windows runs it under Wine"]
fn a_folder_of_a_product_wakes_the_agent_and_nothing_keeps_it_awake() -> Result<()> {
    let service = Service::start("muster-sleeps")?;
    let folder = service.wine.on_drive(r"Program Files\Kaspersky Lab");
    let other = service.wine.on_drive(r"ProgramData\muster-test-other");
    for folder in [&folder, &other] {
        let _ = std::fs::remove_dir_all(folder);
    }
    let settled = |service: &Service| -> Result<usize> {
        // Until there was no report for longer than a change takes.
        eventually("the agent comes to rest", PATIENCE, || {
            let before = service.reports();
            std::thread::sleep(SETTLED);
            Ok((service.reports() == before).then_some(before))
        })
    };
    let before = settled(&service)?;
    std::fs::create_dir_all(&folder)?;
    eventually("the folder wakes the agent", PATIENCE, || Ok((service.reports() > before).then_some(())))?;
    let before = settled(&service)?;
    std::fs::create_dir_all(&other)?;
    let (begun, used) = (Instant::now(), service.processor_time()?);
    std::thread::sleep(IDLE);
    let share = (service.processor_time()? - used).as_secs_f64() / begun.elapsed().as_secs_f64();
    for folder in [&folder, &other] {
        std::fs::remove_dir_all(folder)?;
    }
    println!("idle for {IDLE:?}: {} wakes, {:.4} % of a processor", service.reports() - before, share * 100.0);
    ensure!(service.reports() == before, "something wakes the agent:\n{}", service.output());
    ensure!(share <= IDLE_SHARE, "{share}");
    Ok(())
}
