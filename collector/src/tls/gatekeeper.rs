//! The connections of one listener at work: asks [`Admission`] about each event, and closes what it says.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::activity::Activity;
use super::addresses::AddressKey;
use super::admission::{Admission, AdmissionBounds, Decision, Eviction, Slot, Waits};
use crate::telemetry::{CloseReason, ListenerName, Metrics};

/// What is needed of an open connection from outside.
#[derive(Debug, Clone)]
struct Line {
    closing: Arc<Notify>,
    activity: Activity,
}

#[derive(Debug)]
struct State {
    admission: Admission,
    lines: HashMap<Slot, Line>,
}

#[derive(Debug)]
pub(super) struct Gatekeeper {
    name: ListenerName,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

impl Gatekeeper {
    pub(super) fn new(name: ListenerName, bounds: AdmissionBounds, metrics: Arc<Metrics>) -> Arc<Self> {
        let state = State { admission: Admission::new(bounds), lines: HashMap::new() };
        Arc::new(Self { name, metrics, state: Mutex::new(state) })
    }

    /// Takes the connection in; `None` if it must be closed at once.
    pub(super) fn accept(self: &Arc<Self>, address: IpAddr) -> Option<PeerHandle> {
        let (address, now) = (AddressKey::of(address), Instant::now());
        let mut guard = self.state();
        let State { admission, lines } = &mut *guard;
        let Decision::Keep { slot, closes } = admission.accept(address, now, &|slot| waits(lines, slot)) else {
            drop(guard);
            self.metrics.connection_refused(self.name);
            return None;
        };
        self.evict(lines, closes);
        let line = Line { closing: Arc::default(), activity: Activity::new(now) };
        lines.insert(slot, line.clone());
        let is_from_known_address = admission.is_known(address, now);
        self.show(&guard);
        drop(guard);
        let gatekeeper = Arc::clone(self);
        let is_proven = AtomicBool::new(false);
        Some(PeerHandle(Arc::new(Seat { gatekeeper, slot, address, line, is_proven, is_from_known_address })))
    }

    /// Closes the oldest stranger, because the process has no descriptors left.
    pub(super) fn shed(&self) {
        let mut guard = self.state();
        let eviction = guard.admission.shed();
        self.evict(&mut guard.lines, eviction);
        self.show(&guard);
    }

    pub(super) fn closed(&self, reason: CloseReason) {
        self.metrics.closed(self.name, reason);
    }

    fn evict(&self, lines: &mut HashMap<Slot, Line>, eviction: Option<Eviction>) {
        let Some(Eviction { slot, reason }) = eviction else { return };
        if let Some(line) = lines.remove(&slot) {
            line.closing.notify_one();
        }
        self.metrics.closed(self.name, reason);
    }

    fn show(&self, state: &State) {
        self.metrics.set_strangers(self.name, state.admission.counts().1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No step leaves the state half changed, so a panic elsewhere has not damaged it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection without a line has ended, so nobody waits for it.
fn waits(lines: &HashMap<Slot, Line>, slot: Slot) -> Waits {
    lines.get(&slot).map_or_else(|| Waits::ForPeer { since: Instant::now() }, |line| line.activity.waits())
}

#[derive(Debug)]
struct Seat {
    gatekeeper: Arc<Gatekeeper>,
    slot: Slot,
    address: AddressKey,
    line: Line,
    is_proven: AtomicBool,
    is_from_known_address: bool,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut guard = self.gatekeeper.state();
        guard.admission.close(self.slot);
        guard.lines.remove(&self.slot);
        self.gatekeeper.show(&guard);
    }
}

/// The connection that a request came on; in the extensions of every request. A check that finds out who the peer is
/// reports it here, so that the connection no longer counts as a stranger.
#[derive(Debug, Clone)]
pub struct PeerHandle(Arc<Seat>);

impl PeerHandle {
    /// The peer has proven that it is this host or account.
    pub fn prove(&self, who: &[u8]) {
        // A peer proves itself once; the lock is not taken again for its later calls.
        if self.0.is_proven.swap(true, Ordering::AcqRel) {
            return;
        }
        let gatekeeper = &self.0.gatekeeper;
        let mut guard = gatekeeper.state();
        let State { admission, lines } = &mut *guard;
        let eviction = admission.prove(self.0.slot, who, Instant::now(), &|slot| waits(lines, slot));
        gatekeeper.evict(lines, eviction);
        gatekeeper.show(&guard);
    }

    /// A peer at this address has proven that it belongs here, for instance by enrolling.
    pub fn remember_address(&self) {
        self.0.gatekeeper.state().admission.remember(self.0.address, Instant::now());
    }

    /// The address that it counts for.
    #[must_use]
    pub fn address(&self) -> AddressKey {
        self.0.address
    }

    /// Whether a peer at its address had proven itself lately when it was accepted.
    pub(super) fn is_from_known_address(&self) -> bool {
        self.0.is_from_known_address
    }

    pub(super) fn is_proven(&self) -> bool {
        self.0.is_proven.load(Ordering::Acquire)
    }

    /// The calls of the connection.
    pub(super) fn activity(&self) -> &Activity {
        &self.0.line.activity
    }

    /// Waits until the connection must give way.
    pub(super) fn closing(&self) -> Arc<Notify> {
        Arc::clone(&self.0.line.closing)
    }
}
