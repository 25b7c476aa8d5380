//! Assesses one snapshot under one order: presence, protection, coverage, and the reasons. It knows no host.

use std::collections::BTreeMap;

use muster_proto::model::{
    Assessment, Evidence, HostState, Kind, Outcome, Platform, Presence, ProductId, Reason, ReasonKind, Snapshot,
    SourceName, Timestamp,
};

use super::combine::{Basis, FoundProduct, combine, rank};
use super::coverage::gaps;
use super::hit::{Hit, Strength};
use super::live::is_live;
use super::package_state::remarks;
use super::protection::{is_protection, protection};
use super::sentence::{Form, is_present};
use super::uninstall;
use crate::rules::{Catalogue, Order};

/// Assesses a snapshot under an order. `received` is when the collector received the state; it only decides whether
/// signatures are fresh.
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
    let mut found = combine(catalogue, hits);
    add_running_units(catalogue, platform, state, &mut found);
    let gaps = gaps(order, catalogue, snapshot);
    let covered = gaps.is_empty();
    let mut reasons = Vec::new();
    let (mut presence, mut prohibited, mut remnants) = (Presence::None, false, false);
    for one in found.iter().filter(|one| order.covers(one.product, platform)) {
        if one.presence == Presence::Embedded && !order.prohibits(one.presence) {
            reasons.push(exempt(one));
            continue;
        }
        remnants |= one.remnants || one.presence == Presence::Remnant;
        prohibited |= order.prohibits(one.presence);
        if rank(one.presence) > rank(presence) {
            presence = one.presence;
        }
        reasons.push(one.reason(ReasonKind::Product, one.rule.clone(), product_text(order, one, hits)));
    }
    reasons.extend(found.iter().filter(|one| order.exempts(one.product, platform)).map(exempt));
    // Without complete sources an absence proves nothing.
    if presence == Presence::None && !covered {
        presence = Presence::Unknown;
    } else if presence == Presence::None {
        let text = "No product of this order was found; all required sources were read completely";
        reasons.push(Reason::new(ReasonKind::Absence, "presence/none", text));
    }
    reasons.extend(found.iter().filter_map(images_not_read));
    let uninstall = uninstall::reasons(order, catalogue, platform, &found, hits);
    let (protection, protection_reasons) = protection(order, catalogue, snapshot, &found, state, received, covered);
    reasons.extend(gaps);
    reasons.extend(protection_reasons);
    reasons.extend(uninstall);
    Assessment {
        order: order.id.clone(),
        rules_version: order.rules_version.clone(),
        platform,
        presence,
        protection,
        covered,
        prohibited,
        remnants,
        guarding: guarding(order, platform, &found, state, covered),
        reasons,
    }
}

/// Whether an antivirus or EDR of the order runs; `None` if it is unknown.
fn guarding(
    order: &Order,
    platform: Platform,
    found: &[FoundProduct<'_>],
    state: &HostState,
    covered: bool,
) -> Option<bool> {
    let ours = found.iter().filter(|one| order.covers(one.product, platform) && is_protection(one.product));
    let presences: Vec<Presence> = ours.map(|one| one.presence).collect();
    if presences.contains(&Presence::Active) {
        return Some(true);
    }
    // An image has no running units, and neither has a host whose agent could not list them.
    let are_units_read = state.units_outcome.is_some_and(Outcome::is_complete);
    let may_run =
        |presence: &Presence| *presence == Presence::Suspect || (*presence == Presence::Installed && !are_units_read);
    (covered && !presences.iter().any(may_run)).then_some(false)
}

/// Marks installed products with a running unit as active. A running unit is evidence by itself, so a product that no
/// section shows is added: the package database may be broken while the product runs. A name that proves nothing alone
/// does not become proof because its unit runs.
fn add_running_units<'c>(
    catalogue: &'c Catalogue,
    platform: Platform,
    state: &HostState,
    found: &mut Vec<FoundProduct<'c>>,
) {
    let mut running: BTreeMap<&ProductId, (Strength, &str)> = BTreeMap::new();
    for unit in state.units.iter().filter(|unit| unit.active) {
        for (product, strength) in catalogue.products_of_unit(platform, &unit.name) {
            let best = running.entry(product).or_insert((strength, &unit.name));
            if strength > best.0 {
                *best = (strength, &unit.name);
            }
        }
    }
    for (id, (strength, unit)) in running {
        let proves = strength == Strength::Proves;
        let Some(product) = catalogue.product(id) else { continue };
        let evidence = running_unit(platform, unit);
        match found.iter_mut().find(|one| one.product.id == *id) {
            // A running unit does not turn a management agent or embedded code into the product itself.
            Some(one) if one.presence == Presence::ManagementOnly || one.presence == Presence::Embedded => {
                one.evidence.push(evidence);
            }
            Some(one) if !proves && !matches!(one.presence, Presence::Installed | Presence::Active) => {
                one.evidence.push(evidence);
            }
            Some(one) => {
                one.presence = running_presence(catalogue, platform, unit, id);
                one.basis = Basis::Running;
                one.evidence.push(evidence);
            }
            None => found.push(FoundProduct {
                product,
                presence: if proves { running_presence(catalogue, platform, unit, id) } else { Presence::Suspect },
                remnants: false,
                version: String::new(),
                rule: format!("{id}/{platform}/running"),
                basis: if proves { Basis::Running } else { Basis::Suspected },
                evidence: vec![evidence],
                unproven: None,
            }),
        }
    }
}

/// The observation of a running unit, under the source that reads units on the platform.
fn running_unit(platform: Platform, unit: &str) -> Evidence {
    let (source, kind) = match platform {
        Platform::Linux => (SourceName::SystemdUnits, Kind::Service),
        Platform::Windows => (SourceName::Services, Kind::Service),
        Platform::Macos => (SourceName::Launchd, Kind::Launchd),
    };
    Evidence {
        source,
        kind,
        name: unit.to_owned(),
        version: String::new(),
        state: "running".to_owned(),
        path: String::new(),
        other_vendor: String::new(),
    }
}

/// A running management agent is still only a management agent.
fn running_presence(catalogue: &Catalogue, platform: Platform, unit: &str, id: &ProductId) -> Presence {
    match catalogue.unit_shows(platform, unit, id) {
        Some(Presence::ManagementOnly) => Presence::ManagementOnly,
        Some(Presence::Embedded) => Presence::Embedded,
        _ => Presence::Active,
    }
}

/// Says that images of containers were not read. They are not software of the host, so this does not change its lane.
fn images_not_read(one: &FoundProduct<'_>) -> Option<Reason> {
    if !one.product.is_only_a_place() {
        return None;
    }
    let places: Vec<&str> = one.evidence.iter().map(|evidence| evidence.path.as_str()).collect();
    let text = format!(
        "Container images in {} were not read; what is in them is not installed on the host and does not change its lane",
        places.join(", ")
    );
    Some(one.reason(ReasonKind::NotRead, "coverage/container-images".to_owned(), text))
}

fn exempt(one: &FoundProduct<'_>) -> Reason {
    let product = one.seen();
    one.reason(ReasonKind::Exempt, "presence/exempt".to_owned(), format!("{product} is exempt under this order"))
}

/// The presence of a covered product, and in the order's own words what must happen to it.
fn product_text(order: &Order, one: &FoundProduct<'_>, hits: &[Hit]) -> String {
    let form = Form::of(order, &one.product.id, one.evidence.first());
    let is_tool = form == Form::PortableTool && is_live(one.presence) && one.presence != Presence::Suspect;
    let aside = if is_tool {
        ": a portable tool, not an installed product".to_owned()
    } else {
        remarks(&one.product.id, &one.version, hits)
    };
    let present = format!("{}{aside}", is_present(&one.seen(), form));
    let basis = match one.basis {
        Basis::Corroborated => " (several weak sources agree)".to_owned(),
        Basis::Suspected | Basis::SuspectedRemnant => one.doubt().map(|why| format!(": {why}")).unwrap_or_default(),
        Basis::Proven | Basis::Running => String::new(),
    };
    if !order.prohibits(one.presence) || !is_live(one.presence) {
        return format!("{present}{basis}");
    }
    // Its words are about the order's own date, whatever an addendum sets.
    let due = order.legal_due_milestone().map_or_else(String::new, |milestone| {
        let doubt = if milestone.confirmed { "" } else { ", unconfirmed" };
        format!(" ({} {}{doubt})", order.wording.since, milestone.reached)
    });
    // A management agent and a portable tool protect nothing, so nothing has to take their place.
    let is_replaced = one.presence != Presence::ManagementOnly && !is_tool;
    let must = if is_replaced { order.wording.must.clone() } else { order.wording.must.replace("replaced", "removed") };
    format!("{present}{basis}; it {must}{due}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_unit_is_reported_under_the_source_that_reads_units_on_its_platform() {
        let shown = |platform, unit| {
            let evidence = running_unit(platform, unit);
            (evidence.source, evidence.to_string())
        };
        let linux = (SourceName::SystemdUnits, "service kesl.service [running]".to_owned());
        assert_eq!(shown(Platform::Linux, "kesl.service"), linux);
        assert_eq!(shown(Platform::Windows, "AVP21.3"), (SourceName::Services, "service AVP21.3 [running]".to_owned()));
        assert_eq!(shown(Platform::Macos, "com.kaspersky.kav").0, SourceName::Launchd);
    }

    #[test]
    fn only_an_antivirus_that_runs_guards_a_host_and_what_is_not_read_is_unknown() {
        let rules = crate::rules::load(None).expect("rules");
        let order = rules.active_orders().next().expect("an active order");
        let (read, unread) =
            (HostState { units_outcome: Some(Outcome::Empty), ..HostState::default() }, HostState::default());
        let guards = |product: &str, presence, state: &HostState, covered| {
            let id = ProductId::new(product).expect("an id");
            let found = FoundProduct {
                product: rules.catalogue.product(&id).expect("in the catalogue"),
                presence,
                remnants: false,
                version: String::new(),
                rule: String::new(),
                basis: Basis::Running,
                evidence: Vec::new(),
                unproven: None,
            };
            guarding(order, Platform::Windows, &[found], state, covered)
        };
        let (antivirus, vpn) = ("kaspersky-endpoint-security", "kaspersky-vpn");
        use Presence::{Active, Installed, Suspect};
        assert_eq!(guards(antivirus, Active, &unread, false), Some(true));
        assert_eq!(guards(antivirus, Installed, &read, true), Some(false), "it does not run");
        assert_eq!(guards(antivirus, Installed, &unread, true), None, "it may run");
        assert_eq!(guards(antivirus, Suspect, &read, true), None, "it may be there");
        assert_eq!(guards(vpn, Active, &read, true), Some(false));
        assert_eq!(guards(vpn, Active, &read, false), None, "an antivirus may be in what was not read");
    }
}
