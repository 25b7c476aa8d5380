//! `[operators]`: the operators' port.

use std::net::SocketAddr;

use muster_proto::settings::Layers;

use super::public_url::PublicUrl;

/// The operators' port.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Operators {
    /// `operators.listen`.
    pub listen: SocketAddr,
    /// `operators.connections`: open connections at once.
    pub connections: usize,
    /// `operators.public_url`: where people reach the web board. Login links begin with it, and the identity provider leads back
    /// to it.
    pub public_url: PublicUrl,
}

impl Default for Operators {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7444)), connections: 256, public_url: PublicUrl::default() }
    }
}

impl Operators {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        layers.limit("operators.connections", &self.connections, (1, 1_000_000), usize::to_string);
        if let Some(fault) = self.public_url.fault() {
            layers.fault("operators.public_url", fault);
        }
    }
}
