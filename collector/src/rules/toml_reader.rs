//! Reads one TOML file key by key and notes every fault with its line: a wrong type, a missing key, an unknown key or name.
//!
//! Serde stops at the first fault. An analyst who edits twenty files wants all of them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use jiff::civil::Date;
use muster_proto::model::Timestamp;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::named_value::NamedValue;
use super::rule_fault::RuleFault;
use muster_proto::suggest::did_you_mean;

/// One rule file, read but not parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuleFile {
    /// One of [`super::FOLDERS`].
    pub(crate) folder: String,
    /// Its name within the folder.
    pub(crate) name: String,
    /// How faults name it: `catalogue/clamav.toml` of the defaults, or its path.
    pub(crate) place: String,
    /// Its text.
    pub(crate) text: String,
}

/// A value with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) line: usize,
}

/// One file while it is read, with the faults found so far.
pub(crate) struct TomlReader<'f> {
    file: &'f RuleFile,
    /// The byte at which each line begins.
    lines: Vec<usize>,
    faults: RefCell<Vec<RuleFault>>,
}

impl<'f> TomlReader<'f> {
    /// Parses the file and gives its top table to `read`. Returns the result with the faults of both.
    pub(crate) fn read<T>(file: &'f RuleFile, read: impl FnOnce(&mut Entries<'_, '_>) -> T) -> (T, Vec<RuleFault>) {
        let (result, faults, _) = Self::recover(file, read);
        (result, faults)
    }

    /// Like [`TomlReader::read`], but returns no result for a file that is not valid TOML: keys missing from it would be reported
    /// as missing in other files too.
    pub(crate) fn read_whole<T>(
        file: &'f RuleFile,
        read: impl FnOnce(&mut Entries<'_, '_>) -> T,
    ) -> (Option<T>, Vec<RuleFault>) {
        let (result, faults, broken) = Self::recover(file, read);
        ((!broken).then_some(result), faults)
    }

    /// What could be read, the faults, and whether the file is not valid TOML.
    fn recover<T>(file: &'f RuleFile, read: impl FnOnce(&mut Entries<'_, '_>) -> T) -> (T, Vec<RuleFault>, bool) {
        let breaks = file.text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        let reader = TomlReader { file, lines, faults: RefCell::default() };
        let (document, errors) = DeTable::parse_recoverable(&file.text);
        for error in errors {
            let line = error.span().map_or(0, |span| reader.line(span.start));
            reader.fault(line, error.message().to_owned());
        }
        let broken = !reader.faults.borrow().is_empty();
        let mut entries = Entries { reader: &reader, table: document.get_ref(), line: 1, asked: BTreeSet::new() };
        let result = read(&mut entries);
        entries.finish();
        let mut faults = reader.faults.into_inner();
        if broken {
            // Keys that a broken file lacks follow from its syntax fault.
            faults.truncate(1);
        }
        (result, faults, broken)
    }

    fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= offset)
    }

    fn fault(&self, line: usize, reason: String) {
        self.faults.borrow_mut().push(RuleFault { file: self.file.place.clone(), line, reason });
    }
}

/// One table of the file. Keys that are asked for are the known ones; [`Entries::finish`] reports the others.
pub(crate) struct Entries<'s, 'f> {
    reader: &'s TomlReader<'f>,
    table: &'s DeTable<'s>,
    line: usize,
    asked: BTreeSet<String>,
}

impl<'s> Entries<'s, '_> {
    /// The line on which the table begins.
    pub(crate) const fn line(&self) -> usize {
        self.line
    }

    /// The file, as faults name it.
    pub(crate) fn file(&self) -> &str {
        &self.reader.file.place
    }

    /// Notes a fault on a line.
    pub(crate) fn fault(&self, line: usize, reason: impl Into<String>) {
        self.reader.fault(line, reason.into());
    }

    fn get(&mut self, key: &str) -> Option<(&'s DeValue<'s>, usize)> {
        self.asked.insert(key.to_owned());
        let value: &'s Spanned<DeValue<'s>> = self.table.get(key)?;
        Some((value.get_ref(), self.reader.line(value.span().start)))
    }

    /// The line of a key's value, if the key is present. The key then counts as known.
    pub(crate) fn line_of(&mut self, key: &str) -> Option<usize> {
        self.get(key).map(|(_, line)| line)
    }

    fn wrong(&self, key: &str, line: usize, wanted: &str, found: &DeValue<'_>) {
        let found = match found {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.fault(line, format!("`{key}`: expected {wanted}, found {found}"));
    }

    /// A string, if the key is present.
    pub(crate) fn text(&mut self, key: &str) -> Option<Placed<String>> {
        let (value, line) = self.get(key)?;
        match value.as_str() {
            Some(text) => Some(Placed { value: text.to_owned(), line }),
            None => {
                self.wrong(key, line, "a string", value);
                None
            }
        }
    }

    /// A string that must be present and not empty.
    pub(crate) fn required(&mut self, key: &str) -> Placed<String> {
        let there = self.table.contains_key(key);
        match self.text(key) {
            Some(text) if text.value.trim().is_empty() => {
                self.fault(text.line, format!("`{key}` is empty"));
                text
            }
            Some(text) => text,
            None => {
                // A value of the wrong type is a fault already.
                if !there {
                    self.fault(self.line, format!("missing key `{key}`"));
                }
                Placed { value: String::new(), line: self.line }
            }
        }
    }

    /// A string or a list of strings; empty if the key is missing.
    pub(crate) fn list(&mut self, key: &str) -> Vec<Placed<String>> {
        let Some((value, line)) = self.get(key) else { return Vec::new() };
        if let Some(text) = value.as_str() {
            return vec![Placed { value: text.to_owned(), line }];
        }
        let Some(array) = value.as_array() else {
            self.wrong(key, line, "a string or a list of strings", value);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in array.iter() {
            let line = self.reader.line(item.span().start);
            match item.get_ref().as_str() {
                Some(text) => texts.push(Placed { value: text.to_owned(), line }),
                None => self.wrong(key, line, "a list of strings", item.get_ref()),
            }
        }
        texts
    }

    /// The strings of a list without their lines.
    pub(crate) fn texts(&mut self, key: &str) -> Vec<String> {
        self.list(key).into_iter().map(|text| text.value).collect()
    }

    /// A list of names; each must be one of the closed list `T`.
    pub(crate) fn names<T: NamedValue>(&mut self, key: &str) -> Vec<T> {
        self.list(key).into_iter().filter_map(|name| self.value_named(key, &name)).collect()
    }

    /// A list of ids; one that is not valid is a fault.
    pub(crate) fn ids<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, key: &str) -> Vec<T> {
        let mut ids = Vec::new();
        for text in self.list(key) {
            match text.value.parse() {
                Ok(id) => ids.push(id),
                Err(error) => self.fault(text.line, format!("`{key}`: {error}")),
            }
        }
        ids
    }

    /// A name of the closed list `T`, if the key is present.
    pub(crate) fn name<T: NamedValue>(&mut self, key: &str) -> Option<T> {
        let name = self.text(key)?;
        self.value_named(key, &name)
    }

    /// A name of the closed list `T` that must be present.
    pub(crate) fn required_name<T: NamedValue>(&mut self, key: &str) -> Option<T> {
        if !self.table.contains_key(key) {
            self.fault(self.line, format!("missing key `{key}`; expected {}", spellings::<T>()));
        }
        self.name(key)
    }

    /// The value of a name that was already read; an unknown name is a fault.
    pub(crate) fn value_named<T: NamedValue>(&self, key: &str, name: &Placed<String>) -> Option<T> {
        let value = T::with_name(&name.value);
        if value.is_none() {
            let near = did_you_mean(&name.value, T::VALUES.iter().map(|value| value.spelling()));
            let reason = format!("`{key}`: unknown value {:?}, expected {}{near}", name.value, spellings::<T>());
            self.fault(name.line, reason);
        }
        value
    }

    /// A boolean.
    pub(crate) fn flag(&mut self, key: &str) -> Option<bool> {
        let (value, line) = self.get(key)?;
        if value.as_bool().is_none() {
            self.wrong(key, line, "true or false", value);
        }
        value.as_bool()
    }

    /// An integer from 0.
    pub(crate) fn number(&mut self, key: &str) -> Option<u64> {
        let (value, line) = self.get(key)?;
        // TOML also has hexadecimal, octal and binary integers.
        let number = value.as_integer().and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        if number.is_none() {
            self.wrong(key, line, "an integer from 0", value);
        }
        number
    }

    /// A list of integers from 0, with their lines; empty if the key is missing.
    pub(crate) fn numbers(&mut self, key: &str) -> Vec<Placed<u64>> {
        let Some((value, line)) = self.get(key) else { return Vec::new() };
        let Some(array) = value.as_array() else {
            self.wrong(key, line, "a list of integers from 0", value);
            return Vec::new();
        };
        let mut numbers = Vec::new();
        for item in array.iter() {
            let line = self.reader.line(item.span().start);
            let number = item.get_ref().as_integer();
            match number.and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok()) {
                Some(value) => numbers.push(Placed { value, line }),
                None => self.wrong(key, line, "a list of integers from 0", item.get_ref()),
            }
        }
        numbers
    }

    /// A date: year, month and day as one number, 20261123.
    pub(crate) fn date(&mut self, key: &str) -> Option<u64> {
        let (value, line) = self.get(key)?;
        let date = value.as_datetime().and_then(|instant| instant.date);
        if date.is_none() {
            self.wrong(key, line, "a date such as 2026-11-23", value);
        }
        date.map(|date| u64::from(date.year) * 10_000 + u64::from(date.month) * 100 + u64::from(date.day))
    }

    /// A date that must be present.
    pub(crate) fn required_date(&mut self, key: &str) -> Option<Date> {
        if !self.table.contains_key(key) {
            self.fault(self.line, format!("missing key `{key}`; expected a date such as 2026-11-23"));
        }
        let number = i32::try_from(self.date(key)?).ok()?;
        let part = |number: i32| i8::try_from(number % 100).ok();
        // The parser has checked that the day exists.
        Date::new(i16::try_from(number / 10_000).ok()?, part(number / 100)?, part(number)?).ok()
    }

    /// A date and time with its offset, or a string.
    pub(crate) fn text_or_instant(&mut self, key: &str) -> Option<Result<Timestamp, Placed<String>>> {
        let (value, _) = self.get(key)?;
        if value.as_str().is_some() { self.text(key).map(Err) } else { self.instant(key).map(Ok) }
    }

    /// An integer.
    pub(crate) fn integer(&mut self, key: &str) -> Option<i64> {
        let (value, line) = self.get(key)?;
        let number = value.as_integer().and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
        if number.is_none() {
            self.wrong(key, line, "an integer", value);
        }
        number
    }

    /// A date and time with its offset from UTC.
    pub(crate) fn instant(&mut self, key: &str) -> Option<Timestamp> {
        let (value, line) = self.get(key)?;
        // Without an offset the text would mean another instant in every time zone.
        let text = value.as_datetime().filter(|instant| instant.offset.is_some()).map(ToString::to_string);
        let instant = text.and_then(|text| Timestamp::parse_rfc3339(&text).ok());
        if instant.is_none() {
            self.wrong(key, line, "a date and time with its offset, such as 2024-09-29T00:00:00-04:00", value);
        }
        instant
    }

    /// A date and time that must be present.
    pub(crate) fn required_instant(&mut self, key: &str) -> Option<Timestamp> {
        if !self.table.contains_key(key) {
            self.fault(self.line, format!("missing key `{key}`"));
        }
        self.instant(key)
    }

    /// A table, if the key is present. Keys that `read` does not ask for are faults.
    pub(crate) fn table<T>(&mut self, key: &str, read: impl FnOnce(&mut Entries<'_, '_>) -> T) -> Option<T> {
        let (value, line) = self.get(key)?;
        let Some(table) = value.as_table() else {
            self.wrong(key, line, "a table", value);
            return None;
        };
        let mut entries = Entries { reader: self.reader, table, line, asked: BTreeSet::new() };
        let result = read(&mut entries);
        entries.finish();
        Some(result)
    }

    /// A list of tables; empty if the key is missing.
    pub(crate) fn tables<T>(&mut self, key: &str, mut read: impl FnMut(&mut Entries<'_, '_>) -> T) -> Vec<T> {
        let Some((value, line)) = self.get(key) else { return Vec::new() };
        let Some(array) = value.as_array() else {
            self.wrong(key, line, "a list of tables", value);
            return Vec::new();
        };
        let mut results = Vec::new();
        for item in array.iter() {
            let line = self.reader.line(item.span().start);
            let Some(table) = item.get_ref().as_table() else {
                self.wrong(key, line, "a list of tables", item.get_ref());
                continue;
            };
            let mut entries = Entries { reader: self.reader, table, line, asked: BTreeSet::new() };
            results.push(read(&mut entries));
            entries.finish();
        }
        results
    }

    /// The keys of a table whose keys are data.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.table.iter().map(|(key, _)| key.get_ref().to_string()).collect()
    }

    fn finish(&self) {
        for (key, _) in self.table.iter() {
            if !self.asked.contains(key.get_ref().as_ref()) {
                let line = self.reader.line(key.span().start);
                let key = key.get_ref();
                let near = did_you_mean(key, self.asked.iter().map(String::as_str));
                self.fault(line, format!("unknown key `{key}`{near}"));
            }
        }
    }
}

/// `one of minute, day, month`
fn spellings<T: NamedValue>() -> String {
    let names: Vec<&str> = T::VALUES.iter().map(|value| value.spelling()).collect();
    format!("one of {}", names.join(", "))
}
