//! Orders as actions: two collectors on one PostgreSQL give the same answer soon after an action, broken files change nothing,
//! and the files of any past time can be read.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use muster_tests::canned::Root;
use muster_tests::lab::{Lab, write_owner_only};
use muster_tests::postgres::Server;
use muster_tests::process::Answer;
use serde_json::Value;

const US: &str = "us-bis-icts-2021-002";
const BOD: &str = "us-dhs-bod-17-01";
/// Within this time after an action every collector gives the new answer.
const SOON: Duration = Duration::from_secs(5);

const INTERNAL: &str = "id = \"internal\"\ntitle = \"No ClamAV\"\nissuer = \"Acme\"\njurisdiction = \"Acme\"\n\
                        binding = \"duty\"\nactive = true\n[scope]\nproducts = [\"clamav\"]\nplatforms = [\"linux\"]\n\
                        [protection]\nrequired = false\n";

/// The lanes of a host, by order, as one collector tells them.
fn lanes(lab: &Lab, host: &str) -> Result<Vec<(String, String)>> {
    let answer = lab.muster(&["host", host, "-o", "json"])?.json()?;
    let verdicts = answer["verdicts"].as_array().context("no verdicts")?.clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let in_scope = verdicts.iter().filter(|verdict| verdict["in_scope"] == true);
    Ok(in_scope.map(|verdict| (text(&verdict["order"]["id"]), text(&verdict["lane"]))).collect())
}

/// Waits until both collectors give this answer, and returns how long it took.
fn both_say(labs: [&Lab; 2], host: &str, expected: &[(&str, &str)], since: Instant) -> Result<Duration> {
    loop {
        let told = [lanes(labs[0], host)?, lanes(labs[1], host)?];
        let is_expected = |lanes: &Vec<(String, String)>| {
            lanes.iter().map(|(order, lane)| (order.as_str(), lane.as_str())).eq(expected.iter().copied())
        };
        if told.iter().all(is_expected) {
            return Ok(since.elapsed());
        }
        ensure!(since.elapsed() < SOON, "expected {expected:?} within {SOON:?}, told {told:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn write(lab: &Lab, name: &str, text: &str) -> Result<String> {
    let path = lab.folder().join(name);
    std::fs::write(&path, text)?;
    Ok(path.display().to_string())
}

#[test]
fn two_collectors_on_one_postgresql_give_the_same_answer_soon_after_an_action() -> Result<()> {
    let server = Server::shared()?;
    let database = server.database()?;
    let first = Lab::start_on(&database.url())?;
    let second = first.join()?;
    let agent = first.enrolled_agent("plant-7")?;
    agent.report(Root::debian("plant-7")?.with_kaspersky()?.path())?;
    first.judged()?;
    let both = [&first, &second];
    both_say(both, "plant-7", &[(US, "replace")], Instant::now())?;

    // A dry run on one of them tells how many hosts would move, and changes nothing.
    let dry = first.muster(&["orders", "activate", BOD, "--dry-run", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(dry["is_changed"] == false && dry["hosts"] == 1 && dry["moved_hosts"] == 1, "{dry}");
    ensure!(dry["moves"][0]["order"] == BOD && dry["moves"][0]["from"].is_null(), "{dry}");
    ensure!(dry["moves"][0]["to"] == "remove" && dry["moves"][0]["hosts"] == 1, "{dry}");
    let lines = dry["differences"][0]["lines"].to_string();
    ensure!(lines.contains("active: false → true"), "{dry}");
    both_say(both, "plant-7", &[(US, "replace")], Instant::now())?;

    // Then for real on the other one, while the first judges.
    let began = Instant::now();
    second.muster(&["orders", "activate", BOD])?.expect_code(0)?;
    let took = both_say(both, "plant-7", &[(US, "replace"), (BOD, "remove")], began)?;
    println!("activate: both collectors after {} ms", took.as_millis());
    let again = second.muster(&["orders", "activate", BOD])?.expect_code(1)?;
    ensure!(again.stderr.contains("us-dhs-bod-17-01 is active already; nothing was changed"), "{}", again.stderr);

    // What brings back earlier rules is adopted at once, too.
    let began = Instant::now();
    first.muster(&["orders", "deactivate", BOD])?.expect_code(0)?;
    let took = both_say(both, "plant-7", &[(US, "replace")], began)?;
    println!("deactivate: both collectors after {} ms", took.as_millis());

    // An order of one's own, and an addendum that takes the host out of scope.
    let internal = write(&first, "internal.toml", INTERNAL)?;
    let dry = first.muster(&["orders", "apply", &internal, "--dry-run", "-o", "json"])?.expect_code(0)?.json()?;
    ensure!(dry["moved_hosts"] == 1 && dry["moves"][0]["order"] == "internal", "{dry}");
    let addendum = format!("addendum = true\nid = \"acme-us\"\norder = \"{US}\"\n[scope]\nplatforms = [\"windows\"]\n");
    let addendum = write(&first, "addendum.toml", &addendum)?;
    let began = Instant::now();
    second.muster(&["orders", "apply", &internal, &addendum])?.expect_code(0)?;
    let took = both_say(both, "plant-7", &[("internal", "clear")], began)?;
    println!("apply: both collectors after {} ms", took.as_millis());
    let shown = first.muster(&["orders", "show", US])?.expect_code(0)?;
    ensure!(shown.stdout.contains("acme-us"), "{}", shown.stdout);
    let began = Instant::now();
    first.muster(&["orders", "deactivate", "acme-us"])?.expect_code(0)?;
    both_say(both, "plant-7", &[("internal", "clear"), (US, "replace")], began)?;
    Ok(())
}

#[test]
fn broken_files_change_nothing_and_past_files_can_be_read() -> Result<()> {
    let lab = Lab::start()?;
    let version = || -> Result<Value> { Ok(lab.muster(&["status", "-o", "json"])?.json()?["rules_version"].clone()) };
    let before = version()?;
    let moved = format!(
        "addendum = true\nid = \"acme\"\norder = \"{US}\"\n[[milestone]]\nid = \"updates-end\"\n\
         at = 2024-12-01T00:00:00-05:00\nkind = \"deadline\"\nwhat = \"later\"\n"
    );
    let moved = write(&lab, "moved.toml", &moved)?;
    let unknown = write(&lab, "unknown.toml", "addendum = true\nid = \"acme-2\"\norder = \"us-bis\"\n")?;
    let taken = write(&lab, "taken.toml", &INTERNAL.replace("\"internal\"", &format!("\"{US}\"")))?;
    let large = write(&lab, "large.toml", &format!("{INTERNAL}# {}\n", "x".repeat(256 * 1024)))?;
    for (file, fault) in [
        (&moved, "moved.toml:4: `id`: the order has a milestone \"updates-end\""),
        (&unknown, "unknown.toml:3: `order`: there is no order \"us-bis\""),
        (&taken, "taken.toml:1: `id`: there is an order \"us-bis-icts-2021-002\" already"),
        (&large, "large.toml: has more than 262144 bytes, which is the most that an order may have"),
    ] {
        for arguments in
            [vec!["orders", "apply", file], vec!["orders", "apply", file, "--dry-run"], vec!["orders", "check", file]]
        {
            let refused = lab.muster(&arguments)?.expect_code(1)?;
            ensure!(refused.stderr.contains(fault), "{arguments:?}: no {fault:?} in\n{}", refused.stderr);
        }
    }
    ensure!(version()? == before, "nothing was changed");
    let internal = write(&lab, "internal.toml", INTERNAL)?;
    lab.muster(&["orders", "check", &internal])?.expect_code(0)?;
    lab.muster(&["orders", "apply", &internal])?.expect_code(0)?;
    let shown = || lab.muster(&["orders", "show", "internal", "--file", "-o", "json"]);
    let deadline = Instant::now() + SOON;
    while shown()?.code != Some(0) {
        ensure!(Instant::now() < deadline, "{}", shown()?.stderr);
        std::thread::sleep(Duration::from_millis(50));
    }
    let file = shown()?.json()?;
    ensure!(file["files"][0]["text"] == INTERNAL && file["active"] == true, "{file}");
    let from = file["from"].as_str().context("an instant")?.to_owned();
    // The ledger names the file by its SHA-256, and who applied it.
    let entries = lab.muster(&["ledger", "--kind", "orders-applied", "-o", "json"])?.json()?;
    let sha256 = file["files"][0]["sha256"].as_str().context("a hash")?;
    ensure!(entries.to_string().contains(sha256) && entries.to_string().contains("admin"), "{entries}");
    // Another text in its place; the first one can still be read.
    let other = write(&lab, "internal.toml", &INTERNAL.replace("No ClamAV", "No ClamAV any more"))?;
    let diff = lab.muster(&["orders", "diff", &other])?.expect_code(0)?;
    ensure!(diff.stdout.contains("-title = \"No ClamAV\"\n+title = \"No ClamAV any more\""), "{}", diff.stdout);
    lab.muster(&["orders", "apply", &other])?.expect_code(0)?;
    let deadline = Instant::now() + SOON;
    while !shown()?.stdout.contains("any more") {
        ensure!(Instant::now() < deadline, "{}", shown()?.stdout);
        std::thread::sleep(Duration::from_millis(50));
    }
    let past = lab.muster(&["orders", "show", "internal", "--file", "--at", &from])?.expect_code(0)?;
    ensure!(past.stdout.contains("No ClamAV\"") && !past.stdout.contains("any more"), "{}", past.stdout);
    lab.muster(&["orders", "remove", "internal"])?.expect_code(0)?;
    let gone = lab.muster(&["orders", "remove", "internal"])?.expect_code(1)?;
    ensure!(gone.stderr.contains("no applied file \"internal\""), "{}", gone.stderr);
    Ok(())
}

#[test]
fn where_the_settings_pin_the_active_orders_an_action_says_so_and_changes_nothing() -> Result<()> {
    let lab = Lab::start_with_settings(&format!("[rules]\nactive_orders = [\"{US}\"]\n"))?;
    for verb in ["activate", "deactivate"] {
        let refused = lab.muster(&["orders", verb, BOD])?.expect_code(1)?;
        ensure!(refused.stderr.contains("rules.active_orders"), "{}", refused.stderr);
        ensure!(refused.stderr.contains("nothing was changed"), "{}", refused.stderr);
    }
    let entries = lab.muster(&["ledger", "--kind", "order-activated"])?.expect_code(0)?;
    ensure!(!entries.stdout.contains(BOD), "{}", entries.stdout);
    Ok(())
}

#[test]
fn only_an_administrator_changes_orders_and_a_viewer_reads_them() -> Result<()> {
    let lab = Lab::start()?;
    let token = lab.folder().join("viewer.token");
    let created = lab.muster(&["accounts", "create", "vera", "--role", "viewer"])?.expect_code(0)?;
    write_owner_only(&token, &created.stdout)?;
    let run = |arguments: &[&str]| -> Result<Answer> { Answer::of(lab.muster_command_by(&token)?.args(arguments)) };
    for refused in [["orders", "activate", BOD], ["orders", "deactivate", US], ["orders", "remove", US]] {
        let answer = run(&refused)?.expect_code(1)?;
        ensure!(answer.stderr.contains("admin"), "{refused:?}: {}", answer.stderr);
    }
    let internal = write(&lab, "internal.toml", INTERNAL)?;
    run(&["orders", "apply", &internal, "--dry-run"])?.expect_code(1)?;
    run(&["orders", "diff", &internal])?.expect_code(0)?;
    run(&["orders", "show", US, "--file"])?.expect_code(0)?;
    Ok(())
}
