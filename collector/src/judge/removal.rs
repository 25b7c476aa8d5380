//! How a product is removed: the command for the package as it was found on this host. Printed, never run.

use muster_proto::model::{Kind, Platform, Presence, Reason};

use super::combine::Believed;
use super::hit::Hit;
use crate::rules::{Order, Product};

/// The rule of a reason that holds a command.
pub(super) const RULE: &str = "advice/uninstall";

/// One reason for each command that removes a covered product which was found, and for remnants the one that cleans.
pub(super) fn commands(order: &Order, platform: Platform, believed: &[Believed<'_>], hits: &[Hit]) -> Vec<Reason> {
    let mut commands: Vec<Reason> = Vec::new();
    for one in believed.iter().filter(|one| order.covers(one.product, platform)) {
        let wanted = order.prohibits(one.presence) || one.presence == Presence::Remnant;
        for hit in hits.iter().filter(|hit| wanted && hit.product == one.product.id) {
            let Some(text) = command(one.product, hit) else { continue };
            if !commands.iter().any(|reason| reason.text == text) {
                let evidence = Some(hit.evidence.clone());
                let product = one.product.id.to_string();
                commands.push(Reason { rule: RULE.to_owned(), text, product, evidence });
            }
        }
    }
    commands
}

fn command(product: &Product, hit: &Hit) -> Option<String> {
    let mut words = hit.evidence.text.split(' ');
    let kind: Kind = words.next()?.parse().ok()?;
    if let Some((_, way)) = product.uninstall.iter().find(|(of, _)| *of == kind) {
        return Some(way.clone());
    }
    // A name goes into a command line that somebody may copy: nothing but what package names are made of.
    let name = words.next().filter(|name| is_plain(name))?;
    match kind {
        Kind::Deb => Some(format!("apt-get purge {}", name.split(':').next().unwrap_or(name))),
        Kind::Rpm => Some(format!("rpm -e {name}")),
        Kind::Apk => Some(format!("apk del --purge {name}")),
        Kind::Pacman => Some(format!("pacman -Rns {name}")),
        Kind::Snap => Some(format!("snap remove --purge {name}")),
        Kind::Flatpak => Some(format!("flatpak uninstall {name}")),
        Kind::Os
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
        | Kind::BrowserExtension => None,
    }
}

fn is_plain(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    first && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_' | ':'))
}
