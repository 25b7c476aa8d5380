//! Notes that sessions are used, beside the pages that are asked for: the note is a write, and a page must not wait for one.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use muster_proto::error_chain;
use muster_proto::model::{Timestamp, TokenId};
use tracing::{Instrument as _, Span, warn};

use crate::actions::{self, Session, SessionTimes};
use crate::store::Store;

/// The sessions whose use is being noted; each once at a time, so they are not more than there are sessions.
#[derive(Debug, Clone, Default)]
pub(super) struct LastUse(Arc<Mutex<HashSet<TokenId>>>);

impl LastUse {
    /// Notes that a session is used now, unless that was noted a moment ago or is being noted.
    pub(super) fn note(&self, store: &Arc<dyn Store>, session: Session, times: SessionTimes, now: Timestamp) {
        if !session.is_due(times, now) || !self.all(|all| all.insert(session.id.clone())) {
            return;
        }
        let (store, noting) = (Arc::clone(store), Noting { all: self.clone(), session });
        let note = async move {
            if let Err(failed) = actions::session_seen(store.as_ref(), &noting.session, now).await {
                // The page itself needs no writes.
                warn!(error = %error_chain(&failed), "that a session was used could not be noted");
            }
            drop(noting);
        };
        tokio::spawn(note.instrument(Span::current()));
    }

    /// Whether nothing is being noted.
    #[cfg(test)]
    pub(super) fn is_quiet(&self) -> bool {
        self.all(|all| all.is_empty())
    }

    fn all<T>(&self, of: impl FnOnce(&mut HashSet<TokenId>) -> T) -> T {
        of(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A note that is being written. It is over however it ends.
struct Noting {
    all: LastUse,
    session: Session,
}

impl Drop for Noting {
    fn drop(&mut self) {
        self.all.all(|all| all.remove(&self.session.id));
    }
}
