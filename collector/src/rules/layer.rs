//! Where a rule file comes from: the binary, the overlay directory, or people who applied it.

use std::collections::BTreeMap;

use super::rule_fault::RuleFault;

/// The layer of a rule file. A later one is laid over those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Part of the binary.
    Shipped,
    /// In the overlay directory.
    Overlay,
    /// Applied with `muster orders apply`, and kept in the store.
    Applied,
}

impl Layer {
    /// `shipped`, `overlay` or `applied`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Overlay => "overlay",
            Self::Applied => "applied",
        }
    }
}

/// What was read from a rule file.
#[derive(Debug, Clone)]
pub(super) struct Layered<T> {
    pub(super) value: T,
    /// The file, as faults name it.
    pub(super) file: String,
    pub(super) layer: Layer,
}

/// Adds an item under its id. A later layer replaces what an earlier one has under this id; the same id twice in one layer
/// is a fault.
pub(super) fn keep<T>(
    kept: &mut BTreeMap<String, Layered<T>>,
    faults: &mut Vec<RuleFault>,
    id: String,
    item: Layered<T>,
) {
    // A missing id is a fault already.
    if id.is_empty() {
        return;
    }
    if let Some(other) = kept.get(&id).filter(|other| other.layer == item.layer) {
        let reason = format!("{} has the same id {id:?}", other.file);
        faults.push(RuleFault { file: item.file, line: 1, reason });
        return;
    }
    kept.insert(id, item);
}
