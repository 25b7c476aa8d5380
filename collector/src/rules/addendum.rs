//! An addendum: what an organisation adds to an order that is not its own. It may be stricter with itself, and it may say
//! for which of its hosts the order is; it cannot change what the order says.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_proto::model::{Label, OrderId, Platform, ProductId, SiteId};
use muster_proto::suggest::did_you_mean;

use super::catalogue::Catalogue;
use super::layer::Layered;
use super::milestone::{self, Milestone};
use super::order::Order;
use super::order_file::patience;
use super::toml_reader::{Entries, RuleFile, TomlReader};
use super::zone::Zone;

/// What an addendum may set, for faults.
const MAY_SET: &str = "An addendum may set `milestone`, `due`, `scope.platforms`, `scope.sites`, `scope.labels`, `protection.approved` and `patience_days`";

/// Keys of an order that an addendum must not have, with what they would change.
const FIXED: &[(&str, &str)] = &[
    ("title", "the text of the order"),
    ("issuer", "the text of the order"),
    ("jurisdiction", "the text of the order"),
    ("binding", "the legal force of the order"),
    ("citation", "the citation of the order"),
    ("confirmed", "what of the order is confirmed"),
    ("unconfirmed", "what of the order is confirmed"),
    ("sources", "the sources of the order"),
    ("wording", "the text of the order"),
    ("penalties", "the text of the order"),
    ("not_a_violation", "the text of the order"),
    ("sunset", "the text of the order"),
    ("legal_basis", "the text of the order"),
    ("exemptions", "the text of the order"),
    ("applies_to", "the text of the order"),
    ("product_classes", "the text of the order"),
    ("vendor_names", "the text of the order"),
    ("device_classes", "the text of the order"),
    ("services", "the text of the order"),
    ("zone", "the dates of the order, whose time zone its own dates have too"),
    ("calendar", "the dates of the order"),
    ("clock", "the duties of the order"),
    ("recurring", "the duties of the order"),
    ("prohibits", "what the order prohibits"),
    ("embedded_code", "what the order prohibits"),
    ("confirm", "when a removal is proven"),
    ("needs", "what a judgement needs"),
    ("not_judged", "whether the order can be judged"),
    ("active", "whether the order is active (`muster orders activate ID` does)"),
    ("replaces", "which file the order is in"),
];

/// What an organisation adds to an order. What it does not set stays as the order has it.
#[derive(Debug, Clone)]
pub(super) struct Addendum {
    pub(super) id: OrderId,
    /// The order to which it belongs.
    pub(super) order: OrderId,
    milestones: Vec<Milestone>,
    due: Option<String>,
    limits: Limits,
    approved: Vec<ProductId>,
    patience: Option<Duration>,
}

/// Whether a file says that it is an addendum.
pub(crate) fn is_addendum(file: &RuleFile) -> bool {
    // Its faults are found when it is read with its order.
    TomlReader::read(file, |entries| entries.flag("addendum")).0 == Some(true)
}

/// The order to which an addendum belongs; `None` if the file is none, or names no order.
pub(crate) fn addendum_of(file: &RuleFile) -> Option<OrderId> {
    if !is_addendum(file) {
        return None;
    }
    OrderId::new(TomlReader::read(file, |entries| entries.text("order")).0?.value).ok()
}

/// Reads an addendum; `orders` are those that it may belong to.
pub(super) fn read(
    entries: &mut Entries<'_, '_>,
    orders: &BTreeMap<String, Layered<Order>>,
    catalogue: &Catalogue,
) -> Option<Addendum> {
    entries.flag("addendum");
    entries.text("note");
    let id = entries.required("id");
    let id_line = id.line;
    let id = OrderId::new(id.value).map_err(|error| entries.fault(id_line, format!("`id`: {error}"))).ok();
    if id.as_ref().is_some_and(|id| orders.contains_key(id.as_str())) {
        entries.fault(id_line, "`id`: an order has this id; give the addendum one of its own");
    }
    let named = entries.required("order");
    let order = orders.get(&named.value).map(|order| &order.value);
    if order.is_none() && !named.value.is_empty() {
        let near = did_you_mean(&named.value, orders.keys().map(String::as_str));
        let reason = format!("`order`: there is no order {:?}{near}; `muster orders --all` lists them", named.value);
        entries.fault(named.line, reason);
    }
    refuse(entries, FIXED, "");
    let (milestones, due) = dates(entries, order);
    let limits = entries.table("scope", |table| scope(table, order)).unwrap_or_default();
    let approved = entries.table("protection", |table| protection(table, order, catalogue)).unwrap_or_default();
    let patience = patience(entries);
    // Before this a key may be missing that other faults are about.
    let (id, order) = (id?, order?.id.clone());
    Some(Addendum { id, order, milestones, due, limits, approved, patience })
}

/// Notes a fault for each key that an addendum must not have.
fn refuse(entries: &mut Entries<'_, '_>, keys: &[(&str, &str)], table: &str) {
    for (key, what) in keys {
        if let Some(line) = entries.line_of(key) {
            let reason = format!("`{table}{key}`: an addendum cannot change {what}; remove the key. {MAY_SET}");
            entries.fault(line, reason);
        }
    }
}

/// Its own milestones, and which of them is its due one.
fn dates(entries: &mut Entries<'_, '_>, order: Option<&Order>) -> (Vec<Milestone>, Option<String>) {
    let zone = order.map_or_else(Zone::default, |order| order.zone.clone());
    let read = entries.tables("milestone", |table| (table.line(), milestone::read(table, &zone)));
    let milestones = milestone::each_once(entries, read);
    for (line, own) in &milestones {
        if order.is_some_and(|order| order.milestones.iter().any(|legal| legal.id == own.id)) {
            let reason = format!(
                "`id`: the order has a milestone {:?}, and an addendum cannot move a date of the order; give your own \
                 milestone another id",
                own.id
            );
            entries.fault(*line, reason);
        }
        if let Some(legal) = order.and_then(Order::legal_due_milestone).filter(|legal| own.reached >= legal.reached) {
            let reason = format!(
                "`at`: a milestone of an addendum must be reached before the order's due date, {}; this one is reached at {}",
                legal.reached, own.reached
            );
            entries.fault(*line, reason);
        }
    }
    let milestones: Vec<Milestone> = milestones.into_iter().map(|(_, milestone)| milestone).collect();
    let due = entries.text("due");
    if let Some(due) = due.as_ref().filter(|due| !milestones.iter().any(|milestone| milestone.id == due.value)) {
        let reason = format!("`due`: the addendum has no milestone {:?}; name one of its own", due.value);
        entries.fault(due.line, reason);
    }
    (milestones, due.map(|due| due.value))
}

/// The hosts to which an addendum limits its order; an empty list limits nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Limits {
    platforms: Vec<Platform>,
    sites: Vec<SiteId>,
    labels: Vec<Label>,
}

/// The platforms, sites and labels to which it limits the order.
fn scope(entries: &mut Entries<'_, '_>, order: Option<&Order>) -> Limits {
    let products = "which products the order covers";
    refuse(
        entries,
        &[("vendors", products), ("families", products), ("products", products), ("exempt", products)],
        "scope.",
    );
    let (platforms_line, sites_line) = (entries.line_of("platforms"), entries.line_of("sites"));
    let (platforms, sites): (Vec<Platform>, Vec<SiteId>) = (entries.names("platforms"), entries.ids("sites"));
    let labels_line = entries.line_of("labels");
    let labels: Vec<Label> = entries.ids("labels");
    if let Some(order) = order {
        let outside = |what: String, line: Option<usize>| {
            let reason = format!("`scope`: the order does not apply to {what}, so an addendum cannot limit it to that");
            entries.fault(line.unwrap_or_else(|| entries.line()), reason);
        };
        let of_order = &order.scope.platforms;
        for platform in platforms.iter().filter(|platform| !of_order.is_empty() && !of_order.contains(platform)) {
            outside(format!("the platform {platform}"), platforms_line);
        }
        let of_order = &order.scope.sites;
        for site in sites.iter().filter(|site| !of_order.is_empty() && !of_order.contains(site)) {
            outside(format!("the site {site}"), sites_line);
        }
        let of_order = &order.scope.labels;
        for label in labels.iter().filter(|label| !of_order.is_empty() && !of_order.contains(label)) {
            outside(format!("hosts with the label {label}"), labels_line);
        }
    }
    Limits { platforms, sites, labels }
}

/// The products that it accepts as protection.
fn protection(entries: &mut Entries<'_, '_>, order: Option<&Order>, catalogue: &Catalogue) -> Vec<ProductId> {
    let required = "which protection the order requires";
    refuse(entries, &[("required", required), ("platforms", required), ("categories", required)], "protection.");
    let line = entries.line_of("approved").unwrap_or_else(|| entries.line());
    let approved: Vec<ProductId> = entries.ids("approved");
    let of_order = order.map(|order| order.protection.approved.as_slice()).unwrap_or_default();
    for id in &approved {
        let covers = |order: &Order, product| Platform::ALL.iter().any(|platform| order.covers(product, *platform));
        let reason = match catalogue.product(id) {
            None => {
                let near = did_you_mean(id.as_str(), catalogue.products().iter().map(|product| product.id.as_str()));
                format!("the catalogue has no product {id}{near}; `muster catalogue list` lists them")
            }
            Some(product) if order.is_some_and(|order| covers(order, product)) => {
                format!("the order prohibits {id}, so an addendum cannot accept it as protection")
            }
            Some(_) if !of_order.is_empty() && !of_order.contains(id) => {
                format!("the order does not accept {id}; an addendum can only accept fewer products")
            }
            Some(_) => continue,
        };
        entries.fault(line, format!("`protection.approved`: {reason}"));
    }
    approved
}

impl Addendum {
    /// Changes the order to which it belongs.
    pub(super) fn amend(self, order: &mut Order) {
        order
            .milestones
            .extend(self.milestones.into_iter().map(|own| Milestone { addendum: Some(self.id.clone()), ..own }));
        order.own_due = self.due;
        let Limits { platforms, sites, labels } = self.limits;
        if !platforms.is_empty() {
            order.scope.platforms = platforms;
        }
        if !sites.is_empty() {
            order.scope.sites = sites;
        }
        if !labels.is_empty() {
            order.scope.labels = labels;
        }
        if !self.approved.is_empty() {
            order.protection.approved = self.approved;
        }
        if let Some(patience) = self.patience {
            order.patience = patience;
        }
        order.addendum = Some(self.id);
    }
}

#[cfg(test)]
mod tests;
