//! `[enrollment]`: how many hosts may enroll in a minute. A host beyond a bound gets a time to come back.

use muster_proto::settings::Layers;

/// The bounds of enrollments. Each collector counts for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrollment {
    /// `enrollment.token_per_minute`: hosts with one token.
    pub token_per_minute: u64,
    /// `enrollment.address_per_minute`: hosts at one address.
    pub address_per_minute: u64,
    /// `enrollment.remembered`: tokens, and addresses, whose last minute is remembered.
    pub remembered: usize,
}

impl Default for Enrollment {
    fn default() -> Self {
        Self {
            // 72,000 hosts in an hour. A thief of the token adds no more than this before somebody sees it.
            token_per_minute: 1_200,
            // On the first day, 10,000 hosts behind one address enroll in half an hour.
            address_per_minute: 600,
            // About 100 bytes each. One that is not used for a minute needs no memory.
            remembered: 10_000,
        }
    }
}

impl Enrollment {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        let rate = (1, 1_000_000);
        layers.limit("enrollment.token_per_minute", &self.token_per_minute, rate, u64::to_string);
        layers.limit("enrollment.address_per_minute", &self.address_per_minute, rate, u64::to_string);
        layers.limit("enrollment.remembered", &self.remembered, (16, 10_000_000), usize::to_string);
    }
}
