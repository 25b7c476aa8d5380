//! A running Windows, as far as Wine is one: Kaspersky is planted in its registry and on its disk, for the machine and for
//! people, and the agent scans and reports it. `deploy/ci/windows` starts these tests.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use muster_tests::lab::Lab;
use muster_tests::wine::Wine;
use serde_json::{Value, json};

use super::{text, write_hives};

/// The order that is active by default.
pub(super) const US: &str = "us-bis-icts-2021-002";
/// Two people: one is logged on, and of the other there is only a profile with its hive.
const LOGGED_ON: (&str, &str) = ("S-1-5-21-1004336348-1177238915-682003330-1001", "anna.petrova");
const LOGGED_OFF: (&str, &str) = ("S-1-5-21-1004336348-1177238915-682003330-1002", "пётр.иванов");
/// The person who started Wine.
const WINE: &str = "S-1-5-21-0-0-0-1000";
/// The list of installed programs, below `Software` of the machine or a person.
const UNINSTALL: &str = r"Microsoft\Windows\CurrentVersion\Uninstall";
/// A product code, and as Windows Installer writes it in names of keys.
const CODE: (&str, &str) = ("{2F4A6C8E-0B1D-4E3F-8A5C-7D9E1F203142}", "E8C6A4F2D1B0F3E4A8C5D7E9F1021324");
const EXTENSION: &str = "amkpcclbbgegoafihnpgomddadjhcadd";
const PROGRAM: &str = r"Program Files (x86)\Kaspersky Lab\KES.12.0.0\avp.exe";
/// Sources in which something is planted. A source in which nothing is may not claim to have looked in vain.
const FOUND: &[&str] = &[
    "host",
    "watch-paths",
    "browser-extensions",
    "uninstall-keys",
    "services",
    "drivers",
    "filter-drivers",
    "scheduled-tasks",
    "msi",
    "registry",
];

/// Plants everything. A second time changes nothing.
pub(super) fn planted() -> Result<Wine> {
    let wine = Wine::started()?;
    let file = wine.on_drive(PROGRAM);
    std::fs::create_dir_all(file.parent().context("a file without a folder")?)?;
    std::fs::write(file, b"MZ\x90 a program of a test")?;
    let home = format!(r"users\{}", LOGGED_OFF.1);
    let extension = format!(r"{home}\AppData\Local\Google\Chrome\User Data\Default\Extensions\{EXTENSION}\7.1_0");
    let manifest = json!({ "name": "Kaspersky Protection", "version": "7.1" }).to_string();
    let task = "<Task><Actions><Exec><Command>C:\\Program Files\\Kaspersky Lab\\обновление.exe</Command></Exec></Actions></Task>";
    for (folder, file, contents) in [
        (extension.as_str(), "manifest.json", manifest.as_str()),
        (r"windows\system32\Tasks\Лаборатория", "Обновление", task),
        (&format!(r"users\{}", LOGGED_ON.1), "note", ""),
    ] {
        let folder = wine.on_drive(folder);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(file), contents)?;
    }
    let (machine, people) = (r"HKEY_LOCAL_MACHINE\SOFTWARE", r"HKEY_USERS");
    let list = format!(r"{machine}\Microsoft\Windows NT\CurrentVersion\ProfileList");
    let (sid, name) = LOGGED_ON;
    let mut keys = format!(
        r#"[{machine}\{UNINSTALL}\{code}]
"DisplayName"="Kaspersky Endpoint Security для Windows"
"DisplayVersion"="12.5.0.539"
"Publisher"="АО «Лаборатория Касперского»"
"InstallLocation"="C:\\Program Files (x86)\\Kaspersky Lab\\KES.12.0.0\\"

[{machine}\WOW6432Node\{UNINSTALL}\Агент администрирования]
"DisplayName"="Агент администрирования Kaspersky Security Center"
"InstallLocation"="C:\\Program Files (x86)\\Kaspersky Lab\\NetworkAgent"

[{people}\{sid}\Software\{UNINSTALL}\Kaspersky Password Manager]
"DisplayName"="Kaspersky Password Manager"
"InstallLocation"="C:\\Users\\{name}\\AppData\\Local\\Kaspersky Lab"

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\AVP12.5]
"DisplayName"="Служба Kaspersky Endpoint Security"
"Type"=dword:00000010
"Start"=dword:00000002
"ImagePath"="\"C:\\{program}\" -r"

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\klif]
"Type"=dword:00000002
"Start"=dword:00000001
"ImagePath"="\\SystemRoot\\System32\\drivers\\klif.sys"

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\klif\Instances\klif]
"Altitude"="389500"

[{machine}\Microsoft\Windows\CurrentVersion\Installer\UserData\S-1-5-18\Products\{packed}\InstallProperties]
"DisplayName"="Kaspersky Endpoint Security для Windows"
"DisplayVersion"="12.5.0.539"

[{machine}\KasperskyLab\protected\KES]
"Имя"="Защита"

"#,
        program = PROGRAM.replace('\\', r"\\"),
        code = CODE.0,
        packed = CODE.1,
    );
    // Wine does not list the profile of its own user. Windows does.
    let own = std::fs::read_dir(wine.on_drive("users"))?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let own = own.filter(|name| ![LOGGED_ON.1, LOGGED_OFF.1, "Public"].contains(&name.as_str())).last();
    let own = own.context("Wine made no profile")?;
    for (sid, name) in [LOGGED_ON, LOGGED_OFF, (WINE, own.as_str())] {
        keys.push_str(&format!("[{list}\\{sid}]\n\"ProfileImagePath\"=\"C:\\\\Users\\\\{name}\"\n\n"));
    }
    wine.register(&keys)?;
    write_hives(&[hive_of_logged_off(&wine)])?;
    Ok(wine)
}

/// The hive of the person who is not logged on, with an entry in each view.
fn hive_of_logged_off(wine: &Wine) -> Value {
    let wide = |text: &str| -> String {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).map(|byte| format!("{byte:02x}")).collect()
    };
    let entry = |node: &str, name: &str, folder: &str| {
        let path: Vec<&str> = ["Software"].into_iter().chain(node.split('\\')).chain(UNINSTALL.split('\\')).collect();
        let path: Vec<&str> = path.into_iter().filter(|name| !name.is_empty()).chain([name]).collect();
        json!({ "path": path, "values": [["DisplayName", 1, wide(name)], ["InstallLocation", 1, wide(folder)]] })
    };
    let home = format!(r"C:\Users\{}", LOGGED_OFF.1);
    json!({
        "file": wine.on_drive(&format!(r"users\{}\NTUSER.DAT", LOGGED_OFF.1)),
        "keys": [
            entry("", "Kaspersky VPN для дома", &format!(r"{home}\VPN")),
            entry("WOW6432Node", "Kaspersky Safe Kids", &format!(r"{home}\Дети")),
        ],
    })
}

/// Fails if a text names one of the people, or any security identifier of a person.
fn check_private(what: &str, text: &str) -> Result<()> {
    let lower = text.to_lowercase();
    for secret in [LOGGED_ON.1, LOGGED_OFF.1, "s-1-5-21-", "s-1-12-1-", r"c:\\users\\", "c:/users/"] {
        ensure!(!lower.contains(secret), "{what} contains {secret:?}:\n{text}");
    }
    Ok(())
}

/// What belongs to one person has one pseudonym, and what belongs to two has two.
fn check_pseudonyms(rows: &[Value]) -> Result<()> {
    let state = rows.iter().find(|row| row["record"] == "state").context("no state")?;
    let items = state["state"]["user_items"].as_array().context("no items of users")?;
    let user_of = |id: &str| {
        let place = format!("uninstall-key:{id}");
        let item =
            items.iter().find(|item| text(item, "place") == place).with_context(|| format!("{place}: {items:#?}"));
        item.map(|item| text(item, "user"))
    };
    let other = user_of("Kaspersky VPN для дома")?;
    ensure!(user_of("Kaspersky Safe Kids")? == other && user_of("Kaspersky Password Manager")? != other, "{items:#?}");
    Ok(())
}

/// What a planted thing must look like: source, name, path, state, and some attributes.
type Expected = (&'static str, &'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const KES: &str = r"C:\Program Files (x86)\Kaspersky Lab\KES.12.0.0";

const KLIF: &str = r"C:\windows\System32\drivers\klif.sys";

const EXPECTED: &[Expected] = &[
    (
        "uninstall-keys",
        "Kaspersky Endpoint Security для Windows",
        r"C:\Program Files (x86)\Kaspersky Lab\KES.12.0.0\",
        "",
        &[("scope", "machine"), ("view", "64")],
    ),
    (
        "uninstall-keys",
        "Агент администрирования Kaspersky Security Center",
        r"C:\Program Files (x86)\Kaspersky Lab\NetworkAgent",
        "missing",
        &[("scope", "machine"), ("view", "32")],
    ),
    (
        "uninstall-keys",
        "Kaspersky Password Manager",
        r"~\AppData\Local\Kaspersky Lab",
        "missing",
        &[("scope", "user"), ("view", "64")],
    ),
    ("uninstall-keys", "Kaspersky VPN для дома", r"~\VPN", "missing", &[("scope", "user"), ("view", "64")]),
    ("uninstall-keys", "Kaspersky Safe Kids", r"~\Дети", "missing", &[("scope", "user"), ("view", "32")]),
    (
        "services",
        "Служба Kaspersky Endpoint Security",
        r"C:\Program Files (x86)\Kaspersky Lab\KES.12.0.0\avp.exe",
        "",
        &[],
    ),
    ("drivers", "klif", KLIF, "binary-missing", &[("start", "system")]),
    ("filter-drivers", "klif", KLIF, "binary-missing", &[("altitude", "389500")]),
    ("scheduled-tasks", "Обновление", r"C:\Program Files\Kaspersky Lab\обновление.exe", "binary-missing", &[]),
    ("msi", "Kaspersky Endpoint Security для Windows", "", "", &[("scope", "machine")]),
    ("browser-extensions", "Kaspersky Protection", "~/AppData/Local/Google/Chrome/User Data", "", &[]),
    ("watch-paths", KES, KES, "", &[]),
    ("registry", r"HKLM\SOFTWARE\KasperskyLab", r"HKLM\SOFTWARE\KasperskyLab", "", &[]),
];

#[test]
#[ignore = "deploy/ci/windows runs it under Wine"]
fn everything_planted_in_a_running_windows_is_found() -> Result<()> {
    let wine = planted()?;
    let answer = wine.agent(&["scan", "-o", "ndjson", "--show-sent", "--user-scope", "all"])?.expect_code(0)?;
    check_private("what is sent", &answer.stdout)?;
    let rows = answer.ndjson()?;
    let observed: Vec<&Value> = rows.iter().filter(|row| row["record"] == "observation").collect();
    ensure!(observed.iter().all(|row| row["platform"] == "windows"), "{observed:#?}");
    for (source, name, path, state, attributes) in EXPECTED {
        let is_expected = |row: &&&Value| {
            [("source", source), ("name", name), ("path", path), ("state", state)]
                .iter()
                .all(|(field, value)| text(row, field) == **value)
                && attributes.iter().all(|(attribute, value)| row["attributes"][attribute] == **value)
        };
        let of_source: Vec<&&Value> = observed.iter().filter(|row| text(row, "source") == *source).collect();
        ensure!(
            observed.iter().any(|row| is_expected(&row)),
            "{source} has no {name:?} {path:?} {state:?} {attributes:?}: {of_source:#?}"
        );
    }
    check_pseudonyms(&rows)?;
    let outcomes: BTreeMap<&str, &Value> =
        rows.iter().filter(|row| row["record"] == "outcome").map(|row| (text(row, "source"), row)).collect();
    for source in FOUND {
        ensure!(text(outcomes[source], "outcome") == "found", "{:#}", outcomes[source]);
    }
    // The list of processes is complete, and no watched program runs.
    for (source, row) in outcomes.iter().filter(|(source, _)| **source != "processes") {
        ensure!(text(row, "outcome") != "empty", "{source} claims to have looked in vain: {row:#}");
    }
    Ok(())
}

/// Wine 8 has neither Security Center nor Defender, so what they answer is tested by replay (`verdicts.rs`). Here the questions are
/// asked, and the answer that there is nobody must not look like an absence of products.
#[test]
#[ignore = "deploy/ci/windows runs it under Wine"]
fn what_only_the_running_system_knows_is_asked_and_can_be_recorded() -> Result<()> {
    let wine = planted()?;
    // A program of Wine that waits, under a watched name.
    let (program, stop) =
        (wine.on_drive(r"Program Files (x86)\Kaspersky Lab\KES.12.0.0\avpui.exe"), wine.on_drive("stop"));
    std::fs::copy(wine.on_drive(r"windows\system32\cmd.exe"), &program)?;
    let _ = std::fs::remove_file(&stop);
    let waits = r"for /l %i in (1,1,600) do @if not exist C:\stop ping -n 2 127.0.0.1 >nul";
    let (recorded, file) = (r"C:\recorded.jsonl", wine.on_drive("recorded.jsonl"));
    // The prefix survives a run.
    let _ = std::fs::remove_file(&file);
    let answer = std::thread::scope(|scope| -> Result<_> {
        let running = scope.spawn(|| wine.run(&program, &["/c", waits]));
        let answer = (0..20).find_map(|_| {
            let scanned = wine.agent(&["scan", "-o", "ndjson", "--show-sent", "--record-wmi", recorded]).ok()?;
            scanned.stdout.contains("process:avpui.exe").then_some(scanned)
        });
        std::fs::write(&stop, "")?;
        running.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        answer.context("the running program is never seen")
    })?;
    let rows = answer.expect_code(0)?.ndjson()?;
    let outcome = |source: &str| rows.iter().find(|row| row["record"] == "outcome" && text(row, "source") == source);
    for (source, expected, reason) in [
        ("security-center", "failed", "the namespace or class does not exist"),
        ("defender", "not-applicable", "no Microsoft Defender"),
        ("processes", "found", ""),
    ] {
        let row = outcome(source).context("no outcome")?;
        ensure!(text(row, "outcome") == expected && text(row, "reason").contains(reason), "{row:#}");
    }
    let seen = rows
        .iter()
        .any(|row| text(row, "source") == "processes" && text(row, "path").ends_with(r"KES.12.0.0\avpui.exe"));
    ensure!(seen, "{rows:#?}");
    let state = &rows.iter().find(|row| row["record"] == "state").context("no state")?["state"];
    ensure!(!text(state, "boot_id").is_empty(), "{state:#}");
    ensure!(
        state["realtime"].as_array().is_some_and(|all| all.iter().any(|one| text(one, "place") == "process:avpui.exe")),
        "{state:#}"
    );
    ensure!(["found", "empty"].contains(&text(state, "units_outcome")), "{state:#}");
    let recording = std::fs::read_to_string(file)?;
    for line in [r#""error":"absent""#, "avpui.exe", "SecurityCenter2:FirewallProduct"] {
        ensure!(recording.contains(line), "{line} is not in {recording}");
    }
    Ok(())
}

#[test]
#[ignore = "deploy/ci/windows runs it under Wine"]
fn the_agent_enrolls_and_reports_and_the_verdict_says_replace() -> Result<()> {
    let wine = planted()?;
    let lab = Lab::start()?;
    let state = wine.on_drive("muster-test");
    if state.exists() {
        std::fs::remove_dir_all(&state)?;
    }
    std::fs::create_dir_all(&state)?;
    std::fs::write(state.join("agent.toml"), "")?;
    std::fs::write(state.join("token"), lab.token(1, "1h")?)?;
    let own = ["--config", r"C:\muster-test\agent.toml", "--state-dir", r"C:\muster-test\state"];
    let collector = format!("https://{}", lab.listening().agents);
    let enroll = ["enroll", "--collector", &collector, "--token-file", r"C:\muster-test\token", "-o", "json"];
    let enrolled = wine.agent(&[&enroll[..], &own].concat())?.expect_code(0)?.json()?;
    let id = text(&enrolled, "host_id");
    let sent = wine.agent(&[&["once", "-o", "json"][..], &own].concat())?.expect_code(0)?;
    check_private("the report of the delivery", &sent.stdout)?;
    lab.judged()?;
    let explained = lab.muster(&["explain", id, "-o", "json"])?;
    check_private("what the collector knows", &explained.stdout)?;
    let host = &explained.json()?["host"];
    ensure!(host["facts"]["platform"] == "windows", "{host:#}");
    let verdicts = host["verdicts"].as_array().context("no verdicts")?;
    let verdict = verdicts.iter().find(|verdict| verdict["order"]["id"] == US).context("no verdict")?;
    ensure!((text(verdict, "lane"), text(verdict, "presence")) == ("replace", "installed"), "{verdict:#}");
    Ok(())
}
