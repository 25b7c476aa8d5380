//! Builds the values of a property list from the events of its reader, within the limits.

use std::collections::BTreeMap;

use ::plist::Error;
use ::plist::stream::{Event, OwnedEvent};

use super::{DEPTH, NODES, Plist, PlistFault, TEXT_BYTES};

/// The values so far.
#[derive(Default)]
pub(super) struct Builder {
    /// The collections that are open, outermost first.
    open: Vec<Open>,
    root: Option<Plist>,
    nodes: usize,
    text_bytes: usize,
}

enum Open {
    Array(Vec<Plist>),
    Dictionary(BTreeMap<String, Plist>, Option<String>),
}

impl Builder {
    pub(super) fn build(events: impl Iterator<Item = Result<OwnedEvent, Error>>) -> Result<Plist, PlistFault> {
        let mut builder = Self::default();
        for event in events {
            match event {
                Ok(event) => builder.event(event)?,
                Err(error) if error.is_eof() => return Err(PlistFault::Incomplete),
                Err(_) => return Err(PlistFault::Damaged),
            }
        }
        builder.root.filter(|_| builder.open.is_empty()).ok_or(PlistFault::Incomplete)
    }

    fn event(&mut self, event: OwnedEvent) -> Result<(), PlistFault> {
        self.nodes += 1;
        if self.nodes > NODES {
            return Err(PlistFault::TooLarge);
        }
        let value = match event {
            Event::StartArray(_) => return self.open(Open::Array(Vec::new())),
            Event::StartDictionary(_) => return self.open(Open::Dictionary(BTreeMap::new(), None)),
            Event::EndCollection => match self.open.pop() {
                Some(Open::Array(values)) => Plist::Array(values),
                Some(Open::Dictionary(values, None)) => Plist::Dictionary(values),
                Some(Open::Dictionary(_, Some(_))) | None => return Err(PlistFault::Damaged),
            },
            Event::String(text) => {
                self.text_bytes += text.len();
                if self.text_bytes > TEXT_BYTES {
                    return Err(PlistFault::TooLarge);
                }
                Plist::Text(text.into_owned())
            }
            Event::Boolean(value) => Plist::Boolean(value),
            Event::Integer(number) => {
                let signed = number.as_signed().map(i128::from);
                signed.or_else(|| number.as_unsigned().map(i128::from)).map_or(Plist::Other, Plist::Integer)
            }
            Event::Real(number) => Plist::Text(number.to_string()),
            // And what a later version of the crate may know.
            Event::Data(_) | Event::Date(_) | Event::Uid(_) | _ => Plist::Other,
        };
        self.add(value)
    }

    fn open(&mut self, open: Open) -> Result<(), PlistFault> {
        if self.open.len() >= DEPTH {
            return Err(PlistFault::TooLarge);
        }
        self.open.push(open);
        Ok(())
    }

    fn add(&mut self, value: Plist) -> Result<(), PlistFault> {
        match self.open.last_mut() {
            Some(Open::Array(values)) => values.push(value),
            Some(Open::Dictionary(values, key)) => match key.take() {
                Some(key) => drop(values.insert(key, value)),
                // A key is a text; the old form writes digits as a number.
                None => *key = Some(value.as_text().ok_or(PlistFault::Damaged)?),
            },
            None if self.root.is_none() => self.root = Some(value),
            None => return Err(PlistFault::Damaged),
        }
        Ok(())
    }
}
