//! The agent as a service, under the service manager of Wine: it is installed, enrolls with a collector of this machine over mutual TLS,
//! reports what is planted, reloads, drains when it is stopped, and is removed. `deploy/ci/windows` starts these tests.
//!
//! Wine 8 has no delayed start, no recovery actions, no least rights and no security identifiers of services, and keeps a killed service as running.
//! The first test names what the installation had to leave out; `deploy/windows/selftest.ps1` checks it on Windows.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use muster_tests::eventually;
use muster_tests::lab::Lab;
use muster_tests::process::Answer;
use muster_tests::wine::Wine;
use serde_json::Value;

use super::text;
use super::wine::{US, planted};

/// A program that sends a control to the service, and the file with what the agent reports to the Event Log: Wine's only prints it.
const CONTROL: &str = "MUSTER_TEST_WINDOWS_CONTROL";
const EVENTS: &str = "MUSTER_TEST_WINDOWS_EVENTS";
/// `SERVICE_CONTROL_PARAMCHANGE`: reload the settings.
const PARAMCHANGE: &str = "6";
pub(super) const SERVICE_KEY: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\MusterAgent";
pub(super) const EVENT_KEY: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\MusterAgent";
/// What Wine 8 does not know of a service. Windows does, so there the list must be empty. Wine takes the restarts and forgets them.
const LEFT_OUT: &[&str] = &[
    "the delayed start",
    "a restart after an error, too",
    "a security identifier of its own",
    "the least rights (SeChangeNotifyPrivilege)",
];
/// The folder of the program on `C:`.
const PROGRAMS: &str = "muster-service";
const STOPPING: &str = "the agent is stopping";
/// A debug build under Wine on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// The service on a machine without traces of an earlier test.
pub(super) struct Machine {
    pub(super) wine: Wine,
    events: PathBuf,
    control: PathBuf,
}

impl Machine {
    pub(super) fn clean() -> Result<Self> {
        let named = |name: &str| -> Result<PathBuf> {
            Ok(std::env::var_os(name)
                .with_context(|| format!("{name} is not set: deploy/ci/windows runs this test"))?
                .into())
        };
        // Where only this user may write; the folder in which it was built may be anybody's.
        let machine =
            Self { wine: planted()?.with_agent_in(PROGRAMS)?, events: named(EVENTS)?, control: named(CONTROL)? };
        machine.steps(&["uninstall"])?;
        let folder = machine.folder();
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        Ok(machine)
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.wine.on_drive(r"ProgramData\Muster")
    }

    /// `muster-agent service …` succeeds; the lines that it prints.
    pub(super) fn steps(&self, arguments: &[&str]) -> Result<Vec<String>> {
        let answer = self.wine.agent(&[&["service"], arguments, &["-o", "json"]].concat())?.expect_code(0)?.json()?;
        let lines = answer["done"].as_array().context("no steps")?;
        Ok(lines.iter().map(|line| line.as_str().unwrap_or_default().to_owned()).collect())
    }

    pub(super) fn service(&self) -> Result<Value> {
        self.wine.agent(&["service", "status", "-o", "json"])?.expect_code(0)?.json()
    }

    pub(super) fn status(&self) -> Result<Value> {
        self.wine.agent(&["status", "-o", "json"])?.expect_code(0)?.json()
    }

    /// The service has a collector and a token, as an installer leaves them.
    pub(super) fn configure(&self, lab: &Lab) -> Result<()> {
        std::fs::write(self.wine.on_drive("service-token"), lab.token(1, "1h")?)?;
        let collector = format!("https://{}", lab.listening().agents);
        self.steps(&["configure", "--collector", &collector, "--token-file", r"C:\service-token"]).map(drop)
    }

    /// Whether there is a key of services. All of them are listed, because a query of a key that is not there fails as Wine itself
    /// does, and a removal may take an empty key above too.
    pub(super) fn has_key(&self, key: &str) -> Result<bool> {
        const SERVICES: &str = r"\SYSTEM\CurrentControlSet\Services";
        let listed = self.wine.run(Path::new("reg"), &["query", &format!("HKLM{SERVICES}"), "/s"])?.expect_code(0)?;
        let listed = listed.stdout.replace('\0', "");
        let wanted = key.strip_prefix("HKLM").filter(|key| key.starts_with(SERVICES)).context("no key of services")?;
        let mut keys = listed.lines().filter_map(|line| line.trim().strip_prefix("HKEY_LOCAL_MACHINE")).peekable();
        ensure!(keys.peek().is_some(), "there is no service at all: {listed}");
        Ok(keys.any(|known| known.eq_ignore_ascii_case(wanted)))
    }

    /// How many events have this text.
    pub(super) fn events(&self, event: &str) -> Result<usize> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.events)?).matches(event).count())
    }

    /// What the collector has acknowledged last, by the agent's own file: to ask a program takes longer than a delivery.
    fn acknowledged(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder().join("agent/acknowledged"))?)
    }

    /// Whether a snapshot is in the spool, by the agent's own files, as for [`Self::acknowledged`].
    fn has_snapshots(&self) -> Result<bool> {
        let names = std::fs::read_dir(self.folder().join("agent/spool"))?.collect::<Result<Vec<_>, _>>()?;
        Ok(names.iter().any(|entry| entry.path().extension().is_some_and(|extension| extension == "snapshot")))
    }

    pub(super) fn delivered(&self) -> Result<Option<String>> {
        let status = self.status()?;
        let has_all = status["spool"]["snapshots"] == 0;
        Ok(status["last_acknowledged_snapshot"].as_str().filter(|_| has_all).map(str::to_owned))
    }
}

#[expect(clippy::print_stdout, reason = "the transcript of the run says how long each step took")]
pub(super) fn passed(what: &str, begun: Instant) {
    println!("{what}: {} ms", begun.elapsed().as_millis());
}

#[test]
#[ignore = "deploy/ci/windows runs it under Wine"]
fn the_service_enrolls_reports_reloads_and_drains_when_it_is_stopped() -> Result<()> {
    let machine = Machine::clean()?;
    let mut lab = Lab::start()?;
    machine.configure(&lab)?;
    let started = machine.events("the agent has started")?;
    let begun = Instant::now();
    let steps = machine.steps(&["install"])?;
    passed("installed and started", begun);
    let left_out: Vec<&str> = steps
        .iter()
        .filter_map(|step| step.strip_prefix("left out ")?.strip_suffix(": this service manager does not know it"))
        .collect();
    println!("left out under Wine: {}", left_out.join("; "));
    ensure!(left_out == LEFT_OUT, "{steps:#?}");
    ensure!(machine.has_key(EVENT_KEY)?, "the Event Log does not know the agent");

    let id = eventually("the service has enrolled and delivered", PATIENCE, || {
        let status = machine.status()?;
        let is_done = !status["last_acknowledged_snapshot"].is_null() && status["running"] == true;
        Ok(status["enrolled"]["host_id"].as_str().filter(|_| is_done).map(str::to_owned))
    })?;
    passed("enrolled and delivered, since the installation began", begun);
    lab.judged()?;
    let explained = lab.muster(&["explain", &id, "-o", "json"])?.json()?;
    let verdicts = explained["host"]["verdicts"].as_array().context("no verdicts")?;
    let verdict = verdicts.iter().find(|verdict| verdict["order"]["id"] == US).context("no verdict")?;
    ensure!((text(verdict, "lane"), text(verdict, "presence")) == ("replace", "installed"), "{verdict:#}");
    ensure!(machine.events("the agent has started")? == started + 1, "the start is not in the Event Log");
    ensure!(!machine.folder().join(r"agent/enroll.token").exists(), "the token is still there");

    let service = machine.service()?;
    ensure!(
        text(&service, "active") == "running" && text(&service, "status_text").starts_with("process "),
        "{service}"
    );
    ensure!(text(&service, "unit") == SERVICE_KEY && service["packaged"] == false, "{service}");
    ensure!(text(&service, "enabled").starts_with("automatic"), "{service}");
    let again = machine.steps(&["install"])?;
    ensure!(again.last().is_some_and(|step| step == "MusterAgent is running already"), "{again:#?}");

    reloads(&machine)?;
    drains(&machine, &mut lab)?;

    let removed = machine.steps(&["uninstall"])?;
    ensure!(removed.iter().any(|step| step == "deleted the service MusterAgent"), "{removed:#?}");
    ensure!(!machine.has_key(SERVICE_KEY)? && !machine.has_key(EVENT_KEY)?, "a key is still there");
    ensure!(machine.folder().join("agent/identity").is_dir(), "the identity is gone");
    ensure!(text(&machine.service()?, "unit").is_empty(), "it is still installed");
    Ok(())
}

/// Settings that cannot be used leave the old ones in force; then usable ones are used. Both are in the Event Log.
fn reloads(machine: &Machine) -> Result<()> {
    let file = machine.folder().join("agent.toml");
    let good = std::fs::read_to_string(&file)?;
    let (refused, reloaded) = ("cannot use the new configuration", "the configuration was reloaded");
    for (settings, event) in [("no settings", refused), (good.as_str(), reloaded)] {
        let before = machine.events(event)?;
        std::fs::write(&file, settings)?;
        let begun = Instant::now();
        machine.wine.run(&machine.control, &[PARAMCHANGE])?.expect_code(0)?;
        eventually(event, PATIENCE, || Ok((machine.events(event)? == before + 1).then_some(())))?;
        passed(event, begun);
    }
    ensure!(text(&machine.service()?, "active") == "running");
    Ok(())
}

/// The service is stopped while its first report waits for a collector that does not answer, and what is new since the last one
/// arrives once the collector answers again.
fn drains(machine: &Machine, lab: &mut Lab) -> Result<()> {
    machine.steps(&["stop"])?;
    let before = machine.delivered()?.context("something waits before the test")?;
    let acknowledged = machine.acknowledged()?;
    let name = format!("Drained {}", std::process::id());
    let key = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\Drained";
    machine.wine.register(&format!("[{key}]\n\"DisplayName\"=\"{name}\"\n\n"))?;
    let stopping = machine.events(STOPPING)?;
    let paused = lab.collector()?.pause()?;
    machine.steps(&["start"])?;
    // A stop gives a turn ten seconds, in which a scan on a busy machine may not come to its end.
    eventually("a snapshot waits for the collector", PATIENCE, || Ok(machine.has_snapshots()?.then_some(())))?;
    let begun = Instant::now();
    let stopped = std::thread::scope(|scope| -> Result<Vec<String>> {
        // Dropped before the other thread is waited for, whatever fails here.
        let paused = paused;
        let stop = scope.spawn(|| machine.steps(&["stop"]));
        eventually("the service stops", PATIENCE, || Ok((machine.events(STOPPING)? > stopping).then_some(())))?;
        ensure!(machine.acknowledged()? == acknowledged, "the delivery came before the stop");
        drop(paused);
        stop.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
    })?;
    ensure!(stopped == ["stopped MusterAgent"], "{stopped:#?}");
    passed("stopped during a turn", begun);
    let after = machine.delivered()?.context("what was found waits in the spool")?;
    ensure!(after != before, "what was found before the stop was not delivered");
    ensure!(machine.events(STOPPING)? == stopping + 1, "the stop is not in the Event Log");
    let service = machine.service()?;
    let ended = (text(&service, "active"), text(&service, "status_text"));
    ensure!(ended == ("stopped", "ended without an error"), "{service}");
    ensure!(machine.status()?["running"] == false, "the process still holds the state directory");
    machine.wine.register(&format!("[-{key}]\n\n"))
}

/// A service that cannot work ends with an error of its own, so that Windows restarts it later, and the Event Log says what to do.
#[test]
#[ignore = "deploy/ci/windows runs it under Wine"]
fn a_service_that_is_not_enrolled_says_what_to_do_and_fails() -> Result<()> {
    let machine = Machine::clean()?;
    let event = "this host is not enrolled";
    let remedy = "muster-agent enroll --collector";
    let (before, remedies) = (machine.events(event)?, machine.events(remedy)?);
    let not_installed = machine.wine.agent(&["service", "start"])?.expect_code(1)?;
    ensure!(not_installed.stderr.contains("run `muster-agent service install`"), "{}", not_installed.stderr);
    let steps = machine.steps(&["install", "--no-start"])?;
    ensure!(!steps.iter().any(|step| step.contains("started")), "{steps:#?}");
    let service = machine.service()?;
    let state = (text(&service, "active"), text(&service, "status_text"));
    ensure!(state == ("stopped", "not started since the start of the machine"), "{service}");
    // It ends as soon as its first scan cannot be delivered, which may be before anybody sees that it runs.
    let _: Answer = machine.wine.agent(&["service", "start"])?;
    eventually("the service ends with its own error", PATIENCE, || {
        let service = machine.service()?;
        Ok((text(&service, "status_text") == "ended with error 1 of its own").then_some(()))
    })?;
    ensure!(machine.events(event)? > before, "the Event Log does not say why");
    ensure!(machine.events(remedy)? > remedies, "the Event Log does not say what to do");
    machine.steps(&["uninstall"]).map(drop)
}

/// Another program under the same name is not replaced, and an image is no place for this service.
#[test]
#[ignore = "deploy/ci/windows runs it under Wine"]
fn the_service_of_another_program_is_left_alone() -> Result<()> {
    let machine = Machine::clean()?;
    machine.steps(&["install", "--no-start"])?;
    let other = machine.wine.on_drive("other-agent.exe");
    std::fs::copy(machine.wine.on_drive(r"windows\system32\cmd.exe"), &other)?;
    let refused = machine.wine.agent(&["service", "install", "--program", r"C:\other-agent.exe"])?.expect_code(1)?;
    ensure!(refused.stderr.contains("the service is that of another program"), "{}", refused.stderr);
    let refused = machine.wine.agent(&["service", "status", "--root", r"C:\windows"])?.expect_code(1)?;
    ensure!(refused.stderr.contains("on the running system only"), "{}", refused.stderr);
    machine.steps(&["uninstall"])?;
    std::fs::remove_file(other)?;
    Ok(())
}

/// Who may change the program, its folder, the settings or theirs could make a service do anything that may do everything.
#[test]
#[ignore = "deploy/ci/windows runs it under Wine"]
fn a_service_that_others_could_change_is_refused() -> Result<()> {
    let machine = Machine::clean()?;
    let (programs, folder) = (machine.wine.on_drive(PROGRAMS), machine.folder());
    let (file, more) = (folder.join("agent.toml"), folder.join("agent.d"));
    std::fs::create_dir_all(&more)?;
    for file in [&file, &more.join("10.toml")] {
        std::fs::write(file, "")?;
    }
    let install: &[&str] = &["service", "install", "--no-start"];
    let configure: &[&str] = &["service", "configure", "--collector", "https://muster.example.org:7443"];
    let of_settings: &[&[&str]] = &[install, configure, &["run"]];
    let program = format!(r"C:\{PROGRAMS}\muster-agent.exe");
    for (path, shown, commands) in [
        (programs.join("muster-agent.exe"), program.clone(), &[install][..]),
        (programs, format!(r"C:\{PROGRAMS}, and with it {program}"), &[install]),
        (file.clone(), r"C:\ProgramData\Muster\agent.toml".to_owned(), of_settings),
        (more.join("10.toml"), r"C:\ProgramData\Muster\agent.d\10.toml".to_owned(), of_settings),
        (more, r"C:\ProgramData\Muster\agent.d".to_owned(), of_settings),
        (folder, r"C:\ProgramData\Muster".to_owned(), of_settings),
    ] {
        let before = std::fs::metadata(&path)?.permissions();
        std::fs::set_permissions(&path, Permissions::from_mode(before.mode() | 0o002))?;
        for command in commands {
            let refused = machine.wine.agent(command)?.expect_code(1)?.stderr;
            let reason = format!("others than the administrators can change {shown}: Everyone");
            let has_advice = refused.contains("icacls") || refused.contains("copy the program to");
            ensure!(refused.contains(&reason) && has_advice, "{command:?}: {refused}");
        }
        std::fs::set_permissions(&path, before)?;
    }
    ensure!(!machine.has_key(SERVICE_KEY)? && std::fs::read_to_string(file)?.is_empty(), "something was changed");
    machine.steps(&["install", "--no-start"])?;
    machine.steps(&["uninstall"]).map(drop)
}
