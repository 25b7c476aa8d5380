//! Combines the evidence of one snapshot: what it says together about each product.
//!
//! One recogniser that proves a product is enough. Two weaker ones prove it together when they come from different
//! sources: a process name and a folder of the same product. Two observations of one source may be the same mistake, and
//! so may one generic name that several sources repeat: a service, its process and its registry key share a name.

use std::collections::BTreeMap;

use muster_proto::model::{
    Evidence, HitReport, Kind, Presence, ProductId, ProductSeen, Reason, ReasonKind, ReportedState, SourceName,
};

use super::hit::{Hit, Strength};
use super::live::is_live;
use super::remnants::{InstalledPlaces, may_be_left};
use crate::rules::{Catalogue, Condition, Product};

/// One product of one snapshot, from all its evidence.
#[derive(Debug, Clone)]
pub(super) struct FoundProduct<'c> {
    pub(super) product: &'c Product,
    pub(super) presence: Presence,
    /// Whether remnants of it were found, with or without the product itself.
    pub(super) remnants: bool,
    pub(super) version: String,
    /// The recogniser that decided.
    pub(super) rule: String,
    pub(super) basis: Basis,
    /// Deciding evidence first.
    pub(super) evidence: Vec<Evidence>,
    /// The evidence whose state proves nothing, and why.
    pub(super) unproven: Option<(Evidence, Condition)>,
}

/// How much of a publisher's text a sentence quotes.
const VENDOR_CHARS: usize = 80;

/// On what a presence rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// One recogniser proves it.
    Proven,
    /// Several sources agree, and none proves it alone.
    Corroborated,
    /// Nothing proves it.
    Suspected,
    /// Nothing proves it, and all that was found is left over.
    SuspectedRemnant,
    /// One of its units is running.
    Running,
}

impl FoundProduct<'_> {
    /// The product as reasons name it.
    pub(super) fn seen(&self) -> ProductSeen {
        ProductSeen {
            id: self.product.id.clone(),
            name: self.product.name.clone(),
            version: self.version.clone(),
            presence: self.presence,
        }
    }

    /// Why its evidence is too weak to prove it, as a part of a sentence; `None` if the evidence is weak by itself.
    pub(super) fn doubt(&self) -> Option<String> {
        self.contradiction().or_else(|| self.unproven_state())
    }

    /// The state that makes an observation prove nothing.
    fn unproven_state(&self) -> Option<String> {
        let (Evidence { kind, name, state, .. }, condition) = self.unproven.as_ref()?;
        Some(if *condition == Condition::Unclear {
            format!("the agent could not tell whether {kind} {name:?} contains a program")
        } else {
            format!("{kind} {name:?} has the state {state:?}, which the rules do not list; it proves nothing")
        })
    }

    /// The vendor that makes the name of an observation weak evidence of this product.
    fn contradiction(&self) -> Option<String> {
        let evidence = self.evidence.iter().find(|evidence| !evidence.other_vendor.is_empty())?;
        // A publisher's text may be very long, and its beginning is enough to recognise it.
        let vendor: String = evidence.other_vendor.chars().take(VENDOR_CHARS).collect();
        let (name, expected) = (&evidence.name, &self.product.vendor);
        Some(format!(
            "{} {name:?} has the name of the product, but its vendor is {vendor:?}; the catalogue expects {expected:?}",
            evidence.kind
        ))
    }

    /// A reason about the product, with its deciding evidence.
    pub(super) fn reason(&self, kind: ReasonKind, rule: String, text: String) -> Reason {
        let evidence = self.evidence.first().cloned();
        Reason { product: Some(self.seen()), evidence, ..Reason::new(kind, rule, text) }
    }
}

/// The evidence of all sources of a snapshot, combined into one report for each product.
#[must_use]
pub fn products_of(catalogue: &Catalogue, hits: &[Hit]) -> Vec<HitReport> {
    let report = |found: FoundProduct<'_>| HitReport {
        product: found.product.id.clone(),
        name: found.product.name.clone(),
        vendor: found.product.vendor.clone(),
        category: found.product.category.clone(),
        presence: found.presence,
        version: found.version,
        rule: found.rule,
        evidence: found.evidence,
    };
    combine(catalogue, hits).into_iter().filter(|found| !found.product.is_only_a_place()).map(report).collect()
}

/// The same for the judge, gravest presence first. Hits of products that the catalogue no longer has are ignored.
pub(super) fn combine<'c>(catalogue: &'c Catalogue, hits: &[Hit]) -> Vec<FoundProduct<'c>> {
    let mut by_product: BTreeMap<&ProductId, Vec<&Hit>> = BTreeMap::new();
    for hit in hits {
        by_product.entry(&hit.product).or_default().push(hit);
    }
    let catalogued = by_product.into_iter().filter_map(|(id, hits)| Some((catalogue.product(id)?, hits)));
    let catalogued: Vec<(&'c Product, Vec<&Hit>)> = catalogued.collect();
    let nothing_installed = InstalledPlaces::default();
    let combine_all = |installed: &InstalledPlaces<'c>| -> Vec<FoundProduct<'c>> {
        catalogued.iter().filter_map(|(product, hits)| combine_product(catalogue, product, hits, installed)).collect()
    };
    let mut found = combine_all(&nothing_installed);
    // Which remnants count depends on what is installed, and that does not depend on remnants.
    if hits.iter().any(may_be_left) {
        // A suspect explains nothing: it may not be there at all.
        let installed = found.iter().filter(|one| is_live(one.presence) && one.presence != Presence::Suspect);
        found = combine_all(&InstalledPlaces::of(
            installed.map(|one| (one.product, one.presence, one.evidence.as_slice())),
        ));
    }
    found.sort_by_key(|one| (std::cmp::Reverse(rank(one.presence)), one.product.id.clone()));
    found
}

/// `None` if its only hits are remnants that an installed product explains.
fn combine_product<'c>(
    catalogue: &Catalogue,
    product: &'c Product,
    hits: &[&Hit],
    installed: &InstalledPlaces<'_>,
) -> Option<FoundProduct<'c>> {
    let program_folders: Vec<&Hit> = hits.iter().copied().filter(|hit| is_folder_without_program(hit)).collect();
    let (explained, mut hits): (Vec<&Hit>, Vec<&Hit>) = hits.iter().partition(|hit| installed.explain(product, hit));
    if hits.is_empty() {
        return None;
    }
    // The rule breaks ties, so that the deciding recogniser does not depend on the order of the hits.
    hits.sort_by_key(|hit| {
        (std::cmp::Reverse(hit.strength), std::cmp::Reverse(rank(hit.presence)), hit.lingers, &hit.rule)
    });
    // Drivers that outlive the product count as the product only beside something that does not.
    let is_there = hits.iter().any(|hit| is_live(hit.presence) && !hit.lingers);
    let (live, others): (Vec<&Hit>, Vec<&Hit>) =
        hits.iter().partition(|hit| is_live(hit.presence) && (is_there || !hit.lingers));
    let is_remnant = |hit: &&Hit| hit.lingers || hit.presence == Presence::Remnant;
    // An observation whose state is unknown supports nothing, however well its name is known.
    let (unproven, supporting): (Vec<&Hit>, Vec<&Hit>) =
        live.iter().partition(|hit| unproven_state(catalogue, hit).is_some());
    let remnants: Vec<&Hit> = others.into_iter().filter(is_remnant).collect();
    let remnants_proven = proven(&remnants).is_some() || is_corroborated(&remnants);
    let (presence, basis, deciding) = if let Some(hit) = proven(&live) {
        let presence = if is_contradicted(&live) { not_active(hit.presence) } else { hit.presence };
        (presence, Basis::Proven, live)
    } else if is_corroborated(&supporting) || is_supported(&supporting, &program_folders) {
        (strongest(&supporting), Basis::Corroborated, live)
    } else if live.is_empty() && remnants_proven {
        // Remnants decide only where nothing live was seen: weak live evidence beside them may be the product itself.
        (Presence::Remnant, Basis::Proven, remnants)
    } else {
        let basis = if live.is_empty() { Basis::SuspectedRemnant } else { Basis::Suspected };
        (Presence::Suspect, basis, hits.clone())
    };
    // Not every source states a version, so a hit that decides less may supply it.
    let version = deciding.iter().map(|hit| hit.version.as_str()).find(|version| !version.is_empty());
    // What an installed product explains is still shown as its evidence.
    let others = if presence == Presence::Remnant { hits } else { hits.into_iter().chain(explained).collect() };
    Some(FoundProduct {
        product,
        presence,
        remnants: remnants_proven,
        version: version.unwrap_or_default().to_owned(),
        rule: deciding.first().map_or_else(String::new, |hit| hit.rule.clone()),
        basis,
        evidence: evidence(&deciding, &others),
        unproven: unproven.first().and_then(|hit| Some((hit.evidence.clone(), unproven_state(catalogue, hit)?))),
    })
}

/// The condition of a hit whose state proves nothing.
fn unproven_state(catalogue: &Catalogue, hit: &Hit) -> Option<Condition> {
    // Only such a state turns what a recogniser shows into a suspicion, so most hits need no second reading of it.
    if hit.presence != Presence::Suspect {
        return None;
    }
    let condition = catalogue.read_state(Some(hit.evidence.kind), &hit.evidence.state).condition;
    matches!(condition, Condition::Unlisted | Condition::Unclear).then_some(condition)
}

/// Whether the operating system lists the product without calling it active. A product can have several rows there: an
/// active firewall does not mean that the scanner is active.
fn is_contradicted(live: &[&Hit]) -> bool {
    live.iter().any(|hit| is_system_list(hit.evidence.source) && hit.presence != Presence::Active)
}

const fn not_active(presence: Presence) -> Presence {
    if matches!(presence, Presence::Active) { Presence::Installed } else { presence }
}

/// Whether the source is the operating system's own list of security products.
pub(super) const fn is_system_list(source: SourceName) -> bool {
    matches!(source, SourceName::SecurityCenter | SourceName::Defender)
}

/// Deciding evidence before the rest, each once.
fn evidence(deciding: &[&Hit], all: &[&Hit]) -> Vec<Evidence> {
    let mut evidence: Vec<Evidence> = Vec::new();
    for hit in deciding.iter().chain(all) {
        if !evidence.contains(&hit.evidence) {
            evidence.push(hit.evidence.clone());
        }
    }
    evidence
}

fn proven<'h>(hits: &[&'h Hit]) -> Option<&'h Hit> {
    // A recogniser that shows `suspect` proves no more than a suspicion, however strong it is.
    let proving = hits.iter().filter(|hit| hit.strength == Strength::Proves && hit.presence != Presence::Suspect);
    proving.max_by_key(|hit| rank(hit.presence)).copied()
}

fn is_corroborated(hits: &[&Hit]) -> bool {
    hits.iter().enumerate().any(|(at, a)| is_supported(&[*a], &hits[at + 1..]))
}

/// Whether one hit supports another: they come from different sources, and are not the same name twice.
fn is_supported(hits: &[&Hit], others: &[&Hit]) -> bool {
    let supports = |a: &Hit, b: &Hit| {
        let both_weak = a.strength == Strength::Weak && b.strength == Strength::Weak;
        a.evidence.source != b.evidence.source && !(both_weak && stem(a) == stem(b))
    };
    hits.iter().any(|a| others.iter().any(|b| supports(a, b)))
}

/// Whether the hit is a folder of the product that contains no program. Alone it is a remnant. Beside something live it
/// supports it: it may hold the settings of a program elsewhere, or of one that was deleted and still runs.
fn is_folder_without_program(hit: &Hit) -> bool {
    is_live(hit.shows) && hit.evidence.kind == Kind::Path && hit.evidence.state == ReportedState::NoProgram.name()
}

/// The name of an observation without folder and ending: `soyuz` of `soyuz.exe`.
fn stem(hit: &Hit) -> String {
    // The judge may run on Linux, where `std::path` does not split the names of Windows at backslashes.
    let name = hit.evidence.name.rsplit(['/', '\\']).next().unwrap_or_default();
    name.split(['.', ' ']).next().unwrap_or(name).to_lowercase()
}

fn strongest(hits: &[&Hit]) -> Presence {
    // When all hits only suspect the product, their agreement counts as an installed product.
    let stated = hits.iter().map(|hit| hit.presence).filter(|presence| *presence != Presence::Suspect);
    stated.max_by_key(|presence| rank(*presence)).unwrap_or(Presence::Installed)
}

/// The gravity of a presence: of several, the highest counts.
pub(super) const fn rank(presence: Presence) -> u8 {
    match presence {
        Presence::Active => 7,
        Presence::Installed => 6,
        Presence::ManagementOnly => 5,
        Presence::Embedded => 4,
        Presence::Suspect => 3,
        Presence::Remnant => 2,
        Presence::Unknown => 1,
        Presence::None => 0,
    }
}
