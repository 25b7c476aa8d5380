//! `[drain]`: how long open calls may continue after a stop.

use std::time::Duration;

use muster_proto::settings::Layers;

use super::span::format_span;

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DrainKeys {
    #[serde(with = "humantime_serde")]
    deadline: Duration,
}

impl Default for DrainKeys {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(20) }
    }
}

impl DrainKeys {
    pub(super) fn settle<K>(&self, layers: &mut Layers<K>) -> Duration {
        let longest = Duration::from_secs(3600);
        layers.limit("drain.deadline", &self.deadline, (Duration::ZERO, longest), |span| format_span(*span));
        self.deadline
    }
}
