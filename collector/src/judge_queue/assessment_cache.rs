//! The assessment cache: snapshots, hits, state keys and assessments of recent batches, each bounded by an LRU list. The
//! store has the snapshots and the hits; assessments and state keys are computed again when they are not cached.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use muster_proto::model::{Assessment, Digest, HostState, Snapshot, Timestamp};

use crate::judge::{self, Hit, StateKey};
use crate::rules::{Catalogue, RuleSet};
use crate::store::{QueuedHost, Store, StoreError};

const SNAPSHOTS: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
const SECTIONS: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();
const ASSESSMENTS: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
const STATES: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// A snapshot with the hits of all its sections.
pub(super) struct SnapshotHits {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) hits: Vec<Hit>,
}

/// The assessments of one snapshot and state key, under every active order.
type Assessments = Arc<Vec<Assessment>>;

/// The cache; see the module's documentation.
pub(super) struct AssessmentCache {
    rules_version: String,
    snapshots: LruCache<Digest, Arc<Snapshot>>,
    hits: LruCache<Digest, Arc<Vec<Hit>>>,
    assessments: LruCache<(Digest, Digest), Assessments>,
    states: LruCache<Digest, StateKey>,
}

impl Default for AssessmentCache {
    fn default() -> Self {
        Self {
            rules_version: String::new(),
            snapshots: LruCache::new(SNAPSHOTS),
            hits: LruCache::new(SECTIONS),
            assessments: LruCache::new(ASSESSMENTS),
            states: LruCache::new(STATES),
        }
    }
}

impl AssessmentCache {
    /// Whether the cache was filled under another version of the rules.
    pub(super) fn is_outdated(&self, rules_version: &str) -> bool {
        self.rules_version != rules_version
    }

    /// Forgets everything that depends on rules, and continues under this version.
    pub(super) fn restart(&mut self, rules_version: &str) {
        rules_version.clone_into(&mut self.rules_version);
        // Snapshots do not depend on rules, so they are kept.
        self.hits.clear();
        self.assessments.clear();
        self.states.clear();
    }

    /// The state key of a state that was received at this time. Machines of one image share few states.
    pub(super) fn state_key(&mut self, catalogue: &Catalogue, state: &HostState, received: Timestamp) -> Digest {
        let content = judge::state_content(state);
        if let Some(cached) = self.states.get(&content).filter(|key| key.holds(received)) {
            return cached.digest;
        }
        let key = judge::state_key(catalogue, state, received);
        self.states.put(content, key);
        key.digest
    }

    /// Loads all that is needed to judge these hosts. Returns the hits of sections that had none under these rules yet.
    /// Snapshots and sections that cannot be read are logged and left out.
    pub(super) async fn load(
        &mut self,
        store: &dyn Store,
        rules: &Arc<RuleSet>,
        hosts: &[QueuedHost],
    ) -> Result<BTreeMap<Digest, Vec<Hit>>, StoreError> {
        let snapshots: BTreeSet<Digest> =
            hosts.iter().filter_map(|host| host.snapshot.map(|(digest, _)| digest)).collect();
        let mut sections = BTreeSet::new();
        for digest in snapshots {
            if !self.snapshots.contains(&digest) {
                match store.snapshot_get(digest).await {
                    Ok(Some(snapshot)) => drop(self.snapshots.put(digest, Arc::new(snapshot))),
                    Ok(None) => {
                        tracing::error!(snapshot = %digest.short(), "cannot judge a host: its snapshot is not in the store")
                    }
                    Err(error) => unreadable(error)?,
                }
            }
            // `contains` does not renew an entry, but this `get` does, so that the batch keeps what it needs.
            if let Some(snapshot) = self.snapshots.get(&digest) {
                sections.extend(snapshot.entries().iter().filter_map(|entry| entry.section));
            }
        }
        // `get` renews an entry, so that this batch does not push out what it needs itself.
        sections.retain(|digest| self.hits.get(digest).is_none());
        let sections: Vec<Digest> = sections.into_iter().collect();
        let mut stored = store.hits_get(&sections, &rules.version).await?;
        let missing = sections.into_iter().filter(|digest| !stored.contains_key(digest)).collect();
        let found = detect(store, rules, missing).await?;
        stored.extend(found.clone());
        for (digest, hits) in stored {
            self.hits.put(digest, Arc::new(hits));
        }
        // Most sections have no hits. Detecting again costs less than a row for each.
        Ok(found.into_iter().filter(|(_, hits)| !hits.is_empty()).collect())
    }

    /// A snapshot with its hits; `None` if a part of it could not be read.
    pub(super) fn snapshot(&mut self, digest: &Digest) -> Option<SnapshotHits> {
        let snapshot = Arc::clone(self.snapshots.get(digest)?);
        let mut hits = Vec::new();
        for section in snapshot.entries().iter().filter_map(|entry| entry.section) {
            hits.extend(self.hits.get(&section)?.iter().cloned());
        }
        Some(SnapshotHits { snapshot, hits })
    }

    pub(super) fn assessments(&mut self, snapshot: Digest, state_key: Digest) -> Option<Assessments> {
        self.assessments.get(&(snapshot, state_key)).map(Arc::clone)
    }

    pub(super) fn keep(&mut self, snapshot: Digest, state_key: Digest, assessments: Assessments) {
        self.assessments.put((snapshot, state_key), assessments);
    }
}

/// Applies the catalogue to sections that have no hits yet, a few at a time: a batch of hosts that share nothing has thousands.
async fn detect(
    store: &dyn Store,
    rules: &Arc<RuleSet>,
    sections: Vec<Digest>,
) -> Result<BTreeMap<Digest, Vec<Hit>>, StoreError> {
    let mut found = BTreeMap::new();
    for portion in sections.chunks(READ_AT_ONCE) {
        let mut read = Vec::new();
        for digest in portion {
            match store.section_get(*digest).await {
                Ok(Some(section)) => read.push((*digest, section)),
                Ok(None) => {
                    tracing::error!(section = %digest.short(), "cannot judge a host: a section of its snapshot is not in the store")
                }
                Err(error) => unreadable(error)?,
            }
        }
        let rules = Arc::clone(rules);
        let detected = tokio::task::spawn_blocking(move || {
            let detect = |(digest, section)| (digest, judge::detect(&rules.catalogue, &section));
            read.into_iter().map(detect).collect::<Vec<_>>()
        });
        found.extend(detected.await.map_err(|_| StoreError::Closed { operation: "detect" })?);
    }
    Ok(found)
}

/// Sections in memory at once.
const READ_AT_ONCE: usize = 64;

/// One damaged record must not block all other hosts, so it is only logged. Any other error is returned.
fn unreadable(error: StoreError) -> Result<(), StoreError> {
    if matches!(error, StoreError::Damaged { .. }) {
        tracing::error!(error = %error, "cannot judge a host: a record is damaged; it keeps its last verdict");
        return Ok(());
    }
    Err(error)
}
