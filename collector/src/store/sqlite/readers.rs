//! Read-only connections, used on blocking threads. Each read runs in one transaction, so it sees one moment of the
//! database.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::fault::{Step, StoreFault};
use super::memory::Memory;
use super::open;
use crate::store::{StoreError, StoreSize};

/// The number of connections. Reads are short, so more would only compete for processors.
pub(super) const MOST: usize = 4;
/// The number of connections for searches. Their number is bounded by `searches.at_once`, so this is only its highest value.
pub(super) const SEARCHES: usize = 64;

/// See the head of the file.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    path: PathBuf,
    place: Arc<str>,
    memory: Arc<Memory>,
    /// `None` once the store is closed.
    idle: Arc<Mutex<Option<Vec<Connection>>>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: &Path, place: Arc<str>, memory: Arc<Memory>, most: usize) -> Self {
        let idle = Arc::new(Mutex::new(Some(Vec::new())));
        Self { path: path.to_owned(), place, memory, idle, turns: Arc::new(Semaphore::new(most)) }
    }

    /// Reads in one transaction.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection, &Memory) -> Step<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Closed { operation };
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| closed())?;
        let readers = self.clone();
        let outcome = tokio::task::spawn_blocking(move || {
            let outcome = readers.read_now(work);
            // Freed here and not by the caller, who may go away while the connection is still in use.
            drop(turn);
            outcome
        });
        outcome.await.map_err(|_| closed())?.map_err(|fault| fault.into_error(operation, &self.place))
    }

    /// The size of the files, and the space that is left for them.
    pub(super) async fn size(&self) -> Result<StoreSize, StoreError> {
        const OPERATION: &str = "size";
        let path = self.path.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let mut log = path.clone().into_os_string();
            log.push("-wal");
            // SQLite removes the log when it closes a database.
            let bytes = std::fs::metadata(&path)?.len() + std::fs::metadata(log).map_or(0, |log| log.len());
            let disk = rustix::fs::statvfs(&path)?;
            Ok(StoreSize { bytes, free_bytes: Some(disk.f_bavail.saturating_mul(disk.f_frsize)) })
        });
        let asked: std::io::Result<StoreSize> = asked.await.map_err(|_| StoreError::Closed { operation: OPERATION })?;
        asked.map_err(|error| StoreFault::Other(error.to_string()).into_error(OPERATION, &self.place))
    }

    /// Closes the idle connections; later reads fail with `Closed`.
    pub(super) fn close(&self) {
        // Callers that wait for a turn get an error instead of waiting for ever.
        self.turns.close();
        self.connections().take();
    }

    fn read_now<T>(&self, work: impl FnOnce(&Connection, &Memory) -> Step<T>) -> Step<T> {
        let idle = self.connections().as_mut().ok_or(StoreFault::Closed)?.pop();
        let sql = match idle {
            Some(sql) => sql,
            None => open::reader(&self.path)?,
        };
        let read = || -> Step<T> {
            sql.execute_batch("BEGIN")?;
            work(&sql, &self.memory)
        };
        let outcome = read();
        // A connection that cannot end its transaction is dropped: it would go on to show an old moment.
        let ended = sql.is_autocommit() || sql.execute_batch("ROLLBACK").is_ok();
        if ended && let Some(idle) = self.connections().as_mut() {
            idle.push(sql);
        }
        outcome
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, Option<Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
