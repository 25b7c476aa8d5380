//! Conversions of marks of hosts and of what actions on hosts have changed.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{ConvertError, code, host_id};
use crate::model::{HostActionReport, HostMark, HostName, MarkReport, PurgeCounts, Timestamp};
use crate::wire;

pub(super) fn mark_counts(marks: BTreeMap<HostMark, u64>) -> Vec<wire::MarkCount> {
    marks.into_iter().map(|(mark, hosts)| wire::MarkCount { mark: mark.code().into(), hosts }).collect()
}

pub(super) fn counts_of_marks(counts: Vec<wire::MarkCount>) -> Result<BTreeMap<HostMark, u64>, ConvertError> {
    let count = |count: wire::MarkCount| Ok((code("MarkCount.mark", count.mark, HostMark::from_code)?, count.hosts));
    counts.into_iter().map(count).collect()
}

impl From<MarkReport> for wire::Mark {
    fn from(mark: MarkReport) -> Self {
        Self { mark: mark.mark.code().into(), since_ms: mark.since.millis(), reason: mark.reason }
    }
}

impl TryFrom<wire::Mark> for MarkReport {
    type Error = ConvertError;
    fn try_from(mark: wire::Mark) -> Result<Self, ConvertError> {
        Ok(Self {
            mark: code("Mark.mark", mark.mark, HostMark::from_code)?,
            since: Timestamp::from_millis(mark.since_ms),
            reason: mark.reason,
        })
    }
}

impl From<HostActionReport> for wire::HostActionResponse {
    fn from(report: HostActionReport) -> Self {
        let host = |host: HostName| wire::ChangedHost {
            id: Bytes::copy_from_slice(host.id.as_bytes()),
            hostname: host.hostname,
        };
        Self {
            hosts: report.hosts.into_iter().map(host).collect(),
            changed: report.changed,
            unchanged: report.unchanged,
            removed_snapshots: report.removed.snapshots,
            removed_sections: report.removed.sections,
        }
    }
}

impl TryFrom<wire::HostActionResponse> for HostActionReport {
    type Error = ConvertError;
    fn try_from(answer: wire::HostActionResponse) -> Result<Self, ConvertError> {
        let host = |host: wire::ChangedHost| {
            Ok(HostName { id: host_id("ChangedHost.id", &host.id)?, hostname: host.hostname })
        };
        Ok(Self {
            hosts: answer.hosts.into_iter().map(host).collect::<Result<_, ConvertError>>()?,
            changed: answer.changed,
            unchanged: answer.unchanged,
            removed: PurgeCounts { snapshots: answer.removed_snapshots, sections: answer.removed_sections },
        })
    }
}
