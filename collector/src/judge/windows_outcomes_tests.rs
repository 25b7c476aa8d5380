//! What each outcome of each Windows source does to the lane, on a client and on a server. A source that the order needs and
//! that was not read leads to `unknown`, never to `clear`; what was found counts whatever else is unknown.

use std::fmt::Write as _;

use muster_proto::model::{Outcome, SourceName};

use super::scenario;
use crate::rules::{self, RuleFile};

/// The sources that a Windows agent reads.
const SOURCES: &[SourceName] = {
    use SourceName as S;
    &[
        S::Host,
        S::UninstallKeys,
        S::Msi,
        S::Appx,
        S::Services,
        S::Drivers,
        S::FilterDrivers,
        S::Registry,
        S::WatchPaths,
        S::Defender,
        S::SecurityCenter,
        S::ScheduledTasks,
        S::Processes,
        S::TrustStore,
        S::BrowserExtensions,
    ]
};

const OUTCOMES: &[Outcome] =
    &[Outcome::Denied, Outcome::Failed, Outcome::TimedOut, Outcome::Partial, Outcome::NotApplicable];

#[derive(Clone, Copy, PartialEq)]
enum Edition {
    Client,
    Server,
}

/// The outcome of every source on a machine that was read completely. A server has no Security Center.
fn healthy(edition: Edition, source: SourceName) -> Outcome {
    if source == SourceName::SecurityCenter && edition == Edition::Server {
        Outcome::NotApplicable
    } else {
        Outcome::Empty
    }
}

/// The lane of a machine without a product: one row for each source that the order needs. The other sources add evidence,
/// and the order does not need them.
fn expected(source: SourceName, outcome: Outcome) -> &'static str {
    use SourceName as S;
    let is_needed = matches!(
        source,
        S::UninstallKeys
            | S::Msi
            | S::Registry
            | S::WatchPaths
            | S::Services
            | S::Drivers
            | S::FilterDrivers
            | S::SecurityCenter
            | S::Defender
    );
    // Either of drivers and filters is enough, and so is any of the three that know what protects; of those that show what an
    // uninstaller knows or leaves, none may have failed.
    let can_be_left_out = !matches!(source, S::UninstallKeys | S::Services);
    if !is_needed || (outcome == Outcome::NotApplicable && can_be_left_out) { "clear" } else { "unknown" }
}

fn scenario_of(edition: Edition, changed: SourceName, outcome: Outcome, with_product: bool) -> String {
    let name = match edition {
        Edition::Client => "client",
        Edition::Server => "server",
    };
    let lane = if with_product { "replace" } else { expected(changed, outcome) };
    let mut text = format!(
        "[[scenario]]\nname = \"{name}: {changed} is {outcome}, {}\"\nplatform = \"windows\"\nexpect = {{ lane = \"{lane}\" }}\n",
        if with_product { "and a product is there" } else { "and nothing is there" }
    );
    for source in SOURCES {
        let outcome = if *source == changed { outcome } else { healthy(edition, *source) };
        let _ = write!(text, "[[scenario.source]]\nname = \"{source}\"\noutcome = \"{outcome}\"\n");
        // The product is seen by a source that was read.
        let seen_by =
            if changed == SourceName::UninstallKeys { SourceName::Services } else { SourceName::UninstallKeys };
        if with_product && *source == seen_by {
            text = text.trim_end().trim_end_matches(&format!("outcome = \"{outcome}\"")).to_owned();
            text.push_str("outcome = \"found\"\n");
            let row = if seen_by == SourceName::Services {
                "{ kind = \"service\", name = \"AVP.KES.21.15\" }"
            } else {
                "{ kind = \"uninstall_key\", name = \"Kaspersky Endpoint Security for Windows\", vendor = \"AO Kaspersky Lab\" }"
            };
            let _ = writeln!(text, "see = [{row}]");
        }
    }
    text
}

#[test]
fn every_outcome_of_every_windows_source_leads_to_its_lane() {
    let rules = rules::load(None).expect("the defaults load");
    let mut text = String::new();
    for edition in [Edition::Client, Edition::Server] {
        for source in SOURCES {
            for outcome in OUTCOMES {
                for with_product in [false, true] {
                    text.push_str(&scenario_of(edition, *source, *outcome, with_product));
                }
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
    assert_eq!(count, 2 * SOURCES.len() * OUTCOMES.len() * 2);
    let faults: Vec<String> = faults.iter().map(|fault| fault.reason.clone()).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// On a server nothing replaces Defender and the filters, if neither was read.
#[test]
fn a_server_whose_protection_nobody_could_read_is_unknown() {
    let rules = rules::load(None).expect("the defaults load");
    let mut text = "[[scenario]]\nname = \"nothing knows what protects\"\nplatform = \"windows\"\nexpect = { lane = \"unknown\" }\n".to_owned();
    for source in SOURCES {
        let knows_what_protects =
            matches!(source, SourceName::SecurityCenter | SourceName::Defender | SourceName::FilterDrivers);
        let outcome = if knows_what_protects { Outcome::NotApplicable } else { Outcome::Empty };
        let _ = write!(text, "[[scenario.source]]\nname = \"{source}\"\noutcome = \"{outcome}\"\n");
    }
    let file = RuleFile {
        folder: "scenarios".to_owned(),
        name: "server.toml".to_owned(),
        place: "server.toml".to_owned(),
        text,
    };
    let (_, faults) = scenario::run(&rules, &file);
    assert!(faults.is_empty(), "{:?}", faults.first().map(|fault| &fault.reason));
}
