//! The machine's addresses, from the kernel's tables `/proc/net/fib_trie` and `/proc/net/if_inet6`.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The local IPv4 addresses in `fib_trie`, without loopback.
#[must_use]
pub fn ipv4_of_fib_trie(text: &str) -> BTreeSet<Ipv4Addr> {
    let mut addresses = BTreeSet::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in text.lines() {
        let line = line.trim_start();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.trim().parse().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(address) = last
            && !address.is_loopback()
        {
            addresses.insert(address);
        }
    }
    addresses
}

/// The IPv6 addresses in `if_inet6`, without loopback and link-local ones, which mean nothing outside their link.
#[must_use]
pub fn ipv6_of_if_inet6(text: &str) -> BTreeSet<Ipv6Addr> {
    let address = |line: &str| u128::from_str_radix(line.split_whitespace().next()?, 16).ok().map(Ipv6Addr::from);
    text.lines()
        .filter_map(address)
        .filter(|address| !address.is_loopback() && !address.is_unicast_link_local())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_addresses_that_are_not_loopback_are_taken() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.1.2.3\n        \
                    /32 host LOCAL\n     |-- 10.1.2.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(ipv4_of_fib_trie(trie).into_iter().collect::<Vec<_>>(), [Ipv4Addr::new(10, 1, 2, 3)]);
        let six = "00000000000000000000000000000001 01 80 10 80 lo\nfe800000000000000000000000000001 02 40 20 80 eth0\n\
                   20010db8000000000000000000000042 02 40 00 80 eth0\nbroken\n";
        let found: Vec<String> = ipv6_of_if_inet6(six).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["2001:db8::42"]);
    }
}
