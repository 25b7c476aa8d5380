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
    // SAFETY: the list is there until `interfaces` is dropped.
    unsafe { listed(interfaces.0) }
}

/// # Safety
/// The pointer leads to the first entry of a list as `getifaddrs(3)` describes it, or is null.
#[expect(unsafe_code, reason = "the list is one of pointers")]
unsafe fn listed(mut interface: *const libc::ifaddrs) -> BTreeSet<IpAddr> {
    let mut found = BTreeSet::new();
    for _ in 0..ENTRIES {
        if interface.is_null() {
            break;
        }
        // SAFETY: the pointers of a list lead to its entries or are null, and an address is the structure that its family says.
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
        match i32::from((&raw const (*socket).sa_family).read_unaligned()) {
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

    /// An entry of a list, with an address that begins at an odd place.
    struct Made {
        entry: libc::ifaddrs,
        _address: Vec<u8>,
    }

    #[expect(unsafe_code, reason = "the structures of the system are its bytes")]
    fn made<T>(address: &T, next: *mut libc::ifaddrs) -> Box<Made> {
        let mut bytes = vec![0; size_of::<T>() + 2];
        // SAFETY: all zeros are a valid entry, one without a name and an address. The bytes are those of the address, and the
        // place that is aligned for two of them has the address after it.
        unsafe {
            let mut entry: libc::ifaddrs = std::mem::zeroed();
            let odd = bytes.as_mut_ptr().add(1);
            ptr::from_ref(address).cast::<u8>().copy_to_nonoverlapping(odd, size_of::<T>());
            (entry.ifa_addr, entry.ifa_next) = (odd.cast(), next);
            Box::new(Made { entry, _address: bytes })
        }
    }

    #[test]
    #[expect(unsafe_code, reason = "the structures of the system are made by hand")]
    fn the_addresses_of_a_list_are_read_as_their_families_say() {
        // SAFETY: all zeros are valid addresses.
        let (mut four, mut six, mut other): (libc::sockaddr_in, libc::sockaddr_in6, libc::sockaddr) =
            unsafe { std::mem::zeroed() };
        four.sin_family = family(libc::AF_INET);
        four.sin_addr.s_addr = u32::from_ne_bytes([10, 1, 2, 3]);
        six.sin6_family = family(libc::AF_INET6);
        six.sin6_addr.s6_addr = "2001:db8::42".parse::<Ipv6Addr>().expect("an address").octets();
        other.sa_family = family(libc::AF_UNIX);
        let mut last = made(&four, ptr::null_mut());
        let mut without = made(&four, &raw mut last.entry);
        without.entry.ifa_addr = ptr::null_mut();
        let mut of_other = made(&other, &raw mut without.entry);
        let first = made(&six, &raw mut of_other.entry);
        // SAFETY: it is a list, and all its entries are still there.
        let (all, none) = unsafe { (listed(&raw const first.entry), listed(ptr::null())) };
        let expected = ["10.1.2.3", "2001:db8::42"].map(|text| text.parse().expect("an address"));
        assert_eq!((all, none), (BTreeSet::from(expected), BTreeSet::new()));
    }

    fn family(number: i32) -> libc::sa_family_t {
        number.try_into().expect("a family")
    }

    #[test]
    fn this_machine_has_the_address_that_every_machine_has() {
        let all = addresses();
        assert!(all.contains(&Ipv4Addr::LOCALHOST.into()), "{all:?}");
    }
}
