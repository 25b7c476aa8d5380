//! `[agents]`: the agents' port.

use std::net::SocketAddr;
use std::time::Duration;

use muster_proto::settings::Layers;

use super::list::list;
use super::span::format_span;

/// The agents' port.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agents {
    /// `agents.listen`.
    pub listen: SocketAddr,
    /// `agents.public_names`: names and addresses under which agents and operators reach this collector.
    #[serde(deserialize_with = "list")]
    pub public_names: Vec<String>,
    /// `agents.connections`: open connections at once.
    pub connections: usize,
    /// `agents.handshakes`: TLS handshakes at once, at most a quarter of the connections; they are what costs processor time.
    pub handshakes: usize,
    /// `agents.handshake_timeout`: a peer that has not finished its handshake by then is dropped.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 7443)),
            public_names: Vec::new(),
            connections: 20_000,
            handshakes: 256,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

impl Agents {
    /// The URL under which agents reach a collector that listens at this address: by its first public name, else by the address. One
    /// that listens at all addresses and has no name is known by `localhost` alone.
    #[must_use]
    pub fn url(&self, listening: SocketAddr) -> String {
        let port = listening.port();
        match self.public_names.first() {
            Some(name) if name.contains(':') => format!("https://[{name}]:{port}"),
            Some(name) => format!("https://{name}:{port}"),
            None if listening.ip().is_unspecified() => format!("https://localhost:{port}"),
            None => format!("https://{listening}"),
        }
    }

    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        let second = Duration::from_secs(1);
        layers.limit("agents.connections", &self.connections, (1, 1_000_000), usize::to_string);
        layers.limit("agents.handshakes", &self.handshakes, (1, 65_536), usize::to_string);
        let timeout = (second / 10, second * 300);
        layers.limit("agents.handshake_timeout", &self.handshake_timeout, timeout, |span| format_span(*span));
        for name in self.public_names.iter().filter(|name| !is_public_name(name)) {
            let reason = format!("{name:?} is not a host name or an address; omit scheme and port");
            layers.fault("agents.public_names", reason);
        }
    }
}

fn is_public_name(name: &str) -> bool {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    // RFC 1035: a label has at most 63 bytes, and a name without its final dot at most 253.
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    name.len() <= 253 && name.split('.').all(label)
}
