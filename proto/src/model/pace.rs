//! When to come back, and why a door did not open.

use std::time::Duration;

use super::closed_list::closed_list;

/// When the collector wants to hear from the host again. Every answer carries it, refusals included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The time until the next check-in.
    pub next: Duration,
    /// Up to this much is added at random, so that a fleet does not come at once.
    pub jitter: Duration,
    /// At most this many bytes of sections in one upload; 0 is no limit beyond the contract's.
    pub byte_budget: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { next: Duration::from_secs(300), jitter: Duration::from_secs(60), byte_budget: 0 }
    }
}

closed_list! {
    /// Why the collector refuses, as far as an agent may act on it. Only `revoked` and `unknown` may touch credentials.
    RefusalClass {
        /// The two clocks differ too much.
        ClockSkewed = 1, "clock-skewed";
        /// The collector does not know this key.
        Unknown = 2, "unknown";
        /// The key was withdrawn.
        Revoked = 3, "revoked";
        /// A new key is wanted: the certificate has expired or the key is used twice.
        ReKey = 4, "re-key";
        /// Come back later; nothing is wrong with the agent.
        Later = 5, "later";
        /// The agent is too old for this collector.
        TooOld = 6, "too-old";
        /// A limit of the contract was broken; the message names it.
        Limit = 7, "limit";
        /// The message is malformed; it names the field.
        Malformed = 8, "malformed";
    }
}
