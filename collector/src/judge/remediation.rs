//! What a host's past adds to its current scan, under one order: the case. Stored as versioned JSON beside the verdict.

use std::time::Duration;

use muster_proto::model::{Assessment, Lane, Platform, Presence, Reason, SiteId, Timestamp};

use crate::rules::SCAN_SPACING;

/// A prohibited product that was seen and that no complete scan has refuted yet.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Positive {
    /// When it was first seen, by the collector's clock.
    pub since: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// What it was.
    pub presence: Presence,
    /// Why, so that it can be explained while the current scan cannot see.
    pub reasons: Vec<Reason>,
}

/// The time after a complete scan refuted the positive.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Gone {
    /// When the first complete scan without it was received.
    pub since: Timestamp,
    /// The boot id under which it was last present; empty when unknown.
    pub present_boot_id: String,
    /// Whether a complete scan under another boot id was received.
    pub new_boot: bool,
    /// When complete scans without it were received: those that count, at least 24 hours apart.
    pub clean_scans: Vec<Timestamp>,
    /// What was there, if it was ever seen; a case of an earlier version does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Positive>,
}

/// The history of one host under one order, as far as a verdict needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Remediation {
    /// Standing positive.
    pub positive: Option<Positive>,
    /// Set when it had the product and lost it.
    pub gone: Option<Gone>,
    /// The boot id of the last scan in which the product was present.
    pub present_boot_id: String,
}

/// What only the host has, at the moment of placing it.
#[derive(Debug, Clone)]
pub struct HostSituation<'a> {
    /// Its platform.
    pub platform: Platform,
    /// Its site.
    pub site: &'a SiteId,
    /// The last check-in, by the collector's clock; `None` when it never reported.
    pub last_seen: Option<Timestamp>,
    /// Its history under this order, already advanced by the current scan.
    pub case: &'a Remediation,
    /// A lane that an operator's operation decides (`retired`, `waived`) or the roster (`missing`).
    pub decided: Option<Lane>,
}

/// How many looks a case remembers; more than any order may ask for.
const SCANS_KEPT: usize = 8;

impl Remediation {
    /// What was there last, whether it is there still or not.
    #[must_use]
    pub fn seen(&self) -> Option<&Positive> {
        self.positive.as_ref().or_else(|| self.gone.as_ref()?.was.as_ref())
    }

    /// The case after a scan: what was seen stands until a complete scan refutes it.
    ///
    /// `received` is the collector's time, `boot_id` the one under which the host looked; empty when unknown.
    #[must_use]
    pub fn advance(&self, assessment: &Assessment, received: Timestamp, boot_id: &str) -> Self {
        if assessment.prohibited {
            return self.present(assessment, received, boot_id);
        }
        let refuted = assessment.covered && assessment.presence != Presence::Suspect;
        if refuted { self.absent(assessment, received, boot_id) } else { self.clone() }
    }

    fn present(&self, assessment: &Assessment, received: Timestamp, boot_id: &str) -> Self {
        let since = self.positive.as_ref().map_or(received, |positive| positive.since);
        let is_about_presence =
            |reason: &&Reason| !reason.product.is_empty() && !reason.rule.starts_with("protection/");
        let reasons = assessment.reasons.iter().filter(is_about_presence).cloned().collect();
        let positive = Positive { since, last_seen: received, presence: assessment.presence, reasons };
        Self { positive: Some(positive), gone: None, present_boot_id: boot_id.to_owned() }
    }

    /// A complete scan without it. What is left over makes a case too: somebody had it before we looked.
    fn absent(&self, assessment: &Assessment, received: Timestamp, boot_id: &str) -> Self {
        let had_it = self.positive.is_some() || self.gone.is_some() || assessment.remnants;
        if !had_it {
            return self.clone();
        }
        let mut gone = self.gone.clone().unwrap_or_else(|| Gone {
            since: received,
            present_boot_id: self.present_boot_id.clone(),
            new_boot: false,
            clean_scans: Vec::new(),
            was: self.positive.clone(),
        });
        // Where no boot id is known (an image, or left over before the first scan) none can differ.
        gone.new_boot |= gone.present_boot_id != boot_id || gone.present_boot_id.is_empty();
        let far = gone.clean_scans.last().is_none_or(|last| received.since(*last) >= SCAN_SPACING);
        if far && gone.clean_scans.len() < SCANS_KEPT {
            gone.clean_scans.push(received);
        }
        Self { positive: None, gone: Some(gone), present_boot_id: self.present_boot_id.clone() }
    }
}

impl Gone {
    /// How many of the clean scans are at least this far apart.
    #[must_use]
    pub fn scans_apart(&self, spacing: Duration) -> usize {
        let mut counted: Option<Timestamp> = None;
        let mut count = 0;
        for snapshot in &self.clean_scans {
            if counted.is_none_or(|last| snapshot.since(last) >= spacing) {
                counted = Some(*snapshot);
                count += 1;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{OrderId, Protection};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn snapshot(presence: Presence, covered: bool, remnants: bool) -> Assessment {
        Assessment {
            order: OrderId::new("test").expect("an id"),
            rules_version: String::new(),
            platform: Platform::Linux,
            presence,
            protection: Protection::Approved,
            covered,
            prohibited: matches!(presence, Presence::Active | Presence::Installed),
            remnants,
            reasons: Vec::new(),
        }
    }

    fn at(days: u32) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).plus(DAY * days)
    }

    #[test]
    fn a_positive_stands_until_a_complete_snapshot_refutes_it() {
        let case = Remediation::default().advance(&snapshot(Presence::Installed, true, false), at(0), "a");
        assert!(case.positive.is_some());
        let blind = case.advance(&snapshot(Presence::Unknown, false, false), at(1), "b");
        assert_eq!(blind, case, "a scan that could not see refutes nothing");
        let suspect = case.advance(&snapshot(Presence::Suspect, true, false), at(1), "b");
        assert_eq!(suspect, case, "nor does one that still sees traces");
        let gone = case.advance(&snapshot(Presence::None, true, false), at(2), "b");
        assert!(gone.positive.is_none());
        let gone = gone.gone.expect("it had it");
        assert_eq!((gone.since, gone.was), (at(2), case.positive), "what was there is remembered");
    }

    #[test]
    fn snapshots_count_when_they_are_a_day_apart_and_a_new_boot_is_noted() {
        let mut case = Remediation::default().advance(&snapshot(Presence::Active, true, false), at(0), "a");
        case = case.advance(&snapshot(Presence::None, true, false), at(1), "a");
        case = case.advance(&snapshot(Presence::None, true, false), at(1).plus(DAY / 2), "a");
        let gone = case.gone.clone().expect("it had it");
        assert_eq!((gone.scans_apart(DAY), gone.new_boot), (1, false));
        case = case.advance(&snapshot(Presence::None, true, false), at(2), "b");
        let gone = case.gone.clone().expect("it had it");
        assert_eq!((gone.scans_apart(DAY), gone.new_boot), (2, true));
        assert_eq!(gone.scans_apart(DAY * 2), 1);
    }

    #[test]
    fn a_product_that_comes_back_opens_the_case_anew() {
        let mut case = Remediation::default().advance(&snapshot(Presence::Installed, true, false), at(0), "a");
        case = case.advance(&snapshot(Presence::None, true, false), at(1), "b");
        case = case.advance(&snapshot(Presence::Installed, true, false), at(2), "b");
        assert_eq!(case.gone, None);
        assert_eq!(case.positive.expect("it is back").since, at(2));
    }

    #[test]
    fn what_never_had_it_has_no_case_and_what_has_remnants_has_one() {
        assert_eq!(
            Remediation::default().advance(&snapshot(Presence::None, true, false), at(0), "a"),
            Remediation::default()
        );
        let left = Remediation::default().advance(&snapshot(Presence::Remnant, true, true), at(0), "a");
        assert!(left.gone.expect("somebody had it").new_boot);
    }
}
