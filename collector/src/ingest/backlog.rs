//! Refuses uploads while the judge is too far behind. Otherwise the judge queue, and with it the time until a finding shows,
//! could grow without bound. Nothing is lost: an agent keeps its snapshot and tries again. Check-ins are not refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::refuse::Refused;
use crate::store::Store;

/// How long a reading of the queue's depth is used.
const GOOD: Duration = Duration::from_millis(500);

/// Watches the depth of the judge queue.
pub(super) struct Backlog {
    store: Arc<dyn Store>,
    most: u64,
    known: Mutex<QueueDepthCache>,
}

#[derive(Debug, Default)]
struct QueueDepthCache {
    asked: Option<Instant>,
    is_deep: bool,
}

impl Backlog {
    pub(super) fn new(store: Arc<dyn Store>, most: u64) -> Self {
        Self { store, most, known: Mutex::default() }
    }

    /// Refuses if the queue is too deep.
    pub(super) async fn admit(&self) -> Result<(), Refused> {
        if self.is_due() {
            // The lock is not held while the store answers, because it would block the threads of the runtime.
            let waiting = self.store.queue_depth().await?.waiting;
            self.known.lock().unwrap_or_else(PoisonError::into_inner).is_deep = waiting > self.most;
        }
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).is_deep {
            return Err(Refused::later("too many hosts wait to be judged; try again later"));
        }
        Ok(())
    }

    /// Whether to read the depth again. While one caller reads it, the others use the previous value.
    fn is_due(&self) -> bool {
        // The lock guards two plain values that no panic leaves half written, so a poisoned one is still good.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = known.asked.is_none_or(|asked| asked.elapsed() >= GOOD);
        if is_due {
            // Set before the answer arrives, so that a slow or failing store is not asked by every upload.
            known.asked = Some(Instant::now());
        }
        is_due
    }
}
