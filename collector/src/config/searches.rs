//! `[searches]`: what searches for software may take.

use std::time::Duration;

use muster_proto::settings::Layers;

use super::span::format_span;

/// The bounds of searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Searches {
    /// `searches.at_once`: searches that run at the same time.
    pub at_once: usize,
    /// `searches.wait`: how long another one waits for its turn.
    #[serde(with = "humantime_serde")]
    pub wait: Duration,
    /// `searches.rows`: rows that one search may read or compare.
    pub rows: u64,
    /// `searches.bytes`: memory that one search may need, approximately.
    pub bytes: u64,
    /// `searches.time`: how long one search may take.
    #[serde(with = "humantime_serde")]
    pub time: Duration,
}

impl Default for Searches {
    fn default() -> Self {
        Self {
            // A search keeps a processor busy, and the smallest collector has two.
            at_once: 2,
            // Longer than a usual search takes, and shorter than the patience of a person.
            wait: Duration::from_secs(5),
            // A program that a million hosts have in ten editions takes about half of them.
            rows: 20_000_000,
            // The answer about that program needs about 100 MiB on the way. Two such searches fit into a small machine.
            bytes: 128 * 1024 * 1024,
            // The largest dictionary is searched in less than a second. The rest is for a busy disk.
            time: Duration::from_secs(10),
        }
    }
}

impl Searches {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        let (shortest, longest) = (Duration::from_millis(1), Duration::from_secs(600));
        layers.limit("searches.at_once", &self.at_once, (1, 64), usize::to_string);
        layers.limit("searches.wait", &self.wait, (shortest, longest), |span| format_span(*span));
        layers.limit("searches.rows", &self.rows, (1, 1 << 40), u64::to_string);
        layers.limit("searches.bytes", &self.bytes, (1, 1 << 36), u64::to_string);
        layers.limit("searches.time", &self.time, (shortest, longest), |span| format_span(*span));
    }
}
