//! Loads the rules in layers: the embedded defaults, an overlay directory, and orders that people applied. A file of the overlay
//! replaces the default with the same name or the same id; other files are added. Every fault of every file is reported at
//! once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use muster_proto::error_chain;
use muster_proto::model::{Digest, OrderId};

use super::attribution;
use super::calendar::{self, Calendar};
use super::catalogue::Catalogue;
use super::layer::{Layer, Layered, keep};
use super::order_file;
use super::orders::Orders;
use super::overlay::{self, OverlayLimits};
use super::pack::RulePack;
use super::pattern::Pattern;
use super::pins::Pins;
use super::placeholders::{self, Placeholders};
use super::product::{self, Product};
use super::rule_fault::{RuleErrors, RuleFault};
use super::state::{self, StateTable};
use super::toml_reader::{Entries, RuleFile, TomlReader};
use super::vendor::{self, Vendor};
use super::{RuleSet, exclude};

/// The folder of orders and addenda.
const ORDERS: &str = "orders";

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
    assemble(embedded(), read.map(|read| read.files).unwrap_or_default())
}

/// The id of the order in a file; `None` if the file is no valid order.
pub(crate) fn order_id(file: &RuleFile) -> Option<OrderId> {
    TomlReader::read_whole(file, order_file::read).0.flatten().map(|order| order.id)
}

/// Makes a rule set from default files and overlay files.
///
/// # Errors
/// Any file has a fault; all of them are in the error.
pub(crate) fn assemble(defaults: Vec<RuleFile>, overlay: Vec<RuleFile>) -> Result<RuleSet, RuleErrors> {
    Arc::new(RuleBase::read(defaults, overlay)?).with_applied(&[])
}

/// The shipped rules with the overlay, to which applied orders can be added. Compiling the catalogue takes nearly all the time
/// of loading rules, and applied files do not change it.
#[derive(Debug, Clone)]
pub(crate) struct RuleBase {
    catalogue: Catalogue,
    calendars: BTreeMap<String, Arc<Calendar>>,
    placeholders: Placeholders,
    orders: Orders,
    /// Folder, name and digest of each file, from which the version is made.
    contents: Vec<String>,
    /// The files of the defaults and of the overlay.
    packs: [RulePack; 2],
}

/// What was read so far: each item with its file and its layer.
#[derive(Default)]
struct Read {
    products: BTreeMap<String, Layered<Product>>,
    vendors: BTreeMap<String, Layered<Vendor>>,
    states: BTreeMap<String, Layered<StateTable>>,
    calendars: BTreeMap<String, Layered<Calendar>>,
    placeholders: Placeholders,
    orders: Orders,
    faults: Vec<RuleFault>,
    /// Whether some file is not valid TOML. Other files may refer to what it defines.
    unread: bool,
}

impl RuleBase {
    /// Reads default files, and overlay files over them.
    ///
    /// # Errors
    /// Any file has a fault; all of them are in the error.
    pub(crate) fn read(defaults: Vec<RuleFile>, overlay: Vec<RuleFile>) -> Result<Self, RuleErrors> {
        let packs = [RulePack::of(&defaults), RulePack::of(&overlay)];
        let replaced: BTreeSet<_> = overlay.iter().map(|file| (file.folder.clone(), file.name.clone())).collect();
        let mut read = Read::default();
        let mut contents = Vec::new();
        let defaults = defaults.into_iter().map(|file| (file, Layer::Shipped));
        for (file, layer) in defaults.chain(overlay.into_iter().map(|file| (file, Layer::Overlay))) {
            if layer == Layer::Shipped && replaced.contains(&(file.folder.clone(), file.name.clone())) {
                if file.folder == ORDERS {
                    read.orders.replace(&file);
                }
                continue;
            }
            // Scenarios judge no host, so a change of one must not start a new version of the rules.
            if file.folder != "scenarios" {
                contents.push(content(&file));
            }
            read.file(&file, layer);
        }
        let packs = match packs {
            [Ok(shipped), Ok(overlay)] => [shipped, overlay],
            [Err(failed), _] | [_, Err(failed)] => {
                read.faults.push(RuleFault { file: "rules".to_owned(), line: 0, reason: error_chain(&failed) });
                return Err(RuleErrors::new(read.faults));
            }
        };
        read.finish(contents, packs)
    }

    /// The rules with these applied orders and addenda over them.
    ///
    /// # Errors
    /// Any of the applied files has a fault; all of them are in the error.
    pub(crate) fn with_applied(self: &Arc<Self>, applied: &[RuleFile]) -> Result<RuleSet, RuleErrors> {
        self.with_applied_at(applied, 0)
    }

    /// The same; `revision` counts the changes of what is applied. Each gives the rules a version that was never in force, so
    /// that collectors adopt it at once even if it brings back what was in force before.
    pub(super) fn with_applied_at(
        self: &Arc<Self>,
        applied: &[RuleFile],
        revision: u64,
    ) -> Result<RuleSet, RuleErrors> {
        let (mut orders, mut faults) = (self.orders.clone(), Vec::new());
        for file in applied {
            orders.file(file, Layer::Applied, &mut faults);
        }
        let (mut orders, found) = orders.finish(&self.catalogue, &self.calendars, Some(Layer::Overlay));
        faults.extend(found);
        if !faults.is_empty() {
            return Err(RuleErrors::new(faults));
        }
        // The version depends on the contents only, not on which files come from which layer.
        let mut contents: Vec<String> = self.contents.iter().cloned().chain(applied.iter().map(content)).collect();
        contents.sort();
        if revision > 0 {
            contents.push(format!("revision {revision}"));
        }
        let version = Digest::of(contents.join("\0").as_bytes()).short();
        exclude(&self.catalogue, &mut orders, &version);
        Ok(RuleSet {
            catalogue: self.catalogue.clone(),
            orders,
            version,
            revision,
            pins: Pins::None,
            base: Arc::clone(self),
            applied: Arc::new(applied.to_vec()),
        })
    }

    /// The values that identify no machine.
    pub(super) const fn placeholders(&self) -> &Placeholders {
        &self.placeholders
    }

    /// The files of the defaults and of the overlay.
    pub(crate) const fn packs(&self) -> &[RulePack; 2] {
        &self.packs
    }
}

fn content(file: &RuleFile) -> String {
    format!("{}/{}\0{}", file.folder, file.name, Digest::of(file.text.as_bytes()))
}

impl Read {
    fn file(&mut self, file: &RuleFile, layer: Layer) {
        match file.folder.as_str() {
            "vendors" => {
                if let Some(vendor) = self.whole(file, vendor::read) {
                    let id = vendor.id.clone();
                    keep(&mut self.vendors, &mut self.faults, id, layered(vendor, file, layer));
                }
            }
            "calendars" => {
                if let Some(calendar) = self.whole(file, calendar::read) {
                    let id = calendar.id.clone();
                    keep(&mut self.calendars, &mut self.faults, id, layered(calendar, file, layer));
                }
            }
            "states" => {
                if let Some(table) = self.whole(file, state::read) {
                    let id = table.id.clone();
                    keep(&mut self.states, &mut self.faults, id, layered(table, file, layer));
                }
            }
            "catalogue" => {
                if let Some(product) = self.whole(file, product::read).flatten() {
                    let id = product.id.to_string();
                    keep(&mut self.products, &mut self.faults, id, layered(product, file, layer));
                }
            }
            ORDERS => {
                self.orders.file(file, layer, &mut self.faults);
                self.unread |= self.orders.unread;
            }
            "" if file.name == placeholders::FILE => {
                self.placeholders = self.whole(file, placeholders::read).unwrap_or_default();
            }
            _ => {}
        }
    }

    /// What a file has; `None` if it is not valid TOML.
    fn whole<T>(&mut self, file: &RuleFile, read: impl FnOnce(&mut Entries<'_, '_>) -> T) -> Option<T> {
        let (item, faults) = TomlReader::read_whole(file, read);
        self.unread |= item.is_none();
        self.faults.extend(faults);
        item
    }

    fn finish(mut self, contents: Vec<String>, packs: [RulePack; 2]) -> Result<RuleBase, RuleErrors> {
        if !self.unread {
            // The vendor of a spelling may be in a file that is not valid TOML, which is a fault already.
            self.check_spellings();
        }
        let mut products: BTreeMap<String, Product> =
            self.products.into_iter().map(|(id, product)| (id, product.value)).collect();
        let faults = attribution::attach(
            &mut products,
            self.vendors.values().map(|vendor| (&vendor.value, vendor.file.as_str())),
        );
        if !self.unread {
            // The product of a claim may be in the file that is not valid TOML.
            self.faults.extend(faults);
        }
        let products = products.into_values().collect();
        let vendors = self.vendors.into_values().map(|vendor| vendor.value).collect();
        let states = self.states.into_values().map(|table| table.value).collect();
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
            self.calendars.into_iter().map(|(id, calendar)| (id, Arc::new(calendar.value))).collect();
        // What a default order refers to may be in the file that is not valid TOML.
        let trusted = self.unread.then_some(Layer::Shipped);
        self.faults.extend(self.orders.finish(&catalogue, &calendars, trusted).1);
        if !self.faults.is_empty() {
            return Err(RuleErrors::new(self.faults));
        }
        Ok(RuleBase { catalogue, calendars, placeholders: self.placeholders, orders: self.orders, contents, packs })
    }

    fn check_spellings(&mut self) {
        for Layered { value: product, file, .. } in self.products.values() {
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

fn layered<T>(value: T, file: &RuleFile, layer: Layer) -> Layered<T> {
    Layered { value, file: file.place.clone(), layer }
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
