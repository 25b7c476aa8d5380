//! Vendors: every spelling of a vendor's name, and observations that never show its products.

use muster_proto::model::{Kind, Platform};

use super::caution::{self, Caution};
use super::claim::{self, Claim};
use super::pattern::Pattern;
use super::recogniser::with_other_packages;
use super::recogniser::{Test, read_pattern, tests};
use super::subject::Field;
use super::toml_reader::Entries;

/// A vendor whose name has several spellings.
#[derive(Debug, Clone)]
pub struct Vendor {
    /// Its id, as orders and recognisers use it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where the spellings come from.
    pub sources: Vec<String>,
    /// The date of the last change of its folders and prefixes, as 20261128.
    pub revised: u64,
    pub(crate) spellings: Vec<Pattern>,
    /// Publishers that sign other vendors' drivers, and so do not identify a vendor.
    pub(crate) neutral: Vec<Pattern>,
    /// Its folders and reverse-DNS prefixes.
    pub(crate) claims: Vec<Claim>,
    pub(crate) never: Vec<Never>,
    pub(crate) cautions: Vec<Caution>,
}

/// Observations that contain the vendor's name but never show its products.
#[derive(Debug, Clone)]
pub(crate) struct Never {
    pub(crate) platforms: Vec<Platform>,
    /// The kinds; empty is every kind.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) tests: Vec<Test>,
    /// If one of these tests matches, the exclusion does not apply.
    pub(crate) unless: Vec<Test>,
    /// Whether other vendors' products that contain this vendor's code are still recognised.
    pub(crate) except_white_label: bool,
}

/// The revision of files without one, older than any watchlist that an agent can have.
const FIRST_REVISION: u64 = 20_261_123;

/// Reads a vendor's file.
pub(crate) fn read(entries: &mut Entries<'_, '_>) -> Vendor {
    let id = entries.required("id").value;
    let name = entries.required("name").value;
    let spellings = patterns(entries, "spellings", Field::Vendor);
    let neutral = patterns(entries, "neutral", Field::Vendor);
    let claims = claim::read(entries);
    if spellings.is_empty() {
        entries.fault(entries.line(), "`spellings` is missing or empty");
    }
    let never = entries.tables("never", |table| {
        let platforms = table.names("platforms");
        let kinds = with_other_packages(table.names("kinds"));
        let tests = tests(table, &kinds, &mut Vec::new());
        if tests.is_empty() {
            table.fault(table.line(), "[[never]] has no test; add at least one of name, key, id, vendor, path, state");
        }
        let unless = table.table("unless", |table| self::tests(table, &kinds, &mut Vec::new())).unwrap_or_default();
        table.text("why");
        let except_white_label = table.flag("except_white_label").unwrap_or(false);
        Never { platforms, kinds, tests, unless, except_white_label }
    });
    let cautions = entries.tables("caution", caution::read);
    let revised = entries.date("revised").unwrap_or(FIRST_REVISION);
    Vendor { id, name, sources: entries.texts("sources"), revised, spellings, neutral, claims, never, cautions }
}

fn patterns(entries: &mut Entries<'_, '_>, key: &str, field: Field) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for text in entries.list(key) {
        match read_pattern(field, &[], &text.value) {
            Ok(pattern) => patterns.push(pattern),
            Err(reason) => entries.fault(text.line, format!("`{key}`: {reason}")),
        }
    }
    patterns
}
