//! What else guards the host: which products count, whether they work in real time, and whether their signatures are
//! fresh.

use std::time::Duration;

use muster_proto::model::{HostState, Platform, Presence, Protection, Reason, Timestamp};

use super::combine::Believed;
use super::coverage::reason;
use crate::rules::{Catalogue, Order, Product, SignSeen, guards};

/// The protection of a look, and why.
pub(super) fn protection(
    order: &Order,
    catalogue: &Catalogue,
    platform: Platform,
    believed: &[Believed<'_>],
    state: &HostState,
    received: Timestamp,
    covered: bool,
) -> (Protection, Vec<Reason>) {
    if !order.protection.platforms.contains(&platform) {
        let text = format!("the order demands no protection on {platform}");
        return (Protection::NotRequired, vec![reason("protection/not-required".into(), text)]);
    }
    let mut best: Option<Protection> = None;
    let mut reasons = Vec::new();
    for candidate in believed.iter().filter(|one| may_count(order, one.product, platform)) {
        let Some((said, why)) = judge(catalogue, platform, candidate, state, received) else { continue };
        if best.is_none_or(|best| rank(said) > rank(best)) {
            best = Some(said);
        }
        reasons.push((said, of_product(candidate, said, why)));
    }
    reasons.sort_by_key(|(said, _)| std::cmp::Reverse(rank(*said)));
    let reasons: Vec<Reason> = reasons.into_iter().map(|(_, reason)| reason).collect();
    match best {
        Some(best) => (best, reasons),
        None if covered => {
            let text = "no other security product that counts as protection was found".to_owned();
            (Protection::None, vec![reason("protection/none".into(), text)])
        }
        None => {
            let text = "no other security product was found, and not everything could be looked at".to_owned();
            (Protection::Unknown, vec![reason("protection/unknown".into(), text)])
        }
    }
}

/// Whether the order lets this product count: an approved one, or any of the categories that no active order covers.
fn may_count(order: &Order, product: &Product, platform: Platform) -> bool {
    let rule = &order.protection;
    if order.covers(product, platform) || rule.excluded.contains(&product.id) {
        return false;
    }
    if rule.approved.is_empty() {
        rule.categories.contains(&product.category)
    } else {
        rule.approved.contains(&product.id)
    }
}

/// What one product is worth; `None` when it is not there.
fn judge(
    catalogue: &Catalogue,
    platform: Platform,
    candidate: &Believed<'_>,
    state: &HostState,
    received: Timestamp,
) -> Option<(Protection, &'static str)> {
    match candidate.presence {
        Presence::Installed | Presence::Active | Presence::Embedded => {}
        Presence::Suspect => {
            return Some((Protection::Unknown, "only traces of it were seen that prove nothing alone"));
        }
        Presence::ManagementOnly | Presence::Remnant | Presence::None | Presence::Unknown => return None,
    }
    let said = match works(&catalogue.signs_seen(candidate.product, platform, state)) {
        Works::Yes => freshness(catalogue, platform, candidate.product, state, received),
        Works::No(why) => (Protection::Unapproved, why),
        Works::Unknown(why) => (Protection::Unknown, why),
    };
    Some(said)
}

enum Works {
    Yes,
    No(&'static str),
    Unknown(&'static str),
}

/// Only a sign that is at least strong says that something guards. A running agent alone does not: a bare clamd scans
/// what it is asked to, and a passive Defender watches.
fn works(signs: &[SignSeen<'_>]) -> Works {
    let strong = || signs.iter().filter(|seen| guards(seen.sign.sign));
    if strong().any(|seen| seen.on == Some(true)) {
        return Works::Yes;
    }
    if strong().any(|seen| seen.on == Some(false)) {
        return Works::No("it is installed, and does not work in real time");
    }
    let weak = || signs.iter().filter(|seen| !guards(seen.sign.sign));
    if weak().any(|seen| seen.on == Some(false)) && !weak().any(|seen| seen.on == Some(true)) {
        return Works::No("it is installed, and is not running");
    }
    if weak().any(|seen| seen.on == Some(true)) {
        return Works::Unknown("it is running, and whether it works in real time could not be found out");
    }
    Works::Unknown("it is installed, and whether it is running could not be found out")
}

fn freshness(
    catalogue: &Catalogue,
    platform: Platform,
    product: &Product,
    state: &HostState,
    received: Timestamp,
) -> (Protection, &'static str) {
    if !product.detection_content.ages() {
        return (Protection::Approved, "it works in real time; the age of signatures does not apply to it");
    }
    match is_fresh(catalogue, platform, product, state, received) {
        Some(true) => (Protection::Approved, "it works in real time, and its signatures are fresh"),
        Some(false) => (Protection::Unapproved, "it works in real time, and its signatures are stale"),
        None => (Protection::Unknown, "it works in real time, and the age of its signatures could not be found out"),
    }
}

/// Whether the newest signatures that the host shows are young enough at the time of receipt.
pub(super) fn is_fresh(
    catalogue: &Catalogue,
    platform: Platform,
    product: &Product,
    state: &HostState,
    received: Timestamp,
) -> Option<bool> {
    let signatures = catalogue.signatures_of(product, platform, state);
    let newest = signatures.iter().filter_map(|signature| signature.released).max()?;
    let limit = Duration::from_secs(product.fresh_days.saturating_mul(24 * 3600));
    Some(received.since(newest) <= limit)
}

fn of_product(candidate: &Believed<'_>, said: Protection, why: &str) -> Reason {
    Reason {
        rule: format!("protection/{said}"),
        text: format!("{}: {why}", candidate.product.name),
        product: candidate.product.id.to_string(),
        evidence: candidate.evidence.first().cloned(),
    }
}

const fn rank(protection: Protection) -> u8 {
    match protection {
        Protection::Approved => 4,
        Protection::Unknown => 3,
        Protection::Unapproved => 2,
        Protection::None => 1,
        Protection::NotRequired => 0,
    }
}
