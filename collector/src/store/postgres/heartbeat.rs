//! What is done once a second: last seen is written, and the collector shows that it lives and hears of the others.
//!
//! A connection of its own holds an advisory lock in the collector's number: whoever sees the lock knows that the claims
//! of this number are held by somebody. The system ends the connection with the process, and the server the lock with
//! the connection, so there is nothing to clean up after a crash.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::HostId;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use super::fault::Step;
use super::identity::CHANNEL;
use super::memory::{Memory, Unwritten};
use super::pool::{Pool, Transaction};
use super::session::Session;
use super::writer::Writer;
use super::{last_seen, rules};
use crate::store::StoreError;

/// How often last seen is written.
const FLUSH: Duration = Duration::from_secs(1);
/// Check-ins in one transaction.
const MOST: usize = 4_096;
/// A sign of life that takes longer is none.
const SIGN: Duration = Duration::from_secs(2);
/// The class of the advisory locks of collectors: "MU" in ASCII.
const CLASS: i32 = 0x4d55;

/// Which collectors live, and which rules they have.
const FIND: &str = "
    SELECT classid::int8::int4, objid::int8::int4 FROM pg_locks
    WHERE locktype = 'advisory' AND classid IN ($1::int4::oid, $2::int4::oid) AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// See the head of the file.
pub(super) struct Heartbeat {
    task: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
    parts: Arc<Parts>,
}

struct Parts {
    pool: Pool,
    memory: Arc<Memory>,
    writer: Arc<Writer>,
    /// This collector's number.
    me: i32,
}

impl Heartbeat {
    /// Takes the first turn, so that the number is held before anything is claimed, and starts.
    pub(super) async fn start(pool: Pool, memory: Arc<Memory>, writer: Arc<Writer>, me: i32) -> Step<Self> {
        let parts = Arc::new(Parts { pool, memory, writer, me });
        let (told, notes) = unbounded_channel();
        let mut listener = Listener { parts: Arc::clone(&parts), session: None, shown: 0, told };
        listener.sign().await?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(Arc::clone(&parts), listener, notes, stopped));
        Ok(Self { task: Mutex::new(Some((stop, task))), parts })
    }

    /// Ends the turns, and writes what is only in memory. The writer must still take reports.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let Some((stop, task)) = self.task.lock().await.take() else { return Ok(()) };
        let _ = stop.send(());
        let _ = task.await;
        self.parts.flush().await
    }
}

impl Drop for Heartbeat {
    /// A store that was not closed leaves its claims to others, as a process that was killed does.
    fn drop(&mut self) {
        if let Some((_, task)) = self.task.get_mut().take() {
            task.abort();
        }
    }
}

async fn run(
    parts: Arc<Parts>,
    mut listener: Listener,
    mut notes: UnboundedReceiver<String>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut turns = tokio::time::interval(FLUSH);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            Some(note) = notes.recv() => parts.memory.identities_forget(note.parse::<HostId>().ok()),
            _ = turns.tick() => {
                let signed = tokio::time::timeout(SIGN, listener.sign()).await;
                if !matches!(signed, Ok(Ok(()))) {
                    listener.lose();
                }
                match parts.flush().await {
                    Ok(()) => is_failing = false,
                    Err(error) if !is_failing => {
                        is_failing = true;
                        tracing::error!(error = %error, "last seen was not written; it stays in memory and is tried again");
                    }
                    Err(_) => {}
                }
            }
        }
    }
}

impl Parts {
    /// Writes what is only in memory. Check-ins whose hosts were changed by others are done again.
    async fn flush(&self) -> Result<(), StoreError> {
        let mut taken = self.memory.take_dirty();
        while !taken.is_empty() {
            let rest = taken.split_off(taken.len().min(MOST));
            if let Err(error) = self.write(&taken).await {
                self.memory.put_back(taken);
                self.memory.put_back(rest);
                return Err(error);
            }
            taken = rest;
        }
        Ok(())
    }

    async fn write(&self, taken: &[Unwritten]) -> Result<(), StoreError> {
        let changed: Vec<&Unwritten> = self
            .pool
            .run("write last seen", Transaction::Write, |lease| async move { last_seen::write(&lease, taken).await })
            .await?;
        for unwritten in changed {
            // Forgotten first: what is remembered of the host covers this very check-in.
            self.memory.host_forget(unwritten.operation.host);
            self.writer.check_in_again(unwritten.operation.clone());
        }
        Ok(())
    }
}

/// The connection on which changes are told.
struct Listener {
    parts: Arc<Parts>,
    session: Option<Session>,
    /// The rules that it shows on this connection; 0 is none.
    shown: i32,
    told: UnboundedSender<String>,
}

impl Listener {
    /// Shows that this collector lives, and learns who else does.
    async fn sign(&mut self) -> Step<()> {
        if self.session.as_ref().is_none_or(Session::is_closed) {
            // What was changed meanwhile was not heard of.
            self.lose();
            let (address, tls) = self.parts.pool.address();
            let session = Session::open(address, tls, Some(self.told.clone())).await?;
            session.batch(&format!("LISTEN {CHANNEL}")).await?;
            session.query("SELECT pg_try_advisory_lock($1, $2)", &[&CLASS, &self.parts.me]).await?;
            self.parts.memory.identities_forget(None);
            self.session = Some(session);
        }
        let Some(session) = &self.session else { return Ok(()) };
        let mine = self.parts.memory.rules().mine();
        if mine != self.shown {
            session.query("SELECT pg_advisory_lock_shared($1, $2)", &[&rules::CLASS, &mine]).await?;
            if self.shown != 0 {
                session.query("SELECT pg_advisory_unlock_shared($1, $2)", &[&rules::CLASS, &self.shown]).await?;
            }
            self.shown = mine;
        }
        let (mut living, mut held) = (HashSet::new(), HashSet::new());
        for found in session.query(FIND, &[&CLASS, &rules::CLASS]).await? {
            let (class, no): (i32, i32) = (found.try_get(0)?, found.try_get(1)?);
            if class == CLASS {
                living.insert(no)
            } else {
                held.insert(no)
            };
        }
        let in_force = session.query_first(rules::IN_FORCE, &[]).await?;
        let in_force = in_force.map(|found| found.try_get(0)).transpose()?;
        self.parts.memory.rules().heard(in_force, &held);
        self.parts.memory.connected(living);
        Ok(())
    }

    fn lose(&mut self) {
        (self.session, self.shown) = (None, 0);
        self.parts.memory.disconnected();
        // The server may have fallen, and forgotten editions that were not on its disk.
        self.parts.writer.forget_editions();
    }
}
