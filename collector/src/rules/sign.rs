//! Signs of real-time protection, and where the age of signatures is read.

use muster_proto::model::{Kind, Platform};

use super::named_value::NamedValue;
use super::pattern::Pattern;
use super::recogniser::pattern;
use super::subject::Field;
use super::text::fold;
use super::toml_reader::Entries;

/// How well a sign proves real-time protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// The product's agent runs; that does not show whether it protects.
    Weak,
    /// The protecting part is running.
    Strong,
    /// The system or the product states that it protects.
    Definitive,
}

impl NamedValue for Sign {
    const VALUES: &'static [Self] = &[Self::Weak, Self::Strong, Self::Definitive];

    fn spelling(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::Strong => "strong",
            Self::Definitive => "definitive",
        }
    }
}

/// A sign that the product protects in real time.
#[derive(Debug, Clone)]
pub struct Realtime {
    /// The platform.
    pub platform: Platform,
    /// The unit or service that must run; `None` if the sign is a place.
    pub unit: Option<String>,
    /// Places of the agent's real-time evidence, any of which is the sign; empty if the sign is a unit.
    pub places: Vec<String>,
    /// How well it proves protection.
    pub sign: Sign,
    /// Whether the product does not protect when the sign is off. False if other builds of the product work without it.
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
    /// The place, as the agent spells it.
    pub place: String,
    pub(crate) pattern: Pattern,
}

/// Prefixes of evidence about a process, or about the processes of a unit.
const OF_A_PROCESS: &[&str] = &["process:", "fanotify:", "fanotify-notify:"];
/// Prefixes of evidence whose absence proves nothing: hooks can remain without a process, and an enabled extension may have
/// none.
const HOOKS: &[&str] = &["bpf:", EXTENSION];
/// Prefix of evidence about a system extension of macOS.
const EXTENSION: &str = "sysext:";

impl Realtime {
    /// Whether the sign belongs to a process, so that reading all processes can refute it.
    #[must_use]
    pub fn is_of_a_process(&self) -> bool {
        !self.places.is_empty() && self.places.iter().all(|place| OF_A_PROCESS.iter().any(|of| place.starts_with(of)))
    }

    /// Whether the sign is the system extension with this name, which may begin with its team.
    #[must_use]
    pub fn is_of_extension(&self, name: &str) -> bool {
        let name = fold(name);
        let ids = self.places.iter().filter_map(|place| place.strip_prefix(EXTENSION));
        ids.map(fold).any(|id| name.strip_suffix(&id).is_some_and(|team| team.is_empty() || team.ends_with('.')))
    }

    /// The processes and units that the agent must inspect.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &str> {
        let after = |place: &'_ String| -> Option<usize> {
            OF_A_PROCESS.iter().chain(HOOKS).find(|of| place.starts_with(**of)).map(|of| of.len())
        };
        self.places.iter().filter_map(move |place| Some(&place[after(place)?..]))
    }
}

/// Reads a `[[realtime]]`.
pub(super) fn realtime(entries: &mut Entries<'_, '_>) -> Option<Realtime> {
    let platform = entries.name("platform");
    let unit = entries.text("unit");
    let places = entries.list("place");
    let sign = entries.name("sign");
    if platform.is_none() || sign.is_none() || unit.is_some() != places.is_empty() {
        entries.fault(entries.line(), "[[realtime]] needs `platform`, `sign`, and either `unit` or `place`");
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

/// Reads a `[[freshness]]`.
pub(super) fn freshness(entries: &mut Entries<'_, '_>) -> Option<Freshness> {
    let platform = entries.name("platform");
    let place = entries.required("place");
    entries.text("note");
    let pattern = pattern(entries, Field::Name, &[], &place);
    Some(Freshness { platform: platform?, pattern: pattern?, place: place.value })
}
