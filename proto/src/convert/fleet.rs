//! Conversions of the operators' messages, both ways, so that every client shows the same reports.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::host_action::{counts_of_marks, mark_counts};
use super::{ConvertError, code, host_id, id, instant, present};
use crate::model::{
    Board, BoardCounts, Cause, ChangeRow, ChangesReport, CollectorStatus, Evidence, Explanation, Finding, HitReport,
    HostFacts, HostMark, HostReport, HostRow, HostState, Kind, Label, Lane, LaneChange, OrderId, Outcome, Platform,
    Presence, ProductId, ProductReport, ProductSeen, Protection, Reason, ReasonKind, RulesRefused, SiteId,
    SoftwareCount, SoftwareEdition, SoftwareHost, SoftwareReport, SourceName, SourceReport, StoreRefuses, Timestamp,
    TokenId, TokenReport, UnprotectedTime, VerdictReport,
};
use crate::wire;

fn lane(field: &'static str, value: u32) -> Result<Lane, ConvertError> {
    code(field, value, Lane::from_code)
}

fn all<A, B>(items: Vec<A>) -> Result<Vec<B>, ConvertError>
where
    B: TryFrom<A, Error = ConvertError>,
{
    items.into_iter().map(B::try_from).collect()
}

fn into_all<A, B: From<A>>(items: Vec<A>) -> Vec<B> {
    items.into_iter().map(B::from).collect()
}

impl From<CollectorStatus> for wire::GetStatusResponse {
    fn from(status: CollectorStatus) -> Self {
        Self {
            version: status.version,
            rules_version: status.rules_version,
            hosts: status.hosts,
            judge_queue: status.judge_queue,
            judge_queue_lag_ms: status.judge_queue_lag_ms,
            now_ms: status.now.millis(),
            rules_refused: status
                .rules_refused
                .map(|refused| wire::RulesRefused { since_ms: refused.since.millis(), fault: refused.fault }),
            editions: status.editions,
            editions_percent: status.editions_percent,
            editions_alarm: status.editions_alarm,
            marks: mark_counts(status.marks),
            store_refuses: status
                .store_refuses
                .map(|refuses| wire::StoreRefuses { since_ms: refuses.since.millis(), reason: refuses.reason }),
            resources: Some(status.resources.into()),
        }
    }
}

impl TryFrom<wire::GetStatusResponse> for CollectorStatus {
    type Error = ConvertError;
    fn try_from(status: wire::GetStatusResponse) -> Result<Self, ConvertError> {
        Ok(Self {
            marks: counts_of_marks(status.marks)?,
            version: status.version,
            rules_version: status.rules_version,
            hosts: status.hosts,
            judge_queue: status.judge_queue,
            judge_queue_lag_ms: status.judge_queue_lag_ms,
            now: Timestamp::from_millis(status.now_ms),
            rules_refused: status
                .rules_refused
                .map(|refused| RulesRefused { since: Timestamp::from_millis(refused.since_ms), fault: refused.fault }),
            editions: status.editions,
            editions_percent: status.editions_percent,
            editions_alarm: status.editions_alarm,
            store_refuses: status.store_refuses.map(|refuses| StoreRefuses {
                since: Timestamp::from_millis(refuses.since_ms),
                reason: refuses.reason,
            }),
            resources: status.resources.unwrap_or_default().into(),
        })
    }
}

impl From<Board> for wire::Board {
    fn from(board: Board) -> Self {
        let counts = wire::LaneCounts::from(board.counts);
        Self {
            order: Some(board.order.into()),
            lanes: counts.lanes,
            total: counts.total,
            out_of_scope: counts.out_of_scope,
            overdue: counts.overdue,
            silent: counts.silent,
            as_of_ms: board.as_of.millis(),
            judge_queue: board.judge_queue,
            overdue_duties: board.overdue_duties,
            unprotected: board.unprotected,
            unprotected_since_ms: board.unprotected_since.map(Timestamp::millis),
            outside: board.outside.map(Into::into),
            roster: board.roster.map(Into::into),
            decided: counts.decided,
        }
    }
}

impl TryFrom<wire::Board> for Board {
    type Error = ConvertError;
    fn try_from(board: wire::Board) -> Result<Self, ConvertError> {
        let wire::Board { lanes, total, out_of_scope, overdue, silent, decided, .. } = board;
        Ok(Self {
            order: present("Board.order", board.order)?.try_into()?,
            counts: wire::LaneCounts { lanes, total, out_of_scope, overdue, silent, decided }.try_into()?,
            outside: board.outside.map(TryInto::try_into).transpose()?,
            roster: board.roster.map(Into::into),
            as_of: Timestamp::from_millis(board.as_of_ms),
            judge_queue: board.judge_queue,
            overdue_duties: board.overdue_duties,
            unprotected: board.unprotected,
            unprotected_since: board.unprotected_since_ms.map(Timestamp::from_millis),
        })
    }
}

impl From<BoardCounts> for wire::LaneCounts {
    fn from(counts: BoardCounts) -> Self {
        let BoardCounts { lanes, total, out_of_scope, overdue, silent, waived, retired, self_approved } = counts;
        let (waived, retired) = (lane_counts(waived), lane_counts(retired));
        let decided = Some(wire::DecidedCounts { waived, retired, self_approved });
        Self { lanes: lane_counts(lanes), total, out_of_scope, overdue, silent, decided }
    }
}

impl TryFrom<wire::LaneCounts> for BoardCounts {
    type Error = ConvertError;
    fn try_from(counts: wire::LaneCounts) -> Result<Self, ConvertError> {
        let wire::LaneCounts { lanes, total, out_of_scope, overdue, silent, decided } = counts;
        let wire::DecidedCounts { waived, retired, self_approved } = decided.unwrap_or_default();
        let (waived, retired) = (counts_of_lanes(waived)?, counts_of_lanes(retired)?);
        Ok(Self {
            lanes: counts_of_lanes(lanes)?,
            total,
            out_of_scope,
            overdue,
            silent,
            waived,
            retired,
            self_approved,
        })
    }
}

pub(super) fn lane_counts(counts: BTreeMap<Lane, u64>) -> Vec<wire::LaneCount> {
    counts.into_iter().map(|(lane, hosts)| wire::LaneCount { lane: u32::from(lane.code()), hosts }).collect()
}

pub(super) fn counts_of_lanes(counts: Vec<wire::LaneCount>) -> Result<BTreeMap<Lane, u64>, ConvertError> {
    let count = |count: wire::LaneCount| Ok((lane("LaneCount.lane", count.lane)?, count.hosts));
    counts.into_iter().map(count).collect()
}

impl From<UnprotectedTime> for wire::UnprotectedTime {
    fn from(time: UnprotectedTime) -> Self {
        let UnprotectedTime { since, current_ms, longest_ms, total_ms } = time;
        Self { since_ms: since.map(Timestamp::millis), current_ms, longest_ms, total_ms }
    }
}

impl From<wire::UnprotectedTime> for UnprotectedTime {
    fn from(time: wire::UnprotectedTime) -> Self {
        let wire::UnprotectedTime { since_ms, current_ms, longest_ms, total_ms } = time;
        Self { since: since_ms.map(Timestamp::from_millis), current_ms, longest_ms, total_ms }
    }
}

impl From<Evidence> for wire::Evidence {
    fn from(evidence: Evidence) -> Self {
        Self {
            source: u32::from(evidence.source.code()),
            kind: u32::from(evidence.kind.code()),
            name: evidence.name,
            version: evidence.version,
            state: evidence.state,
            path: evidence.path,
            other_vendor: evidence.other_vendor,
        }
    }
}

impl TryFrom<wire::Evidence> for Evidence {
    type Error = ConvertError;
    fn try_from(evidence: wire::Evidence) -> Result<Self, ConvertError> {
        Ok(Self {
            source: code("Evidence.source", evidence.source, SourceName::from_code)?,
            kind: code("Evidence.kind", evidence.kind, Kind::from_code)?,
            name: evidence.name,
            version: evidence.version,
            state: evidence.state,
            path: evidence.path,
            other_vendor: evidence.other_vendor,
        })
    }
}

impl From<ProductSeen> for wire::ProductSeen {
    fn from(product: ProductSeen) -> Self {
        Self {
            id: product.id.to_string(),
            name: product.name,
            version: product.version,
            presence: u32::from(product.presence.code()),
        }
    }
}

impl TryFrom<wire::ProductSeen> for ProductSeen {
    type Error = ConvertError;
    fn try_from(product: wire::ProductSeen) -> Result<Self, ConvertError> {
        Ok(Self {
            id: id("ProductSeen.id", ProductId::new(product.id))?,
            name: product.name,
            version: product.version,
            presence: code("ProductSeen.presence", product.presence, Presence::from_code)?,
        })
    }
}

impl From<Reason> for wire::Reason {
    fn from(reason: Reason) -> Self {
        Self {
            kind: u32::from(reason.kind.code()),
            rule: reason.rule,
            text: reason.text,
            product: reason.product.map(Into::into),
            source: reason.source.map(|source| u32::from(source.code())),
            outcome: reason.outcome.map(|outcome| u32::from(outcome.code())),
            evidence: reason.evidence.map(Into::into),
            command: reason.command,
            order: reason.order.map(|order| order.to_string()),
        }
    }
}

impl TryFrom<wire::Reason> for Reason {
    type Error = ConvertError;
    fn try_from(reason: wire::Reason) -> Result<Self, ConvertError> {
        let source = |value| code("Reason.source", value, SourceName::from_code);
        let outcome = |value| code("Reason.outcome", value, Outcome::from_code);
        Ok(Self {
            kind: code("Reason.kind", reason.kind, ReasonKind::from_code)?,
            rule: reason.rule,
            text: reason.text,
            product: reason.product.map(ProductSeen::try_from).transpose()?,
            source: reason.source.map(source).transpose()?,
            outcome: reason.outcome.map(outcome).transpose()?,
            evidence: reason.evidence.map(Evidence::try_from).transpose()?,
            command: reason.command,
            order: reason.order.map(|order| id("Reason.order", OrderId::new(order))).transpose()?,
        })
    }
}

impl From<VerdictReport> for wire::Verdict {
    fn from(verdict: VerdictReport) -> Self {
        Self {
            order: Some(verdict.order.into()),
            lane: u32::from(verdict.lane.code()),
            in_scope: verdict.in_scope,
            overdue: verdict.overdue,
            silent: verdict.silent,
            presence: u32::from(verdict.presence.code()),
            protection: u32::from(verdict.protection.code()),
            unprotected: verdict.unprotected.map(Into::into),
            since_ms: verdict.since.millis(),
            advice: verdict.advice,
            reasons: into_all(verdict.reasons),
            commands: into_all(verdict.commands),
            true_lane: u32::from(verdict.true_lane.code()),
            decision: verdict.decision.map(Into::into),
        }
    }
}

impl TryFrom<wire::Verdict> for VerdictReport {
    type Error = ConvertError;
    fn try_from(verdict: wire::Verdict) -> Result<Self, ConvertError> {
        Ok(Self {
            order: present("Verdict.order", verdict.order)?.try_into()?,
            lane: lane("Verdict.lane", verdict.lane)?,
            true_lane: lane("Verdict.true_lane", verdict.true_lane)?,
            decision: verdict.decision.map(TryInto::try_into).transpose()?,
            in_scope: verdict.in_scope,
            overdue: verdict.overdue,
            silent: verdict.silent,
            presence: code("Verdict.presence", verdict.presence, Presence::from_code)?,
            protection: code("Verdict.protection", verdict.protection, Protection::from_code)?,
            unprotected: verdict.unprotected.map(Into::into),
            since: Timestamp::from_millis(verdict.since_ms),
            advice: verdict.advice,
            commands: all(verdict.commands)?,
            reasons: all(verdict.reasons)?,
        })
    }
}

impl From<HostRow> for wire::HostRow {
    fn from(row: HostRow) -> Self {
        let HostRow { overdue, silent, true_lanes, .. } = row;
        let host_lane = |(order, lane): (OrderId, Lane)| wire::HostLane {
            overdue: overdue.contains(&order),
            silent: silent.contains(&order),
            true_lane: true_lanes.get(&order).map(|lane| u32::from(lane.code())),
            order: order.to_string(),
            lane: u32::from(lane.code()),
        };
        Self {
            id: Bytes::copy_from_slice(row.id.as_bytes()),
            hostname: row.hostname,
            site: row.site.to_string(),
            platform: u32::from(row.platform.code()),
            os_name: row.os_name,
            last_seen_ms: row.last_seen.map(Timestamp::millis),
            lanes: row.lanes.into_iter().map(host_lane).collect(),
            marks: row.marks.into_iter().map(|mark| mark.code().into()).collect(),
            labels: row.labels.iter().map(ToString::to_string).collect(),
            owner: row.owner,
        }
    }
}

impl TryFrom<wire::HostRow> for HostRow {
    type Error = ConvertError;
    fn try_from(row: wire::HostRow) -> Result<Self, ConvertError> {
        let (mut lanes, mut true_lanes) = (BTreeMap::new(), BTreeMap::new());
        let (mut overdue, mut silent) = (Vec::new(), Vec::new());
        for host_lane in row.lanes {
            let order = id("HostLane.order", OrderId::new(host_lane.order))?;
            if host_lane.overdue {
                overdue.push(order.clone());
            }
            if host_lane.silent {
                silent.push(order.clone());
            }
            if let Some(code) = host_lane.true_lane {
                true_lanes.insert(order.clone(), lane("HostLane.true_lane", code)?);
            }
            lanes.insert(order, lane("HostLane.lane", host_lane.lane)?);
        }
        Ok(Self {
            id: host_id("HostRow.id", &row.id)?,
            hostname: row.hostname,
            site: id("HostRow.site", SiteId::new(row.site))?,
            platform: code("HostRow.platform", row.platform, Platform::from_code)?,
            os_name: row.os_name,
            last_seen: instant(row.last_seen_ms),
            lanes,
            true_lanes,
            overdue,
            silent,
            marks: row
                .marks
                .into_iter()
                .map(|mark| code("HostRow.marks", mark, HostMark::from_code))
                .collect::<Result<_, _>>()?,
            labels: row
                .labels
                .into_iter()
                .map(|label| id("HostRow.labels", Label::new(label)))
                .collect::<Result<_, _>>()?,
            owner: row.owner,
        })
    }
}

impl From<SoftwareEdition> for wire::Edition {
    fn from(edition: SoftwareEdition) -> Self {
        Self {
            platform: u32::from(edition.platform.code()),
            kind: u32::from(edition.kind.code()),
            name: edition.name,
            vendor: edition.vendor,
            version: edition.version,
            state: edition.state,
            present: edition.present,
        }
    }
}

impl TryFrom<wire::Edition> for SoftwareEdition {
    type Error = ConvertError;
    fn try_from(edition: wire::Edition) -> Result<Self, ConvertError> {
        Ok(Self {
            platform: code("Edition.platform", edition.platform, Platform::from_code)?,
            kind: code("Edition.kind", edition.kind, Kind::from_code)?,
            name: edition.name,
            vendor: edition.vendor,
            version: edition.version,
            state: edition.state,
            present: edition.present,
        })
    }
}

impl From<SoftwareHost> for wire::SoftwareHost {
    fn from(host: SoftwareHost) -> Self {
        Self {
            id: Bytes::copy_from_slice(host.id.as_bytes()),
            hostname: host.hostname,
            site: host.site.to_string(),
            last_seen_ms: host.last_seen.map(Timestamp::millis),
            editions: host.editions.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::SoftwareHost> for SoftwareHost {
    type Error = ConvertError;
    fn try_from(host: wire::SoftwareHost) -> Result<Self, ConvertError> {
        Ok(Self {
            id: host_id("SoftwareHost.id", &host.id)?,
            hostname: host.hostname,
            site: id("SoftwareHost.site", SiteId::new(host.site))?,
            last_seen: instant(host.last_seen_ms),
            editions: all(host.editions)?,
        })
    }
}

impl From<SoftwareReport> for wire::SearchSoftwareResponse {
    fn from(report: SoftwareReport) -> Self {
        let count = |one: SoftwareCount| wire::EditionCount { edition: Some(one.edition.into()), hosts: one.hosts };
        Self {
            editions: report.editions.into_iter().map(count).collect(),
            more_editions: report.more_editions,
            hosts_total: report.hosts_total,
            hosts: report.hosts.into_iter().map(Into::into).collect(),
            // The service fills it in: a report knows nothing of pages.
            next_page_token: String::new(),
        }
    }
}

impl TryFrom<wire::SearchSoftwareResponse> for SoftwareReport {
    type Error = ConvertError;
    fn try_from(report: wire::SearchSoftwareResponse) -> Result<Self, ConvertError> {
        let count = |one: wire::EditionCount| {
            let edition = present("EditionCount.edition", one.edition)?;
            Ok(SoftwareCount { edition: edition.try_into()?, hosts: one.hosts })
        };
        Ok(Self {
            editions: report.editions.into_iter().map(count).collect::<Result<_, ConvertError>>()?,
            more_editions: report.more_editions,
            hosts_total: report.hosts_total,
            hosts: all(report.hosts)?,
        })
    }
}

impl From<SourceReport> for wire::SourceReport {
    fn from(report: SourceReport) -> Self {
        Self {
            source: u32::from(report.source.code()),
            outcome: u32::from(report.outcome.code()),
            reason: report.reason,
            observations: report.observations,
            needed_by: report.needed_by.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<wire::SourceReport> for SourceReport {
    type Error = ConvertError;
    fn try_from(report: wire::SourceReport) -> Result<Self, ConvertError> {
        Ok(Self {
            source: code("SourceReport.source", report.source, SourceName::from_code)?,
            outcome: code("SourceReport.outcome", report.outcome, Outcome::from_code)?,
            reason: report.reason,
            observations: report.observations,
            needed_by: report
                .needed_by
                .into_iter()
                .map(|order| id("SourceReport.needed_by", OrderId::new(order)))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl From<HitReport> for wire::Hit {
    fn from(hit: HitReport) -> Self {
        Self {
            product: hit.product.to_string(),
            name: hit.name,
            vendor: hit.vendor,
            category: hit.category,
            presence: u32::from(hit.presence.code()),
            version: hit.version,
            rule: hit.rule,
            evidence: into_all(hit.evidence),
        }
    }
}

impl TryFrom<wire::Hit> for HitReport {
    type Error = ConvertError;
    fn try_from(hit: wire::Hit) -> Result<Self, ConvertError> {
        Ok(Self {
            product: id("Hit.product", ProductId::new(hit.product))?,
            name: hit.name,
            vendor: hit.vendor,
            category: hit.category,
            presence: code("Hit.presence", hit.presence, Presence::from_code)?,
            version: hit.version,
            rule: hit.rule,
            evidence: all(hit.evidence)?,
        })
    }
}

impl From<HostReport> for wire::Host {
    fn from(host: HostReport) -> Self {
        Self {
            id: Bytes::copy_from_slice(host.id.as_bytes()),
            site: host.site.to_string(),
            facts: Some(host.facts.into()),
            state: Some(host.state.into()),
            enrolled_at_ms: host.enrolled_at.millis(),
            last_seen_ms: host.last_seen.map(Timestamp::millis),
            snapshot_since_ms: host.snapshot_since.map(Timestamp::millis),
            complete_scan_ms: host.complete_scan.map(Timestamp::millis),
            observed_at_ms: host.observed_at.map(Timestamp::millis),
            snapshot: host.snapshot,
            sources: into_all(host.sources),
            hits: into_all(host.hits),
            verdicts: into_all(host.verdicts),
            marks: into_all(host.marks),
            labels: host.labels.into_iter().map(Into::into).collect(),
            owner: host.owner.map(Into::into),
            notes: host.notes.into_iter().map(Into::into).collect(),
            enrolled_with: host.enrolled_with,
            dispositions: into_all(host.dispositions),
        }
    }
}

impl TryFrom<wire::Host> for HostReport {
    type Error = ConvertError;
    fn try_from(host: wire::Host) -> Result<Self, ConvertError> {
        Ok(Self {
            id: host_id("Host.id", &host.id)?,
            site: id("Host.site", SiteId::new(host.site))?,
            facts: HostFacts::try_from(present("Host.facts", host.facts)?)?,
            state: host.state.map(HostState::try_from).transpose()?.unwrap_or_default(),
            enrolled_at: Timestamp::from_millis(host.enrolled_at_ms),
            last_seen: instant(host.last_seen_ms),
            snapshot_since: instant(host.snapshot_since_ms),
            complete_scan: instant(host.complete_scan_ms),
            observed_at: instant(host.observed_at_ms),
            snapshot: host.snapshot,
            sources: all(host.sources)?,
            hits: all(host.hits)?,
            verdicts: all(host.verdicts)?,
            marks: all(host.marks)?,
            labels: host.labels.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            owner: host.owner.map(Into::into),
            notes: host.notes.into_iter().map(Into::into).collect(),
            enrolled_with: host.enrolled_with,
            dispositions: all(host.dispositions)?,
        })
    }
}

impl From<Explanation> for wire::ExplainHostResponse {
    fn from(explanation: Explanation) -> Self {
        let entry = |change: LaneChange| wire::HistoryEntry {
            order: change.order.to_string(),
            at_ms: change.since.millis(),
            lane: u32::from(change.lane.code()),
            cause: u32::from(change.cause.code()),
        };
        Self {
            host: Some(explanation.host.into()),
            history: explanation.history.into_iter().map(entry).collect(),
            rules_version: explanation.rules_version,
            duties: into_all(explanation.duties),
        }
    }
}

impl TryFrom<wire::ExplainHostResponse> for Explanation {
    type Error = ConvertError;
    fn try_from(answer: wire::ExplainHostResponse) -> Result<Self, ConvertError> {
        let entry = |entry: wire::HistoryEntry| {
            Ok(LaneChange {
                order: id("HistoryEntry.order", OrderId::new(entry.order))?,
                since: Timestamp::from_millis(entry.at_ms),
                lane: lane("HistoryEntry.lane", entry.lane)?,
                cause: code("HistoryEntry.cause", entry.cause, Cause::from_code)?,
            })
        };
        Ok(Self {
            host: present("ExplainHostResponse.host", answer.host)?.try_into()?,
            history: answer.history.into_iter().map(entry).collect::<Result<_, ConvertError>>()?,
            rules_version: answer.rules_version,
            duties: all(answer.duties)?,
        })
    }
}

impl From<Finding> for wire::Finding {
    fn from(finding: Finding) -> Self {
        Self {
            order: finding.order.to_string(),
            host_id: Bytes::copy_from_slice(finding.host.as_bytes()),
            hostname: finding.hostname,
            site: finding.site.to_string(),
            platform: u32::from(finding.platform.code()),
            lane: u32::from(finding.lane.code()),
            overdue: finding.overdue,
            presence: u32::from(finding.presence.code()),
            protection: u32::from(finding.protection.code()),
            since_ms: finding.since.millis(),
            silent: finding.silent,
            last_seen_ms: finding.last_seen.map(Timestamp::millis),
            reason: finding.reason,
            advice: finding.advice,
        }
    }
}

impl TryFrom<wire::Finding> for Finding {
    type Error = ConvertError;
    fn try_from(finding: wire::Finding) -> Result<Self, ConvertError> {
        Ok(Self {
            order: id("Finding.order", OrderId::new(finding.order))?,
            host: host_id("Finding.host_id", &finding.host_id)?,
            hostname: finding.hostname,
            site: id("Finding.site", SiteId::new(finding.site))?,
            platform: code("Finding.platform", finding.platform, Platform::from_code)?,
            lane: lane("Finding.lane", finding.lane)?,
            overdue: finding.overdue,
            presence: code("Finding.presence", finding.presence, Presence::from_code)?,
            protection: code("Finding.protection", finding.protection, Protection::from_code)?,
            silent: finding.silent,
            since: Timestamp::from_millis(finding.since_ms),
            last_seen: instant(finding.last_seen_ms),
            reason: finding.reason,
            advice: finding.advice,
        })
    }
}

impl From<ChangeRow> for wire::LaneChange {
    fn from(change: ChangeRow) -> Self {
        let lane = |lane: Option<Lane>| lane.map(|lane| u32::from(lane.code()));
        Self {
            at_ms: change.at.millis(),
            host_id: Bytes::copy_from_slice(change.host.as_bytes()),
            hostname: change.hostname,
            site: change.site.to_string(),
            order: change.order.to_string(),
            from: lane(change.from),
            to: lane(change.to),
            cause: u32::from(change.cause.code()),
        }
    }
}

impl TryFrom<wire::LaneChange> for ChangeRow {
    type Error = ConvertError;
    fn try_from(change: wire::LaneChange) -> Result<Self, ConvertError> {
        Ok(Self {
            at: Timestamp::from_millis(change.at_ms),
            host: host_id("LaneChange.host_id", &change.host_id)?,
            hostname: change.hostname,
            site: id("LaneChange.site", SiteId::new(change.site))?,
            order: id("LaneChange.order", OrderId::new(change.order))?,
            from: change.from.map(|code| lane("LaneChange.from", code)).transpose()?,
            to: change.to.map(|code| lane("LaneChange.to", code)).transpose()?,
            cause: code("LaneChange.cause", change.cause, Cause::from_code)?,
        })
    }
}

impl From<ChangesReport> for wire::ListChangesResponse {
    fn from(report: ChangesReport) -> Self {
        let count = |(cause, changes): (Cause, u64)| wire::CauseCount { cause: u32::from(cause.code()), changes };
        Self {
            changes: into_all(report.changes),
            total: report.total,
            hosts: report.hosts,
            causes: report.causes.into_iter().map(count).collect(),
            next_page_token: String::new(),
        }
    }
}

impl TryFrom<wire::ListChangesResponse> for ChangesReport {
    type Error = ConvertError;
    fn try_from(answer: wire::ListChangesResponse) -> Result<Self, ConvertError> {
        let count =
            |count: wire::CauseCount| Ok((code("CauseCount.cause", count.cause, Cause::from_code)?, count.changes));
        Ok(Self {
            changes: all(answer.changes)?,
            total: answer.total,
            hosts: answer.hosts,
            causes: answer.causes.into_iter().map(count).collect::<Result<_, ConvertError>>()?,
        })
    }
}

impl From<ProductReport> for wire::Product {
    fn from(product: ProductReport) -> Self {
        Self {
            id: product.id.to_string(),
            name: product.name,
            vendor: product.vendor,
            category: product.category,
            family: product.family,
            platforms: product.platforms.into_iter().map(|platform| u32::from(platform.code())).collect(),
            recognisers: product.recognisers,
            details: product.details,
        }
    }
}

impl TryFrom<wire::Product> for ProductReport {
    type Error = ConvertError;
    fn try_from(product: wire::Product) -> Result<Self, ConvertError> {
        let platform = |value: u32| code("Product.platforms", value, Platform::from_code);
        Ok(Self {
            id: id("Product.id", ProductId::new(product.id))?,
            name: product.name,
            vendor: product.vendor,
            category: product.category,
            family: product.family,
            platforms: product.platforms.into_iter().map(platform).collect::<Result<_, _>>()?,
            recognisers: product.recognisers,
            details: product.details,
        })
    }
}

impl From<TokenReport> for wire::EnrollmentToken {
    fn from(token: TokenReport) -> Self {
        Self {
            id: token.id.to_string(),
            site: token.site.to_string(),
            created_at_ms: token.created_at.millis(),
            expires_at_ms: token.expires_at.millis(),
            max_uses: token.max_uses,
            uses: token.uses,
            revoked_at_ms: token.revoked_at.map(Timestamp::millis),
        }
    }
}

impl TryFrom<wire::EnrollmentToken> for TokenReport {
    type Error = ConvertError;
    fn try_from(token: wire::EnrollmentToken) -> Result<Self, ConvertError> {
        Ok(Self {
            id: id("EnrollmentToken.id", TokenId::new(token.id))?,
            site: id("EnrollmentToken.site", SiteId::new(token.site))?,
            created_at: Timestamp::from_millis(token.created_at_ms),
            expires_at: Timestamp::from_millis(token.expires_at_ms),
            max_uses: token.max_uses,
            uses: token.uses,
            revoked_at: instant(token.revoked_at_ms),
        })
    }
}
