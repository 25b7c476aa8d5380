//! What else guards the host: which products count, whether they work in real time, and whether their signatures are
//! fresh.

use muster_proto::model::{HostState, Outcome, Platform, Presence, Protection, Reason, Snapshot, Timestamp};

use super::combine::{Because, Believed, is_statement};
use super::coverage::reason;
use super::freshness::{Freshness, freshness};
use crate::rules::{Catalogue, Order, Product, Sign, SignSeen, day_of, guards};

/// The protection of a scan, and why.
pub(super) fn protection(
    order: &Order,
    catalogue: &Catalogue,
    snapshot: &Snapshot,
    believed: &[Believed<'_>],
    state: &HostState,
    received: Timestamp,
    covered: bool,
) -> (Protection, Vec<Reason>) {
    let platform = snapshot.platform();
    if !order.protection.platforms.contains(&platform) {
        let text = format!("the order demands no protection on {platform}");
        return (Protection::NotRequired, vec![reason("protection/not-required".into(), text)]);
    }
    let mut best: Option<Protection> = None;
    let mut reasons = Vec::new();
    for candidate in believed.iter().filter(|one| may_count(order, one.product, platform)) {
        let Some((said, why)) = judge(catalogue, snapshot, candidate, state, received) else { continue };
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
    snapshot: &Snapshot,
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
    let platform = snapshot.platform();
    let mut signs = catalogue.signs_seen(candidate.product, platform, state);
    // An agent that was not told of these units and processes has not looked for them.
    if watched_on(snapshot) < candidate.product.revised {
        signs.iter_mut().filter(|seen| seen.by_absence).for_each(|seen| seen.on = None);
    }
    let said = match works(&signs, state) {
        Works::Yes => aged(catalogue, platform, candidate.product, state, received),
        Works::No(why) => (Protection::Unapproved, why),
        // Nothing else says it: the system does, of a product that another source saw too.
        Works::Unknown(_) if is_stated_to_work(candidate) => {
            aged(catalogue, platform, candidate.product, state, received)
        }
        Works::Unknown(why) => (Protection::Unknown, why),
    };
    Some(said)
}

/// Whether the system's own list of guards says that the product works. Any administrator can write such a row, and it can
/// outlive the product, so another source has to have seen the product too.
fn is_stated_to_work(candidate: &Believed<'_>) -> bool {
    let mut sources = candidate.evidence.iter().map(|evidence| evidence.source);
    candidate.presence == Presence::Active
        && candidate.because == Because::Proven
        && sources.clone().any(is_statement)
        && sources.any(|source| !is_statement(source))
}

enum Works {
    Yes,
    No(&'static str),
    Unknown(&'static str),
}

/// The day of the oldest watchlist of the scan; 0 when it looked with none.
fn watched_on(snapshot: &Snapshot) -> u64 {
    let versions = snapshot.entries().iter().map(|entry| entry.watchlist).filter(|version| *version > 0);
    versions.min().map_or(0, day_of)
}

/// Only a sign that is at least strong says that something guards. A running agent alone does not: a bare clamd scans
/// what it is asked to, and a passive Defender watches. A definitive sign that was seen to be off outweighs strong
/// ones that are on: a scanner that runs and watches nothing guards nothing.
fn works(signs: &[SignSeen<'_>], state: &HostState) -> Works {
    let strong = || signs.iter().filter(|seen| guards(seen.sign.sign));
    let decided =
        |on| strong().any(|seen| seen.sign.sign == Sign::Definitive && seen.on == Some(on) && !seen.by_absence);
    if decided(true) {
        return Works::Yes;
    }
    if decided(false) {
        return Works::No("it runs, and watches nothing");
    }
    if strong().any(|seen| seen.on == Some(true)) {
        return Works::Yes;
    }
    if strong().any(|seen| seen.on == Some(false)) {
        return Works::No("it is installed, and does not work in real time");
    }
    let weak = || signs.iter().filter(|seen| !guards(seen.sign.sign));
    let runs = weak().any(|seen| seen.on == Some(true));
    if !runs && weak().any(|seen| seen.on == Some(false)) {
        return Works::No("it is installed, and is not running");
    }
    match (runs, state.realtime_outcome) {
        (true, Some(Outcome::Denied | Outcome::Partial)) => {
            Works::Unknown("it is running, and the agent has no right to see whether it works in real time")
        }
        (true, _) => Works::Unknown("it is running, and whether it works in real time could not be found out"),
        (false, _) => Works::Unknown("it is installed, and whether it is running could not be found out"),
    }
}

fn aged(
    catalogue: &Catalogue,
    platform: Platform,
    product: &Product,
    state: &HostState,
    received: Timestamp,
) -> (Protection, &'static str) {
    if !product.detection_content.ages() {
        return (Protection::Approved, "it works in real time; the age of signatures does not apply to it");
    }
    match freshness(catalogue, platform, product, state, received).map(|spell| spell.freshness) {
        Some(Freshness::Fresh) => (Protection::Approved, "it works in real time, and its signatures are fresh"),
        Some(Freshness::Stale) => (Protection::Unapproved, "it works in real time, and its signatures are stale"),
        Some(Freshness::Ahead) => {
            (Protection::Unknown, "it works in real time, and its signatures bear a date that has not come yet")
        }
        None => (Protection::Unknown, "it works in real time, and the age of its signatures could not be found out"),
    }
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
