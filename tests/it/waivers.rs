//! Waivers and dispositions with the real programs: two people, the board before, during and after, and a host that comes back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use muster_proto::model::Timestamp;
use muster_tests::canned::Root;
use muster_tests::eventually;
use muster_tests::lab::{Lab, PATIENCE, write_owner_only};
use muster_tests::process::Answer;
use serde_json::Value;

const US: &str = "us-bis-icts-2021-002";
const DAY: u64 = 86_400;

/// What an account does with the operators' program.
fn by(lab: &Lab, token: &Path, arguments: &[&str]) -> Result<Answer> {
    Answer::of(lab.muster_command_by(token)?.args(arguments))
}

/// The file of a token that the administrator made.
fn token(lab: &Lab, name: &str, arguments: &[&str]) -> Result<PathBuf> {
    let made = lab.muster(arguments)?.expect_code(0)?;
    let file = lab.folder().join(format!("{name}.token"));
    write_owner_only(&file, &made.stdout)?;
    Ok(file)
}

fn operator(lab: &Lab, name: &str) -> Result<PathBuf> {
    token(lab, name, &["accounts", "create", name, "--role", "operator"])
}

/// The exit code of the board, and its counts.
fn board(lab: &Lab) -> Result<(Option<i32>, Value)> {
    let answer = lab.muster(&["board", "-o", "json"])?;
    Ok((answer.code, answer.json()?[0].clone()))
}

fn verdict(lab: &Lab) -> Result<Value> {
    Ok(lab.muster(&["explain", "press-1", "--order", US, "-o", "json"])?.json()?["host"]["verdicts"][0].clone())
}

/// An instant so long after the collector's present, as an option.
fn after(lab: &Lab, span: Duration) -> Result<String> {
    let now = board(lab)?.1["as_of"].as_str().context("an instant")?.to_owned();
    Ok(Timestamp::parse_rfc3339(&now)?.plus(span).to_rfc3339())
}

/// The job that recognises machines has written the name of `press-1`.
fn named(lab: &Lab) -> Result<()> {
    eventually("the name", PATIENCE, || {
        let found = lab.muster(&["hosts", "label", "found", "press-1", "--dry-run"])?;
        Ok((found.code == Some(0)).then_some(()))
    })
}

fn refused(lab: &Lab, token: &Path, arguments: &[&str], part: &str) -> Result<()> {
    let answer = by(lab, token, arguments)?.expect_code(1)?;
    ensure!(answer.stderr.contains(part), "{arguments:?}: no {part:?} in {}", answer.stderr);
    Ok(())
}

#[test]
fn a_waiver_is_approved_by_another_person_and_ends_by_itself() -> Result<()> {
    let lab = Lab::start_with_own_clock("")?;
    let (ada, bob) = (operator(&lab, "ada")?, operator(&lab, "bob")?);
    lab.enrolled_agent("press-1")?.report(Root::debian("press-1")?.with_kaspersky()?.path())?;
    lab.judged()?;
    named(&lab)?;
    let until = after(&lab, Duration::from_secs(DAY))?;
    let ask = |order: &str, host: &str, until: &str, more: &[&str]| -> Vec<String> {
        let control = "its network is separate";
        let fixed = [
            "waivers",
            "ask",
            host,
            "--order",
            order,
            "--reason",
            "legacy-system",
            "--control",
            control,
            "--until",
            until,
        ];
        fixed.iter().chain(more).map(|part| (*part).to_owned()).collect()
    };
    let (before, _) = board(&lab)?;
    ensure!(before == Some(5), "the host is overdue: {before:?}");
    for (arguments, part) in [
        (ask(US, "press-1", &until, &[]), "--beyond-milestone"),
        (ask(US, "press-1", "2024-12-31", &["--beyond-milestone"]), "would have ended already"),
        (ask(US, "press-1", &after(&lab, Duration::from_secs(200 * DAY))?, &["--beyond-milestone"]), "waivers.longest"),
        (ask("us-far-52.204-23", "press-1", &until, &[]), "is not active, so nothing can be waived"),
        (ask("no-such-order", "press-1", &until, &[]), "no order \"no-such-order\""),
        (ask(US, "atlantis", &until, &["--beyond-milestone"]), "no host \"atlantis\""),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        refused(&lab, &ada, &arguments, part)?;
    }
    let none = lab.muster(&["waivers", "--all", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(none.as_array().is_some_and(Vec::is_empty), "a refused request left {none}");

    let arguments = ask(US, "press-1", &until, &["--beyond-milestone"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let asked = by(&lab, &ada, &arguments)?.expect_code(0)?.stdout;
    for part in ["waiver 1: 1 host", "requested", "press-1", "1 replace", "`muster waivers approve 1`"] {
        ensure!(asked.contains(part), "no {part:?} in\n{asked}");
    }
    // The requester cannot approve it, by no token of the account.
    refused(&lab, &ada, &["waivers", "approve", "1"], "another person must approve it")?;
    let other = token(&lab, "ada-2", &["accounts", "rotate", "ada", "--grace", "1h"])?;
    refused(&lab, &other, &["waivers", "approve", "1"], "another person must approve it")?;
    ensure!(board(&lab)?.1["counts"]["lanes"]["replace"] == 1, "nobody has approved it");
    by(&lab, &bob, &["waivers", "approve", "1"])?.expect_code(0)?;

    let (code, during) = board(&lab)?;
    let counts = &during["counts"];
    ensure!(code == Some(0) && counts["lanes"]["waived"] == 1 && counts["lanes"]["replace"] == 0, "{code:?} {counts}");
    ensure!(counts["waived"]["replace"] == 1 && counts["overdue"] == 0 && counts["self_approved"] == 0, "{counts}");
    let text = lab.muster(&["board"])?.expect_code(0)?.stdout;
    ensure!(text.contains("waived 1: 1 replace") && text.contains("adds up"), "{text}");
    let explained = verdict(&lab)?;
    ensure!(explained["lane"] == "waived" && explained["true_lane"] == "replace", "{explained}");
    ensure!(
        explained["decision"]["approved_by"] == "bob" && explained["decision"]["requested_by"] == "ada",
        "{explained}"
    );
    let text = lab.muster(&["explain", "press-1", "--order", US])?.stdout;
    for part in ["Waived until", "true lane   replace", "its network is separate", "when it ends:"] {
        ensure!(text.contains(part), "no {part:?} in\n{text}");
    }
    let listed = lab.muster(&["hosts", "--lane", "waived", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(listed["total"] == 1 && listed["hosts"][0]["true_lanes"][US] == "replace", "{listed}");
    let findings = lab.muster(&["findings", "-o", "json"])?.expect_code(0)?.stdout;
    ensure!(!findings.contains("press-1"), "{findings}");
    let ending = lab.muster(&["waivers", "--ending", "14d", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(ending.as_array().is_some_and(|waivers| waivers.len() == 1), "{ending}");

    // Nobody does anything, and the waiver ends.
    lab.later(2 * DAY)?;
    let (code, counts) = board(&lab)?;
    ensure!(code == Some(5) && counts["counts"]["lanes"]["replace"] == 1, "{code:?} {counts}");
    ensure!(verdict(&lab)?["lane"] == "replace", "the host falls back");
    let over = lab.muster(&["waivers", "show", "1", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(over["state"] == "expired" && over["decided_by"] == "bob", "{over}");
    for kind in ["waiver-requested", "waiver-approved"] {
        let entries = lab.muster(&["ledger", "--kind", kind, "-o", "json"])?.expect_code(0)?.json()?;
        ensure!(entries.as_array().is_some_and(|entries| entries.len() == 1), "{kind}: {entries}");
    }
    of_then(&lab, &during)
}

/// What was answered while the waiver was in force is answered of that time.
fn of_then(lab: &Lab, during: &Value) -> Result<()> {
    let at = during["as_of"].as_str().context("an instant")?;
    let past = lab.muster(&["board", "--as-of", at, "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(past[0]["counts"] == during["counts"], "{past}\n{during}");
    let listed = lab.muster(&["hosts", "--as-of", at, "--lane", "waived", "-o", "json"])?.expect_code(0)?.json()?;
    let found = &listed["hosts"][0]["verdicts"][0];
    ensure!(found["lane"] == "waived" && found["true_lane"] == "replace" && found["cause"] == "waiver", "{listed}");
    let findings = lab.muster(&["findings", "--as-of", at, "-o", "json"])?.expect_code(0)?.stdout;
    ensure!(!findings.contains("press-1"), "{findings}");
    let text = lab.muster(&["explain", "press-1", "--order", US, "--as-of", at])?.expect_code(0)?.stdout;
    for part in ["lane        waived", "true lane   replace", "approved by bob", "its network is separate"] {
        ensure!(text.contains(part), "no {part:?} in\n{text}");
    }
    let timeline = lab.muster(&["timeline", "--order", US, "-o", "json"])?.expect_code(0)?.json()?;
    let days = timeline["days"].as_array().context("days")?;
    let mut steps = days.iter().flat_map(|day| day["steps"].as_array().into_iter().flatten());
    ensure!(
        steps.any(|step| step["from"] == "waived" && step["to"] == "replace" && step["cause"] == "waiver"),
        "{timeline}"
    );
    Ok(())
}

#[test]
fn a_host_that_left_is_retired_by_two_people_and_marked_when_it_comes_back() -> Result<()> {
    let lab = Lab::start()?;
    let (ada, bob) = (operator(&lab, "ada")?, operator(&lab, "bob")?);
    let agent = lab.enrolled_agent("press-1")?;
    let root = Root::debian("press-1")?.with_kaspersky()?;
    agent.report(root.path())?;
    lab.judged()?;
    named(&lab)?;
    let receipt = lab.folder().join("receipt.pdf");
    std::fs::write(&receipt, "sold")?;
    let evidence = receipt.display().to_string();
    let retire = ["hosts", "retire", "press-1", "--as", "sold", "--evidence", &evidence];
    let waiting = by(&lab, &ada, &retire)?.expect_code(0)?.stdout;
    ensure!(waiting.contains("1 host is unfinished; a second person must approve"), "{waiting}");
    ensure!(waiting.contains("receipt.pdf") && waiting.contains("SHA-256"), "{waiting}");
    refused(&lab, &ada, &["dispositions", "approve", "1"], "another person must approve it")?;
    ensure!(board(&lab)?.1["counts"]["lanes"]["retired"] == 0, "nobody has approved it");
    by(&lab, &bob, &["dispositions", "approve", "1"])?.expect_code(0)?;
    let (code, counts) = board(&lab)?;
    let counts = &counts["counts"];
    ensure!(code == Some(0) && counts["lanes"]["retired"] == 1 && counts["retired"]["replace"] == 1, "{counts}");
    let text = lab.muster(&["explain", "press-1", "--order", US])?.stdout;
    ensure!(text.contains("Retired as sold (disposition 1), approved by bob"), "{text}");

    // Taken back and retired again: the undo is an action of its own.
    let unretire = ["hosts", "unretire", "press-1", "--reason", "it was another one"];
    let shown = by(&lab, &bob, &[&unretire[..], &["--dry-run"]].concat())?.expect_code(0)?.stdout;
    ensure!(shown.contains("press-1"), "{shown}");
    ensure!(board(&lab)?.1["counts"]["lanes"]["retired"] == 1, "a dry run takes nothing back");
    by(&lab, &bob, &unretire)?.expect_code(0)?;
    ensure!(board(&lab)?.1["counts"]["lanes"]["replace"] == 1, "it is back");
    by(&lab, &bob, &retire)?.expect_code(0)?;
    by(&lab, &ada, &["dispositions", "approve", "2"])?.expect_code(0)?;
    ensure!(board(&lab)?.1["counts"]["lanes"]["retired"] == 1, "it is retired again");

    agent.report(root.path())?;
    let (code, counts) = board(&lab)?;
    ensure!(code == Some(5) && counts["counts"]["lanes"]["replace"] == 1, "{code:?} {counts}");
    let marked = eventually("the mark", PATIENCE, || {
        let listed = lab.muster(&["hosts", "--returned", "-o", "json"])?.expect_code(0)?.json()?;
        Ok((listed["total"] == 1).then_some(()))
    });
    marked.context("the host is not marked")?;
    let text = lab.muster(&["host", "press-1"])?.stdout;
    ensure!(text.contains("reported again after it was retired as sold (disposition 2)"), "{text}");
    by(&lab, &bob, &["hosts", "review", "press-1", "--reason", "it was sold to ourselves"])?.expect_code(0)?;
    let listed = lab.muster(&["hosts", "--returned", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(listed["total"] == 0, "{listed}");
    let entries = lab.muster(&["ledger", "--host", "press-1", "-o", "json"])?.expect_code(0)?.stdout;
    for kind in ["disposition-requested", "disposition-approved", "hosts-unretired", "hosts-returned"] {
        ensure!(entries.contains(kind), "no {kind} in {entries}");
    }
    Ok(())
}
