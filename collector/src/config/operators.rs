//! `[operators]`: the operators' port.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use muster_proto::settings::Layers;

use super::list::list;
use super::network::Network;
use super::public_url::PublicUrl;

/// Entries of `operators.trusted_proxies`.
const PROXIES: usize = 100;

/// The operators' port.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Operators {
    /// `operators.listen`.
    pub listen: SocketAddr,
    /// `operators.connections`: open connections at once.
    pub connections: usize,
    /// `operators.certificate`: the company's own certificate, a PEM file; empty for one of the collector's CA.
    pub certificate: PathBuf,
    /// `operators.key`: its private key, a PEM file.
    pub key: PathBuf,
    /// `operators.trusted_proxies`: addresses and networks of proxies whose `X-Forwarded-For` says who the client is.
    #[serde(deserialize_with = "list")]
    pub trusted_proxies: Vec<String>,
    /// `operators.public_url`: where people reach the web board. Login links begin with it, and the identity provider leads back
    /// to it.
    pub public_url: PublicUrl,
}

impl Default for Operators {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7444)),
            connections: 256,
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            trusted_proxies: Vec::new(),
            public_url: PublicUrl::default(),
        }
    }
}

impl Operators {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        layers.limit("operators.connections", &self.connections, (1, 1_000_000), usize::to_string);
        if let Some(fault) = self.public_url.fault() {
            layers.fault("operators.public_url", fault);
        }
        for fault in self.trusted_proxies.iter().filter_map(|proxy| Network::parse(proxy).err()) {
            layers.fault("operators.trusted_proxies", fault);
        }
        if self.trusted_proxies.len() > PROXIES {
            let reason = format!("has {} entries; the limit is {PROXIES}; name networks", self.trusted_proxies.len());
            layers.fault("operators.trusted_proxies", reason);
        }
        for (key, is_empty, other, other_is_empty) in [
            (
                "operators.certificate",
                self.certificate.as_os_str().is_empty(),
                "operators.key",
                self.key.as_os_str().is_empty(),
            ),
            (
                "operators.key",
                self.key.as_os_str().is_empty(),
                "operators.certificate",
                self.certificate.as_os_str().is_empty(),
            ),
        ] {
            if is_empty && !other_is_empty {
                layers.fault(
                    key,
                    format!("is empty, but {other} is set; set both, or none for a certificate of the collector's CA"),
                );
            }
        }
    }

    /// The networks of the trusted proxies.
    #[must_use]
    pub fn proxies(&self) -> Vec<Network> {
        // One that cannot be read was a fault already.
        self.trusted_proxies.iter().filter_map(|proxy| Network::parse(proxy).ok()).collect()
    }

    /// The files of the company's own certificate and its key, if they are set.
    #[must_use]
    pub fn company_certificate(&self) -> Option<(&Path, &Path)> {
        let is_set = !self.certificate.as_os_str().is_empty() && !self.key.as_os_str().is_empty();
        is_set.then_some((&self.certificate, &self.key))
    }
}
