//! Two machines with one key: a state folder that was copied, and a machine that was cloned. The collector marks the host, and
//! no report of one of them clears what the other has shown.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use muster_tests::binaries;
use muster_tests::canned::Root;
use muster_tests::eventually;
use muster_tests::lab::{Agent, Lab, PATIENCE};
use muster_tests::process::{Answer, Process};

/// Agents check in every second, so that a test takes seconds.
const OFTEN: &str = "[pace]\nnext = \"1s\"\njitter = \"0s\"\n";

fn lane(lab: &Lab, name: &str) -> Result<String> {
    let explained = lab.muster(&["explain", name, "-o", "json"])?.json()?;
    let verdicts = explained["host"]["verdicts"].as_array().context("no verdicts")?.clone();
    let verdict = verdicts.into_iter().find(|verdict| verdict["order"]["id"] == "us-bis-icts-2021-002");
    Ok(verdict.context("no verdict")?["lane"].as_str().unwrap_or_default().to_owned())
}

/// How many hosts have the mark.
fn marked(lab: &Lab) -> Result<u64> {
    let listed = lab.muster(&["hosts", "--two-holders", "-o", "json"])?.expect_code(0)?.json()?;
    listed["total"].as_u64().context("no total")
}

fn service(agent: &Agent, root: &Path) -> Result<Process> {
    let mut command = agent.command("run")?;
    command.arg("--root").arg(root);
    Process::start(command, &agent.state_dir().with_extension("log"))
}

/// An agent with a copy of the other one's state folder.
fn copied(lab: &Lab, original: &Agent, name: &str) -> Result<Agent> {
    let copy = lab.agent(name);
    let mut command = std::process::Command::new("cp");
    command.arg("-a").arg(original.state_dir()).arg(copy.state_dir());
    Answer::of(&mut command)?.expect_code(0)?;
    Ok(copy)
}

#[test]
fn two_running_agents_with_one_state_folder_are_marked_and_a_clean_report_clears_nothing() -> Result<()> {
    let lab = Lab::start_with_settings(OFTEN)?;
    let (infected, clean) = (Root::debian("web-1")?.with_kaspersky()?, Root::debian("web-1")?);
    let original = lab.enrolled_agent("web-1")?;
    let copy = copied(&lab, &original, "copy")?;
    let first = service(&original, infected.path())?;
    eventually("the first machine is judged", PATIENCE, || Ok((lane(&lab, "web-1")? == "replace").then_some(())))
        .with_context(|| first.output())?;
    let mut second = service(&copy, clean.path())?;
    eventually("the host is marked", PATIENCE, || Ok((marked(&lab)? == 1).then_some(())))
        .with_context(|| format!("{}\n{}", first.output(), second.output()))?;
    let shown = lab.muster(&["host", "web-1"])?.stdout;
    ensure!(shown.contains("two-holders since") && shown.contains("`muster hosts review`"), "{shown}");
    let status = lab.muster(&["status"])?.expect_code(0)?.stdout;
    ensure!(status.contains("1 (1 two-holders)"), "{status}");
    let ledger = lab.muster(&["ledger", "--kind", "two-holders-found"])?.expect_code(0)?.stdout;
    ensure!(ledger.contains("web-1: two running agents report in turn with its key"), "{ledger}");
    eventually("it is in the metrics", PATIENCE, || {
        Ok(lab.probe("/metrics")?.1.contains("muster_marked_hosts{mark=\"two-holders\"} 1").then_some(()))
    })?;
    // Whichever of them reports last.
    let seen = || -> Result<String> {
        let host = lab.muster(&["hosts", "-o", "json"])?.json()?["hosts"][0].clone();
        Ok(host["lanes"]["us-bis-icts-2021-002"].as_str().unwrap_or_default().to_owned())
    };
    eventually("what was found on one of them holds", PATIENCE, || Ok((seen()? == "replace").then_some(())))?;
    for _ in 0..20 {
        ensure!(seen()? == "replace" && lane(&lab, "web-1")? == "replace", "a clean report has cleared the other one");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    // Only the clean machine is left, and nobody has said that it is the right one.
    drop(first);
    for _ in 0..20 {
        ensure!(seen()? == "replace", "silence has cleared what was found");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let wrong = lab.muster(&["hosts", "review", "web-1"])?.expect_code(2)?;
    ensure!(wrong.stderr.contains("--reason"), "{}", wrong.stderr);
    lab.muster(&["hosts", "review", "web-1", "--reason", "the original is destroyed"])?.expect_code(0)?;
    ensure!(marked(&lab)? == 0, "the review ends the mark");
    eventually("the machine that is left is judged", PATIENCE, || {
        Ok(["confirm", "protect"].contains(&seen()?.as_str()).then_some(()))
    })?;
    let ledger = lab.muster(&["ledger", "--kind", "hosts-reviewed"])?.expect_code(0)?.stdout;
    ensure!(ledger.contains("web-1: the original is destroyed"), "{ledger}");
    second.stop(PATIENCE)?;
    ensure!(marked(&lab)? == 0, "one machine is not marked again");
    Ok(())
}

#[test]
fn a_machine_that_was_rolled_back_with_its_memory_reports_again_as_a_new_run_and_is_not_marked() -> Result<()> {
    let lab = Lab::start()?;
    let agent = lab.enrolled_agent("web-1")?;
    let [saved, lost, next] = [
        Root::debian("web-1")?,
        Root::debian("web-1")?.with_package("lost", "1.0")?,
        Root::debian("web-1")?.with_package("next", "1.0")?,
    ];
    let mut command = std::process::Command::new(binaries::find("muster-rolled-back")?);
    command.arg(agent.state_dir()).args([saved.path(), lost.path(), next.path()]);
    let reported = Answer::of(&mut command)?.expect_code(0)?.ndjson()?;
    ensure!(reported.len() == 4 && reported.iter().all(|report| report["accepted"] == true), "{reported:?}");
    let refused = lab.probe("/metrics")?.1;
    ensure!(refused.contains("muster_refusals_total{class=\"new-run\"} 1"), "{refused}");
    let shown = lab.muster(&["host", "web-1", "-o", "json"])?.json()?;
    ensure!(shown["snapshot"] == reported[3]["snapshot"], "the last report is not the current one: {shown}");
    ensure!(reported[1]["snapshot"] != reported[3]["snapshot"] && marked(&lab)? == 0, "one machine");
    Ok(())
}

#[test]
fn a_copied_state_folder_on_a_machine_with_another_id_shows_with_its_first_report() -> Result<()> {
    let lab = Lab::start()?;
    let roots = [Root::debian("web-1")?, Root::debian("web-1")?];
    for (root, id) in roots.iter().zip(["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"]) {
        root.write("etc/machine-id", &format!("{id}\n"))?;
    }
    let original = lab.enrolled_agent("web-1")?;
    original.report(roots[0].path())?;
    let copy = copied(&lab, &original, "copy")?;
    for _ in 0..3 {
        original.report(roots[0].path())?;
    }
    ensure!(marked(&lab)? == 0, "a machine that restarts its agent is not marked");
    copy.report(roots[1].path())?;
    ensure!(marked(&lab)? == 1, "the copy has another machine id");
    lab.judged()?;
    ensure!(lane(&lab, "web-1")? == "unknown", "two clean reports say nothing of one host");
    let ledger = lab.muster(&["ledger", "--kind", "two-holders-found"])?.expect_code(0)?.stdout;
    ensure!(ledger.contains("a machine with another machine id reports with its key"), "{ledger}");
    // A machine id that was renewed is accepted by a review.
    lab.muster(&["hosts", "review", "web-1", "--reason", "cloned, and the original is gone"])?.expect_code(0)?;
    copy.report(roots[1].path())?;
    lab.judged()?;
    ensure!(marked(&lab)? == 0 && lane(&lab, "web-1")? == "clear", "reviewed");
    Ok(())
}
