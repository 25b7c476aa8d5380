//! Actions on orders: apply files, activate, deactivate, remove. Each is checked exactly as the collectors check it before they
//! put it in force; what has a fault changes nothing.

use std::sync::Arc;

use muster_proto::limits;
use muster_proto::model::{OrderDifference, OrderId, Timestamp};

use super::{ActionError, Caller};
use crate::rules::{self, AppliedOrders, Pins, RuleErrors, RuleFault, RuleFile, RulePack, RuleSet};
use crate::store::admin::orders::{OrdersChange, Packed, StoredOrders};
use crate::store::{Store, StoreError, admin};

/// How often an action begins again because somebody else was faster.
const ATTEMPTS: usize = 5;

/// What an action on orders asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrdersAsked {
    /// Files: what faults call them, and their texts.
    Apply(Vec<(String, String)>),
    /// An order becomes active, or an addendum in force.
    Activate(OrderId),
    /// An order becomes inactive, or an addendum is no longer in force.
    Deactivate(OrderId),
    /// An applied file is removed; the rule sets that had it stay.
    Remove(OrderId),
}

/// What an action on orders has changed, or would change.
#[derive(Debug, Clone)]
pub struct OrdersChanged {
    /// The rules with the change.
    pub rules: Arc<RuleSet>,
    /// What differs from the rules before, order by order.
    pub differences: Vec<OrderDifference>,
}

/// What people applied, as it is stored.
///
/// # Errors
/// The store fails, or an applied file is damaged.
pub async fn applied_orders(store: &dyn Store) -> Result<AppliedOrders, ActionError> {
    read(admin::read(store, "orders_get", admin::orders::get).await?)
}

/// How often what is applied was changed.
///
/// # Errors
/// The store fails.
pub async fn orders_revision(store: &dyn Store) -> Result<u64, StoreError> {
    admin::read(store, "orders_revision", admin::orders::revision).await
}

fn read(stored: StoredOrders) -> Result<AppliedOrders, ActionError> {
    let mut applied =
        AppliedOrders { revision: stored.revision, switches: stored.switches, ..AppliedOrders::default() };
    for file in stored.files {
        let Packed { sha256, size, packed } = file.packed;
        let text = rules::unpacked(&packed, size, &sha256).map_err(ActionError::Pack)?;
        applied.put(&file.id, &text, &format!("applied/{}.toml", file.id));
    }
    Ok(applied)
}

/// Changes orders, unless it is only asked what would change. `in_force` are the rules of this collector, whose binary, overlay
/// and settings the change is checked with.
///
/// # Errors
/// A file has a fault, a limit is exceeded, the settings pin the active orders, nothing would change, or the store fails.
/// Nothing was changed then.
pub async fn orders_change(
    store: &dyn Store,
    caller: &Caller,
    in_force: &RuleSet,
    asked: &OrdersAsked,
    is_dry_run: bool,
    now: Timestamp,
) -> Result<OrdersChanged, ActionError> {
    refuse_pinned(in_force, asked)?;
    for _ in 0..ATTEMPTS {
        let before = applied_orders(store).await?;
        let (after, change) = changed(&before, in_force, asked)?;
        let (base, pins) = (Arc::clone(&in_force.base), in_force.pins.clone());
        // Another collector may have changed them just now, so `in_force` is not what to compare with.
        let compiled = tokio::task::spawn_blocking(move || {
            let rules = base.rules(&after, &pins)?;
            // If what is applied has a fault already, every order counts as added.
            let differences = base.rules(&before, &pins).map(|before| rules::differences(&before, &rules));
            Ok((before.revision, rules, differences.unwrap_or_default()))
        });
        let compiled =
            compiled.await.map_err(|_| ActionError::Store(StoreError::Closed { operation: "orders_change" }))?;
        let (revision, rules, differences) = compiled.map_err(ActionError::Orders)?;
        let done = OrdersChanged { rules: Arc::new(rules), differences };
        if is_dry_run {
            return Ok(done);
        }
        let write = move |tx: &mut dyn admin::AdminTx| admin::orders::change(tx, revision, &change, now);
        if admin::write(store, "orders_change", caller.acting(now), write).await? {
            return Ok(done);
        }
    }
    Err(ActionError::OrdersBusy)
}

/// Refuses to switch orders where the settings pin the active ones.
fn refuse_pinned(in_force: &RuleSet, asked: &OrdersAsked) -> Result<(), ActionError> {
    let (OrdersAsked::Activate(id) | OrdersAsked::Deactivate(id)) = asked else { return Ok(()) };
    let is_addendum = in_force.orders.iter().any(|order| order.addendum.as_ref() == Some(id));
    if in_force.pins == Pins::None || is_addendum || in_force.order(id.as_str()).is_none() {
        return Ok(());
    }
    Err(ActionError::OrdersPinned)
}

/// What is applied after a change, and the change as the store does it.
fn changed(
    before: &AppliedOrders,
    in_force: &RuleSet,
    asked: &OrdersAsked,
) -> Result<(AppliedOrders, OrdersChange), ActionError> {
    let mut after = AppliedOrders { revision: before.revision + 1, ..before.clone() };
    let change = match asked {
        OrdersAsked::Apply(files) => {
            let files = apply(&mut after, files)?;
            let is_of_addendum = |id: &&OrderId| after.file(id).is_some_and(rules::is_addendum);
            let addenda = files.iter().map(|(id, _)| id).filter(is_of_addendum).cloned().collect();
            OrdersChange::Apply { files, addenda }
        }
        OrdersAsked::Activate(id) | OrdersAsked::Deactivate(id) => {
            let active = matches!(asked, OrdersAsked::Activate(_));
            let sha256 = switchable(before, in_force, id, active)?;
            after.switches.insert(id.clone(), active);
            OrdersChange::Switch { id: id.clone(), active, sha256 }
        }
        OrdersAsked::Remove(id) => {
            let file = before.file(id).ok_or_else(|| ActionError::NotApplied { id: id.clone() })?;
            after.remove(id);
            OrdersChange::Remove { id: id.clone(), sha256: rules::sha256(file.text.as_bytes()) }
        }
    };
    Ok((after, change))
}

fn apply(after: &mut AppliedOrders, files: &[(String, String)]) -> Result<Vec<(OrderId, Packed)>, ActionError> {
    let mut applied: Vec<(OrderId, Packed)> = Vec::new();
    let mut faults = Vec::new();
    for (place, text) in files {
        let mut fault = |reason: String| faults.push(RuleFault { file: place.clone(), line: 1, reason });
        if text.len() as u64 > limits::RULE_FILE_BYTES {
            fault(format!("has more than {} bytes, which is the most that an order may have", limits::RULE_FILE_BYTES));
            continue;
        }
        let (folder, name) = ("orders".to_owned(), String::new());
        let file = RuleFile { folder, name, place: place.clone(), text: text.clone() };
        let Some(id) = rules::file_id(&file) else {
            // A file that is not valid TOML has faults that say more.
            let found = rules::order_faults(&file);
            if found.is_empty() {
                fault("`id`: the file has no valid id; give it one such as \"acme-no-example\"".to_owned());
            }
            faults.extend(found);
            continue;
        };
        if applied.iter().any(|(other, _)| *other == id) {
            fault(format!("`id`: another of these files has the id {:?}, too", id.as_str()));
            continue;
        }
        let (sha256, packed) = rules::packed(text.as_bytes()).map_err(ActionError::Pack)?;
        after.apply(&id, text, place);
        applied.push((id, Packed { sha256, size: text.len() as u64, packed }));
    }
    if !faults.is_empty() {
        return Err(ActionError::Orders(RuleErrors::new(faults)));
    }
    let bytes: usize = after.files.iter().map(|file| file.text.len()).sum();
    if after.files.len() > limits::APPLIED_FILES || bytes > limits::APPLIED_BYTES {
        return Err(ActionError::TooManyOrders { files: after.files.len(), bytes });
    }
    Ok(applied)
}

/// The SHA-256 of the file of an order or an addendum that can be switched.
fn switchable(before: &AppliedOrders, in_force: &RuleSet, id: &OrderId, active: bool) -> Result<[u8; 32], ActionError> {
    let state = |is_active: bool| {
        if is_active == active { Err(ActionError::AlreadySwitched { id: id.clone(), active }) } else { Ok(()) }
    };
    if let Some(file) = before.file(id) {
        if rules::is_addendum(file) {
            state(before.switches.get(id).copied().unwrap_or(true))?;
        } else if let Some(order) = in_force.order(id.as_str()) {
            state(before.switches.get(id).copied().unwrap_or(order.active))?;
        }
        return Ok(rules::sha256(file.text.as_bytes()));
    }
    let Some(order) = in_force.order(id.as_str()) else {
        // What was activated and is gone can be deactivated.
        return match before.switches.get(id) {
            Some(true) if !active => Ok([0; 32]),
            _ => Err(ActionError::NoOrder { id: id.clone() }),
        };
    };
    // The rules in force follow a switch only a moment later.
    state(before.switches.get(id).copied().unwrap_or(order.active))?;
    Ok(order.file_sha256)
}

impl From<&RulePack> for Packed {
    fn from(pack: &RulePack) -> Self {
        Self { sha256: pack.sha256, size: pack.size, packed: pack.packed.clone() }
    }
}
