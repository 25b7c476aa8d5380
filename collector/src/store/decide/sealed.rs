//! The check of a sealed ledger: its entries against the hashes under which they were sealed, and these against the tree.

use std::ops::ControlFlow;

use muster_proto::model::Timestamp;

use crate::attestation::VerifierKey;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::leaf;
use crate::ledger::tree::{Hash, TreeState};
use crate::ledger::verify::Verifier;

/// A check, which takes every entry from the first.
#[derive(Debug)]
pub(in crate::store) struct SealedCheck(Verifier, Option<String>);

impl SealedCheck {
    /// Begins with the newest checkpoint and the key that verifies it, where the store has them.
    pub(in crate::store) fn new(checkpoint: Option<&str>, key: Option<&str>) -> Self {
        let Some((checkpoint, key)) = checkpoint.zip(key) else { return Self(Verifier::new([]), None) };
        let opened = key.parse::<VerifierKey>().ok().map(|key| Checkpoint::open(checkpoint.as_bytes(), &key));
        match opened {
            Some(Ok(opened)) => Self(Verifier::new([opened]), None),
            Some(Err(error)) => Self(Verifier::new([]), Some(format!("the checkpoint of the ledger: {error}"))),
            None => Self(Verifier::new([]), Some("the verifier key of the store cannot be read".to_owned())),
        }
    }

    /// Takes an entry; `Break` if no further one can be checked.
    pub(in crate::store) fn feed(
        &mut self,
        no: i64,
        at: Timestamp,
        entry: &str,
        hash: Option<[u8; 32]>,
    ) -> ControlFlow<()> {
        let no = no.unsigned_abs();
        self.0.feed(no, &leaf::line(no, at, entry), hash.map(Hash).as_ref())
    }

    /// What is wrong; `tree` is the stored form of the tree, `None` before the first entry was sealed.
    pub(in crate::store) fn faults(self, tree: Option<&[u8]>) -> Vec<String> {
        let report = self.0.finish();
        let mut faults: Vec<String> = report.faults.iter().map(|fault| format!("the ledger: {fault}")).collect();
        faults.extend(self.1);
        match tree.map(TreeState::from_bytes).transpose() {
            Ok(tree) => {
                let tree = tree.unwrap_or_default();
                if faults.is_empty() && (tree.size(), tree.root()) != (report.sealed, report.root) {
                    faults.push("the ledger: the hashes of its entries are not those of its tree".to_owned());
                }
            }
            Err(error) => faults.push(format!("the tree of the ledger is damaged: {error}")),
        }
        faults
    }
}
