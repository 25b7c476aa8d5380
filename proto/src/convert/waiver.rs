//! Conversions of waivers, both ways.

use bytes::Bytes;

use super::fleet::{counts_of_lanes, lane_counts};
use super::{ConvertError, code, host_id, id, instant};
use crate::model::{HostName, OrderId, Timestamp, WaiverReason, WaiverReport, WaiverState};
use crate::wire;

impl From<WaiverReport> for wire::Waiver {
    fn from(waiver: WaiverReport) -> Self {
        let host = |host: HostName| wire::ChangedHost {
            id: Bytes::copy_from_slice(host.id.as_bytes()),
            hostname: host.hostname,
        };
        Self {
            number: waiver.number,
            order: waiver.order.to_string(),
            state: waiver.state.code().into(),
            reason: waiver.reason.code().into(),
            control: waiver.control,
            until_ms: waiver.until.millis(),
            beyond_milestone: waiver.beyond_milestone,
            hosts: waiver.hosts,
            requested_by: waiver.requested_by,
            requested_ms: waiver.requested_at.millis(),
            decided_by: waiver.decided_by,
            decided_ms: waiver.decided_at.map(Timestamp::millis),
            self_approved: waiver.is_self_approved,
            ended_by: waiver.ended_by,
            ended_ms: waiver.ended_at.map(Timestamp::millis),
            first_hosts: waiver.first_hosts.into_iter().map(host).collect(),
            lanes: lane_counts(waiver.lanes),
        }
    }
}

impl TryFrom<wire::Waiver> for WaiverReport {
    type Error = ConvertError;
    fn try_from(waiver: wire::Waiver) -> Result<Self, ConvertError> {
        let host = |host: wire::ChangedHost| {
            Ok(HostName { id: host_id("ChangedHost.id", &host.id)?, hostname: host.hostname })
        };
        Ok(Self {
            number: waiver.number,
            order: id("Waiver.order", OrderId::new(waiver.order))?,
            state: code("Waiver.state", waiver.state, WaiverState::from_code)?,
            reason: code("Waiver.reason", waiver.reason, WaiverReason::from_code)?,
            control: waiver.control,
            until: Timestamp::from_millis(waiver.until_ms),
            beyond_milestone: waiver.beyond_milestone,
            hosts: waiver.hosts,
            requested_by: waiver.requested_by,
            requested_at: Timestamp::from_millis(waiver.requested_ms),
            decided_by: waiver.decided_by,
            decided_at: instant(waiver.decided_ms),
            is_self_approved: waiver.self_approved,
            ended_by: waiver.ended_by,
            ended_at: instant(waiver.ended_ms),
            first_hosts: waiver.first_hosts.into_iter().map(host).collect::<Result<_, ConvertError>>()?,
            lanes: counts_of_lanes(waiver.lanes)?,
        })
    }
}
