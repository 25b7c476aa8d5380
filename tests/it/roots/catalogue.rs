//! What to install on a root: the identifiers of every product on Linux, from the catalogue's files.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use muster_tests::binaries;
use toml::{Table, Value};

/// One piece of evidence of one product.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Planting {
    pub(super) product: String,
    /// The kind of observation that it becomes.
    pub(super) kind: String,
    /// Its name, path or id.
    pub(super) name: String,
    /// The vendor of its record; empty if any vendor matches.
    pub(super) vendor: String,
}

/// Everything that can be installed on a root.
pub(super) fn plantings() -> Result<Vec<Planting>> {
    let mut all = BTreeSet::new();
    each_recogniser(|product, recogniser| {
        for kind in texts(recogniser, "kinds") {
            let vendor = texts(recogniser, "vendor").first().map_or("", |vendor| vendor_of(vendor)).to_owned();
            for name in names(recogniser, &kind) {
                let (product, kind, vendor) = (product.to_owned(), kind.clone(), vendor.clone());
                all.insert(Planting { product, kind, name, vendor });
            }
        }
    })?;
    Ok(all.into_iter().collect())
}

/// The products that have a recogniser for Linux.
pub(super) fn products_on_linux() -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    each_recogniser(|product, _| {
        all.insert(product.to_owned());
    })?;
    Ok(all)
}

fn each_recogniser(mut visit: impl FnMut(&str, &Table)) -> Result<()> {
    let folder = binaries::repository().join("collector/rules/catalogue");
    for entry in std::fs::read_dir(&folder).context("list the catalogue")? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        let reader: Table = text.parse().with_context(|| format!("read {}", path.display()))?;
        let id = reader["id"].as_str().context("a product without id")?;
        let recognisers = reader.get("recogniser").and_then(Value::as_array).into_iter().flatten();
        for recogniser in recognisers.filter_map(Value::as_table) {
            if texts(recogniser, "platforms").iter().any(|platform| platform == "linux") {
                visit(id, recogniser);
            }
        }
    }
    Ok(())
}

/// A text, or a list of texts.
fn texts(table: &Table, key: &str) -> Vec<String> {
    match table.get(key) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// Concrete names that a recogniser matches for a kind; none for a regular expression.
fn names(recogniser: &Table, kind: &str) -> Vec<String> {
    let field = match kind {
        "path" => "path",
        "browser_extension" => "id",
        "deb" | "rpm" | "apk" | "pacman" | "snap" | "flatpak" | "service" | "kernel_module" => "key",
        _ => return Vec::new(),
    };
    // A product is installed under the name that its recogniser tests, with or without a vendor.
    let texts_of = [field, "name"].into_iter().map(|field| texts(recogniser, field)).find(|texts| !texts.is_empty());
    let literal =
        |text: String| (!text.starts_with(['~', '@', '%'])).then(|| text.replace("/**", "").replace('*', "x"));
    texts_of.into_iter().flatten().filter_map(literal).filter(|name| !name.is_empty()).collect()
}

/// `@kaspersky` means any spelling of that vendor.
fn vendor_of(vendor: &str) -> &str {
    match vendor {
        "@kaspersky" => "AO Kaspersky Lab",
        other if other.starts_with(['~', '@']) => "",
        other => other,
    }
}
