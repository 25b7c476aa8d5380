//! Conversions of dispositions and of what was decided about a host, both ways.

use bytes::Bytes;

use super::{ConvertError, code, host_id, instant};
use crate::model::{
    DecisionReport, DisposedHost, DispositionKind, DispositionReport, DispositionState, Lane, RetirementReport,
    Timestamp,
};
use crate::wire;

impl From<DispositionReport> for wire::Disposition {
    fn from(disposition: DispositionReport) -> Self {
        let host = |host: DisposedHost| wire::DisposedHost {
            id: Bytes::copy_from_slice(host.id.as_bytes()),
            hostname: host.hostname,
            ended_ms: host.ended_at.map(Timestamp::millis),
            returned_ms: host.returned_at.map(Timestamp::millis),
        };
        Self {
            number: disposition.number,
            state: disposition.state.code().into(),
            kind: disposition.kind.code().into(),
            evidence: disposition.evidence,
            file: disposition.file.map(Into::into),
            requested_by: disposition.requested_by,
            requested_ms: disposition.requested_at.millis(),
            decided_by: disposition.decided_by,
            decided_ms: disposition.decided_at.map(Timestamp::millis),
            needs_second: disposition.needs_second,
            self_approved: disposition.is_self_approved,
            hosts: disposition.hosts.into_iter().map(host).collect(),
        }
    }
}

impl TryFrom<wire::Disposition> for DispositionReport {
    type Error = ConvertError;
    fn try_from(disposition: wire::Disposition) -> Result<Self, ConvertError> {
        let host = |host: wire::DisposedHost| {
            Ok(DisposedHost {
                id: host_id("DisposedHost.id", &host.id)?,
                hostname: host.hostname,
                ended_at: instant(host.ended_ms),
                returned_at: instant(host.returned_ms),
            })
        };
        Ok(Self {
            number: disposition.number,
            state: code("Disposition.state", disposition.state, DispositionState::from_code)?,
            kind: code("Disposition.kind", disposition.kind, DispositionKind::from_code)?,
            evidence: disposition.evidence,
            file: disposition.file.map(Into::into),
            requested_by: disposition.requested_by,
            requested_at: Timestamp::from_millis(disposition.requested_ms),
            decided_by: disposition.decided_by,
            decided_at: instant(disposition.decided_ms),
            needs_second: disposition.needs_second,
            is_self_approved: disposition.self_approved,
            hosts: disposition.hosts.into_iter().map(host).collect::<Result<_, ConvertError>>()?,
        })
    }
}

impl From<RetirementReport> for wire::RetireHostsResponse {
    fn from(report: RetirementReport) -> Self {
        let RetirementReport { dispositions, retired, waiting, unchanged } = report;
        Self { dispositions: dispositions.into_iter().map(Into::into).collect(), retired, waiting, unchanged }
    }
}

impl TryFrom<wire::RetireHostsResponse> for RetirementReport {
    type Error = ConvertError;
    fn try_from(answer: wire::RetireHostsResponse) -> Result<Self, ConvertError> {
        let wire::RetireHostsResponse { dispositions, retired, waiting, unchanged } = answer;
        let dispositions = dispositions.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Self { dispositions, retired, waiting, unchanged })
    }
}

impl From<DecisionReport> for wire::Decision {
    fn from(decision: DecisionReport) -> Self {
        Self {
            lane: decision.lane.code().into(),
            number: decision.number,
            why: decision.why,
            text: decision.text,
            until_ms: decision.until.map(Timestamp::millis),
            requested_by: decision.requested_by,
            approved_by: decision.approved_by,
            approved_ms: decision.approved_at.millis(),
            self_approved: decision.is_self_approved,
        }
    }
}

impl TryFrom<wire::Decision> for DecisionReport {
    type Error = ConvertError;
    fn try_from(decision: wire::Decision) -> Result<Self, ConvertError> {
        Ok(Self {
            lane: code("Decision.lane", decision.lane, Lane::from_code)?,
            number: decision.number,
            why: decision.why,
            text: decision.text,
            until: instant(decision.until_ms),
            requested_by: decision.requested_by,
            approved_by: decision.approved_by,
            approved_at: Timestamp::from_millis(decision.approved_ms),
            is_self_approved: decision.self_approved,
        })
    }
}
