//! Read-only connections, used on blocking threads. Each read runs in one transaction, so it sees one moment of the
//! database. A read whose caller has gone is interrupted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::Semaphore;

use super::fault::{Step, StoreFault};
use super::memory::Memory;
use super::open;
use crate::store::{SearchStop, StoreError, StoreSize};

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
        self.read_until(operation, None, work).await
    }

    /// Reads in one transaction, and interrupts the read after a time.
    pub(super) async fn read_until<T: Send + 'static>(
        &self,
        operation: &'static str,
        most: Option<Duration>,
        work: impl FnOnce(&Connection, &Memory) -> Step<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Closed { operation };
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| closed())?;
        let readers = self.clone();
        let running = Arc::new(Running::default());
        let of_work = Arc::clone(&running);
        let mut task = tokio::task::spawn_blocking(move || {
            let outcome = readers.read_now(&of_work, work);
            // Freed here and not by the caller, who may go away while the connection is still in use.
            drop(turn);
            outcome
        });
        // If this future is dropped, its caller has gone.
        let caller = InterruptOnDrop(running);
        let in_time = match most {
            Some(most) => tokio::time::timeout(most, &mut task).await.ok(),
            None => Some((&mut task).await),
        };
        let outcome = match in_time {
            Some(outcome) => outcome,
            None => {
                drop(caller);
                task.await
            }
        };
        outcome.map_err(|_| closed())?.map_err(|fault| fault.into_error(operation, &self.place))
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

    fn read_now<T>(&self, running: &Running, work: impl FnOnce(&Connection, &Memory) -> Step<T>) -> Step<T> {
        let idle = self.connections().as_mut().ok_or(StoreFault::Closed)?.pop();
        let sql = match idle {
            Some(sql) => sql,
            None => open::reader(&self.path)?,
        };
        let read = || -> Step<T> {
            running.begin(&sql)?;
            sql.execute_batch("BEGIN")?;
            work(&sql, &self.memory)
        };
        let outcome = read();
        // From here on, an interrupt would meet the next read of this connection.
        running.end();
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

/// How long after an interrupt the next one follows, if the read still runs.
const AGAIN: Duration = Duration::from_millis(10);

/// A read that can be interrupted.
#[derive(Default)]
struct Running(Mutex<RunningRead>);

#[derive(Default)]
struct RunningRead {
    /// `None` before it begins and after it has ended.
    handle: Option<InterruptHandle>,
    is_over: bool,
}

impl Running {
    fn begin(&self, sql: &Connection) -> Result<(), SearchStop> {
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if read.is_over {
            return Err(SearchStop::Abandoned);
        }
        read.handle = Some(sql.get_interrupt_handle());
        Ok(())
    }

    fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).handle = None;
    }

    /// Interrupts the statement that runs. Returns whether the read has not ended yet.
    fn interrupt(&self) -> bool {
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        read.is_over = true;
        read.handle.as_ref().inspect(|handle| handle.interrupt()).is_some()
    }
}

/// Interrupts a read when it is dropped.
struct InterruptOnDrop(Arc<Running>);

impl Drop for InterruptOnDrop {
    fn drop(&mut self) {
        if !self.0.interrupt() {
            return;
        }
        let running = Arc::clone(&self.0);
        // Outside of a runtime there are no reads.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // SQLite forgets an interrupt that comes between two statements.
                while running.interrupt() {
                    tokio::time::sleep(AGAIN).await;
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A statement that takes minutes.
    fn endless(sql: &Connection) -> Step<i64> {
        let find =
            "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 3000000000) SELECT count(*) FROM n";
        Ok(sql.query_row(find, [], |row| row.get(0))?)
    }

    /// One connection, so that a read must end before the next one begins.
    fn one(folder: &tempfile::TempDir) -> Readers {
        let path = folder.path().join("fleet.db");
        let writer = open::writer(&path).expect("opens");
        let memory = Arc::new(Memory::load(&writer).expect("loads"));
        Readers::new(&path, Arc::from("fleet.db"), memory, 1)
    }

    async fn assert_free(readers: &Readers) {
        let next = readers.read("next", |sql, _| Ok(sql.query_row("SELECT 7", [], |row| row.get::<_, i64>(0))?));
        let next = tokio::time::timeout(PATIENCE, next).await.expect("the connection is free again");
        assert_eq!(next.expect("reads"), 7);
    }

    #[tokio::test]
    async fn a_statement_is_interrupted_when_its_caller_has_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let readers = one(&folder);
        let (begin, begun) = mpsc::channel();
        let reading = readers.clone();
        let read = tokio::spawn(async move {
            let work = move |sql: &Connection, _: &Memory| {
                begin.send(()).expect("the test waits");
                endless(sql)
            };
            reading.read("endless", work).await
        });
        tokio::task::spawn_blocking(move || begun.recv()).await.expect("waits").expect("it begins");
        read.abort();
        assert_free(&readers).await;
    }

    #[tokio::test]
    async fn a_statement_that_begins_after_its_caller_has_gone_is_interrupted_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let readers = one(&folder);
        let ((begin, begun), (go_on, wait)) = (mpsc::channel(), mpsc::channel::<()>());
        let reading = readers.clone();
        let read = tokio::spawn(async move {
            let work = move |sql: &Connection, _: &Memory| {
                begin.send(()).expect("the test waits");
                // No statement runs while the caller goes.
                let _ = wait.recv();
                endless(sql)
            };
            reading.read("endless", work).await
        });
        tokio::task::spawn_blocking(move || begun.recv()).await.expect("waits").expect("it begins");
        read.abort();
        assert!(read.await.expect_err("it was aborted").is_cancelled());
        go_on.send(()).expect("it waits");
        assert_free(&readers).await;
    }

    #[tokio::test]
    async fn a_statement_is_interrupted_when_its_time_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let readers = one(&folder);
        let read = readers.read_until("endless", Some(Duration::from_millis(20)), |sql, _| endless(sql));
        let ended = tokio::time::timeout(PATIENCE, read).await.expect("it ends").expect_err("it is interrupted");
        assert!(ended.to_string().contains("interrupted"), "{ended}");
        assert_free(&readers).await;
    }
}
