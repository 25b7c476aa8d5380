//! What a collector uses, on the wire.

use crate::model::{ListenerUse, OperatorsCertificate, Resources, StoreUse, Timestamp};
use crate::wire;

impl From<Resources> for wire::Resources {
    fn from(resources: Resources) -> Self {
        Self {
            listeners: resources.listeners.into_iter().map(wire::ListenerUse::from).collect(),
            store: resources.store.map(wire::StoreUse::from),
            certificate_expires_ms: resources.certificate_expires.map(Timestamp::millis),
            operators_certificate: resources.operators_certificate.map(wire::OperatorsCertificate::from),
        }
    }
}

impl From<wire::Resources> for Resources {
    fn from(resources: wire::Resources) -> Self {
        Self {
            listeners: resources.listeners.into_iter().map(ListenerUse::from).collect(),
            store: resources.store.map(StoreUse::from),
            certificate_expires: resources.certificate_expires_ms.map(Timestamp::from_millis),
            operators_certificate: resources.operators_certificate.map(OperatorsCertificate::from),
        }
    }
}

impl From<OperatorsCertificate> for wire::OperatorsCertificate {
    fn from(certificate: OperatorsCertificate) -> Self {
        Self { expires_ms: certificate.expires.millis(), refused: certificate.refused }
    }
}

impl From<wire::OperatorsCertificate> for OperatorsCertificate {
    fn from(certificate: wire::OperatorsCertificate) -> Self {
        Self { expires: Timestamp::from_millis(certificate.expires_ms), refused: certificate.refused }
    }
}

impl From<ListenerUse> for wire::ListenerUse {
    fn from(listener: ListenerUse) -> Self {
        let ListenerUse { name, connections, limit, unproven, refused } = listener;
        Self { name, connections, limit, unproven, refused }
    }
}

impl From<wire::ListenerUse> for ListenerUse {
    fn from(listener: wire::ListenerUse) -> Self {
        let wire::ListenerUse { name, connections, limit, unproven, refused } = listener;
        Self { name, connections, limit, unproven, refused }
    }
}

impl From<StoreUse> for wire::StoreUse {
    fn from(store: StoreUse) -> Self {
        let StoreUse { bytes, growth_per_day, free_bytes } = store;
        Self { bytes, growth_per_day, free_bytes }
    }
}

impl From<wire::StoreUse> for StoreUse {
    fn from(store: wire::StoreUse) -> Self {
        let wire::StoreUse { bytes, growth_per_day, free_bytes } = store;
        Self { bytes, growth_per_day, free_bytes }
    }
}
