//! Which changes of lanes a reader asks for, and the place of each change in a list.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{Cause, ChangesReport, ChangesSort, HostId, Lane, OrderId, Timestamp};

use super::site_scope::SiteScope;

/// Which changes of lanes a list shows.
#[derive(Debug, Clone)]
pub struct ChangesQuery {
    /// Only changes from this instant on.
    pub since: Timestamp,
    /// Now: silence is computed up to this instant.
    pub now: Timestamp,
    /// Only changes under this order; `None` is every order.
    pub order: Option<OrderId>,
    /// The patience of each active order. Under other orders no host is silent.
    pub patience: BTreeMap<OrderId, Duration>,
    /// Only hosts of these sites.
    pub sites: SiteScope,
    /// Only these hosts; `None` is every host of the sites.
    pub only: Option<Arc<HashSet<HostId>>>,
    /// The order of the list.
    pub sort: ChangesSort,
    /// At most this many changes.
    pub rows: usize,
    /// Only changes after this one in the list, which has the same order.
    pub after: Option<ChangeKey>,
}

impl ChangesQuery {
    /// Whether changes of this host are asked for.
    pub(in crate::store) fn is_of(&self, host: HostId) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&host))
    }

    /// The patience of the active orders that are asked for.
    pub(in crate::store) fn patience_asked(&self) -> impl Iterator<Item = (&OrderId, Duration)> {
        let asked = |(order, _): &(&OrderId, &Duration)| self.order.as_ref().is_none_or(|one| one == *order);
        self.patience.iter().filter(asked).map(|(order, patience)| (order, *patience))
    }

    /// A host that was last seen before this instant may be silent under an order that is asked for; `None` if no such
    /// order is active.
    pub(in crate::store) fn silent_before(&self) -> Option<Timestamp> {
        self.patience_asked().map(|(_, patience)| self.now.minus(patience)).max()
    }
}

/// When a change was made, in the order of a list. One list has only one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum ChangeTime {
    NewestFirst(Reverse<Timestamp>),
    OldestFirst(Timestamp),
}

impl ChangeTime {
    pub(in crate::store) const fn new(at: Timestamp, sort: ChangesSort) -> Self {
        match sort {
            ChangesSort::Newest => Self::NewestFirst(Reverse(at)),
            ChangesSort::Oldest => Self::OldestFirst(at),
        }
    }

    pub(in crate::store) const fn at(self) -> Timestamp {
        match self {
            Self::NewestFirst(Reverse(at)) | Self::OldestFirst(at) => at,
        }
    }

    const fn sort(self) -> ChangesSort {
        match self {
            Self::NewestFirst(_) => ChangesSort::Newest,
            Self::OldestFirst(_) => ChangesSort::Oldest,
        }
    }
}

/// The place of a change in a list. Changes at the same instant are in the order of hosts, then orders.
///
/// Its text form is a page token: `AT/HOST/ORDER/CAUSE/LANE`, with `oldest/` before it if the oldest come first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeKey {
    pub(in crate::store) at: ChangeTime,
    pub(in crate::store) host: HostId,
    pub(in crate::store) order: OrderId,
    pub(in crate::store) cause: Cause,
    /// The lane after the change; `None` if the host has none under the order.
    pub(in crate::store) to: Option<Lane>,
}

impl ChangeKey {
    /// The order of the list in which the change has this place.
    #[must_use]
    pub fn sort(&self) -> ChangesSort {
        self.at.sort()
    }
}

/// What a token begins with if the oldest changes come first.
const OLDEST: &str = "oldest/";

impl fmt::Display for ChangeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, host, order, cause, to } = self;
        f.write_str(match at.sort() {
            ChangesSort::Newest => "",
            ChangesSort::Oldest => OLDEST,
        })?;
        write!(f, "{}/{host}/{order}/{cause}/{}", at.at().millis(), to.map_or("", Lane::name))
    }
}

/// A text that is not the place of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not the place of a change")]
pub struct NotAChangeKey;

impl FromStr for ChangeKey {
    type Err = NotAChangeKey;

    fn from_str(text: &str) -> Result<Self, NotAChangeKey> {
        let (text, sort) = match text.strip_prefix(OLDEST) {
            Some(rest) => (rest, ChangesSort::Oldest),
            None => (text, ChangesSort::Newest),
        };
        let parts: Vec<&str> = text.split('/').collect();
        let [at, host, order, cause, to] = parts.as_slice() else { return Err(NotAChangeKey) };
        let to = if to.is_empty() { None } else { Some(to.parse().map_err(|_| NotAChangeKey)?) };
        Ok(Self {
            at: ChangeTime::new(Timestamp::from_millis(at.parse().map_err(|_| NotAChangeKey)?), sort),
            host: host.parse().map_err(|_| NotAChangeKey)?,
            order: order.parse().map_err(|_| NotAChangeKey)?,
            cause: cause.parse().map_err(|_| NotAChangeKey)?,
            to,
        })
    }
}

/// A page of changes of lanes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredChanges {
    /// The changes. The counts are those of the whole list, but zero on pages after the first.
    pub report: ChangesReport,
    /// The last change of the page if others follow.
    pub next: Option<ChangeKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_token_that_was_issued_is_read() {
        for (to, sort) in [(Some(Lane::Replace), ChangesSort::Newest), (None, ChangesSort::Oldest)] {
            let key = ChangeKey {
                at: ChangeTime::new(Timestamp::from_millis(-5), sort),
                host: HostId::from_bytes([7; 16]),
                order: OrderId::new("us-bis-icts-2021-002").expect("valid"),
                cause: Cause::ProtectionChanged,
                to,
            };
            assert_eq!((key.to_string().parse(), key.sort()), (Ok(key), sort));
        }
        for wrong in ["", "5", "5/x/us-bis/installed/clear", "a/b/c/d/e/f", "oldest/5", "oldest/oldest/5/x"] {
            assert_eq!(wrong.parse::<ChangeKey>(), Err(NotAChangeKey), "{wrong}");
        }
    }
}
