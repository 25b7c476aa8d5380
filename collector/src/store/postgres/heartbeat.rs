//! The heartbeat. Once a second it writes "last seen", shows the other collectors that this one is running, and learns
//! which of them are running and what they have changed.
//!
//! The heartbeat's connection holds an advisory lock on the collector's number. While the lock exists, claims under
//! this number are held. When the process ends, the system closes the connection and the server releases the lock, so
//! nothing needs to be cleaned up after a crash.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::HostId;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use super::fault::{PostgresFault, Step};
use super::identity::{CHANNEL, RULES};
use super::memory::{Memory, Unwritten};
use super::pool::{Pool, Transaction};
use super::session::Session;
use super::writer::Writer;
use super::{last_seen, rules};
use crate::store::StoreError;

/// How often "last seen" is written.
const FLUSH: Duration = Duration::from_secs(1);
/// Check-ins in one transaction.
const MOST: usize = 4_096;
/// How long one heartbeat may take before its connection counts as lost.
const BEAT_TIMEOUT: Duration = Duration::from_secs(2);
/// The class of the advisory locks of collectors: "MU" in ASCII.
const CLASS: i32 = 0x4d55;

/// The numbers of running collectors, and of the rules that they have.
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
    /// Sends the first heartbeat, so that the number is locked before anything is claimed under it, and starts the
    /// task.
    pub(super) async fn start(pool: Pool, memory: Arc<Memory>, writer: Arc<Writer>, me: i32) -> Step<Self> {
        let parts = Arc::new(Parts { pool, memory, writer, me });
        let (notify, notifications) = unbounded_channel();
        let mut listener = Listener { parts: Arc::clone(&parts), session: None, has_number: false, shown: 0, notify };
        listener.beat().await?;
        if !listener.has_number {
            // Numbers come from a sequence, so only a damaged or restored sequence gives one out twice.
            return Err(PostgresFault::other(format!("another collector runs under the number {me}")));
        }
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(Arc::clone(&parts), listener, notifications, stopped));
        Ok(Self { task: Mutex::new(Some((stop, task))), parts })
    }

    /// Stops the task, and writes what is only in memory. The writer must still be running.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let Some((stop, task)) = self.task.lock().await.take() else { return Ok(()) };
        // Either fails only if the task has ended already.
        let _ = stop.send(());
        let _ = task.await;
        self.parts.flush().await
    }
}

impl Drop for Heartbeat {
    /// If the store was not closed, its claims become free, as after a crash of the process.
    fn drop(&mut self) {
        if let Some((_, task)) = self.task.get_mut().take() {
            task.abort();
        }
    }
}

async fn run(
    parts: Arc<Parts>,
    mut listener: Listener,
    mut notifications: UnboundedReceiver<String>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut turns = tokio::time::interval(FLUSH);
    // After a slow turn the next one still comes a second later, instead of several at once.
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            Some(payload) = notifications.recv() => match payload.as_str() {
                RULES => parts.memory.rules_notify().notify_one(),
                // A payload that is no id forgets all identities, which is always safe.
                host => parts.memory.identities_forget(host.parse::<HostId>().ok()),
            },
            _ = turns.tick() => {
                let beat = tokio::time::timeout(BEAT_TIMEOUT, listener.beat()).await;
                // A heartbeat that was cut off leaves the connection in an unknown state.
                if !matches!(beat, Ok(Ok(()))) {
                    listener.lose();
                }
                match parts.flush().await {
                    Ok(()) => is_failing = false,
                    // Logged once per outage and not every second.
                    Err(error) if !is_failing => {
                        is_failing = true;
                        tracing::error!(error = %error, "cannot write when hosts were last seen; it stays in memory and will be tried again");
                    }
                    Err(_) => {}
                }
            }
        }
    }
}

impl Parts {
    /// Writes what is only in memory. A check-in is done again if another collector has changed its host.
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
            // Forget the host first: its cached state already covers this check-in, so it would count as a replay.
            self.memory.host_forget(unwritten.operation.host);
            self.writer.check_in_again(unwritten.operation.clone());
        }
        Ok(())
    }
}

/// The connection on which this collector shows its heartbeat and is notified of changes.
struct Listener {
    parts: Arc<Parts>,
    session: Option<Session>,
    /// Whether the lock of this collector's number is held on this connection.
    has_number: bool,
    /// The rules that are locked on this connection; 0 means none.
    shown: i32,
    notify: UnboundedSender<String>,
}

impl Listener {
    /// Shows that this collector is running, and learns which others are.
    async fn beat(&mut self) -> Step<()> {
        if self.session.as_ref().is_none_or(Session::is_closed) {
            // Notifications were missed in the meantime, so nothing that is cached can be trusted.
            self.lose();
            let (address, tls) = self.parts.pool.address();
            let session = Session::open(address, tls, Some(self.notify.clone())).await?;
            session.batch(&format!("LISTEN {CHANNEL}")).await?;
            // Changes before LISTEN were not announced to this connection.
            self.parts.memory.identities_forget(None);
            self.parts.memory.rules_notify().notify_one();
            self.session = Some(session);
        }
        let Some(session) = &self.session else { return Ok(()) };
        if !self.has_number {
            // After a reconnect, the server may keep the lost connection and its lock for minutes. The lock is asked for
            // at each heartbeat until it is ours: when the old one goes, our claims must not become free.
            let taken = session.query_first("SELECT pg_try_advisory_lock($1, $2)", &[&CLASS, &self.parts.me]).await?;
            self.has_number = taken.map_or(Ok(false), |taken| taken.try_get(0))?;
        }
        let mine = self.parts.memory.rules().mine();
        if mine != self.shown {
            // The new lock comes before the old one goes, so that this collector is never without rules to show.
            session.query("SELECT pg_advisory_lock_shared($1, $2)", &[&rules::CLASS, &mine]).await?;
            if self.shown != 0 {
                session.query("SELECT pg_advisory_unlock_shared($1, $2)", &[&rules::CLASS, &self.shown]).await?;
            }
            self.shown = mine;
        }
        let (mut running, mut held) = (HashSet::new(), HashSet::new());
        for found in session.query(FIND, &[&CLASS, &rules::CLASS]).await? {
            let (class, no): (i32, i32) = (found.try_get(0)?, found.try_get(1)?);
            if class == CLASS {
                running.insert(no)
            } else {
                held.insert(no)
            };
        }
        let in_force = session.query_first(rules::IN_FORCE, &[]).await?;
        let in_force = in_force.map(|found| found.try_get(0)).transpose()?;
        self.parts.memory.rules().update(in_force, &held);
        self.parts.memory.connected(running);
        Ok(())
    }

    fn lose(&mut self) {
        (self.session, self.has_number, self.shown) = (None, false, 0);
        self.parts.memory.disconnected();
        // The server may have crashed and lost editions that were not on its disk yet.
        self.parts.writer.forget_editions();
    }
}
