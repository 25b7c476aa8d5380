//! Names of ordinary packages that are near those of catalogued products.

use super::{Matcher, RULES};

const NAMES: &str = include_str!("near_misses.tsv");

#[test]
fn debian_packages_with_similar_names_are_no_products_and_its_security_packages_are() {
    let matcher = Matcher::new(&RULES, None).expect("active orders");
    let (mut count, mut wrong) = (0, Vec::new());
    for line in NAMES.lines().filter(|line| !line.starts_with('#')) {
        let (name, expected) = line.split_once('\t').unwrap_or((line, ""));
        for kind in ["deb", "rpm", "apk", "pacman"] {
            for vendor in ["", "Debian Developers"] {
                let row = serde_json::json!({"platform": "linux", "source_kind": kind, "name": name, "vendor": vendor});
                let answered: serde_json::Value =
                    serde_json::from_str(&matcher.line(&row.to_string())).expect("an answer");
                let product = answered["product"].as_str().expect("a product");
                // Another distribution may package the product under another name, but nothing else under this one.
                if answered["match"] != "none" || !(product == expected || product.is_empty() && kind != "deb") {
                    wrong.push(format!("{kind} {name:?} of {vendor:?} is {product:?}, {}", answered["match"]));
                }
                count += 1;
            }
        }
    }
    assert!(count > 600, "only {count} rows");
    assert!(wrong.is_empty(), "{} of {count} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
