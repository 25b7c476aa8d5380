//! The decision that puts a host into its lane, as its reports show it.

use std::collections::BTreeMap;

use muster_proto::model::{DecisionReport, DispositionReport, HostId, Lane, Timestamp, WaiverReport};

use super::{ReportContext, ReportError};
use crate::judge::{HostDecisions, InForce};
use crate::store::admin::{self, dispositions, waivers};

/// Dispositions of a host that its report has.
const DISPOSITIONS: usize = 5;

/// What is stored about the decisions of one host.
#[derive(Debug, Default)]
pub(super) struct DecisionTexts {
    waivers: BTreeMap<u64, WaiverReport>,
    /// The dispositions that may be in force, with all of their hosts.
    in_force: BTreeMap<u64, DispositionReport>,
    /// The newest dispositions of the host, newest first.
    pub(super) dispositions: Vec<DispositionReport>,
}

impl ReportContext {
    /// Reads what the decisions of a host say that are in force at an instant.
    pub(super) async fn decision_texts(
        &self,
        host: HostId,
        decisions: &HostDecisions,
        at: Timestamp,
    ) -> Result<DecisionTexts, ReportError> {
        let numbers: Vec<u64> =
            decisions.waivers.iter().filter(|term| term.is_in_force(at)).map(|term| term.number).collect();
        let retirements: Vec<u64> =
            decisions.retirements.iter().filter(|term| term.approved_at <= at).map(|term| term.number).collect();
        let read = move |tx: &mut dyn admin::AdminTx| {
            let mut texts = DecisionTexts {
                dispositions: dispositions::of_host(tx, host, DISPOSITIONS)?,
                ..DecisionTexts::default()
            };
            for number in &numbers {
                let found = waivers::find(tx, *number, at)?;
                texts.waivers.extend(found.map(|row| (*number, row.report)));
            }
            // One that was in force long ago is not among the newest.
            for number in &retirements {
                let found = dispositions::find(tx, *number)?;
                texts.in_force.extend(found.map(|row| (*number, row.report)));
            }
            Ok(texts)
        };
        Ok(admin::read(self.store.as_ref(), "decision_texts", read).await?)
    }
}

impl DecisionTexts {
    /// The report of a decision.
    pub(super) fn report(&self, decision: InForce<'_>) -> DecisionReport {
        match decision {
            InForce::Waived(term) => {
                let found = self.waivers.get(&term.number);
                DecisionReport {
                    lane: Lane::Waived,
                    number: term.number,
                    why: term.reason.name().to_owned(),
                    text: found.map(|waiver| waiver.control.clone()).unwrap_or_default(),
                    until: Some(term.until),
                    requested_by: found.map(|waiver| waiver.requested_by.clone()).unwrap_or_default(),
                    approved_by: found.map(|waiver| waiver.decided_by.clone()).unwrap_or_default(),
                    approved_at: term.approved_at,
                    is_self_approved: term.is_self_approved,
                }
            }
            InForce::Retired(term) => {
                let found = self.in_force.get(&term.number);
                DecisionReport {
                    lane: Lane::Retired,
                    number: term.number,
                    why: term.kind.name().to_owned(),
                    text: found.map(|one| one.evidence.clone()).unwrap_or_default(),
                    until: None,
                    requested_by: found.map(|one| one.requested_by.clone()).unwrap_or_default(),
                    approved_by: found.map(|one| one.decided_by.clone()).unwrap_or_default(),
                    approved_at: term.approved_at,
                    is_self_approved: term.is_self_approved,
                }
            }
        }
    }
}

/// Why a host is in the lane of a decision, in one sentence.
pub(super) fn sentence(decision: &DecisionReport, true_lane: Lane) -> String {
    let DecisionReport { number, why, approved_by, is_self_approved, .. } = decision;
    let own = if *is_self_approved { ", who had asked for it" } else { "" };
    match decision.until {
        Some(until) => format!(
            "Waived until {} (waiver {number}, {why}), approved by {approved_by}{own}; true lane {true_lane}",
            until.whole_seconds()
        ),
        None if *approved_by == decision.requested_by && !is_self_approved => format!(
            "Retired as {why} (disposition {number}) by {approved_by}; no second person was needed; lane at its last report \
             {true_lane}"
        ),
        None => format!(
            "Retired as {why} (disposition {number}), approved by {approved_by}{own}; lane at its last report {true_lane}"
        ),
    }
}
