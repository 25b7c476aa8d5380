//! Snapshots: each is stored once, and named by its digest. A complete one names its sections by their numbers.

use muster_proto::canonical;
use muster_proto::model::{Digest, Snapshot};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Step, StoreFault};
use super::section;
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
        other @ (StoreFault::Full | StoreFault::Closed | StoreFault::Other(_)) => other,
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
        return Ok(Some(KnownSnapshot { no, missing: Vec::new() }));
    }
    let snapshot = read(sql, digest, &found.get::<_, Vec<u8>>(2)?, false)?;
    let numbers = numbers(sql, &snapshot, &[])?;
    if let Ok(numbers) = &numbers {
        sql.prepare_cached("UPDATE snapshot SET complete = 1, entries = ?2 WHERE no = ?1")?
            .execute((no, snapshot_codec::encode(&snapshot, numbers)))?;
        put_sections(sql, no, numbers)?;
    }
    Ok(Some(KnownSnapshot { no, missing: numbers.err().unwrap_or_default() }))
}

/// Stores a new snapshot. `here` are sections that came with it.
pub(super) fn put(
    sql: &Connection,
    digest: &Digest,
    snapshot: &Snapshot,
    here: &[(Digest, i64)],
) -> Step<KnownSnapshot<i64>> {
    let numbers = numbers(sql, snapshot, here)?;
    let entries = match &numbers {
        Ok(numbers) => snapshot_codec::encode(snapshot, numbers),
        Err(_) => canonical::snapshot_bytes(snapshot),
    };
    sql.prepare_cached("INSERT INTO snapshot (digest, entries, complete) VALUES (?1, ?2, ?3)")?.execute((
        digest.as_bytes(),
        entries,
        numbers.is_ok(),
    ))?;
    let no = sql.last_insert_rowid();
    if let Ok(numbers) = &numbers {
        put_sections(sql, no, numbers)?;
    }
    Ok(KnownSnapshot { no, missing: numbers.err().unwrap_or_default() })
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

/// The numbers of a snapshot's sections in its order; or the sections that are missing, each once.
fn numbers(sql: &Connection, snapshot: &Snapshot, here: &[(Digest, i64)]) -> Step<Result<Vec<i64>, Vec<Digest>>> {
    let (mut numbers, mut missing) = (Vec::new(), Vec::new());
    for digest in snapshot.entries().iter().filter_map(|entry| entry.section) {
        let known = here.iter().find(|(one, _)| *one == digest).map(|(_, number)| *number);
        match known.map_or_else(|| section::number(sql, &digest), |known| Ok(Some(known)))? {
            Some(number) => numbers.push(number),
            None if !missing.contains(&digest) => missing.push(digest),
            None => {}
        }
    }
    Ok(if missing.is_empty() { Ok(numbers) } else { Err(missing) })
}
