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
}

impl Job {
    /// Reads the file of a job; `None` if it is no dictionary.
    #[must_use]
    pub fn of(plist: &Plist) -> Option<Self> {
        plist.dictionary()?;
        let label = plist.text("Label");
        let disabled = plist.flag("Disabled").unwrap_or_default();
        let named = plist.text("Program");
        let first = || plist.texts("ProgramArguments").into_iter().next().unwrap_or_default();
        let program = if named.is_empty() { first() } else { named };
        let of_bundle = plist.text("BundleProgram");
        Some(match program.is_empty() {
            true => Self { label, in_bundle: !of_bundle.is_empty(), program: of_bundle, disabled },
            false => Self { label, program, in_bundle: false, disabled },
        })
    }
}

/// The labels that an administrator has switched on or off (`launchctl disable`): `disabled.plist` has a boolean for each.
#[must_use]
pub fn overrides(plist: &Plist) -> Vec<(String, bool)> {
    let labels = plist.dictionary().into_iter().flatten();
    labels.filter_map(|(label, _)| Some((label.clone(), plist.flag(label)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::parse::plist;

    fn job(text: &str) -> Option<Job> {
        Job::of(&plist::parse(text.as_bytes()).expect("a list"))
    }

    #[test]
    fn a_job_names_its_program_in_three_ways_and_arguments_are_left_out() {
        for (text, program, in_bundle) in [
            ("{ Label = x; Program = \"/bin/a\"; ProgramArguments = (b, \"--token=s\"); }", "/bin/a", false),
            ("{ Label = x; ProgramArguments = (\"/bin/b\", \"--token=s\"); }", "/bin/b", false),
            ("{ Label = x; BundleProgram = \"Contents/MacOS/c\"; }", "Contents/MacOS/c", true),
            ("{ Label = x; }", "", false),
        ] {
            let job = job(text).expect("a job");
            assert_eq!((job.label.as_str(), job.program.as_str(), job.in_bundle), ("x", program, in_bundle));
        }
        assert!(job("{ Label = x; Disabled = 1; }").expect("a job").disabled);
        assert_eq!(job("(a)"), None);
        let list =
            plist::parse(b"<plist><dict><key>a</key><true/><key>b</key><false/></dict></plist>").expect("a list");
        assert_eq!(overrides(&list), [("a".to_owned(), true), ("b".to_owned(), false)]);
    }
}
