//! Adds the evidence of each scan to the remediation record, until the removal is proven.

use muster_proto::model::{Assessment, Presence, ReasonKind};

use super::evidence::{RemovalEvidence, RestartSeen, ScanSeen, ShownIn};
use super::remediation::Remediation;
use crate::rules::{ConfirmRule, SCAN_SPACING};

/// How many scans the evidence of a removal keeps; no order may ask for more.
const SCANS_KEPT: usize = 8;

impl Remediation {
    /// What of the evidence that the order wants of a removal is not there; `None` if nothing was removed.
    #[must_use]
    pub fn missing_evidence(&self, confirm: &ConfirmRule) -> Option<Vec<String>> {
        Some(self.evidence.missing(confirm, &self.removal.as_ref()?.present_boot_id))
    }

    /// The record with the evidence of the scan by which it was [advanced](Self::advance).
    #[must_use]
    pub fn with_evidence(mut self, assessment: &Assessment, scan: &ScanSeen<'_>, confirm: &ConfirmRule) -> Self {
        if assessment.prohibited {
            // What proved an earlier removal proves nothing about this product.
            self.evidence = RemovalEvidence { shown: Some(scan.shown(assessment)), ..RemovalEvidence::default() };
            return self;
        }
        let is_clean = assessment.covered && assessment.presence != Presence::Suspect;
        let Some(removal) = self.removal.as_ref().filter(|_| is_clean) else { return self };
        // The product was there before the first scan, so its remnants are the only evidence of it. A scan that shows them is not one
        // without it, and what came before is not after it.
        if assessment.remnants && removal.was.is_none() {
            let remnants = assessment.reasons.iter().filter(|reason| reason.kind == ReasonKind::Product);
            let shown = Some(ShownIn { remnants: remnants.cloned().collect(), ..scan.shown(assessment) });
            self.evidence = RemovalEvidence { shown, attested: self.evidence.attested, ..RemovalEvidence::default() };
            return self;
        }
        let evidence = &mut self.evidence;
        if evidence.missing(confirm, &removal.present_boot_id).is_empty() {
            return self;
        }
        let counts = evidence.scans.last().is_none_or(|last| scan.received.since(last.received) >= SCAN_SPACING);
        if counts && evidence.scans.len() < SCANS_KEPT {
            evidence.scans.push(scan.clean());
        }
        let before = removal.present_boot_id.as_str();
        if evidence.restart.is_none() && ![before, scan.boot_id].contains(&"") && before != scan.boot_id {
            let (before, after) = (before.to_owned(), scan.boot_id.to_owned());
            evidence.restart = Some(RestartSeen { received: scan.received, before, after });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use muster_proto::model::{
        Digest, OrderId, Outcome, Platform, Protection, Reason, Snapshot, SnapshotEntry, SourceName, Timestamp,
    };

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const RULE: ConfirmRule = ConfirmRule { scans: 2, spacing: DAY, new_boot: true };

    fn at(days: u32) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).plus(DAY * days)
    }

    fn assessed(presence: Presence) -> Assessment {
        let mut reason = Reason::new(ReasonKind::Product, "a rule", "It is installed");
        reason.source = Some(SourceName::Dpkg);
        Assessment {
            order: OrderId::new("test").expect("an id"),
            rules_version: String::new(),
            platform: Platform::Linux,
            presence,
            protection: Protection::Approved,
            covered: presence != Presence::Unknown,
            prohibited: presence == Presence::Installed,
            remnants: presence == Presence::Remnant,
            guarding: Some(false),
            reasons: if presence == Presence::None { Vec::new() } else { vec![reason] },
        }
    }

    fn snapshot() -> Snapshot {
        let entry =
            |source, outcome, section| SnapshotEntry { source, outcome, reason: String::new(), watchlist: 0, section };
        let dpkg = entry(SourceName::Dpkg, Outcome::Found, Some(Digest::of(b"section")));
        Snapshot::new(Platform::Linux, vec![dpkg, entry(SourceName::Rpm, Outcome::NotApplicable, None)])
    }

    fn after(record: &Remediation, presence: Presence, days: u32, boot_id: &str) -> Remediation {
        let snapshot = snapshot();
        let digest = Digest::of(&[u8::try_from(days).expect("few")]);
        let scan = ScanSeen { received: at(days), digest, snapshot: &snapshot, boot_id };
        let assessment = assessed(presence);
        record.advance(&assessment, at(days), boot_id).with_evidence(&assessment, &scan, &RULE)
    }

    fn is_complete(record: &Remediation) -> bool {
        record.missing_evidence(&RULE).is_some_and(|missing| missing.is_empty())
    }

    #[test]
    fn the_evidence_names_the_last_snapshot_with_the_product_and_the_scans_without_it() {
        let installed = after(&Remediation::default(), Presence::Installed, 0, "a");
        let shown = installed.evidence.shown.as_ref().expect("it was shown");
        assert_eq!(
            (shown.snapshot, &shown.sections[..]),
            (Digest::of(&[0]), &[(SourceName::Dpkg, Digest::of(b"section"))][..])
        );
        let first = after(&installed, Presence::None, 1, "a");
        assert!(!is_complete(&first) && first.evidence.restart.is_none());
        let second = after(&first, Presence::None, 2, "b");
        assert!(is_complete(&second));
        let RemovalEvidence { scans, restart, .. } = &second.evidence;
        assert_eq!(scans.iter().map(|scan| scan.received).collect::<Vec<_>>(), [at(1), at(2)]);
        assert_eq!(scans[0].sources, [(SourceName::Dpkg, Outcome::Found), (SourceName::Rpm, Outcome::NotApplicable)]);
        let restart = restart.as_ref().expect("a restart");
        assert_eq!((restart.before.as_str(), restart.after.as_str(), restart.received), ("a", "b", at(2)));
        assert_eq!(after(&second, Presence::None, 3, "b").evidence, second.evidence, "it is complete");
    }

    #[test]
    fn a_scan_that_refutes_nothing_is_no_evidence_and_a_new_positive_begins_anew() {
        let installed = after(&Remediation::default(), Presence::Installed, 0, "a");
        let first = after(&installed, Presence::None, 1, "b");
        assert_eq!(after(&first, Presence::Unknown, 2, "b").evidence, first.evidence);
        assert_eq!(after(&first, Presence::Suspect, 2, "b").evidence, first.evidence);
        let mut again = after(&first, Presence::Installed, 3, "b").evidence;
        assert_eq!(again.shown.take().map(|shown| shown.received), Some(at(3)));
        assert!(again.is_empty());
    }

    #[test]
    fn remnants_are_the_evidence_of_a_product_that_was_never_seen_installed() {
        let left = after(&Remediation::default(), Presence::Remnant, 0, "a");
        assert_eq!(left.evidence.shown.as_ref().map(|shown| shown.remnants.len()), Some(1));
        let later = after(&left, Presence::Remnant, 5, "a");
        let first = after(&later, Presence::None, 6, "a");
        let received = |record: &Remediation| -> Vec<Timestamp> {
            let RemovalEvidence { shown, scans, .. } = &record.evidence;
            shown.iter().map(|shown| shown.received).chain(scans.iter().map(|scan| scan.received)).collect()
        };
        assert_eq!(received(&first), [at(5), at(6)], "a scan with remnants is none without them");
        assert!(!is_complete(&first));
        let clean = after(&first, Presence::None, 7, "a");
        assert!(is_complete(&clean), "no boot id is known before: {:?}", clean.evidence);
    }

    #[test]
    fn a_record_from_before_there_was_evidence_is_read_and_never_complete() {
        let installed = after(&Remediation::default(), Presence::Installed, 0, "a");
        let removed = Remediation { evidence: RemovalEvidence::default(), ..after(&installed, Presence::None, 1, "b") };
        let text = serde_json::to_string(&removed).expect("is JSON");
        assert!(!text.contains("evidence"), "{text}");
        let read: Remediation = serde_json::from_str(&text).expect("read");
        assert_eq!(read, removed);
        assert!(!is_complete(&after(&after(&read, Presence::None, 2, "b"), Presence::None, 3, "b")));
    }
}
