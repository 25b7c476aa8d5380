//! Which connections a listener keeps: pure decisions about addresses, hosts and slots. It opens and closes nothing; the
//! acceptor reports events and does what is decided.
//!
//! A *stranger* is a connection that has not proven who it is. Strangers give way: when an address has too many of them, or
//! when all slots are taken, the oldest one is closed. Strangers from an address that proved itself lately give way last.
//! Connections that have proven themselves are limited per host and in total only, because a whole office may share an
//! address. They give way only after a long time without a call. A connection that the collector works for never gives
//! way; otherwise an overload would close exactly the connections that are about to finish.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::addresses::{AddressKey, KnownAddresses};
use crate::telemetry::CloseReason;

/// How many connections in a row are asked whether they may give way. It bounds the time of a decision.
const CANDIDATES: usize = 64;

/// How many connections a listener keeps, and of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionBounds {
    /// Open connections.
    pub connections: usize,
    /// Strangers of one address that has not proven itself lately.
    pub strangers_per_address: usize,
    /// Connections of one host or account.
    pub per_peer: usize,
    /// A connection that has proven itself gives way only after this time without a call.
    pub spare_after: Duration,
    /// Addresses that are remembered because a peer there has proven itself.
    pub known_addresses: usize,
    /// How long they are remembered.
    pub known_for: Duration,
}

/// The number of a connection.
pub(super) type Slot = u64;

/// Whom a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// The collector works for it.
    ForCollector,
    /// Its peer has had the next move since then.
    ForPeer { since: Instant },
}

/// Tells whom a connection waits for at this moment.
pub(super) type Ask<'a> = &'a dyn Fn(Slot) -> Waits;

/// A connection that must be closed, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Eviction {
    pub(super) slot: Slot,
    pub(super) reason: CloseReason,
}

/// Whether a new connection is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is kept, and another one may have to be closed for it.
    Keep { slot: Slot, closes: Option<Eviction> },
    /// No connection may give way to it.
    Refuse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// A stranger at an address that is not known.
    Stranger,
    /// A stranger at a known address.
    StrangerAtKnown,
    /// It has proven itself.
    Proven,
}

#[derive(Debug)]
struct Connection {
    address: AddressKey,
    rank: Rank,
    /// Its place among those of its rank; a higher one gives way later.
    order: u64,
    peer: Option<Vec<u8>>,
}

/// Slots in the order in which they give way.
type Line = BTreeMap<u64, Slot>;

/// The connections of one listener.
#[derive(Debug)]
pub(super) struct Admission {
    bounds: AdmissionBounds,
    next: u64,
    connections: HashMap<Slot, Connection>,
    lines: [Line; 3],
    strangers_of: HashMap<AddressKey, Line>,
    of_peer: HashMap<Vec<u8>, Line>,
    known: KnownAddresses,
}

impl Admission {
    pub(super) fn new(bounds: AdmissionBounds) -> Self {
        Self {
            bounds,
            next: 0,
            connections: HashMap::new(),
            lines: [Line::new(), Line::new(), Line::new()],
            strangers_of: HashMap::new(),
            of_peer: HashMap::new(),
            known: KnownAddresses::new(bounds.known_addresses, bounds.known_for),
        }
    }

    /// Decides about a connection that was just accepted. What is closed is forgotten at once.
    pub(super) fn accept(&mut self, address: AddressKey, now: Instant, ask: Ask<'_>) -> Decision {
        let is_known = self.is_known(address, now);
        let at_address = self.strangers_of.get(&address).map_or(0, BTreeMap::len);
        let closes = if self.connections.len() >= self.bounds.connections {
            self.gives_way(is_known, now, ask).map(|slot| Eviction { slot, reason: CloseReason::slots_full })
        } else if !is_known && at_address >= self.bounds.strangers_per_address {
            // The oldest one and not the new one: otherwise silent connections would lock out everybody at the address.
            self.first_waiting(ask, |own| own.strangers_of.get(&address)?.values().next().copied())
                .map(|slot| Eviction { slot, reason: CloseReason::address_limit })
        } else {
            return Decision::Keep { slot: self.add(address, is_known), closes: None };
        };
        let Some(eviction) = closes else { return Decision::Refuse };
        self.close(eviction.slot);
        Decision::Keep { slot: self.add(address, is_known), closes }
    }

    fn add(&mut self, address: AddressKey, is_known: bool) -> Slot {
        self.next += 1;
        let slot = self.next;
        let rank = if is_known { Rank::StrangerAtKnown } else { Rank::Stranger };
        self.connections.insert(slot, Connection { address, rank, order: slot, peer: None });
        self.enter_lines(slot);
        slot
    }

    /// Which connection gives way to a new one: a stranger of an unknown address, then one of a known address unless the new
    /// one comes from an unknown address, then a proven one without a call for long.
    fn gives_way(&mut self, is_known: bool, now: Instant, ask: Ask<'_>) -> Option<Slot> {
        if let Some(slot) = self.first_waiting(ask, |own| own.first(Rank::Stranger)) {
            return Some(slot);
        }
        let at_known = |own: &Self| {
            let slot = own.first(Rank::StrangerAtKnown)?;
            // An address that is no longer known protects nobody.
            (is_known || !own.is_known(own.connections.get(&slot)?.address, now)).then_some(slot)
        };
        if let Some(slot) = self.first_waiting(ask, at_known) {
            return Some(slot);
        }
        let spare_after = self.bounds.spare_after;
        let is_spare = |slot| match ask(slot) {
            Waits::ForPeer { since } if now.duration_since(since) >= spare_after => Waits::ForPeer { since },
            Waits::ForPeer { .. } | Waits::ForCollector => Waits::ForCollector,
        };
        self.first_waiting(&is_spare, |own| own.first(Rank::Proven))
    }

    /// The first of a line that waits for its peer. Those before it go to the end of the line.
    fn first_waiting(&mut self, ask: Ask<'_>, first: impl Fn(&Self) -> Option<Slot>) -> Option<Slot> {
        for _ in 0..CANDIDATES {
            let slot = first(self)?;
            if ask(slot) != Waits::ForCollector {
                return Some(slot);
            }
            self.leave_lines(slot);
            self.next += 1;
            if let Some(connection) = self.connections.get_mut(&slot) {
                connection.order = self.next;
            }
            self.enter_lines(slot);
        }
        None
    }

    fn first(&self, rank: Rank) -> Option<Slot> {
        self.lines[rank as usize].values().next().copied()
    }

    /// The peer has proven that it is this host or account. Returns the connection of it that is closed if there are too
    /// many: the oldest one that waits for its peer.
    pub(super) fn prove(&mut self, slot: Slot, peer: &[u8], now: Instant, ask: Ask<'_>) -> Option<Eviction> {
        let address = self.connections.get(&slot).filter(|connection| connection.peer.is_none())?.address;
        self.leave_lines(slot);
        if let Some(connection) = self.connections.get_mut(&slot) {
            connection.peer = Some(peer.to_vec());
            connection.rank = Rank::Proven;
        }
        self.enter_lines(slot);
        self.remember(address, now);
        let own = self.of_peer.get(peer).filter(|own| own.len() > self.bounds.per_peer)?;
        let others = || own.values().copied().filter(|other| *other != slot);
        let closed = others().find(|other| ask(*other) != Waits::ForCollector).or_else(|| others().next());
        let slot = closed.unwrap_or(slot);
        self.close(slot);
        Some(Eviction { slot, reason: CloseReason::host_limit })
    }

    /// A peer at this address has proven itself. The strangers there are protected from those elsewhere.
    pub(super) fn remember(&mut self, address: AddressKey, now: Instant) {
        self.known.remember(address, now);
        let strangers: Vec<Slot> =
            self.strangers_of.get(&address).into_iter().flat_map(Line::values).copied().collect();
        for slot in strangers {
            self.leave_lines(slot);
            if let Some(connection) = self.connections.get_mut(&slot) {
                connection.rank = Rank::StrangerAtKnown;
            }
            self.enter_lines(slot);
        }
    }

    /// Whether a peer at this address has proven itself lately.
    pub(super) fn is_known(&self, address: AddressKey, now: Instant) -> bool {
        self.known.is_known(address, now)
    }

    /// The stranger that gives its descriptor back when the process has none left.
    pub(super) fn shed(&mut self) -> Option<Eviction> {
        let slot = self.first(Rank::Stranger).or_else(|| self.first(Rank::StrangerAtKnown))?;
        self.close(slot);
        Some(Eviction { slot, reason: CloseReason::descriptors })
    }

    /// The connection has ended.
    pub(super) fn close(&mut self, slot: Slot) {
        self.leave_lines(slot);
        self.connections.remove(&slot);
    }

    fn enter_lines(&mut self, slot: Slot) {
        let Some(Connection { address, rank, order, peer }) = self.connections.get(&slot) else { return };
        self.lines[*rank as usize].insert(*order, slot);
        match peer {
            Some(peer) => self.of_peer.entry(peer.clone()).or_default().insert(*order, slot),
            None => self.strangers_of.entry(*address).or_default().insert(*order, slot),
        };
    }

    fn leave_lines(&mut self, slot: Slot) {
        let Some(Connection { address, rank, order, peer }) = self.connections.get(&slot) else { return };
        self.lines[*rank as usize].remove(order);
        match peer {
            Some(peer) => leave(&mut self.of_peer, peer, *order),
            None => leave(&mut self.strangers_of, address, *order),
        }
    }

    /// The connections of the host or account of this connection; none of a stranger.
    pub(super) fn of_same_peer(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        let peer = self.connections.get(&slot).and_then(|connection| connection.peer.as_ref());
        peer.and_then(|peer| self.of_peer.get(peer)).into_iter().flat_map(Line::values).copied()
    }

    /// Open connections, and how many of them are strangers.
    pub(super) fn counts(&self) -> (usize, usize) {
        let proven = self.lines[Rank::Proven as usize].len();
        (self.connections.len(), self.connections.len() - proven)
    }
}

fn leave<K: std::hash::Hash + Eq>(lines: &mut HashMap<K, Line>, key: &K, order: u64) {
    if let Some(line) = lines.get_mut(key) {
        line.remove(&order);
        if line.is_empty() {
            lines.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
