//! Places a host in a lane under an order at an instant. The lanes are checked in the order of the table in
//! ARCHITECTURE.md; the first that applies is the host's.

use muster_proto::model::{Assessment, Lane, Presence, Protection, Reason, ReasonKind, Timestamp, Verdict};

use super::advice::{advice, commands, with_cautions};
use super::decision::is_shown_silent;
use super::remediation::Removal;
use super::sentence::{Form, is_present, was_present};
use super::situation::{Decision, HostSituation};
use super::timing::{is_overdue, is_silent};
use crate::rules::Order;

/// Places a host. Pure: `now` is an argument. With `last_seen = Some(now)` the answer is the lane while it reports.
#[must_use]
pub fn place(order: &Order, assessment: Option<&Assessment>, host: &HostSituation<'_>, now: Timestamp) -> Verdict {
    let silent = is_shown_silent(host.decision, is_silent(order, host.last_seen, now));
    let (true_lane, text) = found_lane(order, assessment, host, silent);
    let lane = host.decision.map_or(true_lane, Decision::lane);
    // The reason of the lane comes first, because stored verdicts and lists keep only the first one.
    let mut reasons: Vec<Reason> = host.decision.iter().map(|decision| reason_of_lane(lane, decision.text())).collect();
    // Nothing was found on a missing host.
    if host.decision != Some(Decision::Missing) {
        reasons.push(if true_lane == Lane::Silent { silence(order, host) } else { reason_of_lane(true_lane, &text) });
    }
    let found_now = assessment.is_some_and(|assessment| assessment.prohibited);
    if let Some(positive) = host.remediation.positive.as_ref().filter(|_| !found_now) {
        // The current snapshot does not show the product, so the record explains it.
        reasons.extend(positive.reasons.iter().cloned());
    }
    if let Some((removal, assessment)) = host.remediation.removal.as_ref().zip(assessment).filter(|_| !found_now) {
        reasons.extend(past(order, assessment, removal));
    }
    // A missing host has never reported, so its lane says this already.
    if silent && true_lane != Lane::Silent && lane != Lane::Missing {
        reasons.push(silence(order, host));
    }
    let removal = host.remediation.removal.as_ref().filter(|_| !found_now);
    reasons.extend(assessment.into_iter().flat_map(|assessment| with_swaps(assessment, removal)));
    let in_scope = order.binds(host.platform, host.site, host.labels);
    let overdue = is_overdue(order, lane, in_scope, now);
    let advice = if host.has_two_holders && lane == Lane::Unknown {
        "Find the copy of the machine or of its agent's state folder, enroll it as a host of its own, then run `muster hosts \
         review`"
        .to_owned()
    } else {
        advice(order, lane, assessment, host.remediation)
    };
    let advice = if lane == Lane::Waived && !true_lane.is_finished() {
        let then = super::advice::advice(order, true_lane, assessment, host.remediation);
        format!("{advice} while the waiver is in force; when it ends: {then}")
    } else {
        advice
    };
    // Commands explain nothing, so they are kept apart from the reasons.
    let (uninstall, reasons) = reasons.into_iter().partition(|reason| reason.kind == ReasonKind::Uninstall);
    let (commands, cautions): (Vec<Reason>, Vec<Reason>) =
        commands(lane, assessment, uninstall).into_iter().partition(|reason| reason.command.is_some());
    let advice = with_cautions(advice, &cautions);
    let (order, due) = (order.id.clone(), order.due());
    Verdict { order, lane, true_lane, in_scope, overdue, silent, due, advice, commands, reasons }
}

fn reason_of_lane(lane: Lane, text: &str) -> Reason {
    Reason::new(ReasonKind::Lane, format!("lane/{lane}"), text)
}

/// Why a host is unknown whatever its last report says.
const TWO_HOLDERS: &str = "Two machines report with the key of this host; neither report is about both";

/// The lane by what was found, and the sentence that says why.
fn found_lane(
    order: &Order,
    assessment: Option<&Assessment>,
    host: &HostSituation<'_>,
    silent: bool,
) -> (Lane, String) {
    // This comes before silence: a host with a prohibited product must not leave its lane by being switched off.
    if host.remediation.positive.is_some() || assessment.is_some_and(|assessment| assessment.prohibited) {
        return prohibited(order, assessment, host);
    }
    if silent {
        return (Lane::Silent, String::new());
    }
    if host.has_two_holders {
        return (Lane::Unknown, TWO_HOLDERS.to_owned());
    }
    let Some(assessment) = assessment else {
        return (Lane::Unknown, "No scan has been received yet".to_owned());
    };
    if assessment.presence == Presence::Suspect {
        return (Lane::Unknown, "Only weak evidence was found".to_owned());
    }
    if !assessment.covered {
        return (Lane::Unknown, not_covered(assessment));
    }
    match &host.remediation.removal {
        None if !assessment.remnants => {
            let text = "No prohibited product was found since enrollment; all required sources were read completely";
            (Lane::Clear, text.to_owned())
        }
        // Remnants without a record count as a removal too: the product was there before the first scan.
        removal => removed(order, assessment, removal.as_ref()),
    }
}

/// A prohibited product is present, or was and nothing has refuted it.
fn prohibited(order: &Order, assessment: Option<&Assessment>, host: &HostSituation<'_>) -> (Lane, String) {
    let product = match assessment.filter(|assessment| assessment.prohibited) {
        Some(assessment) => prohibited_now(order, &assessment.reasons),
        None => {
            let reasons = host.remediation.positive.iter().flat_map(|positive| &positive.reasons);
            let products = reasons.filter(|reason| reason.kind == ReasonKind::Product);
            let was = products.filter_map(|reason| was_there(order, reason)).next();
            let was = was.unwrap_or_else(|| "A prohibited product was installed".to_owned());
            format!("{was}, and no complete scan has shown its removal")
        }
    };
    if host.has_two_holders {
        // The product may be on one of them, and the protection on the other.
        return (Lane::Replace, format!("{product}; two machines report with the key of this host"));
    }
    let protection = assessment.map_or(Protection::Unknown, |assessment| assessment.protection);
    let (lane, protection) = match protection {
        Protection::Approved => return (Lane::Remove, format!("{product}; accepted protection is active")),
        Protection::NotRequired => return (Lane::Remove, format!("{product}; the order requires no protection")),
        Protection::Unapproved | Protection::None => (Lane::Replace, "no accepted protection is active"),
        // Unknown counts as unprotected here, so that nobody removes the only protection of the host.
        Protection::Unknown => (Lane::Replace, "it is unknown whether accepted protection is active"),
    };
    (lane, format!("{product}; {protection}{}", excluded(assessment)))
}

/// The products that do not count as protection because of another order: ` (order ua-… excludes Dr.Web)`. A lane may
/// change only because such an order became active, so the lane's sentence names it.
fn excluded(assessment: Option<&Assessment>) -> String {
    let reasons = assessment.into_iter().flat_map(|assessment| &assessment.reasons);
    let excluded = reasons.filter(|reason| reason.kind == ReasonKind::ExcludedProtection);
    let texts: Vec<String> = excluded
        .filter_map(|reason| {
            Some(format!("order {} excludes {}", reason.order.as_ref()?, reason.product.as_ref()?.name))
        })
        .collect();
    if texts.is_empty() { String::new() } else { format!(" ({})", texts.join(", ")) }
}

/// How the product of a reason was present.
fn was_there(order: &Order, reason: &Reason) -> Option<String> {
    let product = reason.product.as_ref()?;
    Some(was_present(product, Form::of(order, &product.id, reason.evidence.as_ref())))
}

/// The gravest prohibited product, and how many others there are.
fn prohibited_now(order: &Order, reasons: &[Reason]) -> String {
    let products = reasons.iter().filter(|reason| reason.kind == ReasonKind::Product);
    let products = products.filter_map(|reason| Some((reason.product.as_ref()?, reason.evidence.as_ref())));
    let mut products = products.filter(|(one, _)| order.prohibits(one.presence));
    let Some((first, evidence)) = products.next() else { return "A prohibited product is installed".to_owned() };
    let present = is_present(first, Form::of(order, &first.id, evidence));
    match products.count() {
        0 => present,
        1 => format!("{present}, with 1 other prohibited product"),
        others => format!("{present}, with {others} other prohibited products"),
    }
}

/// Which required sources are missing, with their outcomes.
fn not_covered(assessment: &Assessment) -> String {
    let gaps = assessment.reasons.iter().filter(|reason| reason.kind == ReasonKind::Coverage);
    let gap = |reason: &Reason| {
        let outcome = reason.outcome.map_or("not read", |outcome| outcome.name());
        reason.source.map(|source| format!("{source} ({outcome})"))
    };
    let gaps: Vec<String> = gaps.filter_map(gap).collect();
    if gaps.is_empty() {
        // Every source was read completely, so only an old watchlist is left as a gap.
        return "The agent's watchlist is older than the catalogue; it updates at the next check-in".to_owned();
    }
    let what = if gaps.len() == 1 { "A required source" } else { "Required sources" };
    format!("{what} could not be read completely: {}", gaps.join(", "))
}

/// The lane after a removal, which depends on protection and on the proof of removal.
fn removed(order: &Order, assessment: &Assessment, removal: Option<&Removal>) -> (Lane, String) {
    // The product may never have been on this host: somebody can mask a unit as a precaution.
    let was_here = !assessment.remnants || removal.is_some_and(|removal| removal.was.is_some());
    let so_far = if was_here { "Removed, but" } else { "Only remnants of a prohibited product are left, and" };
    let protected = match assessment.protection {
        Protection::Unknown => {
            let text = "it is unknown whether accepted protection is active";
            return (Lane::Unknown, format!("{so_far} {text}{}", excluded(Some(assessment))));
        }
        Protection::None | Protection::Unapproved => {
            let text = "no accepted protection is active";
            return (Lane::Protect, format!("{so_far} {text}{}", excluded(Some(assessment))));
        }
        Protection::Approved => "accepted protection is active",
        Protection::NotRequired => "the order requires no protection",
    };
    match unproven(order, assessment, removal) {
        None => (Lane::Done, format!("The removal is proven; {protected}")),
        Some(unproven) => (Lane::Confirm, format!("{so_far} the removal is not proven yet: {unproven}")),
    }
}

/// What is missing until the removal is proven; `None` if nothing is.
fn unproven(order: &Order, assessment: &Assessment, removal: Option<&Removal>) -> Option<String> {
    let scans = removal.map_or(0, |removal| removal.scans_apart(order.confirm.spacing));
    let rebooted = !order.confirm.new_boot || removal.is_some_and(|removal| removal.new_boot);
    let mut open = Vec::new();
    if assessment.remnants {
        open.push("remnants are left".to_owned());
    }
    if !rebooted {
        open.push("no clean scan after a restart yet".to_owned());
    }
    if scans < order.confirm.scans {
        let (needed, hours) = (order.confirm.scans, order.confirm.spacing.as_secs() / 3600);
        open.push(format!("{scans} of {needed} clean scans done; they must be at least {hours} hours apart"));
    }
    (!open.is_empty()).then(|| open.join(", "))
}

/// What was present, until when, and how far the removal is proven.
fn past(order: &Order, assessment: &Assessment, removal: &Removal) -> Vec<Reason> {
    let proof = unproven(order, assessment, Some(removal)).unwrap_or_else(|| "the removal is proven".to_owned());
    let text = format!("Not found by complete scans since {}: {proof}", removal.since.whole_seconds());
    let mut past = vec![Reason::new(ReasonKind::Removal, "remediation/removed", text)];
    let Some(was) = &removal.was else { return past };
    for reason in was.reasons.iter().filter(|reason| reason.kind == ReasonKind::Product) {
        let Some((product, was_there)) = reason.product.as_ref().zip(was_there(order, reason)) else { continue };
        let (from, to) = (was.since.whole_seconds(), was.last_seen.whole_seconds());
        let text = format!("{was_there} from {from} to {to}");
        let (product, evidence) = (Some(product.clone()), reason.evidence.clone());
        past.push(Reason {
            product,
            evidence,
            ..Reason::new(ReasonKind::PastProduct, "remediation/was-present", text)
        });
    }
    past
}

/// The reasons of an assessment. Where a product of the order was removed and the host has protection that does not count, they
/// say that the one has taken the place of the other.
fn with_swaps(assessment: &Assessment, removal: Option<&Removal>) -> Vec<Reason> {
    let Some(was) = removal.and_then(|removal| removal.was.as_ref()) else { return assessment.reasons.clone() };
    let mut products = was.reasons.iter().filter(|reason| reason.kind == ReasonKind::Product);
    let name = products.find_map(|reason| Some(reason.product.as_ref()?.name.as_str()));
    let name = name.unwrap_or("a product of the order");
    let swapped = |reason: &Reason| {
        if !matches!(reason.kind, ReasonKind::ExcludedProtection | ReasonKind::UnapprovedProtection) {
            return reason.clone();
        }
        let text = format!("{}; it is there after {name} was removed", reason.text);
        Reason { rule: "swap/unapproved".to_owned(), text, ..reason.clone() }
    };
    assessment.reasons.iter().map(swapped).collect()
}

fn silence(order: &Order, host: &HostSituation<'_>) -> Reason {
    let days = order.patience.as_secs() / (24 * 3600);
    let text = match host.last_seen {
        Some(seen) => format!("Last reported at {}; the order allows {days} days of silence", seen.whole_seconds()),
        None => "It has never reported".to_owned(),
    };
    Reason::new(ReasonKind::Silence, "lane/silent", text)
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{Outcome, Platform, ProductId, ProductSeen, SiteId, SourceName};

    use super::super::remediation::{Positive, Remediation};
    use super::*;
    use crate::rules;

    fn assessment(order: &Order, protection: Protection, remnants: bool) -> Assessment {
        let command = Some("apt-get purge kesl".to_owned());
        Assessment {
            order: order.id.clone(),
            rules_version: String::new(),
            platform: Platform::Linux,
            presence: Presence::None,
            protection,
            covered: true,
            prohibited: false,
            remnants,
            guarding: Some(false),
            reasons: vec![Reason { command, ..Reason::new(ReasonKind::Uninstall, "advice/uninstall", "purge it") }],
        }
    }

    fn kesl(presence: Presence) -> Reason {
        let id = ProductId::new("kaspersky-endpoint-security").expect("valid");
        let (name, version) = ("Kaspersky Endpoint Security".to_owned(), "12.2".to_owned());
        let product = Some(ProductSeen { id, name, version, presence });
        Reason { product, ..Reason::new(ReasonKind::Product, "kaspersky-endpoint-security/linux/deb#1", "a product") }
    }

    fn lane_text(order: &Order, assessment: Option<&Assessment>, remediation: &Remediation) -> (Lane, String) {
        let site: SiteId = "plant".parse().expect("valid");
        let now = Timestamp::from_millis(1_790_000_000_000);
        let (platform, last_seen) = (Platform::Linux, Some(now));
        let host = HostSituation {
            platform,
            site: &site,
            labels: &[],
            last_seen,
            remediation,
            has_two_holders: false,
            decision: None,
        };
        let verdict = place(order, assessment, &host, now);
        (verdict.lane, verdict.reasons[0].text.clone())
    }

    #[test]
    fn what_was_present_and_what_is_unproven_is_shown_in_every_lane_after_a_removal() {
        let set = rules::load(None).expect("rules");
        let order = set.active_orders().next().expect("one is active");
        let now = Timestamp::from_millis(1_790_000_000_000);
        let was = Positive {
            gone: Vec::new(),
            since: now.minus(order.patience),
            last_seen: now,
            presence: Presence::Installed,
            reasons: vec![kesl(Presence::Installed)],
            products: std::collections::BTreeMap::new(),
        };
        let removal = Removal {
            since: now,
            present_boot_id: "a".to_owned(),
            new_boot: false,
            clean_scans: vec![now],
            was: Some(was),
        };
        let remediation =
            Remediation { removal: Some(removal), present_boot_id: "a".to_owned(), ..Remediation::default() };
        let site: SiteId = "plant".parse().expect("valid");
        let host = HostSituation {
            platform: Platform::Linux,
            site: &site,
            labels: &[],
            last_seen: Some(now),
            remediation: &remediation,
            has_two_holders: false,
            decision: None,
        };
        for (protection, remnants, lane) in [
            (Protection::None, true, Lane::Protect),
            (Protection::Approved, false, Lane::Confirm),
            (Protection::Unknown, false, Lane::Unknown),
        ] {
            let verdict = place(order, Some(&assessment(order, protection, remnants)), &host, now);
            assert_eq!(verdict.lane, lane);
            let gives = |kind: ReasonKind, text: &str| {
                verdict.reasons.iter().any(|reason| reason.kind == kind && reason.text.contains(text))
            };
            let was = "Kaspersky Endpoint Security 12.2 was installed from";
            assert!(gives(ReasonKind::PastProduct, was), "{lane}: {:?}", verdict.reasons);
            assert!(gives(ReasonKind::Removal, "1 of 2 clean scans done"), "{lane}: {:?}", verdict.reasons);
            let line = verdict.advice_line();
            assert_eq!(line.contains("apt-get purge kesl"), remnants, "{lane}: {line}");
        }
        let mut swapped = assessment(order, Protection::None, false);
        swapped.reasons =
            vec![Reason::new(ReasonKind::UnapprovedProtection, "protection/unapproved-product", "Acme is here")];
        let said = |host: &HostSituation<'_>| {
            let reasons = place(order, Some(&swapped), host, now).reasons.into_iter();
            reasons
                .filter(|reason| reason.kind == ReasonKind::UnapprovedProtection)
                .map(|reason| (reason.rule, reason.text))
                .collect::<Vec<_>>()
        };
        let text = "Acme is here; it is there after Kaspersky Endpoint Security was removed".to_owned();
        assert_eq!(said(&host), [("swap/unapproved".to_owned(), text)]);
        let nothing_was_removed = Remediation::default();
        let host = HostSituation { remediation: &nothing_was_removed, ..host };
        assert_eq!(said(&host), [("protection/unapproved-product".to_owned(), "Acme is here".to_owned())]);
    }

    #[test]
    fn a_lane_reason_is_short_and_factual() {
        let set = rules::load(None).expect("rules");
        let order = set.active_orders().next().expect("one is active");
        let none = Remediation::default();
        let mut found = assessment(order, Protection::None, false);
        (found.prohibited, found.presence) = (true, Presence::Installed);
        found.reasons.insert(0, kesl(Presence::Installed));
        let text = "Kaspersky Endpoint Security 12.2 is installed; no accepted protection is active";
        assert_eq!(lane_text(order, Some(&found), &none), (Lane::Replace, text.to_owned()));
        let mut blind = assessment(order, Protection::Unknown, false);
        (blind.covered, blind.presence) = (false, Presence::Unknown);
        for (source, outcome) in [(SourceName::Dpkg, Outcome::Failed), (SourceName::Processes, Outcome::Denied)] {
            let gap = Reason::new(ReasonKind::Coverage, "coverage", "a gap");
            blind.reasons.push(Reason { source: Some(source), outcome: Some(outcome), ..gap });
        }
        let text = "Required sources could not be read completely: dpkg (failed), processes (denied)";
        assert_eq!(lane_text(order, Some(&blind), &none), (Lane::Unknown, text.to_owned()));
        let text = "Kaspersky Endpoint Security 12.2 was installed, and no complete scan has shown its removal; \
                    it is unknown whether accepted protection is active";
        let seen = Remediation::default().advance(&found, Timestamp::from_millis(1), "a");
        assert_eq!(lane_text(order, Some(&blind), &seen), (Lane::Replace, text.to_owned()));
    }

    #[test]
    fn two_holders_of_a_key_are_at_best_unknown_and_a_finding_on_one_of_them_stays() {
        let set = rules::load(None).expect("rules");
        let order = set.active_orders().next().expect("one is active");
        let site: SiteId = "plant".parse().expect("valid");
        let now = Timestamp::from_millis(1_790_000_000_000);
        let clean = Assessment { reasons: Vec::new(), ..assessment(order, Protection::Approved, false) };
        let mut found = clean.clone();
        (found.prohibited, found.presence) = (true, Presence::Installed);
        found.reasons.push(kesl(Presence::Installed));
        let none = Remediation::default();
        let seen = none.advance(&found, now, "a");
        let placed = |assessment: &Assessment, remediation: &Remediation, last_seen| {
            let platform = Platform::Linux;
            let host = HostSituation {
                platform,
                site: &site,
                labels: &[],
                last_seen,
                remediation,
                has_two_holders: true,
                decision: None,
            };
            place(order, Some(assessment), &host, now)
        };
        let verdict = placed(&clean, &none, Some(now));
        assert_eq!((verdict.lane, verdict.reasons[0].text.as_str()), (Lane::Unknown, TWO_HOLDERS));
        assert!(verdict.advice.contains("`muster hosts review`"), "{}", verdict.advice);
        for (assessment, remediation) in [(&found, &none), (&found, &seen), (&clean, &seen)] {
            let verdict = placed(assessment, remediation, Some(now));
            assert_eq!(verdict.lane, Lane::Replace, "the protection may be on the other one");
            assert!(verdict.reasons[0].text.ends_with("; two machines report with the key of this host"));
        }
        assert_eq!(placed(&clean, &none, Some(Timestamp::default())).lane, Lane::Silent);
    }

    #[test]
    fn a_decision_overrides_what_was_found() {
        let set = rules::load(None).expect("rules");
        let order = set.active_orders().next().expect("one is active");
        let site: SiteId = "plant".parse().expect("valid");
        let now = Timestamp::from_millis(1_790_000_000_000);
        let remediation = Remediation::default();
        for (decision, lane) in
            [(Decision::Retired, Lane::Retired), (Decision::Waived, Lane::Waived), (Decision::Missing, Lane::Missing)]
        {
            let host = HostSituation {
                platform: Platform::Linux,
                site: &site,
                labels: &[],
                last_seen: None,
                remediation: &remediation,
                has_two_holders: false,
                decision: Some(decision),
            };
            let verdict = place(order, None, &host, now);
            assert_eq!(verdict.lane, lane);
            assert_eq!(verdict.reasons[0].rule, format!("lane/{lane}"));
            assert_eq!(verdict.silent, decision != Decision::Retired, "a retired host is not expected to report");
        }
    }

    #[test]
    fn a_waived_host_keeps_its_true_lane_with_its_reason() {
        let set = rules::load(None).expect("rules");
        let order = set.active_orders().next().expect("one is active");
        let site: SiteId = "plant".parse().expect("valid");
        let now = order.due().expect("it has a due milestone");
        let mut found = assessment(order, Protection::None, false);
        (found.prohibited, found.presence) = (true, Presence::Installed);
        found.reasons.insert(0, kesl(Presence::Installed));
        let remediation = Remediation::default();
        let placed = |decision| {
            let host = HostSituation {
                platform: Platform::Linux,
                site: &site,
                labels: &[],
                last_seen: Some(now),
                remediation: &remediation,
                has_two_holders: false,
                decision,
            };
            place(order, Some(&found), &host, now)
        };
        let (without, waived) = (placed(None), placed(Some(Decision::Waived)));
        assert_eq!((without.lane, without.true_lane, without.overdue), (Lane::Replace, Lane::Replace, true));
        assert_eq!((waived.lane, waived.true_lane, waived.overdue), (Lane::Waived, Lane::Replace, false));
        assert_eq!(waived.reasons[1..], without.reasons[..]);
        let then = "No action needed while the waiver is in force; when it ends: Install accepted protection";
        assert!(waived.advice.starts_with(then), "{}", waived.advice);
    }
}
