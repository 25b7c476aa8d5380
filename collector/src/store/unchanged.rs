//! When a check-in changes nothing that is stored or judged, so that it need not wait for the database.

use std::time::Duration;

use muster_proto::model::{Digest, HostFacts, HostState, Timestamp};

/// After this long an unchanged snapshot is judged again when the host checks in.
const JUDGED_AGAIN: Duration = Duration::from_secs(24 * 3600);

/// Whether a judgement is so old that an unchanged snapshot is worth another: signatures age, and a removal is proven by
/// snapshots that are a day apart.
pub(in crate::store) fn is_old(judged_at: Option<Timestamp>, now: Timestamp) -> bool {
    judged_at.is_some_and(|judged_at| now.since(judged_at) >= JUDGED_AGAIN)
}

/// Names facts, to see that they have not changed.
pub(in crate::store) fn facts_key(facts: &HostFacts) -> Digest {
    Digest::of(format!("{facts:?}").as_bytes())
}

/// Names a state, to see that it has not changed.
pub(in crate::store) fn state_key(state: &HostState) -> Digest {
    Digest::of(format!("{state:?}").as_bytes())
}
