//! Sealing the ledger: new entries become leaves of its tree, in order and without gaps.

use muster_proto::model::Timestamp;

use crate::ledger::leaf;
use crate::ledger::tree::{Hash, TreeState};
use crate::store::sql::{AdminTx, Row, Step, StoreFault, Value};

pub(in crate::store) const TREE: &str = "SELECT state, checkpoint, sealed_at FROM ledger_tree WHERE only_one = 1";
const NEXT: &str = "SELECT no, at, entry FROM ledger WHERE no > $1 ORDER BY no LIMIT $2";
const ANY_LEAF: &str = "SELECT no FROM ledger_leaf ORDER BY no LIMIT 1";
const LEAF: &str = "INSERT INTO ledger_leaf (no, hash) VALUES ($1, $2)";
const PUT: &str = "INSERT INTO ledger_tree (only_one, state, checkpoint, sealed_at) VALUES (1, $1, $2, $3)
     ON CONFLICT (only_one) DO UPDATE SET state = excluded.state, checkpoint = excluded.checkpoint,
         sealed_at = excluded.sealed_at";
/// Entries with the hashes under which they were sealed. PostgreSQL would read the hashes from the first on without a bound of their
/// own.
pub(in crate::store) const LEAVES: &str =
    "SELECT l.no, l.at, l.entry, f.hash FROM ledger l LEFT JOIN ledger_leaf f ON f.no = l.no AND f.no > $1
     WHERE l.no > $1 ORDER BY l.no LIMIT $2";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[TREE, NEXT, ANY_LEAF, LEAF, PUT, LEAVES];

/// Entries that one transaction seals: with the tree, fewer rows than it may change.
const PORTION: i64 = 400;

/// The ledger as it was sealed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedLedger {
    /// How many entries are sealed.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
    /// The signed note.
    pub checkpoint: String,
    /// When they were sealed.
    pub sealed_at: Timestamp,
}

/// An entry of the ledger as exports have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLeaf {
    /// Its number.
    pub no: u64,
    /// The line that the tree hashes.
    pub line: Vec<u8>,
    /// Its hash when it was sealed; `None` if it is not sealed yet.
    pub hash: Option<Hash>,
}

/// The key with which checkpoints are signed.
pub(crate) trait Signer {
    /// The signed checkpoint of a size and a root.
    fn sign(&self, size: u64, root: &Hash) -> String;
    /// The size and the root of a checkpoint; `None` if this key has not signed it.
    fn opened(&self, checkpoint: &str) -> Option<(u64, Hash)>;
}

/// Seals the next entries. Says whether more wait.
///
/// # Errors
/// The stored tree is not the one that was signed last, a number is missing, an entry cannot be a leaf, or the database fails.
pub(crate) fn seal(tx: &mut dyn AdminTx, signer: &dyn Signer, now: Timestamp) -> Step<bool> {
    let mut tree = signed_tree(tx, signer)?;
    let rows = tx.query(NEXT, &[tree.size().cast_signed().into(), PORTION.into()])?;
    if rows.is_empty() {
        return Ok(false);
    }
    let mut hashes = Vec::new();
    for row in &rows {
        let no = row.count(0)?;
        if no != tree.size() + 1 {
            let reason = format!("entry {} is not there, and entry {no} is", tree.size() + 1);
            return Err(StoreFault::damaged("the ledger", reason));
        }
        let line = leaf::line(no, row.time(1)?, row.text(2)?);
        let hash = leaf::sealable(&line)
            .map_err(|error| StoreFault::damaged(format!("ledger entry {no}"), error.to_string()))?;
        tree.append(hash);
        hashes.push((no, hash));
    }
    let lists: Vec<Vec<Value<'_>>> =
        hashes.iter().map(|(no, hash)| vec![no.cast_signed().into(), hash.0.as_slice().into()]).collect();
    tx.note_progress_each(LEAF, &lists)?;
    let checkpoint = signer.sign(tree.size(), &tree.root());
    tx.note_progress(PUT, &[tree.to_bytes().as_slice().into(), checkpoint.as_str().into(), now.into()])?;
    Ok(rows.len() as i64 == PORTION)
}

/// The tree that was signed last. What somebody has changed since is not signed again.
fn signed_tree(tx: &mut dyn AdminTx, signer: &dyn Signer) -> Step<TreeState> {
    let changed = |reason: &str| StoreFault::damaged("the sealed ledger", reason);
    let Some(sealed) = sealed(tx)? else {
        let is_empty = tx.query(ANY_LEAF, &[])?.is_empty();
        return if is_empty {
            Ok(TreeState::default())
        } else {
            Err(changed("its entries have hashes, and its tree is gone"))
        };
    };
    if signer.opened(&sealed.checkpoint) != Some((sealed.size, sealed.root)) {
        return Err(changed("its tree is not the one that was signed last"));
    }
    Ok(tree(tx)?.unwrap_or_default())
}

/// Whether any entry is not sealed yet.
///
/// # Errors
/// The stored tree is damaged, or the database fails.
pub(crate) fn is_pending(tx: &mut dyn AdminTx) -> Step<bool> {
    let sealed = tree(tx)?.unwrap_or_default().size();
    Ok(!tx.query(NEXT, &[sealed.cast_signed().into(), 1.into()])?.is_empty())
}

/// The ledger as it was sealed last; `None` before the first time.
///
/// # Errors
/// The stored tree is damaged, or the database fails.
pub(crate) fn sealed(tx: &mut dyn AdminTx) -> Step<Option<SealedLedger>> {
    let rows = tx.query(TREE, &[])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let tree = read(row)?;
    let (checkpoint, sealed_at) = (row.text(1)?.to_owned(), row.time(2)?);
    Ok(Some(SealedLedger { size: tree.size(), root: tree.root(), checkpoint, sealed_at }))
}

/// Entries after this number, in the order of their numbers.
///
/// # Errors
/// The database fails.
pub(crate) fn leaves(tx: &mut dyn AdminTx, after: u64, most: usize) -> Step<Vec<StoredLeaf>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    tx.query(LEAVES, &[after.cast_signed().into(), most.into()])?.iter().map(stored).collect()
}

fn stored(row: &Row) -> Step<StoredLeaf> {
    let no = row.count(0)?;
    let hash = if row.is_null(3) { None } else { Some(Hash(row.bytes(3)?)) };
    Ok(StoredLeaf { no, line: leaf::line(no, row.time(1)?, row.text(2)?), hash })
}

fn tree(tx: &mut dyn AdminTx) -> Step<Option<TreeState>> {
    tx.query(TREE, &[])?.first().map(read).transpose()
}

fn read(row: &Row) -> Step<TreeState> {
    TreeState::from_bytes(row.blob(0)?)
        .map_err(|error| StoreFault::damaged("the tree of the ledger", error.to_string()))
}
