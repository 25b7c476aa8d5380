//! Bounds how many uploads, and how many bytes of them, are handled at once. An agent that is refused keeps its snapshot and
//! tries again. So a fleet that returns at once after an outage does not exhaust the collector's memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refuse::Refused;

/// Uploads at once.
const UPLOADS: usize = 256;
/// Bytes of uploads that are held in memory at once.
const BYTES: usize = 192 * 1024 * 1024;
/// Bytes are counted in units of this size.
const PIECE: usize = 1024;

/// The bounds on uploads.
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

    /// Admits one upload, or refuses.
    pub(super) fn upload(&self) -> Result<Admitted, Refused> {
        // This refuses instead of waiting, because calls that wait would pile up after an outage.
        let place = Arc::clone(&self.uploads).try_acquire_owned();
        let place = place.map_err(|_| Refused::later("too many uploads at once; try again later"))?;
        Ok(Admitted { _place: place, pieces: Arc::clone(&self.pieces), held: Vec::new() })
    }
}

/// An admitted upload and its bytes; released on drop.
#[derive(Debug)]
pub(super) struct Admitted {
    _place: OwnedSemaphorePermit,
    pieces: Arc<Semaphore>,
    held: Vec<OwnedSemaphorePermit>,
}

impl Admitted {
    /// Admits this many more bytes, or refuses.
    pub(super) fn bytes(&mut self, bytes: usize) -> Result<(), Refused> {
        // A number that does not fit is above the bound anyway, so the greatest one is refused just as well.
        let pieces = u32::try_from(bytes.div_ceil(PIECE)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.pieces).try_acquire_many_owned(pieces);
        self.held.push(permit.map_err(|_| Refused::later("too many bytes in uploads at once; try again later"))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_beyond_the_bounds_are_refused_until_there_is_capacity() {
        let admission = Admission::new(2, 4 * PIECE);
        let mut first = admission.upload().expect("capacity for one");
        let mut second = admission.upload().expect("capacity for two");
        assert!(admission.upload().is_err(), "no capacity for three");
        assert!(first.bytes(3 * PIECE).is_ok());
        assert!(second.bytes(PIECE + 1).is_err(), "one piece is left, and two are needed");
        drop(first);
        assert!(second.bytes(4 * PIECE).is_ok());
        assert!(admission.upload().is_ok());
    }
}
