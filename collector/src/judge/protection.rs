//! What else protects the host: which products the order accepts, whether they protect in real time, and whether their
//! signatures are fresh.

use muster_proto::model::{
    HostState, Kind, Outcome, Platform, Presence, Protection, Reason, ReasonKind, Snapshot, SourceName, Timestamp,
};

use super::combine::{Basis, FoundProduct, is_system_list};
use super::freshness::{Freshness, freshness};
use super::sentence::{Form, is_present};
use crate::rules::{Catalogue, Condition, Order, Product, Sign, SignSeen, day_of, shows_protection};

/// The protection that a snapshot and a state show, and the reasons, best product first.
pub(super) fn protection(
    order: &Order,
    catalogue: &Catalogue,
    snapshot: &Snapshot,
    found: &[FoundProduct<'_>],
    state: &HostState,
    received: Timestamp,
    covered: bool,
) -> (Protection, Vec<Reason>) {
    let platform = snapshot.platform();
    let alone = |protection: Protection, text: String| {
        (protection, vec![Reason::new(ReasonKind::Protection, format!("protection/{protection}"), text)])
    };
    if !order.protection.platforms.contains(&platform) {
        return alone(Protection::NotRequired, format!("This order requires no protection on {platform}"));
    }
    let mut judged: Vec<(Protection, Reason)> = Vec::new();
    for candidate in found.iter().filter(|one| is_accepted(order, one.product, platform)) {
        let Some((protection, why)) = judge(catalogue, snapshot, candidate, state, received) else { continue };
        let why = match candidate.doubt().filter(|_| candidate.presence == Presence::Suspect) {
            Some(doubt) => format!("{why}: {doubt}"),
            None => why.to_owned(),
        };
        let text = format!("{} {why}", candidate.product.name);
        let reason = candidate.reason(ReasonKind::Protection, format!("protection/{protection}"), text);
        judged.push((protection, reason));
    }
    // The sort is stable, so products of equal rank keep the order of `found`.
    judged.sort_by_key(|(protection, _)| std::cmp::Reverse(rank(*protection)));
    let (answer, mut reasons) = match judged.first() {
        Some((best, _)) => (*best, judged.into_iter().map(|(_, reason)| reason).collect()),
        // An absence is certain only if every required source was read completely.
        None if covered => alone(Protection::None, "No accepted protection was found".to_owned()),
        None => {
            let text = "No accepted protection was found, but some required sources were not read completely";
            alone(Protection::Unknown, text.to_owned())
        }
    };
    reasons.extend(found.iter().flat_map(|one| excluded(order, one, platform)));
    reasons.extend(found.iter().filter_map(|one| unapproved(order, one, platform)));
    (answer, reasons)
}

/// Whether the order accepts this product as protection: it would, and no other active order covers the product.
fn is_accepted(order: &Order, product: &Product, platform: Platform) -> bool {
    would_accept(order, product, platform) && !order.protection.excluded.contains_key(&product.id)
}

/// One reason for each other order that excludes an installed product which this order would accept. Without it a host
/// would change its lane when somebody activates the other order, and nothing would say why.
fn excluded(order: &Order, one: &FoundProduct<'_>, platform: Platform) -> Vec<Reason> {
    let is_installed = matches!(one.presence, Presence::Active | Presence::Installed | Presence::Embedded);
    if !is_installed || !would_accept(order, one.product, platform) {
        return Vec::new();
    }
    let by = order.protection.excluded.get(&one.product.id).into_iter().flatten();
    by.map(|other| {
        let text = format!(
            "{}, but does not count as protection: order {other} covers it",
            is_present(&one.seen(), Form::Program)
        );
        let reason = one.reason(ReasonKind::ExcludedProtection, "protection/excluded".to_owned(), text);
        Reason { order: Some(other.clone()), ..reason }
    })
    .collect()
}

/// Whether the product protects hosts, and is no VPN or password manager.
pub(super) fn is_protection(product: &Product) -> bool {
    ["antivirus", "edr"].contains(&product.category.as_str())
}

/// An installed product that protects hosts, but that is not on the order's list.
fn unapproved(order: &Order, one: &FoundProduct<'_>, platform: Platform) -> Option<Reason> {
    let is_installed = matches!(one.presence, Presence::Active | Presence::Installed | Presence::Embedded);
    if !is_installed
        || !is_protection(one.product)
        || order.covers(one.product, platform)
        || would_accept(order, one.product, platform)
    {
        return None;
    }
    let text = format!("{}, but the order does not accept it as protection", is_present(&one.seen(), Form::Program));
    Some(one.reason(ReasonKind::UnapprovedProtection, "protection/unapproved-product".to_owned(), text))
}

/// Whether the order alone accepts this product as protection: it is on the order's list, or, without a list, in an
/// accepted category.
fn would_accept(order: &Order, product: &Product, platform: Platform) -> bool {
    let rule = &order.protection;
    if order.covers(product, platform) {
        return false;
    }
    if rule.approved.is_empty() {
        rule.categories.contains(&product.category)
    } else {
        rule.approved.contains(&product.id)
    }
}

/// The protection that one product gives; `None` if it is not installed.
fn judge(
    catalogue: &Catalogue,
    snapshot: &Snapshot,
    candidate: &FoundProduct<'_>,
    state: &HostState,
    received: Timestamp,
) -> Option<(Protection, &'static str)> {
    match candidate.presence {
        Presence::Installed | Presence::Active | Presence::Embedded => {}
        // What is left over may be the product's or not; it protects nothing in either case.
        Presence::Suspect if candidate.basis == Basis::SuspectedRemnant => return None,
        Presence::Suspect => {
            // It may be the product that protects, so the answer is neither approved nor none.
            return Some((Protection::Unknown, "may be present; only weak evidence was found"));
        }
        Presence::ManagementOnly | Presence::Remnant | Presence::None | Presence::Unknown => return None,
    }
    let platform = snapshot.platform();
    let mut signs = catalogue.signs_seen(candidate.product, platform, state);
    // An agent with an older watchlist did not look for these units and processes, so their absence says nothing.
    if watched_on(snapshot) < candidate.product.revised {
        // Only absences are discarded: what the agent did find remains true under any watchlist.
        signs.iter_mut().filter(|seen| seen.by_absence).for_each(|seen| seen.on = None);
    }
    if let Some(why) = says_it_is_off(catalogue, candidate) {
        return Some((Protection::Unapproved, why));
    }
    let judged = match works(&signs, state) {
        Works::Yes => aged(catalogue, platform, candidate.product, state, received),
        Works::No(why) => (Protection::Unapproved, why),
        // No sign shows it, but the operating system lists it as active.
        Works::Unknown(_) if is_listed_as_active(candidate) => {
            aged(catalogue, platform, candidate.product, state, received)
        }
        Works::Unknown(_) if extension_is_off(catalogue, candidate, &signs) => {
            (Protection::Unapproved, "is installed, but the system extension that would protect is not enabled")
        }
        Works::Unknown(why) => (Protection::Unknown, why),
    };
    Some(judged)
}

/// Whether the operating system's own list calls the product active. Any administrator can write a row there, and a row
/// can outlive the product, so another source must show the product too.
fn is_listed_as_active(candidate: &FoundProduct<'_>) -> bool {
    // `any` consumes an iterator, and both questions below must see all sources.
    let mut sources = candidate.evidence.iter().map(|evidence| evidence.source);
    candidate.presence == Presence::Active
        && candidate.basis == Basis::Proven
        && sources.clone().any(is_system_list)
        && sources.any(|source| !is_system_list(source))
}

/// Why the product does not protect, if the system's own lists say so. The running mode decides before the switches: a passive
/// Defender answers that all of them are on.
fn says_it_is_off(catalogue: &Catalogue, candidate: &FoundProduct<'_>) -> Option<&'static str> {
    let works = |source: SourceName| {
        let listed = candidate.evidence.iter().filter(move |evidence| evidence.source == source);
        listed.map(|evidence| catalogue.read_state(Some(evidence.kind), &evidence.state).works)
    };
    if works(SourceName::Defender).any(|works| works == Some(false)) {
        return Some("is installed, but its running mode is not one that protects in real time");
    }
    // A product can have several rows there, and one that is on leaves the question open.
    let mut rows = works(SourceName::SecurityCenter).peekable();
    (rows.peek().is_some() && rows.all(|works| works == Some(false)))
        .then_some("is installed, but Windows Security Center lists it as off")
}

/// Whether the list of system extensions has those that would protect, and none of them is enabled. macOS keeps that list, so a
/// copied Mac has it too. An older version that is still enabled beside one that waits leaves the question open.
fn extension_is_off(catalogue: &Catalogue, candidate: &FoundProduct<'_>, signs: &[SignSeen<'_>]) -> bool {
    let would_protect =
        |name: &str| signs.iter().any(|seen| shows_protection(seen.sign.sign) && seen.sign.is_of_extension(name));
    let extensions = candidate.evidence.iter().filter(|one| one.kind == Kind::SystemExtension);
    let states = extensions.filter(|one| would_protect(&one.name));
    let mut states = states.map(|one| catalogue.read_state(Some(one.kind), &one.state)).peekable();
    states.peek().is_some() && states.all(|state| state.works == Some(false) || state.condition == Condition::LeftOver)
}

enum Works {
    Yes,
    No(&'static str),
    Unknown(&'static str),
}

/// The day of the oldest watchlist that the scan used, as 20261123; 0 if it used none.
fn watched_on(snapshot: &Snapshot) -> u64 {
    let versions = snapshot.entries().iter().map(|entry| entry.watchlist).filter(|version| *version > 0);
    versions.min().map_or(0, day_of)
}

/// Whether a product protects in real time. Only a sign that is at least strong shows it. A running agent alone does not:
/// a bare clamd scans only what it is asked to, and a passive Defender only watches. A definitive sign that is off
/// outweighs strong ones that are on: a scanner that runs without on-access scanning protects nothing.
fn works(signs: &[SignSeen<'_>], state: &HostState) -> Works {
    let strong = || signs.iter().filter(|seen| shows_protection(seen.sign.sign));
    // An absence is only inferred, so it does not have the weight of a definitive sign that was read as off.
    let decided =
        |on| strong().any(|seen| seen.sign.sign == Sign::Definitive && seen.on == Some(on) && !seen.by_absence);
    if decided(true) {
        return Works::Yes;
    }
    if decided(false) {
        return Works::No("is running, but real-time protection is off");
    }
    // On is asked before off, because one protecting part that runs is enough.
    if strong().any(|seen| seen.on == Some(true)) {
        return Works::Yes;
    }
    if strong().any(|seen| seen.on == Some(false)) {
        return Works::No("is installed, but real-time protection is off");
    }
    let weak = || signs.iter().filter(|seen| !shows_protection(seen.sign.sign));
    let runs = weak().any(|seen| seen.on == Some(true));
    if !runs && weak().any(|seen| seen.on == Some(false)) {
        return Works::No("is installed, but not running");
    }
    match (runs, state.realtime_outcome) {
        (true, Some(Outcome::Denied | Outcome::Partial)) => {
            Works::Unknown("is running, but the agent has no permission to check real-time protection")
        }
        (true, _) => Works::Unknown("is running; whether real-time protection is on is unknown"),
        (false, _) => Works::Unknown("is installed; whether it is running is unknown"),
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
        return (Protection::Approved, "protects in real time; it has no signatures that age");
    }
    match freshness(catalogue, platform, product, state, received).map(|spell| spell.freshness) {
        Some(Freshness::Fresh) => (Protection::Approved, "protects in real time with current signatures"),
        Some(Freshness::Stale) => (Protection::Unapproved, "protects in real time, but its signatures are out of date"),
        Some(Freshness::Absent) => (Protection::Unapproved, "protects in real time, but it has no signatures"),
        Some(Freshness::Ahead) => {
            (Protection::Unknown, "protects in real time, but its signatures are dated in the future")
        }
        None => (Protection::Unknown, "protects in real time, but the age of its signatures is unknown"),
    }
}

/// Of several products, the one with the highest rank decides.
const fn rank(protection: Protection) -> u8 {
    match protection {
        Protection::Approved => 4,
        // A product of unknown effect may be the one that protects, so it outweighs one that surely does not.
        Protection::Unknown => 3,
        Protection::Unapproved => 2,
        Protection::None => 1,
        Protection::NotRequired => 0,
    }
}
