//! Copies of the database: every table by COPY in one transaction that reads a single moment, and back again in one
//! transaction.
//!
//! No `pg_dump` is needed: it may be absent, or older than the server. Tables and their columns are read from the
//! database's catalogue, so a new table is in the copy without a change here. The schema is not copied: the migrations
//! make it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::pin::pin;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use muster_proto::terminal::Progress;
use tokio_postgres::Row;

use super::address::Address;
use super::fault::{PostgresFault, Step};
use super::migrate;
use super::session::Session;
use super::tls::Tls;
use crate::store::StoreError;
use crate::store::copy::{CopyCheck, Restoration, create_file, file_error, file_of};

/// The list of tables and sequences.
const INDEX: &str = "tables.json";
const BACKUP: &str = "copy the database";
const RESTORE: &str = "restore the database";
/// The first bytes of a file in the binary format of COPY, and its last ones (PostgreSQL manual, COPY).
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const TRAILER: &[u8] = &[0xff, 0xff];
/// Bytes of a file that are sent at once.
const CHUNK: usize = 256 * 1024;

/// No limit on time: a copy takes as long as the tables are large. And scans of whole tables, which other connections
/// avoid.
const SETTINGS: &str = "
    SET statement_timeout = 0;
    SET idle_in_transaction_session_timeout = 0;
    SET enable_seqscan = on;
";

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Index {
    /// Each after those that it refers to.
    tables: Vec<Table>,
    sequences: Vec<Sequence>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Table {
    name: String,
    /// Quoted, in the order of the file.
    columns: String,
    file: String,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Sequence {
    name: String,
    last: i64,
    is_called: bool,
}

/// Why a copy failed.
enum Failed {
    Database(PostgresFault),
    Other(StoreError),
}

impl From<PostgresFault> for Failed {
    fn from(fault: PostgresFault) -> Self {
        Self::Database(fault)
    }
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Failed {
    fn into_error(self, operation: &'static str, place: &str) -> StoreError {
        match self {
            Self::Database(fault) => fault.into_error(operation, place),
            Self::Other(error) => error,
        }
    }
}

/// A session and the place for messages.
async fn session(url: &str) -> Result<(Session, String), StoreError> {
    let address = Address::read(url)?;
    let place = address.place.clone();
    let tls = Tls::new(&address).map_err(|reason| StoreError::Open { place: place.clone(), reason })?;
    let opened = async {
        let session = Session::open(&address, &tls, None).await?;
        session.batch(SETTINGS).await?;
        Ok(session)
    };
    let session = opened.await.map_err(|fault: PostgresFault| fault.into_error("connect", &place))?;
    Ok((session, place))
}

pub(in crate::store) async fn copy_out(url: &str, folder: &Path, progress: &Progress) -> Result<i64, StoreError> {
    let (session, place) = session(url).await?;
    let schema = migrate::found_version(&session).await.map_err(|fault| fault.into_error(BACKUP, &place))?;
    let Some(schema) = schema.filter(|schema| *schema > 0) else {
        let reason = "it has no tables of Muster: there is nothing to back up".to_owned();
        return Err(StoreError::Open { place, reason });
    };
    let copied = async {
        session.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let tables = tables(&session).await?;
        let total = session.query_first(SIZE, &[]).await?.map_or(Ok(0), |row| row.try_get::<_, i64>(0))?;
        progress.expect(total.unsigned_abs());
        for table in &tables {
            table_out(&session, table, folder, progress).await?;
        }
        // After the tables: a sequence shows its value of now, which must not be behind a number in a table.
        let sequences = sequences(&session).await?;
        session.batch("COMMIT").await?;
        write_index(folder, &Index { tables, sequences }).map_err(Failed::Other)
    };
    copied.await.map_err(|failed: Failed| failed.into_error(BACKUP, &place))?;
    Ok(schema)
}

/// Bytes of all tables without their indexes.
const SIZE: &str = "SELECT coalesce(sum(pg_table_size(oid)), 0)::int8 FROM pg_class
                    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace";

/// All tables, each after those that it refers to, so that they can be filled in this order.
async fn tables(session: &Session) -> Step<Vec<Table>> {
    // Generated columns are computed again; everything else is copied, numbers of identity columns included.
    let find = "
        SELECT c.relname::text, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
          AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        GROUP BY c.relname ORDER BY c.relname";
    let references = "
        SELECT DISTINCT f.relname::text, t.relname::text
        FROM pg_constraint k JOIN pg_class f ON f.oid = k.conrelid JOIN pg_class t ON t.oid = k.confrelid
        WHERE k.contype = 'f' AND f.relnamespace = current_schema()::regnamespace AND f.oid <> t.oid";
    let pair = |row: &Row| -> Step<(String, String)> { Ok((row.try_get(0)?, row.try_get(1)?)) };
    let found: Vec<_> = session.query(find, &[]).await?.iter().map(pair).collect::<Step<_>>()?;
    let references: Vec<_> = session.query(references, &[]).await?.iter().map(pair).collect::<Step<_>>()?;
    let names = in_order(found.iter().map(|(name, _)| name.clone()).collect(), &references);
    let table = |(number, name): (usize, String)| {
        let columns = found.iter().find(|(found, _)| *found == name).map(|(_, columns)| columns.clone());
        Table { file: format!("{number:02}-{name}.copy"), columns: columns.unwrap_or_default(), name }
    };
    Ok(names.into_iter().enumerate().map(table).collect())
}

/// Sorts names so that each comes after all those that it refers to.
fn in_order(mut names: Vec<String>, references: &[(String, String)]) -> Vec<String> {
    let mut sorted: Vec<String> = Vec::new();
    while !names.is_empty() {
        let waits = |name: &String| references.iter().any(|(from, to)| from == name && names.contains(to));
        let (later, ready): (Vec<_>, Vec<_>) = names.iter().cloned().partition(waits);
        // A circle of references cannot be filled in any order; PostgreSQL then refuses the first table.
        if ready.is_empty() {
            sorted.extend(later);
            break;
        }
        sorted.extend(ready);
        names = later;
    }
    sorted
}

async fn table_out(session: &Session, table: &Table, folder: &Path, progress: &Progress) -> Result<(), Failed> {
    let path = file_of(folder, &table.file);
    let failed = |error: std::io::Error| Failed::Other(file_error(BACKUP, &path, &error));
    let mut file = BufWriter::with_capacity(CHUNK, create_file(BACKUP, &path).map_err(Failed::Other)?);
    let Table { name, columns, .. } = table;
    let text = format!("COPY (SELECT {columns} FROM {}) TO STDOUT (FORMAT binary)", quoted(name));
    let mut rows = pin!(session.copy_out(&text).await?);
    while let Some(bytes) = rows.next().await {
        let bytes = bytes.map_err(PostgresFault::from)?;
        file.write_all(&bytes).map_err(failed)?;
        progress.advance(bytes.len() as u64);
    }
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

async fn sequences(session: &Session) -> Step<Vec<Sequence>> {
    let find = "SELECT relname::text FROM pg_class
                WHERE relkind = 'S' AND relnamespace = current_schema()::regnamespace ORDER BY relname";
    let mut sequences = Vec::new();
    for found in session.query(find, &[]).await? {
        let name: String = found.try_get(0)?;
        let ask = format!("SELECT last_value, is_called FROM {}", quoted(&name));
        for row in session.query_once(&ask, &[]).await? {
            sequences.push(Sequence { name: name.clone(), last: row.try_get(0)?, is_called: row.try_get(1)? });
        }
    }
    Ok(sequences)
}

fn write_index(folder: &Path, index: &Index) -> Result<(), StoreError> {
    let path = file_of(folder, INDEX);
    let text = serde_json::to_vec_pretty(index)
        .map_err(|error| StoreError::Operation { operation: BACKUP, reason: error.to_string() })?;
    let mut file = create_file(BACKUP, &path)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(|error| file_error(BACKUP, &path, &error))
}

fn read_index(operation: &'static str, folder: &Path) -> Result<Index, StoreError> {
    let path = file_of(folder, INDEX);
    let text = std::fs::read(&path).map_err(|error| file_error(operation, &path, &error))?;
    let damaged =
        |error: serde_json::Error| StoreError::Damaged { what: path.display().to_string(), reason: error.to_string() };
    serde_json::from_slice(&text).map_err(damaged)
}

/// The tables of the database, if there are any.
pub(in crate::store) async fn occupants(url: &str) -> Result<Vec<String>, StoreError> {
    let (session, place) = session(url).await?;
    let find = "SELECT relname::text FROM pg_class
                WHERE relkind IN ('r', 'p', 'S', 'v') AND relnamespace = current_schema()::regnamespace ORDER BY 1";
    let found = session.query(find, &[]).await.map_err(|fault| fault.into_error(RESTORE, &place))?;
    let names: Vec<String> = found.iter().filter_map(|row| row.try_get(0).ok()).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let first = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(3);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    Ok(vec![format!("database {place} (tables {first}{rest})")])
}

pub(in crate::store) async fn copy_in(
    url: &str,
    folder: &Path,
    schema: i64,
    restored: Restoration,
    progress: &Progress,
) -> Result<(), StoreError> {
    let index = read_index(RESTORE, folder)?;
    let (session, place) = session(url).await?;
    // One transaction: until its commit the database is as empty as before, whatever happens.
    let put = async {
        session.batch("BEGIN").await?;
        migrate::create(&session, schema).await?;
        fill(&session, folder, &index, progress).await?;
        // Migrations of later versions follow after the rows, as they would have on the database itself.
        migrate::advance(&session, &place).await.map_err(Failed::Other)?;
        let put = "INSERT INTO restoration (restored_at, backup_at) VALUES ($1, $2)";
        session.query_once(put, &[&restored.restored_at.millis(), &restored.backup_at.millis()]).await?;
        session.batch("COMMIT").await?;
        Ok(())
    };
    put.await.map_err(|failed: Failed| failed.into_error(RESTORE, &place))?;
    // Without statistics the first plans are poor. The server collects them by itself too, so a failure is no error.
    let _ = session.batch("ANALYZE").await;
    Ok(())
}

async fn fill(session: &Session, folder: &Path, index: &Index, progress: &Progress) -> Result<(), Failed> {
    let made = tables(session).await?;
    let names = |tables: &[Table]| -> BTreeSet<String> { tables.iter().map(|table| table.name.clone()).collect() };
    if names(&made) != names(&index.tables) {
        let reason =
            format!("{} has tables of another build of the collector; use the version that made it", folder.display());
        return Err(PostgresFault::other(reason).into());
    }
    // The migrations put first rows into some tables.
    let all = made.iter().map(|table| quoted(&table.name)).collect::<Vec<_>>().join(", ");
    session.batch(&format!("TRUNCATE {all}")).await?;
    for table in &index.tables {
        table_in(session, table, folder, progress).await?;
    }
    for Sequence { name, last, is_called } in &index.sequences {
        session.query_once("SELECT setval($1::text::regclass, $2, $3)", &[&quoted(name), last, is_called]).await?;
    }
    Ok(())
}

async fn table_in(session: &Session, table: &Table, folder: &Path, progress: &Progress) -> Result<(), Failed> {
    let path = file_of(folder, &table.file);
    let failed = |error: std::io::Error| Failed::Other(file_error(RESTORE, &path, &error));
    let mut file = File::open(&path).map_err(failed)?;
    let text = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", quoted(&table.name), table.columns);
    let mut rows = pin!(session.copy_in(&text).await?);
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk).map_err(failed)?;
        if read == 0 {
            break;
        }
        rows.send(Bytes::copy_from_slice(&chunk[..read])).await.map_err(PostgresFault::from)?;
        progress.advance(read as u64);
    }
    rows.finish().await.map_err(PostgresFault::from)?;
    Ok(())
}

/// Checks that each table has a file of the right form. Its rows can be checked only by the server.
pub(in crate::store) fn copy_check(folder: &Path) -> Result<CopyCheck, StoreError> {
    let index = read_index("check", folder)?;
    for table in &index.tables {
        let path = file_of(folder, &table.file);
        let is_whole = || -> std::io::Result<bool> {
            let mut file = File::open(&path)?;
            let mut begin = [0; SIGNATURE.len()];
            file.read_exact(&mut begin)?;
            let mut end = [0; TRAILER.len()];
            file.seek(SeekFrom::End(-(TRAILER.len() as i64)))?;
            file.read_exact(&mut end)?;
            Ok(begin == SIGNATURE && end == TRAILER)
        };
        if !is_whole().map_err(|error| file_error("check", &path, &error))? {
            let reason = "it is no complete file of COPY".to_owned();
            return Err(StoreError::Damaged { what: path.display().to_string(), reason });
        }
    }
    Ok(CopyCheck::Form("rows are checked by the server when they are restored"))
}

/// A name of the catalogue as an identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_after_those_that_it_refers_to() {
        let names = ["account", "role", "token"].map(str::to_owned).to_vec();
        let refers = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let sorted = in_order(names.clone(), &[refers("account", "role"), refers("role", "token")]);
        assert_eq!(sorted, ["token", "role", "account"]);
        // A circle must end too.
        assert_eq!(in_order(names, &[refers("account", "role"), refers("role", "account")]).len(), 3);
    }
}
