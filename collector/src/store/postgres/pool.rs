//! The pool of connections, and the attempts of an operation. A connection that is returned broken or in a transaction
//! is closed; the server then rolls the transaction back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address::Address;
use super::fault::{PostgresFault, Step};
use super::session::Session;
use super::tls::Tls;
use crate::store::StoreError;

/// The number of connections. Reads and single operations are short; deliveries have their own connections.
pub(super) const MOST: usize = 8;
/// The number of connections for searches. Their number is bounded by `searches.at_once`, so this is only its highest value.
pub(super) const SEARCHES: usize = 64;
/// How often an operation is tried again after a conflict with other transactions.
const TRIES: u32 = 8;
/// How long an operation is tried again while the database is not reachable. After that the agent gets the answer to come
/// back later.
const PATIENCE: Duration = Duration::from_secs(5);

/// The transaction in which an operation does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    /// No transaction: reads of one moment of the database, or a single statement that may run twice. It is tried again
    /// even if the answer was lost.
    Statement,
    /// All statements read the same moment of the database.
    Read,
    /// Writes. Doing the operation twice has the same effect as doing it once, so it is tried again even if the
    /// connection was lost during the commit.
    Write,
    /// Writes, and is not tried again if it may have been committed.
    WriteOnce,
}

/// See the head of the file.
#[derive(Clone)]
pub(super) struct Pool {
    inside: Arc<Inside>,
}

struct Inside {
    address: Address,
    tls: Tls,
    /// `None` once the store is closed.
    idle: Mutex<Option<Vec<Session>>>,
    turns: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(address: Address, tls: Tls, most: usize) -> Self {
        let idle = Mutex::new(Some(Vec::new()));
        Self { inside: Arc::new(Inside { address, tls, idle, turns: Arc::new(Semaphore::new(most)) }) }
    }

    /// Hosts and database.
    pub(super) fn place(&self) -> &str {
        &self.inside.address.place
    }

    pub(super) fn address(&self) -> (&Address, &Tls) {
        (&self.inside.address, &self.inside.tls)
    }

    /// Borrows a connection.
    pub(super) async fn lease(&self) -> Step<Lease> {
        let turn = Arc::clone(&self.inside.turns).acquire_owned().await.map_err(|_| PostgresFault::closed())?;
        let known = {
            let mut idle = self.inside.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let idle = idle.as_mut().ok_or(PostgresFault::closed())?;
            // The server may have closed connections while they were idle.
            idle.retain(|session| !session.is_closed());
            idle.pop()
        };
        let session = match known {
            Some(session) => session,
            None => Session::open(&self.inside.address, &self.inside.tls, None).await?,
        };
        let pool = Arc::clone(&self.inside);
        let (is_within, is_given_up) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Lease { session: Some(session), is_within, is_given_up, pool, _turn: turn })
    }

    /// Does an operation, and tries the whole operation again after faults that may pass. `work` runs once for each
    /// attempt, so it must change nothing but the database.
    ///
    /// # Errors
    /// The fault of the last attempt.
    pub(super) async fn run<T, F>(
        &self,
        operation: &'static str,
        transaction: Transaction,
        work: impl Fn(Arc<Lease>) -> F + Sync,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Step<T>> + Send,
        T: Send,
    {
        let mut tries = Tries::new(transaction != Transaction::WriteOnce);
        loop {
            let mut is_committing = false;
            let fault = match self.attempt(transaction, &work, &mut is_committing).await {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            tries.pause(fault, is_committing).await.map_err(|fault| fault.into_error(operation, self.place()))?;
        }
    }

    async fn attempt<T, F>(
        &self,
        transaction: Transaction,
        work: &(impl Fn(Arc<Lease>) -> F + Sync),
        is_committing: &mut bool,
    ) -> Step<T>
    where
        F: Future<Output = Step<T>> + Send,
        T: Send,
    {
        let lease = Arc::new(self.lease().await?);
        // If this future is dropped, its caller has gone, and nobody needs what a read finds.
        let cancel = matches!(transaction, Transaction::Statement | Transaction::Read).then(|| lease.cancel_on_drop());
        match transaction {
            Transaction::Statement => {}
            Transaction::Read => lease.begin_reading().await?,
            Transaction::Write | Transaction::WriteOnce => lease.begin().await?,
        }
        let outcome = work(Arc::clone(&lease)).await;
        cancel.into_iter().for_each(CancelOnDrop::disarm);
        if transaction == Transaction::Statement {
            return outcome;
        }
        if outcome.is_ok() && transaction != Transaction::Read {
            // From here on, a lost connection leaves open whether the transaction took place.
            *is_committing = true;
            lease.commit().await?;
        } else {
            // A transaction that only reads has nothing to commit.
            lease.roll_back().await;
        }
        outcome
    }

    /// Closes the idle connections; later operations fail with `Closed`.
    pub(super) fn close(&self) {
        // Callers that wait for a turn get an error instead of waiting for ever.
        self.inside.turns.close();
        self.inside.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A borrowed connection.
pub(super) struct Lease {
    session: Option<Session>,
    /// Whether a transaction is open, or was open when something failed.
    is_within: AtomicBool,
    /// Whether a statement was cancelled. The server may come to that late and end another statement.
    is_given_up: AtomicBool,
    pool: Arc<Inside>,
    _turn: OwnedSemaphorePermit,
}

impl std::ops::Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().unwrap_or_else(|| unreachable!("it is taken only when it is dropped"))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        let is_unclean = self.is_within.load(Ordering::Acquire) || self.is_given_up.load(Ordering::Acquire);
        if is_unclean || session.is_closed() {
            return;
        }
        if let Some(idle) = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            idle.push(session);
        }
    }
}

impl Lease {
    /// Begins a transaction in which each statement sees what was committed before it.
    pub(super) async fn begin(&self) -> Step<()> {
        // Set before BEGIN is sent: if this future is dropped, the connection must not go back to the pool.
        self.is_within.store(true, Ordering::Release);
        self.batch("BEGIN").await
    }

    /// Begins a transaction in which all statements read the same moment of the database.
    pub(super) async fn begin_reading(&self) -> Step<()> {
        self.is_within.store(true, Ordering::Release);
        self.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    /// Cancels the running statement when the guard is dropped.
    pub(super) fn cancel_on_drop(&self) -> CancelOnDrop<'_> {
        CancelOnDrop { lease: self, is_armed: true }
    }

    pub(super) async fn commit(&self) -> Step<()> {
        self.batch("COMMIT").await?;
        self.is_within.store(false, Ordering::Release);
        Ok(())
    }

    pub(super) async fn roll_back(&self) {
        if self.batch("ROLLBACK").await.is_ok() {
            self.is_within.store(false, Ordering::Release);
        }
    }
}

/// Cancels the statement that the lease's connection runs, unless it is disarmed. Closing the connection alone would let the
/// server work on until it has rows to send.
pub(super) struct CancelOnDrop<'l> {
    lease: &'l Lease,
    is_armed: bool,
}

impl CancelOnDrop<'_> {
    pub(super) fn disarm(mut self) {
        self.is_armed = false;
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if !self.is_armed {
            return;
        }
        self.lease.is_given_up.store(true, Ordering::Release);
        let (cancel, tls) = (self.lease.cancel_token(), self.lease.pool.tls.clone());
        // Outside of a runtime nothing can be sent, and the time limit of the statement ends it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // Nobody waits for it, and the time limit of the statement ends what is not cancelled.
                let _ = tokio::time::timeout(PATIENCE, cancel.cancel_query(tls)).await;
            });
        }
    }
}

/// Counts the attempts of an operation, and decides whether there is another one.
pub(super) struct Tries {
    made: u32,
    begun: tokio::time::Instant,
    /// Whether doing the operation twice has the same effect as doing it once.
    is_repeatable: bool,
}

impl Tries {
    pub(super) fn new(is_repeatable: bool) -> Self {
        Self { made: 0, begun: tokio::time::Instant::now(), is_repeatable }
    }

    /// Waits before another attempt, or returns the fault if there is none. `is_committing` means that the commit
    /// itself failed: it may have taken place, so only a repeatable operation is tried again.
    pub(super) async fn pause(&mut self, fault: PostgresFault, is_committing: bool) -> Step<()> {
        let may = match &fault {
            PostgresFault::Conflict(_) => self.made < TRIES,
            PostgresFault::ConnectionLost(_) => {
                (!is_committing || self.is_repeatable) && self.begun.elapsed() < PATIENCE
            }
            PostgresFault::Store(_) => false,
        };
        if !may {
            return Err(fault);
        }
        // Different processes wait for different times, so that two that conflicted do not conflict again.
        let spread = u64::from(std::process::id() % 7) + 1;
        // The pause doubles up to 320 ms.
        tokio::time::sleep(Duration::from_millis((5 << self.made.min(6)) + spread)).await;
        self.made += 1;
        Ok(())
    }
}
