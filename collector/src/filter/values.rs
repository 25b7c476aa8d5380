//! From a term as typed to a condition: each key reads its own values.

use std::fmt;
use std::str::FromStr;

use muster_proto::model::{InvalidId, Lane, OrderId, Platform, Presence, ProductId, Protection, SiteId};
use muster_proto::suggest::nearest;

use super::condition::{ANY, Choice, Condition, NONE, OPERATORS, SearchText, SilentMatch, TextMatch, fold_case};
use super::error::{FilterError, FilterProblem};
use super::key::FilterKey;
use super::lexer::{RawTerm, RawValue, shown};
use super::roster::{RosterMatch, RosterState};
use super::time::{NoMoment, TimeComparison, TimeMatch, read_moment, read_span};

/// The longest label.
const LABEL_BYTES: usize = 40;
const YES_NO: [&str; 2] = ["yes", "no"];

/// The condition of a term.
pub(super) fn condition(term: &RawTerm) -> Result<Condition, FilterError> {
    let Some(key) = term.key else { return search(&term.values) };
    let asked = Asked { key, values: &term.values };
    Ok(match key {
        FilterKey::Order => Condition::Order(asked.order()?),
        FilterKey::Lane => Condition::Lane(asked.choices(Lane::ALL, Lane::name)?),
        FilterKey::Platform => Condition::Platform(asked.choices(Platform::ALL, Platform::name)?),
        FilterKey::Presence => Condition::Presence(asked.choices(Presence::ALL, Presence::name)?),
        FilterKey::Protection => Condition::Protection(asked.choices(Protection::ALL, Protection::name)?),
        FilterKey::Overdue => Condition::Overdue(asked.yes_no()?),
        FilterKey::Waiver => Condition::Waiver(asked.yes_no()?),
        FilterKey::Quarantined => Condition::Quarantined(asked.yes_no()?),
        FilterKey::Silent => Condition::Silent(asked.silent()?),
        FilterKey::Roster => Condition::Roster(asked.each(|value| asked.roster(value))?),
        FilterKey::Site => Condition::Site(asked.texts(is_id::<SiteId>)?),
        FilterKey::Product => Condition::Product(asked.texts(is_id::<ProductId>)?),
        FilterKey::Label => Condition::Label(asked.texts(is_label)?),
        FilterKey::Owner => Condition::Owner(asked.texts(is_any_text)?),
        FilterKey::Os => Condition::Os(asked.texts(is_any_text)?),
        FilterKey::Name => Condition::Name(asked.texts(is_any_text)?),
        FilterKey::Serial => Condition::Serial(asked.texts(is_any_text)?),
        FilterKey::Agent => Condition::Agent(asked.texts(is_any_text)?),
        FilterKey::LastSeen => Condition::LastSeen(asked.each(|value| asked.time(value))?),
        FilterKey::Since => Condition::Since(asked.each(|value| asked.time(value))?),
        FilterKey::Enrolled => Condition::Enrolled(asked.each(|value| asked.time(value))?),
    })
}

fn search(values: &[RawValue]) -> Result<Condition, FilterError> {
    let mut found = Vec::new();
    for value in values {
        let text = fold_case(&value.text);
        let fault = |problem| Err(FilterError::new(value.column, problem));
        if text.is_empty() {
            return fault(FilterProblem::StarWithoutKey);
        }
        if values.len() == 1 && !value.is_quoted && !value.is_starred && OPERATORS.contains(&text.as_str()) {
            return fault(FilterProblem::Operator { word: shown(&value.text) });
        }
        push_new(&mut found, if value.is_starred { SearchText::StartsWith(text) } else { SearchText::Contains(text) });
    }
    Ok(Condition::Search(found))
}

/// A key and its values.
#[derive(Clone, Copy)]
struct Asked<'t> {
    key: FilterKey,
    values: &'t [RawValue],
}

impl<'t> Asked<'t> {
    fn order(self) -> Result<OrderId, FilterError> {
        let value = self.only()?;
        self.refuse_comparison(value)?;
        self.refuse_star(value)?;
        OrderId::new(fold_case(&value.text)).map_err(|invalid| self.invalid(value, invalid.reason))
    }

    fn yes_no(self) -> Result<bool, FilterError> {
        let value = self.only()?;
        self.refuse_comparison(value)?;
        self.refuse_star(value)?;
        self.read_yes_no(value)
    }

    fn silent(self) -> Result<SilentMatch, FilterError> {
        let value = self.only()?;
        self.refuse_star(value)?;
        let Some(comparison) = value.comparison else {
            if read_span(&value.text).is_ok() {
                return Err(self.comparison_missing(value));
            }
            return Ok(if self.read_yes_no(value)? { SilentMatch::Yes } else { SilentMatch::No });
        };
        match read_span(&value.text) {
            Ok(span) => Ok(SilentMatch::For(comparison, span)),
            Err(NoMoment::Neither) => {
                let (key, value_shown) = (self.key, shown(&value.text));
                Err(FilterError::new(value.text_column, FilterProblem::NotSpan { key, value: value_shown }))
            }
            Err(other) => Err(self.no_moment(value, other)),
        }
    }

    fn roster(self, value: &RawValue) -> Result<RosterMatch, FilterError> {
        self.refuse_comparison(value)?;
        self.refuse_star(value)?;
        match fold_case(&value.text).as_str() {
            "yes" => Ok(RosterMatch::Yes),
            "no" => Ok(RosterMatch::No),
            name => {
                let state = RosterState::ALL.iter().copied().find(|state| state.name() == name);
                let names = RosterState::ALL.iter().map(|state| state.name()).chain(YES_NO);
                state.map(RosterMatch::State).ok_or_else(|| self.unknown_value(value, names))
            }
        }
    }

    fn time(self, value: &RawValue) -> Result<TimeMatch, FilterError> {
        let special = self.special(value);
        let Some(comparison) = value.comparison else {
            self.refuse_star_after_text(value)?;
            return match special {
                Some(Special::Any) => Ok(TimeMatch::Any),
                Some(Special::None) => Ok(TimeMatch::None),
                None => Err(self.comparison_missing(value)),
            };
        };
        self.refuse_star(value)?;
        match read_moment(&value.text) {
            Ok(with) => Ok(TimeMatch::Compared(TimeComparison { comparison, with })),
            Err(why) => Err(self.no_moment(value, why)),
        }
    }

    fn choices<T: Copy + PartialEq>(
        self,
        all: &'static [T],
        name: fn(T) -> &'static str,
    ) -> Result<Vec<Choice<T>>, FilterError> {
        self.each(|value| {
            self.refuse_comparison(value)?;
            self.refuse_star_after_text(value)?;
            let text = fold_case(&value.text);
            if let Some(member) = all.iter().find(|member| name(**member) == text) {
                return Ok(Choice::Is(*member));
            }
            match self.special(value) {
                Some(Special::Any) => Ok(Choice::Any),
                Some(Special::None) => Ok(Choice::None),
                None => Err(self.unknown_value(value, all.iter().map(|member| name(*member)).chain([ANY, NONE]))),
            }
        })
    }

    fn texts(self, check: fn(&str) -> Result<(), &'static str>) -> Result<Vec<TextMatch>, FilterError> {
        self.each(|value| {
            self.refuse_comparison(value)?;
            match self.special(value) {
                Some(Special::Any) => return Ok(TextMatch::Any),
                Some(Special::None) => return Ok(TextMatch::None),
                None => {}
            }
            let text = fold_case(&value.text);
            check(&text).map_err(|reason| self.invalid(value, reason))?;
            Ok(if value.is_starred { TextMatch::StartsWith(text) } else { TextMatch::Is(text) })
        })
    }

    /// Reads every value. What was typed twice is kept once.
    fn each<M: PartialEq>(self, read: impl Fn(&RawValue) -> Result<M, FilterError>) -> Result<Vec<M>, FilterError> {
        let mut found = Vec::with_capacity(self.values.len());
        for value in self.values {
            push_new(&mut found, read(value)?);
        }
        Ok(found)
    }

    fn only(self) -> Result<&'t RawValue, FilterError> {
        match self.values {
            [only] => Ok(only),
            [_, second, ..] => Err(FilterError::new(second.column, FilterProblem::OneValue { key: self.key })),
            [] => Err(FilterError::new(1, FilterProblem::EmptyValue { key: Some(self.key) })),
        }
    }

    fn special(self, value: &RawValue) -> Option<Special> {
        if value.is_quoted || value.comparison.is_some() {
            return None;
        }
        match (fold_case(&value.text).as_str(), value.is_starred) {
            ("", true) | (ANY, false) => Some(Special::Any),
            (NONE, false) => Some(Special::None),
            _ => None,
        }
    }

    fn read_yes_no(self, value: &RawValue) -> Result<bool, FilterError> {
        match fold_case(&value.text).as_str() {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(self.unknown_value(value, YES_NO.into_iter())),
        }
    }

    fn refuse_comparison(self, value: &RawValue) -> Result<(), FilterError> {
        let Some(comparison) = value.comparison else { return Ok(()) };
        Err(FilterError::new(value.column, FilterProblem::NotComparable { key: self.key, comparison }))
    }

    fn refuse_star(self, value: &RawValue) -> Result<(), FilterError> {
        if !value.is_starred {
            return Ok(());
        }
        Err(FilterError::new(value.text_column, FilterProblem::NoBeginnings { key: self.key }))
    }

    /// `*` alone is allowed.
    fn refuse_star_after_text(self, value: &RawValue) -> Result<(), FilterError> {
        if value.text.is_empty() { Ok(()) } else { self.refuse_star(value) }
    }

    fn comparison_missing(self, value: &RawValue) -> FilterError {
        let problem = FilterProblem::ComparisonMissing { key: self.key, value: shown(&value.text) };
        FilterError::new(value.text_column, problem)
    }

    fn unknown_value(self, value: &RawValue, names: impl Iterator<Item = &'static str>) -> FilterError {
        let near = nearest(&fold_case(&value.text), names);
        let problem = FilterProblem::UnknownValue { key: self.key, value: shown(&value.text), near };
        FilterError::new(value.text_column, problem)
    }

    fn invalid(self, value: &RawValue, reason: &'static str) -> FilterError {
        let problem = FilterProblem::InvalidName { key: self.key, value: shown(&value.text), reason };
        FilterError::new(value.text_column, problem)
    }

    fn no_moment(self, value: &RawValue, why: NoMoment<'_>) -> FilterError {
        let (key, text) = (self.key, shown(&value.text));
        let problem = match why {
            NoMoment::Neither => FilterProblem::NotTime { key, value: text },
            NoMoment::Unit(unit) => FilterProblem::UnknownUnit { key, unit: shown(unit), value: text },
            NoMoment::SpanOutOfRange => FilterProblem::SpanOutOfRange { key, value: text },
            NoMoment::NoSuchDate(date) => FilterProblem::NoSuchDate { key, value: date.to_owned() },
            NoMoment::YearOutOfRange => FilterProblem::YearOutOfRange { key, value: text },
        };
        FilterError::new(value.text_column, problem)
    }
}

enum Special {
    Any,
    None,
}

fn push_new<M: PartialEq>(found: &mut Vec<M>, value: M) {
    if !found.contains(&value) {
        found.push(value);
    }
}

fn is_any_text(_: &str) -> Result<(), &'static str> {
    Ok(())
}

fn is_id<Id: FromStr<Err = InvalidId> + fmt::Display>(text: &str) -> Result<(), &'static str> {
    text.parse::<Id>().map(|_| ()).map_err(|invalid| invalid.reason)
}

fn is_label(text: &str) -> Result<(), &'static str> {
    if text.len() > LABEL_BYTES {
        return Err("expected 1 to 40 characters");
    }
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.chars().all(is_allowed) { Ok(()) } else { Err("only a-z, 0-9 and '-' are allowed") }
}
