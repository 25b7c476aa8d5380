//! The one writer: a thread of its own that commits what has queued.
//!
//! ```text
//!  operation ─► queue ─► [ BEGIN  new texts  operation*  COMMIT ] ─► effects on memory ─► answers
//!                       └─ one fails: ROLLBACK, and all again, each in a savepoint of its own
//! ```
//!
//! An operation that fails is undone alone; its neighbours in the same transaction stay. Nobody is answered before the
//! commit, so an answer means that the bytes are on the disk. Under load the writer waits a moment for more, because
//! one sync for many operations is what makes full durability cheap. Savepoints cost a tenth of the time and operations hardly
//! ever fail, so they are used only where one has.

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

/// How long the writer waits for more when more than one operation was there.
const GATHER: Duration = Duration::from_millis(2);
/// Operations in one transaction.
const MOST: usize = 512;
/// How often last seen is written.
const FLUSH: Duration = Duration::from_secs(1);

/// What happens in memory when the transaction of an operation is committed.
pub(super) type Effect = Box<dyn FnOnce(&Memory) + Send>;

/// What an operation works with.
pub(super) struct WriteContext<'a> {
    pub(super) sql: &'a Connection,
    pub(super) memory: &'a Memory,
    effects: &'a mut Vec<Effect>,
    /// Last seen as operations of this transaction have it: the memory hears of it after the commit.
    seen: &'a mut HashMap<HostId, LastSeen>,
}

impl WriteContext<'_> {
    /// Does this to the memory once the operation is committed, and never when it fails.
    pub(super) fn after_commit(&mut self, effect: impl FnOnce(&Memory) + Send + 'static) {
        self.effects.push(Box::new(effect));
    }

    /// When a host was last seen, as this transaction has it and as the memory has it.
    pub(super) fn seen(&self, host: HostId) -> LastSeenPair {
        LastSeenPair { row: self.seen.get(&host).copied(), memory: self.memory.seen(host) }
    }

    /// Notes a check-in for the operations that follow in this transaction.
    pub(super) fn saw(&mut self, host: HostId, seen: LastSeen) {
        self.seen.insert(host, seen);
    }
}

/// How the operations of a transaction are kept apart.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Not at all: a failure undoes all of them.
    Together,
    /// Each in a savepoint.
    Apart,
}

/// What an attempt leaves behind.
#[derive(Default)]
struct Turn {
    effects: Vec<Effect>,
    seen: HashMap<HostId, LastSeen>,
    /// How many of the operations belong to the outcome: all of them, or those up to the one at which the transaction was
    /// lost.
    done: usize,
}

impl Turn {
    const fn context<'a>(&'a mut self, sql: &'a Connection, memory: &'a Memory) -> WriteContext<'a> {
        WriteContext { sql, memory, effects: &mut self.effects, seen: &mut self.seen }
    }
}

trait Queued: Send {
    fn run(&mut self, context: &mut WriteContext<'_>) -> Result<(), StoreFault>;
    fn fail(&mut self, fault: StoreFault);
    fn answer(self: Box<Self>);
}

struct QueuedOperation<W, T> {
    name: &'static str,
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
        // Whoever asked may have gone away; the operation is done all the same.
        let _ = self.reply.send(self.outcome.unwrap_or_else(closed));
    }
}

enum Message {
    QueuedOperation(Box<dyn Queued>),
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// The way to the writer.
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
            Loop { sql, memory, place: at, flushed: Instant::now(), loaded: false, version: 0 }.run(&messages);
        })?;
        Ok(Self { queue, place })
    }

    /// Does an operation and answers when it is committed. The work may be done twice, when its transaction was lost to the
    /// failure of a neighbour.
    pub(super) async fn operation<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Fn(&mut WriteContext<'_>) -> Step<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let operation = QueuedOperation { name, place: Arc::clone(&self.place), work, outcome: None, reply };
        self.queue
            .send(Message::QueuedOperation(Box::new(operation)))
            .map_err(|_| StoreError::Closed { operation: name })?;
        answer.await.unwrap_or(Err(StoreError::Closed { operation: name }))
    }

    /// Writes what is only in memory and ends the thread. A second call finds it closed, which is what was wanted.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        if self.queue.send(Message::Close(reply)).is_err() {
            return Ok(());
        }
        answer.await.unwrap_or(Ok(()))
    }
}

struct Loop {
    sql: Connection,
    memory: Arc<Memory>,
    place: Arc<str>,
    flushed: Instant,
    /// Whether the last turn had several operations: only then waiting for more pays.
    loaded: bool,
    /// SQLite's counter of changes by other processes.
    version: i64,
}

impl Loop {
    fn run(mut self, messages: &Receiver<Message>) {
        self.version = self.data_version();
        loop {
            let mut operations = Vec::new();
            let mut close = None;
            let wait = FLUSH.saturating_sub(self.flushed.elapsed());
            match messages.recv_timeout(wait) {
                Ok(Message::QueuedOperation(operation)) => operations.push(operation),
                Ok(Message::Close(reply)) => close = Some(reply),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.flush();
                    return;
                }
            }
            if close.is_none() && !operations.is_empty() {
                close = self.gather(messages, &mut operations);
            }
            self.commit(operations);
            if let Some(reply) = close {
                let _ = reply.send(self.finish());
                return;
            }
            if self.flushed.elapsed() >= FLUSH {
                self.turn_of_the_second();
            }
        }
    }

    /// Takes what has queued, and under load what comes within a moment.
    fn gather(
        &mut self,
        messages: &Receiver<Message>,
        operations: &mut Vec<Box<dyn Queued>>,
    ) -> Option<oneshot::Sender<Result<(), StoreError>>> {
        let until = Instant::now() + GATHER;
        while operations.len() < MOST {
            let next = match messages.try_recv() {
                Ok(message) => message,
                Err(_) if self.loaded || operations.len() > 1 => {
                    match messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                        Ok(message) => message,
                        Err(_) => break,
                    }
                }
                Err(_) => break,
            };
            match next {
                Message::QueuedOperation(operation) => operations.push(operation),
                Message::Close(reply) => return Some(reply),
            }
        }
        self.loaded = operations.len() > 1;
        None
    }

    /// Commits these operations, and answers them. When SQLite gives up the whole transaction in the middle (a full disk),
    /// those before share the fault, and those after are tried in another one.
    fn commit(&mut self, mut operations: Vec<Box<dyn Queued>>) {
        let mut way = Way::Together;
        while !operations.is_empty() {
            let mut turn = Turn::default();
            let outcome = self.attempt(&mut operations, way, &mut turn);
            if let Err(fault) = outcome {
                let _ = self.sql.execute_batch("ROLLBACK");
                if matches!(way, Way::Together) {
                    way = Way::Apart;
                    continue;
                }
                let rest = operations.split_off(turn.done);
                for mut operation in std::mem::replace(&mut operations, rest) {
                    operation.fail(fault.clone());
                    operation.answer();
                }
                continue;
            }
            for effect in turn.effects {
                effect(&self.memory);
            }
            for operation in operations.drain(..) {
                operation.answer();
            }
        }
    }

    fn attempt(&mut self, operations: &mut [Box<dyn Queued>], way: Way, turn: &mut Turn) -> Step<()> {
        turn.done = operations.len();
        self.sql.execute_batch("BEGIN IMMEDIATE")?;
        let saved = self.memory.dictionaries().save(&self.sql)?;
        for (index, operation) in operations.iter_mut().enumerate() {
            match way {
                Way::Together => operation.run(&mut turn.context(&self.sql, &self.memory))?,
                Way::Apart => self.apart(operation, index, turn)?,
            }
        }
        // Phrases that the operations themselves have made.
        let saved = self.memory.dictionaries().save_since(&self.sql, saved)?;
        self.sql.execute_batch("COMMIT")?;
        self.memory.dictionaries().saved(saved);
        Ok(())
    }

    /// Does an operation in a savepoint. An error of its own is told to it; one that takes the transaction along is returned.
    fn apart(&self, operation: &mut Box<dyn Queued>, index: usize, turn: &mut Turn) -> Step<()> {
        let before = turn.effects.len();
        let seen = turn.seen.clone();
        self.sql.prepare_cached("SAVEPOINT operation")?.execute([])?;
        if let Err(fault) = operation.run(&mut turn.context(&self.sql, &self.memory)) {
            turn.effects.truncate(before);
            turn.seen = seen;
            if self.sql.is_autocommit() {
                turn.done = index + 1;
                return Err(fault);
            }
            self.sql.prepare_cached("ROLLBACK TO operation")?.execute([])?;
            operation.fail(fault);
        }
        self.sql.prepare_cached("RELEASE operation")?.execute([])?;
        Ok(())
    }

    fn turn_of_the_second(&mut self) {
        self.flushed = Instant::now();
        if let Err(fault) = self.flush() {
            let error = fault.into_error("write last seen", &self.place);
            tracing::error!(error = %error, "last seen was not written; it stays in memory and is tried again");
        }
        // Another process (`muster-collector token`) may have changed what is kept in memory.
        let version = self.data_version();
        if version != self.version {
            self.version = version;
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
            let _ = self.sql.execute_batch("ROLLBACK");
            self.memory.put_back(&taken);
        }
        written
    }

    fn finish(&self) -> Result<(), StoreError> {
        self.flush().map_err(|fault| fault.into_error("close", &self.place))?;
        // The log goes into the file, so that the file alone is the database. A reader may be in the way: no harm.
        let _ = self.sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        Ok(())
    }
}
