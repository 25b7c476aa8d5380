//! Whether a snapshot proves an absence: which sources an order needs, and whether they were read completely.

use muster_proto::model::{Outcome, Platform, Reason, ReasonKind, Snapshot, SnapshotEntry, SourceName};

use crate::rules::{Catalogue, Need, Order, day_of, is_limited, limited_kind};

/// One reason for every need of the order that the snapshot does not meet; none if it meets all of them.
pub(super) fn gaps(order: &Order, catalogue: &Catalogue, snapshot: &Snapshot) -> Vec<Reason> {
    let mut gaps = Vec::new();
    for need in order.needs.iter().filter(|need| need.platform == snapshot.platform()) {
        gaps.extend(gap(need, snapshot));
        let entries = need.any_of.iter().filter_map(|source| snapshot.entry(*source));
        gaps.extend(entries.filter_map(|entry| outdated_watchlist(order, catalogue, snapshot.platform(), entry)));
    }
    // Two needs in a row can name the same source and then report the same gap.
    gaps.dedup();
    gaps
}

/// A need is met if one of its sources was read completely and none of the others failed. A failed one may hide what the
/// others do not show: two package databases can be on one machine.
fn gap(need: &Need, snapshot: &Snapshot) -> Option<Reason> {
    let entries: Vec<&SnapshotEntry> = need.any_of.iter().filter_map(|source| snapshot.entry(*source)).collect();
    // A source that does not apply to the host, such as rpm on Debian, hides nothing.
    let failed = entries.iter().find(|entry| !entry.outcome.is_complete() && entry.outcome != Outcome::NotApplicable);
    if let Some(entry) = failed {
        return Some(not_complete(entry));
    }
    if entries.iter().any(|entry| entry.outcome.is_complete()) {
        return None;
    }
    let names: Vec<&str> = need.any_of.iter().map(|source| source.name()).collect();
    let names = names.join(", ");
    let reason = match (entries.first(), need.any_of.first()) {
        (Some(entry), _) => {
            let rule = format!("coverage/{}-not-applicable", entry.source);
            let text = format!("The host has none of the required sources: {names}");
            let outcome = Some(entry.outcome);
            Reason { source: Some(entry.source), outcome, ..Reason::new(ReasonKind::Coverage, rule, text) }
        }
        (None, first) => {
            let rule = format!("coverage/{}-missing", first.map_or("", |source| source.name()));
            let text = format!("The agent did not read any of the required sources: {names}");
            Reason { source: first.copied(), ..Reason::new(ReasonKind::Coverage, rule, text) }
        }
    };
    Some(reason)
}

fn not_complete(entry: &SnapshotEntry) -> Reason {
    let problem = match entry.outcome {
        Outcome::Partial => "was read only partly",
        Outcome::Denied => "could not be read: the agent has no permission",
        Outcome::TimedOut => "could not be read within its time limit",
        Outcome::Failed | Outcome::Found | Outcome::Empty | Outcome::NotApplicable => "could not be read",
    };
    // The reason often begins with the name of the source, which the sentence has already.
    let name = format!("{} ", entry.source);
    let detail = entry.reason.strip_prefix(&name).unwrap_or(&entry.reason);
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    let rule = format!("coverage/{}-{}", entry.source, entry.outcome);
    let text = format!("{} {problem}{detail}", entry.source);
    let outcome = Some(entry.outcome);
    Reason { source: Some(entry.source), outcome, ..Reason::new(ReasonKind::Coverage, rule, text) }
}

/// A source that reads only what the watchlist names proves nothing about recognisers that are newer than the watchlist.
fn outdated_watchlist(
    order: &Order,
    catalogue: &Catalogue,
    platform: Platform,
    entry: &SnapshotEntry,
) -> Option<Reason> {
    // A source that was not read completely is a gap already, which `gap` reports.
    if !is_limited(entry.source) || !entry.outcome.is_complete() {
        return None;
    }
    let needed = newest_recogniser(order, catalogue, platform, entry.source);
    let used = day_of(entry.watchlist);
    (used < needed).then(|| {
        let watchlist = if used == 0 { "without a watchlist".to_owned() } else { format!("with watchlist {used}") };
        let rule = format!("coverage/{}-watchlist", entry.source);
        let text = format!("{} was read {watchlist}; the catalogue needs {needed} or later", entry.source);
        let outcome = Some(entry.outcome);
        Reason { source: Some(entry.source), outcome, ..Reason::new(ReasonKind::Watchlist, rule, text) }
    })
}

fn newest_recogniser(order: &Order, catalogue: &Catalogue, platform: Platform, source: SourceName) -> u64 {
    let Some(kind) = limited_kind(source) else { return 0 };
    let covered = catalogue.products().iter().filter(|product| order.covers(product, platform));
    // The date is the product's, not the recogniser's, so this may ask for too new a watchlist, never for too old a
    // one.
    let limited = covered.filter(|product| {
        product.recognisers.iter().any(|one| one.kinds.contains(&kind) && one.platforms.contains(&platform))
    });
    limited.map(|product| product.revised).max().unwrap_or(0)
}
