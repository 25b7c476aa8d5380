//! What shows that a product works: signs of real-time work, and where the age of its signatures is read.

use muster_proto::model::{Kind, Platform};

use super::named_value::NamedValue;
use super::pattern::Pattern;
use super::recogniser::pattern;
use super::subject::Field;
use super::toml_reader::Entries;

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

/// Reads a `[[realtime]]`.
pub(super) fn realtime(entries: &mut Entries<'_, '_>) -> Option<Realtime> {
    let platform = entries.name("platform");
    let unit = entries.text("unit");
    let places = entries.list("place");
    let sign = entries.name("sign");
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

/// Reads a `[[freshness]]`.
pub(super) fn freshness(entries: &mut Entries<'_, '_>) -> Option<Freshness> {
    let platform = entries.name("platform");
    let place = entries.required("place");
    entries.text("note");
    let pattern = pattern(entries, Field::Name, &[], &place);
    Some(Freshness { platform: platform?, pattern: pattern?, place: place.value })
}
