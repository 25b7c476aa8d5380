//! `registry`: which keys of the watchlist exist, for the machine and for every user. Values are not read.

use std::collections::BTreeSet;

use muster_proto::model::{Kind, Observation, ReportedState, SourceName};

use super::machine;
use super::reader::{Reader, shown_key};
use crate::sources::registry::is_same_name;
use crate::sources::watchlist::{has_wildcard, matches_in_any_case};
use crate::sources::{HomeItem, ScanContext, Source, SourceReading};

/// Limit of keys that one pattern may match. A vendor has some ten products.
const MATCHES: usize = 256;

pub(super) struct RegistryKeys;

impl Source for RegistryKeys {
    fn name(&self) -> SourceName {
        SourceName::Registry
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        if context.watchlist.registry_keys.is_empty() {
            return SourceReading::failed("the watchlist has no registry keys");
        }
        machine::read(context, |reader| registry_keys(reader, &context.watchlist.registry_keys))
    }

    fn uses_watchlist(&self) -> bool {
        true
    }
}

pub(super) fn registry_keys(mut reader: Reader<'_>, patterns: &[String]) -> SourceReading {
    for key in [r"HKLM\SOFTWARE", r"HKLM\SYSTEM"] {
        match reader.keys(key) {
            Some(_) => reader.builder.places_found += 1,
            None => reader.builder.problem(format!("{key} is missing, but every Windows has it")),
        }
    }
    let users = reader.users();
    let mut found = BTreeSet::new();
    for pattern in patterns {
        let names: Vec<&str> = pattern.split(['/', '\\']).filter(|name| !name.is_empty()).collect();
        let Some((top, below)) = names.split_first() else { continue };
        match top.to_ascii_uppercase().as_str() {
            "HKLM" => found.extend(machine_keys(&mut reader, below)),
            "HKCR" => found.extend(machine_keys(&mut reader, &[&["SOFTWARE", "Classes"], below].concat())),
            "HKCU" => {
                for user in &users {
                    let own = existing(&mut reader, &user.key, below);
                    reader.builder.home_items.extend(own.iter().map(|key| HomeItem {
                        home: user.profile.clone(),
                        place: format!("registry:{}", shown_key(key)),
                        watched: true,
                    }));
                    found.extend(own);
                }
            }
            // The watchlist was checked when it came, so this is a pattern of a later version.
            _ => reader.builder.problem(format!("the watchlist names an unknown part of the registry: {pattern}")),
        }
    }
    found.iter().for_each(|key| add(&mut reader, key));
    reader.finish("this machine has no registry")
}

/// The keys of the machine. Programs of 32 bits have their own view of `SOFTWARE`, and a pattern means both.
fn machine_keys(reader: &mut Reader<'_>, below: &[&str]) -> Vec<String> {
    let mut found = existing(reader, "HKLM", below);
    if let Some((first, rest)) = below.split_first()
        && first.eq_ignore_ascii_case("SOFTWARE")
        && rest.first().is_some_and(|name| !name.eq_ignore_ascii_case("WOW6432Node"))
    {
        found.extend(existing(reader, r"HKLM\SOFTWARE\WOW6432Node", rest));
    }
    found
}

/// The keys that match the names below a key.
fn existing(reader: &mut Reader<'_>, top: &str, names: &[&str]) -> Vec<String> {
    let mut found = vec![top.to_owned()];
    for (at, name) in names.iter().enumerate() {
        let is_last = at + 1 == names.len();
        let mut next = Vec::new();
        for key in &found {
            if next.len() > MATCHES {
                break;
            }
            if has_wildcard(name) {
                let below = reader.keys(key).unwrap_or_default();
                next.extend(below.iter().filter(|it| matches_in_any_case(name, it)).map(|it| format!("{key}\\{it}")));
            } else {
                // Only the end of a path is read: a key that exists implies those above it.
                let path = format!("{key}\\{name}");
                if !is_last || reader.keys(&path).is_some() {
                    next.push(path);
                }
            }
        }
        if next.len() > MATCHES {
            reader.builder.problem(format!("too many keys match {}", names.join("\\")));
            next.truncate(MATCHES);
        }
        found = next;
    }
    found.iter().map(|key| spelled(reader, key)).collect()
}

/// A key that exists, with each name as the registry spells it, because patterns of several products spell one key in
/// several ways.
fn spelled(reader: &mut Reader<'_>, key: &str) -> String {
    let mut names = key.split('\\');
    let mut path = names.next().unwrap_or_default().to_owned();
    for name in names {
        // The hives themselves have no list.
        let stored = if path.contains('\\') { reader.keys(&path).unwrap_or_default() } else { Vec::new() };
        let name = stored.iter().find(|stored| is_same_name(stored, name)).map_or(name, String::as_str);
        let name = if path.contains('\\') { name.to_owned() } else { upper(&path, name) };
        path = format!("{path}\\{name}");
    }
    path
}

/// The name of a hive of the machine. A user's identifier stays as it is.
fn upper(top: &str, name: &str) -> String {
    if top.eq_ignore_ascii_case("HKLM") { name.to_ascii_uppercase() } else { name.to_owned() }
}

fn add(reader: &mut Reader<'_>, key: &str) {
    let shown = shown_key(key);
    let mut row = Observation::new(Kind::Registry, shown.as_str());
    let keys = reader.keys(key).unwrap_or_default();
    if keys.is_empty() && reader.values(key).is_some_and(|values| values.0.is_empty()) {
        row.set_state(ReportedState::NoFiles);
    }
    row.path = shown;
    reader.add(key, row);
}
