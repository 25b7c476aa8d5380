//! `[waivers]`: how many people a waiver needs, and how long it may last.

use std::time::Duration;

use muster_proto::model::ApprovalRule;
use muster_proto::settings::Layers;

use super::span::format_span;

/// The rules of waivers, and of dispositions of hosts that are not finished. All collectors of a store should have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Waivers {
    /// `waivers.approval`: whether another account than the one that asked must approve.
    pub approval: ApprovalRule,
    /// `waivers.longest`: how long a waiver may last.
    #[serde(with = "humantime_serde")]
    pub longest: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for Waivers {
    fn default() -> Self {
        // Half a year: what is needed for longer is looked at again.
        Self { approval: ApprovalRule::TwoPeople, longest: DAY * 180 }
    }
}

impl Waivers {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        layers.limit("waivers.longest", &self.longest, (DAY, DAY * 3_660), |span| format_span(*span));
    }
}
