//! Which orders the settings make active, whatever their files and people say.

use muster_proto::model::OrderId;

/// Which orders the settings pin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Pins {
    /// None: an order is active as its file and people say.
    #[default]
    None,
    /// Every order that can be judged is active.
    All,
    /// Exactly these are active.
    Only(Vec<OrderId>),
}
