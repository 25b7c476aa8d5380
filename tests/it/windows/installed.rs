//! The package of the agent with a real collector, under Wine: an installation with properties makes the host appear at the
//! collector, an upgrade and a second installation keep it the same host, a downgrade is refused, and a purge leaves nothing.
//! `deploy/ci/windows` builds two versions of the package and starts this test.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use muster_tests::eventually;
use muster_tests::lab::Lab;
use muster_tests::wine::Wine;

use super::service::{EVENT_KEY, Machine, PATIENCE, SERVICE_KEY, passed};
use super::text;

/// The folder with the packages.
const PACKAGES: &str = "MUSTER_TEST_WINDOWS_PACKAGES";
const OLD: &str = "0.0.1";
const NEW: &str = "0.0.2";
/// 1603, the error of an installation that failed, as Wine cuts it.
const FAILED: i32 = 67;
const STARTED: &str = "the agent has started";
const STOPPING: &str = "the agent is stopping";

struct Packages<'a> {
    machine: &'a Machine,
    folder: PathBuf,
}

impl Packages<'_> {
    fn run(&self, action: &str, version: &str, properties: &[&str]) -> Result<Option<i32>> {
        let package = Wine::path_of(&self.folder.join(format!("muster-agent-{version}-x64.msi")));
        let begun = Instant::now();
        let arguments = [&[action, package.as_str(), "/qn", "/l*v", r"C:\installed.log"][..], properties].concat();
        let code = self.machine.wine.run(Path::new("msiexec"), &arguments)?.code;
        passed(&format!("msiexec {action} {version} {}", properties.join(" ")), begun);
        Ok(code)
    }

    fn succeed(&self, action: &str, version: &str, properties: &[&str]) -> Result<()> {
        let code = self.run(action, version, properties)?;
        let log = || std::fs::read(self.machine.wine.on_drive("installed.log")).unwrap_or_default();
        ensure!(code == Some(0), "{action} {version}: {code:?}\n{}", String::from_utf8_lossy(&log()).replace('\0', ""));
        Ok(())
    }
}

/// The id of the host once the service has delivered; `before` is how often the agent had started before that.
fn delivered(machine: &Machine, before: usize) -> Result<String> {
    eventually("the installed agent starts, enrolls and delivers", PATIENCE, || {
        let status = machine.status()?;
        let is_done = status["running"] == true
            && machine.events(STARTED)? == before + 1
            && !status["last_acknowledged_snapshot"].is_null();
        Ok(status["enrolled"]["host_id"].as_str().filter(|_| is_done).map(str::to_owned))
    })
}

#[test]
#[ignore = "deploy/ci/windows runs it under Wine"]
fn an_installed_agent_enrolls_and_stays_the_same_host() -> Result<()> {
    let machine = Machine::clean()?;
    let folder = std::env::var_os(PACKAGES).with_context(|| format!("{PACKAGES} is not set"))?;
    let packages = Packages { machine: &machine, folder: folder.into() };
    let lab = Lab::start()?;
    std::fs::write(machine.wine.on_drive("service-token"), lab.token(1, "1h")?)?;
    let collector = format!("MUSTER_COLLECTOR=https://{}", lab.listening().agents);
    let token = r"MUSTER_TOKEN_FILE=C:\service-token";

    let (starts, begun) = (machine.events(STARTED)?, Instant::now());
    packages.succeed("/i", OLD, &[&collector, token])?;
    let id = delivered(&machine, starts)?;
    passed("the installed host has reported", begun);
    lab.judged()?;
    let explained = lab.muster(&["explain", &id, "-o", "json"])?.json()?;
    ensure!(explained["host"]["facts"]["platform"] == "windows", "{explained:#}");
    let service = machine.service()?;
    ensure!(service["packaged"] == true && text(&service, "active") == "running", "{service}");
    let refused = machine.wine.agent(&["service", "uninstall"])?.expect_code(1)?;
    ensure!(refused.stderr.contains("was installed by a package"), "{}", refused.stderr);
    ensure!(machine.has_key(EVENT_KEY)?, "the Event Log does not know the agent");

    let (starts, stops) = (machine.events(STARTED)?, machine.events(STOPPING)?);
    packages.succeed("/i", NEW, &[])?;
    ensure!(delivered(&machine, starts)? == id, "the upgrade made another host");
    ensure!(machine.events(STOPPING)? == stops + 1, "the upgrade did not stop the service once");

    packages.succeed("/x", NEW, &[])?;
    ensure!(!machine.has_key(SERVICE_KEY)? && !machine.has_key(EVENT_KEY)?, "the removal left a key");
    let starts = machine.events(STARTED)?;
    packages.succeed("/i", NEW, &[])?;
    ensure!(delivered(&machine, starts)? == id, "the second installation made another host");

    ensure!(packages.run("/i", OLD, &[])? == Some(FAILED), "a downgrade is not refused");
    ensure!(text(&machine.service()?, "active") == "running", "the refused downgrade stopped the service");
    let hosts = lab.muster(&["hosts", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(hosts["total"] == 1, "{hosts}");

    packages.succeed("/x", NEW, &["MUSTER_PURGE=1"])?;
    ensure!(
        !machine.folder().exists(),
        "the purge left {:?}",
        std::fs::read_dir(machine.folder())?.collect::<Vec<_>>()
    );
    Ok(())
}
