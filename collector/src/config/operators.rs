//! `[operators]`: the operators' port.

use std::net::SocketAddr;

use muster_proto::settings::Layers;

/// The operators' port.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Operators {
    /// `operators.listen`.
    pub listen: SocketAddr,
    /// `operators.connections`: open connections at once.
    pub connections: usize,
}

impl Default for Operators {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7444)), connections: 256 }
    }
}

impl Operators {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        layers.limit("operators.connections", &self.connections, (1, 1_000_000), usize::to_string);
    }
}
