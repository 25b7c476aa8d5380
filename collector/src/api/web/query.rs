//! The question in an address: the part after `?`. It holds the whole state of a page, so a link shows a colleague the same.

use std::fmt::Write as _;
use std::str::FromStr;

use super::format::clean;
use super::refusal::Refusal;
use crate::filter::Filter;

/// Rows of a page.
const ROWS: std::ops::RangeInclusive<usize> = 50..=500;
const DEFAULT_ROWS: usize = 100;
/// Keys of one question.
const MOST: usize = 400;
/// Bytes of one value of an address, and of a form: a note is refused by its own limit, and the ids of many hosts fit.
const LONGEST: usize = 4096;
const LONGEST_OF_FORM: usize = 32 * 1024;
/// Characters of a name, or of a part of one. None is longer: see `limits::HOSTNAME_BYTES`.
const NAME: usize = 253;

/// The pairs of a question, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the pairs. Those without a value are left out, as an empty field of a form asks for nothing.
    ///
    /// # Errors
    /// There is a key that the page does not know, a control character, or too much.
    pub(super) fn read(raw: Option<&str>, known: &[&str]) -> Result<Self, Refusal> {
        Self::pairs(raw.unwrap_or_default(), known, ("page", LONGEST), char::is_control)
    }

    /// Reads what a form sends, like the question of an address. A text of several lines has new lines.
    ///
    /// # Errors
    /// As `read`.
    pub(super) fn of_form(sent: &str, known: &[&str]) -> Result<Self, Refusal> {
        let mut form = Self::pairs(sent, known, ("form", LONGEST_OF_FORM), |c| {
            c.is_control() && !['\n', '\r', '\t'].contains(&c)
        })?;
        for (_, value) in &mut form.0 {
            // HTML sends every new line as CR and LF.
            *value = value.replace("\r\n", "\n");
        }
        Ok(form)
    }

    fn pairs(
        raw: &str,
        known: &[&str],
        (of, longest): (&str, usize),
        is_refused: fn(char) -> bool,
    ) -> Result<Self, Refusal> {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let pairs: Vec<_> = pairs.map(|(key, value)| (decode(key), decode(value))).collect();
        if let Some((key, _)) = pairs.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Refusal::asked(format!("This {of} does not know \"{}\". It knows: {known}.", clean(key, 64))));
        }
        if pairs.len() > MOST || pairs.iter().any(|(_, value)| value.len() > longest) {
            return Err(Refusal::asked(format!("Too much was sent to this {of}.")));
        }
        // No name has them, and PostgreSQL cannot compare with all of them.
        if let Some((key, _)) = pairs.iter().find(|(_, value)| value.contains(is_refused)) {
            return Err(Refusal::asked(format!("\"{key}\" has a control character.")));
        }
        Ok(Self(pairs.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect()))
    }

    /// The value of a key; empty if there is none.
    pub(super) fn get(&self, key: &str) -> &str {
        self.all(key).last().map_or("", str::trim)
    }

    /// The values of a key that may be there several times.
    pub(super) fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Whether a key has a value.
    pub(super) fn has(&self, key: &str) -> bool {
        !self.get(key).is_empty()
    }

    /// Whether a flag is set.
    ///
    /// # Errors
    /// Its value is neither yes nor no.
    pub(super) fn flag(&self, key: &str) -> Result<bool, Refusal> {
        match self.get(key) {
            "1" | "true" | "yes" | "on" => Ok(true),
            "" | "0" | "false" | "no" | "off" => Ok(false),
            other => Err(Refusal::asked(format!("\"{}\" is no {key}: it is 1 or 0.", clean(other, 64)))),
        }
    }

    /// A name, or a part of one.
    ///
    /// # Errors
    /// It is longer than any name.
    pub(super) fn name(&self, key: &str) -> Result<String, Refusal> {
        let name = self.get(key);
        if name.chars().count() > NAME {
            return Err(Refusal::asked(format!("\"{key}\" has more than {NAME} characters, as no name has.")));
        }
        Ok(name.to_owned())
    }

    /// The value of a key, read.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn one<T: FromStr<Err: std::fmt::Display>>(&self, key: &str) -> Result<Option<T>, Refusal> {
        let value = self.get(key);
        if value.is_empty() { Ok(None) } else { read(key, value).map(Some) }
    }

    /// All values of a key, also with commas between them, read.
    ///
    /// # Errors
    /// One cannot be read.
    pub(super) fn list<T: FromStr<Err: std::fmt::Display>>(&self, key: &str) -> Result<Vec<T>, Refusal> {
        let values = self.all(key).flat_map(|value| value.split([',', ' '])).filter(|value| !value.is_empty());
        values.map(|value| read(key, value)).collect()
    }

    /// The filter of a list; an empty text is every host.
    ///
    /// # Errors
    /// The first mistake in it, with its column, as a sentence.
    pub(super) fn filter(&self) -> Result<Filter, String> {
        Filter::parse(self.get("where")).map_err(|wrong| format!("The filter is wrong: {wrong}."))
    }

    /// How many rows the page has.
    ///
    /// # Errors
    /// It is no number, or out of bounds.
    pub(super) fn rows(&self) -> Result<usize, Refusal> {
        let rows = self.one("rows")?.unwrap_or(DEFAULT_ROWS);
        if ROWS.contains(&rows) {
            return Ok(rows);
        }
        Err(Refusal::asked(format!("A page has {} to {} rows.", ROWS.start(), ROWS.end())))
    }

    /// The token of the page.
    pub(super) fn page(&self) -> Option<String> {
        Some(self.get("page").to_owned()).filter(|page| !page.is_empty())
    }

    /// The same with another value of a key.
    pub(super) fn with(&self, key: &str, value: &str) -> Self {
        let mut changed = self.without(key);
        changed.0.push((key.to_owned(), value.to_owned()));
        changed
    }

    /// The same with one more value of a key.
    pub(super) fn and(mut self, key: &str, value: &str) -> Self {
        self.0.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The same without a key.
    pub(super) fn without(&self, key: &str) -> Self {
        Self(self.0.iter().filter(|(name, _)| name != key).cloned().collect())
    }

    /// The address of a page with this question.
    pub(super) fn link(&self, path: &str) -> String {
        let mut text = path.to_owned();
        for (at, (key, value)) in self.0.iter().enumerate() {
            text.push(if at == 0 { '?' } else { '&' });
            text.push_str(&encode(key));
            text.push('=');
            text.push_str(&encode(value));
        }
        text
    }
}

fn read<T: FromStr<Err: std::fmt::Display>>(key: &str, value: &str) -> Result<T, Refusal> {
    value.parse().map_err(|wrong: T::Err| Refusal::asked(format!("\"{}\" is no {key}: {wrong}.", clean(value, 64))))
}

/// The text of a part of an address: everything but letters, digits and `-._~` is escaped (RFC 3986).
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Reads `application/x-www-form-urlencoded`: `+` is a space. What is no escape stays as it is, as browsers do it.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = || {
            let digits =
                std::str::from_utf8(after.get(..2)?).ok().filter(|two| two.bytes().all(|c| c.is_ascii_hexdigit()))?;
            u8::from_str_radix(digits, 16).ok()
        };
        rest = match (first, escaped()) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                after.get(2..).unwrap_or_default()
            }
            (b'+', _) => {
                bytes.push(b' ');
                after
            }
            (other, _) => {
                bytes.push(*other);
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use muster_proto::model::Lane;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_is_read_and_wrong_ones_are_refused_with_their_key() {
        let query = Query::read(
            Some("lane=replace&lane=remove,silent&name=web+1%2F&x=&rows=50"),
            &["lane", "name", "x", "rows"],
        );
        let query = query.expect("valid");
        assert_eq!(query.list::<Lane>("lane").expect("lanes"), [Lane::Replace, Lane::Remove, Lane::Silent]);
        assert_eq!((query.get("name"), query.has("x"), query.rows().expect("rows")), ("web 1/", false, 50));
        let text = query.with("name", "a&b=c").without("lane").link("/hosts");
        assert_eq!(text, "/hosts?rows=50&name=a%26b%3Dc");
        let wrong = Query::read(Some("lane=no"), &["lane"]).expect("known").list::<Lane>("lane").expect_err("no lane");
        assert!(wrong.text.contains("\"no\" is no lane"), "{}", wrong.text);
        assert!(Query::read(Some("lnae=x"), &["lane"]).expect_err("unknown").text.contains("\"lnae\""));
        assert!(Query::read(Some("rows=10"), &["rows"]).expect("known").rows().is_err());
        assert!(Query::read(Some(&"a=1&".repeat(401)), &["a"]).is_err());
        let note = Query::of_form("a=x%0D%0Ay%09z", &["a"]).expect("a text of two lines");
        assert_eq!(note.get("a"), "x\ny\tz");
        assert!(Query::of_form("a=%00", &["a"]).is_err() && Query::of_form("b=1", &["a"]).is_err());
        for control in ["a=%00", "a=x%0a", "a=%1b%5b31m", "a=%c2%85"] {
            let refused = Query::read(Some(control), &["a"]).expect_err(control);
            assert!(refused.text.contains("\"a\" has a control character"), "{}", refused.text);
        }
    }

    #[test]
    fn a_flag_is_yes_or_no_and_a_name_is_no_longer_than_names_are() {
        let of = |text: &str| Query::read(Some(text), &["a"]).expect("known");
        assert!(["a=1", "a=true", "a=on"].iter().all(|text| of(text).flag("a").expect("yes")));
        assert!(["", "a=", "a=0", "a=false"].iter().all(|text| !of(text).flag("a").expect("no")));
        assert!(of("a=maybe").flag("a").expect_err("neither").text.contains("\"maybe\" is no a"));
        assert_eq!(of(&format!("a={}", "%C3%A4".repeat(253))).name("a").expect("a name").chars().count(), 253);
        assert!(of(&format!("a={}", "x".repeat(254))).name("a").is_err(), "it is not cut");
    }

    proptest! {
        #[test]
        fn what_is_written_into_an_address_is_read_from_it(text in "\\PC*") {
            prop_assert_eq!(decode(&encode(&text)), text);
        }

        #[test]
        fn any_bytes_can_be_read(text in ".*") {
            let _ = decode(&text);
            let _ = Query::read(Some(&text), &["a"]);
        }
    }
}
