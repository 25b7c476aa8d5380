//! A few connections that operations and reads borrow. One that is given back within a transaction, or broken, is closed: the
//! server then rolls back what was open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address::Address;
use super::fault::{PostgresFault, Step};
use super::session::Session;
use super::tls::Tls;
use crate::store::StoreError;

/// Connections at once. Reads and single operations are short; reports have connections of their own.
const MOST: usize = 8;
/// How often an operation is tried that others were in the way of.
const TRIES: u32 = 8;
/// How long an operation waits for a database that is not reachable before the agent is told to come back later.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the head of the file.
#[derive(Clone)]
pub(super) struct Pool {
    inside: Arc<Inside>,
}

struct Inside {
    address: Address,
    tls: Tls,
    /// Emptied for good when the store is closed.
    idle: Mutex<Option<Vec<Session>>>,
    turns: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(address: Address, tls: Tls) -> Self {
        let idle = Mutex::new(Some(Vec::new()));
        Self { inside: Arc::new(Inside { address, tls, idle, turns: Arc::new(Semaphore::new(MOST)) }) }
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
            idle.retain(|session| !session.is_closed());
            idle.pop()
        };
        let session = match known {
            Some(session) => session,
            None => Session::open(&self.inside.address, &self.inside.tls, None).await?,
        };
        let pool = Arc::clone(&self.inside);
        Ok(Lease { session: Some(session), is_within: AtomicBool::new(false), pool, _turn: turn })
    }

    /// Ends lending: later operations find the store closed.
    pub(super) fn close(&self) {
        self.inside.turns.close();
        self.inside.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The fault as callers see it.
    pub(super) fn error(&self, operation: &'static str, fault: PostgresFault) -> StoreError {
        fault.into_error(operation, self.place())
    }
}

/// A connection that is lent.
pub(super) struct Lease {
    session: Option<Session>,
    /// Whether a transaction is open, or was when something failed.
    is_within: AtomicBool,
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
        if self.is_within.load(Ordering::Acquire) || session.is_closed() {
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
        self.is_within.store(true, Ordering::Release);
        self.batch("BEGIN").await
    }

    /// Begins a transaction that reads one moment of the database, whole.
    pub(super) async fn begin_reading(&self) -> Step<()> {
        self.is_within.store(true, Ordering::Release);
        self.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
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

/// How often an operation was tried, and whether it may be again.
pub(super) struct Tries {
    made: u32,
    begun: tokio::time::Instant,
    /// Whether doing it twice is the same as doing it once.
    is_repeatable: bool,
}

impl Tries {
    pub(super) fn new(is_repeatable: bool) -> Self {
        Self { made: 0, begun: tokio::time::Instant::now(), is_repeatable }
    }

    /// Waits a moment when the fault is one that passes, or gives it back. `committing` is whether the commit itself has
    /// failed: then only what may be done twice is done again.
    pub(super) async fn pause(&mut self, fault: PostgresFault, committing: bool) -> Step<()> {
        let may = match &fault {
            PostgresFault::Conflict(_) => self.made < TRIES,
            PostgresFault::ConnectionLost(_) => (!committing || self.is_repeatable) && self.begun.elapsed() < PATIENCE,
            PostgresFault::Store(_) => false,
        };
        if !may {
            return Err(fault);
        }
        // Two that were in each other's way do not meet again at the same moment.
        let spread = u64::from(std::process::id() % 7) + 1;
        tokio::time::sleep(Duration::from_millis((5 << self.made.min(6)) + spread)).await;
        self.made += 1;
        Ok(())
    }
}

/// Does an operation in a transaction, and the whole operation again where that is right. The body is evaluated for each try; its
/// value is the operation's answer. `once` is for what must not be done twice when nobody knows whether it was committed.
macro_rules! operation {
    ($pool:expr, $name:literal, |$lease:ident| $body:expr) => {
        $crate::store::postgres::pool::operation!(@ $pool, $name, true, |$lease| $body)
    };
    ($pool:expr, $name:literal, once |$lease:ident| $body:expr) => {
        $crate::store::postgres::pool::operation!(@ $pool, $name, false, |$lease| $body)
    };
    (@ $pool:expr, $name:literal, $repeatable:expr, |$lease:ident| $body:expr) => {{
        let mut tries = $crate::store::postgres::pool::Tries::new($repeatable);
        loop {
            let mut committing = false;
            let outcome = async {
                let lease = $pool.lease().await?;
                lease.begin().await?;
                let $lease = &lease;
                match $body.await {
                    Ok(value) => {
                        committing = true;
                        lease.commit().await?;
                        Ok(value)
                    }
                    Err(fault) => {
                        lease.roll_back().await;
                        Err(fault)
                    }
                }
            };
            let outcome: $crate::store::postgres::fault::Step<_> = outcome.await;
            match outcome {
                Ok(value) => break Ok(value),
                Err(fault) => {
                    if let Err(fault) = tries.pause(fault, committing).await {
                        break Err($pool.error($name, fault));
                    }
                }
            }
        }
    }};
}
pub(super) use operation;

/// Reads in one transaction, which sees one moment of the database; again when the connection was lost.
macro_rules! read {
    ($pool:expr, $name:literal, |$lease:ident| $body:expr) => {{
        let mut tries = $crate::store::postgres::pool::Tries::new(true);
        loop {
            let outcome = async {
                let lease = $pool.lease().await?;
                lease.begin_reading().await?;
                let $lease = &lease;
                let outcome = $body.await;
                lease.roll_back().await;
                outcome
            };
            let outcome: $crate::store::postgres::fault::Step<_> = outcome.await;
            match outcome {
                Ok(value) => break Ok(value),
                Err(fault) => {
                    if let Err(fault) = tries.pause(fault, false).await {
                        break Err($pool.error($name, fault));
                    }
                }
            }
        }
    }};
}
pub(super) use read;

/// Reads with one statement, which needs no transaction to see one moment.
macro_rules! ask {
    ($pool:expr, $name:literal, |$lease:ident| $body:expr) => {{
        let mut tries = $crate::store::postgres::pool::Tries::new(true);
        loop {
            let outcome = async {
                let lease = $pool.lease().await?;
                let $lease = &lease;
                $body.await
            };
            let outcome: $crate::store::postgres::fault::Step<_> = outcome.await;
            match outcome {
                Ok(value) => break Ok(value),
                Err(fault) => {
                    if let Err(fault) = tries.pause(fault, false).await {
                        break Err($pool.error($name, fault));
                    }
                }
            }
        }
    }};
}
pub(super) use ask;
