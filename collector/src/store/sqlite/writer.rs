//! The writer: one thread that commits the operations in its queue, many in one transaction.
//!
//! ```text
//!  operation ─► queue ─► [ BEGIN  new texts  operation*  COMMIT ] ─► effects on memory ─► answers
//!                       └─ one fails: ROLLBACK, then all again, each in its own savepoint
//! ```
//!
//! Only the operation that fails is undone; the others in its transaction are committed. Answers are sent after the commit,
//! so an answer means that the bytes are on the disk. Under load the writer waits a moment for more operations, because
//! one sync for many of them makes full durability cheap. Savepoints take a tenth of the time and operations rarely fail,
//! so they are used only after a failure.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use muster_proto::model::HostId;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fault::{Step, StoreFault};
use super::last_seen;
use super::memory::{LastSeen, Memory};
use crate::store::StoreError;
use crate::store::decide::report::LastSeenPair;

/// How long the writer waits for more operations once it has several.
const GATHER: Duration = Duration::from_millis(2);
/// Most operations in one transaction.
const MAX_OPERATIONS: usize = 512;
/// How often last seen is written.
const FLUSH: Duration = Duration::from_secs(1);

/// A change of the memory that waits for the commit of its operation.
pub(super) type Effect = Box<dyn FnOnce(&Memory) + Send>;

/// What an operation reads and writes, within its transaction.
pub(super) struct WriteContext<'a> {
    pub(super) sql: &'a Connection,
    pub(super) memory: &'a Memory,
    effects: &'a mut Vec<Effect>,
    /// Check-ins of this transaction; the memory gets them after the commit.
    seen: &'a mut HashMap<HostId, LastSeen>,
}

impl WriteContext<'_> {
    /// Changes the memory once the operation is committed; does nothing if it fails.
    pub(super) fn after_commit(&mut self, effect: impl FnOnce(&Memory) + Send + 'static) {
        self.effects.push(Box::new(effect));
    }

    /// When a host was last seen, as this transaction has it and as the memory has it.
    pub(super) fn seen(&self, host: HostId) -> LastSeenPair {
        LastSeenPair { row: self.seen.get(&host).copied(), memory: self.memory.seen(host) }
    }

    /// Notes a check-in for the operations that follow in this transaction.
    pub(super) fn note_seen(&mut self, host: HostId, seen: LastSeen) {
        self.seen.insert(host, seen);
    }
}

/// How the operations of one transaction are isolated from each other.
#[derive(Debug, Clone, Copy)]
enum Isolation {
    /// Not at all: a failure undoes all of them.
    None,
    /// Each in a savepoint: a failure undoes one.
    Savepoints,
}

/// What the memory learns if the attempt is committed, and how far it came.
#[derive(Default)]
struct Attempt {
    effects: Vec<Effect>,
    seen: HashMap<HostId, LastSeen>,
    /// How many operations the outcome is about: all, or those up to the one at which SQLite gave up the transaction.
    done: usize,
}

impl Attempt {
    const fn context<'a>(&'a mut self, sql: &'a Connection, memory: &'a Memory) -> WriteContext<'a> {
        WriteContext { sql, memory, effects: &mut self.effects, seen: &mut self.seen }
    }
}

trait Queued: Send {
    /// Whether nothing may follow it in its transaction.
    fn is_last(&self) -> bool;
    fn run(&mut self, context: &mut WriteContext<'_>) -> Result<(), StoreFault>;
    fn fail(&mut self, fault: StoreFault);
    fn answer(self: Box<Self>);
}

struct QueuedOperation<W, T> {
    name: &'static str,
    is_last: bool,
    place: Arc<str>,
    work: W,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<W, T> Queued for QueuedOperation<W, T>
where
    W: Fn(&mut WriteContext<'_>) -> Step<T> + Send,
    T: Send,
{
    fn is_last(&self) -> bool {
        self.is_last
    }

    fn run(&mut self, context: &mut WriteContext<'_>) -> Result<(), StoreFault> {
        let value = (self.work)(context)?;
        self.outcome = Some(Ok(value));
        Ok(())
    }

    fn fail(&mut self, fault: StoreFault) {
        self.outcome = Some(Err(fault.into_error(self.name, &self.place)));
    }

    fn answer(self: Box<Self>) {
        let closed = || Err(StoreError::Closed { operation: self.name });
        // The caller may have gone away; the operation is committed all the same.
        let _ = self.reply.send(self.outcome.unwrap_or_else(closed));
    }
}

enum Message {
    Operation(Box<dyn Queued>),
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// Sends operations to the writer's thread.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: Sender<Message>,
    place: Arc<str>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(sql: Connection, memory: Arc<Memory>, place: Arc<str>) -> std::io::Result<Self> {
        let (queue, messages) = channel();
        let at = Arc::clone(&place);
        std::thread::Builder::new().name("muster-store".to_owned()).spawn(move || {
            WriterThread { sql, memory, place: at, flushed: Instant::now(), is_loaded: false, data_version: 0 }
                .run(&messages);
        })?;
        Ok(Self { queue, place })
    }

    /// Runs an operation, and answers after its commit. The work runs twice if another operation of the same transaction
    /// fails.
    pub(super) async fn operation<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Fn(&mut WriteContext<'_>) -> Step<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queued(name, false, work).await
    }

    /// The same, and nothing follows in its transaction: every later operation finds the memory as its effects have left it.
    pub(super) async fn last_operation<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Fn(&mut WriteContext<'_>) -> Step<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queued(name, true, work).await
    }

    async fn queued<T: Send + 'static>(
        &self,
        name: &'static str,
        is_last: bool,
        work: impl Fn(&mut WriteContext<'_>) -> Step<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let operation = QueuedOperation { name, is_last, place: Arc::clone(&self.place), work, outcome: None, reply };
        self.queue.send(Message::Operation(Box::new(operation))).map_err(|_| StoreError::Closed { operation: name })?;
        answer.await.unwrap_or(Err(StoreError::Closed { operation: name }))
    }

    /// The path of the file.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Writes what is only in memory and ends the thread. A second call does nothing.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        if self.queue.send(Message::Close(reply)).is_err() {
            return Ok(());
        }
        answer.await.unwrap_or(Ok(()))
    }
}

struct WriterThread {
    sql: Connection,
    memory: Arc<Memory>,
    place: Arc<str>,
    flushed: Instant,
    /// Whether the last transaction had several operations: only then is it worth waiting for more.
    is_loaded: bool,
    /// SQLite's counter of changes by other processes, as last read.
    data_version: i64,
}

impl WriterThread {
    fn run(mut self, messages: &Receiver<Message>) {
        self.data_version = self.data_version();
        loop {
            let mut operations = Vec::new();
            let mut close = None;
            // An idle writer still wakes in time for the next flush of the last check-ins.
            let wait = FLUSH.saturating_sub(self.flushed.elapsed());
            match messages.recv_timeout(wait) {
                Ok(Message::Operation(operation)) => operations.push(operation),
                Ok(Message::Close(reply)) => close = Some(reply),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    // Every sender is gone, so nobody could receive an error.
                    let _ = self.flush();
                    return;
                }
            }
            if close.is_none() && !operations.is_empty() {
                close = self.gather(messages, &mut operations);
            }
            self.commit(operations);
            if let Some(reply) = close {
                // The caller may have stopped waiting; the store is closed all the same.
                let _ = reply.send(self.finish());
                return;
            }
            if self.flushed.elapsed() >= FLUSH {
                self.every_second();
            }
        }
    }

    /// Takes what is queued, and under load what arrives within a moment.
    fn gather(
        &mut self,
        messages: &Receiver<Message>,
        operations: &mut Vec<Box<dyn Queued>>,
    ) -> Option<oneshot::Sender<Result<(), StoreError>>> {
        let until = Instant::now() + GATHER;
        while operations.len() < MAX_OPERATIONS && !operations.last().is_some_and(|last| last.is_last()) {
            let next = match messages.try_recv() {
                Ok(message) => message,
                // A lone operation does not wait for others, so an idle store answers at once.
                Err(_) if self.is_loaded || operations.len() > 1 => {
                    match messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                        Ok(message) => message,
                        Err(_) => break,
                    }
                }
                Err(_) => break,
            };
            match next {
                Message::Operation(operation) => operations.push(operation),
                // What was queued before is still committed.
                Message::Close(reply) => return Some(reply),
            }
        }
        self.is_loaded = operations.len() > 1;
        None
    }

    /// Commits these operations and answers them. If SQLite gives up the whole transaction in the middle (a full disk), the
    /// operations up to there fail, and the rest are tried in another transaction.
    fn commit(&mut self, mut operations: Vec<Box<dyn Queued>>) {
        let mut isolation = Isolation::None;
        while !operations.is_empty() {
            let mut attempt = Attempt::default();
            let outcome = self.attempt(&mut operations, isolation, &mut attempt);
            if let Err(fault) = outcome {
                // This fails harmlessly if SQLite has ended the transaction already, as it does on a full disk.
                let _ = self.sql.execute_batch("ROLLBACK");
                if matches!(isolation, Isolation::None) {
                    isolation = Isolation::Savepoints;
                    continue;
                }
                // A fault at BEGIN or COMMIT leaves `done` at the full length, so all operations fail and the loop
                // ends.
                self.memory.write_fault_note(&fault);
                let rest = operations.split_off(attempt.done);
                for mut operation in std::mem::replace(&mut operations, rest) {
                    operation.fail(fault.clone());
                    operation.answer();
                }
                continue;
            }
            // Memory first: a caller who has an answer must find its effect there.
            for effect in attempt.effects {
                effect(&self.memory);
            }
            for operation in operations.drain(..) {
                operation.answer();
            }
        }
    }

    fn attempt(&mut self, operations: &mut [Box<dyn Queued>], isolation: Isolation, attempt: &mut Attempt) -> Step<()> {
        attempt.done = operations.len();
        // IMMEDIATE, because a deferred transaction that has read fails if another process writes before it does.
        self.sql.execute_batch("BEGIN IMMEDIATE")?;
        // Texts come first, because rows of the operations refer to their numbers.
        let saved = self.memory.dictionaries().save(&self.sql)?;
        for (index, operation) in operations.iter_mut().enumerate() {
            match isolation {
                Isolation::None => operation.run(&mut attempt.context(&self.sql, &self.memory))?,
                Isolation::Savepoints => self.run_in_savepoint(operation, index, attempt)?,
            }
        }
        // New phrases of the operations themselves.
        let saved = self.memory.dictionaries().save_since(&self.sql, saved)?;
        self.sql.execute_batch("COMMIT")?;
        // Not before the commit: if it fails, the next transaction must store the same texts again.
        self.memory.dictionaries().saved(saved);
        Ok(())
    }

    /// Runs an operation in a savepoint. If it fails it gets the fault; a fault that ended the whole transaction is returned.
    fn run_in_savepoint(&self, operation: &mut Box<dyn Queued>, index: usize, attempt: &mut Attempt) -> Step<()> {
        let before = attempt.effects.len();
        let seen = attempt.seen.clone();
        self.sql.prepare_cached("SAVEPOINT operation")?.execute([])?;
        if let Err(fault) = operation.run(&mut attempt.context(&self.sql, &self.memory)) {
            attempt.effects.truncate(before);
            attempt.seen = seen;
            // Autocommit means that SQLite has rolled back the whole transaction, and the savepoint with it.
            if self.sql.is_autocommit() {
                attempt.done = index + 1;
                return Err(fault);
            }
            self.sql.prepare_cached("ROLLBACK TO operation")?.execute([])?;
            if matches!(fault, StoreFault::Full) {
                self.memory.write_fault_note(&fault);
            }
            operation.fail(fault);
        }
        // Also after ROLLBACK TO, which undoes the work but leaves the savepoint open.
        self.sql.prepare_cached("RELEASE operation")?.execute([])?;
        Ok(())
    }

    fn every_second(&mut self) {
        // Set even if the flush fails, so that a broken disk is tried once a second and not in a busy loop.
        self.flushed = Instant::now();
        if let Err(fault) = self.flush() {
            let error = fault.into_error("write last seen", &self.place);
            tracing::error!(error = %error, "last seen was not written; it stays in memory and is tried again");
        }
        // Another process (`muster-collector token`) may have changed keys that the memory holds.
        let version = self.data_version();
        if version != self.data_version {
            self.data_version = version;
            self.memory.identities_forget(None);
        }
    }

    fn data_version(&self) -> i64 {
        self.sql.query_row("PRAGMA data_version", [], |row| row.get(0)).unwrap_or(0)
    }

    fn flush(&self) -> Step<()> {
        let taken = self.memory.take_dirty();
        if taken.is_empty() {
            return Ok(());
        }
        let written = last_seen::write(&self.sql, &taken);
        if written.is_err() {
            // The fault of the write is returned; a rollback that fails as well would say nothing new.
            let _ = self.sql.execute_batch("ROLLBACK");
            self.memory.put_back(&taken);
        }
        if let Err(fault) = &written {
            self.memory.write_fault_note(fault);
        }
        written
    }

    fn finish(&self) -> Result<(), StoreError> {
        self.flush().map_err(|fault| fault.into_error("close", &self.place))?;
        // Moves the write-ahead log into the file, so that the file alone is the database. If a reader prevents it, the next
        // start does it.
        let _ = self.sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        Ok(())
    }
}
