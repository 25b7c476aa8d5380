//! Attributes what vendors claim: gives the recognisers of their folders and prefixes to the products, and makes an
//! unidentified product for what shows only its vendor.

use std::collections::BTreeMap;

use muster_proto::model::ProductId;

use super::product::{DetectionContent, Product};
use super::rule_fault::RuleFault;
use super::vendor::Vendor;

/// Gives every claim's recognisers to its product, and makes the unidentified products of vendors that need one.
pub(super) fn attach<'v>(
    products: &mut BTreeMap<String, Product>,
    vendors: impl Iterator<Item = (&'v Vendor, &'v str)>,
) -> Vec<RuleFault> {
    let mut faults = Vec::new();
    for (vendor, file) in vendors {
        for claim in &vendor.claims {
            let id = match &claim.product {
                Some(id) => id.to_string(),
                None => {
                    let id = format!("{}-unidentified", vendor.id);
                    if !products.contains_key(&id) {
                        let made = unidentified(&id, vendor, file, products);
                        products.extend(made.map(|product| (id.clone(), product)));
                    }
                    id
                }
            };
            let reason = match products.get_mut(&id) {
                Some(product) if product.vendor_id == vendor.id => {
                    for mut one in claim.recognisers(file) {
                        one.number = product.recognisers.len() + 1;
                        product.recognisers.push(one);
                    }
                    continue;
                }
                Some(other) => {
                    format!("the product {id} is of the vendor {:?}, not of {:?}", other.vendor_id, vendor.id)
                }
                None => format!("there is no product {id}"),
            };
            faults.push(RuleFault { file: file.to_owned(), line: claim.line, reason });
        }
    }
    faults
}

/// The product for what shows only its vendor. It protects like the vendor's products may protect, so it has their
/// category: one that no order accepts would turn "protection unknown" into "no protection".
fn unidentified(id: &str, vendor: &Vendor, file: &str, products: &BTreeMap<String, Product>) -> Option<Product> {
    let of_vendor = || products.values().filter(|product| product.vendor_id == vendor.id);
    let has = |category: &&str| of_vendor().any(|product| product.category == **category);
    let category = ["antivirus", "edr"].into_iter().find(|category| has(category));
    let category =
        category.or_else(|| of_vendor().map(|product| product.category.as_str()).next()).unwrap_or("antivirus");
    Some(Product {
        id: ProductId::new(id).ok()?,
        name: format!("{} product (not identified)", vendor.name),
        vendor: vendor.name.clone(),
        vendor_id: vendor.id.clone(),
        category: category.to_owned(),
        sources: vendor.sources.clone(),
        note: "Only the vendor is identified, by a folder or a reverse-DNS id.".to_owned(),
        file: file.to_owned(),
        families: vec![(None, vendor.id.clone())],
        aliases: Vec::new(),
        detection_content: DetectionContent::None,
        white_label: false,
        revised: vendor.revised,
        recognisers: Vec::new(),
        realtime: Vec::new(),
        freshness: Vec::new(),
        fresh_days: 7,
        uninstall: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{Kind, Platform};

    use crate::rules::test_overlay::overlay;
    use crate::rules::{OtherVendor, RuleSet, Strength, Subject, load};

    const VENDOR: &str = r#"
id = "acme"
name = "Acme"
spellings = ["acme", "acme inc*"]
[[folder]]
platforms = ["linux", "windows"]
path = ["/opt/acme", '%ProgramFiles%\Acme']
unless = ["/opt/acme/contrib/**"]
[[folder]]
platforms = ["linux"]
path = ["/opt/acme/guard"]
product = "acme-guard"
[[folder]]
platforms = ["linux"]
path = ["/var/lib/acme"]
holds = "data"
[[prefix]]
id = ["com.acme"]
[[prefix]]
id = ["com.acme.guard"]
product = "acme-guard"
[[never]]
id = ["com.acme.game*"]
why = "no product of the kind"
"#;
    /// A vendor that bought a part of Acme, and kept its ids and folders.
    const BUYER: &str = r#"
id = "buyer"
name = "Buyer"
spellings = ["buyer"]
[[folder]]
platforms = ["linux"]
path = ["/opt/acme/home"]
[[prefix]]
id = ["com.acme.home"]
"#;
    const PRODUCT: &str = r#"
id = "acme-guard"
name = "Acme Guard"
vendor = "Acme"
category = "edr"
[[recogniser]]
platforms = ["linux"]
kinds = ["process"]
strength = "supports"
key = ["aguard"]
"#;

    fn rules() -> RuleSet {
        let place = overlay(&[("vendors/acme.toml", VENDOR), ("catalogue/acme-guard.toml", PRODUCT)]);
        load(Some(place.path())).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// The first answer: product and presence.
    fn answer(rules: &RuleSet, platform: Platform, kind: Kind, name: &str, path: &str) -> String {
        let subject = Subject::new(Some(kind), [name, "", path], "", "");
        let found = rules.catalogue.recognise(platform, &subject);
        found.first().map_or_else(String::new, |one| format!("{} {}", one.product.id, one.recogniser.shows))
    }

    #[test]
    fn a_folder_identifies_its_vendor_and_the_most_specific_one_the_product() {
        let rules = rules();
        let on_linux = |kind, name: &str, path: &str| answer(&rules, Platform::Linux, kind, name, path);
        assert_eq!(on_linux(Kind::Process, "utild", "/opt/acme/bin/utild"), "acme-unidentified installed");
        assert_eq!(on_linux(Kind::Service, "x.service", "/opt/acme/guard/sbin/x"), "acme-guard installed");
        assert_eq!(on_linux(Kind::Path, "/opt/acme/guard", ""), "acme-guard installed");
        assert_eq!(on_linux(Kind::Path, "/var/lib/acme/db", ""), "acme-unidentified remnant");
        assert_eq!(on_linux(Kind::Process, "d", "/var/lib/acme/run/d"), "acme-unidentified installed");
        for elsewhere in ["/opt/acme/contrib/utild", "/opt/acmex/utild", "/srv/opt/acme/utild"] {
            assert_eq!(on_linux(Kind::Process, "utild", elsewhere), "", "{elsewhere}");
        }
        let on_windows = answer(&rules, Platform::Windows, Kind::Driver, "x", "C:\\Program Files (x86)\\Acme\\x.sys");
        assert_eq!(on_windows, "acme-unidentified installed");
    }

    #[test]
    fn a_reverse_dns_prefix_identifies_its_vendor_and_the_longest_one_the_product() {
        let rules = rules();
        let on_macos = |kind, name: &str| answer(&rules, Platform::Macos, kind, name, "");
        assert_eq!(on_macos(Kind::Launchd, "com.acme.updater"), "acme-unidentified installed");
        assert_eq!(on_macos(Kind::Receipt, "com.acme.guard.pkg"), "acme-guard installed");
        assert_eq!(on_macos(Kind::SystemExtension, "A1B2C3D4E5.com.acme.guard-net"), "acme-guard installed");
        assert_eq!(on_macos(Kind::Launchd, "com.acmex.updater"), "");
        assert_eq!(on_macos(Kind::Path, "/Library/LaunchDaemons/com.acme.guard.plist"), "acme-guard installed");
        assert_eq!(on_macos(Kind::Path, "/Users/u/Library/Preferences/com.acme.plist"), "acme-unidentified remnant");
    }

    #[test]
    fn the_name_of_a_product_in_a_folder_of_another_vendor_is_weak_evidence() {
        let rules = rules();
        let subject = Subject::new(Some(Kind::Process), ["kesl", "", "/opt/acme/kesl"], "", "");
        let found = rules.catalogue.recognise(Platform::Linux, &subject);
        let kesl = found.iter().find(|one| one.product.id.as_str() == "kaspersky-endpoint-security").expect("kesl");
        assert_eq!((kesl.strength, kesl.other_vendor), (Strength::Weak, Some(OtherVendor::Folder("Acme"))));
        assert_eq!(found[0].product.id.as_str(), "acme-unidentified");
        let unidentified = found[0].product;
        assert_eq!((unidentified.vendor_id.as_str(), unidentified.category.as_str()), ("acme", "edr"));
    }

    #[test]
    fn an_id_that_is_excluded_is_excluded_where_it_is_the_name() {
        let rules = rules();
        for kind in [Kind::Launchd, Kind::Receipt, Kind::SystemExtension] {
            assert_eq!(answer(&rules, Platform::Macos, kind, "com.acme.game.helper", ""), "", "{kind}");
            assert_ne!(answer(&rules, Platform::Macos, kind, "com.acme.gate.helper", ""), "", "{kind}");
        }
    }

    #[test]
    fn a_claim_inside_of_another_vendors_claim_takes_what_it_matches() {
        let files =
            [("vendors/acme.toml", VENDOR), ("vendors/buyer.toml", BUYER), ("catalogue/acme-guard.toml", PRODUCT)];
        let place = overlay(&files);
        let rules = load(Some(place.path())).unwrap_or_else(|errors| panic!("{errors}"));
        let all = |platform, kind, name: &str, path: &str| -> Vec<String> {
            let subject = Subject::new(Some(kind), [name, "", path], "", "");
            let found = rules.catalogue.recognise(platform, &subject);
            found.iter().map(|one| one.product.id.to_string()).collect()
        };
        assert_eq!(all(Platform::Macos, Kind::Launchd, "com.acme.home.agent", ""), ["buyer-unidentified"]);
        assert_eq!(all(Platform::Macos, Kind::Launchd, "com.acme.agent", ""), ["acme-unidentified"]);
        assert_eq!(all(Platform::Linux, Kind::Process, "x", "/opt/acme/home/x"), ["buyer-unidentified"]);
        assert_eq!(all(Platform::Linux, Kind::Process, "x", "/opt/acme/homes/x"), ["acme-unidentified"]);
    }

    #[test]
    fn a_claim_with_a_fault_is_refused_with_its_file_and_line() {
        for (valid, faulty, reason) in [
            ("product = \"acme-guard\"", "product = \"nothing\"", "there is no product nothing"),
            ("product = \"acme-guard\"", "product = \"clamav\"", "the product clamav is of the vendor"),
            ("\"/opt/acme\"", "\"/opt/acme/\"", "must be a folder"),
            ("\"com.acme\"", "\"com\"", "is no reverse-DNS prefix"),
        ] {
            let text = VENDOR.replacen(valid, faulty, 1);
            let place = overlay(&[("vendors/acme.toml", text.as_str()), ("catalogue/acme-guard.toml", PRODUCT)]);
            let shown = load(Some(place.path())).expect_err(reason).to_string();
            assert!(shown.contains("acme.toml:") && shown.contains(reason), "{shown}");
        }
    }
}
