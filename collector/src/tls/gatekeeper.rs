//! The connections of one listener at work: asks [`Admission`] about each event, and closes what it says.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::warn;

use super::activity::Activity;
use super::addresses::AddressKey;
use super::admission::{Admission, AdmissionBounds, Decision, Eviction, Slot, Waits};
use super::guesses::{GuessBounds, GuessReport, Guesses};
use crate::telemetry::{CloseReason, ListenerName, Metrics};

/// What the peers of a listener may take.
#[derive(Debug, Clone, Copy)]
pub struct PeerBounds {
    /// Whose connections are kept.
    pub admission: AdmissionBounds,
    /// Calls at once of one host or account, over all of its connections.
    pub calls_per_peer: usize,
    /// Wrong tokens.
    pub guesses: GuessBounds,
}

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
    calls_per_peer: usize,
    state: Mutex<State>,
    guesses: Mutex<Guesses>,
}

impl Gatekeeper {
    pub(super) fn new(name: ListenerName, bounds: PeerBounds, metrics: Arc<Metrics>) -> Arc<Self> {
        let state = State { admission: Admission::new(bounds.admission), lines: HashMap::new() };
        let (state, guesses) = (Mutex::new(state), Mutex::new(Guesses::new(bounds.guesses)));
        Arc::new(Self { name, metrics, calls_per_peer: bounds.calls_per_peer, state, guesses })
    }

    /// Takes the connection in; `None` if it must be closed at once.
    pub(super) fn accept(self: &Arc<Self>, address: IpAddr) -> Option<PeerHandle> {
        let (ip, address, now) = (address, AddressKey::of(address), Instant::now());
        // Nobody may show a wrong token for a long time, but somebody connects.
        drop(self.guesses(now));
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
        let seat = Seat { gatekeeper, slot, ip, address, line, is_proven, is_from_known_address };
        Some(PeerHandle { seat: Arc::new(seat), client: None })
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

    /// Wrong tokens, after the log was told of periods that have ended.
    fn guesses(&self, now: Instant) -> MutexGuard<'_, Guesses> {
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(GuessReport { address, count }) = guesses.ended(now) {
            warn!(listener = ?self.name, address = %address, count, "wrong tokens were shown from an address");
        }
        guesses
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
    /// The peer's address, whole.
    ip: IpAddr,
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
pub struct PeerHandle {
    seat: Arc<Seat>,
    /// The client of the request, if the peer is a trusted proxy.
    client: Option<AddressKey>,
}

impl PeerHandle {
    /// The address of the peer itself.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.seat.ip
    }

    /// The same connection, for a request that a trusted proxy passes on for a client at this address.
    #[must_use]
    pub fn for_client(&self, client: IpAddr) -> Self {
        Self { seat: Arc::clone(&self.seat), client: Some(AddressKey::of(client)) }
    }

    /// The peer has proven that it is this host or account. The connection of a trusted proxy then counts as proven, but as
    /// nobody's: it has requests of many.
    pub fn prove(&self, who: &[u8]) {
        // A peer proves itself once; the lock is not taken again for its later calls.
        if self.seat.is_proven.swap(true, Ordering::AcqRel) {
            return;
        }
        let gatekeeper = &self.seat.gatekeeper;
        let mut guard = gatekeeper.state();
        let State { admission, lines } = &mut *guard;
        let of_proxy = self.client.map(|_| format!("the proxy of connection {:?}", self.seat.slot));
        let who = of_proxy.as_deref().map_or(who, str::as_bytes);
        let eviction = admission.prove(self.seat.slot, who, Instant::now(), &|slot| waits(lines, slot));
        gatekeeper.evict(lines, eviction);
        gatekeeper.show(&guard);
    }

    /// A peer at this address has proven that it belongs here, for instance by enrolling.
    pub fn remember_address(&self) {
        self.seat.gatekeeper.state().admission.remember(self.seat.address, Instant::now());
    }

    /// Whether the host or account has more calls at once than it may, over all of its connections.
    #[must_use]
    pub fn has_too_many_calls(&self) -> bool {
        let gatekeeper = &self.seat.gatekeeper;
        let guard = gatekeeper.state();
        let lines = guard.admission.of_same_peer(self.seat.slot).filter_map(|slot| guard.lines.get(&slot));
        lines.map(|line| line.activity.open_calls()).sum::<usize>() > gatekeeper.calls_per_peer
    }

    /// Whether a token with this hash may be tried; if not, how long its address has to wait after wrong ones.
    ///
    /// # Errors
    /// The time to wait.
    pub fn may_try(&self, token: &[u8; 32]) -> Result<(), Duration> {
        let (gatekeeper, now) = (&self.seat.gatekeeper, Instant::now());
        let may_try = gatekeeper.guesses(now).may_try(self.address(), token, now);
        if may_try.is_err() {
            gatekeeper.metrics.wrong_token(gatekeeper.name);
        }
        may_try
    }

    /// The token that was tried is right or wrong.
    pub fn tried(&self, token: [u8; 32], is_right: bool) {
        let (gatekeeper, now) = (&self.seat.gatekeeper, Instant::now());
        let mut guesses = gatekeeper.guesses(now);
        if is_right {
            guesses.right(token);
        } else {
            guesses.wrong(self.address(), now);
            gatekeeper.metrics.wrong_token(gatekeeper.name);
        }
    }

    /// The address that it counts for: the client's, if a trusted proxy has passed the request on.
    #[must_use]
    pub fn address(&self) -> AddressKey {
        self.client.unwrap_or(self.seat.address)
    }

    /// Whether a peer at its address had proven itself lately when it was accepted.
    pub(super) fn is_from_known_address(&self) -> bool {
        self.seat.is_from_known_address
    }

    pub(super) fn is_proven(&self) -> bool {
        self.seat.is_proven.load(Ordering::Acquire)
    }

    /// The calls of the connection.
    pub(super) fn activity(&self) -> &Activity {
        &self.seat.line.activity
    }

    /// Waits until the connection must give way.
    pub(super) fn closing(&self) -> Arc<Notify> {
        Arc::clone(&self.seat.line.closing)
    }
}
