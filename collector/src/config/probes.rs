//! `[probes]`: health and metrics.

use std::net::SocketAddr;

use muster_proto::settings::Layers;

/// Health and metrics: plain HTTP, so on loopback by default.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Probes {
    /// `probes.listen`.
    pub listen: SocketAddr,
    /// `probes.connections`: open connections at once. The oldest one is closed for the next.
    pub connections: usize,
}

impl Default for Probes {
    fn default() -> Self {
        // A few balancers and Prometheus servers; they are in the reserve of descriptors.
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7480)), connections: 64 }
    }
}

impl Probes {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        layers.limit("probes.connections", &self.connections, (1, 10_000), usize::to_string);
    }
}
