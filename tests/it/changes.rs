//! `muster changes` after a day of a small fleet: every change of lane with its cause.

use std::path::Path;

use anyhow::{Context, Result};
use muster_tests::canned::Root;
use muster_tests::eventually;
use muster_tests::lab::{Lab, PATIENCE};
use serde_json::Value;

const US: &str = "us-bis-icts-2021-002";

/// The changes of a host under an order, oldest first: `from`, `to`, `cause`.
fn changes(lab: &Lab, host: &str, order: &str) -> Result<Vec<(String, String, String)>> {
    let answer = lab.muster(&["changes", "--since", "60d", "--order", order, "-o", "json"])?.expect_code(0)?.json()?;
    let changes = answer["changes"].as_array().context("no changes")?;
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let of_host = changes.iter().rev().filter(|change| change["hostname"] == host);
    Ok(of_host.map(|change| (text(&change["from"]), text(&change["to"]), text(&change["cause"]))).collect())
}

fn change(from: &str, to: &str, cause: &str) -> (String, String, String) {
    (from.to_owned(), to.to_owned(), cause.to_owned())
}

/// Moves everything in the store of a stopped collector ten days back, as if it had run ten days ago.
fn ten_days_pass(data_dir: &Path) -> Result<()> {
    let database = rusqlite::Connection::open(data_dir.join("muster.db"))?;
    database.execute_batch(
        "UPDATE host SET enrolled_at = enrolled_at - 864000000, judged_at = judged_at - 864000000,
             state_since = state_since - 864000000, snapshot_since = snapshot_since - 864000000;
         UPDATE host_check_in SET last_seen = last_seen - 864000000;
         UPDATE verdict SET since = since - 864000000;
         UPDATE verdict_history SET since = since - 864000000, until = until - 864000000;
         UPDATE host_snapshot SET since = since - 864000000;
         UPDATE host_state SET since = since - 864000000;
         UPDATE ledger SET at = at - 864000000;",
    )?;
    Ok(())
}

#[test]
fn every_change_of_a_day_has_its_cause() -> Result<()> {
    let mut lab = Lab::start()?;
    let (web, db) = (lab.enrolled_agent("web-1")?, lab.enrolled_agent("db-1")?);
    let clean = Root::debian("web-1")?;
    web.report(clean.path())?;
    db.report(Root::debian("db-1")?.path())?;
    lab.judged()?;
    // Whether a host is judged before its first scan depends on which of them comes first.
    let enrolled = changes(&lab, "web-1", US)?;
    assert!(enrolled.iter().all(|(.., cause)| cause == "enrolled"), "{enrolled:?}");
    assert_eq!(enrolled.last().map(|(_, to, _)| to.as_str()), Some("clear"));

    lab.stop_collector()?;
    ten_days_pass(&lab.data_dir())?;
    lab.serve()?;
    let silent = [enrolled.clone(), vec![change("clear", "silent", "silent")]].concat();
    assert_eq!(changes(&lab, "web-1", US)?, silent);

    web.report(clean.path())?;
    web.report(Root::debian("web-1")?.with_kaspersky()?.path())?;
    lab.judged()?;
    web.report(Root::debian("web-1")?.with_kaspersky_removed()?.path())?;
    lab.judged()?;
    web.report(Root::debian("web-1")?.with_database_truncated()?.path())?;
    lab.judged()?;
    let day = changes(&lab, "web-1", US)?;
    let after = [
        change("silent", "clear", "returned"),
        change("clear", "replace", "installed"),
        change("replace", "protect", "removed"),
        change("protect", "unknown", "coverage"),
    ];
    assert_eq!(day, [silent.clone(), after.to_vec()].concat());
    let last = changes(&lab, "db-1", US)?.pop();
    assert_eq!(last, Some(change("clear", "silent", "silent")), "a host that does not come back stays silent");

    // Another order is activated; the first one has other rules from then on, but no host changes lane under it.
    lab.stop_collector()?;
    lab.serve_with(&["--order", US, "--order", "de-bsi-2022-03-15"])?;
    // The collector listens before it has adopted the rules, so an empty judge queue alone says nothing.
    let order = eventually("the new order is judged", PATIENCE, || {
        let order = changes(&lab, "web-1", "de-bsi-2022-03-15")?;
        Ok((!order.is_empty()).then_some(order))
    })?;
    assert_eq!(order.len(), 1, "{order:?}");
    assert_eq!((order[0].0.as_str(), order[0].2.as_str()), ("-", "order"));

    let text = lab.muster(&["changes", "--since", "1h"])?.expect_code(0)?.stdout;
    assert!(text.contains("hosts changed lane"), "{text}");
    assert!(text.contains("1 installed") && text.contains("1 returned"), "{text}");
    let all = lab.muster(&["changes", "--since", "60d", "-o", "json"])?.expect_code(0)?.json()?;
    let oldest =
        lab.muster(&["changes", "--since", "60d", "--sort", "oldest", "-o", "json"])?.expect_code(0)?.json()?;
    let times = |report: &Value| -> Result<Vec<String>> {
        let changes = report["changes"].as_array().context("changes")?;
        Ok(changes.iter().map(|change| change["at"].as_str().unwrap_or_default().to_owned()).collect())
    };
    let (newest, mut reversed) = (times(&all)?, times(&oldest)?);
    assert!(newest.len() > 3 && newest[0] > reversed[0], "{newest:?}");
    reversed.reverse();
    assert_eq!(newest, reversed);
    assert_eq!(all["causes"], oldest["causes"]);
    let csv = lab.muster(&["changes", "-o", "csv"])?.expect_code(0)?.stdout;
    assert!(csv.starts_with("at,host,hostname,site,order,from,to,cause\n"), "{csv}");
    let none = lab.muster(&["changes", "--site", "nowhere"])?.expect_code(0)?.stdout;
    assert_eq!(none, "no host changed lane in the last day\n");
    let wrong = lab.muster(&["changes", "--since", "91d"])?;
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.stderr.contains("at most 90 days back"), "{}", wrong.stderr);
    Ok(())
}
