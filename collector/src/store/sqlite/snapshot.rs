//! Snapshots: each is stored once, and named by its digest. A complete one names its sections by their numbers.

use std::collections::BTreeMap;

use muster_proto::canonical;
use muster_proto::model::{Digest, Snapshot};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Step, StoreFault};
use super::memory::Memory;
use super::section;
use crate::store::contradiction::{Contradiction, SectionRow, foreign_section};
use crate::store::decide::report::KnownSnapshot;
use crate::store::snapshot_codec;

pub(super) fn get(sql: &Connection, digest: &Digest) -> Step<Option<Snapshot>> {
    let find = "SELECT entries, complete FROM snapshot WHERE digest = ?1";
    let found: Option<(Vec<u8>, bool)> =
        sql.prepare_cached(find)?.query_row([digest.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.map(|(bytes, complete)| read(sql, digest, &bytes, complete)).transpose()
}

/// Reads stored bytes: the canonical form, or once the snapshot is complete the form that names sections by number.
pub(super) fn read(sql: &Connection, digest: &Digest, bytes: &[u8], complete: bool) -> Step<Snapshot> {
    let damaged = |reason: String| StoreFault::damaged(format!("snapshot {}", digest.short()), reason);
    if !complete {
        return canonical::read_snapshot(bytes).map_err(|error| damaged(error.to_string()));
    }
    snapshot_codec::decode(bytes, |number| section::digest(sql, number)).map_err(|fault| match fault {
        StoreFault::Damaged { what, reason } => damaged(format!("{what}: {reason}")),
        other @ (StoreFault::Full
        | StoreFault::EditionsFull
        | StoreFault::Stopped(_)
        | StoreFault::Closed
        | StoreFault::Other(_)) => other,
    })
}

/// The snapshot with this digest, if it is stored. It is marked complete when its last section has come meanwhile,
/// perhaps with a delivery for another host.
pub(super) fn known(sql: &Connection, digest: &Digest) -> Step<Option<KnownSnapshot<i64>>> {
    let mut statement = sql.prepare_cached("SELECT no, complete, entries FROM snapshot WHERE digest = ?1")?;
    let mut rows = statement.query([digest.as_bytes()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let no = found.get(0)?;
    if found.get(1)? {
        let entries =
            found.get_ref(2)?.as_blob().map_err(|error| StoreFault::damaged("a snapshot", error.to_string()))?;
        let platform = snapshot_codec::platform(entries)?;
        return Ok(Some(KnownSnapshot { no, platform, missing: Vec::new(), foreign: None }));
    }
    let snapshot = read(sql, digest, &found.get::<_, Vec<u8>>(2)?, false)?;
    let sections = Sections::of(sql, &snapshot, &[])?;
    if let Some(numbers) = &sections.numbers() {
        sql.prepare_cached("UPDATE snapshot SET complete = 1, entries = ?2 WHERE no = ?1")?
            .execute((no, snapshot_codec::encode(&snapshot, numbers)))?;
        put_sections(sql, no, numbers)?;
    }
    Ok(Some(sections.known(no, &snapshot)))
}

/// Stores a new snapshot. `here` are sections that came with it.
pub(super) fn put(
    sql: &Connection,
    memory: &Memory,
    digest: &Digest,
    snapshot: &Snapshot,
    here: &[(Digest, SectionRow)],
) -> Step<KnownSnapshot<i64>> {
    let sections = Sections::of(sql, snapshot, here)?;
    let numbers = sections.numbers();
    let entries = match &numbers {
        Some(numbers) => snapshot_codec::encode(snapshot, numbers),
        None => canonical::snapshot_bytes(snapshot),
    };
    let no = memory.snapshots().take();
    sql.prepare_cached("INSERT INTO snapshot (no, digest, entries, complete) VALUES (?1, ?2, ?3, ?4)")?.execute((
        no,
        digest.as_bytes(),
        entries,
        numbers.is_some(),
    ))?;
    if let Some(numbers) = &numbers {
        put_sections(sql, no, numbers)?;
    }
    Ok(sections.known(no, snapshot))
}

/// Writes which sections a complete snapshot has. Two sources with the same observations share one.
fn put_sections(sql: &Connection, snapshot: i64, sections: &[i64]) -> Step<()> {
    let mut statement =
        sql.prepare_cached("INSERT INTO snapshot_section (section, snapshot) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
    for section in sections {
        statement.execute((section, snapshot))?;
    }
    Ok(())
}

/// The sections of a snapshot, as far as they are stored.
struct Sections {
    /// In the order of the snapshot.
    rows: Vec<SectionRow>,
    /// Each once.
    missing: Vec<Digest>,
    foreign: Option<Contradiction>,
}

impl Sections {
    fn of(sql: &Connection, snapshot: &Snapshot, here: &[(Digest, SectionRow)]) -> Step<Self> {
        let (mut rows, mut missing, mut stored) = (Vec::new(), Vec::new(), BTreeMap::new());
        for digest in snapshot.entries().iter().filter_map(|entry| entry.section) {
            let known = here.iter().find(|(one, _)| *one == digest).map(|(_, row)| *row);
            match known.map_or_else(|| section::find(sql, &digest), |known| Ok(Some(known)))? {
                Some(row) => {
                    rows.push(row);
                    stored.insert(digest, row);
                }
                None if !missing.contains(&digest) => missing.push(digest),
                None => {}
            }
        }
        let foreign = foreign_section(snapshot, |digest| stored.get(digest).copied());
        Ok(Self { rows, missing, foreign })
    }

    /// The row numbers, if the snapshot is complete. One that names a section wrongly never is.
    fn numbers(&self) -> Option<Vec<i64>> {
        let is_complete = self.missing.is_empty() && self.foreign.is_none();
        is_complete.then(|| self.rows.iter().map(|row| row.no).collect())
    }

    fn known(self, no: i64, snapshot: &Snapshot) -> KnownSnapshot<i64> {
        KnownSnapshot { no, platform: snapshot.platform(), missing: self.missing, foreign: self.foreign }
    }
}
