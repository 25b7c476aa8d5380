//! Sequences of connections, each with the one that must give way.

use super::*;

const BOUNDS: AdmissionBounds = AdmissionBounds {
    connections: 6,
    strangers_per_address: 3,
    per_peer: 2,
    spare_after: Duration::from_secs(10),
    known_addresses: 2,
    known_for: Duration::from_secs(60),
};

/// An admission, and the instant of its events. Connections in `served` are those that the collector works for.
struct Play {
    admission: Admission,
    now: Instant,
    began: Instant,
    served: Vec<Slot>,
}

impl Play {
    fn new() -> Self {
        let now = Instant::now();
        Self { admission: Admission::new(BOUNDS), now, began: now, served: Vec::new() }
    }

    /// A connection from this address: its slot and the one that is closed for it; `None` if it is refused.
    fn accept(&mut self, address: &str) -> Option<(Slot, Option<Slot>)> {
        let (served, since) = (self.served.clone(), self.began);
        let ask = |slot| if served.contains(&slot) { Waits::ForCollector } else { Waits::ForPeer { since } };
        match self.admission.accept(at(address), self.now, &ask) {
            Decision::Keep { slot, closes } => Some((slot, closes.map(|eviction| eviction.slot))),
            Decision::Refuse => None,
        }
    }

    /// A connection that must be kept without closing another one.
    fn keep(&mut self, address: &str) -> Slot {
        let (slot, closes) = self.accept(address).expect("kept");
        assert_eq!(closes, None, "{address}");
        slot
    }

    fn prove(&mut self, slot: Slot, peer: &[u8]) -> Option<Slot> {
        let (served, since) = (self.served.clone(), self.began);
        let ask = |slot| if served.contains(&slot) { Waits::ForCollector } else { Waits::ForPeer { since } };
        self.admission.prove(slot, peer, self.now, &ask).map(|eviction| eviction.slot)
    }
}

fn at(text: &str) -> AddressKey {
    AddressKey::of(text.parse().expect("an address"))
}

#[test]
fn the_oldest_stranger_of_an_address_gives_way_at_its_limit() {
    let mut play = Play::new();
    let slots: Vec<Slot> = (0..3).map(|_| play.keep("192.0.2.1")).collect();
    play.keep("192.0.2.2");
    assert_eq!(play.accept("192.0.2.1").expect("kept").1, Some(slots[0]));
    assert_eq!(play.admission.counts(), (4, 4));
    play.served = slots;
    let newest = play.accept("192.0.2.1").expect("kept").1.expect("one");
    assert!(!play.served.contains(&newest), "the collector works for the others");
}

#[test]
fn an_address_whose_strangers_are_all_served_has_to_wait() {
    let mut play = Play::new();
    play.served = (0..3).map(|_| play.keep("192.0.2.1")).collect();
    assert_eq!(play.accept("192.0.2.1"), None);
    play.keep("192.0.2.2");
}

#[test]
fn hosts_behind_one_address_are_limited_by_the_total_only() {
    let mut play = Play::new();
    for host in 0..6_u8 {
        let slot = play.keep("192.0.2.1");
        assert_eq!(play.prove(slot, &[host]), None);
    }
    assert_eq!(play.admission.counts(), (6, 0));
    assert_eq!(play.accept("192.0.2.1"), None, "hosts do not give way");
}

#[test]
fn a_proven_connection_without_a_call_for_long_gives_way_when_no_stranger_does() {
    let mut play = Play::new();
    let mut slots = Vec::new();
    for host in 0..6_u8 {
        slots.push(play.keep("192.0.2.1"));
        play.prove(slots[usize::from(host)], &[host]);
    }
    play.now += BOUNDS.spare_after;
    play.served = vec![slots[0], slots[1]];
    let (stranger, closed) = play.accept("192.0.2.9").expect("kept");
    assert_eq!(closed, Some(slots[2]), "the oldest that is not served");
    assert_eq!(play.accept("192.0.2.9").expect("kept").1, Some(stranger), "strangers first");
}

#[test]
fn when_all_slots_are_taken_strangers_of_unknown_addresses_give_way_first() {
    let mut play = Play::new();
    let host = play.keep("192.0.2.1");
    let of_known = play.keep("192.0.2.1");
    play.prove(host, b"host");
    let unknown: Vec<Slot> = (2..6).map(|n| play.keep(&format!("192.0.2.{n}"))).collect();
    let (newest, closed) = play.accept("192.0.2.9").expect("kept");
    assert_eq!(closed, Some(unknown[0]));
    for slot in unknown.iter().skip(1).chain([&newest]) {
        assert_eq!(play.accept("192.0.2.1").expect("kept").1, Some(*slot));
    }
    assert_eq!(play.accept("192.0.2.9"), None, "an unknown address pushes out no known one");
    assert_eq!(play.accept("192.0.2.1").expect("kept").1, Some(of_known), "a known one does");
    play.now += BOUNDS.known_for;
    assert!(play.accept("192.0.2.9").expect("kept").1.is_some(), "it is no longer known");
}

#[test]
fn in_an_overload_the_connections_in_their_handshake_are_finished() {
    let mut play = Play::new();
    let slots: Vec<Slot> = (1..7).map(|n| play.keep(&format!("192.0.2.{n}"))).collect();
    play.served = vec![slots[0], slots[1]];
    for n in 10..20 {
        let closed = play.accept(&format!("192.0.2.{n}")).expect("kept").1.expect("one");
        assert!(!play.served.contains(&closed));
    }
    play.served = play.admission.connections.keys().copied().collect();
    assert_eq!(play.accept("192.0.2.30"), None, "the collector works for everybody");
}

#[test]
fn a_host_has_few_connections_and_the_oldest_that_is_not_served_gives_way() {
    let mut play = Play::new();
    let slots: Vec<Slot> = (1..5).map(|n| play.keep(&format!("192.0.2.{n}"))).collect();
    let closed: Vec<_> = slots.iter().take(3).filter_map(|slot| play.prove(*slot, b"host")).collect();
    assert_eq!(closed, [slots[0]]);
    play.served = vec![slots[1]];
    assert_eq!(play.prove(slots[3], b"host"), Some(slots[2]));
    assert_eq!(play.admission.of_peer[b"host".as_slice()].len(), BOUNDS.per_peer);
}

#[test]
fn nothing_is_left_of_closed_connections() {
    let mut play = Play::new();
    for n in 0..200_u8 {
        let Some((slot, _)) = play.accept(&format!("192.0.2.{}", n % 7)) else { continue };
        if n % 3 == 0 {
            play.prove(slot, &[n % 5]);
        }
        if n % 4 == 0 {
            play.served = vec![slot];
        }
    }
    while play.admission.shed().is_some() {}
    for slot in 0..=play.admission.next {
        play.admission.close(slot);
    }
    let Admission { connections, lines, strangers_of, of_peer, .. } = &play.admission;
    assert!(connections.is_empty() && strangers_of.is_empty() && of_peer.is_empty());
    assert!(lines.iter().all(Line::is_empty));
    assert_eq!(play.admission.counts(), (0, 0));
}
