//! Copies of the whole store: made beside a running collector, put into an empty place, and checked.
//!
//! A copy is one consistent moment of the store. On SQLite it is one database file; on PostgreSQL it is one file for
//! each table. What is only in memory is not in a copy: up to a second of "last seen".

use std::path::Path;

use muster_proto::terminal::Progress;

use super::copy::{CopyCheck, Restoration, StoreKind};
use super::{StoreError, postgres, sqlite};

/// Copies the store at this URL into files of an existing folder. Returns the number of its schema. Reports and queries
/// go on meanwhile. The progress counts bytes.
///
/// # Errors
/// The store cannot be read, or the files cannot be written. The files that were begun are left for the caller.
pub async fn copy_out(url: &str, folder: &Path, progress: &Progress) -> Result<i64, StoreError> {
    match StoreKind::of(url) {
        StoreKind::Sqlite => {
            // The copy keeps this thread busy; a running collector is another process.
            tokio::task::block_in_place(|| sqlite::copy_out(url, folder, progress))
        }
        StoreKind::Postgresql => postgres::copy_out(url, folder, progress).await,
    }
}

/// Puts a copy into the empty place at this URL, and records the restoration and its ledger entry there. After an error
/// the place is as empty as before.
///
/// # Errors
/// The place is not empty, the copy cannot be read, or the database fails.
pub async fn copy_in(
    url: &str,
    folder: &Path,
    schema: i64,
    restored: Restoration,
    progress: &Progress,
) -> Result<(), StoreError> {
    match StoreKind::of(url) {
        StoreKind::Sqlite => tokio::task::block_in_place(|| sqlite::copy_in(url, folder, restored, progress)),
        StoreKind::Postgresql => postgres::copy_in(url, folder, schema, restored, progress).await,
    }
}

/// What is already at this URL and would be overwritten by [`copy_in`], one text for each thing.
///
/// # Errors
/// The database server cannot be reached.
pub async fn occupants(url: &str) -> Result<Vec<String>, StoreError> {
    match StoreKind::of(url) {
        StoreKind::Sqlite => Ok(sqlite::occupants(url)),
        StoreKind::Postgresql => postgres::occupants(url).await,
    }
}

/// Checks a copy without changing it: on SQLite every record, on PostgreSQL the form of each file.
///
/// # Errors
/// The copy cannot be read or is damaged.
pub fn copy_check(kind: StoreKind, folder: &Path, schema: i64) -> Result<CopyCheck, StoreError> {
    match kind {
        StoreKind::Sqlite => sqlite::copy_check(folder, schema),
        StoreKind::Postgresql => postgres::copy_check(folder),
    }
}
