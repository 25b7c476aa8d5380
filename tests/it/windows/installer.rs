//! The tables of the Windows Installer package. What Windows Installer does with them is tested under Wine
//! (`deploy/ci/windows installer`); what only a real Windows does is in `deploy/windows/README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use muster_tests::binaries;
use muster_tests::left_out::left_out;
use muster_tests::process::Answer;

const TOOLS: &[&str] = &["wixl", "msibuild", "msiinfo", "x86_64-w64-mingw32-gcc"];
/// Set by `deploy/ci/test`, which installs the tools: then the test may not be left out.
const NEEDED: &str = "MUSTER_TEST_MSI";

/// Bits of `CustomAction.Type`.
const DLL: u32 = 1;
const SET_PROPERTY: u32 = 51;
const IN_SCRIPT: u32 = 0x400;
const NO_IMPERSONATE: u32 = 0x800;
const HIDE_TARGET: u32 = 0x2000;
/// `msidbComponentAttributes64bit`.
const IS_64_BIT: &str = "256";

/// A table: rows of columns, without the names and types.
type Table = Vec<Vec<String>>;

struct Package {
    file: PathBuf,
    tables: BTreeMap<String, Table>,
}

impl Package {
    fn read(file: PathBuf) -> Result<Self> {
        // It unpacks the streams of some tables into the working directory.
        let folder = file.parent().context("a folder")?;
        let msiinfo = |arguments: &[&str]| -> Result<Answer> {
            let mut command = Command::new("msiinfo");
            Answer::of(command.current_dir(folder).arg(arguments[0]).arg(&file).args(&arguments[1..]))?.expect_code(0)
        };
        let names = msiinfo(&["tables"])?.stdout;
        let mut tables = BTreeMap::new();
        for name in names.lines() {
            let answer = msiinfo(&["export", name])?;
            let rows = answer.stdout.lines().skip(3).map(|row| row.split('\t').map(str::to_owned).collect());
            tables.insert(name.to_owned(), rows.collect());
        }
        Ok(Self { file, tables })
    }

    fn rows(&self, table: &str) -> &[Vec<String>] {
        self.tables.get(table).map_or(&[], Vec::as_slice)
    }

    /// The only row with this key.
    fn row(&self, table: &str, key: &str) -> Result<Vec<&str>> {
        let row = self.rows(table).iter().find(|row| row.first().is_some_and(|first| first == key));
        Ok(row.with_context(|| format!("{table} has no row {key}"))?.iter().map(String::as_str).collect())
    }

    fn property(&self, name: &str) -> Result<&str> {
        self.row("Property", name)?.get(1).copied().with_context(|| format!("{name} has no value"))
    }

    fn list(&self, property: &str) -> Result<BTreeSet<&str>> {
        Ok(self.property(property)?.split(';').collect())
    }

    fn action_type(&self, action: &str) -> Result<u32> {
        Ok(self.row("CustomAction", action)?[1].parse()?)
    }

    fn sequence(&self, action: &str) -> Result<u32> {
        let row = self.row("InstallExecuteSequence", action)?;
        row[2].parse().with_context(|| format!("the sequence of {action}: {row:?}"))
    }

    /// Properties of ours that any cell names.
    fn named_properties(&self) -> BTreeSet<String> {
        let cells = self.tables.values().flatten().flatten();
        let words = cells.flat_map(|cell| cell.split(|c: char| !(c.is_ascii_uppercase() || c == '_')));
        words.filter(|word| word.starts_with("MUSTER_")).map(str::to_owned).collect()
    }
}

fn can() -> Result<bool> {
    let missing: Vec<&str> =
        TOOLS.iter().copied().filter(|tool| Command::new(tool).arg("--version").output().is_err()).collect();
    ensure!(
        missing.is_empty() || std::env::var_os(NEEDED).is_none(),
        "{missing:?} are missing: deploy/ci/test installs them"
    );
    if !missing.is_empty() {
        left_out("the Windows Installer package", &format!("{} are missing", missing.join(", ")));
    }
    Ok(missing.is_empty())
}

fn build(version: &str, program: &Path, out: &Path) -> Result<Answer> {
    let mut package = Command::new(binaries::repository().join("deploy/windows/package"));
    Answer::of(package.arg("--program").arg(program).args(["--version", version]).arg("--out").arg(out))
}

fn packages(folder: &Path) -> Result<[Package; 3]> {
    let program = folder.join("program");
    std::fs::write(&program, "MZ, and no program")?;
    let built = |version, out: &str| -> Result<Package> {
        let answer = build(version, &program, &folder.join(out))?.expect_code(0)?;
        Package::read(answer.stdout.trim().into())
    };
    Ok([built("1.2.3", "first")?, built("1.2.3", "again")?, built("1.3.0", "next")?])
}

#[test]
fn the_tables_keep_the_token_secret_and_the_service_running() -> Result<()> {
    if !can()? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let [package, again, next] = packages(folder.path())?;
    ensure!(std::fs::read(&package.file)? == std::fs::read(&again.file)?, "the same input gives another package");
    the_token_is_hidden(&package)?;
    the_actions_come_in_order(&package)?;
    the_service_is_described(&package)?;
    versions_replace_each_other(&package, &next)
}

fn the_token_is_hidden(package: &Package) -> Result<()> {
    let hidden = package.list("MsiHiddenProperties")?;
    ensure!(hidden.contains("MUSTER_TOKEN"), "{hidden:?}");
    let named = package.named_properties();
    let secure = package.list("SecureCustomProperties")?;
    ensure!(named.len() == 4 && named.iter().all(|name| secure.contains(name.as_str())), "{named:?} in {secure:?}");
    // What takes the token is hidden as well, and runs as the system.
    let mut takers = 0;
    for row in package.rows("CustomAction").iter().filter(|row| row[3].contains("[MUSTER_TOKEN]")) {
        let (kind, data) = (package.action_type(&row[0])?, row[2].as_str());
        ensure!(kind == SET_PROPERTY | HIDE_TARGET && hidden.contains(data), "{row:?}");
        ensure!(package.action_type(data)? == DLL | IN_SCRIPT | NO_IMPERSONATE | HIDE_TARGET, "{data}");
        takers += 1;
    }
    ensure!(takers == 1 && hidden.contains("CustomActionData"), "{takers} actions take the token; hidden: {hidden:?}");
    // The log of a session ends with its properties, so the secret ones are emptied, whatever the condition.
    for (action, property) in [("ClearToken", "MUSTER_TOKEN"), ("ClearConfigureAgent", "ConfigureAgent")] {
        let row = package.row("CustomAction", action)?;
        ensure!(row[1..4] == ["51", property, ""], "{row:?}");
        ensure!(package.row("InstallExecuteSequence", action)?[1].is_empty(), "{action} has a condition");
    }
    for action in ["PurgeAgent", "SetUpService", "WaitForAgent"] {
        ensure!(package.action_type(action)? == DLL | IN_SCRIPT | NO_IMPERSONATE, "{action}");
    }
    let waits = package.row("InstallExecuteSequence", "WaitForAgent")?[1].is_empty();
    ensure!(waits, "a program in use would be replaced at the next restart only");
    // No other table could store it anywhere.
    for (name, rows) in &package.tables {
        let may = ["CustomAction", "LaunchCondition", "Property"].contains(&name.as_str());
        ensure!(may || !rows.iter().flatten().any(|cell| cell.contains("MUSTER_TOKEN")), "{name} names the token");
        let writes = ["IniFile", "Environment", "Shortcut"].contains(&name.as_str());
        ensure!(!writes || rows.is_empty(), "{name} writes {rows:?}");
    }
    let values = package.rows("Property").iter().filter(|row| row[0].starts_with("MUSTER_")).count();
    ensure!(values == 0, "a property of the command line has a value in the package");
    Ok(())
}

fn the_actions_come_in_order(package: &Package) -> Result<()> {
    let order = [
        "LaunchConditions",
        "InstallInitialize",
        "StopServices",
        "SetWaitForAgent",
        "WaitForAgent",
        "SetPurgeAgent",
        "PurgeAgent",
        "DeleteServices",
        "RemoveFiles",
        "InstallFiles",
        "SetConfigureAgent",
        "ConfigureAgent",
        "ClearToken",
        "ClearConfigureAgent",
        "InstallServices",
        "SetSetUpService",
        "SetUpService",
        "StartServices",
        "InstallExecute",
        "RemoveExistingProducts",
        "InstallFinalize",
    ];
    let numbers = order.iter().map(|action| package.sequence(action)).collect::<Result<Vec<_>>>()?;
    ensure!(numbers.is_sorted_by(|a, b| a < b), "{:?}", order.iter().zip(numbers).collect::<Vec<_>>());
    let condition = |action: &str| package.row("InstallExecuteSequence", action).map(|row| row[1].to_owned());
    for action in ["SetPurgeAgent", "PurgeAgent"] {
        ensure!(condition(action)? == "REMOVE~=\"ALL\" AND MUSTER_PURGE=\"1\" AND NOT UPGRADINGPRODUCTCODE");
    }
    for action in ["SetConfigureAgent", "ConfigureAgent", "SetSetUpService", "SetUpService"] {
        ensure!(condition(action)? == "NOT REMOVE~=\"ALL\"");
    }
    ensure!(condition("RemoveExistingProducts")?.is_empty());
    Ok(())
}

fn the_service_is_described(package: &Package) -> Result<()> {
    let service = package.row("ServiceInstall", "AgentService")?;
    ensure!(service[1..6] == ["MusterAgent", "Muster Agent", "16", "2", "1"], "{service:?}");
    ensure!(service[8..12] == ["LocalSystem", "", "run", "Agent"], "{service:?}");
    // Stop at both, delete at removal, and wait for it; start at installation, and do not wait.
    ensure!(package.row("ServiceControl", "StopAgent")?[1..] == ["MusterAgent", "162", "", "1", "Agent"]);
    ensure!(package.row("ServiceControl", "StartAgent")?[1..] == ["MusterAgent", "1", "", "0", "Agent"]);
    ensure!(package.rows("ServiceControl").len() == 2 && package.rows("ServiceInstall").len() == 1);
    // The only values of the registry: the source of the Event Log, as `muster-agent service install` writes it.
    let source = r"SYSTEM\CurrentControlSet\Services\EventLog\Application\MusterAgent";
    for (row, name, value) in [
        ("EventMessages", "EventMessageFile", r"#%%SystemRoot%\System32\EventCreate.exe"),
        ("EventTypes", "TypesSupported", "#7"),
    ] {
        ensure!(package.row("Registry", row)?[1..] == ["2", source, name, value, "Agent"], "{row}");
    }
    ensure!(package.rows("Registry").len() == 2, "{:?}", package.rows("Registry"));
    let action = package.row("CustomAction", "SetSetUpService")?;
    ensure!(action[2..4] == ["SetUpService", "[AgentFolder]muster-agent.exe"], "{action:?}");
    ensure!(package.property("MSIRESTARTMANAGERCONTROL")? == "Disable", "it would stop the service a second time");
    Ok(())
}

fn versions_replace_each_other(package: &Package, next: &Package) -> Result<()> {
    ensure!(package.property("UpgradeCode")? == "{B7B6F3C4-6C0B-4B0E-9C3B-5B7E3F6E2A11}", "it never changes");
    ensure!(next.property("UpgradeCode")? == package.property("UpgradeCode")?);
    ensure!(next.property("ProductCode")? != package.property("ProductCode")?);
    // The same component in all versions: the old one leaves it alone while the new one has it.
    let component = package.row("Component", "Agent")?;
    ensure!(component[1] == "{5D8E2C77-52B4-4E0D-8F4E-0C6C5F1D9A20}" && component[3] == IS_64_BIT, "{component:?}");
    ensure!(next.row("Component", "Agent")? == component && package.rows("Component").len() == 1);
    ensure!(package.property("REINSTALLMODE")? == "amus", "an old program with a later time would stay");
    let code = package.property("UpgradeCode")?;
    let upgrade: BTreeSet<Vec<&str>> =
        package.rows("Upgrade").iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let expected = [
        vec![code, "", "1.2.3", "", "1", "", "WIX_UPGRADE_DETECTED"],
        vec![code, "1.2.3", "", "", "2", "", "WIX_DOWNGRADE_DETECTED"],
    ];
    ensure!(upgrade == BTreeSet::from(expected), "{upgrade:?}");
    let (_, message) = package
        .rows("LaunchCondition")
        .iter()
        .find_map(|row| Some((row.first().filter(|text| *text == "NOT WIX_DOWNGRADE_DETECTED")?, row.get(1)?)))
        .context("nothing refuses a downgrade")?;
    ensure!(message.starts_with("A newer version of Muster Agent is installed."), "{message}");
    let template = package.row("_SummaryInformation", "7")?;
    ensure!(template[1] == "x64;1033", "{template:?}");
    ensure!(next.row("_SummaryInformation", "9")? != package.row("_SummaryInformation", "9")?, "one package code");
    Ok(())
}

#[test]
fn a_version_that_windows_installer_would_cut_is_refused() -> Result<()> {
    if !can()? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("program");
    std::fs::write(&program, "MZ")?;
    for version in ["1.2", "1.2.3-rc.1", "1.2.3.4", "256.0.0", "1.256.0", "1.0.65536"] {
        let answer = build(version, &program, folder.path())?.expect_code(1)?;
        ensure!(answer.stderr.contains(&format!("version {version}")), "{}", answer.stderr);
    }
    Ok(())
}
