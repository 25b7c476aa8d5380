//! How much the door takes at once. Beyond that an agent is told to come back, which costs it nothing: it keeps its
//! look. A fleet that comes back at once after an outage must not make the collector's memory grow with it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refuse::Refused;

/// Uploads at once.
const UPLOADS: usize = 256;
/// Bytes of uploads that are held in memory at once.
const BYTES: usize = 192 * 1024 * 1024;
/// Bytes are counted in pieces of this size.
const PIECE: usize = 1024;

/// See the head of the file.
pub(super) struct Admission {
    uploads: Arc<Semaphore>,
    pieces: Arc<Semaphore>,
}

impl Default for Admission {
    fn default() -> Self {
        Self::new(UPLOADS, BYTES)
    }
}

impl Admission {
    pub(super) fn new(uploads: usize, bytes: usize) -> Self {
        Self { uploads: Arc::new(Semaphore::new(uploads)), pieces: Arc::new(Semaphore::new(bytes / PIECE)) }
    }

    /// A place for one upload.
    pub(super) fn upload(&self) -> Result<Admitted, Refused> {
        let place = Arc::clone(&self.uploads).try_acquire_owned();
        let place = place.map_err(|_| Refused::later("too many uploads at once: come back later"))?;
        Ok(Admitted { _place: place, pieces: Arc::clone(&self.pieces), held: Vec::new() })
    }
}

/// A place, and the bytes that are held for it; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    _place: OwnedSemaphorePermit,
    pieces: Arc<Semaphore>,
    held: Vec<OwnedSemaphorePermit>,
}

impl Admitted {
    /// Room for so many bytes more.
    pub(super) fn bytes(&mut self, bytes: usize) -> Result<(), Refused> {
        let pieces = u32::try_from(bytes.div_ceil(PIECE)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.pieces).try_acquire_many_owned(pieces);
        self.held.push(room.map_err(|_| Refused::later("too many bytes are on their way at once: come back later"))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_bounds_is_sent_away_until_there_is_room_again() {
        let admission = Admission::new(2, 4 * PIECE);
        let mut first = admission.upload().expect("room for one");
        let mut second = admission.upload().expect("room for two");
        assert!(admission.upload().is_err(), "no room for three");
        assert!(first.bytes(3 * PIECE).is_ok());
        assert!(second.bytes(PIECE + 1).is_err(), "one piece is left, and two are needed");
        drop(first);
        assert!(second.bytes(4 * PIECE).is_ok());
        assert!(admission.upload().is_ok());
    }
}
