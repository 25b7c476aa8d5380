//! Checks a database file without changing any file: not the database, not its log, not the index of the log.
//!
//! SQLite writes even for a reader: it creates the log's index (`-shm`) and marks in it what is read. So the file is
//! opened in one of two ways:
//!
//! - Without a log (`-wal`), everything is in the database file, which is read as immutable: without locks. A collector
//!   that begins to write meanwhile is noticed by the files' sizes and times, and the file is read again.
//! - With a log, a collector runs or was killed. The index is opened for reading only: SQLite uses the locks of a running
//!   collector, and otherwise builds the index in its own memory.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use muster_proto::model::Timestamp;
use muster_proto::terminal::Progress;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::fault::{Step, StoreFault};
use super::{authority, check, migrate, open};
use crate::store::admin::accounts::FIRST_UNTIL;
use crate::store::admin::seal;
use crate::store::{Inspection, StoreError};

/// How often the file is read again because it was changed meanwhile.
const TRIES: usize = 5;

/// Checks the store in the file at this URL.
///
/// # Errors
/// The file is missing or empty, is not a Muster database, or was made by another version.
pub(in crate::store) fn inspect(url: &str, progress: &Progress) -> Result<Inspection, StoreError> {
    let path = open::path_of(url);
    let place = path.display().to_string();
    let failed = |reason: String| StoreError::Open { place: place.clone(), reason };
    for _ in 0..TRIES {
        let before = Files::of(&path).map_err(|error| failed(error.to_string()))?;
        if before.database.0 == 0 {
            return Err(StoreError::Empty { place });
        }
        let found = read(&path, before.has_log(), &place, progress);
        // A file that is read without locks is only read correctly if nobody has written to it.
        if before.has_log() || Files::of(&path).is_ok_and(|after| after == before) {
            return found;
        }
    }
    Err(failed("it is changed too often to be read; try again".to_owned()))
}

fn read(path: &Path, has_log: bool, place: &str, progress: &Progress) -> Result<Inspection, StoreError> {
    let explained = |fault: StoreFault| match fault {
        StoreFault::Other(reason) if has_log && !beside(path, "-shm").exists() => StoreError::Open {
            place: place.to_owned(),
            reason: format!(
                "{reason}; its log {} has no index beside it, so it cannot be read without changing it: the next start of \
                 the collector recovers it",
                beside(path, "-wal").display()
            ),
        },
        StoreFault::Damaged { reason, .. } => StoreError::Open {
            place: place.to_owned(),
            reason: format!("the file is not a Muster database, or it is damaged: {reason}"),
        },
        other @ (StoreFault::Other(_)
        | StoreFault::Full
        | StoreFault::EditionsFull
        | StoreFault::Stopped(_)
        | StoreFault::Closed) => other.into_error("open", place),
    };
    let sql = connect(path, has_log).map_err(explained)?;
    migrate::must_be_newest(&sql, place)?;
    let inspected = || -> Step<Inspection> {
        // One transaction, so that all statements read the same moment of the file.
        sql.execute_batch("BEGIN")?;
        let until: Option<i64> = sql.query_row(FIRST_UNTIL, [], |row| row.get(0))?;
        Ok(Inspection {
            authority: authority::get(&sql)?,
            seal: sql.query_row(seal::GET, [], |row| row.get(0)).optional()?,
            first_account_until: until.map(Timestamp::from_millis),
            check: check::check(&sql, progress)?,
        })
    };
    inspected().map_err(|fault| fault.into_error("check", place))
}

fn connect(path: &Path, has_log: bool) -> Step<Connection> {
    let mode = if has_log { "readonly_shm=1" } else { "immutable=1" };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let sql = Connection::open_with_flags(format!("file:{}?{mode}", escaped(path)), flags)?;
    sql.busy_timeout(open::BUSY)?;
    sql.pragma_update(None, "query_only", true)?;
    sql.pragma_update(None, "temp_store", "MEMORY")?;
    // Opening reads nothing yet. The first read finds out whether the log can be used.
    sql.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
    Ok(sql)
}

/// A path as SQLite's URIs want it.
fn escaped(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~');
    let bytes = path.as_os_str().as_bytes().iter();
    bytes.map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02x}") }).collect()
}

/// Size and time of change of the database and of its log.
#[derive(Debug, PartialEq, Eq)]
struct Files {
    database: (u64, SystemTime),
    log: Option<(u64, SystemTime)>,
}

impl Files {
    fn of(path: &Path) -> std::io::Result<Self> {
        let stamp = |path: &Path| std::fs::metadata(path).and_then(|found| Ok((found.len(), found.modified()?)));
        let database = stamp(path)?;
        let log = match stamp(&beside(path, "-wal")) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { database, log })
    }

    fn has_log(&self) -> bool {
        // An empty log holds nothing that the database file lacks.
        self.log.is_some_and(|(bytes, _)| bytes > 0)
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
