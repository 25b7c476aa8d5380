//! Opening the database file: its path, its permissions, and SQLite's settings.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::fault::StoreFault;
use super::migrate;
use crate::store::StoreError;

/// How long a connection waits for another process that holds the lock (`muster-collector token` beside `serve`).
pub(super) const BUSY: Duration = Duration::from_secs(10);

/// Opens the file for writing; creates and migrates it if needed. Only its owner may read it, because it names every
/// machine.
pub(super) fn writer(path: &Path) -> Result<Connection, StoreError> {
    let place = path.display().to_string();
    let failed = |reason: String| StoreError::Open { place: place.clone(), reason };
    restrict(path).map_err(|error| failed(error.to_string()))?;
    // Without CREATE, because `restrict` has made the file with its permissions; without SQLite's mutex, because one
    // thread uses the connection at a time.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = || -> Result<Connection, rusqlite::Error> {
        let sql = Connection::open_with_flags(path, flags)?;
        sql.busy_timeout(BUSY)?;
        // Takes effect only for a new file. Sections have a few kilobytes; smaller pages would waste a quarter of the
        // space.
        sql.pragma_update(None, "page_size", 8_192)?;
        sql.pragma_update(None, "journal_mode", "WAL")?;
        // FULL syncs the log at every commit, so what was acknowledged survives a power failure.
        sql.pragma_update(None, "synchronous", "FULL")?;
        sql.pragma_update(None, "foreign_keys", true)?;
        // A negative size is in KiB.
        sql.pragma_update(None, "cache_size", -32_768)?;
        // In pages: every 16 MB.
        sql.pragma_update(None, "wal_autocheckpoint", 2_000)?;
        sql.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
        sql.pragma_update(None, "temp_store", "MEMORY")?;
        keep_plans(&sql)?;
        Ok(sql)
    };
    let mut sql = opened().map_err(|error| match StoreFault::from(error) {
        StoreFault::Other(reason) => failed(reason),
        StoreFault::Damaged { reason, .. } => {
            failed(format!("the file is not a Muster database, or it is damaged: {reason}"))
        }
        other @ (StoreFault::Full | StoreFault::EditionsFull | StoreFault::Stopped(_) | StoreFault::Closed) => {
            other.into_error("open", &place)
        }
    })?;
    migrate::migrate(&mut sql, &place)?;
    Ok(sql)
}

/// Opens the file for reading. SQLite refuses every write on this connection.
pub(super) fn reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let sql = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    sql.busy_timeout(BUSY)?;
    sql.pragma_update(None, "query_only", true)?;
    sql.pragma_update(None, "cache_size", -8_192)?;
    keep_plans(&sql)?;
    Ok(sql)
}

/// Keeps prepared statements and their plans: without this, SQLite plans many of them again for each bound value.
fn keep_plans(sql: &Connection) -> Result<(), rusqlite::Error> {
    sql.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    sql.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// The path in a URL: `sqlite:///var/lib/muster/fleet.db`, `sqlite:fleet.db`, or the path alone.
pub(super) fn path_of(url: &str) -> PathBuf {
    let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).unwrap_or(url);
    PathBuf::from(path)
}

/// Creates directory and file, and removes other users' permissions from the file. SQLite gives `-wal` and `-shm` the
/// permissions of the file. An existing directory is left alone: it may be shared on purpose.
fn restrict(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let rights = file.metadata()?.permissions().mode() & 0o777;
    // `mode` has no effect on a file that exists already.
    if rights & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    // SQLite sets the permissions only of new ones; these may be left from an earlier process.
    for end in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(end);
        match std::fs::set_permissions(&beside, Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
