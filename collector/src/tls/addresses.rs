//! What counts as one address, and which addresses have proven themselves lately.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// What counts as one address: an IPv4 address, or an IPv6 network of 64 bits, which is what one site gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressKey(IpAddr);

impl AddressKey {
    /// The key of an address. IPv4 addresses inside IPv6 count as IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64))),
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

impl std::fmt::Display for AddressKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

/// Addresses at which a peer has proven itself. When there is no space, the one that is oldest is forgotten.
#[derive(Debug)]
pub(super) struct KnownAddresses {
    most: usize,
    known_for: Duration,
    next: u64,
    seen: HashMap<AddressKey, (Instant, u64)>,
    /// The same addresses, in the order in which they were seen.
    order: BTreeMap<u64, AddressKey>,
}

impl KnownAddresses {
    pub(super) fn new(most: usize, known_for: Duration) -> Self {
        Self { most, known_for, next: 0, seen: HashMap::new(), order: BTreeMap::new() }
    }

    /// A peer at this address has proven itself.
    pub(super) fn remember(&mut self, address: AddressKey, now: Instant) {
        self.next += 1;
        if let Some((_, earlier)) = self.seen.insert(address, (now, self.next)) {
            self.order.remove(&earlier);
        }
        self.order.insert(self.next, address);
        if self.seen.len() > self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.seen.remove(&oldest);
        }
    }

    /// Whether a peer at this address has proven itself lately.
    pub(super) fn is_known(&self, address: AddressKey, now: Instant) -> bool {
        self.seen.get(&address).is_some_and(|(seen, _)| now.duration_since(*seen) < self.known_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> AddressKey {
        AddressKey::of(text.parse().expect("an address"))
    }

    #[test]
    fn a_network_of_64_bits_is_one_address_and_mapped_ipv4_is_ipv4() {
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_eq!(at("2001:db8::1").to_string(), "2001:db8::/64");
    }

    #[test]
    fn the_address_that_was_seen_longest_ago_is_forgotten_first() {
        let (mut known, now) = (KnownAddresses::new(2, Duration::from_secs(60)), Instant::now());
        for address in ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"] {
            known.remember(at(address), now);
        }
        assert!(known.is_known(at("192.0.2.1"), now) && known.is_known(at("192.0.2.3"), now));
        assert!(!known.is_known(at("192.0.2.2"), now));
        assert!(!known.is_known(at("192.0.2.1"), now + Duration::from_secs(60)), "after known_for");
        assert_eq!((known.seen.len(), known.order.len()), (2, 2));
    }
}
