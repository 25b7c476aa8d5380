//! What several pieces of evidence in one scan say together of a product.
//!
//! One recogniser that proves is enough. Two that do not prove alone do so together when different sources saw them:
//! a process name and a folder of the same product. Two observations of one source may be one mistake, seen twice, and so
//! may a weak name that several sources tell: a service, its process and its key in the registry are called alike.

use std::collections::BTreeMap;

use muster_proto::model::{Evidence, HitReport, Presence, ProductId, SourceName};

use super::hit::{Hit, Strength};
use crate::rules::{Catalogue, Product};

/// What is believed of one product in one scan.
#[derive(Debug, Clone)]
pub(super) struct Believed<'c> {
    pub(super) product: &'c Product,
    pub(super) presence: Presence,
    /// Whether something of it is left over, beside or without the product itself.
    pub(super) remnants: bool,
    pub(super) version: String,
    pub(super) rule: String,
    /// How it came to be believed, for people.
    pub(super) because: Because,
    pub(super) evidence: Vec<Evidence>,
}

/// How a presence came to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Because {
    /// One recogniser proves it.
    Proven,
    /// Several sources agree, none of which proves it alone.
    Corroborated,
    /// Nothing proves it.
    Suspected,
    /// A unit of it is running.
    Running,
}

/// Evidence of all sources of a scan combined: one report for each product, with the presence that is believed.
#[must_use]
pub fn products_of(catalogue: &Catalogue, hits: &[Hit]) -> Vec<HitReport> {
    let report = |believed: Believed<'_>| HitReport {
        product: believed.product.id.clone(),
        name: believed.product.name.clone(),
        vendor: believed.product.vendor.clone(),
        category: believed.product.category.clone(),
        presence: believed.presence,
        version: believed.version,
        rule: believed.rule,
        evidence: believed.evidence,
    };
    combine(catalogue, hits).into_iter().map(report).collect()
}

/// The same for the judge. Hits of products that the catalogue no longer knows say nothing.
pub(super) fn combine<'c>(catalogue: &'c Catalogue, hits: &[Hit]) -> Vec<Believed<'c>> {
    let mut by_product: BTreeMap<&ProductId, Vec<&Hit>> = BTreeMap::new();
    for hit in hits {
        by_product.entry(&hit.product).or_default().push(hit);
    }
    let known = by_product.into_iter().filter_map(|(id, hits)| Some((catalogue.product(id)?, hits)));
    let mut believed: Vec<Believed<'c>> = known.map(|(product, hits)| believe(product, hits)).collect();
    believed.sort_by_key(|one| (std::cmp::Reverse(rank(one.presence)), one.product.id.clone()));
    believed
}

fn believe<'c>(product: &'c Product, mut hits: Vec<&Hit>) -> Believed<'c> {
    hits.sort_by_key(|hit| (std::cmp::Reverse(hit.strength), std::cmp::Reverse(rank(hit.presence)), &hit.rule));
    let live: Vec<&Hit> = hits.iter().copied().filter(|hit| is_live(hit.presence)).collect();
    let left: Vec<&Hit> = hits.iter().copied().filter(|hit| hit.presence == Presence::Remnant).collect();
    let proven_left = proven(&left).is_some() || is_corroborated(&left);
    let (presence, because, telling) = if let Some(hit) = proven(&live) {
        let presence = if is_doubted(&live) { undoubted(hit.presence) } else { hit.presence };
        (presence, Because::Proven, live)
    } else if is_corroborated(&live) {
        (strongest(&live), Because::Corroborated, live)
    } else if live.is_empty() && proven_left {
        (Presence::Remnant, Because::Proven, left)
    } else {
        (Presence::Suspect, Because::Suspected, hits.clone())
    };
    let version = telling.iter().map(|hit| hit.version.as_str()).find(|version| !version.is_empty());
    Believed {
        product,
        presence,
        remnants: proven_left,
        version: version.unwrap_or_default().to_owned(),
        rule: telling.first().map_or_else(String::new, |hit| hit.rule.clone()),
        because,
        evidence: evidence(&telling, &hits),
    }
}

/// Whether the system's list of guards has a row of the product that does not say that it works. A product can have a row
/// for each of its guards: that its firewall works does not say that its scanner does.
fn is_doubted(live: &[&Hit]) -> bool {
    live.iter().any(|hit| is_statement(hit.evidence.source) && hit.presence != Presence::Active)
}

const fn undoubted(presence: Presence) -> Presence {
    if matches!(presence, Presence::Active) { Presence::Installed } else { presence }
}

/// Whether the source is the system's own list of what guards it.
pub(super) const fn is_statement(source: SourceName) -> bool {
    matches!(source, SourceName::SecurityCenter | SourceName::Defender)
}

/// The telling evidence before the rest, each once.
fn evidence(telling: &[&Hit], all: &[&Hit]) -> Vec<Evidence> {
    let mut evidence: Vec<Evidence> = Vec::new();
    for hit in telling.iter().chain(all) {
        if !evidence.contains(&hit.evidence) {
            evidence.push(hit.evidence.clone());
        }
    }
    evidence
}

fn proven<'h>(hits: &[&'h Hit]) -> Option<&'h Hit> {
    let proving = hits.iter().filter(|hit| hit.strength == Strength::Proves && hit.presence != Presence::Suspect);
    proving.max_by_key(|hit| rank(hit.presence)).copied()
}

fn is_corroborated(hits: &[&Hit]) -> bool {
    let supports = |a: &Hit, b: &Hit| {
        let is_weak = a.strength == Strength::Weak && b.strength == Strength::Weak;
        a.evidence.source != b.evidence.source && !(is_weak && called(a) == called(b))
    };
    hits.iter().enumerate().any(|(at, a)| hits[at + 1..].iter().any(|b| supports(a, b)))
}

/// What a thing is called, without where it is, its kind and its ending: `soyuz` of `process soyuz.exe`.
fn called(hit: &Hit) -> String {
    let text = &hit.evidence.text;
    let name = text.split_once(' ').map_or(text.as_str(), |(_, name)| name);
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    name.split(['.', ' ']).next().unwrap_or(name).to_lowercase()
}

fn strongest(hits: &[&Hit]) -> Presence {
    let told = hits.iter().map(|hit| hit.presence).filter(|presence| *presence != Presence::Suspect);
    told.max_by_key(|presence| rank(*presence)).unwrap_or(Presence::Installed)
}

/// Whether a presence is that of something that can work.
pub(super) const fn is_live(presence: Presence) -> bool {
    matches!(
        presence,
        Presence::Active | Presence::Installed | Presence::ManagementOnly | Presence::Embedded | Presence::Suspect
    )
}

/// Which of two presences says more.
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
