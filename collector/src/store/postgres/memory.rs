//! What the store keeps in memory: when hosts were last seen, and what saves a query.
//!
//! Other collectors change the same database, so nothing here is trusted without a limit:
//!
//! - **Check-ins that change nothing** are answered from here and flushed about once a second. The flush compares the
//!   row's `revision` with the remembered one. If another collector has changed the host in between, the check-in is
//!   repeated against the database. So a change that one collector took and another took back is wrong for a second at
//!   most, and is lost only if this collector crashes within that second.
//! - **Replays** are recognised from the database, and from memory if this collector has answered the first one. A replay
//!   at another collector that would change nothing only renews "last seen": the flush sees that the row covers it.
//! - **Identities** are forgotten when another collector announces that it has changed one, and are not used while the
//!   connection for announcements is lost. So every collector refuses a revoked host after [`IDENTITIES_TRUSTED`].

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use muster_proto::model::{Digest, HostId, KeyFingerprint, Timestamp};
use tokio::sync::Notify;

use super::rules;
use crate::store::decide::unchanged::{Remembered, SentKeys};
use crate::store::last_seen::LastSeen;
use crate::store::recent_uploads::RecentUploads;
use crate::store::{CheckIn, CheckInAnswer, HostIdentity};

const SHARDS: usize = 64;
/// For how long identities are used after the last sign that the connection for announcements works.
const IDENTITIES_TRUSTED: Duration = Duration::from_secs(3);

/// What is known of a host without a query.
#[derive(Debug, Clone)]
pub(super) struct CachedHost {
    pub(super) no: i32,
    /// How often the host had changed when this was read.
    pub(super) revision: i32,
    pub(super) seen: Option<LastSeen>,
    pub(super) snapshot: Option<Digest>,
    /// When the host was last judged; an unchanged snapshot is judged again when that is long ago.
    pub(super) judged_at: Option<Timestamp>,
    /// Of the facts and the state in the database; `None` is "not known here".
    pub(super) facts: Option<Digest>,
    pub(super) state: Option<Digest>,
}

impl CachedHost {
    fn remembered(&self) -> Remembered {
        let Self { seen, snapshot, judged_at, facts: facts_key, state: state_key, .. } = *self;
        Remembered { snapshot, judged_at, seen, facts_key, state_key }
    }
}

#[derive(Debug, Default)]
struct Shard {
    hosts: HashMap<HostId, CachedHost>,
    /// Check-ins that were answered from here and are not in the database yet; the last of each host.
    dirty: HashMap<HostId, CheckIn>,
}

/// A check-in that waits for the flush.
#[derive(Debug, Clone)]
pub(super) struct Unwritten {
    pub(super) live: CachedHost,
    pub(super) operation: CheckIn,
}

/// Hosts by their keys, and how often they were forgotten: an answer that was read before that is not kept.
#[derive(Debug, Default)]
struct Identities {
    by_key: HashMap<KeyFingerprint, HostIdentity>,
    generation: u64,
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Memory {
    shards: Vec<Mutex<Shard>>,
    identities: Mutex<Identities>,
    /// Numbers of the collectors that run now.
    collectors: Mutex<HashSet<i32>>,
    started: Instant,
    /// When the connection for announcements last worked, in milliseconds since `started`; 0 means that it is lost.
    connected_at: AtomicU64,
    rules: rules::RulesInForce,
    recent: RecentUploads,
    queue_notify: Arc<Notify>,
    rules_notify: Arc<Notify>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            identities: Mutex::default(),
            collectors: Mutex::default(),
            started: Instant::now(),
            connected_at: AtomicU64::new(0),
            rules: rules::RulesInForce::default(),
            recent: RecentUploads::default(),
            queue_notify: Arc::default(),
            rules_notify: Arc::default(),
        }
    }
}

impl Memory {
    /// Sections and snapshots that were lately delivered to this collector. They are named by their content, so no other
    /// collector can change them.
    pub(super) const fn recent(&self) -> &RecentUploads {
        &self.recent
    }

    /// Which rules are in force, and which this collector has.
    pub(super) const fn rules(&self) -> &rules::RulesInForce {
        &self.rules
    }

    /// Notified when this collector has put a host on the judge queue.
    pub(super) const fn queue_notify(&self) -> &Arc<Notify> {
        &self.queue_notify
    }

    /// Notified when what is applied over the rules has changed.
    pub(super) const fn rules_notify(&self) -> &Arc<Notify> {
        &self.rules_notify
    }

    pub(super) fn host_no(&self, host: HostId) -> Option<i32> {
        lock(self.shard(host)).hosts.get(&host).map(|live| live.no)
    }

    pub(super) fn seen(&self, host: HostId) -> Option<LastSeen> {
        lock(self.shard(host)).hosts.get(&host).and_then(|live| live.seen)
    }

    /// When a host was last seen: the newer of the memory and the column, which begins with the enrollment.
    pub(super) fn last_seen(&self, host: HostId, column: Timestamp) -> Timestamp {
        self.seen(host).map_or(column, |seen| seen.last_seen.max(column))
    }

    /// The answer to a check-in that changes nothing but when the host was last seen; or the check-in, if it needs the
    /// database.
    pub(super) fn check_in(&self, operation: CheckIn) -> ControlFlow<CheckInAnswer, CheckIn> {
        let sent = SentKeys::of(&operation);
        let mut guard = lock(self.shard(operation.host));
        let Shard { hosts, dirty } = &mut *guard;
        let Some(live) = hosts.get_mut(&operation.host) else { return ControlFlow::Continue(operation) };
        // If anything differs, the database decides, because it may know more.
        if !sent.change_nothing(&operation, &live.remembered()) {
            return ControlFlow::Continue(operation);
        }
        live.seen = Some(LastSeen::after(live.seen, operation.run, operation.seq, operation.now));
        dirty.insert(operation.host, operation);
        ControlFlow::Break(CheckInAnswer::Current)
    }

    /// Keeps what a transaction has read and written of a host. `before` is the revision that it found; what was
    /// remembered under another revision is forgotten.
    pub(super) fn host_put(&self, host: HostId, before: i32, now: CachedHost) {
        let mut guard = lock(self.shard(host));
        let Shard { hosts, .. } = &mut *guard;
        let Some(known) = hosts.get_mut(&host) else {
            hosts.insert(host, now);
            return;
        };
        if known.revision > now.revision {
            // The result of a later transaction came first.
            return;
        }
        let still = known.revision == before;
        let seen = match (known.seen, now.seen) {
            // A check-in that was answered from here overtook the transaction.
            (Some(known), Some(now)) if known.covers(now.run, now.seq) => {
                Some(known.renewed(now.last_seen).with_returns_of(&now))
            }
            (known, now) => now.or(known),
        };
        *known = CachedHost {
            seen,
            // With another revision the host may have another snapshot, so the remembered one is dropped.
            snapshot: now.snapshot.or(known.snapshot.filter(|_| known.revision == now.revision)),
            // What this transaction has not read is still right if nobody changed the host before it.
            facts: now.facts.or(known.facts.filter(|_| still)),
            state: now.state.or(known.state.filter(|_| still)),
            ..now
        };
    }

    /// Forgets a host: another collector has changed it.
    pub(super) fn host_forget(&self, host: HostId) {
        let mut guard = lock(self.shard(host));
        guard.hosts.remove(&host);
        guard.dirty.remove(&host);
    }

    /// Notes that a host was judged.
    pub(super) fn judged(&self, host: HostId, at: Timestamp) {
        if let Some(live) = lock(self.shard(host)).hosts.get_mut(&host) {
            live.judged_at = Some(at);
        }
    }

    /// Check-ins that are not in the database yet.
    pub(super) fn take_dirty(&self) -> Vec<Unwritten> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            let mut guard = lock(shard);
            let Shard { hosts, dirty } = &mut *guard;
            taken.extend(dirty.drain().filter_map(|(host, operation)| {
                let live = hosts.get(&host)?.clone();
                Some(Unwritten { live, operation })
            }));
        }
        taken
    }

    /// Check-ins that could not be written wait for the next flush, unless the host has a newer one.
    pub(super) fn put_back(&self, taken: Vec<Unwritten>) {
        for Unwritten { operation, .. } in taken {
            let host = operation.host;
            lock(self.shard(host)).dirty.entry(host).or_insert(operation);
        }
    }

    /// The host of a key if it is known and may be used, and the generation for [`Self::identity_put`].
    pub(super) fn identity(&self, key: &KeyFingerprint) -> (Option<HostIdentity>, u64) {
        let identities = lock(&self.identities);
        let known = self.is_trusted().then(|| identities.by_key.get(key).cloned()).flatten();
        (known, identities.generation)
    }

    /// Keeps what was read, unless keys were changed since this generation.
    pub(super) fn identity_put(&self, key: KeyFingerprint, identity: HostIdentity, generation: u64) {
        let mut identities = lock(&self.identities);
        if identities.generation == generation {
            identities.by_key.insert(key, identity);
        }
    }

    /// Forgets the identities of this host, or all: keys were changed.
    pub(super) fn identities_forget(&self, host: Option<HostId>) {
        let mut identities = lock(&self.identities);
        // A read that began before this must not put its outdated answer into the cache.
        identities.generation += 1;
        identities.by_key.retain(|_, identity| host.is_some_and(|host| identity.host != host));
    }

    /// The connection for announcements works, and these collectors run.
    pub(super) fn connected(&self, collectors: HashSet<i32>) {
        *lock(&self.collectors) = collectors;
        let since = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        // 0 means that the connection is lost, so the first millisecond counts as 1.
        self.connected_at.store(since.max(1), Ordering::Release);
    }

    /// The connection for announcements is lost.
    pub(super) fn disconnected(&self) {
        self.connected_at.store(0, Ordering::Release);
        self.identities_forget(None);
    }

    /// Numbers of the collectors that run now.
    pub(super) fn collectors(&self) -> Vec<i32> {
        lock(&self.collectors).iter().copied().collect()
    }

    fn is_trusted(&self) -> bool {
        let connected_at = self.connected_at.load(Ordering::Acquire);
        connected_at > 0 && self.started.elapsed() < Duration::from_millis(connected_at) + IDENTITIES_TRUSTED
    }

    fn shard(&self, host: HostId) -> &Mutex<Shard> {
        // Ids are random, so their last byte spreads hosts evenly.
        &self.shards[usize::from(host.as_bytes()[15]) % SHARDS]
    }
}

/// A lock that a panic has poisoned still guards plain data, so it is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
