//! Sections: stored in their interned form, rebuilt when they are read.

use std::borrow::Cow;

use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{Digest, Platform, SourceName};
use rusqlite::{Connection, OptionalExtension as _};

use super::dictionary::Dictionaries;
use super::fault::{Step, StoreFault};
use super::memory::Memory;
use super::row;
use crate::store::body::{self, Lookup};
use crate::store::contradiction::SectionRow;
use crate::store::{Allowance, HeldBack};

/// A section in its interned form. It is encoded before the writer is involved, which then only inserts it.
#[derive(Clone)]
pub(super) struct Packed {
    pub(super) digest: Digest,
    platform: Platform,
    source: SourceName,
    observations: i64,
    body: Vec<u8>,
    /// Of the dictionary, when the numbers of its editions were found.
    epoch: u64,
}

impl Packed {
    /// Encodes a section. Its new editions are added to the dictionary, or it is held back.
    pub(super) fn new(
        section: &CanonicalSection,
        dictionaries: &Dictionaries,
        allowance: &Allowance,
    ) -> Result<Self, HeldBack> {
        let observations = section.observations();
        let (editions, epoch) = dictionaries.editions(section.platform(), &observations, allowance)?;
        Ok(Self {
            epoch,
            digest: section.digest(),
            platform: section.platform(),
            source: section.source(),
            observations: i64::try_from(section.len()).unwrap_or(i64::MAX),
            body: body::encode(&observations, &editions),
        })
    }

    /// The section as it can be stored now: encoded again if editions were removed since. Must be called by the writer, which
    /// removes editions.
    pub(super) fn current(&self, section: &CanonicalSection, dictionaries: &Dictionaries) -> Step<Cow<'_, Self>> {
        if self.epoch == dictionaries.epoch() {
            return Ok(Cow::Borrowed(self));
        }
        // The delivery has paid for what is new in it.
        let again = Self::new(section, dictionaries, &Allowance::unlimited());
        again.map(Cow::Owned).map_err(|_| StoreFault::EditionsFull)
    }
}

/// The row of a section, without its content.
pub(super) fn find(sql: &Connection, digest: &Digest) -> Step<Option<SectionRow>> {
    let mut statement = sql.prepare_cached("SELECT no, platform, source FROM section WHERE digest = ?1")?;
    let mut rows = statement.query([digest.as_bytes()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    Ok(Some(SectionRow {
        no: found.get(0)?,
        platform: row::member("a section", Platform::from_code, found, 1)?,
        source: row::member("a section", SourceName::from_code, found, 2)?,
    }))
}

/// The row number of a section.
pub(super) fn number(sql: &Connection, digest: &Digest) -> Step<Option<i64>> {
    let find = "SELECT no FROM section WHERE digest = ?1";
    Ok(sql.prepare_cached(find)?.query_row([digest.as_bytes()], |row| row.get(0)).optional()?)
}

/// The digest of a section.
pub(super) fn digest(sql: &Connection, number: i64) -> Step<Digest> {
    let find = "SELECT digest FROM section WHERE no = ?1";
    let found: Option<[u8; 32]> = sql.prepare_cached(find)?.query_row([number], |row| row.get(0)).optional()?;
    found
        .map(Digest::from_bytes)
        .ok_or_else(|| StoreFault::damaged(format!("section number {number}"), "it is not there"))
}

/// Stores a section unless it is stored already; returns its row.
pub(super) fn put(sql: &Connection, memory: &Memory, section: &Packed) -> Step<SectionRow> {
    let Packed { digest, platform, source, observations, body, epoch: _ } = section;
    let made = sql
        .prepare_cached(
            "INSERT INTO section (no, digest, platform, source, observations, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (digest) DO NOTHING",
        )?
        .execute((memory.sections().next(), digest.as_bytes(), platform.code(), source.code(), observations, body))?;
    let no = if made == 1 {
        memory.sections().take()
    } else {
        number(sql, digest)?.ok_or_else(|| StoreFault::Other(format!("section {} is not there", digest.short())))?
    };
    Ok(SectionRow { no, platform: *platform, source: *source })
}

/// The section with this digest, rebuilt.
pub(super) fn get(sql: &Connection, lookup: &mut impl Lookup, digest: &Digest) -> Step<Option<CanonicalSection>> {
    let mut statement = sql.prepare_cached("SELECT platform, source, body FROM section WHERE digest = ?1")?;
    let mut rows = statement.query([digest.as_bytes()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let platform = row::member("a section", Platform::from_code, found, 0)?;
    let source = row::member("a section", SourceName::from_code, found, 1)?;
    let bytes = found.get_ref(2)?.as_blob().map_err(|error| StoreFault::damaged("a section", error.to_string()))?;
    let section = body::decode(platform, source, bytes, lookup).map_err(|fault| match fault {
        StoreFault::Damaged { what: _, reason } => StoreFault::damaged(format!("section {}", digest.short()), reason),
        other @ (StoreFault::Full
        | StoreFault::EditionsFull
        | StoreFault::Stopped(_)
        | StoreFault::Closed
        | StoreFault::Other(_)) => other,
    })?;
    Ok(Some(section))
}

/// The number of observations of a section.
pub(super) fn size(sql: &Connection, digest: &Digest) -> Step<Option<u64>> {
    let find = "SELECT observations FROM section WHERE digest = ?1";
    let found: Option<i64> = sql.prepare_cached(find)?.query_row([digest.as_bytes()], |row| row.get(0)).optional()?;
    Ok(found.map(i64::cast_unsigned))
}
