//! Uninstall commands: the one that removes a product as it was found on this host, and what must not be deleted by hand.
//! Muster prints commands and never runs them.

use muster_proto::model::{Kind, Platform, Presence, Reason, ReasonKind};

use super::combine::FoundProduct;
use super::hit::Hit;
use super::package_state::{Obstacle, obstacle, other_versions};
use crate::rules::{Catalogue, Order, Product};

/// One reason for each command that removes a prohibited product, or cleans up remnants of a covered one, and one without
/// a command for each caution about remnants.
pub(super) fn reasons(
    order: &Order,
    catalogue: &Catalogue,
    platform: Platform,
    found: &[FoundProduct<'_>],
    hits: &[Hit],
) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    for one in found.iter().filter(|one| order.covers(one.product, platform) && one.presence == Presence::Remnant) {
        for evidence in &one.evidence {
            for text in catalogue.cautions(one.product, evidence) {
                if !reasons.iter().any(|reason| reason.text == text) {
                    let reason = one.reason(ReasonKind::Uninstall, "advice/caution".to_owned(), text);
                    reasons.push(Reason { evidence: Some(evidence.clone()), ..reason });
                }
            }
        }
    }
    for one in found.iter().filter(|one| order.covers(one.product, platform)) {
        let wanted = order.prohibits(one.presence) || one.presence == Presence::Remnant;
        for hit in hits.iter().filter(|hit| wanted && hit.product == one.product.id) {
            let Some(command) = command(one.product, hit, hits) else { continue };
            // Several sources can show the same package.
            if reasons.iter().any(|reason| reason.command.as_ref() == Some(&command)) {
                continue;
            }
            let text = format!("To remove {}: {command}", one.product.name);
            let reason = one.reason(ReasonKind::Uninstall, "advice/uninstall".to_owned(), text);
            reasons.push(Reason { evidence: Some(hit.evidence.clone()), command: Some(command), ..reason });
        }
    }
    reasons
}

fn command(product: &Product, hit: &Hit, hits: &[Hit]) -> Option<String> {
    let kind = hit.evidence.kind;
    if let Some((_, command)) = product.uninstall.iter().find(|(of, _)| *of == kind) {
        return Some(command.clone());
    }
    // Somebody may paste the command into a shell, so a name from a host must look like a package name.
    let name = Some(hit.evidence.name.as_str()).filter(|name| is_plain(name))?;
    match kind {
        Kind::Deb => Some(purge(name.split(':').next().unwrap_or(name), &hit.evidence.state)),
        // rpm refuses a name that means several packages.
        Kind::Rpm if other_versions(hit, hits).next().is_some() => Some(format!("rpm -e --allmatches {name}")),
        Kind::Rpm => Some(format!("rpm -e {name}")),
        Kind::Apk => Some(format!("apk del --purge {name}")),
        Kind::Pacman => Some(format!("pacman -Rns {name}")),
        Kind::Snap => Some(format!("snap remove --purge {name}")),
        Kind::Flatpak => Some(format!("flatpak uninstall {name}")),
        // Which program removes it depends on the store, and on an image nothing does.
        Kind::Package
        | Kind::Os
        | Kind::Kernel
        | Kind::Machine
        | Kind::UninstallKey
        | Kind::Wsc
        | Kind::Service
        | Kind::Driver
        | Kind::Filter
        | Kind::Process
        | Kind::Task
        | Kind::Appx
        | Kind::Msi
        | Kind::AppBundle
        | Kind::Receipt
        | Kind::Launchd
        | Kind::SystemExtension
        | Kind::KernelModule
        | Kind::Path
        | Kind::Registry
        | Kind::Cert
        | Kind::BrowserExtension
        | Kind::ContainerImage => None,
    }
}

/// Purges a package in this state of dpkg. `remove` would leave the configuration files, which dpkg lists as `rc` and the
/// judge as a remnant.
fn purge(name: &str, state: &str) -> String {
    match obstacle(state) {
        None => format!("apt-get purge {name}"),
        Some(Obstacle::Held) => format!("apt-get purge --allow-change-held-packages {name}"),
        Some(Obstacle::Broken) => format!("dpkg --purge --force-remove-reinstreq {name}"),
    }
}

fn is_plain(name: &str) -> bool {
    // A name that begins with a dash would be read as an option of the command.
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    first && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_' | ':'))
}
