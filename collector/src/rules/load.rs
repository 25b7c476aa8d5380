//! Loads the rules: the embedded defaults and an overlay directory. A file of the overlay replaces the default with the
//! same name or the same id; other files are added. Every fault of every file is reported at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use muster_proto::model::{Digest, OrderId};

use super::attribution;
use super::calendar::{self, Calendar};
use super::catalogue::Catalogue;
use super::order::Order;
use super::order_file;
use super::overlay::{self, OverlayLimits};
use super::pattern::Pattern;
use super::product::{self, Product};
use super::rule_fault::{RuleErrors, RuleFault};
use super::state::{self, StateTable};
use super::toml_reader::{RuleFile, TomlReader};
use super::vendor::{self, Vendor};
use super::{RuleSet, exclude};

const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/embedded_rules.rs"));

/// The default files, which are part of the binary.
pub(crate) fn embedded() -> Vec<RuleFile> {
    let file = |(place, text): &(&str, &str)| {
        let (folder, name) = place.split_once('/').unwrap_or(("", place));
        RuleFile { folder: folder.into(), name: name.into(), place: (*place).into(), text: (*text).into() }
    };
    EMBEDDED.iter().map(file).collect()
}

/// The embedded defaults, overlaid by a directory.
///
/// # Errors
/// Any file has a fault; all of them are in the error.
pub fn load(overlay: Option<&Path>) -> Result<RuleSet, RuleErrors> {
    let read = overlay.map(|place| overlay::read_within(place, &OverlayLimits::default())).transpose()?;
    load_over(read.map(|read| read.files).unwrap_or_default())
}

/// The embedded defaults, overlaid by these files.
pub(crate) fn load_over(files: Vec<RuleFile>) -> Result<RuleSet, RuleErrors> {
    assemble(embedded(), files)
}

/// The id of the order in a file; `None` if the file is no valid order.
pub(crate) fn order_id(file: &RuleFile) -> Option<OrderId> {
    TomlReader::read_whole(file, order_file::read).0.flatten().map(|order| order.id)
}

/// What was read so far: each item with its file, and whether that file is of the overlay.
#[derive(Default)]
struct Read {
    products: BTreeMap<String, (Product, String, bool)>,
    vendors: BTreeMap<String, (Vendor, String, bool)>,
    states: BTreeMap<String, (StateTable, String, bool)>,
    calendars: BTreeMap<String, (Calendar, String, bool)>,
    orders: BTreeMap<String, (Order, String, bool)>,
    faults: Vec<RuleFault>,
    /// Whether some file is not valid TOML. Other files may refer to what it defines.
    unread: bool,
}

/// Makes a rule set from default files and overlay files.
pub(crate) fn assemble(defaults: Vec<RuleFile>, overlay: Vec<RuleFile>) -> Result<RuleSet, RuleErrors> {
    let replaced: BTreeSet<_> = overlay.iter().map(|file| (file.folder.clone(), file.name.clone())).collect();
    let mut read = Read::default();
    let mut texts = Vec::new();
    let defaults = defaults.into_iter().filter(|file| !replaced.contains(&(file.folder.clone(), file.name.clone())));
    for (file, is_overlay) in defaults.map(|file| (file, false)).chain(overlay.into_iter().map(|file| (file, true))) {
        // Scenarios judge no host, so a change of one must not start a new version of the rules.
        if file.folder != "scenarios" {
            texts.push(format!("{}/{}\0{}", file.folder, file.name, file.text));
        }
        read.file(&file, is_overlay);
    }
    // The version depends on the contents only, not on which files come from the overlay.
    texts.sort();
    let version = Digest::of(texts.join("\0").as_bytes()).short();
    read.finish(version)
}

impl Read {
    fn file(&mut self, file: &RuleFile, is_overlay: bool) {
        match file.folder.as_str() {
            "vendors" => {
                let (vendor, faults) = TomlReader::read_whole(file, vendor::read);
                self.unread |= vendor.is_none();
                self.faults.extend(faults);
                if let Some(vendor) = vendor {
                    let id = vendor.id.clone();
                    keep(&mut self.vendors, &mut self.faults, id, vendor, file, is_overlay);
                }
            }
            "calendars" => {
                let (calendar, faults) = TomlReader::read_whole(file, calendar::read);
                self.unread |= calendar.is_none();
                self.faults.extend(faults);
                if let Some(calendar) = calendar {
                    let id = calendar.id.clone();
                    keep(&mut self.calendars, &mut self.faults, id, calendar, file, is_overlay);
                }
            }
            "states" => {
                let (table, faults) = TomlReader::read_whole(file, state::read);
                self.unread |= table.is_none();
                self.faults.extend(faults);
                if let Some(table) = table {
                    let id = table.id.clone();
                    keep(&mut self.states, &mut self.faults, id, table, file, is_overlay);
                }
            }
            "catalogue" => {
                let (product, faults) = TomlReader::read_whole(file, product::read);
                self.unread |= product.is_none();
                self.faults.extend(faults);
                if let Some(product) = product.flatten() {
                    let id = product.id.to_string();
                    keep(&mut self.products, &mut self.faults, id, product, file, is_overlay);
                }
            }
            "orders" => {
                let (order, faults) = TomlReader::read_whole(file, order_file::read);
                self.unread |= order.is_none();
                self.faults.extend(faults);
                if let Some(order) = order.flatten() {
                    let id = order.id.to_string();
                    keep(&mut self.orders, &mut self.faults, id, order, file, is_overlay);
                }
            }
            _ => {}
        }
    }

    fn finish(mut self, version: String) -> Result<RuleSet, RuleErrors> {
        if !self.unread {
            // The vendor of a spelling may be in a file that is not valid TOML, which is a fault already.
            self.check_spellings();
        }
        let named = |(id, (product, ..)): (String, (Product, String, bool))| (id, product);
        let mut products: BTreeMap<String, Product> = self.products.into_iter().map(named).collect();
        let faults =
            attribution::attach(&mut products, self.vendors.values().map(|(vendor, file, _)| (vendor, file.as_str())));
        if !self.unread {
            // The product of a claim may be in the file that is not valid TOML.
            self.faults.extend(faults);
        }
        let products = products.into_values().collect();
        let vendors = self.vendors.into_values().map(|(vendor, ..)| vendor).collect();
        let states = self.states.into_values().map(|(table, ..)| table).collect();
        let catalogue = match Catalogue::new(products, vendors, states) {
            Ok(catalogue) => catalogue,
            Err(reason) => {
                if !self.unread {
                    self.faults.push(RuleFault { file: "catalogue".to_owned(), line: 0, reason });
                }
                return Err(RuleErrors::new(self.faults));
            }
        };
        let calendars: BTreeMap<String, Arc<Calendar>> =
            self.calendars.into_iter().map(|(id, (calendar, ..))| (id, Arc::new(calendar))).collect();
        let mut orders = Vec::new();
        for (mut order, file, is_overlay) in self.orders.into_values() {
            order.calendar = order.calendar_id.as_ref().and_then(|id| calendars.get(id)).cloned();
            // What a default order refers to may be in the file that is not valid TOML.
            if is_overlay || !self.unread {
                self.faults.extend(order.check(&catalogue, &file, 1));
            }
            orders.push(order);
        }
        if !self.faults.is_empty() {
            return Err(RuleErrors::new(self.faults));
        }
        exclude(&catalogue, &mut orders, &version);
        Ok(RuleSet { catalogue, orders, version })
    }

    fn check_spellings(&mut self) {
        for (product, file, _) in self.products.values() {
            for one in &product.recognisers {
                let tests = one.tests.iter().chain(&one.unless).flat_map(|test| test.patterns.iter());
                for pattern in tests {
                    let Pattern::Exact(text) = pattern else { continue };
                    let unknown = text.strip_prefix('@').filter(|vendor| !self.vendors.contains_key(*vendor));
                    if let Some(vendor) = unknown {
                        let reason = format!("@{vendor} needs a vendors/{vendor}.toml with spellings");
                        self.faults.push(RuleFault { file: file.clone(), line: one.line, reason });
                    }
                }
            }
        }
    }
}

/// Adds an item. The overlay replaces a default with the same id; the same id twice in one layer is a fault.
fn keep<T>(
    kept: &mut BTreeMap<String, (T, String, bool)>,
    faults: &mut Vec<RuleFault>,
    id: String,
    value: T,
    file: &RuleFile,
    is_overlay: bool,
) {
    // A missing id is a fault already.
    if id.is_empty() {
        return;
    }
    if let Some((_, other, _)) = kept.get(&id).filter(|(_, _, layer)| *layer == is_overlay) {
        let reason = format!("{other} has the same id {id:?}");
        faults.push(RuleFault { file: file.place.clone(), line: 1, reason });
        return;
    }
    kept.insert(id, (value, file.place.clone(), is_overlay));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::test_overlay::overlay as written;

    fn refused(overlay: &Path) -> Vec<String> {
        load(Some(overlay)).expect_err("it is refused").faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn invalid_toml_is_one_fault_and_causes_none_in_other_files() {
        let order = written(&[("orders/our.toml", "id = \"our\"\ntitle = = 1\n")]);
        let faults = refused(order.path());
        assert!(faults.len() == 1 && faults[0].contains("orders/our.toml:2: "), "{faults:?}");
        let product = written(&[("catalogue/kaspersky-endpoint-security.toml", "id = = 1\n")]);
        let faults = refused(product.path());
        assert!(faults.len() == 1 && faults[0].contains("kaspersky-endpoint-security.toml:1: "), "{faults:?}");
        let vendor = written(&[("vendors/kaspersky.toml", "id = = 1\n")]);
        let faults = refused(vendor.path());
        assert!(faults.len() == 1 && faults[0].contains("vendors/kaspersky.toml:1: "), "{faults:?}");
    }

    #[test]
    fn an_order_without_patience_is_refused() {
        let order = embedded().into_iter().find(|file| file.place == "orders/us-bis-icts-2021-002.toml");
        let text = order.expect("a default order").text.replace("patience_days = 7", "patience_days = 0");
        let overlay = written(&[("orders/us-bis-icts-2021-002.toml", &text)]);
        let faults = refused(overlay.path());
        assert!(faults.len() == 1 && faults[0].ends_with("`patience_days` must be at least 1"), "{faults:?}");
    }
}
