//! Single texts of JSON files. Everything else in them is skipped and takes no memory: as a tree, a short value takes ten times
//! its bytes.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A text, or a whole number if `NUMBERS`; empty for anything else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Text<const NUMBERS: bool>(pub(super) String);

impl<'de, const NUMBERS: bool> Deserialize<'de> for Text<NUMBERS> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_any(Any::<NUMBERS>)
    }
}

struct Any<const NUMBERS: bool>;

impl<'de, const NUMBERS: bool> Visitor<'de> for Any<NUMBERS> {
    type Value = Text<NUMBERS>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Text(if NUMBERS { number.to_string() } else { String::new() }))
    }

    fn visit_i64<E>(self, _number: i64) -> Result<Self::Value, E> {
        Ok(Text::default())
    }

    fn visit_f64<E>(self, _number: f64) -> Result<Self::Value, E> {
        Ok(Text::default())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self::Value, E> {
        Ok(Text::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Text::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }
}

/// The texts of these keys of an object, empty where there is none. Of a repeated key the last value counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts<'a>(pub(super) &'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Texts<'_> {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Vec<String>, D::Error> {
        value.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
        let mut texts = vec![String::new(); self.0.len()];
        while let Some(key) = map.next_key::<String>()? {
            match self.0.iter().position(|wanted| *wanted == key) {
                Some(at) => texts[at] = map.next_value::<Text<false>>()?.0,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(texts)
    }
}

/// The text of a key of the object that a key has; the names of the outer keys are case-insensitive.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextOf<'a> {
    pub(super) outer: &'a str,
    pub(super) inner: &'a str,
}

impl<'de> DeserializeSeed<'de> for TextOf<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Option<String>, D::Error> {
        value.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TextOf<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if found.is_none() && key.eq_ignore_ascii_case(self.outer) {
                let texts = map.next_value_seed(Texts(&[self.inner]))?;
                found = texts.into_iter().next().filter(|text| !text.is_empty());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A list of at most so many elements; a longer one is an error. A short element takes a hundred times its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bounded<T, const MOST: usize>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Bounded<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(list: D) -> Result<Self, D::Error> {
        list.deserialize_seq(Elements(PhantomData))
    }
}

struct Elements<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Elements<T, MOST> {
    type Value = Bounded<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == MOST {
                return Err(A::Error::invalid_length(MOST + 1, &self));
            }
            elements.push(element);
        }
        Ok(Bounded(elements))
    }
}

/// Reads a whole file.
pub(super) fn read<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Option<S::Value> {
    let mut file = serde_json::Deserializer::from_slice(bytes);
    let value = seed.deserialize(&mut file).ok()?;
    file.end().ok().map(|()| value)
}
