//! `[pace]`: when agents come back.

use std::time::Duration;

use muster_proto::model::Pace;
use muster_proto::settings::Layers;

use super::span::format_span;

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PaceKeys {
    #[serde(with = "humantime_serde")]
    next: Duration,
    #[serde(with = "humantime_serde")]
    jitter: Duration,
    byte_budget: u64,
}

impl Default for PaceKeys {
    fn default() -> Self {
        Self { next: Duration::from_secs(300), jitter: Duration::from_secs(60), byte_budget: 0 }
    }
}

impl PaceKeys {
    pub(super) fn settle<K>(&self, layers: &mut Layers<K>) -> Pace {
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        layers.limit("pace.next", &self.next, (second, day * 7), |span| format_span(*span));
        layers.limit("pace.jitter", &self.jitter, (Duration::ZERO, day), |span| format_span(*span));
        Pace { next: self.next, jitter: self.jitter, byte_budget: self.byte_budget }
    }
}
