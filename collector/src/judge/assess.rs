//! One scan under one order: presence, protection, coverage, and why. No host is in it.

use std::collections::BTreeMap;

use muster_proto::model::{
    Assessment, Evidence, HostState, Platform, Presence, ProductId, Reason, Snapshot, Timestamp,
};

use super::combine::{Because, Believed, combine, is_live, rank};
use super::coverage::{gaps, reason};
use super::hit::{Hit, Strength};
use super::protection::protection;
use super::removal;
use crate::rules::{Catalogue, Order};

/// Judges a scan under an order. `received` is when the collector received the state: signatures are fresh or stale at
/// that time, and it says nothing else.
#[must_use]
pub fn assess(
    order: &Order,
    catalogue: &Catalogue,
    snapshot: &Snapshot,
    hits: &[Hit],
    state: &HostState,
    received: Timestamp,
) -> Assessment {
    let platform = snapshot.platform();
    let mut believed = combine(catalogue, hits);
    run(catalogue, platform, state, &mut believed);
    let gaps = gaps(order, catalogue, snapshot);
    let covered = gaps.is_empty();
    let mut reasons = Vec::new();
    let (mut presence, mut prohibited, mut remnants) = (Presence::None, false, false);
    for one in believed.iter().filter(|one| order.covers(one.product, platform)) {
        if one.presence == Presence::Embedded && !order.prohibits(one.presence) {
            reasons.push(of_product(one, "presence/exempt", format!("{} is exempt under this order", named(one))));
            continue;
        }
        remnants |= one.remnants || one.presence == Presence::Remnant;
        prohibited |= order.prohibits(one.presence);
        if rank(one.presence) > rank(presence) {
            presence = one.presence;
        }
        reasons.push(of_product(one, &one.rule, sentence(order, one)));
    }
    for one in believed.iter().filter(|one| order.exempts(one.product, platform)) {
        reasons.push(of_product(one, "presence/exempt", format!("{} is exempt under this order", named(one))));
    }
    if presence == Presence::None && !covered {
        presence = Presence::Unknown;
    } else if presence == Presence::None {
        let text = "no product that the order covers was found, and every source that it needs looked".to_owned();
        reasons.push(reason("presence/none".to_owned(), text));
    }
    let removals = removal::commands(order, platform, &believed, hits);
    let (protection, guarding) = protection(order, catalogue, snapshot, &believed, state, received, covered);
    reasons.extend(gaps);
    reasons.extend(guarding);
    reasons.extend(removals);
    Assessment {
        order: order.id.clone(),
        rules_version: order.rules_version.clone(),
        platform,
        presence,
        protection,
        covered,
        prohibited,
        remnants,
        reasons,
    }
}

/// Makes what is installed and has a running unit active. A running unit of a product that nothing else showed is
/// evidence by itself: the databases may be broken, the product is at work. A name that proves nothing alone does not do
/// so either because its unit runs.
fn run<'c>(catalogue: &'c Catalogue, platform: Platform, state: &HostState, believed: &mut Vec<Believed<'c>>) {
    let mut running: BTreeMap<&ProductId, (Strength, &str)> = BTreeMap::new();
    for unit in state.units.iter().filter(|unit| unit.active) {
        for (product, strength) in catalogue.products_of_unit(platform, &unit.name) {
            let telling = running.entry(product).or_insert((strength, &unit.name));
            if strength > telling.0 {
                *telling = (strength, &unit.name);
            }
        }
    }
    for (id, (strength, unit)) in running {
        let proves = strength == Strength::Proves;
        let Some(product) = catalogue.product(id) else { continue };
        let evidence = Evidence {
            source: muster_proto::model::SourceName::SystemdUnits,
            text: format!("service {unit} [running]"),
            path: String::new(),
        };
        match believed.iter_mut().find(|one| one.product.id == *id) {
            Some(one) if one.presence == Presence::ManagementOnly || one.presence == Presence::Embedded => {
                one.evidence.push(evidence);
            }
            Some(one) if !proves && !matches!(one.presence, Presence::Installed | Presence::Active) => {
                one.evidence.push(evidence);
            }
            Some(one) => {
                one.presence = running_presence(catalogue, platform, unit, id);
                one.because = Because::Running;
                one.evidence.push(evidence);
            }
            None => believed.push(Believed {
                product,
                presence: if proves { running_presence(catalogue, platform, unit, id) } else { Presence::Suspect },
                remnants: false,
                version: String::new(),
                rule: format!("{id}/{platform}/running"),
                because: if proves { Because::Running } else { Because::Suspected },
                evidence: vec![evidence],
            }),
        }
    }
}

/// A management agent that runs is still no more than that.
fn running_presence(catalogue: &Catalogue, platform: Platform, unit: &str, id: &ProductId) -> Presence {
    match catalogue.unit_shows(platform, unit, id) {
        Some(Presence::ManagementOnly) => Presence::ManagementOnly,
        Some(Presence::Embedded) => Presence::Embedded,
        _ => Presence::Active,
    }
}

/// `Kaspersky Endpoint Security 12.2.0-2517`
fn named(one: &Believed<'_>) -> String {
    if one.version.is_empty() { one.product.name.clone() } else { format!("{} {}", one.product.name, one.version) }
}

/// What is said of a covered product, in the order's own words.
fn sentence(order: &Order, one: &Believed<'_>) -> String {
    let named = named(one);
    let state = match one.presence {
        Presence::Active => "is installed and running",
        Presence::Installed => "is installed",
        Presence::ManagementOnly => "is there, which manages products of this vendor",
        Presence::Embedded => "is there, with this vendor's code in it",
        Presence::Remnant => "was removed, and something of it is left over",
        Presence::Suspect => "may be there: what was seen proves nothing alone",
        Presence::None | Presence::Unknown => "could not be judged",
    };
    let how = match one.because {
        Because::Corroborated => " (several sources agree, none proves it alone)",
        Because::Proven | Because::Suspected | Because::Running => "",
    };
    if !order.prohibits(one.presence) || !is_live(one.presence) {
        return format!("{named} {state}{how}");
    }
    let due = order.due().map(|due| format!(", {} {due}", order.wording.since)).unwrap_or_default();
    format!("{named} {state}{how}: it {}{due}", order.wording.must)
}

fn of_product(one: &Believed<'_>, rule: &str, text: String) -> Reason {
    Reason { rule: rule.to_owned(), text, product: one.product.id.to_string(), evidence: one.evidence.first().cloned() }
}
