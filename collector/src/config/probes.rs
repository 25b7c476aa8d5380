//! `[probes]`: health and metrics.

use std::net::SocketAddr;

/// Health and metrics: plain HTTP, so on loopback by default.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Probes {
    /// `probes.listen`.
    pub listen: SocketAddr,
}

impl Default for Probes {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7480)) }
    }
}
