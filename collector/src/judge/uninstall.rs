//! Uninstall commands: the one that removes a product as it was found on this host, and what must not be deleted by hand.
//! Muster prints commands and never runs them.

use muster_proto::model::{Evidence, Kind, Platform, Presence, Reason, ReasonKind, ReportedState};

use super::combine::FoundProduct;
use super::hit::Hit;
use super::package_state::{Obstacle, obstacle, other_versions};
use crate::rules::{Catalogue, Order, Product};

/// One reason for each command that removes a prohibited product, or cleans up remnants of a covered one, and one without
/// a command for each caution about what was found of covered products.
pub(super) fn reasons(
    order: &Order,
    catalogue: &Catalogue,
    platform: Platform,
    found: &[FoundProduct<'_>],
    hits: &[Hit],
) -> Vec<Reason> {
    let mut reasons = cautions(order, catalogue, platform, found);
    let covered = found.iter().filter(|one| order.covers(one.product, platform));
    reasons.extend(covered.filter_map(|one| remnants(catalogue, one, hits)));
    for one in found.iter().filter(|one| order.covers(one.product, platform)) {
        let wanted = order.prohibits(one.presence) || one.presence == Presence::Remnant;
        for hit in hits.iter().filter(|hit| wanted && hit.product == one.product.id) {
            let Some(command) = command(one.product, hit, hits) else { continue };
            // Several sources can show the same package.
            if reasons.iter().any(|reason| reason.command.as_ref() == Some(&command)) {
                continue;
            }
            let text = format!("To remove {}: {command}", one.product.name);
            let mut reason = one.reason(ReasonKind::Uninstall, "advice/uninstall".to_owned(), text);
            // Such a command removes every version.
            if let Some(product) = reason.product.as_mut().filter(|_| other_versions(hit, hits).next().is_some()) {
                product.version.clear();
            }
            reasons.push(Reason { evidence: Some(hit.evidence.clone()), command: Some(command), ..reason });
        }
    }
    reasons
}

/// What nobody may delete by hand, each once.
fn cautions(order: &Order, catalogue: &Catalogue, platform: Platform, found: &[FoundProduct<'_>]) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    for one in found.iter().filter(|one| order.covers(one.product, platform) && !is_uninstalled_whole(one, found)) {
        for evidence in &one.evidence {
            for text in catalogue.cautions(one.product, evidence) {
                if !reasons.iter().any(|reason| reason.text == text) {
                    let reason = one.reason(ReasonKind::Uninstall, "advice/caution".to_owned(), text);
                    reasons.push(Reason { evidence: Some(evidence.clone()), ..reason });
                }
            }
        }
    }
    reasons
}

/// How many places of remnants one sentence names.
const PLACES: usize = 5;

/// The rule of a reason that says where remnants are.
pub(super) const REMNANTS: &str = "advice/remnants";

/// Where the files and registry keys are that a product left behind. What a caution is about is not among them.
fn remnants(catalogue: &Catalogue, one: &FoundProduct<'_>, hits: &[Hit]) -> Option<Reason> {
    let of_product = hits.iter().filter(|hit| hit.product == one.product.id && hit.presence == Presence::Remnant);
    let mut places: Vec<&str> = Vec::new();
    for hit in of_product.filter(|_| one.remnants) {
        let Evidence { kind, name, path, .. } = &hit.evidence;
        let place = if path.is_empty() { name } else { path };
        let is_place = matches!(kind, Kind::Path | Kind::Registry | Kind::Service | Kind::Task | Kind::Launchd);
        let may_go = is_place && catalogue.cautions(one.product, &hit.evidence).is_empty();
        if may_go && !places.contains(&place.as_str()) {
            places.push(place);
        }
    }
    let shown = places.iter().take(PLACES).copied().collect::<Vec<_>>().join(", ");
    let others = match places.len().saturating_sub(PLACES) {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    let text = format!("Remnants of {} are at {shown}{others}", one.product.name);
    (!places.is_empty()).then(|| one.reason(ReasonKind::Uninstall, REMNANTS.to_owned(), text))
}

/// Whether the vendor's own uninstaller takes the product with its drivers: the product is installed, and Windows lists an
/// installed product of the vendor. A management agent has no drivers, so its uninstaller takes none.
fn is_uninstalled_whole(one: &FoundProduct<'_>, found: &[FoundProduct<'_>]) -> bool {
    let is_installed = |one: &FoundProduct<'_>| matches!(one.presence, Presence::Active | Presence::Installed);
    let is_listed = |other: &FoundProduct<'_>| {
        other.evidence.iter().any(|evidence| matches!(evidence.kind, Kind::UninstallKey | Kind::Msi))
    };
    let of_vendor = |other: &&FoundProduct<'_>| other.product.vendor_id == one.product.vendor_id;
    is_installed(one) && found.iter().filter(of_vendor).any(|other| is_installed(other) && is_listed(other))
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
        Kind::Package => of_store(hit, name),
        // A mask without a unit: the product is gone, or somebody wants to keep it away.
        Kind::Service if is_mask_alone(hit) => Some(format!("systemctl unmask {name}")),
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
        | Kind::BrowserExtension
        | Kind::ContainerImage => None,
    }
}

/// Whether a hit is a mask of a system unit that does not exist.
fn is_mask_alone(hit: &Hit) -> bool {
    let Evidence { state, path, .. } = &hit.evidence;
    hit.presence == Presence::Remnant
        && *state == ReportedState::Masked.name()
        && path.starts_with("/etc/systemd/system/")
}

/// The command of the package manager that keeps this store; `None` for an image, from which nothing can be removed.
fn of_store(hit: &Hit, name: &str) -> Option<String> {
    match hit.store.as_str() {
        // Portage needs the category where two have a package of this name.
        "portage" if is_place(&hit.store_id) => Some(format!("emerge --depclean {}", hit.store_id)),
        "portage" => Some(format!("emerge --depclean {name}")),
        "xbps" => Some(format!("xbps-remove -R {name}")),
        "pkgtools" => Some(format!("removepkg {name}")),
        "eopkg" => Some(format!("eopkg remove {name}")),
        "swupd" => Some(format!("swupd bundle-remove {name}")),
        "opkg" => Some(format!("opkg remove {name}")),
        // An extension is one file or one directory. Somebody may run the command, so a host must not name another place.
        "sysext" if is_extension(&hit.evidence.path) => {
            Some(format!("rm -r {} && systemd-sysext refresh", hit.evidence.path))
        }
        _ => None,
    }
}

/// Whether a path is that of a system extension, directly in a folder of extensions (systemd-sysext(8)).
fn is_extension(path: &str) -> bool {
    const FOLDERS: [&str; 3] = ["/etc/extensions/", "/run/extensions/", "/var/lib/extensions/"];
    FOLDERS.iter().filter_map(|folder| path.strip_prefix(folder)).any(is_plain)
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

/// Whether a path, or an id with a slash, has only parts that may be names of packages.
fn is_place(place: &str) -> bool {
    let place = place.strip_prefix('/').unwrap_or(place);
    !place.is_empty() && place.split('/').all(is_plain)
}

fn is_plain(name: &str) -> bool {
    // A name that begins with a dash would be read as an option of the command.
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    first && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_' | ':'))
}

#[cfg(test)]
mod tests {
    use muster_proto::canonical::CanonicalSection;
    use muster_proto::model::{Observation, Section, SourceName};

    use super::*;
    use crate::judge::detect;
    use crate::rules;

    #[test]
    fn a_package_of_another_store_is_removed_by_the_program_that_keeps_the_store() {
        let rules = rules::load(None).expect("rules");
        let command_in = |store: &str, path: &str| {
            let mut kesl = Observation::new(Kind::Package, "kesl");
            kesl.id = if store == "portage" { "app-antivirus/kesl".to_owned() } else { String::new() };
            kesl.path = path.to_owned();
            kesl.attributes.insert("store".to_owned(), store.to_owned());
            let section = Section::new(Platform::Linux, SourceName::SystemPackages, vec![kesl]);
            let hits = detect(&rules.catalogue, &CanonicalSection::from(&section));
            let hit = hits.first().expect("kesl is recognised");
            command(rules.catalogue.product(&hit.product).expect("in the catalogue"), hit, &hits).unwrap_or_default()
        };
        assert_eq!(command_in("portage", ""), "emerge --depclean app-antivirus/kesl");
        assert_eq!(command_in("xbps", ""), "xbps-remove -R kesl");
        assert_eq!(command_in("pkgtools", ""), "removepkg kesl");
        assert_eq!(command_in("eopkg", ""), "eopkg remove kesl");
        assert_eq!(command_in("swupd", ""), "swupd bundle-remove kesl");
        assert_eq!(command_in("opkg", ""), "opkg remove kesl");
        let refresh = "rm -r /var/lib/extensions/kesl.raw && systemd-sysext refresh";
        assert_eq!(command_in("sysext", "/var/lib/extensions/kesl.raw"), refresh);
        for hostile in
            ["/var/lib/extensions/a b;c.raw", "/var/lib/extensions/../dpkg", "/etc", "/etc/extensions/", "/home"]
        {
            assert_eq!(command_in("sysext", hostile), "", "{hostile}");
        }
        assert_eq!(command_in("bottlerocket", ""), "", "nothing removes a package of an image");
    }
}
