//! The address of a client whose request came through a proxy.
//!
//! Only a proxy that the settings name is believed. Each proxy appends the address of its own peer to `X-Forwarded-For`, so the
//! list is read from its end: everything before the first address that is no trusted proxy may be invented.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;

use crate::config::Network;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Proxies of one request. What is before them in the header is not read.
const HOPS: usize = 16;

/// The proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[Network]>);

impl TrustedProxies {
    /// Believes proxies in these networks.
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks.into())
    }

    fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client's address; `None` if the request came from itself: the peer is no trusted proxy, or it names nobody.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.has(peer) {
            return None;
        }
        let mut client = None;
        let values = headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>();
        let entries = values.iter().rev().flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        for entry in entries.take(HOPS) {
            // What cannot be read may hide anything, so the last address that a trusted proxy has named counts.
            let Some(address) = address_of(entry) else { break };
            client = Some(address);
            if !self.has(address) {
                break;
            }
        }
        client
    }
}

/// `192.0.2.7`, `192.0.2.7:1234`, `2001:db8::1` or `[2001:db8::1]:1234`: some proxies add the port.
fn address_of(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[&str]) -> Option<String> {
        let networks =
            ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"].map(|text| Network::parse(text).expect("a network"));
        let mut map = HeaderMap::new();
        for value in headers {
            map.append(FORWARDED_FOR, value.parse().expect("a header"));
        }
        let found = TrustedProxies::new(networks.to_vec()).client(peer.parse().expect("an address"), &map);
        found.map(|address| address.to_string())
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), None, "a stranger who invents an address");
        assert_eq!(client("10.1.1.1", &[]), None, "the proxy's machine itself");
        assert_eq!(client("10.1.1.1", &["198.51.100.1"]).as_deref(), Some("198.51.100.1"));
        assert_eq!(client("::ffff:10.1.1.1", &["198.51.100.1"]).as_deref(), Some("198.51.100.1"));
        let none = TrustedProxies::default().client("10.1.1.1".parse().expect("an address"), &HeaderMap::new());
        assert_eq!(none, None);
    }

    #[test]
    fn the_list_is_read_from_its_end_until_the_first_stranger() {
        for (headers, expected) in [
            (&["1.1.1.1, 198.51.100.1"][..], "198.51.100.1"),
            (&["1.1.1.1, 198.51.100.1, 10.2.2.2"], "198.51.100.1"),
            (&["1.1.1.1", "198.51.100.1,192.0.2.1", "10.2.2.2"], "198.51.100.1"),
            (&["1.1.1.1, 198.51.100.1:4711"], "198.51.100.1"),
            (&["[2001:db9::7]:4711, 10.0.0.1"], "2001:db9::7"),
            (&["[2001:db9::7]"], "2001:db9::7"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (&["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
        ] {
            assert_eq!(client("10.1.1.1", headers).as_deref(), Some(expected), "{headers:?}");
        }
        assert_eq!(client("10.1.1.1", &["unknown"]), None);
        assert_eq!(client("10.1.1.1", &["198.51.100.1,"]), None);
        let long = format!("198.51.100.1{}", ", 10.0.0.1".repeat(40));
        assert_eq!(client("10.1.1.1", &[&long]).as_deref(), Some("10.0.0.1"), "a chain that is too long to be one");
    }
}
