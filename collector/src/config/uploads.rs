//! `[uploads]`: what uploads of agents may take at once.

use std::time::Duration;

use muster_proto::limits;
use muster_proto::settings::Layers;

use super::span::format_span;

/// The bounds of uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Uploads {
    /// `uploads.at_once`: open uploads of all hosts.
    pub at_once: usize,
    /// `uploads.per_host`: open uploads of one host.
    pub per_host: usize,
    /// `uploads.bytes_at_once`: bytes of received sections that are held in memory.
    pub bytes_at_once: usize,
    /// `uploads.deadline`: the longest time that one upload may take.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// `uploads.grace`: how long an upload may take before its rate matters.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// `uploads.slowest_rate`: bytes per second that an upload must reach on average after the grace.
    pub slowest_rate: u64,
    /// `uploads.judge_queue`: uploads wait while more hosts than these wait to be judged.
    pub judge_queue: u64,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            // The store commits many uploads together; more than these only wait for it.
            at_once: 256,
            // An agent uploads one at a time. The second slot is for one whose first connection broke unnoticed.
            per_host: 2,
            // Twelve uploads of the size that an agent sends at most, or 600 of a usual one.
            bytes_at_once: 192 * 1024 * 1024,
            // The largest section needs 4.7 KiB/s for it. Complete sections are kept, so the next attempt continues.
            deadline: Duration::from_secs(15 * 60),
            // Long enough for a lost packet on a satellite link, and for the snapshot itself.
            grace: Duration::from_secs(30),
            // A quarter of a 64 kbit/s line.
            slowest_rate: 2048,
            // About what a small collector judges in half a minute.
            judge_queue: 20_000,
        }
    }
}

impl Uploads {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        let span = |span: &Duration| format_span(*span);
        layers.limit("uploads.at_once", &self.at_once, (1, 65_536), usize::to_string);
        layers.limit("uploads.per_host", &self.per_host, (1, 65_536), usize::to_string);
        // Less would refuse an upload that the contract allows for ever.
        let bytes = (limits::UPLOAD_BYTES, 1 << 36);
        layers.limit("uploads.bytes_at_once", &self.bytes_at_once, bytes, usize::to_string);
        layers.limit("uploads.deadline", &self.deadline, (second, day), span);
        layers.limit("uploads.grace", &self.grace, (second / 10, day), span);
        layers.limit("uploads.slowest_rate", &self.slowest_rate, (1, 1 << 30), u64::to_string);
        layers.limit("uploads.judge_queue", &self.judge_queue, (1, 100_000_000), u64::to_string);
    }

    /// How long an upload may have taken in total after it has sent this many bytes.
    #[must_use]
    pub fn allowed(&self, bytes: u64) -> Duration {
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / self.slowest_rate.max(1));
        self.deadline.min(self.grace.saturating_add(earned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_earn_time_up_to_the_deadline() {
        let second = Duration::from_secs(1);
        let uploads = Uploads { grace: second * 10, slowest_rate: 1000, deadline: second * 60, ..Uploads::default() };
        assert_eq!(uploads.allowed(0), second * 10);
        assert_eq!(uploads.allowed(5_000), second * 15);
        assert_eq!(uploads.allowed(49_999), Duration::from_millis(59_999));
        assert_eq!(uploads.allowed(1_000_000), second * 60, "the deadline");
        assert_eq!(uploads.allowed(u64::MAX), second * 60);
    }

    #[test]
    fn one_byte_a_second_earns_less_time_than_it_takes() {
        let uploads = Uploads::default();
        let ends = (0..1_000).find(|seconds| Duration::from_secs(*seconds) > uploads.allowed(*seconds));
        assert_eq!(ends, Some(31));
    }
}
