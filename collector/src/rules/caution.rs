//! Cautions: parts of a vendor's products that other parts of the system depend on, such as a driver in the filters of the
//! mouse. Advice must say what would break, and never to delete them. Some of them outlive the product: an uninstaller leaves
//! them, or a clean-up keeps them on purpose.

use std::collections::BTreeMap;

use muster_proto::model::Kind;

use super::index::Conjunction;
use super::recogniser::{Test, tests};
use super::subject::Subject;
use super::toml_reader::Entries;

/// A `[[caution]]` of a vendor's file.
#[derive(Debug, Clone)]
pub(crate) struct Caution {
    kinds: Vec<Kind>,
    /// One of these must match.
    tests: Vec<Test>,
    /// Whether it outlives the product, so that it alone is a remnant.
    lingers: bool,
    /// What would break, and what to do instead.
    says: String,
}

/// Reads a `[[caution]]`.
pub(super) fn read(entries: &mut Entries<'_, '_>) -> Caution {
    let kinds: Vec<Kind> = entries.names("kinds");
    let tests = tests(entries, &kinds, &mut Vec::new());
    if tests.is_empty() {
        entries
            .fault(entries.line(), "[[caution]] has no test; add at least one of name, key, id, vendor, path, state");
    }
    entries.texts("source");
    Caution { kinds, tests, lingers: entries.flag("lingers").unwrap_or(false), says: entries.required("says").value }
}

/// The cautions of all vendors, compiled.
#[derive(Debug, Default)]
pub(super) struct Cautions(BTreeMap<String, Vec<(Conjunction, Caution)>>);

impl Cautions {
    /// Compiles the cautions, each given with the id of its vendor.
    pub(super) fn new<'v>(cautions: impl Iterator<Item = (&'v str, &'v Caution)>) -> Result<Self, String> {
        let mut compiled: BTreeMap<String, Vec<(Conjunction, Caution)>> = BTreeMap::new();
        for (vendor, one) in cautions {
            let tests = Conjunction::new(&one.tests)?;
            compiled.entry(vendor.to_owned()).or_default().push((tests, one.clone()));
        }
        Ok(Self(compiled))
    }

    /// Whether the subject outlives the products of the vendor.
    pub(super) fn lingers(&self, vendor: &str, subject: &Subject) -> bool {
        self.of(vendor, subject).any(|caution| caution.lingers)
    }

    /// What would break if somebody deleted the subject.
    pub(super) fn texts<'s>(&'s self, vendor: &str, subject: &'s Subject) -> impl Iterator<Item = &'s str> {
        self.of(vendor, subject).map(|caution| caution.says.as_str())
    }

    fn of<'s>(&'s self, vendor: &str, subject: &'s Subject) -> impl Iterator<Item = &'s Caution> {
        let of_kind = |caution: &Caution| subject.kind.is_some_and(|kind| caution.kinds.contains(&kind));
        let of_vendor = self.0.get(vendor).into_iter().flatten();
        of_vendor.filter(move |(tests, caution)| of_kind(caution) && tests.holds_in_part(subject)).map(|(_, one)| one)
    }
}
