//! The rules: catalogue and orders. They are data files, embedded as defaults, with a directory as overlay.
//!
//! ```text
//! vendors/*.toml ──┐
//! states/*.toml ───┤
//! calendars/*.toml ┤
//! placeholders.toml ┤
//! catalogue/*.toml ┼─► TomlReader (keys, lines, faults) ─► product, vendor, order ─► catalogue (compiled) ─► RuleSet
//! orders/*.toml ───┘
//! ```
//!
//! A broken file is refused with file, line and reason, and the caller keeps the last valid set. Nothing here judges.

mod addendum;
mod applied;
mod attribution;
mod automaton;
mod calendar;
mod catalogue;
mod caution;
mod claim;
mod claimed;
mod clock;
mod closeness;
mod conflicts;
mod difference;
mod field_table;
mod fragment;
mod holiday;
mod identity;
mod index;
mod layer;
mod load;
mod milestone;
mod mojibake;
mod named_value;
mod order;
mod order_file;
mod orders;
mod overlay;
mod pack;
mod pattern;
mod pins;
mod placeholders;
mod prefilter;
mod product;
mod product_code;
mod recognised;
mod recogniser;
mod recurrence;
mod rule_fault;
mod samples;
mod script;
mod sign;
mod state;
mod subject;
#[cfg(test)]
pub(crate) mod test_overlay;
mod text;
mod toml_reader;
mod vendor;
mod watchlist;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{OrderId, Platform, ProductId, Watchlist};

pub use applied::AppliedOrders;
pub use calendar::Calendar;
pub use catalogue::{Catalogue, SignSeen};
pub use clock::{Clock, Per, Starts, Unit};
pub use difference::differences;
pub use layer::Layer;
pub use load::load;
pub use milestone::Milestone;
pub use order::{ConfirmRule, EmbeddedCode, Need, Order, ProtectionRule, Scope, StartsAt, Wording};
pub use pack::{PackError, RulePack};
pub use pins::Pins;
pub use placeholders::Placeholders;
pub use product::{DetectionContent, Product};
pub use recognised::{OtherVendor, Recognised};
pub use recogniser::{Recogniser, Strength};
pub use recurrence::{Every, Recurrence, Until};
pub use rule_fault::{RuleErrors, RuleFault};
pub use sign::{Freshness, Realtime, Sign};
pub use state::{Condition, StateReading};
pub use subject::Subject;
pub use vendor::Vendor;
pub use watchlist::day_of;
pub use zone::Zone;

pub(crate) use catalogue::shows_protection;

pub(crate) use addendum::{addendum_of, is_addendum};
pub(crate) use conflicts::conflicts;
pub(crate) use load::{RuleBase, assemble, embedded, order_id};
pub(crate) use order_file::SCAN_SPACING;
pub(crate) use orders::{file_id, order_faults};
pub(crate) use overlay::{
    FOLDERS, Overlay, OverlayLimits, late, listed, read_order_files, read_overlay, read_within, within,
};
pub(crate) use pack::{packed, sha256, unpacked};
pub(crate) use subject::folded_place;
pub(crate) use toml_reader::{Entries, RuleFile, TomlReader};
pub(crate) use watchlist::{is_limited, limited_kind};

/// The catalogue and the orders of one version.
#[derive(Debug, Clone)]
pub struct RuleSet {
    /// How products are recognised.
    pub catalogue: Catalogue,
    /// All orders, active or not, in order of their ids.
    pub orders: Vec<Order>,
    /// A short digest over all rule files, over how often applied orders were changed, and over which orders are active.
    pub version: String,
    /// How often applied orders were changed.
    pub revision: u64,
    /// Which orders the settings pin.
    pub pins: Pins,
    /// The layers below the applied orders.
    pub(crate) base: Arc<RuleBase>,
    /// The applied files that are in force.
    pub(crate) applied: Arc<Vec<RuleFile>>,
}

/// Why an order cannot be made active.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderUnusable {
    /// There is no order with this id.
    #[error("unknown order {0}")]
    Unknown(OrderId),
    /// It does not concern installed software, or the catalogue has none of its vendors.
    #[error("order {order} cannot be active: {reason}")]
    NotJudged {
        /// The order.
        order: OrderId,
        /// Why.
        reason: String,
    },
}

impl RuleSet {
    /// The watchlist for agents on Linux; see [`Self::watchlist_of`] for other platforms.
    #[must_use]
    pub fn watchlist(&self) -> Watchlist {
        self.watchlist_of(Platform::Linux)
    }

    /// The watchlist for agents on a platform.
    #[must_use]
    pub fn watchlist_of(&self, platform: Platform) -> Watchlist {
        watchlist::derive(&self.catalogue, platform)
    }

    /// The values that identify no machine.
    #[must_use]
    pub fn placeholders(&self) -> &Placeholders {
        self.base.placeholders()
    }

    /// The orders under which hosts are judged.
    pub fn active_orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.iter().filter(|order| order.active)
    }

    /// The shortest patience of all orders, active or not: times without a check-in that are longer are stored. So it is known which
    /// hosts were silent under an order that is active only later, or was before.
    #[must_use]
    pub fn shortest_patience(&self) -> Option<Duration> {
        self.orders.iter().map(|order| order.patience).min()
    }

    /// The order with this id.
    #[must_use]
    pub fn order(&self, id: &str) -> Option<&Order> {
        self.orders.iter().find(|order| order.id.as_str() == id)
    }

    /// The ids of all orders under which hosts can be judged.
    pub fn usable_orders(&self) -> impl Iterator<Item = &OrderId> {
        self.orders.iter().filter(|order| order.not_judged.is_none()).map(|order| &order.id)
    }

    /// The same rules with exactly these orders active.
    ///
    /// # Errors
    /// An id is unknown, or its order cannot be active.
    pub fn with_active(&self, ids: &[OrderId]) -> Result<Self, OrderUnusable> {
        for id in ids {
            let order = self.order(id.as_str()).ok_or_else(|| OrderUnusable::Unknown(id.clone()))?;
            if let Some(reason) = &order.not_judged {
                return Err(OrderUnusable::NotJudged { order: id.clone(), reason: reason.clone() });
            }
        }
        let mut set = self.clone();
        for order in &mut set.orders {
            order.active = ids.contains(&order.id);
        }
        // These rules may already have a suffix from this function, which the new one replaces.
        let files = self.version.split('+').next().unwrap_or(&self.version);
        let active: Vec<&str> = set.active_orders().map(|order| order.id.as_str()).collect();
        let active = muster_proto::model::Digest::of(active.join(" ").as_bytes()).short();
        set.version = format!("{files}+{}", &active[..6]);
        exclude(&set.catalogue, &mut set.orders, &set.version);
        Ok(set)
    }
}

/// The category of programs that run without being installed.
const TOOL: &str = "tool";

/// Excludes products that any active order covers from protection under every order, and sets the orders' version and what
/// else they take from the catalogue.
fn exclude(catalogue: &Catalogue, orders: &mut [Order], version: &str) {
    let mut excluded: BTreeMap<ProductId, Vec<OrderId>> = BTreeMap::new();
    for order in orders.iter().filter(|order| order.active) {
        let covered = |product: &&Product| Platform::ALL.iter().any(|platform| order.covers(product, *platform));
        for product in catalogue.products().iter().filter(covered) {
            excluded.entry(product.id.clone()).or_default().push(order.id.clone());
        }
    }
    let tools: BTreeSet<ProductId> =
        catalogue.products().iter().filter(|product| product.category == TOOL).map(|tool| tool.id.clone()).collect();
    for order in orders.iter_mut() {
        order.portable_tools.clone_from(&tools);
        order.protection.excluded.clone_from(&excluded);
        version.clone_into(&mut order.rules_version);
    }
}
