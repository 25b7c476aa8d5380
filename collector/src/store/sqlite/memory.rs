//! What the process holds in memory: when hosts were last seen, which would be too many row writes, and caches that
//! save reads. All of it can be rebuilt from the file; a crash loses at most a second of "last seen".

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_proto::model::{Digest, HostId, KeyFingerprint, RunId, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::Notify;

use super::dictionary::Dictionaries;
use super::fault::{Step, StoreFault};
use super::{number_mark, row};
use crate::store::decide::unchanged::{Remembered, SentKeys};
pub(super) use crate::store::decide::unchanged::{facts_key, state_key};
pub(super) use crate::store::last_seen::LastSeen;
use crate::store::recent_uploads::RecentUploads;
use crate::store::{CheckIn, CheckInAnswer, HostIdentity};

const SHARDS: usize = 64;

/// A host as it is cached.
#[derive(Debug, Clone)]
pub(super) struct CachedHost {
    pub(super) no: i64,
    pub(super) seen: Option<LastSeen>,
    pub(super) snapshot: Option<Digest>,
    /// When the host was last judged. An unchanged snapshot is judged again after a day.
    pub(super) judged_at: Option<Timestamp>,
    /// The keys of the stored facts and state; `None` if they are not cached.
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
    dirty: HashSet<HostId>,
}

/// The judge queue, in the order in which hosts have waited. It is also stored, in the hosts' rows.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Hosts that wait and are not claimed: (since when, host) to ticket.
    waiting: BTreeMap<(Timestamp, i64), i64>,
    /// Hosts that are claimed.
    claimed: HashMap<i64, Claim>,
    /// Since when each host in `waiting` has waited.
    since: HashMap<i64, Timestamp>,
}

/// A claim: the ticket that was claimed, when, and since when the host has waited.
#[derive(Debug, Clone, Copy)]
struct Claim {
    ticket: i64,
    at: Timestamp,
    since: Timestamp,
}

impl Queue {
    /// Adds a host with this ticket. A host that waits already keeps its place.
    pub(super) fn put(&mut self, host: i64, ticket: i64, now: Timestamp) {
        let since = match (self.since.get(&host), self.claimed.remove(&host)) {
            (Some(since), _) => *since,
            // A newer ticket ends the claim, but the host keeps its place.
            (None, Some(claim)) => claim.since,
            (None, None) => now,
        };
        self.since.insert(host, since);
        self.waiting.insert((since, host), ticket);
    }

    /// Removes a host that was judged with this ticket, unless it has a newer one.
    pub(super) fn remove(&mut self, host: i64, ticket: i64) {
        // A claim of a newer ticket stays: what was judged is no longer the state of the host.
        if self.claimed.get(&host).is_some_and(|claim| claim.ticket == ticket) {
            self.claimed.remove(&host);
        }
        // A stuck claim may have been taken back meanwhile; with the same ticket its judgement still counts.
        if let Some(since) = self.since.get(&host).copied()
            && self.waiting.get(&(since, host)) == Some(&ticket)
        {
            self.waiting.remove(&(since, host));
            self.since.remove(&host);
        }
    }

    /// Claims the hosts that have waited longest. A claim older than `lasts` is given to another caller, because its
    /// holder is stuck.
    pub(super) fn claim(&mut self, most: usize, now: Timestamp, lasts: Duration) -> Vec<(i64, i64)> {
        let stuck: Vec<i64> =
            self.claimed.iter().filter(|(_, claim)| now.since(claim.at) >= lasts).map(|(host, _)| *host).collect();
        for host in stuck {
            if let Some(claim) = self.claimed.remove(&host) {
                self.since.insert(host, claim.since);
                self.waiting.insert((claim.since, host), claim.ticket);
            }
        }
        let mut given = Vec::new();
        while given.len() < most
            && let Some(((since, host), ticket)) = self.waiting.pop_first()
        {
            self.since.remove(&host);
            self.claimed.insert(host, Claim { ticket, at: now, since });
            given.push((host, ticket));
        }
        given
    }

    /// The number of hosts that wait or are claimed, and since when the first of them has waited.
    pub(super) fn depth(&self) -> (usize, Option<Timestamp>) {
        let first = self.waiting.first_key_value().map(|((since, _), _)| *since);
        let claimed = self.claimed.values().map(|claim| claim.since).min();
        let oldest = [first, claimed].into_iter().flatten().min();
        (self.waiting.len() + self.claimed.len(), oldest)
    }
}

/// Hosts by their keys. `generation` counts how often entries were forgotten: what was read before is not cached after.
#[derive(Debug, Default)]
struct Identities {
    by_key: HashMap<KeyFingerprint, HostIdentity>,
    generation: u64,
}

/// The next number of a table's rows. Only the writer gives numbers.
#[derive(Debug)]
pub(super) struct NextNumber(AtomicI64);

impl NextNumber {
    const fn after(last: i64) -> Self {
        Self(AtomicI64::new(last + 1))
    }

    /// The number that the next row will have.
    pub(super) fn next(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Gives the number away. If its transaction fails, no row has it.
    pub(super) fn take(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Memory {
    shards: Vec<Mutex<Shard>>,
    identities: Mutex<Identities>,
    queue: Mutex<Queue>,
    ticket: AtomicI64,
    snapshots: NextNumber,
    sections: NextNumber,
    dictionaries: Dictionaries,
    recent: RecentUploads,
    queue_notify: Arc<Notify>,
    rules_notify: Arc<Notify>,
    /// Why a write has failed since the last check.
    write_fault: Mutex<Option<StoreFault>>,
}

impl Memory {
    /// Loads hosts, queue and dictionaries from the database.
    pub(super) fn load(sql: &Connection) -> Step<Self> {
        // One view of the file: while a command such as `tokens create` loads it, the collector adds rows that refer to each
        // other.
        let view = Transaction::new_unchecked(sql, TransactionBehavior::Deferred)?;
        let last = number_mark::last_numbers(sql)?;
        let memory = Self {
            snapshots: NextNumber::after(last.snapshot),
            sections: NextNumber::after(last.section),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            identities: Mutex::default(),
            queue: Mutex::default(),
            ticket: AtomicI64::new(0),
            dictionaries: Dictionaries::load(sql, last.edition)?,
            recent: RecentUploads::default(),
            queue_notify: Arc::default(),
            rules_notify: Arc::default(),
            write_fault: Mutex::default(),
        };
        let mut newest = 0;
        let mut statement = sql.prepare(
            "SELECT h.no, h.id, l.digest, h.judged_at, s.last_seen, s.run, s.seq, s.previous_run, s.previous_seq,
                    s.returns, h.ticket, h.queued_at
             FROM host h JOIN host_check_in s ON s.host = h.no LEFT JOIN snapshot l ON l.no = h.snapshot",
        )?;
        let mut rows = statement.query([])?;
        while let Some(found) = rows.next()? {
            let snapshot = found.get::<_, Option<[u8; 32]>>(2)?.map(Digest::from_bytes);
            let judged_at = row::maybe_instant(found, 3)?;
            let live = CachedHost {
                no: found.get(0)?,
                seen: row::seen(found, 4)?,
                snapshot,
                judged_at,
                // The first check-in that sends facts and state fills these in.
                facts: None,
                state: None,
            };
            if let (Some(ticket), Some(since)) = (found.get::<_, Option<i64>>(10)?, row::maybe_instant(found, 11)?) {
                newest = newest.max(ticket);
                lock(&memory.queue).put(live.no, ticket, since);
            }
            memory.host_put(HostId::from_bytes(found.get(1)?), live);
        }
        drop(rows);
        drop(statement);
        view.finish()?;
        // Tickets continue after the largest one that waits, so no host gets its present ticket a second time.
        memory.ticket.store(newest, Ordering::Relaxed);
        Ok(memory)
    }

    /// Notes that a write has failed.
    pub(super) fn write_fault_note(&self, fault: &StoreFault) {
        *lock(&self.write_fault) = Some(fault.clone());
    }

    /// Why a write has failed since this was asked last.
    pub(super) fn write_fault_take(&self) -> Option<StoreFault> {
        lock(&self.write_fault).take()
    }

    /// The dictionaries of editions and phrases.
    pub(super) const fn dictionaries(&self) -> &Dictionaries {
        &self.dictionaries
    }

    /// Sections and snapshots that were delivered recently.
    pub(super) const fn recent(&self) -> &RecentUploads {
        &self.recent
    }

    /// Notified when a host was put on the judge queue.
    pub(super) const fn queue_notify(&self) -> &Arc<Notify> {
        &self.queue_notify
    }

    /// Notified when what is applied over the rules has changed.
    pub(super) const fn rules_notify(&self) -> &Arc<Notify> {
        &self.rules_notify
    }

    /// A ticket that no host has had.
    pub(super) fn next_ticket(&self) -> i64 {
        self.ticket.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The numbers of snapshots.
    pub(super) const fn snapshots(&self) -> &NextNumber {
        &self.snapshots
    }

    /// The numbers of sections.
    pub(super) const fn sections(&self) -> &NextNumber {
        &self.sections
    }

    pub(super) fn host_put(&self, host: HostId, live: CachedHost) {
        lock(self.shard(host)).hosts.insert(host, live);
    }

    pub(super) fn host_no(&self, host: HostId) -> Option<i64> {
        lock(self.shard(host)).hosts.get(&host).map(|live| live.no)
    }

    pub(super) fn seen(&self, host: HostId) -> Option<LastSeen> {
        lock(self.shard(host)).hosts.get(&host).and_then(|live| live.seen)
    }

    /// The answer to a check-in that changes nothing but "last seen"; `None` if the database must be read.
    pub(super) fn check_in(&self, operation: &CheckIn) -> Option<CheckInAnswer> {
        // Hashed before the lock is taken, so that other hosts of the shard do not wait for it.
        let sent = SentKeys::of(operation);
        let mut guard = lock(self.shard(operation.host));
        let Shard { hosts, dirty } = &mut *guard;
        let live = hosts.get_mut(&operation.host)?;
        if !sent.change_nothing(operation, &live.remembered()) {
            return None;
        }
        live.seen = Some(LastSeen::after(live.seen, operation.run, operation.seq, operation.now));
        dirty.insert(operation.host);
        Some(CheckInAnswer::Current)
    }

    /// Applies a check-in or delivery that was committed.
    pub(super) fn note(
        &self,
        host: HostId,
        run: RunId,
        seq: u64,
        now: Timestamp,
        change: impl FnOnce(&mut CachedHost),
    ) {
        let mut guard = lock(self.shard(host));
        let Shard { hosts, dirty } = &mut *guard;
        if let Some(live) = hosts.get_mut(&host) {
            // A later check-in may have been faster: then only the time is newer.
            live.seen = Some(LastSeen::after(live.seen, run, seq, now));
            change(live);
            // The transaction does not write the check-in itself; the next flush does.
            dirty.insert(host);
        }
    }

    /// Renews when a host was last seen, and nothing else.
    pub(super) fn renew(&self, host: HostId, now: Timestamp) {
        let mut guard = lock(self.shard(host));
        let Shard { hosts, dirty } = &mut *guard;
        if let Some(live) = hosts.get_mut(&host) {
            live.seen = live.seen.map(|seen| seen.renewed(now));
            dirty.insert(host);
        }
    }

    /// Notes that a run was told to draw a new id.
    pub(super) fn note_return(&self, host: HostId, run: RunId) {
        let mut guard = lock(self.shard(host));
        let Shard { hosts, dirty } = &mut *guard;
        if let Some(live) = hosts.get_mut(&host) {
            live.seen = live.seen.map(|seen| seen.noted_return(run));
            dirty.insert(host);
        }
    }

    /// Forgets what a host has sent. `seen` changes its last check-in.
    pub(super) fn purged(&self, host: HostId, seen: impl FnOnce(LastSeen) -> LastSeen) {
        if let Some(live) = lock(self.shard(host)).hosts.get_mut(&host) {
            (live.snapshot, live.judged_at, live.facts, live.state) = (None, None, None, None);
            live.seen = live.seen.map(seen);
        }
        // What only this host has sent is not to stay here.
        self.recent.forget();
    }

    /// Notes that a host was judged.
    pub(super) fn judged(&self, host: HostId, at: Timestamp) {
        if let Some(live) = lock(self.shard(host)).hosts.get_mut(&host) {
            live.judged_at = Some(at);
        }
    }

    /// Takes the hosts whose last check-in is not stored yet, with that check-in.
    pub(super) fn take_dirty(&self) -> Vec<(HostId, i64, LastSeen)> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            let mut guard = lock(shard);
            let Shard { hosts, dirty } = &mut *guard;
            taken.extend(dirty.drain().filter_map(|host| {
                let live = hosts.get(&host)?;
                Some((host, live.no, live.seen?))
            }));
        }
        taken
    }

    /// Puts back check-ins that could not be written.
    pub(super) fn put_back(&self, taken: &[(HostId, i64, LastSeen)]) {
        for (host, ..) in taken {
            lock(self.shard(*host)).dirty.insert(*host);
        }
    }

    /// The cached host of a key, and the generation for [`Self::identity_put`].
    pub(super) fn identity(&self, key: &KeyFingerprint) -> (Option<HostIdentity>, u64) {
        let identities = lock(&self.identities);
        (identities.by_key.get(key).cloned(), identities.generation)
    }

    /// Caches what was read, unless keys have changed since this generation.
    pub(super) fn identity_put(&self, key: KeyFingerprint, identity: HostIdentity, generation: u64) {
        let mut identities = lock(&self.identities);
        if identities.generation == generation {
            identities.by_key.insert(key, identity);
        }
    }

    /// Forgets the keys of this host, or of all hosts.
    pub(super) fn identities_forget(&self, host: Option<HostId>) {
        let mut identities = lock(&self.identities);
        // A read that began before this must not put its outdated answer into the cache.
        identities.generation += 1;
        identities.by_key.retain(|_, identity| host.is_some_and(|host| identity.host != host));
    }

    /// The judge queue.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    fn shard(&self, host: HostId) -> &Mutex<Shard> {
        // Ids are random, so their last byte spreads hosts evenly.
        &self.shards[usize::from(host.as_bytes()[15]) % SHARDS]
    }
}

/// Locks even after a panic in another thread: the data has no state between its methods that a panic could break.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
