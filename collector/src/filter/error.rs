//! What can be wrong with the text of a filter, and where.

use super::key::FilterKey;
use super::time::{Comparison, MOST_DAYS};
use super::{MOST_BYTES, MOST_TERMS, MOST_VALUES};

/// A mistake in the text of a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {problem}")]
pub struct FilterError {
    /// Where the mistake is: 1 is the first character of the text.
    pub column: usize,
    /// The mistake.
    pub problem: FilterProblem,
}

impl FilterError {
    pub(super) const fn new(column: usize, problem: FilterProblem) -> Self {
        Self { column, problem }
    }

    /// What to type instead, if the error does not say it already.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        self.problem.advice()
    }
}

/// What is wrong. Texts are as typed, cut at 60 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterProblem {
    /// The text exceeds [`MOST_BYTES`].
    #[error("the filter has {bytes} bytes; at most {MOST_BYTES} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The canonical text exceeds [`MOST_BYTES`].
    #[error("the filter has {bytes} bytes when it is written in full; at most {MOST_BYTES} are allowed")]
    CanonicalTooLong {
        /// Its length.
        bytes: usize,
    },
    /// More terms than [`MOST_TERMS`].
    #[error("the filter has more than {MOST_TERMS} terms")]
    TooManyTerms,
    /// More values than [`MOST_VALUES`].
    #[error("{} has more than {MOST_VALUES} values", subject(*key))]
    TooManyValues {
        /// The key; `None` for text without one.
        key: Option<FilterKey>,
    },
    /// A control character that is not a space between terms.
    #[error("control characters such as U+{code:04X} are not allowed")]
    ControlCharacter {
        /// Its number.
        code: u32,
    },
    /// The text ends inside of quotes that begin here.
    #[error("the quote is not closed")]
    UnclosedQuote,
    /// A quote inside of a value without quotes.
    #[error("a quote is only allowed at the beginning of a value")]
    QuoteInside,
    /// Something other than a space, a comma or `*` after a closing quote.
    #[error("expected a space{} after the closing quote", if *.after_value { " or a comma" } else { "" })]
    AfterQuote {
        /// Whether the quotes are those of a value, and not those of a whole term.
        after_value: bool,
    },
    /// A backslash before a character other than `"` and `\` inside of quotes.
    #[error("in quotes, a backslash is only allowed before a quote or another backslash")]
    UnknownEscape,
    /// A colon without a key.
    #[error("there is no key before the colon")]
    NoKey,
    /// A key that does not exist.
    #[error("there is no key {key:?}{}", meant(*near))]
    UnknownKey {
        /// As typed.
        key: String,
        /// The most similar key.
        near: Option<&'static str>,
    },
    /// Nothing where a value must be.
    #[error("{} has an empty value", subject(*key))]
    EmptyValue {
        /// The key; `None` for text without one.
        key: Option<FilterKey>,
    },
    /// `*` elsewhere than at the end of a value.
    #[error("{}: * is only allowed at the end of a value", subject(*key))]
    StarInside {
        /// The key; `None` for text without one.
        key: Option<FilterKey>,
    },
    /// `*` in a value of a key whose values are whole.
    #[error("{key} takes no *")]
    NoBeginnings {
        /// The key.
        key: FilterKey,
    },
    /// `*` without a key.
    #[error("* alone needs a key")]
    StarWithoutKey,
    /// Text without a key that has a colon and no quotes.
    #[error("text without a key must be in quotes if it has a colon")]
    ColonInText,
    /// A word that other languages have as an operator.
    #[error("{word:?} is not an operator")]
    Operator {
        /// As typed.
        word: String,
    },
    /// A comparison with a key whose values have no order.
    #[error("{key} cannot be compared with {comparison}")]
    NotComparable {
        /// The key.
        key: FilterKey,
        /// The comparison.
        comparison: Comparison,
    },
    /// A value without the comparison that the key needs.
    #[error("{key} needs a comparison before {value:?}")]
    ComparisonMissing {
        /// The key.
        key: FilterKey,
        /// As typed.
        value: String,
    },
    /// A value that the key does not have.
    #[error("{key} has no value {value:?}{}", meant(*near))]
    UnknownValue {
        /// The key.
        key: FilterKey,
        /// As typed.
        value: String,
        /// The most similar value.
        near: Option<&'static str>,
    },
    /// A second value of a key that takes one.
    #[error("{key} takes only one value")]
    OneValue {
        /// The key.
        key: FilterKey,
    },
    /// A text that cannot be a label, an id of a site, of a product or of an order.
    #[error("{key} cannot be {value:?}: {reason}")]
    InvalidName {
        /// The key.
        key: FilterKey,
        /// As typed.
        value: String,
        /// What is expected.
        reason: &'static str,
    },
    /// A number with a unit that spans do not have.
    #[error("{key}: there is no unit {unit:?} in {value:?}; use m, h, d or w")]
    UnknownUnit {
        /// The key.
        key: FilterKey,
        /// The unit, as typed.
        unit: String,
        /// The span, as typed.
        value: String,
    },
    /// A span of zero, or one that is too long.
    #[error("{key}: {value:?} is not between 1m and {MOST_DAYS}d")]
    SpanOutOfRange {
        /// The key.
        key: FilterKey,
        /// As typed.
        value: String,
    },
    /// A text that is not a span, where only a span can be.
    #[error("{key}: {value:?} is not a span such as 7d")]
    NotSpan {
        /// The key.
        key: FilterKey,
        /// As typed.
        value: String,
    },
    /// A text that is neither a span nor a date nor an instant.
    #[error("{key}: {value:?} is neither a span such as 7d nor a date such as 2026-10-01 nor an RFC 3339 instant")]
    NotTime {
        /// The key.
        key: FilterKey,
        /// As typed.
        value: String,
    },
    /// A date that the calendar does not have.
    #[error("{key}: there is no date {value}")]
    NoSuchDate {
        /// The key.
        key: FilterKey,
        /// The date, as typed.
        value: String,
    },
    /// An instant too long ago, or too far away.
    #[error("{key}: {value:?} is not in the years 1970 to 9999 of UTC")]
    YearOutOfRange {
        /// The key.
        key: FilterKey,
        /// As typed.
        value: String,
    },
    /// `-order:…`.
    #[error("order cannot be negated")]
    OrderNegated,
    /// Two terms with the key `order`.
    #[error("order is given twice")]
    SecondOrder,
}

impl FilterProblem {
    fn advice(&self) -> Option<String> {
        let takes = |key: FilterKey| Some(format!("{key} takes {}", key.takes()));
        match self {
            Self::UnknownKey { .. } => {
                let keys: Vec<&str> = FilterKey::ALL.iter().map(|key| key.name()).collect();
                Some(format!(
                    "the keys are {}; put a text that has a colon in quotes to search for it",
                    keys.join(", ")
                ))
            }
            Self::NoBeginnings { key }
            | Self::NotComparable { key, .. }
            | Self::ComparisonMissing { key, .. }
            | Self::UnknownValue { key, .. }
            | Self::OneValue { key } => takes(*key),
            Self::EmptyValue { key } => key.and_then(takes),
            Self::Operator { word } => Some(format!(
                "terms are joined by spaces, values by commas, and - negates a term; to search for the text, write \
                 \"{word}\" in quotes"
            )),
            Self::StarWithoutKey => Some("for hosts that have an owner, use owner:*".to_owned()),
            Self::StarInside { .. } => Some("put a text that contains * in quotes".to_owned()),
            Self::QuoteInside => Some("put the whole value in quotes, and write \\\" for a quote in it".to_owned()),
            Self::UnknownEscape => Some("write \\\\ for a backslash".to_owned()),
            Self::OrderNegated | Self::SecondOrder => {
                Some("order names the one order under which lane, overdue and the like are meant".to_owned())
            }
            Self::TooLong { .. }
            | Self::CanonicalTooLong { .. }
            | Self::TooManyTerms
            | Self::TooManyValues { .. }
            | Self::ControlCharacter { .. }
            | Self::UnclosedQuote
            | Self::AfterQuote { .. }
            | Self::NoKey
            | Self::ColonInText
            | Self::InvalidName { .. }
            | Self::UnknownUnit { .. }
            | Self::SpanOutOfRange { .. }
            | Self::NotSpan { .. }
            | Self::NotTime { .. }
            | Self::NoSuchDate { .. }
            | Self::YearOutOfRange { .. } => None,
        }
    }
}

fn subject(key: Option<FilterKey>) -> &'static str {
    key.map_or("the text to search for", FilterKey::name)
}

fn meant(near: Option<&'static str>) -> String {
    near.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}
