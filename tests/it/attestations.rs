//! From a removal to its attestation: install, scan, purge, two scans a day apart by the collector's clock.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use muster_tests::binaries::repository;
use muster_tests::canned::Root;
use muster_tests::eventually;
use muster_tests::lab::{Lab, PATIENCE};
use muster_tests::left_out;
use muster_tests::process::Answer;

use crate::roots::tools::{can, run};

const DAY: u64 = 25 * 3600;

/// An order of the organisation that requires no protection, so that a removal alone makes a host `done`.
const ORDER: &str = r#"
id = "internal-removal"
title = "Remove Kaspersky"
issuer = "Example Ltd"
jurisdiction = "XX"
binding = "duty"

[scope]
vendors = ["kaspersky"]

[protection]
required = false
"#;

/// Builds a package and installs it with the real dpkg.
fn install(root: &Path) -> Result<()> {
    let work = tempfile::tempdir()?;
    let tree = work.path().join("kesl");
    std::fs::create_dir_all(tree.join("DEBIAN"))?;
    let control = "Package: kesl\nVersion: 12.0.0-6672\nArchitecture: amd64\nMaintainer: AO Kaspersky Lab \
                   <support@kaspersky.com>\nDescription: Kaspersky Endpoint Security\n";
    std::fs::write(tree.join("DEBIAN/control"), control)?;
    std::fs::create_dir_all(tree.join("opt/kaspersky/kesl/bin"))?;
    std::fs::write(tree.join("opt/kaspersky/kesl/bin/kesl-control"), "\u{7f}ELF")?;
    let deb = work.path().join("kesl.deb");
    run(Command::new("dpkg-deb").args(["-Znone", "--root-owner-group", "-b"]).arg(&tree).arg(&deb))?;
    // dpkg has these folders on every machine, and the canned one lacks them.
    for folder in ["updates", "triggers"] {
        std::fs::create_dir_all(root.join("var/lib/dpkg").join(folder))?;
    }
    run(dpkg(root).arg("-i").arg(deb)).map(drop)
}

fn dpkg(root: &Path) -> Command {
    let mut command = Command::new("dpkg");
    command.arg(format!("--root={}", root.display())).args(["--force-all", "--no-triggers"]);
    command
}

fn attestations(lab: &Lab, arguments: &[&str]) -> Result<Answer> {
    lab.muster(&[&["attestations"], arguments].concat())
}

/// The refusal of `attestations show`.
fn refused(lab: &Lab) -> Result<String> {
    Ok(attestations(lab, &["show", "web-1"])?.expect_code(1)?.stderr)
}

/// `attestations verify` without a collector, a token or a profile.
fn verify(lab: &Lab, file: &Path, key: &Path) -> Result<Answer> {
    let mut command = Command::new(muster_tests::binaries::find("muster")?);
    command.env_clear().env("HOME", lab.folder());
    Answer::of(command.args(["attestations", "verify"]).arg(file).arg("--key").arg(key))
}

#[test]
fn a_removal_is_attested_and_others_can_verify_it() -> Result<()> {
    const WHAT: &str = "the attestation of a package that dpkg has removed";
    if !can(WHAT, &["dpkg", "dpkg-deb"])? {
        return Ok(());
    }
    let overlay = tempfile::tempdir()?;
    std::fs::create_dir(overlay.path().join("orders"))?;
    std::fs::write(overlay.path().join("orders/internal-removal.toml"), ORDER)?;
    let settings =
        format!("[rules]\noverlay = \"{}\"\nactive_orders = [\"internal-removal\"]\n", overlay.path().display());
    let lab = Lab::start_with_own_clock(&settings)?;
    let agent = lab.enrolled_agent("web-1")?;
    let root = Root::debian("web-1")?;
    install(root.path())?;
    agent.report(root.path())?;
    lab.judged()?;
    let text = refused(&lab)?;
    ensure!(text.contains("it is in the lane `remove`") && text.contains("is installed"), "{text}");

    run(dpkg(root.path()).args(["--purge", "kesl"]))?;
    agent.report(root.path())?;
    lab.judged()?;
    let text = refused(&lab)?;
    for part in ["`confirm`", "1 of 2 clean scans done; they must be at least 24 hours apart"] {
        ensure!(text.contains(part), "{part} is not in: {text}");
    }
    ensure!(attestations(&lab, &[])?.expect_code(0)?.stdout == "0 attestations\n");

    // A mounted root has no boot id, so no restart is waited for; the judge queue's tests have one.
    lab.later(DAY)?;
    agent.report(root.path())?;
    // A moment may pass until the verdict about the unchanged snapshot is written.
    let proven = eventually("the removal is proven", PATIENCE, || {
        Ok((attestations(&lab, &["show", "web-1"])?.code == Some(0)).then_some(()))
    });
    if proven.is_err() {
        bail!("the removal is not proven: {}", refused(&lab)?);
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("removal.json");
    let out = file.display().to_string();
    let shown = attestations(&lab, &["show", "web-1", "--out", &out])?.expect_code(0)?.stdout;
    for part in ["internal-removal", "Kaspersky Endpoint Security", "12.0.0-6672", "muster attestations verify"] {
        ensure!(shown.contains(part), "{part} is not in: {shown}");
    }
    let key = lab.data_dir().join("seal.pub");
    let good = verify(&lab, &file, &key)?.expect_code(0)?.stdout;
    ensure!(good.starts_with("good") && good.contains("web-1") && good.contains("muster.example.com"), "{good}");
    let statement = statement(&file)?;
    let evidence = &statement["predicate"]["evidence"];
    ensure!(evidence["scans"].as_array().is_some_and(|scans| scans.len() >= 2), "{evidence}");
    ensure!(evidence["found"]["sections"]["dpkg"].is_string(), "{evidence}");
    ensure!(evidence["scans"][0]["sources"]["dpkg"] == "found", "{evidence}");
    ensure!(evidence["removed"][0]["observation"].as_str().is_some_and(|text| text.contains("kesl")), "{evidence}");

    the_list_the_ledger_and_a_repeated_request_agree(&lab, &file)?;
    what_was_changed_is_refused(&lab, &file, &key)?;
    by_hand(&file, &key)?;
    let mut check = lab.collector_command("check")?;
    let checked = Answer::of(&mut check)?.expect_code(0)?.stdout;
    ensure!(checked.contains("ok    seal key"), "{checked}");
    Ok(())
}

fn statement(file: &Path) -> Result<serde_json::Value> {
    let envelope: serde_json::Value = serde_json::from_slice(&std::fs::read(file)?)?;
    let payload = envelope["payload"].as_str().context("no payload")?;
    Ok(serde_json::from_slice(&data_encoding::BASE64.decode(payload.as_bytes())?)?)
}

fn the_list_the_ledger_and_a_repeated_request_agree(lab: &Lab, file: &Path) -> Result<()> {
    let again = file.with_extension("again");
    lab.later(DAY + 3600)?;
    attestations(lab, &["show", "web-1", "--order", "internal-removal", "--out", &again.display().to_string()])?
        .expect_code(0)?;
    ensure!(std::fs::read(file)? == std::fs::read(&again)?, "a repeated request gave other bytes");
    let listed = attestations(lab, &["-o", "json"])?.expect_code(0)?.json()?;
    let rows = listed["attestations"].as_array().context("no list")?.clone();
    ensure!(rows.len() == 1 && rows[0]["hostname"] == "web-1", "{listed}");
    let ledger = lab.muster(&["ledger", "--kind", "attestation-issued", "-o", "json"])?.expect_code(0)?.stdout;
    ensure!(ledger.contains(rows[0]["sha256"].as_str().context("no hash")?), "{ledger}");
    Ok(())
}

fn what_was_changed_is_refused(lab: &Lab, file: &Path, key: &Path) -> Result<()> {
    let whole = std::fs::read(file)?;
    let changed = file.with_extension("changed");
    let refused = |bytes: &[u8], key: &Path| -> Result<String> {
        std::fs::write(&changed, bytes)?;
        Ok(verify(lab, &changed, key)?.expect_code(1)?.stdout)
    };
    let mut one_byte = whole.clone();
    // In the middle of the payload.
    one_byte[whole.len() / 2] = if one_byte[whole.len() / 2] == b'A' { b'B' } else { b'A' };
    let text = refused(&one_byte, key)?;
    ensure!(text.starts_with("BAD") && text.contains("the signature does not match"), "{text}");
    let text = refused(&[whole.as_slice(), b"{}"].concat(), key)?;
    ensure!(text.contains("trailing data"), "{text}");
    let foreign = String::from_utf8(whole.clone())?.replace("application/vnd.in-toto+json", "text/plain");
    let text = refused(foreign.as_bytes(), key)?;
    ensure!(text.contains("foreign payload type \"text/plain\""), "{text}");
    let other = Lab::start()?;
    let text = refused(&whole, &other.data_dir().join("seal.pub"))?;
    ensure!(text.contains("signed with another key"), "{text}");
    Ok(())
}

/// The commands of `deploy/VERIFY.md`, as they are written there.
fn by_hand(file: &Path, key: &Path) -> Result<()> {
    let has = |name: &str| Command::new(name).arg("--version").output().is_ok();
    let openssl = Command::new("openssl").arg("version").output().is_ok();
    if !(openssl && has("jq") && has("basenc") && has("python3")) {
        left_out("the check of an attestation by hand", "openssl, jq, basenc or python3 is not installed");
        return Ok(());
    }
    let mut script = Command::new(repository().join("deploy/ci/attestations"));
    run(script.arg("--by-hand").arg(file).arg(key)).map(drop)
}
