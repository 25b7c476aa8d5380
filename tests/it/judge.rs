//! From a host to its lane through the whole system: canned roots in, the operator's answer out.

use anyhow::{Context, Result};
use muster_tests::canned::Root;
use muster_tests::lab::Lab;
use serde_json::Value;

/// The order that is active by default.
const US: &str = "us-bis-icts-2021-002";

/// What `muster explain` says about one host under the US determination.
struct Explained {
    verdict: Value,
    code: Option<i32>,
    text: String,
}

impl Explained {
    fn of(root: &Root, name: &str) -> Result<Self> {
        let lab = Lab::start()?;
        let agent = lab.enrolled_agent(name)?;
        agent.report(root.path())?;
        lab.judged()?;
        let json = lab.muster(&["explain", name, "-o", "json"])?;
        let text = lab.muster(&["explain", name])?;
        assert_eq!(json.code, text.code, "the exit code depends on the form of the output");
        let verdicts = json.json()?;
        let verdicts = verdicts["host"]["verdicts"].as_array().context("no verdicts")?.clone();
        let verdict = verdicts.into_iter().find(|verdict| verdict["order"]["id"] == US);
        let verdict = verdict.with_context(|| format!("no verdict under {US}: {}", json.stdout))?;
        Ok(Self { verdict, code: json.code, text: text.stdout })
    }

    fn lane(&self) -> &str {
        self.verdict["lane"].as_str().unwrap_or_default()
    }

    fn presence(&self) -> &str {
        self.verdict["presence"].as_str().unwrap_or_default()
    }

    /// Whether some reason or its evidence contains this.
    fn gives(&self, part: &str) -> bool {
        self.verdict["reasons"].to_string().contains(part)
    }
}

#[test]
fn a_host_without_kaspersky_is_clear() -> Result<()> {
    let explained = Explained::of(&Root::debian("clean")?, "clean")?;
    assert_eq!((explained.lane(), explained.presence()), ("clear", "none"), "{}", explained.text);
    assert_eq!(explained.code, Some(0));
    assert!(explained.text.contains("clear"), "{}", explained.text);
    Ok(())
}

#[test]
fn a_host_with_kaspersky_must_replace_it_and_the_reasons_say_why() -> Result<()> {
    let explained = Explained::of(&Root::debian("plant-7")?.with_kaspersky()?, "plant-7")?;
    assert_eq!(explained.lane(), "replace", "{}", explained.text);
    assert!(["installed", "active"].contains(&explained.presence()), "{}", explained.text);
    assert_eq!(explained.code, Some(5), "the due milestone of the US determination has passed");
    for trace in ["kesl", "klnagent64", "12.0.0-6672", "dpkg"] {
        assert!(explained.gives(trace), "no reason names {trace}: {}", explained.verdict);
        assert!(explained.text.contains(trace), "the page does not name {trace}:\n{}", explained.text);
    }
    assert!(!explained.text.to_lowercase().contains("violation"), "continued use is no violation:\n{}", explained.text);
    Ok(())
}

#[test]
fn a_removed_package_is_a_remnant() -> Result<()> {
    let explained = Explained::of(&Root::debian("leftover")?.with_kaspersky_removed()?, "leftover")?;
    assert_eq!(explained.presence(), "remnant", "{}", explained.text);
    assert!(!["replace", "remove", "clear", "done"].contains(&explained.lane()), "lane {}", explained.lane());
    assert_ne!(explained.code, Some(0));
    assert!(explained.gives("rc"), "no reason names dpkg's state: {}", explained.verdict);
    Ok(())
}

/// A broken package database must never mean that nothing is installed.
fn assert_unknown(root: &Root, name: &str) -> Result<()> {
    let explained = Explained::of(root, name)?;
    assert_eq!((explained.lane(), explained.presence()), ("unknown", "unknown"), "{name}: {}", explained.text);
    assert_ne!(explained.code, Some(0), "{name}");
    assert!(explained.gives("dpkg"), "{name}: no reason names the source: {}", explained.verdict);
    Ok(())
}

#[test]
fn a_truncated_package_database_is_unknown_and_never_clear() -> Result<()> {
    assert_unknown(&Root::debian("cut")?.with_database_truncated()?, "cut")
}

#[test]
fn a_package_database_cut_between_stanzas_is_unknown_and_never_clear() -> Result<()> {
    assert_unknown(&Root::debian("half-gone")?.with_database_cut_between_stanzas()?, "half-gone")
}

#[test]
fn an_unreadable_package_database_is_unknown_and_never_clear() -> Result<()> {
    assert_unknown(&Root::debian("locked")?.with_database_unreadable()?, "locked")
}

#[test]
fn a_missing_package_database_is_unknown_and_never_clear() -> Result<()> {
    assert_unknown(&Root::debian("gone")?.without_database()?, "gone")
}

#[test]
fn an_empty_package_database_is_unknown_and_never_clear() -> Result<()> {
    assert_unknown(&Root::debian("void")?.with_database_empty()?, "void")
}

#[test]
fn a_package_database_of_garbage_is_unknown_and_never_clear() -> Result<()> {
    assert_unknown(&Root::debian("noise")?.with_database_of_garbage()?, "noise")
}

#[test]
fn a_broken_database_does_not_hide_what_was_seen_before_the_break() -> Result<()> {
    let root = Root::debian("half")?
        .with_kaspersky()?
        .with_package("zz-last", "1.0")?
        .with_database_truncated_in("zz-last")?;
    let explained = Explained::of(&root, "half")?;
    assert_eq!(explained.lane(), "replace", "what was found counts: {}", explained.text);
    Ok(())
}

#[test]
fn every_host_is_in_exactly_one_lane_and_the_board_adds_up() -> Result<()> {
    let lab = Lab::start()?;
    let roots = [
        ("one", Root::debian("one")?),
        ("two", Root::debian("two")?.with_kaspersky()?),
        ("three", Root::debian("three")?.without_database()?),
    ];
    for (name, root) in &roots {
        lab.enrolled_agent(name)?.report(root.path())?;
    }
    lab.enrolled_agent("silent-from-birth")?;
    lab.judged()?;
    let board = lab.muster(&["board", "-o", "json"])?;
    assert_eq!(board.code, Some(5));
    let board = board.json()?;
    let board = board.as_array().and_then(|boards| boards.iter().find(|board| board["order"]["id"] == US));
    let counts = &board.context("no board of the US determination")?["counts"];
    let lanes = counts["lanes"].as_object().context("no lanes")?;
    let sum: u64 = lanes.values().filter_map(Value::as_u64).sum();
    assert_eq!(Some(sum), counts["total"].as_u64().map(|total| total - counts["out_of_scope"].as_u64().unwrap_or(0)));
    assert_eq!(counts["total"], 4, "{counts}");
    for (lane, hosts) in [("clear", 1), ("replace", 1)] {
        assert_eq!(lanes[lane], hosts, "{counts}");
    }
    Ok(())
}

#[test]
fn a_positive_remains_until_a_complete_scan_refutes_it() -> Result<()> {
    let lab = Lab::start()?;
    let agent = lab.enrolled_agent("doubtful")?;
    let lane = |lab: &Lab| -> Result<String> {
        lab.judged()?;
        let explained = lab.muster(&["explain", "doubtful", "-o", "json"])?.json()?;
        let verdicts = explained["host"]["verdicts"].as_array().context("no verdicts")?.clone();
        let verdict = verdicts.into_iter().find(|verdict| verdict["order"]["id"] == US).context("no verdict")?;
        Ok(verdict["lane"].as_str().unwrap_or_default().to_owned())
    };
    agent.report(Root::debian("doubtful")?.with_kaspersky()?.path())?;
    assert_eq!(lane(&lab)?, "replace");
    // The database is missing, so the scan refutes nothing.
    agent.report(Root::debian("doubtful")?.without_database()?.path())?;
    assert_eq!(lane(&lab)?, "replace");
    // The database is back without the product: it is removed now, but the host can never be `clear` again.
    agent.report(Root::debian("doubtful")?.path())?;
    let after = lane(&lab)?;
    assert!(["confirm", "protect"].contains(&after.as_str()), "the lane is {after}");
    Ok(())
}
