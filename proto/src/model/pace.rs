//! When an agent comes back, and why the collector refused it.

use std::time::Duration;

use super::closed_list::closed_list;

/// When the agent is to check in again. Every answer carries it, including refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The time until the next check-in.
    pub next: Duration,
    /// A random part of this is added, so that a fleet does not come at once.
    pub jitter: Duration,
    /// The most bytes of sections in one upload; 0 means [`crate::limits::UPLOAD_BYTES`].
    pub byte_budget: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { next: Duration::from_secs(300), jitter: Duration::from_secs(60), byte_budget: 0 }
    }
}

closed_list! {
    /// Why the collector refuses a request, in the classes that an agent acts on. Only `revoked` and `unknown` may change
    /// the agent's credentials.
    RefusalClass {
        /// The clocks of agent and collector differ too much.
        ClockSkewed = 1, "clock-skewed";
        /// The collector does not know this key.
        Unknown = 2, "unknown";
        /// The key was revoked, or replaced by a newer one of the same host.
        Revoked = 3, "revoked";
        /// The agent needs a new key, because its certificate has expired.
        ReKey = 4, "re-key";
        /// The collector is busy; the agent comes back later.
        Later = 5, "later";
        /// The agent is too old for this collector.
        TooOld = 6, "too-old";
        /// A limit of the contract was exceeded; the message names it.
        Limit = 7, "limit";
        /// The request is malformed; the message names the field.
        Malformed = 8, "malformed";
        /// The host is enrolled in another site than that of the enrollment token.
        OtherSite = 9, "other-site";
        /// The collector has other reports of this run: the agent draws a new run id and reports again, with facts and state.
        NewRun = 10, "new-run";
    }
}
