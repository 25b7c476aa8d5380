//! How long a host was unprotected under an order: no protection that the order accepts was active, and no antivirus or EDR of
//! the order either.
//!
//! The time counts from the last check-in before the judgement that first shows it to that before the judgement that shows
//! protection again. While the order is not active, nothing counts. It is part of the remediation record and not derived from the history of verdicts, because
//! retention removes that history.

use std::time::Duration;

use muster_proto::model::{Assessment, Protection, Timestamp, UnprotectedTime};

/// The times without protection since a prohibited product was first found on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Unprotected {
    /// Since when the host has been unprotected; `None` if it is protected, or if its protection is unknown and it was protected
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The longest time that has ended, in milliseconds.
    #[serde(default)]
    pub longest_ms: u64,
    /// The sum of the times that have ended, in milliseconds.
    #[serde(default)]
    pub total_ms: u64,
}

impl Unprotected {
    pub(super) fn is_never(&self) -> bool {
        *self == Self::default()
    }

    /// The times after a scan that was received at this instant.
    pub(super) fn advance(self, assessment: &Assessment, received: Timestamp) -> Self {
        match is_unprotected(assessment) {
            None => self,
            Some(true) => Self { since: self.since.or(Some(received)), ..self },
            Some(false) => self.end(received),
        }
    }

    /// The times after the current one has ended.
    #[must_use]
    pub fn end(self, now: Timestamp) -> Self {
        let ended = self.since.map_or(0, |since| millis(now.since(since)));
        Self { since: None, longest_ms: self.longest_ms.max(ended), total_ms: self.total_ms.saturating_add(ended) }
    }

    /// The times as they are at this instant; `None` if the host was always protected.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Option<UnprotectedTime> {
        let current = self.since.map(|since| now.since(since));
        let current_ms = current.map_or(0, millis);
        (!self.is_never()).then(|| UnprotectedTime {
            since: self.since,
            current_ms,
            longest_ms: self.longest_ms.max(current_ms),
            total_ms: self.total_ms.saturating_add(current_ms),
        })
    }
}

/// Whether a scan shows that the host is unprotected; `None` if it is unknown. An unknown protection neither begins nor ends
/// the time: only evidence of protection ends it.
fn is_unprotected(assessment: &Assessment) -> Option<bool> {
    match assessment.protection {
        Protection::Approved | Protection::NotRequired => Some(false),
        Protection::Unapproved | Protection::None => assessment.guarding.map(|guarding| !guarding),
        Protection::Unknown => assessment.guarding.filter(|guarding| *guarding).map(|_| false),
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{OrderId, Platform, Presence};

    use super::*;
    use crate::judge::Remediation;

    const HOUR: u64 = 3_600_000;

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).plus(Duration::from_millis(hours * HOUR))
    }

    fn assessed(presence: Presence, protection: Protection) -> Assessment {
        Assessment {
            order: OrderId::new("test").expect("an id"),
            rules_version: String::new(),
            platform: Platform::Windows,
            presence,
            protection,
            covered: true,
            prohibited: matches!(presence, Presence::Active | Presence::Installed),
            remnants: false,
            guarding: Some(presence == Presence::Active),
            reasons: Vec::new(),
        }
    }

    /// The record after scans at these hours.
    fn after(scans: &[(u64, Presence, Protection)]) -> Remediation {
        scans.iter().fold(Remediation::default(), |record, (hours, presence, protection)| {
            record.advance(&assessed(*presence, *protection), at(*hours), "boot")
        })
    }

    fn hours(record: &Remediation, now: u64) -> Option<(u64, u64, u64)> {
        let time = record.unprotected.at(at(now))?;
        assert_eq!(time.since.is_some(), time.current_ms > 0);
        Some((time.current_ms / HOUR, time.longest_ms / HOUR, time.total_ms / HOUR))
    }

    #[test]
    fn the_time_between_a_removal_and_the_new_protection_counts() {
        use Presence::{Active, None as Gone};
        use Protection::{Approved, None as Nothing, Unapproved};
        let mut scans = vec![(0, Active, Nothing), (10, Gone, Nothing)];
        assert_eq!(hours(&after(&scans), 13), Some((3, 3, 3)), "it grows while nothing is reported");
        scans.push((14, Gone, Unapproved));
        scans.push((17, Gone, Approved));
        assert_eq!(hours(&after(&scans), 30), Some((0, 7, 7)));
        scans.push((40, Gone, Nothing));
        scans.push((42, Gone, Approved));
        assert_eq!(hours(&after(&scans), 50), Some((0, 7, 9)));
        scans.push((60, Gone, Nothing));
        assert_eq!(hours(&after(&scans), 70), Some((10, 10, 19)));
    }

    #[test]
    fn a_product_that_is_installed_but_does_not_run_protects_nothing() {
        let scans = [(0, Presence::Installed, Protection::None), (5, Presence::Active, Protection::None)];
        assert_eq!(hours(&after(&scans[..1]), 2), Some((2, 2, 2)));
        assert_eq!(hours(&after(&scans), 9), Some((0, 5, 5)));
    }

    #[test]
    fn unknown_protection_neither_begins_nor_ends_it() {
        let scans = [
            (0, Presence::Active, Protection::None),
            (1, Presence::None, Protection::Unknown),
            (2, Presence::None, Protection::None),
            (3, Presence::None, Protection::Unknown),
        ];
        assert_eq!(hours(&after(&scans[..2]), 9), None);
        assert_eq!(hours(&after(&scans), 9), Some((7, 7, 7)));
    }

    #[test]
    fn what_runs_where_the_scan_is_incomplete_is_unknown() {
        let scans = [(0, Presence::Active, Protection::None)];
        let open = after(&scans);
        let unread = Assessment { guarding: None, ..assessed(Presence::Unknown, Protection::Unapproved) };
        assert_eq!(hours(&open.advance(&unread, at(1), "boot"), 9), None);
        let runs = Assessment { guarding: Some(true), ..assessed(Presence::Active, Protection::Unknown) };
        let gone = open.advance(&assessed(Presence::None, Protection::None), at(2), "boot");
        assert_eq!(hours(&gone.advance(&runs, at(5), "boot"), 9), Some((0, 3, 3)), "it was installed again");
    }

    #[test]
    fn a_host_that_never_had_the_product_has_no_such_time() {
        let scans = [(0, Presence::None, Protection::None), (5, Presence::None, Protection::None)];
        assert_eq!(after(&scans), Remediation::default());
    }

    #[test]
    fn a_record_without_such_a_time_is_read() {
        let old: Remediation =
            serde_json::from_str(r#"{"positive":null,"removal":null,"present_boot_id":"a"}"#).expect("is read");
        assert!(old.unprotected.is_never());
        let text = serde_json::to_string(&old).expect("is written");
        assert!(!text.contains("unprotected"), "{text}");
    }
}
