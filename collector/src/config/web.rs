//! `[web]`: the pages of the operators' port.

use std::time::Duration;

use muster_proto::settings::Layers;

use super::span::format_span;

/// The pages of the operators' port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// `web.enabled`: whether the operators' port serves pages beside gRPC.
    pub enabled: bool,
    /// `web.session`: how long a person stays logged in.
    #[serde(with = "humantime_serde")]
    pub session: Duration,
    /// `web.session_idle`: a session ends after so long without a page.
    #[serde(with = "humantime_serde")]
    pub session_idle: Duration,
    /// `web.page_deadline`: how long a page may take.
    #[serde(with = "humantime_serde")]
    pub page_deadline: Duration,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            enabled: true,
            // A working day.
            session: Duration::from_secs(12 * 3600),
            session_idle: Duration::from_secs(3600),
            // A search may wait for its turn and then take its whole time (`searches.wait`, `searches.time`).
            page_deadline: Duration::from_secs(30),
        }
    }
}

impl Web {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        let (minute, longest) = (Duration::from_secs(60), Duration::from_secs(30 * 86_400));
        layers.limit("web.session", &self.session, (minute, longest), |span| format_span(*span));
        // That a session is used is noted once a minute, beside the pages.
        layers.limit("web.session_idle", &self.session_idle, (minute * 5, longest), |span| format_span(*span));
        let deadline = (Duration::from_secs(1), minute * 10);
        layers.limit("web.page_deadline", &self.page_deadline, deadline, |span| format_span(*span));
    }
}
