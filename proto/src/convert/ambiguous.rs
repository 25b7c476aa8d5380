//! The detail of a status that refuses an ambiguous host name: the hosts that it may mean.

use bytes::Bytes;
use prost::Message as _;

use super::{ConvertError, host_id, id, instant};
use crate::model::{HostCandidate, SiteId, Timestamp};
use crate::wire;

/// The bytes of the detail.
#[must_use]
pub fn ambiguous_host(hosts: &[HostCandidate]) -> Vec<u8> {
    wire::AmbiguousHost { hosts: hosts.iter().cloned().map(Into::into).collect() }.encode_to_vec()
}

/// The hosts in the detail of a status; none if it has no such detail.
#[must_use]
pub fn hosts_meant(detail: &[u8]) -> Vec<HostCandidate> {
    let detail = wire::AmbiguousHost::decode(detail).unwrap_or_default();
    detail.hosts.into_iter().filter_map(|host| HostCandidate::try_from(host).ok()).collect()
}

impl From<HostCandidate> for wire::HostCandidate {
    fn from(host: HostCandidate) -> Self {
        Self {
            id: Bytes::copy_from_slice(host.id.as_bytes()),
            hostname: host.hostname,
            site: host.site.to_string(),
            last_seen_ms: host.last_seen.map(Timestamp::millis),
        }
    }
}

impl TryFrom<wire::HostCandidate> for HostCandidate {
    type Error = ConvertError;
    fn try_from(host: wire::HostCandidate) -> Result<Self, ConvertError> {
        Ok(Self {
            id: host_id("HostCandidate.id", &host.id)?,
            hostname: host.hostname,
            site: id("HostCandidate.site", SiteId::new(host.site))?,
            last_seen: instant(host.last_seen_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HostId;

    #[test]
    fn hosts_survive_the_wire_and_any_other_detail_has_none() {
        let host = HostCandidate {
            id: HostId::from_bytes([7; 16]),
            hostname: "web-1".to_owned(),
            site: SiteId::new("hq").expect("valid"),
            last_seen: Some(Timestamp::from_millis(3)),
        };
        let hosts = [host.clone(), HostCandidate { last_seen: None, ..host }];
        assert_eq!(hosts_meant(&ambiguous_host(&hosts)), hosts);
        assert!(hosts_meant(b"").is_empty() && hosts_meant(b"\xff\xff").is_empty());
    }
}
