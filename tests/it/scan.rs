//! `muster-agent scan`: what it prints without any collector.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use muster_tests::canned::{Root, package_count};
use muster_tests::process::Answer;
use muster_tests::{binaries, chance};
use serde_json::Value;

fn scan(arguments: &[&str]) -> Result<Answer> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(binaries::find("muster-agent")?);
    command.arg("scan").arg("--state-dir").arg(folder.path()).args(arguments);
    Answer::of(&mut command)
}

/// The records of one scan of a root.
struct ScanOutput {
    records: Vec<Value>,
}

impl ScanOutput {
    fn at(root: &Root) -> Result<Self> {
        let place = root.path().display().to_string();
        let answer = scan(&["--root", &place, "-o", "ndjson"])?.expect_code(0)?;
        Ok(Self { records: answer.ndjson()? })
    }

    fn outcome(&self, source: &str) -> (&str, &str) {
        let record = self.records.iter().find(|record| record["record"] == "outcome" && record["source"] == source);
        let text = |key: &str| record.and_then(|record| record[key].as_str()).unwrap_or("no record");
        (text("outcome"), text("reason"))
    }

    fn observations(&self, source: &str) -> Vec<&Value> {
        self.records.iter().filter(|record| record["record"] == "observation" && record["source"] == source).collect()
    }

    fn observation(&self, source: &str, name: &str) -> Option<&Value> {
        self.observations(source).into_iter().find(|record| record["name"] == name)
    }
}

#[test]
fn a_volume_without_a_system_says_which_files_one_has() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir_all(folder.path().join("Program Files/7-Zip"))?;
    let answer = scan(&["--root", &folder.path().display().to_string()])?.expect_code(0)?;
    for file in ["etc/os-release", "Windows/System32/config/SYSTEM"] {
        assert!(answer.stdout.contains(file), "{file}: {}", answer.stdout);
    }
    Ok(())
}

#[test]
fn a_healthy_root_is_scanned_completely() -> Result<()> {
    let output = ScanOutput::at(&Root::debian("healthy")?)?;
    assert_eq!(output.outcome("dpkg").0, "found");
    assert_eq!(output.observations("dpkg").len(), package_count());
    assert_eq!(output.outcome("host").0, "found");
    assert_eq!(output.outcome("systemd-units").0, "found");
    assert_eq!(output.outcome("watch-paths").0, "empty");
    assert_eq!(output.outcome("rpm").0, "not-applicable");
    let dpkg = output.observation("dpkg", "dpkg").context("dpkg itself")?;
    assert_eq!(dpkg["version"], "1.21.22");
    assert_eq!(dpkg["source_kind"], "deb");
    assert_eq!(dpkg["platform"], "linux");
    Ok(())
}

#[test]
fn a_directory_emptied_by_an_uninstaller_has_the_state_no_files() -> Result<()> {
    let root = Root::debian("emptied")?;
    std::fs::create_dir_all(root.path().join("opt/kaspersky/kesl/bin"))?;
    let state = |output: &ScanOutput| Some(output.observation("watch-paths", "/opt/kaspersky")?["state"].clone());
    assert_eq!(state(&ScanOutput::at(&root)?).context("the folder")?, "no-files");
    root.write("opt/kaspersky/kesl/bin/kesl-control", "\u{7f}ELF")?;
    assert_ne!(state(&ScanOutput::at(&root)?).context("the folder")?, "no-files");
    Ok(())
}

#[test]
fn kaspersky_is_found_by_packages_units_and_paths() -> Result<()> {
    let output = ScanOutput::at(&Root::debian("planted")?.with_kaspersky()?)?;
    let kesl = output.observation("dpkg", "kesl").context("no package kesl")?;
    assert_eq!(kesl["version"], "12.0.0-6672");
    assert!(output.observation("dpkg", "klnagent64").is_some());
    assert!(
        output
            .records
            .iter()
            .any(|record| record["source"] == "systemd-units" && record.to_string().contains("kesl.service"))
    );
    assert!(output.observations("watch-paths").iter().any(|record| record.to_string().contains("/opt/kaspersky")));
    Ok(())
}

#[test]
fn a_removed_package_has_the_state_rc() -> Result<()> {
    let output = ScanOutput::at(&Root::debian("leftover")?.with_kaspersky_removed()?)?;
    assert_eq!(output.observation("dpkg", "kesl").context("no package kesl")?["state"], "rc");
    Ok(())
}

#[test]
fn a_damaged_package_database_is_never_read_completely() -> Result<()> {
    for (what, root, outcomes) in [
        ("truncated", Root::debian("a")?.with_database_truncated()?, &["partial", "failed"][..]),
        ("cut between stanzas", Root::debian("f")?.with_database_cut_between_stanzas()?, &["partial", "failed"]),
        ("garbage", Root::debian("b")?.with_database_of_garbage()?, &["partial", "failed"]),
        ("unreadable", Root::debian("c")?.with_database_unreadable()?, &["denied", "failed"]),
        ("missing", Root::debian("d")?.without_database()?, &["failed"]),
        ("empty", Root::debian("e")?.with_database_empty()?, &["failed"]),
    ] {
        let output = ScanOutput::at(&root)?;
        let (outcome, reason) = output.outcome("dpkg");
        assert!(outcomes.contains(&outcome), "{what}: {outcome} ({reason})");
        assert!(!reason.is_empty(), "{what}: {outcome} without a reason");
    }
    Ok(())
}

#[test]
fn packages_before_the_damage_in_a_database_are_found() -> Result<()> {
    let output = ScanOutput::at(&Root::debian("cut")?.with_database_truncated()?)?;
    let seen = output.observations("dpkg").len();
    assert!(seen > 50 && seen < package_count(), "{seen} of {} packages", package_count());
    Ok(())
}

#[test]
fn links_resolve_inside_the_root() -> Result<()> {
    // An absolute link, and one with more `..` than directories: both lead to the root's own files.
    let root = Root::debian("links")?;
    let at = |place: &str| root.path().join(place);
    std::fs::rename(at("var/lib/dpkg/status"), at("etc/moved-status"))?;
    symlink("/etc/moved-status", at("var/lib/dpkg/status"))?;
    std::fs::remove_file(at("etc/os-release"))?;
    symlink("../../../../../../../../usr/lib/os-release", at("etc/os-release"))?;
    let output = ScanOutput::at(&root)?;
    assert_eq!(output.observations("dpkg").len(), package_count());
    // The target exists only on this machine, so the link is broken inside the root.
    std::fs::remove_file(at("var/lib/dpkg/status"))?;
    let outside = tempfile::NamedTempFile::new()?;
    std::fs::write(outside.path(), "Package: outside\nStatus: install ok installed\nVersion: 1\n\n")?;
    symlink(outside.path(), at("var/lib/dpkg/status"))?;
    let output = ScanOutput::at(&root)?;
    assert!(output.observation("dpkg", "outside").is_none(), "a link led out of the root");
    assert_eq!(output.outcome("dpkg").0, "failed");
    Ok(())
}

#[test]
fn a_link_loop_ends() -> Result<()> {
    let root = Root::debian("circle")?;
    let units = root.path().join("etc/systemd/system");
    symlink("b.service", units.join("a.service"))?;
    symlink("a.service", units.join("b.service"))?;
    symlink(".", units.join("loop"))?;
    let output = ScanOutput::at(&root)?;
    assert!(["found", "partial"].contains(&output.outcome("systemd-units").0), "{:?}", output.outcome("systemd-units"));
    Ok(())
}

#[test]
fn facts_come_from_the_root_only() -> Result<()> {
    let root = Root::debian("from-the-root")?;
    root.write("usr/lib/os-release", "ID=debian\nVERSION_ID=\"7\"\nPRETTY_NAME=\"Debian GNU/Linux 7 (wheezy)\"\n")?;
    let place = root.path().display().to_string();
    let sent = scan(&["--root", &place, "--show-sent", "-o", "json"])?.expect_code(0)?.json()?["sent"].clone();
    assert_eq!(sent["facts"]["hostname"], "from-the-root");
    assert_eq!(sent["facts"]["os_name"], "Debian GNU/Linux 7 (wheezy)");
    assert_eq!(sent["facts"]["offline_root"], true);
    assert_eq!(sent["state"]["addresses"].as_array().map(Vec::len), Some(0), "addresses of this machine: {sent}");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    assert!(!sent["facts"].to_string().contains(kernel.trim()), "the kernel of this machine: {}", sent["facts"]);
    Ok(())
}

/// Source to digest of every section that would be sent.
fn digests(place: &Path) -> Result<(BTreeMap<String, String>, String)> {
    let place = place.display().to_string();
    let sent = scan(&["--root", &place, "--show-sent", "-o", "json"])?.expect_code(0)?.json()?["sent"].clone();
    let entries = sent["snapshot"]["entries"].as_array().context("no entries")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let digests = entries.iter().map(|entry| (text(&entry["source"]), text(&entry["section"]))).collect();
    Ok((digests, text(&sent["snapshot"]["digest"])))
}

#[test]
fn two_machines_of_one_image_have_the_same_digests() -> Result<()> {
    let one = Root::debian("one")?.with_kaspersky()?;
    let two = Root::debian("two")?.with_kaspersky()?;
    for (root, user) in [(&one, "alice"), (&two, "bob")] {
        root.write("etc/passwd", &format!("{user}:x:1000:1000::/home/{user}:/bin/bash\n"))?;
        root.write(&format!("home/{user}/.config/app"), user)?;
        root.write("etc/machine-id", &format!("{user:x<32}\n"))?;
        root.write("var/log/syslog", user)?;
        root.write(
            "var/lib/clamav/daily.cld",
            &format!("ClamAV-VDB:x:{}:1:90:d:s:b:17000000{}0", user.len(), user.len()),
        )?;
        let extension = ".config/google-chrome/Default/Extensions/ddoleachckhhdmhpbkddgechjfhnphpe/2.0_0/manifest.json";
        root.write(&format!("home/{user}/{extension}"), r#"{"name":"Kaspersky Protection","version":"2.0"}"#)?;
    }
    // Scanned on different days.
    let days = |number: u64| std::time::UNIX_EPOCH + std::time::Duration::from_secs(number * 24 * 3600);
    for (root, day) in [(&one, 20_000), (&two, 20_400)] {
        set_times(root.path(), days(day))?;
    }
    // The packages are in a different order in the database.
    let status = std::fs::read_to_string(two.path().join("var/lib/dpkg/status"))?;
    let mut stanzas: Vec<&str> = status.split("\n\n").filter(|stanza| !stanza.is_empty()).collect();
    let mut chance = chance::Chance::new(1);
    for index in (1..stanzas.len()).rev() {
        stanzas.swap(index, usize::try_from(chance.below(index as u64 + 1))?);
    }
    std::fs::write(two.path().join("var/lib/dpkg/status"), stanzas.join("\n\n") + "\n\n")?;
    assert_eq!(digests(one.path())?, digests(two.path())?);
    // The state differs: it says whose extension it is, under a pseudonym.
    let users = |root: &Root| -> Result<Vec<String>> {
        let place = root.path().display().to_string();
        let sent = scan(&["--root", &place, "--show-sent", "-o", "json"])?.expect_code(0)?.json()?["sent"].clone();
        let items = sent["state"]["user_items"].as_array().context("no items")?.clone();
        Ok(items.iter().map(|item| item["user"].as_str().unwrap_or_default().to_owned()).collect())
    };
    let (of_one, of_two) = (users(&one)?, users(&two)?);
    assert_eq!((of_one.len(), of_two.len()), (1, 1));
    assert_ne!(of_one, of_two);
    Ok(())
}

/// Sets the time of every file and folder.
fn set_times(place: &Path, time: std::time::SystemTime) -> Result<()> {
    for entry in std::fs::read_dir(place)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            set_times(&entry.path(), time)?;
        }
        if !entry.file_type()?.is_symlink() {
            std::fs::File::open(entry.path())?.set_modified(time)?;
        }
    }
    Ok(())
}

#[test]
fn nothing_that_is_sent_names_a_user_or_a_home_directory() -> Result<()> {
    let root = Root::debian("private")?.with_kaspersky()?;
    root.write("etc/passwd", "wilhelmina:x:1000:1000:Wilhelmina Q:/home/wilhelmina:/bin/bash\n")?;
    root.write("home/wilhelmina/.config/systemd/user/secret.service", "[Service]\nExecStart=/bin/true\n")?;
    let place = root.path().display().to_string();
    let sent = scan(&["--root", &place, "--show-sent", "-o", "json"])?.expect_code(0)?;
    assert!(!sent.stdout.contains("wilhelmina") && !sent.stdout.contains("Wilhelmina"), "{}", sent.stdout);
    Ok(())
}

#[test]
fn one_source_can_be_read_alone() -> Result<()> {
    let root = Root::debian("alone")?;
    let place = root.path().display().to_string();
    let answer = scan(&["--root", &place, "--source", "dpkg", "-o", "ndjson"])?.expect_code(0)?;
    assert!(answer.ndjson()?.iter().all(|record| record["source"] == "dpkg"));
    let refused = scan(&["--source", "tea-leaves"])?.expect_code(2)?;
    assert!(refused.stderr.contains("tea-leaves"), "{}", refused.stderr);
    Ok(())
}

#[test]
fn a_missing_root_is_an_error_that_names_it() -> Result<()> {
    let refused = scan(&["--root", "/nowhere/at/all"])?.expect_code(1)?;
    assert!(refused.stderr.contains("/nowhere/at/all"), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
    scan(&["--root"])?.expect_code(2)?;
    Ok(())
}

#[test]
fn a_named_settings_file_is_used_or_refused() -> Result<()> {
    let root = Root::debian("settings")?.with_kaspersky()?;
    root.write("etc/passwd", "alice:x:1000:1000::/home/alice:/bin/bash\n")?;
    let extension = ".config/google-chrome/Default/Extensions/ddoleachckhhdmhpbkddgechjfhnphpe/2.0_0/manifest.json";
    root.write(&format!("home/alice/{extension}"), r#"{"name":"Kaspersky Protection","version":"2.0"}"#)?;
    let place = root.path().display().to_string();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("agent.toml");
    let named = file.display().to_string();
    let with = |more: &[&str]| scan(&[&["--root", &place, "--config", &named], more].concat());

    let missing = with(&[])?.expect_code(1)?;
    assert!(missing.stderr.contains(&named), "{}", missing.stderr);
    std::fs::write(&file, "colector = \"x\"\n[scan]\nuser_scope = \"some\"\ntime_limit = \"0s\"\n")?;
    let refused = with(&[])?.expect_code(1)?;
    for part in ["3 faults", "colector", "user_scope", "time_limit"] {
        assert!(refused.stderr.contains(part), "{part} is missing: {}", refused.stderr);
    }
    assert_eq!(refused.stdout, "");

    std::fs::write(&file, "[scan]\nuser_scope = \"none\"\n")?;
    let user_items = |answer: Answer| -> Result<Option<usize>> {
        let sent = answer.expect_code(0)?.json()?["sent"].clone();
        Ok(sent["state"]["user_items"].as_array().map(Vec::len))
    };
    assert_eq!(user_items(with(&["--show-sent", "-o", "json"])?)?, Some(0), "scan.user_scope is not followed");
    let flag = with(&["--show-sent", "-o", "json", "--user-scope", "watchlist"])?;
    assert_eq!(user_items(flag)?, Some(1), "the flag overrides the file");
    Ok(())
}

#[test]
fn what_identifies_a_machine_is_sent_unless_the_settings_forbid_it() -> Result<()> {
    let root = Root::debian("web-7")?;
    root.write("etc/hosts", "127.0.0.1 localhost\n10.0.0.7 web-7.example.org web-7\n")?;
    let place = root.path().display().to_string();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("agent.toml");
    let named = file.display().to_string();
    let sent = |identity: &str| -> Result<serde_json::Value> {
        std::fs::write(&file, format!("[scan]\nidentity = \"{identity}\"\n"))?;
        let arguments = ["--root", &place, "--config", &named, "--show-sent", "-o", "json"];
        Ok(scan(&arguments)?.expect_code(0)?.json()?["sent"].clone())
    };
    let full = sent("full")?;
    let identity = &full["facts"]["identity"];
    assert_eq!(
        (&identity["fqdn"], &identity["domain"]),
        (&"web-7.example.org".into(), &"example.org".into()),
        "{full}"
    );
    // The hardware is that of this machine, not of the root.
    assert_eq!((&identity["serial"], &identity["hardware_uuid"]), (&"".into(), &"".into()), "{full}");
    let none = sent("none")?;
    assert_eq!(none["facts"]["identity"], serde_json::Value::Null, "{none}");
    assert!(!none.to_string().contains("example.org"), "{none}");
    Ok(())
}

#[test]
fn a_closed_pipe_is_not_an_error() -> Result<()> {
    let root = Root::debian("pipe")?;
    let mut command = Command::new(binaries::find("muster-agent")?);
    command.args(["scan", "-o", "ndjson", "--root"]).arg(root.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    assert!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Ok(())
}
