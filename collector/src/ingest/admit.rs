//! Bounds how many uploads, and how many bytes of them, are handled at once, for each host and in total. Bytes are counted
//! while they arrive (`receive`). An agent that is
//! refused keeps its snapshot and tries again. So a fleet that returns at once after an outage does not exhaust the
//! collector's memory, and one host cannot take the slots of the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use muster_proto::model::HostId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refuse::Refused;

/// Bytes are counted in units of this size.
pub(super) const PIECE: usize = 1024;

/// Open uploads by host. It has no more entries than there are uploads.
type ByHost = Arc<Mutex<HashMap<HostId, usize>>>;

/// The bounds on uploads.
pub(super) struct Admission {
    uploads: Arc<Semaphore>,
    pieces: Arc<Semaphore>,
    per_host: usize,
    hosts: ByHost,
}

impl Admission {
    pub(super) fn new(uploads: usize, per_host: usize, bytes: usize) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self { uploads: semaphore(uploads), pieces: semaphore(bytes / PIECE), per_host, hosts: ByHost::default() }
    }

    /// The bytes of uploads that may be in memory, in pieces of [`PIECE`].
    pub(super) fn memory(&self) -> Arc<Semaphore> {
        Arc::clone(&self.pieces)
    }

    /// Admits one upload of a host, or refuses.
    pub(super) fn upload(&self, host: HostId) -> Result<Admitted, Refused> {
        // The host's own bound comes first, so that a host beyond it takes no slot even for a moment.
        let place_of_host = HostPlace::take(&self.hosts, host, self.per_host)?;
        // This refuses instead of waiting, because calls that wait would pile up after an outage.
        let place = Arc::clone(&self.uploads).try_acquire_owned();
        let place = place.map_err(|_| Refused::later("too many uploads at once; try again later"))?;
        Ok(Admitted { _place: place, _place_of_host: place_of_host })
    }
}

/// One of the slots of a host; free again on drop.
#[derive(Debug)]
struct HostPlace {
    hosts: ByHost,
    host: HostId,
}

impl HostPlace {
    fn take(hosts: &ByHost, host: HostId, most: usize) -> Result<Self, Refused> {
        let mut open = hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(host).or_default();
        // A count of 0 is below every bound, so no entry is left without an upload.
        if *count >= most {
            return Err(Refused::later("too many uploads of this host at once; try again later"));
        }
        *count += 1;
        Ok(Self { hosts: Arc::clone(hosts), host })
    }
}

impl Drop for HostPlace {
    fn drop(&mut self) {
        let mut open = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.host);
            }
        }
    }
}

/// An admitted upload; its slots are free again on drop.
#[derive(Debug)]
pub(super) struct Admitted {
    _place: OwnedSemaphorePermit,
    _place_of_host: HostPlace,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> HostId {
        HostId::from_bytes([number; 16])
    }

    #[test]
    fn uploads_beyond_the_bounds_are_refused_until_there_is_capacity() {
        let admission = Admission::new(2, 2, 4 * PIECE);
        let first = admission.upload(host(1)).expect("capacity for one");
        let _second = admission.upload(host(2)).expect("capacity for two");
        assert!(admission.upload(host(3)).is_err(), "no capacity for three");
        drop(first);
        assert!(admission.upload(host(3)).is_ok());
    }

    #[test]
    fn one_host_has_only_its_own_slots_and_leaves_no_trace() {
        let admission = Admission::new(10, 2, 4 * PIECE);
        let both = [admission.upload(host(1)).expect("one"), admission.upload(host(1)).expect("two")];
        assert!(admission.upload(host(1)).is_err(), "a third upload of one host");
        assert!(admission.upload(host(2)).is_ok());
        drop(both);
        assert!(admission.upload(host(1)).is_ok());
        assert!(admission.hosts.lock().expect("no panic").is_empty());
    }
}
