//! What a change of orders changes, and the files of orders.

use super::{Lane, OrderId, Timestamp};

/// What differs of one order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OrderDifference {
    /// The order.
    pub order: OrderId,
    /// One line for each thing that differs: `patience: 7d → 3d`.
    pub lines: Vec<String>,
}

/// Hosts that would go from one lane to another under an order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LaneMove {
    /// The order.
    pub order: OrderId,
    /// The lane now; `None` if the hosts are not judged under the order, or are out of its scope.
    pub from: Option<Lane>,
    /// The lane afterwards; `None` likewise.
    pub to: Option<Lane>,
    /// How many hosts.
    pub hosts: u64,
}

/// The lanes that a change of the rules would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct LaneMoves {
    /// By order, lane now and lane afterwards.
    pub moves: Vec<LaneMove>,
    /// How many hosts would change lane under any order.
    pub moved_hosts: u64,
    /// How many hosts were judged.
    pub hosts: u64,
}

/// What a change of orders has changed, or would change.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OrdersChangeReport {
    /// What differs, order by order.
    pub differences: Vec<OrderDifference>,
    /// The version of the rules with the change.
    pub rules_version: String,
    /// Whether something was changed; `false` after a dry run.
    pub is_changed: bool,
    /// After a dry run, the lanes that would change; otherwise empty.
    #[serde(flatten)]
    pub lanes: LaneMoves,
}

/// A file of an order or an addendum.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OrderFile {
    /// What faults call it: its path, or `shipped/orders/ID.toml`.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The SHA-256 of the text in hex; empty in requests.
    pub sha256: String,
}

/// The files of an order and its addendum as they were in force.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OrderFilesReport {
    /// The order's file first.
    pub files: Vec<OrderFile>,
    /// The version of the rules that had them.
    pub rules_version: String,
    /// Since when that version was in force.
    pub from: Timestamp,
    /// Whether the order was active.
    pub active: bool,
}
