//! Which remnants are parts of an installed product: a vendor's folder is no remnant while a product of the vendor is
//! installed below it, nor is a record of Windows about one of its drivers. When the product is removed, the same folder is a
//! remnant again.
//!
//! A driver that outlives its product (see `rules/caution`) is a part of any product of its vendor. Alone it is a remnant,
//! although it can still run.

use std::collections::BTreeSet;

use muster_proto::model::{Evidence, Kind, Presence};

use super::hit::Hit;
use super::live::is_live;
use crate::rules::{DetectionContent, Product, folded_place};

/// Whether a hit shows that a folder, file, registry key or driver may be left over.
pub(super) fn may_be_left(hit: &Hit) -> bool {
    let is_place = matches!(hit.evidence.kind, Kind::Path | Kind::Registry);
    hit.lingers || (hit.presence == Presence::Remnant && is_place)
}

/// Where the installed products of a snapshot are, by vendor.
#[derive(Debug, Default)]
pub(super) struct InstalledPlaces<'c> {
    products: BTreeSet<&'c str>,
    /// The vendors of installed products that have drivers. An agent, a tool or a training client has none.
    vendors: BTreeSet<&'c str>,
    /// Vendor ids with folded paths.
    places: BTreeSet<(&'c str, String)>,
}

impl<'c> InstalledPlaces<'c> {
    /// The places of installed products, each given with its presence and all its evidence.
    pub(super) fn of<'e>(products: impl Iterator<Item = (&'c Product, Presence, &'e [Evidence])>) -> Self {
        let mut installed = Self::default();
        for (product, presence, evidence) in products {
            installed.products.insert(product.id.as_str());
            let vendor = product.vendor_id.as_str();
            if matches!(presence, Presence::Active | Presence::Installed) && has_drivers(product) {
                installed.vendors.insert(vendor);
            }
            let observed = evidence.iter().filter(|evidence| !evidence.path.is_empty());
            let observed = observed.map(|evidence| folded_place(evidence.kind, &evidence.path));
            // A package database does not say where the program is, but the catalogue does.
            let catalogued = product.recognisers.iter().filter(|one| one.kinds.contains(&Kind::Path));
            let catalogued = catalogued.flat_map(|one| one.watch.iter().cloned().chain(one.literals(Kind::Path)));
            let catalogued = catalogued.map(|place| folded_place(Kind::Path, &place));
            installed.places.extend(observed.chain(catalogued).map(|place| (vendor, place)));
        }
        installed
    }

    /// Whether a hit shows only a folder, registry key or driver that belongs to an installed product: data of the product
    /// itself, or something that contains a product of the same vendor.
    pub(super) fn explain(&self, product: &Product, hit: &Hit) -> bool {
        let evidence = &hit.evidence;
        if !may_be_left(hit) {
            return false;
        }
        let is_installed = self.products.contains(product.id.as_str());
        // A driver that can run is evidence of its own product, so the product must not explain it away.
        if is_installed && hit.lingers && is_live(hit.presence) {
            return false;
        }
        if self.vendors.contains(product.vendor_id.as_str()) && (hit.lingers || is_record_of_windows(evidence)) {
            return true;
        }
        if is_installed {
            return true;
        }
        let place = if evidence.path.is_empty() { &evidence.name } else { &evidence.path };
        let folder = folded_place(evidence.kind, place);
        let contains =
            |place: &String| place.strip_prefix(&folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.places.iter().any(|(vendor, place)| *vendor == product.vendor_id && contains(place))
    }
}

/// Whether drivers of the vendor can be parts of this product: the catalogue knows drivers of it, or it detects malware
/// while it runs. A vendor's products share drivers, so the catalogue does not list them for each one.
fn has_drivers(product: &Product) -> bool {
    let mut own = product.recognisers.iter().filter(|one| one.claim.is_none());
    let detects = product.detection_content != DetectionContent::None && product.category != "tool";
    detects || own.any(|one| one.kinds.iter().any(|kind| matches!(kind, Kind::Driver | Kind::Filter)))
}

/// Whether this is a key in which Windows, not the vendor, keeps what it knows about drivers, logs and extensions.
fn is_record_of_windows(evidence: &Evidence) -> bool {
    let place = if evidence.path.is_empty() { &evidence.name } else { &evidence.path };
    let places = ["hklm/system/", "hklm/software/microsoft/", "hklm/software/classes/", "hkcr/"];
    evidence.kind == Kind::Registry && {
        let key = folded_place(evidence.kind, place);
        places.iter().any(|of_windows| key.starts_with(of_windows))
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::canonical::CanonicalSection;
    use muster_proto::model::{HostState, Observation, Platform, Section, Snapshot, SourceName, Timestamp};

    use super::*;
    use crate::judge::{assess, detect, products_of};
    use crate::rules::{self, RuleSet};

    fn deb(name: &str, state: &str) -> Observation {
        Observation { state: state.to_owned(), ..Observation::new(Kind::Deb, name) }
    }

    fn path(path: &str) -> Observation {
        Observation { path: path.to_owned(), ..Observation::new(Kind::Path, path) }
    }

    fn hits(rules: &RuleSet, packages: &[Observation], paths: &[&str]) -> Vec<Hit> {
        let paths = paths.iter().map(|one| path(one)).collect();
        let sections = [(SourceName::Dpkg, packages.to_vec()), (SourceName::WatchPaths, paths)];
        let sections = sections.map(|(source, seen)| Section::new(Platform::Linux, source, seen));
        sections.iter().flat_map(|section| detect(&rules.catalogue, &CanonicalSection::from(section))).collect()
    }

    #[test]
    fn a_vendor_folder_is_a_remnant_only_while_nothing_of_the_vendor_is_installed_below_it() {
        let rules = rules::load(None).expect("rules");
        let found = |packages: &[Observation], paths: &[&str]| -> Vec<(String, Presence)> {
            let found = products_of(&rules.catalogue, &hits(&rules, packages, paths));
            found.into_iter().map(|one| (one.product.to_string(), one.presence)).collect()
        };
        let kesl = ("kaspersky-endpoint-security".to_owned(), Presence::Installed);
        let left = ("kaspersky-unidentified".to_owned(), Presence::Remnant);
        let folders = ["/opt/kaspersky", "/var/opt/kaspersky"];
        assert_eq!(found(&[deb("kesl", "ii")], &folders), std::slice::from_ref(&kesl));
        assert_eq!(
            found(&[], &["/opt/kaspersky", "/opt/kaspersky/kesl/bin/kesl-control"]),
            std::slice::from_ref(&kesl)
        );
        assert_eq!(found(&[deb("kesl", "pn")], &folders), std::slice::from_ref(&left), "it is removed");
        assert_eq!(found(&[], &folders), std::slice::from_ref(&left));
        let beside = found(&[deb("kesl", "ii")], &["/opt/kaspersky", "/var/opt/kaspersky/old"]);
        assert_eq!(beside, [kesl, left], "a folder beside the product is not a part of it");
    }

    #[test]
    fn storage_of_container_images_is_no_product_of_the_host() {
        let rules = rules::load(None).expect("rules");
        let mut storage = Observation::new(Kind::Path, "container-storage");
        storage.path = "/var/lib/docker".to_owned();
        let section = Section::new(Platform::Linux, SourceName::Host, vec![storage]);
        let hits = detect(&rules.catalogue, &CanonicalSection::from(&section));
        assert_eq!((hits.len(), products_of(&rules.catalogue, &hits).len()), (1, 0));
    }

    #[test]
    fn the_data_of_a_product_that_an_order_allows_is_no_work_that_is_left() {
        let rules = rules::load(None).expect("rules");
        let mut order = rules.active_orders().next().expect("an active order").clone();
        order.prohibits = vec![Presence::Active, Presence::Installed];
        let assessed = |packages: &[Observation]| {
            let hits = hits(&rules, packages, &["/opt/kaspersky", "/var/opt/kaspersky/klnagent"]);
            let snapshot = Snapshot::new(Platform::Linux, Vec::new());
            let state = HostState::default();
            assess(&order, &rules.catalogue, &snapshot, &hits, &state, Timestamp::from_millis(0))
        };
        let allowed = assessed(&[deb("klnagent64", "ii")]);
        assert_eq!((allowed.presence, allowed.prohibited, allowed.remnants), (Presence::ManagementOnly, false, false));
        assert!(assessed(&[]).remnants, "the same folders are remnants without the agent");
    }
}
