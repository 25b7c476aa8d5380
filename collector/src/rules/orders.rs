//! The orders of all layers, with their addenda.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_proto::model::OrderId;

use super::addendum::{self, Addendum, is_addendum};
use super::calendar::Calendar;
use super::catalogue::Catalogue;
use super::layer::{Layer, Layered, keep};
use super::order::Order;
use super::order_file;
use super::pack::sha256;
use super::rule_fault::RuleFault;
use super::toml_reader::{RuleFile, TomlReader};

/// The id that a file of an order or an addendum has; `None` if it has no valid one.
pub(crate) fn file_id(file: &RuleFile) -> Option<OrderId> {
    // Its faults are found when it is read.
    OrderId::new(TomlReader::read(file, |entries| entries.text("id")).0?.value).ok()
}

/// The faults of a file that is read alone.
pub(crate) fn order_faults(file: &RuleFile) -> Vec<RuleFault> {
    TomlReader::read(file, order_file::read).1
}

/// Order files as they were read; nothing in them was checked against the catalogue yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders {
    orders: BTreeMap<String, Layered<Order>>,
    /// Each is read when all orders are known, because it depends on its order.
    addenda: Vec<(RuleFile, Layer)>,
    /// Ids of shipped orders whose files the overlay replaces by name.
    replaced: BTreeSet<String>,
    /// Whether some file is not valid TOML. Addenda may belong to the order in it.
    pub(super) unread: bool,
}

impl Orders {
    /// Notes that the overlay has a file in place of this one.
    pub(super) fn replace(&mut self, file: &RuleFile) {
        // The file of an order has the order's id as its name.
        self.replaced.insert(file.name.trim_end_matches(".toml").to_owned());
    }

    /// Reads a file of this layer. Layers are read from the lowest to the highest.
    pub(super) fn file(&mut self, file: &RuleFile, layer: Layer, faults: &mut Vec<RuleFault>) {
        if is_addendum(file) {
            self.addenda.push((file.clone(), layer));
            return;
        }
        let (order, found) = TomlReader::read_whole(file, order_file::read);
        self.unread |= order.is_none();
        faults.extend(found);
        let Some(mut order) = order.flatten() else { return };
        let id = order.id.to_string();
        let is_below =
            self.orders.get(&id).is_some_and(|other| other.layer < layer) || self.replaced.contains(order.id.as_str());
        let mut fault = |reason: String| {
            faults.push(RuleFault { file: file.place.clone(), line: order.id_line, reason });
        };
        // In the overlay, the name of the file says it.
        if is_below && layer == Layer::Applied && !order.replaces {
            fault(format!(
                "`id`: there is an order {id:?} already; give yours another id, say `replaces = {id:?}`, or write an \
                 addendum (`muster orders new --addendum {id}`)"
            ));
        }
        if order.replaces && !is_below {
            fault(format!("`replaces`: there is no other order {id:?} to replace; remove the key"));
        }
        order.layer = layer;
        order.file_sha256 = sha256(file.text.as_bytes());
        keep(&mut self.orders, faults, id, Layered { value: order, file: file.place.clone(), layer });
    }

    /// The orders in order of their ids, checked and with their addenda, and the faults of them. Orders of `trusted` layers are
    /// not checked: what they refer to may be in a file that could not be read, or they were checked before.
    pub(super) fn finish(
        &self,
        catalogue: &Catalogue,
        calendars: &BTreeMap<String, Arc<Calendar>>,
        trusted: Option<Layer>,
    ) -> (Vec<Order>, Vec<RuleFault>) {
        let mut faults = Vec::new();
        let mut orders = self.orders.clone();
        for Layered { value: order, file, layer } in orders.values_mut() {
            order.calendar = order.calendar_id.as_ref().and_then(|id| calendars.get(id)).cloned();
            if trusted.is_none_or(|trusted| *layer > trusted) {
                faults.extend(order.check(catalogue, file, 1));
            }
        }
        // The order of an addendum may be in the file that is not valid TOML.
        if !self.unread {
            for addendum in self.read_addenda(&orders, catalogue, &mut faults) {
                if let Some(order) = orders.get_mut(addendum.order.as_str()) {
                    addendum.amend(&mut order.value);
                }
            }
        }
        (orders.into_values().map(|order| order.value).collect(), faults)
    }

    fn read_addenda(
        &self,
        orders: &BTreeMap<String, Layered<Order>>,
        catalogue: &Catalogue,
        faults: &mut Vec<RuleFault>,
    ) -> Vec<Addendum> {
        let mut read: Vec<(Addendum, &str)> = Vec::new();
        for (file, _) in &self.addenda {
            let (addendum, found) = TomlReader::read_whole(file, |entries| addendum::read(entries, orders, catalogue));
            faults.extend(found);
            let Some(addendum) = addendum.flatten() else { continue };
            let mut fault = |reason: String| faults.push(RuleFault { file: file.place.clone(), line: 1, reason });
            if let Some((_, other)) = read.iter().find(|(other, _)| other.id == addendum.id) {
                fault(format!("{other} has the same id {:?}", addendum.id.as_str()));
            } else if let Some((_, other)) = read.iter().find(|(other, _)| other.order == addendum.order) {
                fault(format!("{other} is an addendum of {} already; join them in one file", addendum.order));
            }
            read.push((addendum, &file.place));
        }
        read.into_iter().map(|(addendum, _)| addendum).collect()
    }
}
