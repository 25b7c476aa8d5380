//! The remediation record: what a host's past adds to its current snapshot under one order. Stored as versioned JSON
//! beside the verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster_proto::model::{Assessment, Presence, ProductId, ProductSeen, Reason, ReasonKind, Timestamp};

use super::evidence::RemovalEvidence;
use super::unprotected::Unprotected;
use crate::rules::SCAN_SPACING;

/// A prohibited product that was found, and that no complete scan has refuted since.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Positive {
    /// When it was first found, by the collector's clock.
    pub since: Timestamp,
    /// When it was last found.
    pub last_seen: Timestamp,
    /// How it was present.
    pub presence: Presence,
    /// The products and their uninstall commands, for explanations while the current scan cannot see them.
    pub reasons: Vec<Reason>,
    /// When each product was first found, by its id. A product that is missing here was found at `since`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub products: BTreeMap<ProductId, Timestamp>,
    /// Products that were there before and are no longer, while others still are: they were removed first. At most `GONE_KEPT`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Reason>,
}

/// How many products a record keeps of those that were removed first.
const GONE_KEPT: usize = 32;

impl Positive {
    /// The products that are there, each with the instant of its first finding. Remnants and suspicions are none.
    pub fn findings(&self) -> impl Iterator<Item = (&ProductSeen, Timestamp)> {
        let seen = self.there().filter_map(|reason| reason.product.as_ref());
        let found: BTreeMap<&ProductId, &ProductSeen> = seen.map(|seen| (&seen.id, seen)).collect();
        found.into_iter().map(|(id, seen)| (seen, self.products.get(id).copied().unwrap_or(self.since)))
    }

    /// The products of which an attestation says that they were removed: those that were there last, and before them those that were
    /// removed first. A suspicion is none.
    pub fn removed(&self) -> impl Iterator<Item = &Reason> {
        self.there().chain(&self.gone)
    }

    /// The reasons that name products which are there.
    fn there(&self) -> impl Iterator<Item = &Reason> {
        use Presence::{Active, Embedded, Installed, ManagementOnly};
        let is_there = |seen: &ProductSeen| matches!(seen.presence, Active | Installed | ManagementOnly | Embedded);
        let products = self.reasons.iter().filter(|reason| reason.kind == ReasonKind::Product);
        products.filter(move |reason| reason.product.as_ref().is_some_and(is_there))
    }

    /// The products of this one that a later one does not have any more, each once.
    fn without(&self, later: &Self) -> Vec<Reason> {
        let id = |reason: &Reason| reason.product.as_ref().map(|product| product.id.clone());
        let mut known: BTreeSet<Option<ProductId>> = later.there().map(id).collect();
        self.removed().filter(|reason| known.insert(id(reason))).take(GONE_KEPT).cloned().collect()
    }

    /// The same, as far as these products are meant.
    #[must_use]
    pub fn only(&self, is_meant: impl Fn(&ProductId) -> bool) -> Self {
        let is_of_one = |reason: &&Reason| reason.product.as_ref().is_some_and(|product| is_meant(&product.id));
        let kept = |reasons: &[Reason]| reasons.iter().filter(is_of_one).cloned().collect();
        let products = self.products.iter().filter(|(id, _)| is_meant(id));
        Self {
            reasons: kept(&self.reasons),
            gone: kept(&self.gone),
            products: products.map(|(id, since)| (id.clone(), *since)).collect(),
            ..self.clone()
        }
    }
}

/// A removal: the time after a complete scan refuted the positive.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Removal {
    /// When the first complete scan without the product was received.
    pub since: Timestamp,
    /// The boot id under which the product was last present; empty when unknown.
    pub present_boot_id: String,
    /// Whether a complete scan under another boot id was received.
    pub new_boot: bool,
    /// When complete scans without the product were received, at least `SCAN_SPACING` apart; at most
    /// `CLEAN_SCANS_KEPT`.
    pub clean_scans: Vec<Timestamp>,
    /// What was present before; `None` if the host was never seen with the product, only with its remnants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Positive>,
}

/// The history of one host under one order, as far as a verdict needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Remediation {
    /// The positive in force.
    pub positive: Option<Positive>,
    /// Set when the host had the product and lost it.
    pub removal: Option<Removal>,
    /// The boot id of the last scan in which the product was present.
    pub present_boot_id: String,
    /// What an attestation of the removal will rest on.
    #[serde(default, skip_serializing_if = "RemovalEvidence::is_empty")]
    pub evidence: RemovalEvidence,
    /// How long the host was unprotected since the product was first found.
    #[serde(default, skip_serializing_if = "Unprotected::is_never")]
    pub unprotected: Unprotected,
}

/// How many clean scans a record keeps; no order may ask for more.
const CLEAN_SCANS_KEPT: usize = 8;

impl Remediation {
    /// What was present last, whether or not it still is.
    #[must_use]
    pub fn last_positive(&self) -> Option<&Positive> {
        self.positive.as_ref().or_else(|| self.removal.as_ref()?.was.as_ref())
    }

    /// The record after a scan. A positive remains in force until a complete scan refutes it.
    ///
    /// `received` is the collector's time; `boot_id` is the one under which the host was scanned, empty when unknown.
    #[must_use]
    pub fn advance(&self, assessment: &Assessment, received: Timestamp, boot_id: &str) -> Self {
        // A suspect may be the same product behind weaker evidence, so it refutes nothing.
        let refuted = assessment.covered && assessment.presence != Presence::Suspect;
        let mut record = if assessment.prohibited {
            self.with_product(assessment, received, boot_id)
        } else if refuted {
            self.without_product(assessment, received, boot_id)
        } else {
            self.clone()
        };
        if record.had_product() {
            record.unprotected = self.unprotected.advance(assessment, received);
        }
        record
    }

    /// Whether the product or its remnants were ever found on the host.
    const fn had_product(&self) -> bool {
        self.positive.is_some() || self.removal.is_some()
    }

    /// The record after a scan of one of two machines that report with the key of one host. It refutes nothing that was found
    /// on the other.
    #[must_use]
    pub fn advance_by_one_of_two(&self, assessment: &Assessment, received: Timestamp, boot_id: &str) -> Self {
        if assessment.prohibited { self.advance(assessment, received, boot_id) } else { self.clone() }
    }

    fn with_product(&self, assessment: &Assessment, received: Timestamp, boot_id: &str) -> Self {
        let since = self.positive.as_ref().map_or(received, |positive| positive.since);
        let is_kept =
            |reason: &&Reason| matches!(reason.kind, ReasonKind::Product | ReasonKind::Exempt | ReasonKind::Uninstall);
        let reasons = assessment.reasons.iter().filter(is_kept).cloned().collect();
        let (presence, products) = (assessment.presence, BTreeMap::new());
        let gone = Vec::new();
        let mut positive = Positive { since, last_seen: received, presence, reasons, products, gone };
        let known: BTreeMap<_, _> =
            self.positive.iter().flat_map(Positive::findings).map(|(seen, since)| (&seen.id, since)).collect();
        let first_found = |id: &ProductId| known.get(id).copied().unwrap_or(received);
        positive.products = positive.findings().map(|(seen, _)| (seen.id.clone(), first_found(&seen.id))).collect();
        positive.gone = self.positive.as_ref().map(|before| before.without(&positive)).unwrap_or_default();
        // Clean scans that preceded this sighting prove nothing about the product, so they are dropped.
        let evidence = RemovalEvidence::default();
        let (present_boot_id, unprotected) = (boot_id.to_owned(), self.unprotected);
        Self { positive: Some(positive), removal: None, present_boot_id, evidence, unprotected }
    }

    /// After a complete scan without the product. Remnants open a record too: the product was there before the first
    /// scan.
    fn without_product(&self, assessment: &Assessment, received: Timestamp, boot_id: &str) -> Self {
        if !self.had_product() && !assessment.remnants {
            return self.clone();
        }
        let mut removal = self.removal.clone().unwrap_or_else(|| Removal {
            since: received,
            present_boot_id: self.present_boot_id.clone(),
            new_boot: false,
            clean_scans: Vec::new(),
            was: self.positive.clone(),
        });
        // Without a known boot id (an image, or a removal before the first scan) no restart can be waited for.
        removal.new_boot |= removal.present_boot_id != boot_id || removal.present_boot_id.is_empty();
        // Without spacing a host that scans often would fill the record within a day.
        let counts = removal.clean_scans.last().is_none_or(|last| received.since(*last) >= SCAN_SPACING);
        if counts && removal.clean_scans.len() < CLEAN_SCANS_KEPT {
            removal.clean_scans.push(received);
        }
        // The boot id remains that of the last sighting, because a restart is measured against it.
        let (present_boot_id, evidence) = (self.present_boot_id.clone(), self.evidence.clone());
        Self { positive: None, removal: Some(removal), present_boot_id, evidence, unprotected: self.unprotected }
    }
}

impl Removal {
    /// How many of the clean scans are at least this far apart.
    #[must_use]
    pub fn scans_apart(&self, spacing: Duration) -> usize {
        // Counting greedily from the oldest scan gives the greatest possible number.
        let mut counted: Option<Timestamp> = None;
        let mut count = 0;
        for scan in &self.clean_scans {
            if counted.is_none_or(|last| scan.since(last) >= spacing) {
                counted = Some(*scan);
                count += 1;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{OrderId, Platform, Protection};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn assessed(presence: Presence, covered: bool, remnants: bool) -> Assessment {
        Assessment {
            order: OrderId::new("test").expect("an id"),
            rules_version: String::new(),
            platform: Platform::Linux,
            presence,
            protection: Protection::Approved,
            covered,
            prohibited: matches!(presence, Presence::Active | Presence::Installed),
            remnants,
            guarding: Some(false),
            reasons: Vec::new(),
        }
    }

    fn at(days: u32) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).plus(DAY * days)
    }

    #[test]
    fn a_positive_remains_until_a_complete_scan_refutes_it() {
        let record = Remediation::default().advance(&assessed(Presence::Installed, true, false), at(0), "a");
        assert!(record.positive.is_some());
        let incomplete = record.advance(&assessed(Presence::Unknown, false, false), at(1), "b");
        assert_eq!(incomplete, record, "an incomplete scan refutes nothing");
        let suspect = record.advance(&assessed(Presence::Suspect, true, false), at(1), "b");
        assert_eq!(suspect, record, "nor does one with weak evidence");
        let clean = record.advance(&assessed(Presence::None, true, false), at(2), "b");
        assert!(clean.positive.is_none());
        let removal = clean.removal.expect("it had the product");
        assert_eq!((removal.since, removal.was), (at(2), record.positive), "what was present is kept");
    }

    #[test]
    fn a_clean_scan_of_one_of_two_machines_refutes_and_proves_nothing() {
        let found = assessed(Presence::Installed, true, false);
        let clean = assessed(Presence::None, true, false);
        let record = Remediation::default().advance_by_one_of_two(&found, at(0), "a");
        assert!(record.positive.is_some());
        assert_eq!(record.advance_by_one_of_two(&clean, at(1), "b"), record);
        let again = record.advance_by_one_of_two(&found, at(2), "a");
        assert_eq!(again.positive.map(|positive| positive.last_seen), Some(at(2)));
        // Neither does one prove a removal from before.
        let removed = record.advance(&clean, at(3), "b");
        assert_eq!(removed.advance_by_one_of_two(&clean, at(5), "c"), removed);
    }

    #[test]
    fn clean_scans_count_when_they_are_a_day_apart_and_a_new_boot_is_noted() {
        let mut record = Remediation::default().advance(&assessed(Presence::Active, true, false), at(0), "a");
        record = record.advance(&assessed(Presence::None, true, false), at(1), "a");
        record = record.advance(&assessed(Presence::None, true, false), at(1).plus(DAY / 2), "a");
        let removal = record.removal.clone().expect("it had the product");
        assert_eq!((removal.scans_apart(DAY), removal.new_boot), (1, false));
        record = record.advance(&assessed(Presence::None, true, false), at(2), "b");
        let removal = record.removal.clone().expect("it had the product");
        assert_eq!((removal.scans_apart(DAY), removal.new_boot), (2, true));
        assert_eq!(removal.scans_apart(DAY * 2), 1);
    }

    #[test]
    fn a_product_that_is_installed_again_starts_a_new_positive() {
        let mut record = Remediation::default().advance(&assessed(Presence::Installed, true, false), at(0), "a");
        record = record.advance(&assessed(Presence::None, true, false), at(1), "b");
        record = record.advance(&assessed(Presence::Installed, true, false), at(2), "b");
        assert_eq!(record.removal, None);
        assert_eq!(record.positive.expect("it is back").since, at(2));
    }

    #[test]
    fn a_product_that_is_there_counts_from_its_first_finding_and_not_from_its_remnants() {
        let reason = |id: &str, presence| {
            let product = ProductSeen {
                id: ProductId::new(id).expect("valid"),
                name: String::new(),
                version: String::new(),
                presence,
            };
            Reason { product: Some(product), ..Reason::new(ReasonKind::Product, "rule", "it is there") }
        };
        let seen =
            |reasons: &[Reason]| Assessment { reasons: reasons.to_vec(), ..assessed(Presence::Installed, true, false) };
        let (one, other) = (reason("one", Presence::Installed), reason("other", Presence::Remnant));
        let record = Remediation::default().advance(&seen(&[one.clone(), other]), at(0), "a");
        let installed = reason("other", Presence::Active);
        let record = record.advance(&seen(&[one, installed]), at(3), "a");
        let positive = record.positive.expect("two products");
        let found: Vec<_> = positive.findings().map(|(seen, since)| (seen.id.as_str(), since)).collect();
        assert_eq!(found, [("one", at(0)), ("other", at(3))]);
    }

    #[test]
    fn a_clean_host_has_an_empty_record_and_remnants_count_as_a_removal() {
        assert_eq!(
            Remediation::default().advance(&assessed(Presence::None, true, false), at(0), "a"),
            Remediation::default()
        );
        let left = Remediation::default().advance(&assessed(Presence::Remnant, true, true), at(0), "a");
        assert!(left.removal.expect("it had the product").new_boot);
    }
}
