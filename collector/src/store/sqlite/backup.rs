//! Copies of the database file: made by SQLite's online backup, put back as a new file, checked in place.
//!
//! The backup holds one read transaction from its first page to its last, so that a process that writes meanwhile does
//! not make it start again. Until it ends, the log can be written back to the file only up to that moment, so the log
//! grows by what is written meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};

use muster_proto::terminal::Progress;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::fault::{Step, StoreFault};
use super::{check, migrate, open};
use crate::store::copy::{CopyCheck, Restoration, create_file, file_error, file_of};
use crate::store::{StoreCheck, StoreError};

/// The file of a copy.
const FILE: &str = "muster.db";
/// Pages for each step: 32 MiB between two reports of progress.
const PAGES: i32 = 4_096;
const BACKUP: &str = "copy the database";
const RESTORE: &str = "restore the database";

pub(in crate::store) fn copy_out(url: &str, folder: &Path, progress: &Progress) -> Result<i64, StoreError> {
    let path = open::path_of(url);
    let place = path.display().to_string();
    // A reader cannot create the file, but its message would not say that the file is missing.
    std::fs::metadata(&path).map_err(|error| file_error(BACKUP, &path, &error))?;
    let target = file_of(folder, FILE);
    let file = create_file(BACKUP, &target)?;
    let copied = |error: StoreFault| {
        // Only the copy grows, so a full disk is the one of the copy.
        let place = if matches!(error, StoreFault::Full) { target.display().to_string() } else { place.clone() };
        error.into_error(BACKUP, &place)
    };
    let source = open::reader(&path).map_err(|error| copied(error.into()))?;
    // Opens the read transaction that lasts until the copy is complete.
    source.execute_batch("BEGIN").map_err(|error| copied(error.into()))?;
    let schema = migrate::found_version(&source, &place)?;
    if schema == 0 {
        return Err(StoreError::Open { place, reason: "it is empty: there is nothing to back up".to_owned() });
    }
    pages(&source, &target, progress).map_err(copied)?;
    file.sync_all().map_err(|error| file_error(BACKUP, &target, &error))?;
    Ok(schema)
}

fn pages(source: &Connection, target: &Path, progress: &Progress) -> Step<()> {
    let mut copy = Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // A copy that is interrupted is deleted, so it needs no journal. The caller syncs the file once.
    copy.pragma_update(None, "journal_mode", "OFF")?;
    copy.pragma_update(None, "synchronous", "OFF")?;
    let page: u64 = source.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0))?.unsigned_abs();
    let backup = Backup::new(source, &mut copy)?;
    let mut left: Option<i32> = None;
    loop {
        let step = backup.step(PAGES)?;
        let at = backup.progress();
        let bytes = |pages: i32| u64::from(pages.unsigned_abs()) * page;
        progress.expect(bytes(at.pagecount));
        progress.advance(bytes(left.unwrap_or(at.pagecount) - at.remaining));
        left = Some(at.remaining);
        if step == StepResult::Done {
            return Ok(());
        }
        if step != StepResult::More {
            // The writer may hold a lock for a moment while it moves the log into the file.
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// The files of a store that exist.
pub(in crate::store) fn occupants(url: &str) -> Vec<String> {
    let path = open::path_of(url);
    let files = ["", "-wal", "-shm", "-journal"].map(|end| beside(&path, end));
    files.into_iter().filter(|file| file.symlink_metadata().is_ok()).map(|file| file.display().to_string()).collect()
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

pub(in crate::store) fn copy_in(
    url: &str,
    folder: &Path,
    restored: Restoration,
    progress: &Progress,
) -> Result<(), StoreError> {
    let path = open::path_of(url);
    // Under another name until it is complete: a collector does not start on half a database.
    let unfinished = beside(&path, ".restoring");
    let put = put(&file_of(folder, FILE), &unfinished, restored, progress).and_then(|()| {
        // `rename` would replace a file that has appeared meanwhile; a link fails.
        let linked = std::fs::hard_link(&unfinished, &path);
        linked.map_err(|error| file_error(RESTORE, &path, &error))
    });
    for end in ["", "-wal", "-shm"] {
        // Absent after success, except for the first name. After a failure its error is the one to report.
        let _ = std::fs::remove_file(beside(&unfinished, end));
    }
    put?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| file_error(RESTORE, &path, &error))
}

fn put(source: &Path, target: &Path, restored: Restoration, progress: &Progress) -> Result<(), StoreError> {
    // Left by a restore that was interrupted.
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(beside(target, end));
    }
    let mut from = File::open(source).map_err(|error| file_error(RESTORE, source, &error))?;
    let mut into = create_file(RESTORE, target)?;
    let copied = std::io::copy(&mut from, &mut into).map_err(|error| file_error(RESTORE, target, &error))?;
    progress.advance(copied);
    drop(into);
    let place = target.display().to_string();
    // Migrates it too: a backup of an older version has an older schema.
    let sql = open::writer(target)?;
    let record = || -> Step<()> {
        sql.execute_batch("BEGIN IMMEDIATE")?;
        sql.execute(
            "INSERT INTO restoration (restored_at, backup_at) VALUES (?1, ?2)",
            (restored.restored_at.millis(), restored.backup_at.millis()),
        )?;
        sql.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(())
    };
    record().map_err(|fault| fault.into_error(RESTORE, &place))?;
    // The last connection removes the log.
    sql.close().map_err(|(_, error)| StoreFault::from(error).into_error(RESTORE, &place))?;
    let file = File::open(target).and_then(|file| file.sync_all());
    file.map_err(|error| file_error(RESTORE, target, &error))
}

pub(in crate::store) fn copy_check(folder: &Path, schema: i64) -> Result<CopyCheck, StoreError> {
    let path = file_of(folder, FILE);
    let place = path.display().to_string();
    let failed = |fault: StoreFault| fault.into_error("check", &place);
    let sql = immutable(&path).map_err(|error| failed(error.into()))?;
    let found = migrate::found_version(&sql, &place)?;
    if found != schema {
        let reason = format!("it has schema {found}, and the manifest says {schema}");
        return Err(StoreError::Damaged { what: place, reason });
    }
    if migrate::is_newest(&sql, &place)? {
        return Ok(CopyCheck::Records(check::check(&sql, &Progress::default()).map_err(failed)?));
    }
    // The check of records knows only the newest schema. SQLite's own check knows all.
    let sound: String = sql
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| failed(StoreFault::from(error)))?;
    if sound == "ok" {
        Ok(CopyCheck::Form("another version of the collector made it; its records were not compared"))
    } else {
        Ok(CopyCheck::Records(StoreCheck { faults: vec![sound], ..StoreCheck::default() }))
    }
}

/// Opens a file that nobody changes. SQLite then creates no file beside it and takes no lock.
fn immutable(path: &Path) -> Result<Connection, rusqlite::Error> {
    let mut uri = String::from("file:");
    for character in path.display().to_string().chars() {
        match character {
            // These end the path in a URI.
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            '%' => uri.push_str("%25"),
            other => uri.push(other),
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let sql = Connection::open_with_flags(uri, flags)?;
    // Nothing of the check may go to a temporary file in a place that is full.
    sql.pragma_update(None, "temp_store", "MEMORY")?;
    sql.set_prepared_statement_cache_capacity(128);
    Ok(sql)
}
