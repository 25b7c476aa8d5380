//! `[retention]`: how long the past of a host is kept, and what nothing refers to any more. The ledger, the present of every
//! host and its remediation records are kept for ever.

use std::time::Duration;

use muster_proto::limits;
use muster_proto::settings::Layers;

use super::span::format_span;

/// How long what has ended is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// `retention.snapshots`: which snapshots a host had.
    #[serde(with = "humantime_serde")]
    pub snapshots: Duration,
    /// `retention.states`: which judged states a host had.
    #[serde(with = "humantime_serde")]
    pub states: Duration,
    /// `retention.verdicts`: which lanes a host was in.
    #[serde(with = "humantime_serde")]
    pub verdicts: Duration,
    /// `retention.unfinished`: all of these, at least, of a host in which work is left.
    #[serde(with = "humantime_serde")]
    pub unfinished: Duration,
    /// `retention.unreferenced`: snapshots and sections to which nothing refers, from when they were stored.
    #[serde(with = "humantime_serde")]
    pub unreferenced: Duration,
    /// `retention.editions_every`: how often editions that no section has are looked for.
    #[serde(with = "humantime_serde")]
    pub editions_every: Duration,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for Retention {
    fn default() -> Self {
        Self {
            // A quarter: long enough to explain how a host came to its present state.
            snapshots: 90 * DAY,
            states: 90 * DAY,
            // Two years: an auditor asks about the year before. A lane changes seldom, so this is small.
            verdicts: 730 * DAY,
            // The longest order gives a hundred days. A removal that takes longer is the one that will be asked about.
            unfinished: 365 * DAY,
            // An upload that was interrupted, or was told to come back later, is continued within hours.
            unreferenced: DAY,
            // It reads every section, and in a day few editions lose their last one.
            editions_every: DAY,
        }
    }
}

impl Retention {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        let most = DAY * 36_500;
        // `muster changes` goes back this far, and needs the lanes of that time.
        let changes = Duration::from_millis(limits::CHANGES_MS.unsigned_abs());
        for (key, value, least) in [
            ("retention.snapshots", self.snapshots, DAY),
            ("retention.states", self.states, DAY),
            ("retention.verdicts", self.verdicts, changes),
            ("retention.unfinished", self.unfinished, DAY),
            ("retention.unreferenced", self.unreferenced, HOUR),
            ("retention.editions_every", self.editions_every, HOUR),
        ] {
            layers.limit(key, &value, (least, most), |span| format_span(*span));
        }
    }
}
