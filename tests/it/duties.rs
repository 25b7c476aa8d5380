//! Duties with the real programs: an order is switched on, the agent reports a product, and the collector says what must be
//! reported by when, until somebody says that it was done.

use anyhow::{Context, Result, ensure};
use muster_tests::canned::Root;
use muster_tests::eventually;
use muster_tests::lab::{Lab, PATIENCE};
use serde_json::Value;

const FAR: &str = "us-far-52.204-23";
const DAY: u64 = 86_400;

/// The duties that a list names, once there are so many.
fn duties(lab: &Lab, arguments: &[&str], count: usize) -> Result<Vec<Value>> {
    let list = || -> Result<Vec<Value>> {
        let answer = lab.muster(&[&["duties", "-o", "json"], arguments].concat())?.expect_code(0)?.json()?;
        Ok(answer.as_array().context("no list")?.clone())
    };
    let listed = eventually("the duties", PATIENCE, || Ok(Some(list()?).filter(|listed| listed.len() == count)));
    listed.with_context(|| format!("{count} duties are expected with {arguments:?}; there are {:?}", list().ok()))
}

#[test]
fn a_product_that_is_found_must_be_reported_and_the_report_starts_the_next_clock() -> Result<()> {
    let lab = Lab::start_with_own_clock("")?;
    let agent = lab.enrolled_agent("plant-7")?;
    agent.report(Root::debian("plant-7")?.with_kaspersky()?.path())?;
    lab.judged()?;
    ensure!(duties(&lab, &[], 0)?.is_empty(), "the order is not active");

    lab.muster(&["orders", "activate", FAR])?.expect_code(0)?;
    // The machine has two products: the endpoint protection and the agent of its management.
    let first = duties(&lab, &[], 2)?.remove(0);
    ensure!(first["clock"] == "first-report" && first["order"] == FAR && first["state"] == "open", "{first}");
    ensure!(first["subject"].as_str().is_some_and(|about| about.starts_with("product:kaspersky-")), "{first}");
    ensure!(first["overdue"] == false && first["due"].as_str() > first["opened"].as_str(), "{first}");
    let number = first["number"].as_u64().context("a number")?.to_string();
    let shown = lab.muster(&["duties", "show", &number])?.expect_code(0)?.stdout;
    ensure!(
        shown.contains("a report must contain") && shown.contains(&format!("muster duties done {number}")),
        "{shown}"
    );
    let explained = lab.muster(&["explain", "plant-7", "--order", FAR])?.stdout;
    ensure!(explained.contains("duties (`muster duties show ID`)") && explained.contains(": due "), "{explained}");

    // A business day comes within four days, also over a long weekend.
    lab.later(8 * DAY)?;
    let listed = duties(&lab, &["--order", FAR], 2)?;
    ensure!(listed.iter().all(|duty| duty["overdue"] == true), "{listed:?}");
    let line = format!("2 duties are overdue: `muster duties --order {FAR}`");
    for command in ["board", "findings"] {
        let answer = lab.muster(&[command, "--order", FAR])?.expect_code(5)?;
        ensure!(answer.stdout.contains(&line), "{command}: no {line:?} in\n{}", answer.stdout);
    }
    let explained = lab.muster(&["explain", "plant-7", "--order", FAR])?.stdout;
    ensure!(explained.contains(": overdue since "), "{explained}");

    let report = lab.folder().join("report.pdf");
    std::fs::write(&report, "what was reported")?;
    let (report, said) = (report.display().to_string(), "DIBNet 7");
    let refused = lab.muster(&["duties", "done", "99", "--reference", said])?.expect_code(1)?;
    ensure!(refused.stderr.contains("99"), "{}", refused.stderr);
    let done = lab.muster(&["duties", "done", &number, "--reference", said, "--evidence", &report])?.expect_code(0)?;
    ensure!(
        done.stdout.contains(&format!("duty {number} is done")) && done.stdout.contains("has begun"),
        "{}",
        done.stdout
    );
    let again = lab.muster(&["duties", "done", &number, "--reference", said])?.expect_code(1)?;
    ensure!(again.stderr.contains("is done already"), "{}", again.stderr);
    let open = duties(&lab, &[], 2)?;
    ensure!(open.iter().filter(|duty| duty["clock"] == "follow-up").count() == 1, "{open:?}");
    let all = duties(&lab, &["--all"], 3)?;
    let settled = all.iter().find(|duty| duty["state"] == "done").context("one is done")?;
    ensure!(settled["reference"] == said && settled["evidence"]["name"] == "report.pdf", "{settled}");
    let ledger = lab.muster(&["ledger", "--kind", "duty-done", "-o", "json"])?.expect_code(0)?.stdout;
    ensure!(ledger.contains("duty-done"), "{ledger}");

    lab.muster(&["orders", "deactivate", FAR])?.expect_code(0)?;
    duties(&lab, &[], 0)?;
    let closed = duties(&lab, &["--all"], 3)?;
    ensure!(closed.iter().filter(|duty| duty["state"] == "closed").count() == 2, "{closed:?}");
    Ok(())
}
