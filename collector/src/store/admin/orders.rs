//! Administrative operations on orders: files that people applied, orders that they made active or inactive, and the rule sets
//! that were in force.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_proto::model::{OrderId, Platform, SiteId, Timestamp};

use crate::ledger::entry::Entry;
use crate::store::sql::{AdminTx, Row, Step, StoreFault, Value};

const REVISION: &str = "SELECT revision FROM order_revision WHERE only_row = 1";
const ADVANCE: &str = "INSERT INTO order_revision (only_row, revision) VALUES (1, $1)
     ON CONFLICT (only_row) DO UPDATE SET revision = excluded.revision";
const FILES: &str = "SELECT id, sha256, size, packed, applied_at FROM applied_file ORDER BY id";
const SWITCHES: &str = "SELECT id, active FROM order_switch ORDER BY id";
const APPLY: &str = "INSERT INTO applied_file (id, sha256, size, packed, applied_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (id) DO UPDATE SET sha256 = excluded.sha256, size = excluded.size, packed = excluded.packed,
         applied_at = excluded.applied_at";
const REMOVE: &str = "DELETE FROM applied_file WHERE id = $1";
const SWITCH: &str = "INSERT INTO order_switch (id, active, changed_at) VALUES ($1, $2, $3)
     ON CONFLICT (id) DO UPDATE SET active = excluded.active, changed_at = excluded.changed_at";
const UNSWITCH: &str = "DELETE FROM order_switch WHERE id = $1";
const IS_KEPT: &str = "SELECT count(*) FROM rule_set WHERE version = $1";
const KEEP_PACK: &str =
    "INSERT INTO rule_pack (sha256, size, packed) VALUES ($1, $2, $3) ON CONFLICT (sha256) DO NOTHING";
const KEEP_SET: &str = "INSERT INTO rule_set (version, revision, shipped, overlay, applied, shortest, kept_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (version) DO NOTHING";
const KEEP_ORDER: &str =
    "INSERT INTO rule_order (version, order_id, patience, platforms, sites) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (version, order_id) DO NOTHING";
const ORDERS: &str = "SELECT order_id, patience, platforms, sites FROM rule_order WHERE version = $1 ORDER BY order_id";
const SET: &str =
    "SELECT version, revision, kept_at, shipped, overlay, applied, shortest FROM rule_set WHERE version = $1";
const PACK: &str = "SELECT sha256, size, packed FROM rule_pack WHERE sha256 = $1";
// Two sets may come in force in one millisecond; the later one has the greater revision.
const AT: &str = "SELECT p.version, p.from_at FROM rule_period p LEFT JOIN rule_set s ON s.version = p.version
     WHERE p.from_at <= $1 ORDER BY p.from_at DESC, coalesce(s.revision, 0) DESC, p.version LIMIT 1";

const COUNT_SETS: &str = "SELECT count(*) FROM rule_set";
/// The set in force stays, however long ago it was kept.
const PRUNE_SETS: &str = "DELETE FROM rule_set WHERE version IN
     (SELECT version FROM rule_set ORDER BY kept_at DESC, version LIMIT 100 OFFSET $1)
     AND version NOT IN (SELECT version FROM rules_in_force)";
const PRUNE_PERIODS: &str = "DELETE FROM rule_period WHERE version NOT IN (SELECT version FROM rule_set)";
const PRUNE_ORDERS: &str = "DELETE FROM rule_order WHERE version NOT IN (SELECT version FROM rule_set)";
const PRUNE_PACKS: &str = "DELETE FROM rule_pack WHERE sha256 NOT IN
     (SELECT shipped FROM rule_set UNION SELECT overlay FROM rule_set UNION SELECT applied FROM rule_set)";

/// Rule sets that are kept: at ten changes a day, those of three years. A set takes a kilobyte, and a pack with the changed files.
const MOST_SETS: u64 = 10_000;

/// A text that is stored compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) sha256: [u8; 32],
    /// Bytes of the text.
    pub(crate) size: u64,
    pub(crate) packed: Vec<u8>,
}

/// An applied file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredFile {
    pub(crate) id: OrderId,
    pub(crate) packed: Packed,
    pub(crate) applied_at: Timestamp,
}

/// What people applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoredOrders {
    /// Counts the changes.
    pub(crate) revision: u64,
    /// In order of their ids.
    pub(crate) files: Vec<StoredFile>,
    pub(crate) switches: BTreeMap<OrderId, bool>,
}

/// A change of what is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OrdersChange {
    /// Files of orders and addenda. Those of these addenda that were switched off are in force again.
    Apply { files: Vec<(OrderId, Packed)>, addenda: Vec<OrderId> },
    /// An order is active from now on, or an addendum in force; or it is not. With the SHA-256 of its file.
    Switch { id: OrderId, active: bool, sha256: [u8; 32] },
    /// An applied file is removed.
    Remove { id: OrderId, sha256: [u8; 32] },
}

/// An order that a rule set makes active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptOrder {
    pub(crate) id: OrderId,
    /// How long a host may be silent.
    pub(crate) patience: Duration,
    /// The platforms and sites to which it applies; empty means all.
    pub(crate) platforms: Vec<Platform>,
    pub(crate) sites: Vec<SiteId>,
}

/// A rule set that was in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptRules {
    pub(crate) version: String,
    pub(crate) revision: u64,
    /// The active orders, in order of their ids.
    pub(crate) active: Vec<KeptOrder>,
    /// The files of the binary, of the overlay, and those that were applied.
    pub(crate) packs: [Packed; 3],
    /// The shortest patience of all orders, active or not; `None` if there is no order.
    pub(crate) shortest: Option<Duration>,
    pub(crate) kept_at: Timestamp,
}

/// How many changes were made. It costs one row.
///
/// # Errors
/// The database fails.
pub(crate) fn revision(tx: &mut dyn AdminTx) -> Step<u64> {
    tx.query(REVISION, &[])?.first().map_or(Ok(0), |row| row.count(0))
}

/// What people applied.
///
/// # Errors
/// The database fails.
pub(crate) fn get(tx: &mut dyn AdminTx) -> Step<StoredOrders> {
    let mut stored = StoredOrders { revision: revision(tx)?, ..StoredOrders::default() };
    for row in tx.query(FILES, &[])? {
        stored.files.push(StoredFile {
            id: row.parse("an applied file", 0)?,
            packed: packed(&row, 1)?,
            applied_at: row.time(4)?,
        });
    }
    for row in tx.query(SWITCHES, &[])? {
        stored.switches.insert(row.parse("an order", 0)?, row.flag(1)?);
    }
    Ok(stored)
}

/// Changes what is applied, and announces it to every collector. `false` if somebody has changed it since `revision`.
///
/// # Errors
/// The database fails.
pub(crate) fn change(tx: &mut dyn AdminTx, before: u64, change: &OrdersChange, now: Timestamp) -> Step<bool> {
    if revision(tx)? != before {
        return Ok(false);
    }
    match change {
        OrdersChange::Apply { files, addenda } => {
            for (id, file) in files {
                let (hash, bytes) = (file.sha256.as_slice().into(), file.packed.as_slice().into());
                tx.execute(APPLY, &[id.as_str().into(), hash, file.size.cast_signed().into(), bytes, now.into()])?;
            }
            for id in addenda {
                tx.execute(UNSWITCH, &[id.as_str().into()])?;
            }
            let files = files.iter().map(|(id, file)| (id.clone(), hex(&file.sha256))).collect();
            tx.record(Entry::OrdersApplied { files });
        }
        OrdersChange::Switch { id, active, sha256 } => {
            tx.execute(SWITCH, &[id.as_str().into(), i64::from(*active).into(), now.into()])?;
            let (order, sha256) = (id.clone(), hex(sha256));
            tx.record(if *active {
                Entry::OrderActivated { order, sha256 }
            } else {
                Entry::OrderDeactivated { order, sha256 }
            });
        }
        OrdersChange::Remove { id, sha256 } => {
            tx.execute(REMOVE, &[id.as_str().into()])?;
            tx.execute(UNSWITCH, &[id.as_str().into()])?;
            tx.record(Entry::OrderRemoved { order: id.clone(), sha256: hex(sha256) });
        }
    }
    tx.execute(ADVANCE, &[(before + 1).cast_signed().into()])?;
    tx.announce_rules();
    Ok(true)
}

/// Keeps a rule set, before it comes in force.
///
/// # Errors
/// The database fails.
pub(crate) fn keep(tx: &mut dyn AdminTx, set: &KeptRules) -> Step<()> {
    let rows = tx.query(IS_KEPT, &[set.version.as_str().into()])?;
    if rows.first().map_or(Ok(0), |row| row.count(0))? > 0 {
        return Ok(());
    }
    let rows = tx.query(COUNT_SETS, &[])?;
    if rows.first().map_or(Ok(0), |row| row.count(0))? >= MOST_SETS {
        prune(tx, MOST_SETS)?;
    }
    for pack in &set.packs {
        let (hash, bytes) = (pack.sha256.as_slice().into(), pack.packed.as_slice().into());
        tx.execute(KEEP_PACK, &[hash, pack.size.cast_signed().into(), bytes])?;
    }
    let [shipped, overlay, applied] = &set.packs;
    let revision = set.revision.cast_signed().into();
    let hashes = [shipped, overlay, applied].map(|pack| pack.sha256.as_slice().into());
    let [shipped_hash, overlay_hash, applied_hash] = hashes;
    let version = set.version.as_str().into();
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let shortest = set.shortest.map_or(Value::Null, |span| millis(span).into());
    tx.execute(KEEP_SET, &[version, revision, shipped_hash, overlay_hash, applied_hash, shortest, set.kept_at.into()])?;
    for order in &set.active {
        let (platforms, sites) = (joined(&order.platforms), joined(&order.sites));
        let patience = millis(order.patience);
        let values = [version, order.id.as_str().into(), patience.into(), (&*platforms).into(), (&*sites).into()];
        tx.execute(KEEP_ORDER, &values)?;
    }
    tx.record(Entry::RulesKept {
        version: set.version.clone(),
        shipped: hex(&shipped.sha256),
        overlay: hex(&overlay.sha256),
        applied: hex(&applied.sha256),
    });
    Ok(())
}

/// Deletes at most 100 of the oldest rule sets beyond so many, and what only they had. The ledger keeps their hashes. The caller
/// records an entry in the same transaction.
///
/// # Errors
/// The database fails.
pub(crate) fn prune(tx: &mut dyn AdminTx, most: u64) -> Step<u64> {
    let pruned = tx.execute(PRUNE_SETS, &[most.cast_signed().into()])?;
    tx.execute(PRUNE_PERIODS, &[])?;
    tx.note_progress(PRUNE_ORDERS, &[])?;
    tx.execute(PRUNE_PACKS, &[])?;
    Ok(pruned)
}

/// The version of the rules that were in force at an instant, kept or not; `None` if none were.
///
/// # Errors
/// The database fails.
pub(crate) fn version_at(tx: &mut dyn AdminTx, at: Timestamp) -> Step<Option<String>> {
    tx.query(AT, &[at.into()])?.first().map(|row| row.text(0).map(ToOwned::to_owned)).transpose()
}

/// The rule set that was in force at an instant, and since when; `None` if none was, or if it was not kept.
///
/// # Errors
/// The database fails.
pub(crate) fn kept_at(tx: &mut dyn AdminTx, at: Timestamp) -> Step<Option<(KeptRules, Timestamp)>> {
    let Some(found) = tx.query(AT, &[at.into()])?.into_iter().next() else { return Ok(None) };
    let from = found.time(1)?;
    let Some(row) = tx.query(SET, &[found.text(0)?.into()])?.into_iter().next() else { return Ok(None) };
    let packs = [pack(tx, &row, 3)?, pack(tx, &row, 4)?, pack(tx, &row, 5)?];
    let orders = tx.query(ORDERS, &[found.text(0)?.into()])?;
    let set = KeptRules {
        version: row.text(0)?.to_owned(),
        revision: row.count(1)?,
        active: orders.iter().map(kept_order).collect::<Step<_>>()?,
        shortest: if row.is_null(6) { None } else { Some(Duration::from_millis(row.count(6)?)) },
        kept_at: row.time(2)?,
        packs,
    };
    Ok(Some((set, from)))
}

fn kept_order(row: &Row) -> Step<KeptOrder> {
    Ok(KeptOrder {
        id: row.parse("an order", 0)?,
        patience: Duration::from_millis(row.count(1)?),
        platforms: names(row, 2)?,
        sites: names(row, 3)?,
    })
}

/// Names of platforms or sites, with blanks between them: none of them has one.
fn joined<T: ToString>(names: &[T]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Names with blanks between them.
pub(super) fn names<T: std::str::FromStr>(row: &Row, at: usize) -> Step<Vec<T>>
where
    T::Err: std::fmt::Display,
{
    let parse = |name: &str| {
        name.parse().map_err(|error: T::Err| StoreFault::damaged("an order of a rule set", error.to_string()))
    };
    row.text(at)?.split(' ').filter(|name| !name.is_empty()).map(parse).collect()
}

fn pack(tx: &mut dyn AdminTx, set: &Row, at: usize) -> Step<Packed> {
    let hash: [u8; 32] = set.bytes(at)?;
    let rows = tx.query(PACK, &[hash.as_slice().into()])?;
    rows.first()
        .map_or_else(|| Err(StoreFault::damaged("a rule set", "one of its packs is missing")), |row| packed(row, 0))
}

/// Three columns from `at` on.
fn packed(row: &Row, at: usize) -> Step<Packed> {
    Ok(Packed { sha256: row.bytes(at)?, size: row.count(at + 1)?, packed: row.blob(at + 2)?.to_vec() })
}

fn hex(hash: &[u8; 32]) -> String {
    data_encoding::HEXLOWER.encode(hash)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    REVISION,
    ADVANCE,
    FILES,
    SWITCHES,
    APPLY,
    REMOVE,
    SWITCH,
    UNSWITCH,
    IS_KEPT,
    KEEP_PACK,
    KEEP_SET,
    KEEP_ORDER,
    ORDERS,
    SET,
    PACK,
    AT,
    COUNT_SETS,
    PRUNE_SETS,
    PRUNE_PERIODS,
    PRUNE_ORDERS,
    PRUNE_PACKS,
];
