//! Which hosts a list shows, in which order, and where a page begins.

use std::time::Duration;

use muster_proto::model::{HostId, HostMark, Lane, OrderId, Timestamp, TokenId};

use super::host_filter::HostFilter;
use super::site_scope::SiteScope;

/// Which hosts a list shows. Silence is computed when read: a host is silent under an order when its last check-in is
/// older than that order's instant in `silent_before`. So are decisions: a waiver is in force at an instant.
#[derive(Debug, Clone, Default)]
pub struct HostQuery {
    /// The order whose lanes are read. A host that waits for its first judgement under it counts as `unknown`.
    pub order: Option<OrderId>,
    /// Only hosts in these lanes under that order; empty is any.
    pub lanes: Vec<Lane>,
    /// Only hosts that are silent under that order, whatever their lanes are. Retired hosts are not expected to report.
    pub silent_only: bool,
    /// Only hosts that are not silent under that order.
    pub awake_only: bool,
    /// The instant at which waivers and dispositions are in force.
    pub decided_at: Timestamp,
    /// The instant before which a last check-in counts as silent under that order.
    pub silent_before: Option<Timestamp>,
    /// How long a host may be silent under that order: a silent host has been silent since its last check-in plus this.
    pub patience: Duration,
    /// Only hosts to which the order applies.
    pub in_scope_only: bool,
    /// Only hosts of these sites.
    pub sites: SiteScope,
    /// Only hosts whose name contains this, without regard to case.
    pub name: String,
    /// Only hosts with one of these marks; empty is any host.
    pub marks: Vec<HostMark>,
    /// Only hosts that enrolled with this token. Neither with [`HostSort::Since`].
    pub enrolled_with: Option<TokenId>,
    /// Only hosts that match these terms.
    pub filter: Option<HostFilter>,
    /// The order of the rows.
    pub sort: HostSort,
    /// At most this many hosts.
    pub rows: usize,
    /// Only hosts that come after this place.
    pub after: Option<HostKey>,
}

impl HostQuery {
    /// Whether the list is limited to hosts with a mark or of a token.
    #[must_use]
    pub fn is_chosen(&self) -> bool {
        !self.marks.is_empty() || self.enrolled_with.is_some()
    }

    /// Whether the list is limited to some lanes or to silent hosts of the order.
    pub(in crate::store) fn is_limited(&self) -> bool {
        self.order.is_some() && (self.silent_only || !self.lanes.is_empty())
    }
}

/// A host that a query selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SelectedHost {
    /// The number of its row.
    pub no: i64,
    /// Its id.
    pub id: HostId,
}

/// What the rows of a list are sorted by. Rows with equal values are in the order in which the hosts enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostSort {
    /// The host's id.
    #[default]
    Id,
    /// Its name, without regard to the case of ASCII letters.
    Name,
    /// Its last check-in as it is stored, which may be a second old; the oldest first.
    LastSeen,
    /// Since when it has been in its lane; the oldest first. The query must have an order and name lanes in which work is
    /// left, or `silent`.
    Since,
}

/// The place of a row in a list: the value of the sort key, and the host's row number, which decides between equal
/// values. It stays valid while rows are added, changed and removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum HostKey {
    /// Under [`HostSort::Id`].
    Id(HostId),
    /// Under [`HostSort::Name`]: the name with its ASCII letters in lower case.
    Name(String, i64),
    /// Under [`HostSort::LastSeen`] and [`HostSort::Since`]: Unix milliseconds.
    At(i64, i64),
}

impl HostKey {
    /// The key of a host under [`HostSort::Name`].
    pub(in crate::store) fn name(hostname: &str, no: i64) -> Self {
        Self::Name(hostname.to_ascii_lowercase(), no)
    }
}
