//! Jobs of launchd (launchd.plist(5)).

use crate::sources::parse::plist::Plist;

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Job {
    /// Its label; empty if the file has none.
    pub label: String,
    /// Its program without arguments; empty if the file names none.
    pub program: String,
    /// The program is named by its place within the application that has the file.
    pub in_bundle: bool,
    /// The file says that the job is off.
    pub disabled: bool,
    /// What is not as launchd demands it.
    pub fault: Option<&'static str>,
}

impl Job {
    /// Reads the file of a job.
    #[must_use]
    pub fn of(plist: &Plist) -> Self {
        let label = plist.text("Label");
        let disabled = plist.flag("Disabled");
        let named = plist.text("Program");
        // Only the first one: the others may be secret, and none takes its place.
        let arguments = plist.get("ProgramArguments").and_then(Plist::array);
        let first = arguments.and_then(|arguments| arguments.first()).and_then(Plist::as_text).unwrap_or_default();
        let program = if named.is_empty() { first } else { named };
        let of_bundle = plist.text("BundleProgram");
        let in_bundle = program.is_empty() && !of_bundle.is_empty();
        let program = if in_bundle { of_bundle } else { program };
        let fault = if plist.dictionary().is_none() {
            Some("it is no job of launchd")
        } else if label.is_empty() {
            Some("the job has no label")
        } else if program.is_empty() {
            Some("the job names no program")
        } else if plist.get("Disabled").is_some() && disabled.is_none() {
            Some("whether the job is off cannot be read")
        } else {
            None
        };
        Self { label, program, in_bundle, disabled: disabled.unwrap_or_default(), fault }
    }
}

/// The labels that an administrator has switched on or off (`launchctl disable`): `disabled.plist` has a boolean for each. `None`
/// if it has anything else.
#[must_use]
pub fn overrides(plist: &Plist) -> Option<Vec<(String, bool)>> {
    let labels = plist.dictionary()?.keys();
    labels.map(|label| Some((label.clone(), plist.flag(label)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::parse::plist;

    fn job(text: &str) -> Job {
        Job::of(&plist::parse(text.as_bytes()).expect("a list"))
    }

    #[test]
    fn a_job_names_its_program_in_three_ways_and_arguments_are_left_out() {
        for (text, program, in_bundle) in [
            ("{ Label = x; Program = \"/bin/a\"; ProgramArguments = (b, \"--token=s\"); }", "/bin/a", false),
            ("{ Label = x; ProgramArguments = (\"/bin/b\", \"--token=s\"); }", "/bin/b", false),
            ("{ Label = x; BundleProgram = \"Contents/MacOS/c\"; }", "Contents/MacOS/c", true),
        ] {
            let job = job(text);
            assert_eq!((job.label.as_str(), job.program.as_str(), job.in_bundle), ("x", program, in_bundle));
            assert_eq!(job.fault, None, "{text}");
        }
        assert!(job("{ Label = x; Program = p; Disabled = 1; }").disabled);
        let list = |text: &str| plist::parse(text.as_bytes()).expect("a list");
        let labels = "<plist><dict><key>a</key><true/><key>b</key><false/></dict></plist>";
        assert_eq!(overrides(&list(labels)), Some(vec![("a".to_owned(), true), ("b".to_owned(), false)]));
        assert_eq!(overrides(&list(&labels.replace("<true/>", "<array/>"))), None);
        assert_eq!(overrides(&list("(a)")), None);
    }

    #[test]
    fn a_job_that_launchd_would_refuse_is_one_with_a_fault() {
        for (text, fault) in [
            ("(a)", "it is no job of launchd"),
            ("{ Program = p; }", "the job has no label"),
            ("{ Label = x; }", "the job names no program"),
            // The next argument is not the program.
            ("{ Label = x; ProgramArguments = ((), \"--token=s\"); }", "the job names no program"),
            ("{ Label = x; Program = p; Disabled = (); }", "whether the job is off cannot be read"),
        ] {
            let job = job(text);
            assert_eq!(job.fault, Some(fault), "{text}");
            assert!(!job.program.contains("token"), "{job:?}");
        }
    }
}
