//! `muster catalogue check`: an overlay is laid over the defaults, and every scenario of both is run.

use std::collections::BTreeSet;
use std::path::Path;

use super::scenario;
use crate::rules::{RuleErrors, RuleFile, RuleSet, assemble, directory, embedded};

/// What a check that found nothing wrong looked at.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The rules: the defaults, and the overlay over them.
    pub rules: RuleSet,
    /// How many scenarios were run.
    pub scenarios: usize,
}

/// Checks the defaults with a directory over them: every file is read, every scenario is run.
///
/// # Errors
/// Any file has a fault, or a scenario came out otherwise; all of them are in the error, with file and line.
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
    if faults.is_empty() { Ok(Checked { rules, scenarios: run }) } else { Err(RuleErrors::new(faults)) }
}

/// The scenarios of both; one of the overlay replaces the default of the same name.
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
    fn every_scenario_of_the_defaults_comes_out_as_it_says() {
        match check_dir(None) {
            Ok(checked) => assert!(checked.scenarios >= 25, "only {} scenarios were run", checked.scenarios),
            Err(errors) => panic!("{errors}"),
        }
    }

    #[test]
    fn a_scenario_that_comes_out_otherwise_is_named_with_its_line() {
        let overlay = tempfile::tempdir().expect("a directory");
        fs::create_dir(overlay.path().join("scenarios")).expect("a folder");
        let text = "# mine\n[[scenario]]\nname = \"kesl is nothing\"\nexpect = { lane = \"clear\", presence = \"none\" }\n\
                    [[scenario.source]]\nname = \"dpkg\"\nsee = [{ kind = \"deb\", name = \"kesl\" }]\n";
        fs::write(overlay.path().join("scenarios/mine.toml"), text).expect("written");
        let errors = check_dir(Some(overlay.path())).expect_err("it comes out otherwise");
        let shown = errors.to_string();
        assert!(
            shown.contains("scenarios/mine.toml:2: \"kesl is nothing\": lane is replace, expected clear"),
            "{shown}"
        );
        assert!(shown.contains("presence is installed, expected none"), "{shown}");
    }
}
