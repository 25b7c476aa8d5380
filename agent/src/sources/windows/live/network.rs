//! The addresses of the running system's network adapters.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use windows_sys::Win32::Foundation::{ERROR_BUFFER_OVERFLOW, ERROR_SUCCESS};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GAA_FLAG_SKIP_ANYCAST, GAA_FLAG_SKIP_DNS_SERVER, GAA_FLAG_SKIP_FRIENDLY_NAME, GAA_FLAG_SKIP_MULTICAST,
    GetAdaptersAddresses, IP_ADAPTER_ADDRESSES_LH,
};
use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, AF_UNSPEC, SOCKADDR_IN, SOCKADDR_IN6, SOCKET_ADDRESS,
};

/// Bytes for all adapters: what Microsoft advises to begin with, and what is enough for a host of containers.
const FIRST_BYTES: usize = 16 * 1024;
const MOST_BYTES: usize = 1024 * 1024;
const FLAGS: u32 =
    GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST | GAA_FLAG_SKIP_DNS_SERVER | GAA_FLAG_SKIP_FRIENDLY_NAME;

/// Every address of an adapter; none if they cannot be listed.
pub(in crate::sources::windows) fn addresses() -> BTreeSet<IpAddr> {
    of_each(addresses_of).into_iter().flatten().collect()
}

/// The id of each adapter, and the address of its hardware; none if they cannot be listed.
pub(in crate::sources::windows) fn adapters() -> Vec<(String, Vec<u8>)> {
    of_each(hardware_of)
}

/// What a function says of each adapter. The adapter and what it points to are only valid within the call.
fn of_each<T>(of: unsafe fn(&IP_ADAPTER_ADDRESSES_LH) -> T) -> Vec<T> {
    let mut bytes = FIRST_BYTES;
    loop {
        // Entries are structures with pointers and numbers of 8 bytes.
        let mut buffer = vec![0_u64; bytes.div_ceil(size_of::<u64>())];
        match fill(&mut buffer) {
            ERROR_SUCCESS => return of_buffer(&buffer, of),
            // An adapter may appear between two calls, so the size that is asked for may be too small again.
            ERROR_BUFFER_OVERFLOW if bytes < MOST_BYTES => bytes *= 4,
            _ => return Vec::new(),
        }
    }
}

#[expect(unsafe_code, reason = "the standard library lists no adapters")]
fn fill(buffer: &mut [u64]) -> u32 {
    let mut bytes = u32::try_from(size_of_val(buffer)).unwrap_or(u32::MAX);
    // SAFETY: the buffer is writable and has as many bytes as is said; the reserved pointer is null.
    // <https://learn.microsoft.com/windows/win32/api/iphlpapi/nf-iphlpapi-getadaptersaddresses>
    unsafe {
        GetAdaptersAddresses(u32::from(AF_UNSPEC), FLAGS, std::ptr::null(), buffer.as_mut_ptr().cast(), &raw mut bytes)
    }
}

#[expect(unsafe_code, reason = "the adapters are where Windows wrote them")]
fn of_buffer<T>(buffer: &[u64], of: unsafe fn(&IP_ADAPTER_ADDRESSES_LH) -> T) -> Vec<T> {
    let mut found = Vec::new();
    let mut adapter: *const IP_ADAPTER_ADDRESSES_LH = buffer.as_ptr().cast();
    while !adapter.is_null() {
        // SAFETY: Windows has filled the buffer with a list of adapters; the pointer leads to one of them, and the buffer outlives
        // this function. What `of` asks for is true of each of them.
        unsafe {
            found.push(of(&*adapter));
            adapter = (*adapter).Next;
        }
    }
    found
}

/// The addresses of an adapter.
///
/// # Safety
/// Windows has written the adapter, and the buffer with everything that it points to is still there.
#[expect(unsafe_code, reason = "the addresses are where Windows wrote them")]
unsafe fn addresses_of(adapter: &IP_ADAPTER_ADDRESSES_LH) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut unicast = adapter.FirstUnicastAddress;
    while !unicast.is_null() {
        // SAFETY: the caller says that the list of addresses is there; its pointers lead into it or are null.
        unsafe {
            found.extend(address(&(*unicast).Address));
            unicast = (*unicast).Next;
        }
    }
    found
}

/// The id of an adapter, and the address of its hardware.
///
/// # Safety
/// As for [`addresses_of`].
#[expect(unsafe_code, reason = "the name is where Windows wrote it")]
unsafe fn hardware_of(adapter: &IP_ADAPTER_ADDRESSES_LH) -> (String, Vec<u8>) {
    let id = if adapter.AdapterName.is_null() {
        String::new()
    } else {
        // SAFETY: the caller says that the name is there; Windows ends it with a zero.
        unsafe { CStr::from_ptr(adapter.AdapterName.cast()) }.to_string_lossy().into_owned()
    };
    let length = usize::try_from(adapter.PhysicalAddressLength).unwrap_or(usize::MAX);
    (id, adapter.PhysicalAddress.get(..length).unwrap_or_default().to_vec())
}

#[expect(unsafe_code, reason = "the addresses are where Windows wrote them")]
fn address(socket: &SOCKET_ADDRESS) -> Option<IpAddr> {
    let length = usize::try_from(socket.iSockaddrLength).ok()?;
    if socket.lpSockaddr.is_null() || length < size_of::<u16>() {
        return None;
    }
    // SAFETY: the address has as many bytes as its length says, and its family says which structure it is. Neither needs to be
    // aligned for that structure.
    unsafe {
        match (*socket.lpSockaddr).sa_family {
            AF_INET if length >= size_of::<SOCKADDR_IN>() => {
                let four = std::ptr::read_unaligned(socket.lpSockaddr.cast::<SOCKADDR_IN>());
                // The number is in the order of the network.
                Some(Ipv4Addr::from(four.sin_addr.S_un.S_addr.to_ne_bytes()).into())
            }
            AF_INET6 if length >= size_of::<SOCKADDR_IN6>() => {
                let six = std::ptr::read_unaligned(socket.lpSockaddr.cast::<SOCKADDR_IN6>());
                Some(Ipv6Addr::from(six.sin6_addr.u.Byte).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_among_those_of_the_adapters() {
        let found = addresses();
        assert!(found.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{found:?}");
    }

    #[test]
    fn every_adapter_has_an_id() {
        let found = adapters();
        assert!(!found.is_empty() && found.iter().all(|(id, _)| !id.is_empty()), "{found:?}");
    }
}
