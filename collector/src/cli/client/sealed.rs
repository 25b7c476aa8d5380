//! The sealed ledger, asked of the collector.

use muster_proto::model::Timestamp;
use muster_proto::wire;

use super::{Client, refused};

/// The newest checkpoint of a collector.
pub(in crate::cli) struct NewestCheckpoint {
    /// The signed note; empty before the first entry was sealed.
    pub(in crate::cli) note: String,
    pub(in crate::cli) size: u64,
    pub(in crate::cli) sealed: Timestamp,
    /// The key that verifies it, as the collector says.
    pub(in crate::cli) verifier_key: String,
}

/// An entry as the tree hashes it.
pub(in crate::cli) struct Leaf {
    pub(in crate::cli) number: u64,
    pub(in crate::cli) line: Vec<u8>,
    /// Its hash when it was sealed.
    pub(in crate::cli) hash: Option<[u8; 32]>,
}

impl Client {
    pub(in crate::cli) async fn checkpoint(&mut self) -> anyhow::Result<NewestCheckpoint> {
        let answer = self.inner.get_checkpoint(wire::GetCheckpointRequest {}).await.map_err(refused)?.into_inner();
        let wire::GetCheckpointResponse { note, size, sealed_ms, verifier_key } = answer;
        Ok(NewestCheckpoint { note, size, sealed: Timestamp::from_millis(sealed_ms), verifier_key })
    }

    /// The entries after this number; none after the last.
    pub(in crate::cli) async fn leaves(&mut self, after: u64) -> anyhow::Result<Vec<Leaf>> {
        let request = wire::ListLeavesRequest { after, page_rows: 0 };
        let answer = self.inner.list_leaves(request).await.map_err(refused)?.into_inner();
        let leaf = |leaf: wire::LedgerLeaf| Leaf {
            number: leaf.number,
            line: leaf.line.to_vec(),
            hash: leaf.hash.as_ref().try_into().ok(),
        };
        Ok(answer.leaves.into_iter().map(leaf).collect())
    }
}
