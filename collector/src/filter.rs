//! The filter language for hosts: one text for the command line, the API and web addresses.
//!
//! ```text
//!  lane:replace,remove silent:>7d -site:lab "owner:Jane Doe" web*
//!
//!  text ─► lexer (terms, values, columns) ─► values (typed by key) ─► Filter ─┬─► Display (the canonical text)
//!                                                                             ├─► SQL of a store
//!                                                                             └─► evaluate (one host in memory)
//! ```
//!
//! **Terms** are separated by spaces, and a host must match every term. `-` before a term negates it. A term is
//! `key:value`, or a text without a key, which is searched for in the name, serial number, addresses, full name in the
//! DNS, asset tag and owner. Keys, and values of every key, are read without regard to the case of ASCII letters.
//!
//! **Values** are separated by commas, and one of them must match. `*` at the end of a text means "begins with". `any`,
//! or `*` alone, means that the host has a value; `none` means that it has none. Of `presence` and `protection`, `none`
//! is the member of that name.
//!
//! **Quotes** surround a value that contains a space, a comma, `"` or `*`, or that is the text `any` or `none`, and
//! text without a key that contains a colon or begins with `-`. Inside of them, `\"` is `"` and `\\` is `\`. `*` may
//! follow the closing quote. Quotes around a whole term protect its spaces only: `"owner:Jane Doe,bob"` is the same as
//! `owner:"Jane Doe",bob`. So a quoted text that begins with a key and a colon is always a term.
//!
//! **Times** (`last-seen`, `since`, `enrolled`) are compared with `>`, `>=`, `<` or `<=`. A span (`30m`, `12h`, `7d`,
//! `4w`) is a time ago: `last-seen:>7d` means longer ago than seven days. A date is its first instant in UTC:
//! `enrolled:<2026-10-01` means before that day. RFC 3339 instants are accepted, too.
//!
//! **Unknown** values match only `none`: if the value of a key is not known for a host, any other condition about it
//! does not hold, and its negation does. So `-term` is always the complement of `term`. In SQL, a condition that is
//! NULL counts as false before it is negated.
//!
//! **`order`** names the order under which `lane`, `overdue`, `silent:yes`, `since`, `presence`, `protection`,
//! `product` and `waiver` are meant, and keeps only hosts to which it applies. Without it, the caller decides what is
//! meant: the only active order, or any order, under which all terms of the filter must hold together.

mod condition;
mod error;
mod evaluate;
mod key;
mod lexer;
mod roster;
mod time;
mod values;

use std::fmt;
use std::str::FromStr;

use muster_proto::model::OrderId;

pub use condition::{Choice, Condition, SearchText, SilentMatch, TextMatch, fold_case};
pub use error::{FilterError, FilterProblem};
pub use evaluate::{HostFields, OrderFields};
pub use key::FilterKey;
pub use roster::{RosterMatch, RosterState};
pub use time::{Comparison, InstantBound, Moment, Span, SpanUnit, TimeComparison, TimeMatch};

/// The longest text of a filter, as typed and as written back.
pub const MOST_BYTES: usize = 2_000;
/// The most terms of a filter.
pub const MOST_TERMS: usize = 64;
/// The most values of a term.
pub const MOST_VALUES: usize = 200;

/// Which hosts are meant: those that match every term. Without terms, every host. `Display` writes the canonical text,
/// which reads back as the same filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    terms: Vec<Term>,
}

/// A condition, or its negation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Whether it matches hosts for which the condition does not hold, also because something about them is unknown.
    pub negated: bool,
    /// The condition.
    pub condition: Condition,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// The first mistake in the text, with its column; or the text exceeds a limit.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        for raw in lexer::lex(text)? {
            let (negated, column) = (raw.negated, raw.column);
            let condition = values::condition(&raw)?;
            if matches!(condition, Condition::Order(_)) {
                if negated {
                    return Err(FilterError::new(column, FilterProblem::OrderNegated));
                }
                if filter.order().is_some() {
                    return Err(FilterError::new(column, FilterProblem::SecondOrder));
                }
            }
            filter.terms.push(Term { negated, condition });
        }
        // Quotes and full words can make the canonical text longer than what was typed.
        let bytes = filter.to_string().len();
        if bytes > MOST_BYTES {
            return Err(FilterError::new(1, FilterProblem::CanonicalTooLong { bytes }));
        }
        Ok(filter)
    }

    /// The terms, in the order in which they were typed.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Whether every host matches because there are no terms.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The order that the filter names.
    #[must_use]
    pub fn order(&self) -> Option<&OrderId> {
        self.terms.iter().find_map(|term| term.condition.order())
    }

    /// Whether a term is about hosts under an order, so that somebody must say which one. `order` itself is such a
    /// term.
    #[must_use]
    pub fn needs_order(&self) -> bool {
        self.terms.iter().any(|term| term.condition.needs_order())
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{term}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negated { "-" } else { "" };
        write!(f, "{sign}{}", self.condition)
    }
}

#[cfg(test)]
mod tests;
