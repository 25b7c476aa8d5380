//! What a package database says about a package besides that it is installed: that it is on hold, that it is broken, that it
//! is there in several versions. Each of these stops the usual command that removes it.

use muster_proto::model::{Kind, ProductId};

use super::hit::Hit;
use super::live::is_live;

/// What stops the usual command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// dpkg keeps the package until its hold is removed.
    Held,
    /// dpkg requires a reinstallation before it removes the package: an installation or removal broke off.
    Broken,
}

/// What stops the removal of a package in this state of dpkg.
pub(super) fn obstacle(state: &str) -> Option<Obstacle> {
    match state.as_bytes() {
        [.., b'R'] if state.len() == 3 => Some(Obstacle::Broken),
        [b'h', _] => Some(Obstacle::Held),
        _ => None,
    }
}

/// The other versions of a hit's package that the same database lists as installed.
pub(super) fn other_versions<'h>(hit: &'h Hit, hits: &'h [Hit]) -> impl Iterator<Item = &'h str> {
    let is_package = is_package(hit.evidence.kind);
    let is_other = move |other: &&Hit| {
        let (one, other) = (&hit.evidence, &other.evidence);
        one.kind == other.kind && one.name == other.name && !other.version.is_empty() && one.version != other.version
    };
    let same_product = hits.iter().filter(move |other| is_package && other.product == hit.product);
    same_product.filter(|other| is_live(other.presence)).filter(is_other).map(|other| other.version.as_str())
}

/// The same about every package of a product, as a part of a sentence; empty if there is nothing to say.
pub(super) fn remarks(product: &ProductId, version: &str, hits: &[Hit]) -> String {
    let mut remarks: Vec<String> = Vec::new();
    for hit in hits.iter().filter(|hit| hit.product == *product && is_live(hit.presence)) {
        let (source, name) = (hit.evidence.source, &hit.evidence.name);
        let remark = match obstacle(&hit.evidence.state).filter(|_| hit.evidence.kind == Kind::Deb) {
            Some(Obstacle::Held) => format!("{name} is on hold in {source}"),
            Some(Obstacle::Broken) => {
                format!("an installation or removal of {name} broke off; {source} calls it broken")
            }
            // The sentence has one version already.
            None if hit.version != version && other_versions(hit, hits).any(|other| other == version) => {
                format!("{source} also lists {name} {}", hit.version)
            }
            None => continue,
        };
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    }
    if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join("; ")) }
}

const fn is_package(kind: Kind) -> bool {
    matches!(kind, Kind::Deb | Kind::Rpm | Kind::Apk | Kind::Pacman | Kind::Package | Kind::Snap | Kind::Flatpak)
}
