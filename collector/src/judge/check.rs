//! `muster catalogue check`: loads the defaults with an overlay, runs every scenario, and tries every recogniser.

use std::collections::BTreeSet;

use muster_proto::model::{Kind, OrderId, agent_states};
use muster_proto::terminal::Progress;

use super::scenario;
use crate::rules::{
    Catalogue, Condition, RuleErrors, RuleFault, RuleFile, RuleSet, assemble, conflicts, embedded, order_id,
};

/// The result of a check without faults.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The defaults with the overlay.
    pub rules: RuleSet,
    /// How many scenarios ran.
    pub scenarios: usize,
    /// Recognisers that overlap or that others shadow, and states that no table lists: no faults, but an analyst should
    /// know about them.
    pub notices: Vec<RuleFault>,
}

/// Checks the defaults with the files of an overlay: runs every scenario, and tries every recogniser with texts that it
/// matches.
///
/// The overlay's scenarios run under the merged rules. Default scenarios run under the merged catalogue and the default
/// orders: they find recognisers of the overlay that break detection, and they do not fail because the overlay means to
/// change a parameter of an order, such as its patience. `progress` counts the scenario files.
///
/// # Errors
/// A file has a fault, a recogniser can never match, or a scenario has an unexpected result. The error lists all of them
/// with file and line.
pub(crate) fn check_rules(overlay: &[RuleFile], progress: &Progress) -> Result<Checked, RuleErrors> {
    let defaults = embedded();
    let rules = assemble(defaults.clone(), overlay.to_vec())?;
    let with_default_orders = with_default_orders(&defaults, overlay);
    let mut faults = Vec::new();
    let mut run = 0;
    let own: Vec<&RuleFile> = overlay.iter().filter(|file| file.folder == SCENARIOS).collect();
    let shipped: Vec<&RuleFile> = default_scenarios(&defaults, overlay).collect();
    progress.expect((own.len() + shipped.len()) as u64);
    for file in shipped {
        let (count, found) = scenario::run(with_default_orders.as_ref().unwrap_or(&rules), file);
        run += count;
        progress.advance(1);
        // The defaults alone have no faults, so the overlay is the cause.
        let blame = |fault: RuleFault| {
            let reason = format!("the overlay changes the result of this default scenario: {}", fault.reason);
            RuleFault { reason, ..fault }
        };
        faults.extend(found.into_iter().map(|fault| if overlay.is_empty() { fault } else { blame(fault) }));
    }
    for file in own {
        let (count, found) = scenario::run(&rules, file);
        run += count;
        progress.advance(1);
        faults.extend(found);
    }
    let conflicts = conflicts(&rules.catalogue);
    faults.extend(conflicts.never);
    let conflicting = conflicts.shadowed.into_iter().chain(conflicts.overlaps);
    let notices = conflicting.chain(replaced_orders(&defaults, overlay)).chain(unlisted_states(&rules.catalogue));
    if faults.is_empty() {
        Ok(Checked { rules, scenarios: run, notices: notices.collect() })
    } else {
        Err(RuleErrors::new(faults))
    }
}

const SCENARIOS: &str = "scenarios";
const ORDERS: &str = "orders";
const STATES: &str = "states";

/// The merged rules with the default orders. `None` if those are the merged rules, or do not fit the merged catalogue, for
/// example because the overlay renames a product that they name.
fn with_default_orders(defaults: &[RuleFile], overlay: &[RuleFile]) -> Option<RuleSet> {
    // Compiling the catalogue takes most of the time of a check.
    if !overlay.iter().any(|file| file.folder == ORDERS) {
        return None;
    }
    let others = overlay.iter().filter(|file| file.folder != ORDERS).cloned().collect();
    assemble(defaults.to_vec(), others).ok()
}

/// The default scenario files, without those that a file of the overlay replaces.
fn default_scenarios<'f>(defaults: &'f [RuleFile], overlay: &'f [RuleFile]) -> impl Iterator<Item = &'f RuleFile> {
    let is_replaced =
        |file: &RuleFile| overlay.iter().any(|other| other.folder == SCENARIOS && other.name == file.name);
    defaults.iter().filter(move |file| file.folder == SCENARIOS && !is_replaced(file))
}

/// A notice for every order of the overlay that replaces a default one: no default scenario tests it.
fn replaced_orders(defaults: &[RuleFile], overlay: &[RuleFile]) -> Vec<RuleFault> {
    let shipped: BTreeSet<OrderId> =
        defaults.iter().filter(|file| file.folder == ORDERS).filter_map(order_id).collect();
    let own = overlay.iter().filter(|file| file.folder == ORDERS);
    let replaced = own.filter_map(|file| Some((file, order_id(file).filter(|id| shipped.contains(id))?)));
    let notice = |(file, id): (&RuleFile, OrderId)| RuleFault {
        file: file.place.clone(),
        line: 1,
        reason: format!(
            "replaces the default order {id}, which no default scenario tests; test it with scenarios of your own"
        ),
    };
    replaced.map(notice).collect()
}

/// A notice for every state that an agent can report and no table lists: an observation in such a state is only a suspicion.
fn unlisted_states(catalogue: &Catalogue) -> Vec<RuleFault> {
    let is_unlisted =
        |(kind, state): &(Kind, String)| catalogue.read_state(Some(*kind), state).condition == Condition::Unlisted;
    let notice = |(kind, state): (Kind, String)| RuleFault {
        file: STATES.to_owned(),
        line: 0,
        reason: format!(
            "no table lists the state {state:?} of {kind}, which agents report; it proves nothing until you add it to a \
             file in {STATES}/"
        ),
    };
    agent_states().into_iter().filter(is_unlisted).map(notice).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::rules::test_overlay::overlay;
    use crate::rules::{OverlayLimits, read_overlay};

    fn check_dir(overlay: Option<&Path>, progress: &Progress) -> Result<Checked, RuleErrors> {
        let read = overlay.map(|place| read_overlay(place, &OverlayLimits::default())).transpose()?.unwrap_or_default();
        check_rules(&read.files, progress)
    }

    #[test]
    fn every_default_scenario_has_the_expected_result() {
        match check_dir(None, &Progress::default()) {
            Ok(checked) => assert!(checked.scenarios >= 25, "only {} scenarios were run", checked.scenarios),
            Err(errors) => panic!("{errors}"),
        }
    }

    #[test]
    fn default_recognisers_do_not_conflict() {
        let checked = check_dir(None, &Progress::default()).expect("the defaults have no faults");
        let notices: Vec<String> = checked.notices.iter().map(ToString::to_string).collect();
        assert!(notices.is_empty(), "{}", notices.join("\n"));
    }

    #[test]
    fn recognisers_that_overlap_or_never_match_are_reported_with_file_and_line() {
        let overlay = tempfile::tempdir().expect("a directory");
        fs::create_dir(overlay.path().join("catalogue")).expect("a folder");
        let product = |id: &str, recognisers: &str| {
            let head = format!("id = \"{id}\"\nname = \"X\"\nvendor = \"X\"\ncategory = \"edr\"\n");
            fs::write(overlay.path().join(format!("catalogue/{id}.toml")), head + recognisers).expect("written");
        };
        let recogniser = |tests: &str| {
            format!("[[recogniser]]\nplatforms = [\"linux\"]\nkinds = [\"deb\"]\nstrength = \"proves\"\n{tests}\n")
        };
        let twice = recogniser("key = [\"xagent\", \"xd\"]") + &recogniser("key = [\"xd\"]");
        product("one", &twice);
        product("two", &recogniser("key = [\"~x(agent|guard)\"]"));
        let notices = check_dir(Some(overlay.path()), &Progress::default()).expect("no faults").notices;
        let shown: String = notices.iter().map(|notice| format!("{notice}\n")).collect();
        for part in [
            "catalogue/one.toml:10: one#2 has no effect: #1 of the same product matches all of it",
            "catalogue/one.toml:5: one#1 overlaps two#1 (\"xagent\")",
            "catalogue/two.toml:5: two#1 overlaps one#1 (\"xagent\")",
        ] {
            assert!(shown.contains(part), "no {part:?} in\n{shown}");
        }
        product("three", &recogniser("key = [\"~.+[.]deb:amd64\"]"));
        let fallback = recogniser("name = [\"guard\"]\nfallback = true") + &recogniser("name = [\"guard\"]");
        product("four", &fallback);
        let faults =
            check_dir(Some(overlay.path()), &Progress::default()).expect_err("one can never match").to_string();
        assert!(faults.contains("catalogue/three.toml:5: three#1 can never match"), "{faults}");
        fs::remove_file(overlay.path().join("catalogue/three.toml")).expect("removed");
        let notices = check_dir(Some(overlay.path()), &Progress::default()).expect("no faults").notices;
        let shown: String = notices.iter().map(|notice| format!("{notice}\n")).collect();
        assert!(shown.contains("catalogue/four.toml:5: four#1 has no effect: it is shadowed by four#2"), "{shown}");
    }

    fn default_file(folder: &str, name: &str) -> String {
        let file = embedded().into_iter().find(|file| file.folder == folder && file.name == name);
        file.expect("a default file").text
    }

    const ORDER: &str = "us-bis-icts-2021-002.toml";

    fn with_patience(days: u32) -> String {
        let text = default_file("orders", ORDER);
        let others = text.lines().filter(|line| !line.starts_with("patience_days"));
        format!("patience_days = {days}\n{}\n", others.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn an_overlay_may_change_the_patience_of_an_order_without_failing_the_default_scenarios() {
        let place = overlay(&[(&format!("orders/{ORDER}"), with_patience(400))]);
        let checked = check_dir(Some(place.path()), &Progress::default()).unwrap_or_else(|errors| panic!("{errors}"));
        let order = checked.rules.order("us-bis-icts-2021-002").expect("the order");
        assert_eq!(order.patience.as_secs(), 400 * 86_400, "the overlay's order is the one in force");
        let notices: Vec<String> = checked.notices.iter().map(ToString::to_string).collect();
        assert!(
            notices.len() == 1 && notices[0].contains("replaces the default order us-bis-icts-2021-002"),
            "{notices:?}"
        );
    }

    #[test]
    fn every_state_that_agents_report_and_no_table_lists_is_named() {
        let scenario = "[[scenario]]\nname = \"nothing\"\nexpect = { lane = \"clear\" }\n";
        let tables = [
            ("states/files.toml", "id = \"files\"\n[[text]]\nsays = \"left-over\"\nstates = [\"no-files\"]\n"),
            // The default scenarios of these files need the states that are missing here.
            ("scenarios/linux-kaspersky.toml", scenario),
            ("scenarios/states.toml", scenario),
            ("scenarios/field-protection.toml", scenario),
        ];
        let place = overlay(&tables.map(|(name, text)| (name, text.to_owned())));
        let checked = check_dir(Some(place.path()), &Progress::default()).unwrap_or_else(|errors| panic!("{errors}"));
        let notices: Vec<String> = checked.notices.iter().map(ToString::to_string).collect();
        let expected = |kind: &str, state: &str| {
            format!(
                "states: no table lists the state {state:?} of {kind}, which agents report; it proves nothing until you \
                 add it to a file in states/"
            )
        };
        for (kind, state) in [("service", "masked"), ("path", "no-program"), ("process", "deleted")] {
            assert!(notices.contains(&expected(kind, state)), "{state} of {kind} in {notices:#?}");
        }
        assert!(!notices.contains(&expected("path", "no-files")), "{notices:#?}");
        assert!(!notices.iter().any(|notice| notice.contains("of deb")), "{notices:#?}");
    }

    #[test]
    fn scenarios_of_an_overlay_run_under_its_own_orders() {
        let scenario = |days: u32| {
            let seen = "now = 2026-11-23T12:00:00Z\nlast_seen = 2026-09-23T12:00:00Z\n";
            let text =
                "[[scenario]]\nname = \"away for two months\"\nexpect = { lane = \"clear\" }\n".to_owned() + seen;
            let files = [(&*format!("orders/{ORDER}"), with_patience(days)), ("scenarios/ours.toml", text)];
            check_dir(Some(overlay(&files).path()), &Progress::default()).map(|checked| checked.scenarios)
        };
        assert!(scenario(400).is_ok());
        let faults = scenario(7).expect_err("it is silent after a week").to_string();
        assert!(faults.contains("scenarios/ours.toml:1: \"away for two months\": lane is silent"), "{faults}");
    }

    #[test]
    fn an_overlay_that_breaks_detection_fails_the_default_scenarios() {
        let name = "kaspersky-endpoint-security.toml";
        let text = default_file("catalogue", name).replace("key = [\"kesl\", \"kesl-*\"]", "key = [\"nothing\"]");
        let place = overlay(&[(&format!("catalogue/{name}"), text), (&format!("orders/{ORDER}"), with_patience(400))]);
        let faults =
            check_dir(Some(place.path()), &Progress::default()).expect_err("a product is not recognised").to_string();
        let expected = "the overlay changes the result of this default scenario: \"Endpoint Security is installed";
        assert!(faults.contains(expected) && faults.contains("scenarios/linux-kaspersky.toml:"), "{faults}");
    }

    #[test]
    fn a_scenario_with_an_unexpected_result_is_reported_with_its_line() {
        let overlay = tempfile::tempdir().expect("a directory");
        fs::create_dir(overlay.path().join("scenarios")).expect("a folder");
        let text = "# mine\n[[scenario]]\nname = \"kesl is nothing\"\nexpect = { lane = \"clear\", presence = \"none\" }\n\
                    [[scenario.source]]\nname = \"dpkg\"\nsee = [{ kind = \"deb\", name = \"kesl\" }]\n";
        fs::write(overlay.path().join("scenarios/mine.toml"), text).expect("written");
        let errors = check_dir(Some(overlay.path()), &Progress::default()).expect_err("the result is unexpected");
        let shown = errors.to_string();
        assert!(
            shown.contains("scenarios/mine.toml:2: \"kesl is nothing\": lane is replace, expected clear"),
            "{shown}"
        );
        assert!(shown.contains("presence is installed, expected none"), "{shown}");
    }
}
