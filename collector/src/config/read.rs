//! From merged layers to typed values: every leaf is read once, and what nobody read is a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use config::{Value, ValueKind};

use super::{format_span, parse_span};
use crate::suggest::nearest;

/// One thing that is wrong in the settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigFault {
    /// File, `the environment` or `the flags`.
    pub place: String,
    /// The key, or empty when a whole file is broken.
    pub key: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.place, self.reason)
        } else {
            write!(f, "{}: {}: {}", self.place, self.key, self.reason)
        }
    }
}

/// Everything that is wrong in the settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigFaults(pub Vec<ConfigFault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings have {} fault(s)", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for ConfigFaults {}

pub(super) struct Reader {
    leaves: BTreeMap<String, (ValueKind, String)>,
    read: BTreeSet<String>,
    faults: Vec<ConfigFault>,
}

impl Reader {
    pub(super) fn new(merged: Vec<(String, Value)>, faults: Vec<ConfigFault>) -> Self {
        let mut leaves = BTreeMap::new();
        for (key, value) in merged {
            flatten(key, value, &mut leaves);
        }
        Self { leaves, read: BTreeSet::new(), faults }
    }

    /// All faults, with those keys that nobody read.
    pub(super) fn finish(mut self) -> ConfigFaults {
        for (key, (_, place)) in &self.leaves {
            if !self.read.contains(key) {
                let reason = match nearest(key, self.read.iter().map(String::as_str)) {
                    Some(near) => format!("there is no such key; did you mean {near}?"),
                    None => "there is no such key".to_owned(),
                };
                self.faults.push(ConfigFault { place: place.clone(), key: key.clone(), reason });
            }
        }
        self.faults.sort();
        self.faults.dedup();
        ConfigFaults(self.faults)
    }

    pub(super) fn fault(&mut self, key: &str, reason: &str) {
        let place = self.leaves.get(key).map_or_else(|| "the defaults".to_owned(), |(_, place)| place.clone());
        self.faults.push(ConfigFault { place, key: key.to_owned(), reason: reason.to_owned() });
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let kind = self.take(key)?;
        if let ValueKind::String(text) = kind { Some(text) } else { self.wrong(key, "a text", &kind) }
    }

    /// `Some(None)` when it is empty.
    pub(super) fn path(&mut self, key: &'static str) -> Option<Option<PathBuf>> {
        self.text(key).map(|text| (!text.is_empty()).then(|| PathBuf::from(text)))
    }

    pub(super) fn address(&mut self, key: &'static str) -> Option<SocketAddr> {
        let text = self.text(key)?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                self.fault(key, &format!("{text:?} is not an address with a port, as in 127.0.0.1:7443 or [::]:7443"));
                None
            }
        }
    }

    pub(super) fn span(&mut self, key: &'static str, least: Duration, most: Duration) -> Option<Duration> {
        let text = self.text(key)?;
        match parse_span(&text) {
            Ok(span) if span >= least && span <= most => Some(span),
            Ok(_) => {
                self.fault(key, &format!("{text:?} is not within {} and {}", format_span(least), format_span(most)));
                None
            }
            Err(error) => {
                self.fault(key, &error.to_string());
                None
            }
        }
    }

    pub(super) fn count(&mut self, key: &'static str, least: usize, most: usize) -> Option<usize> {
        let kind = self.take(key)?;
        let count = if let ValueKind::I64(number) = kind {
            usize::try_from(number).ok()
        } else if let ValueKind::String(text) = &kind {
            text.parse().ok()
        } else {
            None
        };
        match count {
            Some(count) if count >= least && count <= most => Some(count),
            Some(count) => {
                self.fault(key, &format!("{count} is not within {least} and {most}"));
                None
            }
            None => self.wrong(key, "a whole number", &kind),
        }
    }

    /// A list of texts; from a variable or a flag, one text with commas.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<String>> {
        let kind = self.take(key)?;
        if let ValueKind::String(text) = &kind {
            return Some(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect());
        }
        let ValueKind::Array(items) = &kind else { return self.wrong(key, "a list of texts", &kind) };
        let mut texts = Vec::new();
        for item in items {
            let ValueKind::String(text) = &item.kind else { return self.wrong(key, "a list of texts", &item.kind) };
            texts.push(text.clone());
        }
        Some(texts)
    }

    fn take(&mut self, key: &'static str) -> Option<ValueKind> {
        self.read.insert(key.to_owned());
        let found = self.leaves.get(key).map(|(kind, _)| kind.clone());
        if found.is_none() {
            self.fault(key, "it has no value");
        }
        found
    }

    fn wrong<T>(&mut self, key: &str, wanted: &str, found: &ValueKind) -> Option<T> {
        self.fault(key, &format!("{wanted} is needed, and {found} stands there"));
        None
    }
}

fn flatten(key: String, value: Value, leaves: &mut BTreeMap<String, (ValueKind, String)>) {
    let place = value.origin().map_or_else(|| "the flags".to_owned(), str::to_owned);
    if let ValueKind::Table(table) = value.kind {
        // An empty table stays a leaf under its own name when it is not one of ours: it would go unseen.
        for (inner, value) in table {
            flatten(format!("{key}.{inner}"), value, leaves);
        }
    } else {
        leaves.insert(key, (value.kind, place));
    }
}
