//! What an attestation needs of a removal, kept in the remediation record while the removal is proven. Retention may remove
//! the snapshots meanwhile, and the attestation must not depend on that.

use std::time::Duration;

use muster_proto::model::{Assessment, Digest, Outcome, Reason, ReasonKind, Snapshot, SourceName, Timestamp};

use crate::rules::ConfirmRule;

/// The snapshot that showed the product last.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ShownIn {
    /// When the scan was received.
    pub received: Timestamp,
    /// The digest of its snapshot.
    pub snapshot: Digest,
    /// The sections that showed it.
    pub sections: Vec<(SourceName, Digest)>,
    /// What was shown, if only remnants were ever seen. Otherwise the record's positive has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remnants: Vec<Reason>,
}

/// A complete scan without the product.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CleanScanSeen {
    /// When it was received.
    pub received: Timestamp,
    /// The digest of its snapshot.
    pub snapshot: Digest,
    /// The outcome of every source.
    pub sources: Vec<(SourceName, Outcome)>,
}

/// The first complete scan after a restart.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RestartSeen {
    /// When it was received.
    pub received: Timestamp,
    /// The boot id before the restart.
    pub before: String,
    /// The boot id after it.
    pub after: String,
}

/// The evidence of one removal under one order.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct RemovalEvidence {
    /// Where the product was seen last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<ShownIn>,
    /// Complete scans without it, at least a day apart, until the removal is proven.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scans: Vec<CleanScanSeen>,
    /// The restart since; `None` also if the boot id before was never known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartSeen>,
    /// When the removal was attested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attested: Option<Timestamp>,
}

/// A scan as evidence.
#[derive(Debug, Clone, Copy)]
pub struct ScanSeen<'a> {
    /// When it was received.
    pub received: Timestamp,
    /// The digest of its snapshot.
    pub digest: Digest,
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// The boot id under which it was made; empty when unknown.
    pub boot_id: &'a str,
}

impl ScanSeen<'_> {
    /// The scan as one without the product.
    #[must_use]
    pub fn clean(&self) -> CleanScanSeen {
        let sources = self.snapshot.entries().iter().map(|entry| (entry.source, entry.outcome)).collect();
        CleanScanSeen { received: self.received, snapshot: self.digest, sources }
    }

    /// The scan as the last one that showed the product.
    #[must_use]
    pub fn shown(&self, assessment: &Assessment) -> ShownIn {
        let products = assessment.reasons.iter().filter(|reason| reason.kind == ReasonKind::Product);
        let of = |reason: &Reason| reason.evidence.as_ref().map(|evidence| evidence.source).or(reason.source);
        let mut sources: Vec<SourceName> = products.filter_map(of).collect();
        sources.sort_unstable();
        sources.dedup();
        let section = |source| Some((source, self.snapshot.entry(source)?.section?));
        let sections = sources.into_iter().filter_map(section).collect();
        ShownIn { received: self.received, snapshot: self.digest, sections, remnants: Vec::new() }
    }
}

impl RemovalEvidence {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of the proof that the order wants is not there, in words. `before` is the boot id under which the product was
    /// last present; empty when unknown, and then no restart can be waited for.
    #[must_use]
    pub fn missing(&self, confirm: &ConfirmRule, before: &str) -> Vec<String> {
        let mut missing = Vec::new();
        if self.shown.is_none() {
            missing.push("no snapshot that showed the product".to_owned());
        }
        let scans = self.scans_apart(confirm.spacing);
        if scans < confirm.scans {
            missing.push(format!("{scans} of {} clean scans", confirm.scans));
        }
        if confirm.new_boot && self.restart.is_none() && !before.is_empty() {
            missing.push("no clean scan after a restart".to_owned());
        }
        missing
    }

    fn scans_apart(&self, spacing: Duration) -> usize {
        let mut counted: Option<Timestamp> = None;
        let mut count = 0;
        for scan in &self.scans {
            if counted.is_none_or(|last| scan.received.since(last) >= spacing) {
                counted = Some(scan.received);
                count += 1;
            }
        }
        count
    }
}
