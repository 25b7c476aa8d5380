//! Addresses and networks, as settings name them.

use std::net::IpAddr;

/// A network: an address, or an address with the length of its prefix (CIDR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `192.0.2.7`, `10.0.0.0/8`, `2001:db8::1` or `2001:db8::/32`.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let form = || format!("{text:?} is not an address or a network; write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32");
        let address: IpAddr = address.parse().map_err(|_| form())?;
        let longest = bits_of(address);
        let bits = match length {
            Some(length) => length.parse().ok().filter(|bits| *bits <= longest).ok_or_else(form)?,
            None => longest,
        };
        if bits == 0 {
            return Err(format!(
                "{text:?} matches every address, so any client could forge its address; name only your proxies"
            ));
        }
        let first = first_of(address, bits);
        if first != address {
            return Err(format!("{text:?} has host bits set; write {first}/{bits}, or the address without a length"));
        }
        if address.to_canonical() != address {
            return Err(format!("{text:?} is an address of IPv4 inside IPv6; write {}", address.to_canonical()));
        }
        Ok(Self { address, bits })
    }

    /// Whether the address belongs to it. An address of IPv4 inside IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && first_of(address, self.bits) == self.address
    }
}

const fn bits_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The first address of the network of this length; the length is not zero.
fn first_of(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or_default();
            IpAddr::from((v4.to_bits() & mask).to_be_bytes())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or_default();
            IpAddr::from((v6.to_bits() & mask).to_be_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_of_its_prefix() {
        let has = |network: &str, address: &str| {
            Network::parse(network).expect("a network").contains(address.parse().expect("an address"))
        };
        for (network, inside, outside) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("10.0.0.0/8", "10.255.3.1", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "127.0.0.1"),
            ("128.0.0.0/1", "255.1.1.1", "127.1.1.1"),
        ] {
            assert!(has(network, inside), "{inside} is in {network}");
            assert!(!has(network, outside), "{outside} is not in {network}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_what_to_write() {
        for (wrong, text) in [
            ("", "write 192.0.2.7"),
            ("proxy.example.com", "write 192.0.2.7"),
            ("10.0.0.0/33", "write 192.0.2.7"),
            ("10.0.0.0/-1", "write 192.0.2.7"),
            ("10.0.0.0/", "write 192.0.2.7"),
            ("10.1.2.3/8", "write 10.0.0.0/8"),
            ("0.0.0.0/0", "every address"),
            ("::/0", "every address"),
            ("::ffff:10.0.0.1", "write 10.0.0.1"),
        ] {
            let refused = Network::parse(wrong).expect_err(wrong);
            assert!(refused.contains(text), "{refused}");
        }
    }
}
