//! Conversions of duties, both ways.

use super::{ConvertError, code, id, instant};
use crate::model::{DutyEvidence, DutyReport, DutyState, OrderId, SiteId, Timestamp};
use crate::wire;

impl From<DutyReport> for wire::Duty {
    fn from(duty: DutyReport) -> Self {
        Self {
            number: duty.number,
            order: duty.order.to_string(),
            clock: duty.clock,
            subject: duty.subject.to_string(),
            hostname: duty.hostname,
            site: duty.site.map(|site| site.to_string()).unwrap_or_default(),
            opened_ms: duty.opened.millis(),
            due_ms: duty.due.millis(),
            state: duty.state.code().into(),
            overdue: duty.overdue,
            settled_ms: duty.settled.map(Timestamp::millis),
            what: duty.what,
            fields: duty.fields,
            confirmed: duty.confirmed,
            reference: duty.reference,
            evidence: duty.evidence.map(Into::into),
        }
    }
}

impl TryFrom<wire::Duty> for DutyReport {
    type Error = ConvertError;
    fn try_from(duty: wire::Duty) -> Result<Self, ConvertError> {
        let subject = duty.subject.parse().map_err(|source| ConvertError::Subject { field: "Duty.subject", source })?;
        let site = Some(duty.site).filter(|site| !site.is_empty());
        Ok(Self {
            number: duty.number,
            order: id("Duty.order", OrderId::new(duty.order))?,
            clock: duty.clock,
            subject,
            hostname: duty.hostname,
            site: site.map(|site| id("Duty.site", SiteId::new(site))).transpose()?,
            opened: Timestamp::from_millis(duty.opened_ms),
            due: Timestamp::from_millis(duty.due_ms),
            state: code("Duty.state", duty.state, DutyState::from_code)?,
            overdue: duty.overdue,
            settled: instant(duty.settled_ms),
            what: duty.what,
            fields: duty.fields,
            confirmed: duty.confirmed,
            reference: duty.reference,
            evidence: duty.evidence.map(Into::into),
        })
    }
}

impl From<DutyEvidence> for wire::DutyEvidence {
    fn from(DutyEvidence { name, sha256 }: DutyEvidence) -> Self {
        Self { name, sha256 }
    }
}

impl From<wire::DutyEvidence> for DutyEvidence {
    fn from(wire::DutyEvidence { name, sha256 }: wire::DutyEvidence) -> Self {
        Self { name, sha256 }
    }
}
