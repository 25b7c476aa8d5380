//! `[editions]`: how many different editions of software the store may hold.

use muster_proto::limits;
use muster_proto::settings::Layers;

/// The bounds of the dictionary of editions, which every collector holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Editions {
    /// `editions.most`: the most editions of the whole store.
    pub most: u64,
    /// `editions.text_bytes`: the most bytes of their names, vendors, versions and ids.
    pub text_bytes: u64,
    /// `editions.alarm_percent`: how full the dictionary is when the log and `muster status` warn.
    pub alarm_percent: u64,
}

impl Default for Editions {
    fn default() -> Self {
        Self {
            // A fleet of all common systems has some 200,000 editions, and a year of weekly updates adds about a million.
            most: 4_000_000,
            // An edition has 40 bytes of text on average. Four million of them take 160 MB.
            text_bytes: 256 * 1024 * 1024,
            // At a million editions a year, the rest lasts for nine months.
            alarm_percent: 80,
        }
    }
}

impl Editions {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        // One section of the largest size must fit, or its host could never report.
        let most = (limits::OBSERVATIONS_PER_SECTION as u64, 1 << 30);
        let text_bytes = (limits::SECTION_BYTES as u64, 1 << 36);
        layers.limit("editions.most", &self.most, most, u64::to_string);
        layers.limit("editions.text_bytes", &self.text_bytes, text_bytes, u64::to_string);
        layers.limit("editions.alarm_percent", &self.alarm_percent, (1, 100), u64::to_string);
    }
}
