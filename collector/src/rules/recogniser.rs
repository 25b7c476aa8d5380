//! Recognisers: which texts of which observations they test, how much they prove, and which presence they show.

use muster_proto::model::{Kind, Platform, Presence};

use super::closeness::Closeness;
use super::named_value::NamedValue;
use super::pattern::{Form, Pattern};
use super::product_code::packed;
use super::subject::{Field, strip_ending};
use super::text::{fold, fold_path, fold_registry};
use super::toml_reader::{Entries, Placed};

/// How much one recogniser proves by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// Proves nothing by itself: the product is a `suspect` until another source shows it under another name.
    Weak,
    /// Corroborates other evidence; by itself the product is a `suspect`.
    Supports,
    /// Proves the product by itself.
    Proves,
}

impl NamedValue for Strength {
    const VALUES: &'static [Self] = &[Self::Weak, Self::Supports, Self::Proves];

    fn spelling(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::Supports => "supports",
            Self::Proves => "proves",
        }
    }
}

/// Patterns for one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) field: Field,
    pub(crate) patterns: Vec<Pattern>,
}

/// One way to recognise a product.
#[derive(Debug, Clone)]
pub struct Recogniser {
    /// Its number within the product, from 1, in the order of the file.
    pub number: usize,
    /// The platforms on which it applies.
    pub platforms: Vec<Platform>,
    /// The kinds of observation that it tests.
    pub kinds: Vec<Kind>,
    /// How much it proves by itself.
    pub strength: Strength,
    /// The presence that it shows.
    pub shows: Presence,
    /// Whether it applies unless another recogniser of the vendor proves as much.
    pub fallback: bool,
    /// How closely it identifies the vendor, if it comes from a claim in the vendor's file.
    pub(crate) claim: Option<Closeness>,
    /// Where the fact was read; empty if it was not read anywhere.
    pub source: Vec<String>,
    /// A note for analysts.
    pub note: String,
    pub(crate) tests: Vec<Test>,
    pub(crate) unless: Vec<Test>,
    /// If the observation has a path, one of these must match it.
    pub(crate) within: Vec<Pattern>,
    pub(crate) watch: Vec<String>,
    pub(crate) written: Vec<Written>,
    pub(crate) line: usize,
}

/// The tests of one field as the file spells them.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) field: Field,
    pub(crate) patterns: Vec<String>,
}

/// Whether observations of a kind can be made on a platform. A claim of a vendor's file has the kinds of all platforms.
fn is_read_on(platform: Platform, kind: Kind) -> bool {
    match kind {
        Kind::AppBundle | Kind::Receipt | Kind::Launchd | Kind::SystemExtension => platform == Platform::Macos,
        Kind::KernelModule => platform != Platform::Windows,
        Kind::Deb | Kind::Rpm | Kind::Apk | Kind::Pacman | Kind::Package | Kind::Snap | Kind::Flatpak => {
            platform == Platform::Linux
        }
        Kind::UninstallKey | Kind::Wsc | Kind::Filter | Kind::Appx | Kind::Msi | Kind::Registry => {
            platform == Platform::Windows
        }
        Kind::Os
        | Kind::Kernel
        | Kind::Machine
        | Kind::Service
        | Kind::Driver
        | Kind::Process
        | Kind::Task
        | Kind::Path
        | Kind::Cert
        | Kind::BrowserExtension
        | Kind::ContainerImage => true,
    }
}

impl Recogniser {
    /// Whether it tests only a technical name, which any product can have.
    pub(crate) fn is_by_name_alone(&self) -> bool {
        self.tests.iter().all(|test| matches!(test.field, Field::Key | Field::State))
    }

    /// One line: number, kinds, strength, tests.
    #[must_use]
    pub fn describe(&self) -> String {
        let platforms: Vec<_> = self.platforms.iter().map(|platform| platform.name()).collect();
        let kinds = self.kinds.iter().filter(|kind| self.platforms.iter().any(|on| is_read_on(*on, **kind)));
        let kinds: Vec<_> = kinds.map(|kind| kind.name()).collect();
        let strength = self.strength.spelling();
        let tests: Vec<_> =
            self.written.iter().map(|one| format!("{} = {}", one.field.key(), one.patterns.join(" | "))).collect();
        let mut line = format!(
            "#{} {} {}: {} {strength} {}",
            self.number,
            platforms.join("+"),
            kinds.join("+"),
            tests.join("; "),
            self.shows
        );
        if self.fallback {
            line.push_str(", unless another recogniser of the vendor proves as much");
        }
        if !self.source.is_empty() {
            line.push_str(&format!(" [{}]", self.source.join(", ")));
        }
        line
    }

    /// The patterns that name where an observation of this kind is found, without regular expressions.
    pub(crate) fn literals(&self, kind: Kind) -> impl Iterator<Item = String> {
        let field = match kind {
            Kind::Path | Kind::Registry => Field::Path,
            Kind::BrowserExtension => Field::Id,
            Kind::Cert => Field::Name,
            Kind::Os
            | Kind::Kernel
            | Kind::Machine
            | Kind::UninstallKey
            | Kind::Wsc
            | Kind::Service
            | Kind::Driver
            | Kind::Filter
            | Kind::Process
            | Kind::Task
            | Kind::Deb
            | Kind::Rpm
            | Kind::Apk
            | Kind::Pacman
            | Kind::Package
            | Kind::Snap
            | Kind::Flatpak
            | Kind::Appx
            | Kind::Msi
            | Kind::AppBundle
            | Kind::Receipt
            | Kind::Launchd
            | Kind::SystemExtension
            | Kind::KernelModule
            | Kind::ContainerImage => Field::Key,
        };
        let named = (kind == Kind::BrowserExtension).then_some(Field::Name);
        let is_one = move |one: &&Written| one.field == field || Some(one.field) == named;
        let texts = self.written.iter().filter(is_one).flat_map(|one| one.patterns.iter());
        // `~/` is a home folder, and any other text after `~` is a regular expression.
        let is_literal = move |text: &&String| {
            !text.starts_with('@') && (!text.starts_with('~') || text.starts_with("~/")) && !text.contains('?')
        };
        texts.filter(is_literal).cloned()
    }
}

const PRESENCES: &str = "one of installed, management-only, embedded, remnant, suspect";

/// Reads a `[[recogniser]]`, the `number`th of its file.
pub(super) fn read(entries: &mut Entries<'_, '_>, number: usize) -> Option<Recogniser> {
    let platforms = entries.names("platforms");
    let kinds = with_other_packages(entries.names("kinds"));
    for (key, missing) in [("platforms", platforms.is_empty()), ("kinds", kinds.is_empty())] {
        if missing {
            entries.fault(entries.line(), format!("`{key}` is missing or empty"));
        }
    }
    let strength = entries.required_name("strength");
    let shows = entries.name("shows").unwrap_or(Presence::Installed);
    if matches!(shows, Presence::Active | Presence::None | Presence::Unknown) {
        let reason = format!("`shows`: a recogniser cannot show {shows}, expected {PRESENCES}");
        entries.fault(entries.line(), reason);
    }
    let mut written = Vec::new();
    let tests = tests(entries, &kinds, &mut written);
    if tests.is_empty() {
        entries.fault(
            entries.line(),
            "the recogniser has no test; add at least one of name, key, id, vendor, path, state",
        );
    }
    let unless = entries.table("unless", |table| self::tests(table, &kinds, &mut Vec::new())).unwrap_or_default();
    let within = entries.list("within").iter().filter_map(|text| pattern(entries, Field::Path, &kinds, text)).collect();
    Some(Recogniser {
        number,
        platforms,
        kinds,
        strength: strength?,
        shows,
        fallback: entries.flag("fallback").unwrap_or(false),
        claim: None,
        source: entries.texts("source"),
        note: entries.text("note").map_or_else(String::new, |text| text.value),
        tests,
        unless,
        within,
        watch: entries.texts("watch"),
        written,
        line: entries.line(),
    })
}

/// The kinds with that of all other package managers, if they name one: a package is called the same wherever it is
/// installed, and no rule should have to list every package manager.
pub(crate) fn with_other_packages(mut kinds: Vec<Kind>) -> Vec<Kind> {
    let named = kinds.iter().any(|kind| matches!(kind, Kind::Deb | Kind::Rpm | Kind::Apk | Kind::Pacman));
    if named && !kinds.contains(&Kind::Package) {
        kinds.push(Kind::Package);
    }
    kinds
}

/// The tests of a table: each field with its patterns.
pub(crate) fn tests(entries: &mut Entries<'_, '_>, kinds: &[Kind], written: &mut Vec<Written>) -> Vec<Test> {
    let mut tests = Vec::new();
    for field in Field::ALL {
        let texts = entries.list(field.key());
        if texts.is_empty() {
            continue;
        }
        written.push(Written { field, patterns: texts.iter().map(|text| text.value.clone()).collect() });
        let mut patterns: Vec<Pattern> = texts.iter().filter_map(|text| pattern(entries, field, kinds, text)).collect();
        if field == Field::Key && kinds.contains(&Kind::Process) {
            patterns.extend(cut_names(&patterns));
        }
        if field == Field::Id {
            patterns.extend(packed_codes(&patterns));
        }
        tests.push(Test { field, patterns });
    }
    tests
}

/// `ps` cuts names at 16 characters and `/proc/PID/comm` at 15, so a long name must also match when it is cut.
fn cut_names(patterns: &[Pattern]) -> Vec<Pattern> {
    let mut cut = Vec::new();
    for pattern in patterns {
        if let Pattern::Exact(name) = pattern {
            for length in [15, 16] {
                if name.chars().count() > length {
                    cut.push(Pattern::Exact(name.chars().take(length).collect()));
                }
            }
        }
    }
    cut
}

/// The Windows Installer packs product codes, so a code must also match when it is packed.
fn packed_codes(patterns: &[Pattern]) -> Vec<Pattern> {
    let code = |pattern: &Pattern| match pattern {
        Pattern::Exact(text) => packed(text),
        Pattern::Regex(_) => None,
    };
    patterns.iter().filter_map(code).map(Pattern::Exact).collect()
}

pub(super) fn pattern(
    entries: &Entries<'_, '_>,
    field: Field,
    kinds: &[Kind],
    text: &Placed<String>,
) -> Option<Pattern> {
    let parsed = read_pattern(field, kinds, &text.value);
    parsed.map_err(|reason| entries.fault(text.line, format!("`{}`: {reason}", field.key()))).ok()
}

/// Reads a pattern of a field. `@vendor` is left as it is; the catalogue replaces it with the vendor's spellings.
pub(crate) fn read_pattern(field: Field, kinds: &[Kind], text: &str) -> Result<Pattern, String> {
    if text.starts_with('@') {
        return Ok(Pattern::Exact(text.to_owned()));
    }
    match field {
        Field::Path if kinds.contains(&Kind::Registry) => Pattern::parse(text, Form::Place, fold_registry),
        Field::Path => Pattern::parse(text, Form::Place, fold_path),
        Field::Key => Pattern::parse(text, Form::Text, |text| strip_ending(kinds.first().copied(), &fold(text))),
        Field::Name | Field::Id | Field::Vendor | Field::State => Pattern::parse(text, Form::Text, fold),
    }
}

#[cfg(test)]
mod tests {
    use crate::rules;

    #[test]
    fn a_claim_is_described_with_the_kinds_of_its_platform() {
        let rules = rules::load(None).expect("rules");
        let eset = rules.catalogue.products().iter().find(|product| product.id.as_str() == "eset-unidentified");
        let lines = eset.expect("in the catalogue").report(true).details;
        let kinds = |platform: &str| {
            let head = format!(" {platform} ");
            let of_platform = lines.iter().filter(|line| line.contains(&head));
            of_platform.filter_map(|line| line.split(&head).nth(1)?.split(':').next()).collect::<Vec<_>>().join("+")
        };
        let (windows, macos) = (kinds("windows"), kinds("macos"));
        assert!(windows.contains("service") && !windows.contains("launchd"), "{windows}");
        assert!(!windows.contains("kernel_module") && !windows.contains("app_bundle"), "{windows}");
        assert!(macos.contains("launchd") && !macos.contains("uninstall_key"), "{macos}");
    }
}
