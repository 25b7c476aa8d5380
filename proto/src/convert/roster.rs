//! The roster, between model and wire.

use bytes::Bytes;

use super::{ConvertError, code, host_id, id, instant, present, visible, within};
use crate::limits;
use crate::model::{
    CandidateReason, CandidateReport, EntryReport, EntryState, IdentifierKind, ImportCounts, ImportExamples,
    ImportReport, MatchBasis, Platform, RecordReport, RosterCounts, RosterRow, RosterSourceReport, SiteId, Timestamp,
};
use crate::wire;

impl From<RosterRow> for wire::RosterRow {
    fn from(row: RosterRow) -> Self {
        let RosterRow {
            name,
            fqdn,
            serial,
            hardware_uuid,
            macs,
            owner,
            owner_email,
            site,
            os,
            external_id,
            entra_object_id,
            last_seen,
        } = row;
        let last_seen_ms = last_seen.map(Timestamp::millis);
        Self {
            name,
            fqdn,
            serial,
            hardware_uuid,
            macs,
            owner,
            owner_email,
            site,
            os,
            external_id,
            entra_object_id,
            last_seen_ms,
        }
    }
}

impl TryFrom<wire::RosterRow> for RosterRow {
    type Error = ConvertError;
    fn try_from(row: wire::RosterRow) -> Result<Self, ConvertError> {
        let row = Self {
            name: row.name,
            fqdn: row.fqdn,
            serial: row.serial,
            hardware_uuid: row.hardware_uuid,
            macs: row.macs,
            owner: row.owner,
            owner_email: row.owner_email,
            site: row.site,
            os: row.os,
            external_id: row.external_id,
            entra_object_id: row.entra_object_id,
            last_seen: instant(row.last_seen_ms),
        };
        within("RosterRow.macs", row.macs.len(), "MACS_PER_HOST", limits::MACS_PER_HOST)?;
        let texts = [
            ("RosterRow.name", &row.name),
            ("RosterRow.fqdn", &row.fqdn),
            ("RosterRow.serial", &row.serial),
            ("RosterRow.hardware_uuid", &row.hardware_uuid),
            ("RosterRow.owner", &row.owner),
            ("RosterRow.owner_email", &row.owner_email),
            ("RosterRow.site", &row.site),
            ("RosterRow.os", &row.os),
            ("RosterRow.external_id", &row.external_id),
            ("RosterRow.entra_object_id", &row.entra_object_id),
        ];
        for (field, text) in texts.into_iter().chain(row.macs.iter().map(|mac| ("RosterRow.macs", mac))) {
            within(field, text.len(), "ROSTER_TEXT_BYTES", limits::ROSTER_TEXT_BYTES)?;
            visible(field, text)?;
        }
        // Clients send rows in their one spelling; what names no machine is no row.
        row.normalized().map_err(|_| ConvertError::Text { field: "ImportRosterRequest.rows" })
    }
}

impl From<RosterCounts> for wire::RosterCounts {
    fn from(counts: RosterCounts) -> Self {
        let RosterCounts { listed, matched, missing, review, excused, outside } = counts;
        Self { listed, matched, missing, review, excused, outside }
    }
}

impl From<wire::RosterCounts> for RosterCounts {
    fn from(counts: wire::RosterCounts) -> Self {
        let wire::RosterCounts { listed, matched, missing, review, excused, outside } = counts;
        Self { listed, matched, missing, review, excused, outside }
    }
}

impl From<ImportReport> for wire::ImportRosterResponse {
    fn from(report: ImportReport) -> Self {
        let ImportCounts { added, changed, unchanged, absent } = report.counts;
        let ImportExamples { added: added_names, changed: changed_names, absent: absent_names } = report.examples;
        Self {
            added,
            changed,
            unchanged,
            absent,
            added_names,
            changed_names,
            absent_names,
            roster: Some(report.roster.into()),
        }
    }
}

impl wire::ImportRosterResponse {
    /// The answer to the import of a source.
    #[must_use]
    pub fn into_report(self, source: String, dry_run: bool) -> ImportReport {
        let Self { added, changed, unchanged, absent, added_names, changed_names, absent_names, roster } = self;
        ImportReport {
            source,
            dry_run,
            counts: ImportCounts { added, changed, unchanged, absent },
            examples: ImportExamples { added: added_names, changed: changed_names, absent: absent_names },
            roster: roster.unwrap_or_default().into(),
        }
    }
}

impl From<RecordReport> for wire::RosterRecord {
    fn from(record: RecordReport) -> Self {
        let RecordReport { source, row, closed } = record;
        Self { source, row: Some(row.into()), closed_ms: closed.map(Timestamp::millis) }
    }
}

impl TryFrom<wire::RosterRecord> for RecordReport {
    type Error = ConvertError;
    fn try_from(record: wire::RosterRecord) -> Result<Self, ConvertError> {
        let wire::RosterRecord { source, row, closed_ms } = record;
        let row = present("RosterRecord.row", row)?.try_into()?;
        Ok(Self { source, row, closed: instant(closed_ms) })
    }
}

impl From<CandidateReport> for wire::RosterCandidate {
    fn from(candidate: CandidateReport) -> Self {
        Self {
            host: Bytes::copy_from_slice(candidate.host.as_bytes()),
            hostname: candidate.hostname,
            site: candidate.site.to_string(),
            last_seen_ms: candidate.last_seen.millis(),
            agreeing: candidate.agreeing.iter().map(|kind| u32::from(kind.code())).collect(),
            why: u32::from(candidate.why.code()),
        }
    }
}

impl TryFrom<wire::RosterCandidate> for CandidateReport {
    type Error = ConvertError;
    fn try_from(candidate: wire::RosterCandidate) -> Result<Self, ConvertError> {
        let agreeing = candidate.agreeing.into_iter();
        let agreeing = agreeing.map(|kind| code("RosterCandidate.agreeing", kind, IdentifierKind::from_code));
        Ok(Self {
            host: host_id("RosterCandidate.host", &candidate.host)?,
            hostname: candidate.hostname,
            site: site("RosterCandidate.site", candidate.site)?,
            last_seen: Timestamp::from_millis(candidate.last_seen_ms),
            agreeing: agreeing.collect::<Result<_, _>>()?,
            why: code("RosterCandidate.why", candidate.why, CandidateReason::from_code)?,
        })
    }
}

impl From<EntryReport> for wire::RosterEntry {
    fn from(entry: EntryReport) -> Self {
        Self {
            number: entry.number,
            name: entry.name,
            site: entry.site.map(|site| site.to_string()).unwrap_or_default(),
            platform: entry.platform.map_or(0, |platform| u32::from(platform.code())),
            state: u32::from(entry.state.code()),
            since_ms: entry.since.millis(),
            listed_ms: entry.listed.millis(),
            host: entry.host.map(|host| Bytes::copy_from_slice(host.as_bytes())).unwrap_or_default(),
            hostname: entry.hostname,
            basis: u32::from(entry.basis.code()),
            note: entry.note,
            records: entry.records.into_iter().map(Into::into).collect(),
            candidates: entry.candidates.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::RosterEntry> for EntryReport {
    type Error = ConvertError;
    fn try_from(entry: wire::RosterEntry) -> Result<Self, ConvertError> {
        let platform = |platform: u32| code("RosterEntry.platform", platform, Platform::from_code);
        Ok(Self {
            number: entry.number,
            name: entry.name,
            site: if entry.site.is_empty() { None } else { Some(site("RosterEntry.site", entry.site)?) },
            platform: Some(entry.platform).filter(|code| *code > 0).map(platform).transpose()?,
            state: code("RosterEntry.state", entry.state, EntryState::from_code)?,
            since: Timestamp::from_millis(entry.since_ms),
            listed: Timestamp::from_millis(entry.listed_ms),
            host: if entry.host.is_empty() { None } else { Some(host_id("RosterEntry.host", &entry.host)?) },
            hostname: entry.hostname,
            basis: code("RosterEntry.basis", entry.basis, MatchBasis::from_code)?,
            note: entry.note,
            records: entry.records.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            candidates: entry.candidates.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<RosterSourceReport> for wire::RosterSource {
    fn from(source: RosterSourceReport) -> Self {
        let RosterSourceReport { name, imported, records, missing } = source;
        Self { name, imported_ms: imported.millis(), records, missing }
    }
}

impl From<wire::RosterSource> for RosterSourceReport {
    fn from(source: wire::RosterSource) -> Self {
        let wire::RosterSource { name, imported_ms, records, missing } = source;
        Self { name, imported: Timestamp::from_millis(imported_ms), records, missing }
    }
}

fn site(field: &'static str, text: String) -> Result<SiteId, ConvertError> {
    id(field, SiteId::new(text))
}
