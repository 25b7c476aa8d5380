//! Reads the state of an observation with tables that are data: one file in `states/` for each source of such words or
//! numbers. A state in no table proves nothing: its observation is at most a suspicion.
//!
//! ```text
//!  "[activated enabled]" ─► words, folded ─┐
//!                                          ├─► StateReading { condition, works, fresh }
//!  "397568" ─► number, masked ─────────────┘
//! ```

use muster_proto::model::Kind;

use super::named_value::NamedValue;
use super::pattern::{Pattern, Patterns};
use super::recogniser::read_pattern;
use super::subject::Field;
use super::text::fold;
use super::toml_reader::Entries;

/// Whether what was observed is installed. If tables disagree about a state, the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Condition {
    /// No table lists the state, so it proves neither that it is installed nor that it is not.
    Unlisted,
    /// A table says that it proves neither.
    Unclear,
    /// It is installed.
    #[default]
    There,
    /// The database has the name, but it is not installed.
    Absent,
    /// A remnant is left: dpkg's `rc`, a service without its binary, an extension that waits for its removal.
    LeftOver,
}

/// What a state means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateReading {
    /// Whether it is installed.
    pub condition: Condition,
    /// Whether it is active; `None` if the state does not say.
    pub works: Option<bool>,
    /// Whether its signatures are fresh; `None` if the state does not say.
    pub fresh: Option<bool>,
}

/// One table, as in its file.
#[derive(Debug, Clone)]
pub(crate) struct StateTable {
    pub(crate) id: String,
    texts: Vec<Words>,
    numbers: Vec<Bits>,
}

#[derive(Debug, Clone)]
struct Words {
    /// Empty: all kinds.
    kinds: Vec<Kind>,
    says: Says,
    states: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Bits {
    kinds: Vec<Kind>,
    least: u64,
    mask: u64,
    values: Vec<(u64, Says)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Unclear,
    There,
    LeftOver,
    Absent,
    On,
    Off,
    Fresh,
    Stale,
}

impl NamedValue for Says {
    const VALUES: &'static [Self] =
        &[Self::Unclear, Self::There, Self::LeftOver, Self::Absent, Self::On, Self::Off, Self::Fresh, Self::Stale];

    fn spelling(self) -> &'static str {
        match self {
            Self::Unclear => "unclear",
            Self::There => "there",
            Self::LeftOver => "left-over",
            Self::Absent => "absent",
            Self::On => "on",
            Self::Off => "off",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
        }
    }
}

impl StateReading {
    /// The reading of a state before any table is asked.
    const UNLISTED: Self = Self { condition: Condition::Unlisted, works: None, fresh: None };

    fn apply(&mut self, says: Says) {
        let condition = match says {
            Says::Unclear => Condition::Unclear,
            Says::LeftOver => Condition::LeftOver,
            Says::Absent => Condition::Absent,
            // Whether something works can only be said of what is there.
            Says::There | Says::On | Says::Off | Says::Fresh | Says::Stale => Condition::There,
        };
        self.condition = self.condition.max(condition);
        match says {
            Says::On => self.works = Some(true),
            Says::Off => self.works = Some(false),
            Says::Fresh => self.fresh = Some(true),
            Says::Stale => self.fresh = Some(false),
            Says::Unclear | Says::There | Says::LeftOver | Says::Absent => {}
        }
    }
}

/// All tables, compiled.
#[derive(Debug, Default)]
pub(crate) struct States {
    texts: Vec<(Vec<Kind>, Says, Patterns)>,
    numbers: Vec<Bits>,
}

impl States {
    pub(crate) fn new(tables: Vec<StateTable>) -> Result<Self, String> {
        let mut states = Self::default();
        for table in tables {
            for words in table.texts {
                states.texts.push((words.kinds, words.says, Patterns::new(&words.states)?));
            }
            states.numbers.extend(table.numbers);
        }
        Ok(states)
    }

    /// What the state means. An observation without a kind is read with the tables of all kinds.
    pub(crate) fn read(&self, kind: Option<Kind>, state: &str) -> StateReading {
        let state = state.trim();
        // A source that gives no state lists only what is installed.
        if state.is_empty() {
            return StateReading::default();
        }
        let mut reading = StateReading::UNLISTED;
        let holds = |kinds: &[Kind]| kinds.is_empty() || kind.is_none_or(|kind| kinds.contains(&kind));
        let number =
            state.strip_prefix("0x").map_or_else(|| state.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok());
        // A number is a set of bits, so no table of words applies to it.
        if let Some(number) = number {
            // Numbers below `least` come from another interface, in which they mean something else.
            for bits in self.numbers.iter().filter(|bits| holds(&bits.kinds) && number >= bits.least) {
                let found = bits.values.iter().find(|(value, _)| number & bits.mask == *value);
                found.into_iter().for_each(|(_, says)| reading.apply(*says));
            }
            return reading;
        }
        let words = [fold(state.trim_start_matches('[').trim_end_matches(']'))];
        for (kinds, says, patterns) in &self.texts {
            if holds(kinds) && patterns.fit(&words) {
                reading.apply(*says);
            }
        }
        reading
    }
}

/// Reads a table's file.
pub(crate) fn read(entries: &mut Entries<'_, '_>) -> StateTable {
    let id = entries.required("id").value;
    let kinds: Vec<Kind> = entries.names("kinds");
    entries.texts("sources");
    let texts = entries.tables("text", |table| words(table, &kinds)).into_iter().flatten().collect();
    let numbers = entries.tables("number", |table| bits(table, &kinds));
    StateTable { id, texts, numbers }
}

/// The kinds of a part, or those of the table if it has none.
fn kinds_of(entries: &mut Entries<'_, '_>, of_table: &[Kind]) -> Vec<Kind> {
    let own: Vec<Kind> = entries.names("kinds");
    if own.is_empty() { of_table.to_vec() } else { own }
}

fn words(entries: &mut Entries<'_, '_>, of_table: &[Kind]) -> Option<Words> {
    let kinds = kinds_of(entries, of_table);
    let says = entries.required_name("says");
    let mut states = Vec::new();
    for text in entries.list("states") {
        match read_pattern(Field::State, &kinds, &text.value) {
            Ok(pattern) => states.push(pattern),
            Err(reason) => entries.fault(text.line, format!("`states`: {reason}")),
        }
    }
    if states.is_empty() {
        entries.fault(entries.line(), "`states` is missing or empty");
    }
    Some(Words { kinds, says: says?, states })
}

fn bits(entries: &mut Entries<'_, '_>, of_table: &[Kind]) -> Bits {
    let kinds = kinds_of(entries, of_table);
    let least = entries.number("least").unwrap_or(0);
    let mask = entries.number("mask").unwrap_or(0);
    let mut values = Vec::new();
    for says in Says::VALUES {
        let key = says.spelling();
        for value in entries.numbers(key) {
            if value.value & !mask != 0 {
                entries.fault(value.line, format!("`{key}`: {:#x} is not within the mask {mask:#x}", value.value));
            }
            values.push((value.value, *says));
        }
    }
    if mask == 0 || values.is_empty() {
        entries.fault(entries.line(), "a number needs a `mask` and at least one value");
    }
    Bits { kinds, least, mask, values }
}
