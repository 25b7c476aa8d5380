//! The past with the real programs: what the board, the lists and the reasons said on a day is what `--as-of` says of it weeks
//! later; days have a timeline, and work has a forecast.

use anyhow::{Context, Result, ensure};
use muster_tests::canned::Root;
use muster_tests::lab::Lab;
use serde_json::Value;

const US: &str = "us-bis-icts-2021-002";
const FAR: &str = "us-far-52.204-23";
const DAY: u64 = 86_400;

fn json(lab: &Lab, arguments: &[&str]) -> Result<Value> {
    lab.muster(&[arguments, &["-o", "json"]].concat())?.json()
}

/// The present board of an order: its counts, and the instant.
fn board(lab: &Lab) -> Result<(Value, String)> {
    let boards = json(lab, &["board", "--order", US])?;
    let as_of = boards[0]["as_of"].as_str().context("an instant")?.to_owned();
    Ok((boards[0]["counts"].clone(), as_of))
}

#[test]
fn what_was_answered_on_a_day_is_answered_of_it_weeks_later() -> Result<()> {
    let lab = Lab::start_with_own_clock("")?;
    let (web, db) = (lab.enrolled_agent("web-1")?, lab.enrolled_agent("db-1")?);
    web.report(Root::debian("web-1")?.with_kaspersky()?.path())?;
    db.report(Root::debian("db-1")?.path())?;
    lab.judged()?;
    let (first, first_at) = board(&lab)?;
    ensure!(first["lanes"]["replace"] == 1 && first["lanes"]["clear"] == 1, "{first}");
    let findings = json(&lab, &["findings", "--order", US])?;

    // A day later the product is gone; after that nobody reports for weeks.
    lab.later(DAY + 3600)?;
    web.report(Root::debian("web-1")?.with_kaspersky_removed()?.path())?;
    db.report(Root::debian("db-1")?.path())?;
    lab.judged()?;
    let (second, second_at) = board(&lab)?;
    ensure!(second["lanes"]["replace"] == 0, "{second}");
    lab.later(20 * DAY)?;
    let (third, _) = board(&lab)?;
    ensure!(third["lanes"]["silent"] == 2, "{third}");

    for (counts, as_of) in [(&first, &first_at), (&second, &second_at)] {
        let past = json(&lab, &["board", "--order", US, "--as-of", as_of])?;
        ensure!(past[0]["counts"] == *counts && past[0]["as_of"] == **as_of, "{past}\n{counts}");
        ensure!(past[0]["judge_queue"].is_null() && past[0]["unprotected"].is_null(), "{past}");
    }
    let page = lab.muster(&["board", "--order", US, "--as-of", &first_at])?.expect_code(5)?.stdout;
    ensure!(page.contains("adds up") && !page.contains("to be judged"), "{page}");
    let past = json(&lab, &["findings", "--order", US, "--as-of", &first_at])?;
    let (host, found) = (&past["hosts"][0], &findings["findings"][0]);
    ensure!(past["hosts"].as_array().map(Vec::len) == Some(1), "{past}");
    ensure!(host["hostname"] == "web-1" && host["verdicts"][0]["lane"] == "replace", "{past}");
    ensure!(host["verdicts"][0]["since"] == found["since"], "{past}\n{findings}");
    let all = json(&lab, &["hosts", "--as-of", &second_at, "--order", US])?;
    ensure!(all["hosts"].as_array().map(Vec::len) == Some(2), "{all}");

    let by_filter = json(&lab, &["hosts", "--as-of", &first_at, "--where", "lane:replace -name:db*", "--order", US])?;
    ensure!(by_filter["hosts"].as_array().map(Vec::len) == Some(1), "{by_filter}");
    let none = json(&lab, &["findings", "--as-of", &first_at, "--order", US, "--where", "name:db*"])?;
    ensure!(none["hosts"].as_array().map(Vec::len) == Some(0), "{none}");
    let shown = lab.muster(&["host", "web-1", "--as-of", &first_at])?.expect_code(5)?.stdout;
    ensure!(shown.contains("lane        replace (overdue)"), "{shown}");
    let explained = lab.muster(&["explain", "web-1", "--order", US, "--as-of", &first_at])?.expect_code(5)?.stdout;
    ensure!(explained.contains("Kaspersky") && explained.contains("result      presence"), "{explained}");
    let later = lab.muster(&["explain", "web-1", "--order", US, "--as-of", &second_at])?.stdout;
    ensure!(later.contains("(removed)"), "{later}");

    timelines_and_forecasts(&lab)?;
    refusals(&lab)
}

fn timelines_and_forecasts(lab: &Lab) -> Result<()> {
    let timeline = json(lab, &["timeline", "--order", US])?;
    let days = timeline["days"].as_array().context("days")?;
    ensure!(days.len() >= 20 && days.len() <= 22, "{} days", days.len());
    ensure!(days.iter().all(|day| day["counts"]["total"] == 2), "{timeline}");
    ensure!(timeline["omitted"][0]["why"] == "before-first", "{timeline}");
    let text = lab.muster(&["timeline", "--order", US])?.expect_code(0)?.stdout;
    ensure!(text.contains("SILENT") && text.contains(" silent") && text.contains("now"), "{text}");
    let by_cause = lab.muster(&["timeline", "--order", US, "--by", "cause", "-o", "csv"])?.expect_code(0)?.stdout;
    ensure!(by_cause.starts_with("at,cause,from,to,hosts\n"), "{by_cause}");
    ensure!(by_cause.contains(",removed,replace,") && by_cause.contains(",silent,"), "{by_cause}");
    let by_site = lab.muster(&["timeline", "--order", US, "--by", "site"])?.expect_code(0)?.stdout;
    ensure!(by_site.contains("SITE"), "{by_site}");
    let forecast = json(lab, &["forecast", "--order", US])?;
    ensure!(forecast["open"] == 2 && forecast["state"] == "rates", "{forecast}");
    ensure!(forecast["rates"][0]["end"].is_null() && forecast["rates"][1]["window"] == 28, "{forecast}");
    let text = lab.muster(&["forecast", "--order", US])?.expect_code(0)?.stdout;
    ensure!(text.contains("work is left on 2 machines") && text.contains("no end at this rate"), "{text}");
    Ok(())
}

fn refusals(lab: &Lab) -> Result<()> {
    for (arguments, expected) in [
        (&["board", "--as-of", "2099-01-01"][..], "is in the future"),
        (&["board", "--as-of", "2020-01-01"], "the store has nothing from 2020-01-01"),
        (&["hosts", "--as-of", "2020-01-01"], "the store has nothing from 2020-01-01"),
        (&["host", "web-1", "--as-of", "2020-01-01"], "enrolled at"),
        (&["hosts", "--as-of", "2020-01-01", "--where", "serial:7B*"], "\"serial\" cannot be asked of the past"),
        (&["timeline", "--order", US, "--to", "2099-01-01"], "is in the future"),
        (&["timeline", "--order", "us-bis-icts-2021-003"], "no order"),
        (&["forecast", "--order", FAR], "is not active"),
        (&["forecast", "--order", US, "--site", "hq2"], "no machine is counted at hq2"),
    ] {
        let refused = lab.muster(arguments)?.expect_code(1)?;
        ensure!(refused.stderr.contains(expected), "{arguments:?}: no {expected:?} in {}", refused.stderr);
    }
    for arguments in [
        &["board", "--as-of", "yesterday"][..],
        &["hosts", "--as-of", "2026-01-01", "--sort", "site"],
        &["hosts", "--as-of", "2026-01-01", "--purged"],
        &["hosts", "--as-of", "2026-01-01", "--returned"],
        &["timeline", "--order", US, "--by", "lane"],
        &["forecast"],
    ] {
        let refused = lab.muster(arguments)?.expect_code(2)?;
        ensure!(!refused.stderr.is_empty(), "{arguments:?}");
    }
    Ok(())
}
