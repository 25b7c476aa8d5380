//! Copied Macs, from the disk to the lane: each record of `macos.toml` is planted at its place, scanned on this system by the
//! real agent, and judged by the real collector.

mod build;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use muster_tests::binaries;
use muster_tests::lab::Lab;
use muster_tests::process::Answer;
use serde::Deserialize;

use super::field::Explained;
use super::{match_all, scan, scanned, tools};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    record: Vec<Record>,
    product: Vec<ProductRecord>,
    harmless: Vec<Harmless>,
}

/// One thing on a Mac, and the presence that the collector must see.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    kind: String,
    name: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    version: String,
    expect: String,
    /// Why no agent sees it on a copy.
    #[serde(default)]
    unread: String,
    /// Where it was seen; empty for those of the first table.
    #[serde(default)]
    #[expect(dead_code, reason = "for people who ask where a record comes from")]
    source: String,
}

/// One thing of another product on a Mac, and the product that must be recognised; empty for none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductRecord {
    kind: String,
    name: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    id: String,
    /// The category of a system extension, and its state if it is not enabled.
    #[serde(default)]
    category: String,
    #[serde(default = "enabled")]
    state: String,
    expect: String,
    source: String,
}

fn enabled() -> String {
    "activated_enabled".to_owned()
}

impl ProductRecord {
    fn plant(&self, root: &Path) -> Result<()> {
        let Self { name, path, id, .. } = self;
        match self.kind.as_str() {
            "app_bundle" => build::application(root, path, &[("CFBundleIdentifier", "com.example.product")]),
            "driver" => build::kext(root, path, id),
            "launchd" => build::job(root, path, name, "/opt/product/bin/program", true),
            "receipt" => build::receipt(root, path, name, "/"),
            "system_extension" => {
                let (team, id) = id.split_once('.').context("a team")?;
                build::extensions(root, &[(team, id, &self.category, &self.state)])
            }
            other => bail!("nothing can plant {other}"),
        }
    }
}

/// An application of somebody else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Harmless {
    name: String,
    path: String,
    version: String,
    #[serde(default)]
    maker: String,
}

const KASPERSKY: &str = "/Applications/Kaspersky.app";

fn table() -> Result<Table> {
    toml::from_str(include_str!("macos.toml")).context("read macos.toml")
}

impl Record {
    fn plant(&self, root: &Path) -> Result<()> {
        let Self { name, path, id, version, .. } = self;
        match self.kind.as_str() {
            "app_bundle" => {
                let id = if id.is_empty() { "com.example.product" } else { id };
                build::application(root, path, &[("CFBundleIdentifier", id), ("CFBundleShortVersionString", version)])
            }
            "driver" => build::kext(root, path, id),
            "launchd" => build::job(root, path, name, "/opt/product/bin/program", true),
            "receipt" => build::receipt(root, path, name, "/"),
            "path" => build::file(root, path, self.expect != "remnant"),
            "browser_extension" => build::browser_extension(root, name, id),
            "system_extension" => {
                let (team, id) = id.split_once('.').context("a team")?;
                build::extensions(root, &[(team, id, "endpoint_security", "activated_enabled")])
            }
            "process" => Ok(()),
            other => bail!("nothing can plant {other}"),
        }
    }

    /// The lanes that the presence may lead to.
    fn lanes(&self) -> &'static [&'static str] {
        match self.expect.as_str() {
            "none" => &["clear"],
            "suspect" => &["unknown"],
            "remnant" => &["protect", "confirm"],
            _ => &["replace"],
        }
    }
}

/// Enrolls a host, reports its root, and forgets it.
fn report(lab: &Lab, token: &str, name: &str, plant: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    build::mac(folder.path(), name)?;
    plant(folder.path())?;
    let agent = lab.agent(name);
    agent.enroll(token)?.expect_code(0)?;
    agent.report(folder.path())?;
    Ok(())
}

#[test]
fn every_record_of_kaspersky_on_a_copied_mac_gets_its_lane() -> Result<()> {
    let table = table()?;
    let lab = Lab::start()?;
    let token = lab.token(u32::try_from(table.record.len())?, "1h")?;
    let is_binary =
        |number: usize| number % 2 == 1 && tools::can("property lists by Python", &["python3"]).unwrap_or(false);
    for (number, record) in table.record.iter().enumerate() {
        report(&lab, &token, &format!("mac-{number}"), &mut |root| {
            record.plant(root)?;
            if is_binary(number) { build::in_binary(root) } else { Ok(()) }
        })?;
    }
    lab.judged()?;
    let mut faults = Vec::new();
    for (number, record) in table.record.iter().enumerate() {
        let explained = Explained::of(&lab, &format!("mac-{number}"))?;
        let (presence, lane) = (&explained.verdict["presence"], &explained.verdict["lane"]);
        if *presence != *record.expect || !record.lanes().iter().any(|expected| lane == expected) {
            faults.push(format!("{record:?} is {presence} and {lane}\n{}", explained.why()));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), table.record.len(), faults.join("\n"));
    let unread: BTreeSet<&str> = table.record.iter().map(|record| record.kind.as_str()).collect();
    assert!(unread.len() >= 8 && table.record.iter().filter(|record| !record.unread.is_empty()).count() == 7);
    Ok(())
}

#[test]
fn every_record_of_another_product_on_a_copied_mac_is_its_own_and_nobody_is_accused() -> Result<()> {
    let table = table()?;
    let lab = Lab::start()?;
    let token = lab.token(u32::try_from(table.product.len())?, "1h")?;
    let (mut faults, mut scans) = (Vec::new(), Vec::new());
    for (number, record) in table.product.iter().enumerate() {
        report(&lab, &token, &format!("mac-{number}"), &mut |root| {
            record.plant(root)?;
            scans.push(scanned(root)?);
            Ok(())
        })?;
    }
    lab.judged()?;
    for ((number, record), found) in table.product.iter().enumerate().zip(match_all(&scans)?) {
        let expected = BTreeSet::from_iter((!record.expect.is_empty()).then(|| record.expect.clone()));
        if found.products != expected {
            faults.push(format!("{record:?} is {:?}", found.products));
        }
        let explained = Explained::of(&lab, &format!("mac-{number}"))?;
        if explained.verdict["lane"] != "clear" {
            faults.push(format!("{record:?} is {}\n{}", explained.verdict["lane"], explained.why()));
        }
        assert!(!record.source.is_empty(), "{record:?} was seen nowhere");
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), table.product.len(), faults.join("\n"));
    Ok(())
}

/// What protects on a Mac: its team, and its extension for endpoint security.
const PROTECTION: [(&str, &str, &str); 4] = [
    ("falcon", "X9E956P446", "com.crowdstrike.falcon.Agent"),
    ("jamf", "483DWKW443", "com.jamf.protect.security-extension"),
    ("defender", "UBF8T346G9", "com.microsoft.wdav.epsext"),
    ("sophos", "2H5GFH3774", "com.sophos.endpoint.scanextension"),
];

/// Nothing runs on a copy, so an enabled extension leaves open whether it protects; one that is not enabled does not.
#[test]
fn protection_on_a_copied_mac_is_unknown_or_off_before_and_after_the_removal() -> Result<()> {
    let states = [("activated_enabled", "unknown", "unknown"), ("activated_waiting_for_user", "unapproved", "protect")];
    let lab = Lab::start()?;
    let token = lab.token(8, "1h")?;
    let mut hosts = Vec::new();
    for (product, team, id) in PROTECTION {
        for (state, protection, after) in states {
            let folder = tempfile::tempdir()?;
            let name = format!("{product}-{after}");
            build::mac(folder.path(), &name)?;
            build::extensions(folder.path(), &[(team, id, "endpoint_security", state)])?;
            build::application(folder.path(), KASPERSKY, &[("CFBundleIdentifier", "com.kaspersky.kav")])?;
            let agent = lab.agent(&name);
            agent.enroll(&token)?.expect_code(0)?;
            agent.report(folder.path())?;
            hosts.push((name, folder, agent, protection, after));
        }
    }
    let expect = |hosts: &[(String, _, _, &str, &str)], lane: &dyn Fn(&str) -> String| -> Result<()> {
        lab.judged()?;
        for (name, _, _, protection, after) in hosts {
            let explained = Explained::of(&lab, name)?;
            let seen = (&explained.verdict["protection"], &explained.verdict["lane"]);
            let expected = (Some(*protection), Some(lane(after)));
            assert_eq!((seen.0.as_str(), seen.1.as_str().map(str::to_owned)), expected, "{name}\n{}", explained.why());
        }
        Ok(())
    };
    expect(&hosts, &|_| "replace".to_owned())?;
    for (_, folder, agent, ..) in &hosts {
        build::remove(folder.path(), KASPERSKY)?;
        agent.report(folder.path())?;
    }
    expect(&hosts, &|after| after.to_owned())
}

#[test]
fn what_is_left_after_a_removal_is_told_from_what_is_installed() -> Result<()> {
    type Plant = fn(&Path) -> Result<()>;
    let cases: [(&str, Plant, &str, &str); 6] = [
        (
            "only-the-app",
            |root| build::application(root, KASPERSKY, &[("CFBundleIdentifier", "com.kaspersky.kav")]),
            "installed",
            "replace",
        ),
        (
            "app-in-the-trash",
            |root| {
                build::receipt(root, "/private/var/db/receipts/com.kaspersky.kav.plist", "com.kaspersky.kav", KASPERSKY)
            },
            "remnant",
            "protect",
        ),
        (
            "app-without-program",
            |root| {
                build::application(root, KASPERSKY, &[("CFBundleIdentifier", "com.kaspersky.kav")])?;
                build::remove(root, "/Applications/Kaspersky.app/Contents/MacOS")
            },
            "remnant",
            "protect",
        ),
        (
            "job-without-program",
            |root| {
                build::job(
                    root,
                    "/Library/LaunchDaemons/com.kaspersky.kav.plist",
                    "com.kaspersky.kav",
                    "/opt/gone",
                    false,
                )
            },
            "remnant",
            "protect",
        ),
        (
            "extension-until-restart",
            |root| {
                let state = "terminated_waiting_to_uninstall_on_reboot";
                build::extensions(root, &[("2Y8XE5CQ94", "com.kaspersky.kav.sysext", "endpoint_security", state)])
            },
            "remnant",
            "protect",
        ),
        (
            "list-of-extensions-damaged",
            |root| tools::write(root, "Library/SystemExtensions/db.plist", "x"),
            "unknown",
            "unknown",
        ),
    ];
    let lab = Lab::start()?;
    let token = lab.token(u32::try_from(cases.len())?, "1h")?;
    for (name, plant, ..) in &cases {
        report(&lab, &token, name, &mut |root| plant(root))?;
    }
    lab.judged()?;
    for (name, _, presence, lane) in &cases {
        let explained = Explained::of(&lab, name)?;
        let seen = (&explained.verdict["presence"], &explained.verdict["lane"]);
        assert_eq!((seen.0.as_str(), seen.1.as_str()), (Some(*presence), Some(*lane)), "{name}\n{}", explained.why());
    }
    Ok(())
}

#[test]
fn harmless_applications_are_nobodys_and_protection_is_recognised() -> Result<()> {
    let folder = tempfile::tempdir()?;
    build::mac(folder.path(), "board-3")?;
    for one in table()?.harmless {
        let texts = [
            ("CFBundleName", one.name.as_str()),
            ("CFBundleShortVersionString", &one.version),
            ("NSHumanReadableCopyright", &one.maker),
        ];
        build::application(folder.path(), &one.path, &texts)?;
    }
    let found = scan(folder.path())?;
    assert_eq!(found.outcome("app-bundles"), "found", "{:?}", found.outcomes);
    assert!(found.rows["app-bundles"] > 40, "{:?}", found.rows);
    let accused: Vec<&String> = found.products.iter().filter(|product| product.contains("kaspersky")).collect();
    assert!(accused.is_empty(), "{accused:?}");
    build::extensions(
        folder.path(),
        &[
            ("X9E956P446", "com.crowdstrike.falcon.Agent", "endpoint_security", "activated_enabled"),
            ("483DWKW443", "com.jamf.protect.security-extension", "endpoint_security", "activated_enabled"),
            ("UBF8T346G9", "com.microsoft.wdav.epsext", "endpoint_security", "activated_enabled"),
            ("2H5GFH3774", "com.sophos.endpoint.scanextension", "endpoint_security", "activated_enabled"),
            ("VBG97UB4TA", "com.objective-see.lulu.extension", "network_extension", "activated_enabled"),
        ],
    )?;
    let found = scan(folder.path())?;
    for product in ["crowdstrike-falcon", "jamf-protect", "microsoft-defender-endpoint", "sophos-endpoint", "lulu"] {
        assert!(found.products.contains(product), "{product}: {:?}", found.products);
    }
    Ok(())
}

#[test]
fn what_would_be_sent_of_a_mac_names_nobody() -> Result<()> {
    let folder = tempfile::tempdir()?;
    build::mac(folder.path(), "board-3")?;
    build::application(folder.path(), "~/Applications/Own.app", &[("CFBundleIdentifier", "com.example.own")])?;
    build::job(folder.path(), "~/Library/LaunchAgents/com.jane.x.plist", "com.jane.x", "/Users/jane/bin/x", true)?;
    build::browser_extension(folder.path(), "X", "com.example.safari")?;
    let mut command = std::process::Command::new(binaries::find("muster-agent")?);
    command.args(["scan", "--show-sent", "-o", "json", "--user-scope", "all", "--root"]).arg(folder.path());
    let sent = Answer::of(&mut command)?.expect_code(0)?;
    let text = sent.stdout;
    assert!(text.contains("~/Applications/Own.app") && text.contains("com.~.x"), "{text}");
    assert!(!text.to_lowercase().contains("jane"), "{text}");
    Ok(())
}
