//! How far the judges may fall behind. What is reported faster than it is judged would make the judge queue, and with it the
//! time until a finding shows, grow without bound; beyond this depth uploads are told to come back later. An agent keeps
//! its snapshot, so nothing is lost; check-ins are answered all the same.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::refuse::Refused;
use crate::store::Store;

/// Hosts that may wait for judgement before uploads are put off: about what one small collector judges in half a minute.
pub(super) const MOST: u64 = 20_000;
/// How long an answer of the store is good.
const GOOD: Duration = Duration::from_millis(500);

/// See the head of the file.
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

    /// Whether there is room for one more report.
    pub(super) async fn admit(&self) -> Result<(), Refused> {
        if self.is_due() {
            let waiting = self.store.queue_depth().await?.waiting;
            self.known.lock().unwrap_or_else(PoisonError::into_inner).is_deep = waiting > self.most;
        }
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).is_deep {
            return Err(Refused::later("too many hosts wait for judgement: come back later"));
        }
        Ok(())
    }

    /// Whether the store is to be asked; while one asks, the others go by what was known before.
    fn is_due(&self) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = known.asked.is_none_or(|asked| asked.elapsed() >= GOOD);
        if is_due {
            known.asked = Some(Instant::now());
        }
        is_due
    }
}
