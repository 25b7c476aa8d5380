//! Applied orders: files that people applied, and orders that they made active or inactive. They are laid over the shipped rules
//! and the overlay.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_proto::model::OrderId;

use super::addendum::is_addendum;
use super::load::RuleBase;
use super::orders::file_id;
use super::pins::Pins;
use super::rule_fault::{RuleErrors, RuleFault};
use super::toml_reader::RuleFile;
use super::{OrderUnusable, RuleSet};

/// What people applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppliedOrders {
    /// Counts the changes; 0 if nothing was ever applied.
    pub(crate) revision: u64,
    /// The files, in order of their ids.
    pub(crate) files: Vec<RuleFile>,
    /// Orders that are active or inactive whatever their files say, and addenda that are in force or not.
    pub(crate) switches: BTreeMap<OrderId, bool>,
}

impl AppliedOrders {
    /// Applies a file in place of the one with the same id. An addendum is in force from now on, also if it was switched off.
    pub(crate) fn apply(&mut self, id: &OrderId, text: &str, place: &str) {
        self.put(id, text, place);
        if self.file(id).is_some_and(is_addendum) {
            self.switches.remove(id);
        }
    }

    /// Puts a file in place of the one with the same id. What was switched stays switched.
    pub(crate) fn put(&mut self, id: &OrderId, text: &str, place: &str) {
        let (folder, name) = ("orders".to_owned(), format!("{id}.toml"));
        self.files.retain(|file| file.name != name);
        self.files.push(RuleFile { folder, name, place: place.to_owned(), text: text.to_owned() });
        self.files.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Removes a file and its switch.
    pub(crate) fn remove(&mut self, id: &OrderId) {
        let name = format!("{id}.toml");
        self.files.retain(|file| file.name != name);
        self.switches.remove(id);
    }

    /// The applied file with this id.
    pub(crate) fn file(&self, id: &OrderId) -> Option<&RuleFile> {
        let name = format!("{id}.toml");
        self.files.iter().find(|file| file.name == name)
    }

    /// The files that are in force: all but addenda that were switched off.
    fn in_force(&self) -> Vec<RuleFile> {
        let is_off = |file: &RuleFile| {
            is_addendum(file) && file_id(file).is_some_and(|id| self.switches.get(&id) == Some(&false))
        };
        self.files.iter().filter(|file| !is_off(file)).cloned().collect()
    }
}

impl RuleBase {
    /// The rules with what people applied, and with the orders active that they or the settings say.
    ///
    /// # Errors
    /// An applied file has a fault, or an order that is to be active cannot be.
    pub(crate) fn rules(self: &Arc<Self>, applied: &AppliedOrders, pins: &Pins) -> Result<RuleSet, RuleErrors> {
        let set = self.with_applied_at(&applied.in_force(), applied.revision)?;
        let (place, ids) = match pins {
            Pins::All => ("rules.active_orders", set.usable_orders().cloned().collect()),
            Pins::Only(ids) => ("rules.active_orders", ids.clone()),
            Pins::None => {
                let active = switched(&set, &applied.switches);
                if set.active_orders().map(|order| &order.id).eq(active.iter()) {
                    return Ok(RuleSet { pins: pins.clone(), ..set });
                }
                ("muster orders activate", active)
            }
        };
        let set = set.with_active(&ids).map_err(|refused| unusable(place, &refused))?;
        Ok(RuleSet { pins: pins.clone(), ..set })
    }
}

impl RuleBase {
    /// Rules that were kept: with the files that were in force, and with these orders active.
    ///
    /// # Errors
    /// They do not fit this program.
    pub(crate) fn as_they_were(
        self: &Arc<Self>,
        applied: &[RuleFile],
        revision: u64,
        active: &[OrderId],
    ) -> Result<RuleSet, RuleErrors> {
        let set = self.with_applied_at(applied, revision)?;
        if set.active_orders().map(|order| &order.id).eq(active.iter()) {
            return Ok(set);
        }
        set.with_active(active).map_err(|refused| unusable("kept rules", &refused))
    }
}

/// The orders that are active as their files say, unless people said otherwise; in order of their ids.
fn switched(set: &RuleSet, switches: &BTreeMap<OrderId, bool>) -> Vec<OrderId> {
    let addenda: Vec<&OrderId> = set.orders.iter().filter_map(|order| order.addendum.as_ref()).collect();
    let mut active: Vec<OrderId> = set
        .orders
        .iter()
        .filter(|order| switches.get(&order.id).copied().unwrap_or(order.active))
        .map(|order| order.id.clone())
        .collect();
    // An order that was made active and is no longer there must not be lost in silence.
    let lost = switches
        .iter()
        .filter(|(id, is_active)| **is_active && set.order(id.as_str()).is_none() && !addenda.contains(id));
    active.extend(lost.map(|(id, _)| id.clone()));
    active
}

fn unusable(place: &str, refused: &OrderUnusable) -> RuleErrors {
    let remedy = match (place, refused) {
        ("muster orders activate", OrderUnusable::Unknown(id) | OrderUnusable::NotJudged { order: id, .. }) => {
            format!("; apply its file, or say `muster orders deactivate {id}`")
        }
        _ => String::new(),
    };
    RuleErrors::new(vec![RuleFault { file: place.to_owned(), line: 0, reason: format!("{refused}{remedy}") }])
}
