//! The addresses of the running system's network interfaces. Linux has the same call, so it is tested there.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

/// Limit of entries that are looked at: some machines have an interface for each of their containers.
const ENTRIES: usize = 65_536;

/// The list that `getifaddrs` has made; freed when this is dropped.
struct Interfaces(*mut libc::ifaddrs);

impl Drop for Interfaces {
    #[expect(unsafe_code, reason = "the standard library lists no interfaces")]
    fn drop(&mut self) {
        // SAFETY: the list is one that `getifaddrs` has made, and nobody uses it after this.
        unsafe { libc::freeifaddrs(self.0) }
    }
}

/// All addresses of all interfaces; none if the system does not say.
#[expect(unsafe_code, reason = "the standard library lists no interfaces")]
pub(in crate::sources::macos) fn addresses() -> BTreeSet<IpAddr> {
    let mut first = ptr::null_mut();
    // SAFETY: the pointer is one that may be written. `getifaddrs(3)`.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return BTreeSet::new();
    }
    let interfaces = Interfaces(first);
    let mut found = BTreeSet::new();
    let mut interface = interfaces.0;
    for _ in 0..ENTRIES {
        if interface.is_null() {
            break;
        }
        // SAFETY: the list is there until `interfaces` is dropped, its pointers lead to its entries or are null, and an address
        // is the structure that its family says.
        unsafe {
            found.extend(address((*interface).ifa_addr));
            interface = (*interface).ifa_next;
        }
    }
    found
}

/// # Safety
/// The pointer is null, or leads to an address that is as long as its family says.
#[expect(unsafe_code, reason = "the family of an address says which structure it is")]
unsafe fn address(socket: *const libc::sockaddr) -> Option<IpAddr> {
    if socket.is_null() {
        return None;
    }
    // SAFETY: the caller says that the address is there, and as long as its family says. It need not be aligned.
    unsafe {
        match i32::from((*socket).sa_family) {
            libc::AF_INET => {
                let four = ptr::read_unaligned(socket.cast::<libc::sockaddr_in>());
                // The number is in the order of the network.
                Some(Ipv4Addr::from(four.sin_addr.s_addr.to_ne_bytes()).into())
            }
            libc::AF_INET6 => {
                let six = ptr::read_unaligned(socket.cast::<libc::sockaddr_in6>());
                Some(Ipv6Addr::from(six.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_those_by_which_this_machine_can_be_reached() {
        let all = addresses();
        assert!(all.contains(&Ipv4Addr::LOCALHOST.into()), "{all:?}");
        for address in &all {
            // A link-local address of IPv6 needs its interface too.
            if !matches!(address, IpAddr::V6(six) if six.is_unicast_link_local()) {
                std::net::UdpSocket::bind((*address, 0)).unwrap_or_else(|error| panic!("{address}: {error}"));
            }
        }
    }
}
