//! Accounts and the ledger, with the real programs: an account sees and does what it may, and the ledger names who acted.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use muster_tests::canned::Root;
use muster_tests::lab::{Lab, write_owner_only};
use muster_tests::process::Answer;

/// What an account does with the operators' program.
fn by(lab: &Lab, token: &Path, arguments: &[&str]) -> Result<Answer> {
    Answer::of(lab.muster_command_by(token)?.args(arguments))
}

/// Creates an account as the administrator; returns the file of its token.
fn account(lab: &Lab, name: &str, options: &[&str]) -> Result<PathBuf> {
    let created = lab.muster(&[&["accounts", "create", name], options].concat())?.expect_code(0)?;
    let file = lab.folder().join(format!("{name}.token"));
    write_owner_only(&file, &created.stdout)?;
    Ok(file)
}

#[test]
fn an_operator_of_one_site_sees_and_does_nothing_elsewhere() -> Result<()> {
    let lab = Lab::start()?;
    let root = Root::debian("web-1")?;
    lab.enrolled_agent("web-1")?.report(root.path())?;
    lab.judged()?;
    let here = account(&lab, "here", &["--role", "operator", "--site", "lab"])?;
    let elsewhere = account(&lab, "elsewhere", &["--role", "operator", "--site", "plant"])?;
    let site = lab.muster(&["host", "web-1", "-o", "json"])?.json()?["site"].clone();
    assert_eq!(site, "lab", "the lab enrolls its hosts there");

    let seen = by(&lab, &here, &["hosts", "-o", "json"])?.expect_code(0)?.json()?;
    assert!(seen.to_string().contains("web-1"), "{seen}");
    let seen = by(&lab, &elsewhere, &["hosts", "-o", "json"])?.expect_code(0)?.json()?;
    assert!(!seen.to_string().contains("web-1"), "{seen}");
    let refused = by(&lab, &elsewhere, &["host", "web-1"])?.expect_code(1)?;
    assert!(refused.stderr.contains("no host \"web-1\""), "{}", refused.stderr);
    let refused = by(&lab, &elsewhere, &["hosts", "revoke", "web-1", "--reason", "stolen"])?.expect_code(1)?;
    assert!(refused.stderr.contains("no host \"web-1\""), "{}", refused.stderr);
    let refused = by(&lab, &elsewhere, &["tokens", "create", "--site", "lab"])?.expect_code(1)?;
    assert!(refused.stderr.contains("cannot act on site lab: your account is bound to plant"), "{}", refused.stderr);
    assert!(refused.stderr.contains("ask an administrator"), "{}", refused.stderr);
    let refused = by(&lab, &elsewhere, &["accounts"])?.expect_code(1)?;
    assert!(refused.stderr.contains("admin is required"), "{}", refused.stderr);
    let refused = by(&lab, &elsewhere, &["ledger"])?.expect_code(1)?;
    assert!(refused.stderr.contains("whole fleet"), "{}", refused.stderr);
    let own = by(&lab, &elsewhere, &["accounts", "show", "-o", "json"])?.expect_code(0)?.json()?;
    assert_eq!((&own["name"], &own["sites"][0]), (&"elsewhere".into(), &"plant".into()));

    by(&lab, &here, &["tokens", "create", "--site", "lab"])?.expect_code(0)?;
    by(&lab, &here, &["hosts", "revoke", "web-1", "--reason", "stolen"])?.expect_code(0)?;
    let entries = lab.muster(&["ledger", "--by", "here", "-o", "json"])?.expect_code(0)?.json()?;
    let kinds: Vec<&str> = entries.as_array().context("a list")?.iter().filter_map(|e| e["kind"].as_str()).collect();
    assert_eq!(kinds, ["hosts-revoked", "token-created"]);
    Ok(())
}

#[test]
fn every_action_is_in_the_ledger_with_its_actor() -> Result<()> {
    let lab = Lab::start()?;
    let ada = account(&lab, "ada", &["--role", "admin"])?;
    by(&lab, &ada, &["accounts", "create", "bob", "--role", "viewer", "--for", "machine"])?.expect_code(0)?;
    by(&lab, &ada, &["accounts", "revoke", "bob"])?.expect_code(0)?;
    // The collector runs, and its own command line works beside it.
    let mut create = lab.collector_command("accounts")?;
    Answer::of(create.args(["create", "eve", "--role", "viewer"]))?.expect_code(0)?;
    let entries = lab.muster(&["ledger", "-o", "json"])?.expect_code(0)?.json()?;
    let entries = entries.as_array().context("a list")?;
    let actor_of = |kind: &str, text: &str| {
        let found = entries
            .iter()
            .find(|entry| entry["kind"] == kind && entry["text"].as_str().is_some_and(|shown| shown.contains(text)));
        found.and_then(|entry| entry["actor"].as_str()).unwrap_or_default().to_owned()
    };
    assert_eq!(actor_of("account-created", "ada"), "admin");
    assert_eq!(actor_of("account-created", "bob"), "ada");
    assert_eq!(actor_of("account-revoked", "bob"), "ada");
    assert!(actor_of("account-created", "eve").ends_with("(on the collector)"));
    assert_eq!(actor_of("rules-adopted", ""), "rules");
    // What is stored has ids and no names.
    for entry in entries {
        let stored = entry["entry"].as_str().context("the stored entry")?;
        // In quotes, because a random id may contain the letters of a name.
        assert!(!stored.contains("\"ada\"") && !stored.contains("\"bob\""), "{stored}");
    }
    let number = entries[0]["number"].to_string();
    let one = lab.muster(&["ledger", "show", &number, "-o", "json"])?.expect_code(0)?.json()?;
    assert_eq!(one["text"], entries[0]["text"]);
    let none = lab.muster(&["ledger", "show", "999999"])?.expect_code(1)?;
    assert!(none.stderr.contains("no entry 999999"), "{}", none.stderr);
    Ok(())
}

#[test]
fn the_last_administrator_stays_and_the_collector_is_the_way_back() -> Result<()> {
    let mut lab = Lab::start()?;
    let refused = lab.muster(&["accounts", "revoke", "admin"])?.expect_code(1)?;
    assert!(refused.stderr.contains("last account held by a person"), "{}", refused.stderr);
    let ada = account(&lab, "ada", &["--role", "admin"])?;
    by(&lab, &ada, &["accounts", "revoke", "admin"])?.expect_code(0)?;
    let ended = lab.muster(&["status"])?.expect_code(1)?;
    assert!(ended.stderr.contains("unknown, expired or revoked"), "{}", ended.stderr);
    // A restart does not bring back what was revoked.
    lab.stop_collector()?;
    lab.serve()?;
    lab.muster(&["status"])?.expect_code(1)?;
    // Neither does a restart after the file of the useless token was deleted.
    lab.stop_collector()?;
    std::fs::remove_file(lab.data_dir().join("admin.token"))?;
    lab.serve()?;
    assert!(!lab.data_dir().join("admin.token").exists(), "a revoked account came back");
    let listed = by(&lab, &ada, &["accounts", "-o", "json"])?.expect_code(0)?.json()?;
    let usable = listed.as_array().context("a list")?.iter().filter(|account| account["revoked_at"].is_null());
    assert_eq!(usable.map(|account| &account["name"]).collect::<Vec<_>>(), ["ada"]);
    // Nobody has a token any more: the machine of the collector makes one.
    let mut rotate = lab.collector_command("accounts")?;
    let token = Answer::of(rotate.args(["rotate", "ada"]))?.expect_code(0)?.stdout;
    by(&lab, &ada, &["status"])?.expect_code(1)?;
    write_owner_only(&ada, &token)?;
    by(&lab, &ada, &["status"])?.expect_code(0)?;
    Ok(())
}

#[test]
fn a_token_that_could_not_be_printed_is_not_passed_over_in_silence() -> Result<()> {
    let lab = Lab::start()?;
    for (arguments, words) in [
        (&["accounts", "create", "ada", "--role", "viewer"][..], "muster accounts rotate ada"),
        (&["tokens", "create", "--site", "lab"][..], "could not be printed"),
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full")?;
        let output = lab.muster_command()?.args(arguments).stdout(full).output()?;
        let error = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(words), "{error}");
    }
    Ok(())
}
