//! The methods of FleetService about the sealed ledger.

use bytes::Bytes;
use muster_proto::wire;
use tonic::Response;

use super::fleet::{Answer, Fleet, rows};
use crate::actions::Caller;

impl Fleet {
    pub(super) async fn checkpoint(&self, caller: &Caller) -> Answer<wire::GetCheckpointResponse> {
        let (sealed, verifier_key) = self.or_status(self.context(caller).checkpoint().await)?;
        let verifier_key = verifier_key.unwrap_or_default();
        Ok(Response::new(match sealed {
            Some(sealed) => wire::GetCheckpointResponse {
                note: sealed.checkpoint,
                size: sealed.size,
                sealed_ms: sealed.sealed_at.millis(),
                verifier_key,
            },
            None => wire::GetCheckpointResponse { verifier_key, ..Default::default() },
        }))
    }

    pub(super) async fn leaf_list(
        &self,
        caller: &Caller,
        request: wire::ListLeavesRequest,
    ) -> Answer<wire::ListLeavesResponse> {
        let leaves = self.context(caller).leaves(request.after, rows(request.page_rows)?).await;
        let leaf = |leaf: crate::store::StoredLeaf| wire::LedgerLeaf {
            number: leaf.no,
            line: leaf.line.into(),
            hash: leaf.hash.map(|hash| Bytes::copy_from_slice(&hash.0)).unwrap_or_default(),
        };
        let leaves = self.or_status(leaves)?.into_iter().map(leaf).collect();
        Ok(Response::new(wire::ListLeavesResponse { leaves }))
    }
}
