//! Where a host stands under an order at an instant: the table of lanes, in its order; the first that applies.

use muster_proto::model::{Assessment, Lane, Presence, Protection, Reason, Timestamp, Verdict};

use super::coverage::reason;
use super::remediation::{HostSituation, Remediation};
use super::removal;
use crate::rules::Order;

/// Places a host. Pure: `now` is an argument, and the awake lane is the answer for `last_seen = Some(now)`.
#[must_use]
pub fn place(order: &Order, assessment: Option<&Assessment>, host: &HostSituation<'_>, now: Timestamp) -> Verdict {
    let silent = host.last_seen.is_none_or(|seen| now.since(seen) > order.patience);
    let (lane, mut reasons) = lane(order, assessment, host, silent);
    let positive = host.case.positive.as_ref();
    let seen_now = assessment.is_some_and(|assessment| assessment.prohibited);
    if let Some(positive) = positive.filter(|_| !seen_now) {
        // The current scan cannot see it: what it was is told from the case.
        reasons.extend(positive.reasons.iter().cloned());
    }
    if let Some((gone, assessment)) = host.case.gone.as_ref().zip(assessment).filter(|_| !seen_now) {
        reasons.extend(past(order, assessment, gone));
    }
    if silent && lane != Lane::Silent && lane != Lane::Missing {
        reasons.push(silence(order, host));
    }
    reasons.extend(assessment.into_iter().flat_map(|assessment| assessment.reasons.iter().cloned()));
    let in_scope = order.binds(host.platform, host.site);
    let overdue = in_scope && !lane.is_finished() && order.due().is_some_and(|due| now >= due);
    let advice = advice(order, lane, assessment, host.case, &reasons);
    Verdict { order: order.id.clone(), lane, in_scope, overdue, silent, due: order.due(), advice, reasons }
}

fn lane(order: &Order, assessment: Option<&Assessment>, host: &HostSituation<'_>, silent: bool) -> (Lane, Vec<Reason>) {
    let because = |lane: Lane, text: &str| (lane, vec![reason(format!("lane/{lane}"), text.to_owned())]);
    if let Some(lane) = host.decided {
        return because(lane, decided(lane));
    }
    let protection = assessment.map_or(Protection::Unknown, |assessment| assessment.protection);
    if host.case.positive.is_some() || assessment.is_some_and(|assessment| assessment.prohibited) {
        return match protection {
            Protection::Approved => {
                because(Lane::Remove, "a covered product is there, and something else guards the host")
            }
            Protection::NotRequired => {
                because(Lane::Remove, "a covered product is there, and no protection is required")
            }
            Protection::Unapproved | Protection::None => {
                because(Lane::Replace, "a covered product is there, and nothing that counts guards the host beside it")
            }
            Protection::Unknown => because(
                Lane::Replace,
                "a covered product is there, and whether something else guards the host is not known",
            ),
        };
    }
    if silent {
        return (Lane::Silent, vec![silence(order, host)]);
    }
    let Some(assessment) = assessment else {
        return because(Lane::Unknown, "the host has not shown a scan yet");
    };
    if assessment.presence == Presence::Suspect {
        return because(Lane::Unknown, "traces were seen that prove nothing alone");
    }
    if !assessment.covered {
        return because(Lane::Unknown, "not every source that the order needs looked completely");
    }
    let Some(gone) = host.case.gone.as_ref() else {
        return if assessment.remnants {
            after_removal(order, assessment, protection, None)
        } else {
            because(Lane::Clear, "no covered product was seen since it enrolled, and every needed source looked")
        };
    };
    after_removal(order, assessment, protection, Some(gone))
}

fn after_removal(
    order: &Order,
    assessment: &Assessment,
    protection: Protection,
    gone: Option<&super::Gone>,
) -> (Lane, Vec<Reason>) {
    let because = |lane: Lane, text: String| (lane, vec![reason(format!("lane/{lane}"), text)]);
    match protection {
        Protection::Unknown => {
            return because(
                Lane::Unknown,
                "it is gone, and whether something else guards the host is not known".into(),
            );
        }
        Protection::None | Protection::Unapproved => {
            return because(Lane::Protect, "it is gone, and nothing that counts guards the host".into());
        }
        Protection::Approved | Protection::NotRequired => {}
    }
    let open = open(order, assessment, gone);
    if open.is_empty() {
        because(Lane::Done, "it had a covered product; the removal is proven, and the host is guarded".into())
    } else {
        because(Lane::Confirm, format!("it is gone, and this is not proven yet: {}", open.join("; ")))
    }
}

/// What is missing until the removal is proven.
fn open(order: &Order, assessment: &Assessment, gone: Option<&super::Gone>) -> Vec<String> {
    let snapshots = gone.map_or(0, |gone| gone.scans_apart(order.confirm.spacing));
    let rebooted = !order.confirm.new_boot || gone.is_some_and(|gone| gone.new_boot);
    let mut open = Vec::new();
    if assessment.remnants {
        open.push("remnants are left".to_owned());
    }
    if snapshots < order.confirm.scans {
        let hours = order.confirm.spacing.as_secs() / 3600;
        open.push(format!("{snapshots} of {} complete scans at least {hours} hours apart", order.confirm.scans));
    }
    if !rebooted {
        open.push("no complete scan under a new boot yet".to_owned());
    }
    open
}

/// What was there, until when, and how far the proof has come that it is gone.
fn past(order: &Order, assessment: &Assessment, gone: &super::Gone) -> Vec<Reason> {
    let open = open(order, assessment, Some(gone));
    let proof =
        if open.is_empty() { "this is proven".to_owned() } else { format!("to be proven: {}", open.join("; ")) };
    let mut past =
        vec![reason("case/gone".to_owned(), format!("complete scans since {} do not show it; {proof}", gone.since))];
    let Some(was) = &gone.was else { return past };
    let seen = was.reasons.iter().filter(|seen| seen.rule != removal::RULE);
    past.extend(seen.map(|seen| Reason {
        rule: "case/had".to_owned(),
        // What was to be done about it then is behind the colon.
        text: format!(
            "from {} to {} it was seen that {}",
            was.since,
            was.last_seen,
            seen.text.split(": ").next().unwrap_or(&seen.text)
        ),
        product: seen.product.clone(),
        evidence: seen.evidence.clone(),
    }));
    past
}

const fn decided(lane: Lane) -> &'static str {
    match lane {
        Lane::Retired => "a disposition is recorded",
        Lane::Waived => "a waiver in force covers it",
        Lane::Missing => "it is on the roster and never reported",
        Lane::Replace
        | Lane::Remove
        | Lane::Silent
        | Lane::Unknown
        | Lane::Protect
        | Lane::Confirm
        | Lane::Done
        | Lane::Clear => "an operator decided so",
    }
}

fn silence(order: &Order, host: &HostSituation<'_>) -> Reason {
    let days = order.patience.as_secs() / (24 * 3600);
    let text = match host.last_seen {
        Some(seen) => format!("it last reported at {seen}; the order's patience is {days} days"),
        None => "it has never reported".to_owned(),
    };
    reason("lane/silent".to_owned(), text)
}

/// One sentence: what would clear it. Commands are printed as they were found for this host, and never run.
fn advice(
    order: &Order,
    lane: Lane,
    assessment: Option<&Assessment>,
    case: &Remediation,
    reasons: &[Reason],
) -> String {
    let mut commands: Vec<&str> = Vec::new();
    let found = reasons.iter().filter(|reason| reason.rule == removal::RULE).map(|reason| reason.text.as_str());
    for command in found {
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    let how = if commands.is_empty() { String::new() } else { format!(": {}", commands.join("; ")) };
    let is_unproven = assessment.is_some_and(|assessment| assessment.protection == Protection::Unknown);
    let has_remnants = assessment.is_some_and(|assessment| assessment.remnants);
    match lane {
        Lane::Replace if is_unproven => {
            format!(
                "see that the other protection works in real time, or install one; then remove what the order covers{how}"
            )
        }
        Lane::Replace => format!("install protection that counts, then remove what the order covers{how}"),
        Lane::Remove => format!("remove what the order covers{how}"),
        Lane::Silent => "start the machine or its agent, or record what became of it".to_owned(),
        Lane::Missing => "enroll it, or record what became of it".to_owned(),
        Lane::Unknown => unknown(assessment),
        Lane::Protect if has_remnants => {
            format!("install protection that counts, see that it works in real time, and clean what is left over{how}")
        }
        Lane::Protect => "install protection that counts, and see that it works in real time".to_owned(),
        Lane::Confirm if has_remnants => format!("clean what is left over{how}"),
        Lane::Confirm => confirm(order, case),
        Lane::Retired | Lane::Waived | Lane::Done | Lane::Clear => "nothing is to be done".to_owned(),
    }
}

fn unknown(assessment: Option<&Assessment>) -> String {
    let Some(assessment) = assessment else { return "wait for the first scan".to_owned() };
    let gap = assessment.reasons.iter().find(|reason| reason.rule.starts_with("coverage/"));
    match gap {
        Some(gap) if gap.rule.ends_with("-denied") => format!("give the agent the right to look ({})", gap.text),
        Some(gap) if gap.rule.ends_with("-watchlist") => "wait for a scan with the current watchlist".to_owned(),
        Some(gap) => format!("make it possible to look completely ({})", gap.text),
        None if assessment.presence == Presence::Suspect => "find out what the traces are, and remove them".to_owned(),
        None => "find out whether the installed protection works in real time with fresh signatures".to_owned(),
    }
}

fn confirm(order: &Order, case: &Remediation) -> String {
    let rebooted = !order.confirm.new_boot || case.gone.as_ref().is_some_and(|gone| gone.new_boot);
    if rebooted { "nothing but time: another complete scan will prove it" } else { "restart the machine once" }
        .to_owned()
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{Platform, SiteId};

    use super::super::remediation::{Gone, Positive};
    use super::*;
    use crate::rules;

    fn assessment(order: &Order, protection: Protection, remnants: bool) -> Assessment {
        Assessment {
            order: order.id.clone(),
            rules_version: String::new(),
            platform: Platform::Linux,
            presence: Presence::None,
            protection,
            covered: true,
            prohibited: false,
            remnants,
            reasons: vec![reason(removal::RULE.to_owned(), "apt-get purge kesl".to_owned())],
        }
    }

    #[test]
    fn what_was_there_and_how_far_the_proof_has_come_is_told_in_every_lane_after_it() {
        let set = rules::load(None).expect("rules");
        let order = set.active_orders().next().expect("one is active");
        let now = Timestamp::from_millis(1_790_000_000_000);
        let was = Positive {
            since: now.minus(order.patience),
            last_seen: now,
            presence: Presence::Installed,
            reasons: vec![reason(
                "presence/installed".to_owned(),
                "Kaspersky Endpoint Security 12.2 is installed".to_owned(),
            )],
        };
        let gone = Gone {
            since: now,
            present_boot_id: "a".to_owned(),
            new_boot: false,
            clean_scans: vec![now],
            was: Some(was),
        };
        let case = Remediation { positive: None, gone: Some(gone), present_boot_id: "a".to_owned() };
        let site: SiteId = "plant".parse().expect("valid");
        let host =
            HostSituation { platform: Platform::Linux, site: &site, last_seen: Some(now), case: &case, decided: None };
        for (protection, remnants, lane) in [
            (Protection::None, true, Lane::Protect),
            (Protection::Approved, false, Lane::Confirm),
            (Protection::Unknown, false, Lane::Unknown),
        ] {
            let verdict = place(order, Some(&assessment(order, protection, remnants)), &host, now);
            assert_eq!(verdict.lane, lane);
            let says =
                |rule: &str, text: &str| verdict.reasons.iter().any(|one| one.rule == rule && one.text.contains(text));
            assert!(says("case/had", "Kaspersky Endpoint Security 12.2"), "{lane}: {:?}", verdict.reasons);
            assert!(says("case/gone", "1 of 2 complete scans"), "{lane}: {:?}", verdict.reasons);
            assert_eq!(verdict.advice.contains("apt-get purge kesl"), remnants, "{lane}: {}", verdict.advice);
        }
    }
}
