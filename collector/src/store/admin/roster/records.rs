//! Records: what each source says of an entry.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{Identifier, Platform, RosterRow, SiteId, Timestamp};

use super::moves::Described;
use crate::store::admin::identifier_row::identifier;
use crate::store::sql::{AdminTx, Row, Step, StoreFault, Value};

const BY_KEY: &str = "SELECT no, entry, digest, fields, closed_at FROM roster_record WHERE source = $1 AND key = $2";
const OF_ENTRY: &str =
    "SELECT r.no, s.name, r.fields, r.closed_at, r.source FROM roster_record r JOIN roster_source s ON s.no = r.source
     WHERE r.entry = $1 ORDER BY r.no";
const IDENTIFIERS: &str = "SELECT DISTINCT kind, value FROM roster_identifier WHERE entry = $1 ORDER BY kind, value";
const ADD: &str = "INSERT INTO roster_record (no, source, entry, key, digest, fields, closed_at) VALUES ($1, $2, $3, $4, $5, $6, NULL)";
const CHANGE: &str = "UPDATE roster_record SET digest = $2, fields = $3, closed_at = NULL WHERE no = $1";
const CLOSE: &str = "UPDATE roster_record SET closed_at = $2 WHERE no = $1";
const ADD_IDENTIFIER: &str = "INSERT INTO roster_identifier (value, kind, record, entry) VALUES ($1, $2, $3, $4)";
const REMOVE_IDENTIFIER: &str = "DELETE FROM roster_identifier WHERE value = $1 AND kind = $2 AND record = $3";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[BY_KEY, OF_ENTRY, IDENTIFIERS, ADD, CHANGE, CLOSE, ADD_IDENTIFIER, REMOVE_IDENTIFIER];

/// A digest of 128 bits: enough to tell rows of lists apart.
pub(crate) type ShortDigest = [u8; 16];

/// A record that a source has under the key of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) no: i64,
    pub(super) entry: i64,
    pub(super) digest: ShortDigest,
    pub(super) row: RosterRow,
    pub(super) is_closed: bool,
}

/// A record of an entry, with its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceRecord {
    pub(super) no: i64,
    pub(super) source: String,
    pub(super) source_no: i64,
    pub(super) row: RosterRow,
    pub(super) closed: Option<Timestamp>,
}

/// The records of a source with these keys, each at the place of its key.
pub(super) fn by_keys(tx: &mut dyn AdminTx, source: i64, keys: &[ShortDigest]) -> Step<Vec<Option<Record>>> {
    let lists: Vec<Vec<Value<'_>>> = keys.iter().map(|key| vec![source.into(), key.as_slice().into()]).collect();
    let read = |rows: &Vec<Row>| {
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Record {
            no: row.int(0)?,
            entry: row.int(1)?,
            digest: row.bytes(2)?,
            row: fields(row, 3)?,
            is_closed: !row.is_null(4),
        }))
    };
    tx.query_each(BY_KEY, &lists)?.iter().map(read).collect()
}

/// The records of entries, by the number of the entry.
pub(super) fn of_entries(tx: &mut dyn AdminTx, entries: &[i64]) -> Step<BTreeMap<i64, Vec<SourceRecord>>> {
    let lists: Vec<Vec<Value<'_>>> = entries.iter().map(|no| vec![(*no).into()]).collect();
    let read = |row: &Row| {
        Ok(SourceRecord {
            no: row.int(0)?,
            source: row.text(1)?.to_owned(),
            row: fields(row, 2)?,
            closed: row.maybe_time(3)?,
            source_no: row.int(4)?,
        })
    };
    let records = tx.query_each(OF_ENTRY, &lists)?;
    let of_entry = |(no, rows): (&i64, &Vec<Row>)| Ok((*no, rows.iter().map(read).collect::<Step<Vec<_>>>()?));
    entries.iter().zip(&records).map(of_entry).collect()
}

/// The identifiers of entries, by the number of the entry.
pub(super) fn identifiers(tx: &mut dyn AdminTx, entries: &[i64]) -> Step<BTreeMap<i64, BTreeSet<Identifier>>> {
    let lists: Vec<Vec<Value<'_>>> = entries.iter().map(|no| vec![(*no).into()]).collect();
    let found = tx.query_each(IDENTIFIERS, &lists)?;
    let of_entry = |(no, rows): (&i64, &Vec<Row>)| {
        Ok((*no, rows.iter().map(|row| identifier(row, 0)).collect::<Step<BTreeSet<_>>>()?))
    };
    entries.iter().zip(&found).map(of_entry).collect()
}

/// A new record.
pub(super) struct NewRecord<'r> {
    pub(super) no: i64,
    pub(super) source: i64,
    pub(super) entry: i64,
    pub(super) key: ShortDigest,
    pub(super) digest: ShortDigest,
    pub(super) row: &'r RosterRow,
}

/// Adds a record and its identifiers.
pub(super) fn add(tx: &mut dyn AdminTx, new: &NewRecord<'_>) -> Step<()> {
    let fields = text(new.row)?;
    let values: [Value<'_>; 6] = [
        new.no.into(),
        new.source.into(),
        new.entry.into(),
        new.key.as_slice().into(),
        new.digest.as_slice().into(),
        fields.as_str().into(),
    ];
    tx.progress_later(ADD, &values)?;
    put_identifiers(tx, new.no, new.entry, &BTreeSet::new(), &new.row.identifiers())
}

/// Writes what a source now says under a key. A closed record is open again.
pub(super) fn change(tx: &mut dyn AdminTx, record: &Record, digest: ShortDigest, row: &RosterRow) -> Step<()> {
    let fields = text(row)?;
    tx.progress_later(CHANGE, &[record.no.into(), digest.as_slice().into(), fields.as_str().into()])?;
    let before = if record.is_closed { BTreeSet::new() } else { record.row.identifiers() };
    put_identifiers(tx, record.no, record.entry, &before, &row.identifiers())
}

/// Notes that a source no longer has a record. It identifies its entry no longer.
pub(super) fn close(tx: &mut dyn AdminTx, record: &SourceRecord, entry: i64, now: Timestamp) -> Step<()> {
    tx.progress_later(CLOSE, &[record.no.into(), now.into()])?;
    put_identifiers(tx, record.no, entry, &record.row.identifiers(), &BTreeSet::new())
}

fn put_identifiers(
    tx: &mut dyn AdminTx,
    record: i64,
    entry: i64,
    before: &BTreeSet<Identifier>,
    now: &BTreeSet<Identifier>,
) -> Step<()> {
    for one in before.difference(now) {
        let kind = i64::from(one.kind.code());
        tx.progress_later(REMOVE_IDENTIFIER, &[one.value.as_str().into(), kind.into(), record.into()])?;
    }
    for one in now.difference(before) {
        let kind = i64::from(one.kind.code());
        tx.progress_later(ADD_IDENTIFIER, &[one.value.as_str().into(), kind.into(), record.into(), entry.into()])?;
    }
    Ok(())
}

/// What open records say of an entry: the first that says something counts, in the order in which the sources were imported.
pub(super) fn described<'r>(rows: impl Iterator<Item = &'r RosterRow> + Clone) -> Described {
    let name = rows.clone().map(|row| &row.name).find(|name| !name.is_empty()).cloned();
    let name = name.or_else(|| rows.clone().next().map(RosterRow::called)).unwrap_or_default();
    Described {
        name,
        site: rows.clone().find_map(|row| site(&row.site)).map(|site| site.to_string()).unwrap_or_default(),
        platform: rows.clone().find_map(|row| platform(&row.os)).map_or(0, |platform| i64::from(platform.code())),
    }
}

/// The site of a list, in the spelling of site ids; `None` if it says none.
fn site(text: &str) -> Option<SiteId> {
    let spelled: String =
        text.trim().to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    SiteId::new(spelled.trim_matches('-')).ok()
}

/// The platform that a list means by the name of an operating system.
fn platform(os: &str) -> Option<Platform> {
    let os = os.to_lowercase();
    let has = |names: &[&str]| names.iter().any(|name| os.contains(name));
    if has(&["windows"]) {
        Some(Platform::Windows)
    } else if has(&["macos", "mac os", "os x", "darwin"]) {
        Some(Platform::Macos)
    } else if has(&["linux", "ubuntu", "debian", "red hat", "rhel", "centos", "suse", "fedora", "rocky", "alma"]) {
        Some(Platform::Linux)
    } else {
        None
    }
}

fn text(row: &RosterRow) -> Step<String> {
    serde_json::to_string(row).map_err(|error| StoreFault::Other(format!("a row of a list is no JSON: {error}")))
}

fn fields(row: &Row, at: usize) -> Step<RosterRow> {
    serde_json::from_str(row.text(at)?).map_err(|error| StoreFault::damaged("a row of a list", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_described_by_the_first_record_that_says_something() {
        let directory = RosterRow { name: "pc-17".to_owned(), os: "Windows 11 Pro".to_owned(), ..RosterRow::default() };
        let bought =
            RosterRow { serial: "5CG9".to_owned(), site: "Hamburg / Hafen".to_owned(), ..RosterRow::default() };
        let both = described([&bought, &directory].into_iter());
        assert_eq!(both, Described { name: "pc-17".to_owned(), site: "hamburg---hafen".to_owned(), platform: 2 });
        assert_eq!(described([&bought].into_iter()).name, "5CG9");
        assert_eq!(described(std::iter::empty()), Described::default());
    }

    #[test]
    fn names_of_operating_systems_mean_platforms() {
        for (text, expected) in [
            ("Windows Server 2022 Datacenter", Some(Platform::Windows)),
            ("macOS 15.1", Some(Platform::Macos)),
            ("Mac OS X", Some(Platform::Macos)),
            ("Ubuntu 24.04", Some(Platform::Linux)),
            ("iPadOS", None),
            ("", None),
        ] {
            assert_eq!(platform(text), expected, "{text}");
        }
    }
}
