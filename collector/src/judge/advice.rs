//! Advice: what to do next for a host in a lane, in one sentence, and the uninstall commands that the sentence means.
//! Muster prints commands and never runs them.

use muster_proto::model::{Assessment, Lane, Presence, Protection, Reason, ReasonKind};

use super::gap_advice;
use super::remediation::Remediation;
use super::uninstall::REMNANTS;
use crate::rules::Order;

pub(super) fn advice(order: &Order, lane: Lane, assessment: Option<&Assessment>, remediation: &Remediation) -> String {
    let is_unproven = assessment.is_some_and(|assessment| assessment.protection == Protection::Unknown);
    let has_remnants = assessment.is_some_and(|assessment| assessment.remnants);
    match lane {
        // Protection comes before removal in both texts, so that the host is never without any.
        Lane::Replace if is_unproven => "Check that the other protection is active, or install accepted protection; \
             then remove the prohibited software"
            .to_owned(),
        Lane::Replace => "Install accepted protection, then remove the prohibited software".to_owned(),
        Lane::Remove => "Remove the prohibited software".to_owned(),
        Lane::Silent => "Start the host or its agent".to_owned(),
        Lane::Missing => "Enroll the host".to_owned(),
        Lane::Unknown => unknown(assessment),
        Lane::Protect if has_remnants => {
            "Install accepted protection, check that it is active, and clean up the remnants".to_owned()
        }
        Lane::Protect => "Install accepted protection and check that it is active".to_owned(),
        Lane::Confirm if has_remnants => "Clean up the remnants".to_owned(),
        Lane::Confirm => confirm(order, remediation),
        Lane::Retired | Lane::Waived | Lane::Done | Lane::Clear => "No action needed".to_owned(),
    }
}

/// The advice with the cautions about what it means: what must not be deleted by hand, and what to do instead.
pub(super) fn with_cautions(advice: String, cautions: &[Reason]) -> String {
    cautions.iter().fold(advice, |advice, caution| format!("{advice}. {}", caution.text))
}

/// The uninstall commands and cautions among the reasons that the advice for this lane means, each once.
pub(super) fn commands(lane: Lane, assessment: Option<&Assessment>, reasons: Vec<Reason>) -> Vec<Reason> {
    let has_remnants = assessment.is_some_and(|assessment| assessment.remnants);
    let is_meant = match lane {
        Lane::Replace | Lane::Remove => true,
        Lane::Protect | Lane::Confirm => has_remnants,
        // What to remove is not known there, but somebody may try.
        Lane::Unknown => true,
        Lane::Retired | Lane::Waived | Lane::Missing | Lane::Silent | Lane::Done | Lane::Clear => false,
    };
    let is_meant_there = |reason: &Reason| {
        if reason.rule == REMNANTS {
            // The sentences of the other lanes do not speak of remnants.
            matches!(lane, Lane::Protect | Lane::Confirm)
        } else {
            lane != Lane::Unknown || reason.command.is_none()
        }
    };
    let mut commands: Vec<Reason> = Vec::new();
    for reason in reasons.into_iter().filter(|reason| is_meant && is_meant_there(reason)) {
        // The remediation record and the current snapshot may both have the command.
        let is_same = |one: &Reason| match &reason.command {
            Some(command) => one.command.as_ref() == Some(command),
            None => one.command.is_none() && one.text == reason.text,
        };
        if !commands.iter().any(is_same) {
            commands.push(reason);
        }
    }
    commands
}

fn unknown(assessment: Option<&Assessment>) -> String {
    let Some(assessment) = assessment else { return "Wait for the first scan".to_owned() };
    let of_kind = |kind: ReasonKind| assessment.reasons.iter().find(move |reason| reason.kind == kind);
    if let Some(gap) = of_kind(ReasonKind::Coverage) {
        return gap_advice::advice(assessment.platform, gap);
    }
    if of_kind(ReasonKind::Watchlist).is_some() {
        return "Wait for the next check-in; it brings the current watchlist".to_owned();
    }
    if assessment.presence == Presence::Suspect {
        return "Find out what the weak evidence belongs to; if it is a prohibited product, uninstall that product"
            .to_owned();
    }
    "Check that the installed protection is active and its signatures are current".to_owned()
}

fn confirm(order: &Order, remediation: &Remediation) -> String {
    let new_boot = remediation.removal.as_ref().is_some_and(|removal| removal.new_boot);
    if order.confirm.new_boot && !new_boot {
        return "Restart the host once".to_owned();
    }
    "No action needed; further clean scans prove the removal".to_owned()
}
