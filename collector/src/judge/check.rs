//! `muster catalogue check`: loads the defaults with an overlay, runs every scenario, and tries every recogniser.

use std::collections::BTreeSet;
use std::path::Path;

use super::scenario;
use crate::rules::{RuleErrors, RuleFault, RuleFile, RuleSet, assemble, conflicts, directory, embedded};

/// The result of a check without faults.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The defaults with the overlay.
    pub rules: RuleSet,
    /// How many scenarios ran.
    pub scenarios: usize,
    /// Recognisers that overlap or that others shadow: no faults, but an analyst should know about them.
    pub notices: Vec<RuleFault>,
}

/// Checks the defaults with an overlay directory: reads every file, runs every scenario, and tries every recogniser with
/// texts that it matches.
///
/// # Errors
/// A file has a fault, a recogniser can never match, or a scenario has an unexpected result. The error lists all of them
/// with file and line.
pub fn check_dir(overlay: Option<&Path>) -> Result<Checked, RuleErrors> {
    let overlay = overlay.map(directory).transpose().map_err(RuleErrors::new)?.unwrap_or_default();
    let defaults = embedded();
    let scenarios = scenarios(&defaults, &overlay);
    let rules = assemble(defaults, overlay)?;
    let mut faults = Vec::new();
    let mut run = 0;
    for file in &scenarios {
        let (count, found) = scenario::run(&rules, file);
        run += count;
        faults.extend(found);
    }
    let conflicts = conflicts(&rules.catalogue);
    faults.extend(conflicts.never);
    let notices = conflicts.shadowed.into_iter().chain(conflicts.overlaps).collect();
    if faults.is_empty() { Ok(Checked { rules, scenarios: run, notices }) } else { Err(RuleErrors::new(faults)) }
}

/// The scenario files of both; a file of the overlay replaces the default with the same name.
fn scenarios(defaults: &[RuleFile], overlay: &[RuleFile]) -> Vec<RuleFile> {
    let replaced: BTreeSet<&str> =
        overlay.iter().filter(|file| file.folder == "scenarios").map(|file| file.name.as_str()).collect();
    let kept = defaults.iter().filter(|file| !replaced.contains(file.name.as_str()));
    kept.chain(overlay).filter(|file| file.folder == "scenarios").cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_default_scenario_has_the_expected_result() {
        match check_dir(None) {
            Ok(checked) => assert!(checked.scenarios >= 25, "only {} scenarios were run", checked.scenarios),
            Err(errors) => panic!("{errors}"),
        }
    }

    #[test]
    fn default_recognisers_do_not_conflict() {
        let checked = check_dir(None).expect("the defaults have no faults");
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
        let notices = check_dir(Some(overlay.path())).expect("no faults").notices;
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
        let faults = check_dir(Some(overlay.path())).expect_err("one can never match").to_string();
        assert!(faults.contains("catalogue/three.toml:5: three#1 can never match"), "{faults}");
        fs::remove_file(overlay.path().join("catalogue/three.toml")).expect("removed");
        let notices = check_dir(Some(overlay.path())).expect("no faults").notices;
        let shown: String = notices.iter().map(|notice| format!("{notice}\n")).collect();
        assert!(shown.contains("catalogue/four.toml:5: four#1 has no effect: it is shadowed by four#2"), "{shown}");
    }

    #[test]
    fn a_scenario_with_an_unexpected_result_is_reported_with_its_line() {
        let overlay = tempfile::tempdir().expect("a directory");
        fs::create_dir(overlay.path().join("scenarios")).expect("a folder");
        let text = "# mine\n[[scenario]]\nname = \"kesl is nothing\"\nexpect = { lane = \"clear\", presence = \"none\" }\n\
                    [[scenario.source]]\nname = \"dpkg\"\nsee = [{ kind = \"deb\", name = \"kesl\" }]\n";
        fs::write(overlay.path().join("scenarios/mine.toml"), text).expect("written");
        let errors = check_dir(Some(overlay.path())).expect_err("the result is unexpected");
        let shown = errors.to_string();
        assert!(
            shown.contains("scenarios/mine.toml:2: \"kesl is nothing\": lane is replace, expected clear"),
            "{shown}"
        );
        assert!(shown.contains("presence is installed, expected none"), "{shown}");
    }
}
