//! What each outcome of each macOS source does to a Mac from which a product is gone, with and without another that protects it. A
//! source that the order needs and that was not read proves neither that the product is gone nor that nothing protects.

use std::fmt::Write as _;

use muster_proto::model::{Outcome, SourceName};

use super::scenario;
use crate::rules::{self, RuleFile};

/// The sources that an agent reads on macOS.
const SOURCES: &[SourceName] = {
    use SourceName as S;
    &[
        S::Host,
        S::AppBundles,
        S::Receipts,
        S::Launchd,
        S::SystemExtensions,
        S::Processes,
        S::WatchPaths,
        S::BrowserExtensions,
    ]
};

const INCOMPLETE: &[Outcome] =
    &[Outcome::Denied, Outcome::Failed, Outcome::TimedOut, Outcome::Partial, Outcome::NotApplicable];

/// An extension of Falcon that is on, and its process.
const PROTECTS: &str = "{ kind = \"system_extension\", name = \"X9E956P446.com.crowdstrike.falcon.Agent\", id = \"X9E956P446\", \
                        state = \"activated_enabled\" }";
const EVIDENCE: &str = "[[scenario.realtime]]\nplace = \"sysext:com.crowdstrike.falcon.Agent\"\n\
                        [[scenario.realtime]]\nplace = \"process:com.crowdstrike.falcon.Agent\"\n";

const fn is_needed(source: SourceName) -> bool {
    matches!(source, SourceName::AppBundles | SourceName::Launchd | SourceName::SystemExtensions)
}

/// The protection and the lane of a Mac that had a product.
const fn expected(source: SourceName, outcome: Outcome, is_protected: bool) -> (&'static str, &'static str) {
    let is_read = outcome.is_complete() || !is_needed(source);
    match (is_read, is_protected) {
        // It has started again since, and nothing is left.
        (true, true) => ("approved", "done"),
        (true, false) => ("none", "protect"),
        // What was seen protects, whatever else is unknown. The product may be where nobody looked.
        (false, true) => ("approved", "unknown"),
        (false, false) => ("unknown", "unknown"),
    }
}

fn scenario_of(changed: SourceName, outcome: Outcome, is_protected: bool) -> String {
    let (protection, lane) = expected(changed, outcome, is_protected);
    let mut text = format!(
        "[[scenario]]\nname = \"{changed} is {outcome}, protected: {is_protected}\"\nplatform = \"macos\"\n\
         past = {{ had_since = 2026-11-01T00:00:00Z, clean_scans = [\"2026-11-20T00:00:00Z\"] }}\nrealtime_outcome = \"found\"\n\
         expect = {{ protection = \"{protection}\", lane = \"{lane}\" }}\n"
    );
    if is_protected {
        text.push_str(EVIDENCE);
    }
    for source in SOURCES {
        let is_seen = is_protected && *source == SourceName::SystemExtensions;
        let healthy = if is_seen { Outcome::Found } else { Outcome::Empty };
        let outcome = if *source == changed { outcome } else { healthy };
        let _ = write!(text, "[[scenario.source]]\nname = \"{source}\"\noutcome = \"{outcome}\"\n");
        if is_seen {
            let _ = writeln!(text, "see = [{PROTECTS}]");
        }
    }
    text
}

#[test]
fn every_outcome_of_every_macos_source_decides_what_is_known_of_protection() {
    let rules = rules::load(None).expect("the defaults load");
    let mut text = String::new();
    let mut written = 0;
    for source in SOURCES {
        for is_protected in [false, true] {
            let sees = is_protected && *source == SourceName::SystemExtensions;
            let outcomes = INCOMPLETE.iter().filter(|outcome| !sees || **outcome == Outcome::Partial);
            for outcome in outcomes.chain([&if sees { Outcome::Found } else { Outcome::Empty }]) {
                text.push_str(&scenario_of(*source, *outcome, is_protected));
                written += 1;
            }
        }
    }
    let file = RuleFile {
        folder: "scenarios".to_owned(),
        name: "outcomes.toml".to_owned(),
        place: "outcomes.toml".to_owned(),
        text,
    };
    let (count, faults) = scenario::run(&rules, &file);
    let faults: Vec<String> = faults.iter().map(|fault| fault.reason.clone()).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert_eq!(count, written);
}
