//! Property lists of macOS: binary, XML and the old text form. The crate `plist` reads the forms; this module is the only one
//! that calls it, and bounds what a file can ask for: its size, its depth, and how often it repeats one object.
//!
//! A list that was cut, ends early, is followed by more, leads back to itself, or is an archive of objects is a fault: its
//! values would not be all that the file had.

mod binary;
mod builder;

use std::collections::BTreeMap;
use std::io::Cursor;

use ::plist::stream::{AsciiReader, BinaryReader, XmlReader};

use builder::Builder;

/// Limit of a file. The largest ones are lists of installations, with some 500 KiB after ten years.
pub const FILE_BYTES: usize = 1024 * 1024;
/// Limit of values in one list.
const NODES: usize = 65_536;
/// Limit of levels. Real lists have up to ten.
const DEPTH: usize = 48;
/// Limit of the texts of one list together. A binary list can name one text any number of times.
const TEXT_BYTES: usize = 2 * FILE_BYTES;

/// A value in a property list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plist {
    /// A text, or a number with a fraction in the form of a text.
    Text(String),
    /// An integer.
    Integer(i128),
    /// Yes or no.
    Boolean(bool),
    /// Values in order.
    Array(Vec<Plist>),
    /// Values by key; of two with one key the last counts.
    Dictionary(BTreeMap<String, Plist>),
    /// A date, or data of any length.
    Other,
}

/// Why a file cannot be read as a property list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlistFault {
    /// It has none of the forms, or a mistake in its form.
    #[error("it is no property list, or a damaged one")]
    Damaged,
    /// It ends early.
    #[error("the property list is not complete")]
    Incomplete,
    /// An object contains itself.
    #[error("a part of the property list contains itself")]
    Circle,
    /// It is larger, deeper or has more values than any real one.
    #[error("the property list is larger or deeper than any real one")]
    TooLarge,
    /// It uses a part of XML that property lists do not have.
    #[error("the property list uses a form of XML that macOS does not write")]
    Foreign,
    /// It is the archive of the objects of a program.
    #[error("the property list is an archive of objects")]
    Archive,
    /// It has parts that belong to no value, so a reference to them was lost or a text was cut.
    #[error("the property list has parts that belong to no value")]
    Unreferenced,
}

/// Reads a property list of any form. Every part of a binary one must belong to a value: only archives are written otherwise, and a
/// part that belongs to none shows that a reference to it was lost.
///
/// # Errors
/// It is none, damaged, not complete, or beyond the limits.
pub fn parse(bytes: &[u8]) -> Result<Plist, PlistFault> {
    let (plist, is_whole) = read(bytes)?;
    match &plist {
        Plist::Dictionary(values) if values.contains_key("$archiver") => Err(PlistFault::Archive),
        Plist::Dictionary(_) | Plist::Array(_) if !is_whole => Err(PlistFault::Unreferenced),
        Plist::Dictionary(_) | Plist::Array(_) => Ok(plist),
        // A single text is no list of anything, and nearly every text file would be one.
        Plist::Text(_) | Plist::Integer(_) | Plist::Boolean(_) | Plist::Other => Err(PlistFault::Damaged),
    }
}

/// The list, and whether no part of the file is left over.
fn read(bytes: &[u8]) -> Result<(Plist, bool), PlistFault> {
    if bytes.len() > FILE_BYTES {
        return Err(PlistFault::TooLarge);
    }
    if binary::is_binary(bytes) {
        let is_whole = binary::is_whole(bytes)?;
        return Ok((Builder::build(BinaryReader::new(Cursor::new(bytes)))?, is_whole));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    let plist = match bytes.first() {
        Some(b'<') => {
            // The reader leaves out a section of literal text, and entities that the file declares.
            let has = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
            if has(b"<![CDATA[") || has(b"<!ENTITY") {
                return Err(PlistFault::Foreign);
            }
            Builder::build(XmlReader::new(bytes))
        }
        Some(b'{' | b'(' | b'/') => Builder::build(AsciiReader::new(bytes)),
        Some(_) | None => Err(PlistFault::Damaged),
    };
    Ok((plist?, true))
}

impl Plist {
    /// The value with this key; `None` if this is no dictionary or has none.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.dictionary()?.get(key)
    }

    /// The value behind several keys, one within the other.
    #[must_use]
    pub fn at(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |value, key| value.get(key))
    }

    /// The values by key; `None` if this is no dictionary.
    #[must_use]
    pub const fn dictionary(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Dictionary(values) => Some(values),
            Self::Text(_) | Self::Integer(_) | Self::Boolean(_) | Self::Array(_) | Self::Other => None,
        }
    }

    /// The values in order; `None` if this is no array.
    #[must_use]
    pub const fn array(&self) -> Option<&Vec<Self>> {
        match self {
            Self::Array(values) => Some(values),
            Self::Text(_) | Self::Integer(_) | Self::Boolean(_) | Self::Dictionary(_) | Self::Other => None,
        }
    }

    /// The text or the digits of a number.
    #[must_use]
    pub fn as_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Boolean(_) | Self::Array(_) | Self::Dictionary(_) | Self::Other => None,
        }
    }

    /// The text with this key without blanks around it; empty if there is none.
    #[must_use]
    pub fn text(&self, key: &str) -> String {
        let text = self.get(key).and_then(Self::as_text).unwrap_or_default();
        if text.trim().len() == text.len() { text } else { text.trim().to_owned() }
    }

    /// The first of these keys whose value is neither a text nor a number.
    #[must_use]
    pub fn without_text<'k>(&self, keys: &[&'k str]) -> Option<&'k str> {
        keys.iter().copied().find(|key| self.get(key).is_some_and(|value| value.as_text().is_none()))
    }

    /// Whether the value with this key means yes; `None` if there is none. Programs write it as a boolean, number or text.
    #[must_use]
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            Self::Boolean(value) => Some(*value),
            Self::Integer(number) => Some(*number != 0),
            Self::Text(text) => Some(matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "1")),
            Self::Array(_) | Self::Dictionary(_) | Self::Other => None,
        }
    }

    /// The texts of an array with this key.
    #[must_use]
    pub fn texts(&self, key: &str) -> Vec<String> {
        let values = self.get(key).and_then(Self::array);
        values.into_iter().flatten().filter_map(Self::as_text).collect()
    }
}

#[cfg(test)]
#[path = "plist_tests.rs"]
mod tests;
