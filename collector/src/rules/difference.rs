//! What differs between two rule sets, order by order, for people.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{OrderDifference, OrderId, TermReport};

use super::RuleSet;
use super::clock::Clock;
use super::named_value::NamedValue;
use super::order::Order;

/// The orders that differ, in order of their ids.
#[must_use]
pub fn differences(before: &RuleSet, after: &RuleSet) -> Vec<OrderDifference> {
    let ids: BTreeSet<&OrderId> = before.orders.iter().chain(&after.orders).map(|order| &order.id).collect();
    ids.into_iter()
        .filter_map(|id| {
            let facts = |set: &RuleSet| set.order(id.as_str()).map(facts);
            let (old, new) = (facts(before), facts(after));
            let lines = match (&old, &new) {
                (None, None) => Vec::new(),
                (None, Some(new)) => std::iter::once("added".to_owned())
                    .chain(new.iter().map(|(name, now)| line(name, "", now)))
                    .collect(),
                (Some(_), None) => vec!["removed".to_owned()],
                (Some(old), Some(new)) => changed(old, new),
            };
            (!lines.is_empty()).then(|| OrderDifference { order: id.clone(), lines })
        })
        .collect()
}

fn changed(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let value = |facts: &BTreeMap<String, String>, name: &String| facts.get(name).cloned().unwrap_or_default();
    names
        .into_iter()
        .map(|name| (name, value(old, name), value(new, name)))
        .filter(|(_, was, now)| was != now)
        .map(|(name, was, now)| line(name, &was, &now))
        .collect()
}

/// `patience: 7d → 3d`, `sites: hq`, `sites: hq → none`
fn line(name: &str, was: &str, now: &str) -> String {
    match (was, now) {
        ("", now) => format!("{name}: {now}"),
        (was, "") => format!("{name}: {was} → none"),
        (was, now) => format!("{name}: {was} → {now}"),
    }
}

/// What an order says, by name. What it does not say is left out.
fn facts(order: &Order) -> BTreeMap<String, String> {
    let report = order.report();
    let list = |items: &[String]| items.join(", ");
    let named = |items: Vec<&'static str>| items.join(", ");
    let mut facts: BTreeMap<String, String> = [
        ("title", order.title.clone()),
        ("issuer", order.issuer.clone()),
        ("jurisdiction", order.jurisdiction.clone()),
        ("binding", order.binding.to_string()),
        ("citation", order.citation.clone()),
        ("confirmed", order.confirmed.to_string()),
        ("unconfirmed", list(&order.unconfirmed)),
        ("sources", list(&order.sources)),
        ("active", order.active.to_string()),
        ("not_judged", order.not_judged.clone().unwrap_or_default()),
        ("due", report.due.map(|due| due.to_rfc3339()).unwrap_or_default()),
        ("zone", report.zone),
        ("calendar", report.calendar),
        ("starts-at", order.starts_at.spelling().to_owned()),
        ("from", report.layer),
        ("addendum", report.addendum),
        ("vendors", list(&order.scope.vendors)),
        ("families", list(&order.scope.families)),
        ("products", ids(&order.scope.products)),
        ("exempt", ids(&order.scope.exempt)),
        ("platforms", list(&report.platforms)),
        ("sites", list(&report.sites)),
        ("labels", list(&report.labels)),
        ("prohibits", ids(&order.prohibits)),
        ("embedded_code", order.embedded_code.spelling().to_owned()),
        ("protection.platforms", named(order.protection.platforms.iter().map(|one| one.name()).collect())),
        ("protection.approved", list(&report.approved)),
        ("protection.categories", list(&order.protection.categories)),
        ("patience", format!("{}d", report.patience_ms / 86_400_000)),
        (
            "confirm",
            format!(
                "{} scans, {}h apart, new boot {}",
                order.confirm.scans,
                order.confirm.spacing.as_secs() / 3600,
                order.confirm.new_boot
            ),
        ),
        ("wording.must", order.wording.must.clone()),
        ("wording.since", order.wording.since.clone()),
        ("wording.note", order.wording.note.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    for need in &order.needs {
        let any_of = named(need.any_of.iter().map(|source| source.name()).collect());
        let all = facts.entry(format!("needs.{}", need.platform)).or_default();
        *all = if all.is_empty() { any_of } else { format!("{all}; {any_of}") };
    }
    for own in &report.milestones {
        let doubt = if own.confirmed { "" } else { " (unconfirmed)" };
        facts.insert(format!("milestone {}", own.id), format!("{}, {}{doubt}", own.reached, own.what));
    }
    for term in order.clocks.iter().map(Clock::report) {
        facts.insert(format!("clock {}", term.id), said(&term));
    }
    for term in &report.recurring {
        facts.insert(format!("recurring {}", term.id), said(term));
    }
    facts.retain(|_, value| !value.is_empty());
    facts
}

/// All that a clock or a recurring duty says.
fn said(term: &TermReport) -> String {
    let from = term.from.map_or_else(String::new, |from| format!(" for events from {}", from.whole_seconds()));
    let until = term.until.map_or_else(String::new, |until| format!(" until {}", until.whole_seconds()));
    let fields = if term.fields.is_empty() { String::new() } else { format!(" ({})", term.fields.join("; ")) };
    let doubt = if term.confirmed { "" } else { " (unconfirmed)" };
    format!("{} from {}{from}{until}, per {}: {}{fields}{doubt}", term.term, term.starts, term.per, term.what)
}

fn ids<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
