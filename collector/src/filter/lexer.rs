//! From the text of a filter to terms, values and their columns. Knows the keys, and nothing of their values.

use muster_proto::suggest::nearest;

use super::error::{FilterError, FilterProblem};
use super::key::FilterKey;
use super::time::Comparison;
use super::{MOST_BYTES, MOST_TERMS, MOST_VALUES};

/// A term as typed.
#[derive(Debug)]
pub(super) struct RawTerm {
    pub(super) negated: bool,
    /// Where its key or its text begins.
    pub(super) column: usize,
    /// `None` for text without a key.
    pub(super) key: Option<FilterKey>,
    /// At least one.
    pub(super) values: Vec<RawValue>,
}

/// A value as typed, without quotes, escapes, comparison and `*`.
#[derive(Debug)]
pub(super) struct RawValue {
    /// Where it begins.
    pub(super) column: usize,
    /// Only with a key.
    pub(super) comparison: Option<Comparison>,
    /// Where its text begins, after the comparison.
    pub(super) text_column: usize,
    /// Empty only if it is `*` alone.
    pub(super) text: String,
    /// Whether the text was in quotes, so that no word in it is special.
    pub(super) is_quoted: bool,
    /// Whether `*` follows.
    pub(super) is_starred: bool,
}

/// A text as an error shows it.
pub(super) fn shown(text: &str) -> String {
    const MOST_SHOWN: usize = 60;
    let mut shown: String = text.chars().take(MOST_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// The terms of a filter.
pub(super) fn lex(text: &str) -> Result<Vec<RawTerm>, FilterError> {
    let mut lexer = Lexer::of_text(text)?;
    let mut terms = Vec::new();
    loop {
        lexer.skip_spaces();
        if lexer.peek().is_none() {
            return Ok(terms);
        }
        if terms.len() == MOST_TERMS {
            return Err(lexer.fault(FilterProblem::TooManyTerms));
        }
        terms.push(lexer.term()?);
    }
}

struct Lexer {
    /// Each character with its column.
    characters: Vec<(char, usize)>,
    at: usize,
    /// The column after the last character.
    end: usize,
    /// Whether this is the inside of a quoted term, in which a space is part of a value.
    is_inside: bool,
}

impl Lexer {
    fn of_text(text: &str) -> Result<Self, FilterError> {
        if text.len() > MOST_BYTES {
            let fits = text.char_indices().take_while(|(at, c)| at + c.len_utf8() <= MOST_BYTES).count();
            return Err(FilterError::new(fits + 1, FilterProblem::TooLong { bytes: text.len() }));
        }
        let characters: Vec<(char, usize)> = text.chars().zip(1..).collect();
        if let Some((c, column)) = characters.iter().find(|(c, _)| c.is_control() && !c.is_whitespace()) {
            return Err(control_character(*c, *column));
        }
        Ok(Self { end: characters.len() + 1, characters, at: 0, is_inside: false })
    }

    fn term(&mut self) -> Result<RawTerm, FilterError> {
        let negated = self.take('-');
        if self.peek() == Some('"')
            && let Some(term) = self.whole_term(negated)?
        {
            return Ok(term);
        }
        let column = self.column();
        let key = self.key()?;
        Ok(RawTerm { negated, column, key, values: self.values(key)? })
    }

    /// The term of which both the key and the values are in the quotes that begin here, or `None` if these are the
    /// quotes of a text.
    fn whole_term(&mut self, negated: bool) -> Result<Option<RawTerm>, FilterError> {
        let begin = self.at;
        let characters = self.quoted()?;
        let end = self.column() - 1;
        let mut inside = Self { characters, at: 0, end, is_inside: true };
        let negated = negated || inside.take('-');
        let column = inside.column();
        match inside.key_before_colon() {
            Some(name) if FilterKey::from_name(&name).is_some() || nearest_key(&name).is_some() => {}
            Some(_) | None => {
                self.at = begin;
                return Ok(None);
            }
        }
        let key = inside.key()?;
        let values = inside.values(key)?;
        if self.peek().is_some_and(|c| !c.is_whitespace()) {
            return Err(self.fault(FilterProblem::AfterQuote { after_value: false }));
        }
        Ok(Some(RawTerm { negated, column, key, values }))
    }

    /// The key and its colon, or `None` if the text has no key.
    fn key(&mut self) -> Result<Option<FilterKey>, FilterError> {
        let Some(name) = self.key_before_colon() else { return Ok(None) };
        if name.is_empty() {
            return Err(self.fault(FilterProblem::NoKey));
        }
        let Some(key) = FilterKey::from_name(&name) else {
            return Err(self.fault(FilterProblem::UnknownKey { near: nearest_key(&name), key: shown(&name) }));
        };
        self.at += name.chars().count() + 1;
        Ok(Some(key))
    }

    /// What is before the first colon, if nothing shows before it that this is a text.
    fn key_before_colon(&self) -> Option<String> {
        let mut name = String::new();
        for (c, _) in self.characters.iter().skip(self.at) {
            match c {
                ':' => return Some(name),
                ',' | '"' => return None,
                c if c.is_whitespace() && !self.is_inside => return None,
                c => name.push(*c),
            }
        }
        None
    }

    fn values(&mut self, key: Option<FilterKey>) -> Result<Vec<RawValue>, FilterError> {
        let mut values = Vec::new();
        loop {
            if values.len() == MOST_VALUES {
                return Err(self.fault(FilterProblem::TooManyValues { key }));
            }
            values.push(self.value(key)?);
            if !self.take(',') {
                return Ok(values);
            }
        }
    }

    fn value(&mut self, key: Option<FilterKey>) -> Result<RawValue, FilterError> {
        self.skip_spaces_inside();
        let column = self.column();
        let comparison = key.and_then(|_| self.comparison());
        self.skip_spaces_inside();
        let text_column = self.column();
        let is_quoted = self.peek() == Some('"');
        let (text, is_starred) = if is_quoted { self.quoted_value()? } else { self.plain_value(key)? };
        if text.is_empty() && (is_quoted || !is_starred) {
            return Err(FilterError::new(text_column, FilterProblem::EmptyValue { key }));
        }
        Ok(RawValue { column, comparison, text_column, text, is_quoted, is_starred })
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let comparison = match (self.peek()?, self.characters.get(self.at + 1).map(|(c, _)| *c)) {
            ('>', Some('=')) => Comparison::AtLeast,
            ('>', _) => Comparison::More,
            ('<', Some('=')) => Comparison::AtMost,
            ('<', _) => Comparison::Less,
            _ => return None,
        };
        self.at += comparison.sign().len();
        Some(comparison)
    }

    fn quoted_value(&mut self) -> Result<(String, bool), FilterError> {
        let text = self.quoted()?.into_iter().map(|(c, _)| c).collect();
        let is_starred = self.take('*');
        self.skip_spaces_inside();
        if !self.is_value_end() {
            return Err(self.fault(FilterProblem::AfterQuote { after_value: true }));
        }
        Ok((text, is_starred))
    }

    fn plain_value(&mut self, key: Option<FilterKey>) -> Result<(String, bool), FilterError> {
        let mut text = String::new();
        while !self.is_value_end() {
            let Some(c) = self.peek() else { break };
            match c {
                '"' => return Err(self.fault(FilterProblem::QuoteInside)),
                ':' if key.is_none() => return Err(self.fault(FilterProblem::ColonInText)),
                '*' => {
                    let fault = self.fault(FilterProblem::StarInside { key });
                    self.at += 1;
                    self.skip_spaces_inside();
                    return if self.is_value_end() { Ok((text, true)) } else { Err(fault) };
                }
                c => text.push(c),
            }
            self.at += 1;
        }
        if self.is_inside {
            text.truncate(text.trim_end().len());
        }
        Ok((text, false))
    }

    /// The characters between two quotes without their escapes.
    fn quoted(&mut self) -> Result<Vec<(char, usize)>, FilterError> {
        let unclosed = self.fault(FilterProblem::UnclosedQuote);
        self.at += 1;
        let mut inside = Vec::new();
        loop {
            let column = self.column();
            let mut c = self.next().ok_or_else(|| unclosed.clone())?;
            if c == '"' {
                return Ok(inside);
            }
            if c == '\\' {
                c = self.next().ok_or_else(|| unclosed.clone())?;
                if !matches!(c, '"' | '\\') {
                    return Err(FilterError::new(column, FilterProblem::UnknownEscape));
                }
            }
            if c.is_control() {
                return Err(control_character(c, column));
            }
            inside.push((c, column));
        }
    }

    fn is_value_end(&self) -> bool {
        self.peek().is_none_or(|c| c == ',' || (c.is_whitespace() && !self.is_inside))
    }

    fn skip_spaces_inside(&mut self) {
        if self.is_inside {
            self.skip_spaces();
        }
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        self.at += usize::from(is_there);
        is_there
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).map(|(c, _)| *c)
    }

    fn column(&self) -> usize {
        self.characters.get(self.at).map_or(self.end, |(_, column)| *column)
    }

    fn fault(&self, problem: FilterProblem) -> FilterError {
        FilterError::new(self.column(), problem)
    }
}

fn nearest_key(name: &str) -> Option<&'static str> {
    nearest(&name.to_ascii_lowercase(), FilterKey::ALL.iter().map(|key| key.name()))
}

const fn control_character(c: char, column: usize) -> FilterError {
    FilterError::new(column, FilterProblem::ControlCharacter { code: c as u32 })
}
