//! A cache of sections and snapshots that were delivered recently. The judge needs them a moment later, and rebuilding
//! them from the database would be its largest cost. Bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{Digest, Snapshot};

/// Bytes of sections in the cache.
const BYTES: usize = 64 * 1024 * 1024;
/// Snapshots in the cache.
const SNAPSHOTS: usize = 8_192;

/// See the head of the file.
#[derive(Debug, Default)]
pub(in crate::store) struct RecentUploads(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    sections: HashMap<Digest, CanonicalSection>,
    order: VecDeque<Digest>,
    bytes: usize,
    snapshots: HashMap<Digest, Snapshot>,
    snapshot_order: VecDeque<Digest>,
}

impl RecentUploads {
    /// Adds what was committed, and drops the oldest. A section larger than an eighth of the cache is not added.
    pub(in crate::store) fn keep(&self, sections: Vec<CanonicalSection>, snapshot: Option<(Digest, Snapshot)>) {
        let mut held = self.held();
        for section in sections {
            let (digest, size) = (section.digest(), section.bytes().len());
            // Only a new digest joins the order: a second entry would drop the section too early.
            if size <= BYTES / 8 && held.sections.insert(digest, section).is_none() {
                held.order.push_back(digest);
                held.bytes += size;
            }
        }
        while held.bytes > BYTES {
            let Some(oldest) = held.order.pop_front() else { break };
            if let Some(gone) = held.sections.remove(&oldest) {
                held.bytes -= gone.bytes().len();
            }
        }
        if let Some((digest, snapshot)) = snapshot
            && held.snapshots.insert(digest, snapshot).is_none()
        {
            held.snapshot_order.push_back(digest);
            if held.snapshot_order.len() > SNAPSHOTS
                && let Some(oldest) = held.snapshot_order.pop_front()
            {
                held.snapshots.remove(&oldest);
            }
        }
    }

    /// Drops everything.
    pub(in crate::store) fn forget(&self) {
        *self.held() = Held::default();
    }

    pub(in crate::store) fn section(&self, digest: &Digest) -> Option<CanonicalSection> {
        self.held().sections.get(digest).cloned()
    }

    pub(in crate::store) fn snapshot(&self, digest: &Digest) -> Option<Snapshot> {
        self.held().snapshots.get(digest).cloned()
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{Kind, Observation, Platform, Section, SourceName};

    use super::*;

    fn section(n: usize) -> CanonicalSection {
        let observations = (0..5_000).map(|k| Observation::new(Kind::Deb, format!("{n:0>200}-{k}"))).collect();
        CanonicalSection::from(&Section::new(Platform::Linux, SourceName::Dpkg, observations))
    }

    #[test]
    fn the_oldest_sections_are_dropped() {
        let recent = RecentUploads::default();
        let size = section(0).bytes().len();
        let fit = BYTES / size;
        for n in 0..fit + 3 {
            recent.keep(vec![section(n)], None);
        }
        assert_eq!(recent.section(&section(2).digest()), None);
        assert_eq!(recent.section(&section(fit + 2).digest()), Some(section(fit + 2)));
        let held = recent.held();
        assert!(held.bytes <= BYTES && held.sections.len() == held.order.len() && held.sections.len() >= fit - 1);
    }
}
