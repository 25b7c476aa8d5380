//! Conversions of the agents' messages.

use std::time::Duration;

use bytes::Bytes;

use super::{ConvertError, code, id, instant, present, visible, within};
use crate::model::{
    Digest, HostFacts, HostState, Losses, MachineIdentity, Outcome, Pace, RealtimeEvidence, RefusalClass,
    SignatureState, Timestamp, UnitState, UserItem, Watchlist,
};
use crate::{limits, wire};

/// The details of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusalDetail {
    /// The reason.
    pub class: RefusalClass,
    /// When to check in again.
    pub pace: Pace,
    /// The collector's clock.
    pub server_time: Timestamp,
}

/// A section as it was received; the digest is not checked yet.
#[derive(Debug, Clone)]
pub struct SectionUpload {
    /// The digest that the agent states.
    pub digest: Digest,
    /// The canonical bytes.
    pub canonical: Bytes,
}

impl From<Pace> for wire::Pace {
    fn from(pace: Pace) -> Self {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self { next_ms: millis(pace.next), jitter_ms: millis(pace.jitter), byte_budget: pace.byte_budget }
    }
}

impl From<wire::Pace> for Pace {
    fn from(pace: wire::Pace) -> Self {
        Self {
            next: Duration::from_millis(pace.next_ms),
            jitter: Duration::from_millis(pace.jitter_ms),
            byte_budget: pace.byte_budget,
        }
    }
}

impl From<RefusalDetail> for wire::Refusal {
    fn from(refusal: RefusalDetail) -> Self {
        Self {
            class: u32::from(refusal.class.code()),
            pace: Some(refusal.pace.into()),
            server_time_ms: refusal.server_time.millis(),
        }
    }
}

impl TryFrom<wire::Refusal> for RefusalDetail {
    type Error = ConvertError;
    fn try_from(refusal: wire::Refusal) -> Result<Self, ConvertError> {
        Ok(Self {
            class: code("Refusal.class", refusal.class, RefusalClass::from_code)?,
            pace: refusal.pace.map(Pace::from).unwrap_or_default(),
            server_time: Timestamp::from_millis(refusal.server_time_ms),
        })
    }
}

impl From<HostFacts> for wire::HostFacts {
    fn from(facts: HostFacts) -> Self {
        Self {
            hostname: facts.hostname,
            platform: facts.platform.name().to_owned(),
            os_name: facts.os_name,
            kernel: facts.kernel,
            architecture: facts.architecture,
            agent_version: facts.agent_version,
            offline_root: facts.offline_root,
            identity: Some(facts.identity).filter(|identity| !identity.is_unknown()).map(wire::MachineIdentity::from),
        }
    }
}

impl TryFrom<wire::HostFacts> for HostFacts {
    type Error = ConvertError;
    fn try_from(facts: wire::HostFacts) -> Result<Self, ConvertError> {
        within("HostFacts.hostname", facts.hostname.len(), "HOSTNAME_BYTES", limits::HOSTNAME_BYTES)?;
        visible("HostFacts.hostname", &facts.hostname)?;
        for (field, text) in [
            ("HostFacts.os_name", &facts.os_name),
            ("HostFacts.kernel", &facts.kernel),
            ("HostFacts.architecture", &facts.architecture),
            ("HostFacts.agent_version", &facts.agent_version),
        ] {
            within(field, text.len(), "TEXT_BYTES", limits::TEXT_BYTES)?;
            visible(field, text)?;
        }
        let platform = facts.platform.parse();
        Ok(Self {
            hostname: facts.hostname,
            platform: platform.map_err(|source| ConvertError::Name { field: "HostFacts.platform", source })?,
            os_name: facts.os_name,
            kernel: facts.kernel,
            architecture: facts.architecture,
            agent_version: facts.agent_version,
            offline_root: facts.offline_root,
            identity: facts.identity.map(MachineIdentity::try_from).transpose()?.unwrap_or_default(),
        })
    }
}

impl From<MachineIdentity> for wire::MachineIdentity {
    fn from(identity: MachineIdentity) -> Self {
        let MachineIdentity { serial, hardware_uuid, asset_tag, macs, fqdn, domain, chassis } = identity;
        Self { serial, hardware_uuid, asset_tag, macs, fqdn, domain, chassis }
    }
}

impl TryFrom<wire::MachineIdentity> for MachineIdentity {
    type Error = ConvertError;
    fn try_from(identity: wire::MachineIdentity) -> Result<Self, ConvertError> {
        let wire::MachineIdentity { serial, hardware_uuid, asset_tag, macs, fqdn, domain, chassis } = identity;
        within("MachineIdentity.macs", macs.len(), "MACS_PER_HOST", limits::MACS_PER_HOST)?;
        let numbers = [
            ("MachineIdentity.serial", &serial),
            ("MachineIdentity.hardware_uuid", &hardware_uuid),
            ("MachineIdentity.asset_tag", &asset_tag),
            ("MachineIdentity.chassis", &chassis),
        ];
        for (field, text) in numbers.into_iter().chain(macs.iter().map(|mac| ("MachineIdentity.macs", mac))) {
            within(field, text.len(), "IDENTIFIER_BYTES", limits::IDENTIFIER_BYTES)?;
            visible(field, text)?;
        }
        for (field, name) in [("MachineIdentity.fqdn", &fqdn), ("MachineIdentity.domain", &domain)] {
            within(field, name.len(), "HOSTNAME_BYTES", limits::HOSTNAME_BYTES)?;
            visible(field, name)?;
        }
        Ok(Self { serial, hardware_uuid, asset_tag, macs, fqdn, domain, chassis })
    }
}

impl From<HostState> for wire::HostState {
    fn from(state: HostState) -> Self {
        let unit = |unit: UnitState| wire::UnitState { name: unit.name, active: unit.active };
        let signature = |signature: SignatureState| wire::SignatureState {
            place: signature.place,
            version: signature.version,
            released_ms: signature.released.map(Timestamp::millis),
        };
        let realtime = |evidence: RealtimeEvidence| wire::RealtimeEvidence { place: evidence.place, on: evidence.on };
        let user_item = |item: UserItem| wire::UserItem { user: item.user, place: item.place };
        Self {
            boot_id: state.boot_id,
            addresses: state.addresses,
            units_outcome: state.units_outcome.map_or(0, |outcome| u32::from(outcome.code())),
            units: state.units.into_iter().map(unit).collect(),
            signatures: state.signatures.into_iter().map(signature).collect(),
            realtime: state.realtime.into_iter().map(realtime).collect(),
            pending_reboot: state.pending_reboot,
            realtime_outcome: state.realtime_outcome.map_or(0, |outcome| u32::from(outcome.code())),
            user_items: state.user_items.into_iter().map(user_item).collect(),
            users_outcome: state.users_outcome.map_or(0, |outcome| u32::from(outcome.code())),
            losses: (state.losses != Losses::default()).then(|| state.losses.into()),
        }
    }
}

impl From<Losses> for wire::Losses {
    fn from(losses: Losses) -> Self {
        Self { coalesced: losses.coalesced, dropped: losses.dropped, damaged: losses.damaged }
    }
}

impl From<wire::Losses> for Losses {
    fn from(losses: wire::Losses) -> Self {
        Self { coalesced: losses.coalesced, dropped: losses.dropped, damaged: losses.damaged }
    }
}

impl TryFrom<wire::HostState> for HostState {
    type Error = ConvertError;
    fn try_from(state: wire::HostState) -> Result<Self, ConvertError> {
        check_state(&state)?;
        let outcome = |field, value| match value {
            // The codes begin at 1, so 0 is a state without this outcome.
            0 => Ok(None),
            other => code(field, other, Outcome::from_code).map(Some),
        };
        let units_outcome = outcome("HostState.units_outcome", state.units_outcome)?;
        let realtime_outcome = outcome("HostState.realtime_outcome", state.realtime_outcome)?;
        let users_outcome = outcome("HostState.users_outcome", state.users_outcome)?;
        let unit = |unit: wire::UnitState| UnitState { name: unit.name, active: unit.active };
        let signature = |signature: wire::SignatureState| SignatureState {
            place: signature.place,
            version: signature.version,
            released: instant(signature.released_ms),
        };
        let realtime = |evidence: wire::RealtimeEvidence| RealtimeEvidence { place: evidence.place, on: evidence.on };
        let user_item = |item: wire::UserItem| UserItem { user: item.user, place: item.place };
        Ok(Self {
            boot_id: state.boot_id,
            addresses: state.addresses,
            units_outcome,
            units: state.units.into_iter().map(unit).collect(),
            signatures: state.signatures.into_iter().map(signature).collect(),
            realtime: state.realtime.into_iter().map(realtime).collect(),
            pending_reboot: state.pending_reboot,
            realtime_outcome,
            user_items: state.user_items.into_iter().map(user_item).collect(),
            users_outcome,
            losses: state.losses.map(Losses::from).unwrap_or_default(),
        })
    }
}

fn check_state(state: &wire::HostState) -> Result<(), ConvertError> {
    within("HostState.addresses", state.addresses.len(), "ADDRESSES_PER_HOST", limits::ADDRESSES_PER_HOST)?;
    within("HostState.units", state.units.len(), "UNITS_PER_HOST", limits::UNITS_PER_HOST)?;
    within("HostState.signatures", state.signatures.len(), "SIGNATURES_PER_HOST", limits::SIGNATURES_PER_HOST)?;
    within("HostState.realtime", state.realtime.len(), "REALTIME_PER_HOST", limits::REALTIME_PER_HOST)?;
    within("HostState.user_items", state.user_items.len(), "USER_ITEMS_PER_HOST", limits::USER_ITEMS_PER_HOST)?;
    let texts = std::iter::once(("HostState.boot_id", &state.boot_id))
        .chain(state.addresses.iter().map(|text| ("HostState.addresses", text)))
        .chain(state.units.iter().map(|unit| ("HostState.units.name", &unit.name)))
        .chain(state.signatures.iter().map(|signature| ("HostState.signatures.place", &signature.place)))
        .chain(state.signatures.iter().map(|signature| ("HostState.signatures.version", &signature.version)))
        .chain(state.realtime.iter().map(|evidence| ("HostState.realtime.place", &evidence.place)))
        .chain(state.user_items.iter().map(|item| ("HostState.user_items.user", &item.user)))
        .chain(state.user_items.iter().map(|item| ("HostState.user_items.place", &item.place)));
    for (field, text) in texts {
        within(field, text.len(), "TEXT_BYTES", limits::TEXT_BYTES)?;
        visible(field, text)?;
    }
    Ok(())
}

impl From<Watchlist> for wire::Watchlist {
    fn from(list: Watchlist) -> Self {
        Self {
            version: list.version,
            paths: list.paths,
            units: list.units,
            processes: list.processes,
            registry_keys: list.registry_keys,
            certificate_subjects: list.certificate_subjects,
            extension_ids: list.extension_ids,
        }
    }
}

impl TryFrom<wire::Watchlist> for Watchlist {
    type Error = ConvertError;
    fn try_from(list: wire::Watchlist) -> Result<Self, ConvertError> {
        for (field, entries) in [
            ("Watchlist.paths", &list.paths),
            ("Watchlist.units", &list.units),
            ("Watchlist.processes", &list.processes),
            ("Watchlist.registry_keys", &list.registry_keys),
            ("Watchlist.certificate_subjects", &list.certificate_subjects),
            ("Watchlist.extension_ids", &list.extension_ids),
        ] {
            within(field, entries.len(), "WATCHLIST_ENTRIES", limits::WATCHLIST_ENTRIES)?;
            let longest = entries.iter().map(String::len).max().unwrap_or(0);
            within(field, longest, "TEXT_BYTES", limits::TEXT_BYTES)?;
        }
        Ok(Self {
            version: list.version,
            paths: list.paths,
            units: list.units,
            processes: list.processes,
            registry_keys: list.registry_keys,
            certificate_subjects: list.certificate_subjects,
            extension_ids: list.extension_ids,
        })
    }
}

impl From<SectionUpload> for wire::SectionBody {
    fn from(section: SectionUpload) -> Self {
        Self { digest: Bytes::copy_from_slice(section.digest.as_bytes()), canonical: section.canonical }
    }
}

impl TryFrom<wire::SectionBody> for SectionUpload {
    type Error = ConvertError;
    fn try_from(body: wire::SectionBody) -> Result<Self, ConvertError> {
        within("SectionBody.canonical", body.canonical.len(), "SECTION_BYTES", limits::SECTION_BYTES)?;
        let digest = id("SectionBody.digest", Digest::try_from(body.digest.as_ref()))?;
        Ok(Self { digest, canonical: body.canonical })
    }
}

impl wire::UploadRequest {
    /// The header, which must be the first message of an upload.
    ///
    /// # Errors
    /// This message is not a header.
    pub fn into_header(self) -> Result<wire::UploadHeader, ConvertError> {
        match self.part {
            Some(wire::upload_request::Part::Header(header)) => Ok(header),
            Some(wire::upload_request::Part::Snapshot(_) | wire::upload_request::Part::Section(_)) | None => {
                present("UploadRequest.header", None)
            }
        }
    }
}
