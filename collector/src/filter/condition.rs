//! Conditions: what a term asks, typed by its key, and how each is written.

use std::fmt::{self, Write as _};

use muster_proto::model::{Lane, OrderId, Platform, Presence, Protection};

use super::key::FilterKey;
use super::roster::RosterMatch;
use super::time::{Comparison, Span, TimeMatch};

/// What a term asks. A list has at least one value and none twice; one of them must match. Texts have their ASCII
/// letters in lower case (see [`fold_case`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The order under which the other terms are meant. Holds for hosts to which it applies.
    Order(OrderId),
    /// The lane under the order. A host that waits for its first judgement is in `unknown`, a host to which the order
    /// does not apply has none.
    Lane(Vec<Choice<Lane>>),
    /// Whether it is overdue under the order.
    Overdue(bool),
    /// Whether or for how long it is silent.
    Silent(SilentMatch),
    /// The site.
    Site(Vec<TextMatch>),
    /// A label of the host.
    Label(Vec<TextMatch>),
    /// The owner, without regard to case.
    Owner(Vec<TextMatch>),
    /// The platform.
    Platform(Vec<Choice<Platform>>),
    /// The name of the operating system, without regard to case.
    Os(Vec<TextMatch>),
    /// The host name, without regard to case.
    Name(Vec<TextMatch>),
    /// The serial number, without regard to case.
    Serial(Vec<TextMatch>),
    /// How it relates to the roster.
    Roster(Vec<RosterMatch>),
    /// A product of the order that was found on it. `none` holds only for hosts that were judged under the order;
    /// whether their sources were read completely is a question for `presence`.
    Product(Vec<TextMatch>),
    /// How a product of the order is present.
    Presence(Vec<Choice<Presence>>),
    /// What else protects it, by the order.
    Protection(Vec<Choice<Protection>>),
    /// The version of its agent, without regard to case.
    Agent(Vec<TextMatch>),
    /// When it last checked in.
    LastSeen(Vec<TimeMatch>),
    /// Since when it has been in its lane under the order.
    Since(Vec<TimeMatch>),
    /// When it enrolled.
    Enrolled(Vec<TimeMatch>),
    /// Whether a waiver in force covers it under the order.
    Waiver(bool),
    /// Whether it is in quarantine.
    Quarantined(bool),
    /// Text in its name, serial number, addresses, full name in the DNS, asset tag or owner, without regard to case.
    Search(Vec<SearchText>),
}

/// A value of a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Choice<T> {
    /// This member.
    Is(T),
    /// Any member.
    Any,
    /// No member: the value is not known, or there is none. Never under `presence` and `protection`.
    None,
}

/// A value of a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TextMatch {
    /// The whole text.
    Is(String),
    /// The beginning of the text. It may contain `%` and `_`, which stand for themselves.
    StartsWith(String),
    /// Any text that is not empty.
    Any,
    /// No text.
    None,
}

/// A text without a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SearchText {
    /// Somewhere in a field.
    Contains(String),
    /// At the beginning of a field.
    StartsWith(String),
}

/// A value of `silent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SilentMatch {
    /// Silent under the order: not reported within its patience. Silent hosts are in any lane.
    Yes,
    /// Not silent under the order, which applies to it.
    No,
    /// Not reported for so long, counted from the last check-in, or else from the enrollment. A host that has neither
    /// has been silent for longer than any span. No order is needed.
    For(Comparison, Span),
}

/// A text in the form in which texts are compared: ASCII letters in lower case. The same as `lower(text COLLATE "C")`
/// of PostgreSQL and `lower(text)` of SQLite, so that both stores and the evaluator agree.
#[must_use]
pub fn fold_case(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// Words that other languages have as operators. As texts to search for, they need quotes.
pub(super) const OPERATORS: [&str; 3] = ["and", "or", "not"];
pub(super) const ANY: &str = "any";
pub(super) const NONE: &str = "none";

impl Condition {
    /// Its key; `None` for text without one.
    #[must_use]
    pub const fn key(&self) -> Option<FilterKey> {
        Some(match self {
            Self::Order(_) => FilterKey::Order,
            Self::Lane(_) => FilterKey::Lane,
            Self::Overdue(_) => FilterKey::Overdue,
            Self::Silent(_) => FilterKey::Silent,
            Self::Site(_) => FilterKey::Site,
            Self::Label(_) => FilterKey::Label,
            Self::Owner(_) => FilterKey::Owner,
            Self::Platform(_) => FilterKey::Platform,
            Self::Os(_) => FilterKey::Os,
            Self::Name(_) => FilterKey::Name,
            Self::Serial(_) => FilterKey::Serial,
            Self::Roster(_) => FilterKey::Roster,
            Self::Product(_) => FilterKey::Product,
            Self::Presence(_) => FilterKey::Presence,
            Self::Protection(_) => FilterKey::Protection,
            Self::Agent(_) => FilterKey::Agent,
            Self::LastSeen(_) => FilterKey::LastSeen,
            Self::Since(_) => FilterKey::Since,
            Self::Enrolled(_) => FilterKey::Enrolled,
            Self::Waiver(_) => FilterKey::Waiver,
            Self::Quarantined(_) => FilterKey::Quarantined,
            Self::Search(_) => return None,
        })
    }

    /// Whether it is about a host under an order.
    #[must_use]
    pub const fn needs_order(&self) -> bool {
        match self {
            Self::Order(_)
            | Self::Lane(_)
            | Self::Overdue(_)
            | Self::Silent(SilentMatch::Yes | SilentMatch::No)
            | Self::Product(_)
            | Self::Presence(_)
            | Self::Protection(_)
            | Self::Since(_)
            | Self::Waiver(_) => true,
            Self::Silent(SilentMatch::For(..))
            | Self::Site(_)
            | Self::Label(_)
            | Self::Owner(_)
            | Self::Platform(_)
            | Self::Os(_)
            | Self::Name(_)
            | Self::Serial(_)
            | Self::Roster(_)
            | Self::Agent(_)
            | Self::LastSeen(_)
            | Self::Enrolled(_)
            | Self::Quarantined(_)
            | Self::Search(_) => false,
        }
    }

    /// The order that it names.
    pub(super) const fn order(&self) -> Option<&OrderId> {
        if let Self::Order(order) = self { Some(order) } else { None }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = self.key() {
            write!(f, "{key}:")?;
        }
        match self {
            Self::Order(order) => write!(f, "{order}"),
            Self::Lane(values) => write_list(f, values),
            Self::Platform(values) => write_list(f, values),
            Self::Presence(values) => write_list(f, values),
            Self::Protection(values) => write_list(f, values),
            Self::Overdue(yes) | Self::Waiver(yes) | Self::Quarantined(yes) => {
                f.write_str(if *yes { "yes" } else { "no" })
            }
            Self::Silent(value) => write!(f, "{value}"),
            Self::Site(values)
            | Self::Label(values)
            | Self::Owner(values)
            | Self::Os(values)
            | Self::Name(values)
            | Self::Serial(values)
            | Self::Product(values)
            | Self::Agent(values) => write_list(f, values),
            Self::Roster(values) => write_list(f, values),
            Self::LastSeen(values) | Self::Since(values) | Self::Enrolled(values) => write_list(f, values),
            Self::Search(values) => write_list(f, values),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Choice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(member) => write!(f, "{member}"),
            Self::Any => f.write_str(ANY),
            Self::None => f.write_str(NONE),
        }
    }
}

impl fmt::Display for TextMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(text) => write_text(f, text),
            Self::StartsWith(text) => write_beginning(f, text),
            Self::Any => f.write_str(ANY),
            Self::None => f.write_str(NONE),
        }
    }
}

impl fmt::Display for SearchText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contains(text) => write_text(f, text),
            Self::StartsWith(text) => write_beginning(f, text),
        }
    }
}

impl fmt::Display for SilentMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("yes"),
            Self::No => f.write_str("no"),
            Self::For(comparison, span) => write!(f, "{comparison}{span}"),
        }
    }
}

fn write_list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, values: &[T]) -> fmt::Result {
    for (index, value) in values.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(f, "{comma}{value}")?;
    }
    Ok(())
}

fn write_beginning(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write_text(f, text)?;
    f.write_char('*')
}

/// A text, in quotes where they are needed, or where they spare the reader a doubt.
fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let is_special = |c: char| c.is_whitespace() || matches!(c, ',' | ':' | '"' | '\\' | '*');
    let is_word = [ANY, NONE].contains(&text) || OPERATORS.contains(&text);
    if !is_word && !text.starts_with(['-', '<', '>']) && !text.contains(is_special) {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}
