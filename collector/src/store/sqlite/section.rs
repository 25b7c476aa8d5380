//! Sections: interned once, rebuilt when asked for.

use muster_proto::model::{Digest, Platform, Section, SourceName};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Fault, Step};
use super::intern::{Books, Tables};
use super::row;
use super::writer::Desk;
use crate::store::codec;

/// The number of a section.
pub(super) fn number(sql: &Connection, digest: &Digest) -> Step<Option<i64>> {
    let find = "SELECT no FROM section WHERE digest = ?1";
    Ok(sql.prepare_cached(find)?.query_row([digest.as_bytes()], |row| row.get(0)).optional()?)
}

/// Keeps a section; one that is here already stays as it is.
pub(super) fn put(desk: &mut Desk<'_>, digest: &Digest, section: &Section) -> Step<()> {
    if number(desk.sql, digest)?.is_some() {
        return Ok(());
    }
    let body = codec::encode(section, &mut desk.titles.on(desk.sql))?;
    desk.sql
        .prepare_cached(
            "INSERT INTO section (digest, platform, source, observations, body) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            digest.as_bytes(),
            section.platform().code(),
            section.source().code(),
            i64::try_from(section.observations().len()).unwrap_or(i64::MAX),
            body,
        ))?;
    Ok(())
}

/// The section of this digest.
pub(super) fn get(sql: &Connection, memory: Option<&Books>, digest: &Digest) -> Step<Option<Section>> {
    let mut statement = sql.prepare_cached("SELECT platform, source, body FROM section WHERE digest = ?1")?;
    let mut rows = statement.query([digest.as_bytes()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let platform = row::member("a section", Platform::from_code, found, 0)?;
    let source = row::member("a section", SourceName::from_code, found, 1)?;
    let body: Vec<u8> = found.get(2)?;
    let section = codec::decode(platform, source, &body, &mut Tables { sql, memory }).map_err(|fault| match fault {
        Fault::Damaged { what: _, reason } => Fault::damaged(format!("section {}", digest.short()), reason),
        other @ (Fault::Full | Fault::Closed | Fault::Other(_)) => other,
    })?;
    Ok(Some(section))
}

/// How many observations a section has.
pub(super) fn size(sql: &Connection, digest: &Digest) -> Step<Option<u64>> {
    let find = "SELECT observations FROM section WHERE digest = ?1";
    let found: Option<i64> = sql.prepare_cached(find)?.query_row([digest.as_bytes()], |row| row.get(0)).optional()?;
    Ok(found.map(i64::cast_unsigned))
}
