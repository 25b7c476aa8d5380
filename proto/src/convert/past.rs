//! Conversions of hosts as they were, both ways.

use bytes::Bytes;

use super::{ConvertError, code, host_id, id, instant, present};
use crate::model::{
    Cause, Digest, Label, Lane, OrderId, PastAssessment, PastDecision, PastGap, PastHost, PastHostReport, PastSnapshot,
    PastUnknown, PastVerdict, Platform, Presence, Protection, SiteId, Timestamp,
};
use crate::wire;

impl From<PastVerdict> for wire::PastVerdict {
    fn from(verdict: PastVerdict) -> Self {
        let PastVerdict { order, lane, true_lane, in_scope, overdue, silent, since, cause } = verdict;
        Self {
            order: order.to_string(),
            lane: lane.code().into(),
            true_lane: true_lane.code().into(),
            in_scope,
            overdue,
            silent,
            since_ms: since.millis(),
            cause: cause.code().into(),
        }
    }
}

impl TryFrom<wire::PastVerdict> for PastVerdict {
    type Error = ConvertError;
    fn try_from(verdict: wire::PastVerdict) -> Result<Self, ConvertError> {
        Ok(Self {
            order: id("PastVerdict.order", OrderId::new(verdict.order))?,
            lane: code("PastVerdict.lane", verdict.lane, Lane::from_code)?,
            true_lane: code("PastVerdict.true_lane", verdict.true_lane, Lane::from_code)?,
            in_scope: verdict.in_scope,
            overdue: verdict.overdue,
            silent: verdict.silent,
            since: Timestamp::from_millis(verdict.since_ms),
            cause: code("PastVerdict.cause", verdict.cause, Cause::from_code)?,
        })
    }
}

impl From<PastHost> for wire::PastHost {
    fn from(host: PastHost) -> Self {
        Self {
            host_id: Bytes::copy_from_slice(host.id.as_bytes()),
            hostname: host.hostname,
            site: host.site.to_string(),
            platform: host.platform.code().into(),
            os_name: host.os_name,
            enrolled_at_ms: host.enrolled_at.millis(),
            last_seen_ms: host.last_seen.map(Timestamp::millis),
            verdicts: host.verdicts.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::PastHost> for PastHost {
    type Error = ConvertError;
    fn try_from(host: wire::PastHost) -> Result<Self, ConvertError> {
        Ok(Self {
            id: host_id("PastHost.host_id", &host.host_id)?,
            hostname: host.hostname,
            site: id("PastHost.site", SiteId::new(host.site))?,
            platform: code("PastHost.platform", host.platform, Platform::from_code)?,
            os_name: host.os_name,
            enrolled_at: Timestamp::from_millis(host.enrolled_at_ms),
            last_seen: instant(host.last_seen_ms),
            verdicts: host.verdicts.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<PastGap> for wire::PastGap {
    fn from(gap: PastGap) -> Self {
        let PastGap { order, why, from } = gap;
        Self { order: order.to_string(), why: why.code().into(), from_ms: from.map(Timestamp::millis) }
    }
}

impl TryFrom<wire::PastGap> for PastGap {
    type Error = ConvertError;
    fn try_from(gap: wire::PastGap) -> Result<Self, ConvertError> {
        Ok(Self {
            order: id("PastGap.order", OrderId::new(gap.order))?,
            why: code("PastGap.why", gap.why, PastUnknown::from_code)?,
            from: instant(gap.from_ms),
        })
    }
}

impl From<PastSnapshot> for wire::PastSnapshot {
    fn from(snapshot: PastSnapshot) -> Self {
        let PastSnapshot { digest, since, observed_at, sources } = snapshot;
        Self {
            digest: Bytes::copy_from_slice(digest.as_bytes()),
            since_ms: since.millis(),
            observed_at_ms: observed_at.millis(),
            sources: sources.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::PastSnapshot> for PastSnapshot {
    type Error = ConvertError;
    fn try_from(snapshot: wire::PastSnapshot) -> Result<Self, ConvertError> {
        Ok(Self {
            digest: id("PastSnapshot.digest", Digest::try_from(snapshot.digest.as_ref()))?,
            since: Timestamp::from_millis(snapshot.since_ms),
            observed_at: Timestamp::from_millis(snapshot.observed_at_ms),
            sources: snapshot.sources.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<PastAssessment> for wire::PastAssessment {
    fn from(assessment: PastAssessment) -> Self {
        let PastAssessment { order, presence, protection, reasons } = assessment;
        Self {
            order: order.to_string(),
            presence: presence.code().into(),
            protection: protection.code().into(),
            reasons: reasons.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::PastAssessment> for PastAssessment {
    type Error = ConvertError;
    fn try_from(assessment: wire::PastAssessment) -> Result<Self, ConvertError> {
        Ok(Self {
            order: id("PastAssessment.order", OrderId::new(assessment.order))?,
            presence: code("PastAssessment.presence", assessment.presence, Presence::from_code)?,
            protection: code("PastAssessment.protection", assessment.protection, Protection::from_code)?,
            reasons: assessment.reasons.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<PastDecision> for wire::PastDecision {
    fn from(decided: PastDecision) -> Self {
        let PastDecision { order, decision } = decided;
        Self { order: order.to_string(), decision: Some(decision.into()) }
    }
}

impl TryFrom<wire::PastDecision> for PastDecision {
    type Error = ConvertError;
    fn try_from(decided: wire::PastDecision) -> Result<Self, ConvertError> {
        Ok(Self {
            order: id("PastDecision.order", OrderId::new(decided.order))?,
            decision: present("PastDecision.decision", decided.decision)?.try_into()?,
        })
    }
}

impl From<PastHostReport> for wire::GetPastHostResponse {
    fn from(report: PastHostReport) -> Self {
        let PastHostReport { as_of, host, labels, owner, roster_entry, unknown, .. } = report;
        let PastHostReport { decisions, rules_version, snapshot, assessments, not_kept, .. } = report;
        Self {
            as_of_ms: as_of.millis(),
            host: Some(host.into()),
            labels: labels.iter().map(ToString::to_string).collect(),
            owner,
            roster_entry,
            unknown: unknown.into_iter().map(Into::into).collect(),
            decisions: decisions.into_iter().map(Into::into).collect(),
            rules_version,
            snapshot: snapshot.map(Into::into),
            assessments: assessments.into_iter().map(Into::into).collect(),
            not_kept,
        }
    }
}

impl TryFrom<wire::GetPastHostResponse> for PastHostReport {
    type Error = ConvertError;
    fn try_from(report: wire::GetPastHostResponse) -> Result<Self, ConvertError> {
        Ok(Self {
            as_of: Timestamp::from_millis(report.as_of_ms),
            host: present("GetPastHostResponse.host", report.host)?.try_into()?,
            labels: report
                .labels
                .into_iter()
                .map(|label| id("GetPastHostResponse.labels", Label::new(label)))
                .collect::<Result<_, _>>()?,
            owner: report.owner,
            roster_entry: report.roster_entry,
            unknown: report.unknown.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            decisions: report.decisions.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            rules_version: report.rules_version,
            snapshot: report.snapshot.map(TryInto::try_into).transpose()?,
            assessments: report.assessments.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            not_kept: report.not_kept,
        })
    }
}
