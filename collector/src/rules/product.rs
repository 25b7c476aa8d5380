//! A product of the catalogue, and how it is recognised: one file each, edited by analysts.

use std::str::FromStr;

use muster_proto::model::{Kind, Platform, Presence, ProductId, ProductReport};

use super::pattern::{Form, Pattern};
use super::sheet::{Entries, Placed};
use super::subject::{Field, strip_ending};
use super::text::{fold, fold_path, fold_registry};

/// How much one recogniser proves alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// Never proves anything alone: a `suspect` until another source corroborates it.
    Weak,
    /// Corroborates; alone it is a `suspect`.
    Supports,
    /// Proves its presence alone.
    Proves,
}

impl FromStr for Strength {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "weak" => Ok(Self::Weak),
            "supports" => Ok(Self::Supports),
            "proves" => Ok(Self::Proves),
            _ => Err(()),
        }
    }
}

/// How well a sign of real-time work proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// The agent runs; whether it guards is not said.
    Weak,
    /// The part that guards is at work.
    Strong,
    /// The system or the product says that it guards.
    Definitive,
}

impl FromStr for Sign {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "weak" => Ok(Self::Weak),
            "strong" => Ok(Self::Strong),
            "definitive" => Ok(Self::Definitive),
            _ => Err(()),
        }
    }
}

/// What is claimed about the contents that age: signatures, machine learning in a cloud, none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetectionContent {
    /// Signature databases that age.
    Signatures,
    /// A content package that ages.
    ContentPackage,
    /// Judged in a cloud: freshness does not apply.
    CloudMl,
    /// Rules of the operator.
    Rules,
    /// Kept by the operating system.
    OsManaged,
    /// Nothing.
    None,
}

impl DetectionContent {
    /// Whether stale contents make the product count for nothing.
    #[must_use]
    pub const fn ages(self) -> bool {
        matches!(self, Self::Signatures | Self::ContentPackage)
    }
}

impl FromStr for DetectionContent {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "signatures" => Self::Signatures,
            "content-package" => Self::ContentPackage,
            "cloud-ml" => Self::CloudMl,
            "rules" => Self::Rules,
            "os-managed" => Self::OsManaged,
            "none" => Self::None,
            _ => return Err(()),
        })
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
    /// Which of the product's recognisers it is, from 1, in the order of the file.
    pub number: usize,
    /// The platforms on which it holds.
    pub platforms: Vec<Platform>,
    /// The kinds of observation that it tests.
    pub kinds: Vec<Kind>,
    /// How much it proves alone.
    pub strength: Strength,
    /// What it shows when it is believed.
    pub shows: Presence,
    /// Whether it holds only where no other recogniser of the vendor does.
    pub fallback: bool,
    /// Where the fact was read; empty when nowhere.
    pub source: Vec<String>,
    /// For people.
    pub note: String,
    pub(crate) tests: Vec<Test>,
    pub(crate) unless: Vec<Test>,
    /// Where a path is known, it must fit one of these.
    pub(crate) within: Vec<Pattern>,
    pub(crate) watch: Vec<String>,
    pub(crate) written: Vec<Written>,
    pub(crate) line: usize,
}

/// The tests of one field as the file writes them.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) field: Field,
    pub(crate) patterns: Vec<String>,
}

/// A sign that the product works in real time.
#[derive(Debug, Clone)]
pub struct Realtime {
    /// The platform.
    pub platform: Platform,
    /// The unit or service that must run, if that is the sign.
    pub unit: Option<String>,
    /// The places of the agent's evidence, any of which is the sign; empty where the sign is a unit.
    pub places: Vec<String>,
    /// How well it proves it.
    pub sign: Sign,
    /// Whether its being off says that nothing guards. Not so where other builds of the product do without it.
    pub refutes: bool,
    /// What it does not prove.
    pub caveat: String,
    pub(crate) patterns: Vec<Pattern>,
}

/// Where the age of the signatures is read.
#[derive(Debug, Clone)]
pub struct Freshness {
    /// The platform.
    pub platform: Platform,
    /// The place, as the agent names it.
    pub place: String,
    pub(crate) pattern: Pattern,
}

/// A product of the catalogue.
#[derive(Debug, Clone)]
pub struct Product {
    /// Its id, which is also the name of its file.
    pub id: ProductId,
    /// Its name.
    pub name: String,
    /// Its vendor's name.
    pub vendor: String,
    /// Its vendor's id: the name in lower case with dashes, unless the file says another.
    pub vendor_id: String,
    /// `antivirus`, `edr`, `management`, …
    pub category: String,
    /// The families for the platforms, where they differ; the first for all others.
    pub families: Vec<(Option<Platform>, String)>,
    /// Other names.
    pub aliases: Vec<String>,
    /// What of it ages.
    pub detection_content: DetectionContent,
    /// Whether it is another vendor's product with this vendor's code in it.
    pub white_label: bool,
    /// The date of the last change of its recognisers, as 20261123.
    pub revised: u64,
    /// Where the facts come from.
    pub sources: Vec<String>,
    /// For people.
    pub note: String,
    /// How it is recognised.
    pub recognisers: Vec<Recogniser>,
    /// Signs of real-time work.
    pub realtime: Vec<Realtime>,
    /// Where the age of its signatures is read.
    pub freshness: Vec<Freshness>,
    /// How old its signatures may be, in days.
    pub fresh_days: u64,
    /// How it is removed, for kinds where the general way does not do.
    pub uninstall: Vec<(Kind, String)>,
}

/// What the agent sees of a process or of the processes of a unit, before its name.
const OF_A_PROCESS: &[&str] = &["process:", "fanotify:", "fanotify-notify:"];
/// More that the agent sees of one; that it does not see it proves nothing, since hooks can be kept without a process.
const HOOKS: &[&str] = &["bpf:"];

impl Realtime {
    /// Whether the sign is something that a process does, so that a look at all processes can refute it.
    #[must_use]
    pub fn is_of_a_process(&self) -> bool {
        !self.places.is_empty() && self.places.iter().all(|place| OF_A_PROCESS.iter().any(|of| place.starts_with(of)))
    }

    /// The processes and units of which the agent must know that they matter.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &str> {
        let after = |place: &'_ String| -> Option<usize> {
            OF_A_PROCESS.iter().chain(HOOKS).find(|of| place.starts_with(**of)).map(|of| of.len())
        };
        self.places.iter().filter_map(move |place| Some(&place[after(place)?..]))
    }
}

impl Product {
    /// The family on a platform.
    #[must_use]
    pub fn family(&self, platform: Platform) -> &str {
        let exact = self.families.iter().find(|(of, _)| *of == Some(platform));
        exact.or_else(|| self.families.iter().find(|(of, _)| of.is_none())).map_or("", |(_, family)| family)
    }

    /// The product for people; with all recognisers as text when `details` is asked for.
    #[must_use]
    pub fn report(&self, details: bool) -> ProductReport {
        let mut families: Vec<&str> = self.families.iter().map(|(_, family)| family.as_str()).collect();
        families.dedup();
        ProductReport {
            id: self.id.clone(),
            name: self.name.clone(),
            vendor: self.vendor.clone(),
            category: self.category.clone(),
            family: families.join(", "),
            platforms: self.platforms(),
            recognisers: self.recognisers.len() as u64,
            details: if details { self.recognisers.iter().map(Recogniser::describe).collect() } else { Vec::new() },
        }
    }

    /// The platforms for which there are recognisers.
    #[must_use]
    pub fn platforms(&self) -> Vec<Platform> {
        let holds = |platform: &&Platform| self.recognisers.iter().any(|one| one.platforms.contains(platform));
        Platform::ALL.iter().filter(holds).copied().collect()
    }
}

impl Recogniser {
    /// One line for people: number, kinds, strength, tests.
    #[must_use]
    pub fn describe(&self) -> String {
        let platforms: Vec<_> = self.platforms.iter().map(|platform| platform.name()).collect();
        let kinds: Vec<_> = self.kinds.iter().map(|kind| kind.name()).collect();
        let strength = match self.strength {
            Strength::Weak => "weak",
            Strength::Supports => "supports",
            Strength::Proves => "proves",
        };
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
            line.push_str(", where no other recogniser of the vendor holds");
        }
        if !self.source.is_empty() {
            line.push_str(&format!(" [{}]", self.source.join(", ")));
        }
        line
    }
}

impl Recogniser {
    /// What is not a regular expression among the patterns that say where a thing of this kind is found.
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
            | Kind::Snap
            | Kind::Flatpak
            | Kind::Appx
            | Kind::Msi
            | Kind::AppBundle
            | Kind::Receipt
            | Kind::Launchd
            | Kind::SystemExtension
            | Kind::KernelModule => Field::Key,
        };
        let named = (kind == Kind::BrowserExtension).then_some(Field::Name);
        let is_one = move |one: &&Written| one.field == field || Some(one.field) == named;
        let texts = self.written.iter().filter(is_one).flat_map(|one| one.patterns.iter());
        let is_literal = move |text: &&String| {
            !text.starts_with('@') && (!text.starts_with('~') || text.starts_with("~/")) && !text.contains('?')
        };
        texts.filter(is_literal).cloned()
    }
}

/// Reads a product's file.
pub(crate) fn read(entries: &mut Entries<'_, '_>) -> Option<Product> {
    let id = product_id(entries);
    let name = entries.required("name").value;
    let vendor = entries.required("vendor").value;
    let vendor_id = entries.text("vendor_id").map_or_else(|| slug(&vendor), |text| text.value);
    let category = entries.required("category").value;
    let families = families(entries);
    let detection_content = entries
        .name("detection_content", "one of signatures, content-package, cloud-ml, rules, os-managed, none")
        .unwrap_or(DetectionContent::None);
    let mut number = 0;
    let recognisers = entries.tables("recogniser", |entries| {
        number += 1;
        recogniser(entries, number)
    });
    if recognisers.is_empty() {
        entries.fault(entries.line(), "there is no [[recogniser]], so the product can never be recognised");
    }
    let uninstall = entries.table("uninstall", uninstall).unwrap_or_default();
    Some(Product {
        name,
        vendor,
        vendor_id,
        category,
        families,
        aliases: entries.texts("aliases"),
        detection_content,
        white_label: entries.flag("white_label").unwrap_or(false),
        revised: entries.date("revised").unwrap_or(20_261_123),
        sources: entries.texts("sources"),
        note: entries.text("note").map_or_else(String::new, |text| text.value),
        recognisers: recognisers.into_iter().flatten().collect(),
        realtime: entries.tables("realtime", realtime).into_iter().flatten().collect(),
        freshness: entries.tables("freshness", freshness).into_iter().flatten().collect(),
        fresh_days: entries.number("fresh_days").unwrap_or(7),
        uninstall,
        id: id?,
    })
}

fn product_id(entries: &mut Entries<'_, '_>) -> Option<ProductId> {
    let text = entries.required("id");
    if text.value.is_empty() {
        return None;
    }
    ProductId::new(text.value).map_err(|error| entries.fault(text.line, format!("`id`: {error}"))).ok()
}

fn families(entries: &mut Entries<'_, '_>) -> Vec<(Option<Platform>, String)> {
    let mut families = Vec::new();
    if let Some(family) = entries.text("family") {
        families.push((None, family.value));
    }
    let by_platform = entries.table("families", |table| {
        let mut families = Vec::new();
        for platform in Platform::ALL {
            if let Some(family) = table.text(platform.name()) {
                families.push((Some(*platform), family.value));
            }
        }
        families
    });
    families.extend(by_platform.unwrap_or_default());
    families
}

fn uninstall(entries: &mut Entries<'_, '_>) -> Vec<(Kind, String)> {
    let mut ways = Vec::new();
    for key in entries.keys() {
        let Some(text) = entries.text(&key) else { continue };
        match key.parse() {
            Ok(kind) => ways.push((kind, text.value)),
            Err(_) => entries.fault(text.line, format!("`{key}` is not a kind of observation")),
        }
    }
    ways
}

const PRESENCES: &str = "one of installed, management-only, embedded, remnant, suspect";

fn recogniser(entries: &mut Entries<'_, '_>, number: usize) -> Option<Recogniser> {
    let platforms = entries.names("platforms", "linux, windows or macos");
    let kinds: Vec<Kind> = entries.names("kinds", "a kind of observation");
    for (key, missing) in [("platforms", platforms.is_empty()), ("kinds", kinds.is_empty())] {
        if missing {
            entries.fault(entries.line(), format!("`{key}` is missing or empty"));
        }
    }
    let strength = entries.name("strength", "one of proves, supports, weak");
    if strength.is_none() {
        entries.fault(entries.line(), "`strength` is missing or not known");
    }
    let shows = entries.name("shows", PRESENCES).unwrap_or(Presence::Installed);
    if matches!(shows, Presence::Active | Presence::None | Presence::Unknown) {
        entries.fault(entries.line(), format!("`shows` must be {PRESENCES}"));
    }
    let mut written = Vec::new();
    let tests = tests(entries, &kinds, &mut written);
    if tests.is_empty() {
        entries.fault(entries.line(), "there is no test: give at least one of name, key, id, vendor, path, state");
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

/// The tests of a table: every field that it names, with its patterns.
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
        tests.push(Test { field, patterns });
    }
    tests
}

/// `ps` cuts names at 16 characters, `/proc/PID/comm` at 15: a long name is also known by what is left of it.
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

fn pattern(entries: &Entries<'_, '_>, field: Field, kinds: &[Kind], text: &Placed<String>) -> Option<Pattern> {
    let parsed = read_pattern(field, kinds, &text.value);
    parsed.map_err(|reason| entries.fault(text.line, format!("`{}`: {reason}", field.key()))).ok()
}

/// Reads a pattern of a field. `@vendor` is kept as it is; the loader puts the vendor's spellings in its place.
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

fn realtime(entries: &mut Entries<'_, '_>) -> Option<Realtime> {
    let platform = entries.name("platform", "linux, windows or macos");
    let unit = entries.text("unit");
    let places = entries.list("place");
    let sign = entries.name("sign", "one of definitive, strong, weak");
    if platform.is_none() || sign.is_none() || unit.is_some() != places.is_empty() {
        entries
            .fault(entries.line(), "a sign of real-time work needs `platform`, `sign`, and either `unit` or `place`");
    }
    let field = if unit.is_some() { Field::Key } else { Field::Name };
    let texts = unit.iter().chain(&places);
    let patterns: Vec<Pattern> = texts.filter_map(|text| pattern(entries, field, &[Kind::Service], text)).collect();
    if patterns.is_empty() {
        return None;
    }
    Some(Realtime {
        platform: platform?,
        patterns,
        sign: sign?,
        refutes: entries.flag("refutes").unwrap_or(true),
        caveat: entries.text("caveat").map_or_else(String::new, |text| text.value),
        unit: unit.map(|text| text.value),
        places: places.into_iter().map(|text| text.value).collect(),
    })
}

fn freshness(entries: &mut Entries<'_, '_>) -> Option<Freshness> {
    let platform = entries.name("platform", "linux, windows or macos");
    let place = entries.required("place");
    entries.text("note");
    let pattern = pattern(entries, Field::Name, &[], &place);
    Some(Freshness { platform: platform?, pattern: pattern?, place: place.value })
}

/// A vendor's id: its name in lower case, everything but letters and digits as dashes.
pub(crate) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in fold(name).chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}
