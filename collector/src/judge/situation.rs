//! What a verdict needs to know about the host itself, beside the assessment of its snapshot.

use muster_proto::model::{Label, Lane, Platform, SiteId, Timestamp};

use super::remediation::Remediation;

/// What an operator or the roster decided about a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// A disposition is recorded.
    Retired,
    /// A waiver is in force.
    Waived,
    /// The roster lists the host, and it has never reported.
    Missing,
}

impl Decision {
    /// The lane of a host about which this was decided.
    #[must_use]
    pub const fn lane(self) -> Lane {
        match self {
            Self::Retired => Lane::Retired,
            Self::Waived => Lane::Waived,
            Self::Missing => Lane::Missing,
        }
    }

    /// Why the host is in that lane.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Retired => "A disposition is recorded",
            Self::Waived => "A waiver is in force",
            Self::Missing => "On the roster, but it has never reported",
        }
    }
}

/// What only the host has, at the moment of placing it.
#[derive(Debug, Clone)]
pub struct HostSituation<'a> {
    /// Its platform.
    pub platform: Platform,
    /// Its site.
    pub site: &'a SiteId,
    /// Its labels.
    pub labels: &'a [Label],
    /// The last check-in, by the collector's clock; `None` if it has never reported.
    pub last_seen: Option<Timestamp>,
    /// Its remediation record under this order, already advanced by the current snapshot.
    pub remediation: &'a Remediation,
    /// Whether two machines report with its key. What one of them reports says nothing of the other.
    pub has_two_holders: bool,
    /// What an operator or the roster decided about the host; it overrides what was found.
    pub decision: Option<Decision>,
}
