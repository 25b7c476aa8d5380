//! Whether a scan proves an absence: which sources an order needs, and whether they looked completely.

use muster_proto::model::{Outcome, Platform, Reason, Snapshot, SnapshotEntry, SourceName};

use crate::rules::{Catalogue, Need, Order, day_of, is_limited, limited_kind};

/// A reason for every need of the order that the scan leaves open; none means that the scan covers it.
pub(super) fn gaps(order: &Order, catalogue: &Catalogue, snapshot: &Snapshot) -> Vec<Reason> {
    let mut gaps = Vec::new();
    for need in order.needs.iter().filter(|need| need.platform == snapshot.platform()) {
        gaps.extend(gap(need, snapshot));
        let outdated = need.any_of.iter().filter_map(|source| snapshot.entry(*source));
        gaps.extend(outdated.filter_map(|entry| outdated_watchlist(order, catalogue, snapshot.platform(), entry)));
    }
    gaps.dedup();
    gaps
}

/// A need is met when one of its sources looked completely and none of the others that are there failed to.
fn gap(need: &Need, snapshot: &Snapshot) -> Option<Reason> {
    let entries: Vec<&SnapshotEntry> = need.any_of.iter().filter_map(|source| snapshot.entry(*source)).collect();
    let failed = entries.iter().find(|entry| !entry.outcome.is_complete() && entry.outcome != Outcome::NotApplicable);
    if let Some(entry) = failed {
        return Some(of_entry(entry));
    }
    if entries.iter().any(|entry| entry.outcome.is_complete()) {
        return None;
    }
    let names: Vec<&str> = need.any_of.iter().map(|source| source.name()).collect();
    let (how, rule) = match entries.first() {
        Some(entry) => {
            ("not applicable here, and nothing stands in for it", format!("{}-not-applicable", entry.source))
        }
        None => ("not looked at", format!("{}-missing", names.first().copied().unwrap_or_default())),
    };
    Some(reason(format!("coverage/{rule}"), format!("{}: {how}", names.join(", "))))
}

fn of_entry(entry: &SnapshotEntry) -> Reason {
    let why = if entry.reason.is_empty() { String::new() } else { format!(": {}", entry.reason) };
    let how = match entry.outcome {
        Outcome::Partial => "could be read only in part",
        Outcome::Denied => "could not be read: the agent has no right to",
        Outcome::TimedOut => "could not be read within its time limit",
        Outcome::Failed | Outcome::Found | Outcome::Empty | Outcome::NotApplicable => "could not be read",
    };
    reason(format!("coverage/{}-{}", entry.source, entry.outcome), format!("{} {how}{why}", entry.source))
}

/// A source that sees only what the watchlist names proves nothing about recognisers that are newer than its list.
fn outdated_watchlist(
    order: &Order,
    catalogue: &Catalogue,
    platform: Platform,
    entry: &SnapshotEntry,
) -> Option<Reason> {
    if !is_limited(entry.source) || !entry.outcome.is_complete() {
        return None;
    }
    let needed = newest_recogniser(order, catalogue, platform, entry.source);
    let of_snapshot = day_of(entry.watchlist);
    (of_snapshot < needed).then(|| {
        reason(
            format!("coverage/{}-watchlist", entry.source),
            format!("{} looked with the watchlist of {of_snapshot}, older than recognisers of {needed}", entry.source),
        )
    })
}

fn newest_recogniser(order: &Order, catalogue: &Catalogue, platform: Platform, source: SourceName) -> u64 {
    let Some(kind) = limited_kind(source) else { return 0 };
    let covered = catalogue.products().iter().filter(|product| order.covers(product, platform));
    let limited = covered.filter(|product| {
        product.recognisers.iter().any(|one| one.kinds.contains(&kind) && one.platforms.contains(&platform))
    });
    limited.map(|product| product.revised).max().unwrap_or(0)
}

pub(super) fn reason(rule: String, text: String) -> Reason {
    Reason { rule, text, product: String::new(), evidence: None }
}
