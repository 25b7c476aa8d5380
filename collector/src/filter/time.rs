//! Spans, instants and comparisons with them.

use std::fmt;
use std::time::Duration;

use muster_proto::model::Timestamp;

/// The longest span: a hundred years.
pub(super) const MOST_DAYS: u64 = 36_500;

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// Its spelling in a filter.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sign())
    }
}

/// The unit of a span. The letters mean what they mean in the settings and in options such as `--since`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpanUnit {
    /// `m`
    Minutes,
    /// `h`
    Hours,
    /// `d`: 24 hours.
    Days,
    /// `w`: 7 days.
    Weeks,
}

impl SpanUnit {
    const ALL: [Self; 4] = [Self::Minutes, Self::Hours, Self::Days, Self::Weeks];

    const fn letter(self) -> &'static str {
        match self {
            Self::Minutes => "m",
            Self::Hours => "h",
            Self::Days => "d",
            Self::Weeks => "w",
        }
    }

    const fn seconds(self) -> u64 {
        match self {
            Self::Minutes => 60,
            Self::Hours => 3_600,
            Self::Days => 86_400,
            Self::Weeks => 604_800,
        }
    }
}

/// A length of time in the unit in which it was typed, so that `90d` is written back as `90d`. At least a minute, at
/// most 36,500 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    count: u64,
    unit: SpanUnit,
}

impl Span {
    /// So many units, or `None` if that is zero or too long.
    #[must_use]
    pub fn new(count: u64, unit: SpanUnit) -> Option<Self> {
        let most = MOST_DAYS * SpanUnit::Days.seconds() / unit.seconds();
        (1..=most).contains(&count).then_some(Self { count, unit })
    }

    /// Its length.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.count.saturating_mul(self.unit.seconds()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, self.unit.letter())
    }
}

/// What an instant is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// So long ago.
    Ago(Span),
    /// An instant in the years 1970 to 9999. At midnight in UTC, it is written as a date.
    At(Timestamp),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ago(span) => write!(f, "{span}"),
            Self::At(at) => {
                let text = at.to_rfc3339();
                f.write_str(text.strip_suffix("T00:00:00Z").unwrap_or(&text))
            }
        }
    }
}

/// A value of `last-seen`, `since` or `enrolled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeMatch {
    /// The instant is known and compares like this.
    Compared(TimeComparison),
    /// The instant is known.
    Any,
    /// There is no such instant: the host has never checked in, or has no lane.
    None,
}

impl TimeMatch {
    /// Whether an instant matches.
    #[must_use]
    pub fn holds(self, at: Option<Timestamp>, now: Timestamp) -> bool {
        match self {
            Self::Compared(comparison) => at.is_some_and(|at| comparison.bound(now).holds(at)),
            Self::Any => at.is_some(),
            Self::None => at.is_none(),
        }
    }
}

impl fmt::Display for TimeMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compared(comparison) => write!(f, "{comparison}"),
            Self::Any => f.write_str("any"),
            Self::None => f.write_str("none"),
        }
    }
}

/// A comparison of an instant: `>7d` is longer ago than seven days, `>2026-10-01` is after the start of that day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeComparison {
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub with: Moment,
}

impl TimeComparison {
    /// The instants that it means.
    #[must_use]
    pub fn bound(self, now: Timestamp) -> InstantBound {
        match (self.with, self.comparison) {
            (Moment::Ago(span), comparison) => InstantBound::ago(comparison, span, now),
            (Moment::At(at), Comparison::Less) => InstantBound::Before(at),
            (Moment::At(at), Comparison::AtMost) => InstantBound::NotAfter(at),
            (Moment::At(at), Comparison::More) => InstantBound::After(at),
            (Moment::At(at), Comparison::AtLeast) => InstantBound::NotBefore(at),
        }
    }
}

impl fmt::Display for TimeComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.comparison, self.with)
    }
}

/// Instants on one side of another, for the evaluator and for SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstantBound {
    /// `at < bound`
    Before(Timestamp),
    /// `at <= bound`
    NotAfter(Timestamp),
    /// `at > bound`
    After(Timestamp),
    /// `at >= bound`
    NotBefore(Timestamp),
}

impl InstantBound {
    /// The instants since which more, at least, less or at most a span has passed.
    #[must_use]
    pub fn ago(comparison: Comparison, span: Span, now: Timestamp) -> Self {
        let then = now.minus(span.duration());
        match comparison {
            Comparison::More => Self::Before(then),
            Comparison::AtLeast => Self::NotAfter(then),
            Comparison::Less => Self::After(then),
            Comparison::AtMost => Self::NotBefore(then),
        }
    }

    /// Whether it includes an instant.
    #[must_use]
    pub fn holds(self, at: Timestamp) -> bool {
        match self {
            Self::Before(bound) => at < bound,
            Self::NotAfter(bound) => at <= bound,
            Self::After(bound) => at > bound,
            Self::NotBefore(bound) => at >= bound,
        }
    }
}

/// Why a text is no span or moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoMoment<'t> {
    /// It looks like neither a span nor a date.
    Neither,
    /// A number with another unit.
    Unit(&'t str),
    /// A span that is too short or too long.
    SpanOutOfRange,
    /// A date that the calendar does not have.
    NoSuchDate(&'t str),
    /// Before 1970 or after 9999.
    YearOutOfRange,
}

/// Reads `30m`, `12h`, `7d` or `4w`.
pub(super) fn read_span(text: &str) -> Result<Span, NoMoment<'_>> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    if digits.is_empty() || unit.is_empty() || !unit.chars().all(char::is_alphabetic) {
        return Err(NoMoment::Neither);
    }
    let unit = SpanUnit::ALL.into_iter().find(|known| known.letter() == unit).ok_or(NoMoment::Unit(unit))?;
    // Only a number that is too large for the type does not parse here.
    digits.parse().ok().and_then(|count| Span::new(count, unit)).ok_or(NoMoment::SpanOutOfRange)
}

/// Reads a span, a date or an RFC 3339 instant.
pub(super) fn read_moment(text: &str) -> Result<Moment, NoMoment<'_>> {
    let Some((date, time)) = split_date(text) else { return read_span(text).map(Moment::Ago) };
    let midnight = format!("{date}T00:00:00Z");
    let Ok(midnight) = Timestamp::parse_rfc3339(&midnight) else { return Err(NoMoment::NoSuchDate(date)) };
    let at = if time.is_empty() { midnight } else { Timestamp::parse_rfc3339(text).map_err(|_| NoMoment::Neither)? };
    // After 9999 there is no RFC 3339 form.
    let is_written = at.millis() >= 0 && Timestamp::parse_rfc3339(&at.to_rfc3339()) == Ok(at);
    if is_written { Ok(Moment::At(at)) } else { Err(NoMoment::YearOutOfRange) }
}

/// A text that begins like `2026-10-01`: the date, and what follows.
fn split_date(text: &str) -> Option<(&str, &str)> {
    const SHAPE: &str = "0000-00-00";
    let (date, time) = text.split_at_checked(SHAPE.len())?;
    let fits = |(c, shape): (u8, u8)| if shape == b'0' { c.is_ascii_digit() } else { c == shape };
    date.bytes().zip(SHAPE.bytes()).all(fits).then_some((date, time))
}
