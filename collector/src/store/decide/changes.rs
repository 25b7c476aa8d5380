//! Which changes of lanes a list shows: those of the ledger, and those that silence makes.
//!
//! The ledger has the changes of awake lanes. Silence is never stored, so it is laid over them here: a host whose last
//! check-in is longer ago than the order's patience is in `silent` unless its lane does not yield to silence. It became
//! silent when the patience ended, and it returned with the check-in that ended the gap. A change of the awake lane of a
//! silent host is not visible, and is left out.
//!
//! A backend reads absences, then the ledger from its newest entry on until [`Selection::is_complete`], then the lanes of
//! the [hosts whose silence shows](Selection::hosts_with_silence). A page is never larger than was asked for, however
//! many changes there are.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use muster_proto::model::{Cause, ChangeRow, ChangesReport, ChangesSort, HostId, Lane, OrderId, SiteId, Timestamp};

use crate::ledger::entry::LaneChange;
use crate::store::changes::{ChangeKey, ChangeTime, ChangesQuery, StoredChanges};

/// How far the clocks of collectors may differ: entries of the ledger are in the order of their commits, and their times
/// nearly so.
const CLOCK_SLACK: Duration = Duration::from_secs(3600);

/// A time without a check-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Absence {
    /// The last check-in before it.
    pub(in crate::store) since: Timestamp,
    /// The check-in that ended it; `None` if the host has not come back.
    pub(in crate::store) until: Option<Timestamp>,
    /// When people said that the host left; from then on it is not expected to report.
    pub(in crate::store) left: Option<Timestamp>,
}

impl Absence {
    /// When the silence begins under an order with this patience; `None` if it came to none.
    fn silence(&self, patience: Duration) -> Option<Timestamp> {
        let begin = self.since.plus(patience);
        let is_before = |end: Option<Timestamp>| end.is_none_or(|end| begin < end);
        (is_before(self.until) && is_before(self.left)).then_some(begin)
    }
}

/// A time in which a host was in one awake lane under an order.
#[derive(Debug, Clone)]
pub(in crate::store) struct LaneSpan {
    pub(in crate::store) order: OrderId,
    pub(in crate::store) lane: Lane,
    pub(in crate::store) in_scope: bool,
    pub(in crate::store) since: Timestamp,
    /// `None` for the current lane.
    pub(in crate::store) until: Option<Timestamp>,
}

impl LaneSpan {
    fn yields(&self) -> bool {
        self.in_scope && self.lane.yields_to_silence()
    }
}

/// Changes of lanes that were selected.
#[derive(Debug, Default)]
pub(in crate::store) struct Selected {
    /// A page of changes in their order, each with the lane before it.
    pub(in crate::store) page: BTreeMap<ChangeKey, Option<Lane>>,
    /// How many changes there are; only for the first page.
    pub(in crate::store) total: u64,
    /// How many hosts changed; only for the first page.
    pub(in crate::store) hosts: u64,
    /// How many changes have each cause; only for the first page.
    pub(in crate::store) causes: BTreeMap<Cause, u64>,
    /// Whether there are changes after the page.
    pub(in crate::store) has_more: bool,
}

impl Selected {
    /// The page with the names and sites of its hosts. A host that is not found is left out.
    pub(in crate::store) fn named(self, name: impl Fn(HostId) -> Option<(String, SiteId)>) -> StoredChanges {
        let Self { page, total, hosts, causes, has_more } = self;
        let next = page.last_key_value().map(|(key, _)| key.clone()).filter(|_| has_more);
        let row = |(key, from): (ChangeKey, Option<Lane>)| {
            let ChangeKey { at, host, order, cause, to } = key;
            let (hostname, site) = name(host)?;
            Some(ChangeRow { at: at.at(), host, hostname, site, order, from, to, cause })
        };
        let changes = page.into_iter().filter_map(row).collect();
        StoredChanges { report: ChangesReport { changes, total, hosts, causes }, next }
    }
}

/// Selects changes while a backend reads them.
pub(in crate::store) struct Selection<'q> {
    query: &'q ChangesQuery,
    absences: HashMap<HostId, Vec<Absence>>,
    selected: Selected,
    hosts: HashSet<HostId>,
}

impl<'q> Selection<'q> {
    /// `absences` are those that ended within the time that is asked for, and those that have not ended.
    pub(in crate::store) fn new(query: &'q ChangesQuery, mut absences: HashMap<HostId, Vec<Absence>>) -> Self {
        absences.retain(|host, _| query.is_of(*host));
        Self { query, absences, selected: Selected::default(), hosts: HashSet::new() }
    }

    /// Whether an entry of the ledger of this time can have a change that is shown.
    pub(in crate::store) fn wants(&self, at: Timestamp) -> bool {
        let is_after = self.query.after.as_ref().is_none_or(|after| match self.query.sort {
            ChangesSort::Newest => at <= after.at.at(),
            ChangesSort::Oldest => at >= after.at.at(),
        });
        is_after && at >= self.query.since && at <= self.query.now
    }

    /// Whether no older entry can add anything: the time that is asked for is over; or nothing is counted, and the page of the newest
    /// is full or the page of the oldest begins later.
    pub(in crate::store) fn is_complete(&self, at: Timestamp) -> bool {
        let latest = at.plus(CLOCK_SLACK);
        let last = self.selected.page.last_key_value().filter(|_| self.selected.has_more);
        let is_passed = self.query.after.as_ref().is_some_and(|after| match self.query.sort {
            ChangesSort::Newest => last.is_some_and(|(key, _)| latest < key.at.at()),
            ChangesSort::Oldest => latest < after.at.at(),
        });
        latest < self.query.since || is_passed
    }

    /// Adds changes of an entry of the ledger, for these of its hosts.
    pub(in crate::store) fn add_entry(&mut self, at: Timestamp, hosts: &[HostId], changes: &[LaneChange]) {
        for change in changes {
            let LaneChange { order, cause, .. } = change;
            if self.query.order.as_ref().is_some_and(|asked| asked != order) {
                continue;
            }
            // Outside its scope an order has no lane for a host.
            let (from, to) = (change.from.filter(|_| change.was_in_scope), change.to.filter(|_| change.in_scope));
            for host in hosts.iter().filter(|host| self.query.is_of(**host)) {
                let is_silent = self.is_silent(*host, order, at);
                let seen = |lane: Lane| lane.with_silence(is_silent);
                self.add(at, *host, order, from.map(seen), to.map(seen), *cause);
            }
        }
    }

    /// Hosts that became silent or returned within the time that is asked for. Their lanes say whether it shows.
    pub(in crate::store) fn hosts_with_silence(&self) -> Vec<HostId> {
        let is_within = |at: Timestamp| at >= self.query.since && at <= self.query.now;
        let shows = |absence: &Absence| {
            let begins = self.query.patience_asked().filter_map(|(_, patience)| absence.silence(patience));
            begins.into_iter().any(|begin| is_within(begin) || absence.until.is_some_and(is_within))
        };
        let mut hosts: Vec<HostId> =
            self.absences.iter().filter(|(_, all)| all.iter().any(shows)).map(|(host, _)| *host).collect();
        hosts.sort_unstable();
        hosts
    }

    /// Adds the beginnings and ends of a host's silence.
    pub(in crate::store) fn add_silence(&mut self, host: HostId, spans: &[LaneSpan]) {
        let query = self.query;
        for absence in self.absences.get(&host).cloned().unwrap_or_default() {
            let until = absence.until;
            for (order, patience) in query.patience_asked() {
                let Some(begin) = absence.silence(patience).filter(|begin| *begin < query.now) else { continue };
                let of_order = || spans.iter().filter(|span| span.order == *order && span.yields());
                let before = of_order().find(|span| span.since <= begin && span.until.is_none_or(|end| begin < end));
                if let Some(span) = before.filter(|_| begin >= query.since) {
                    self.add(begin, host, order, Some(span.lane), Some(Lane::Silent), Cause::Silent);
                }
                let Some(until) = until.filter(|until| *until >= query.since) else { continue };
                let after = of_order().find(|span| span.since < until && span.until.is_none_or(|end| until <= end));
                if let Some(span) = after {
                    self.add(until, host, order, Some(Lane::Silent), Some(span.lane), Cause::Returned);
                }
            }
        }
    }

    /// What was selected.
    pub(in crate::store) fn finish(mut self) -> Selected {
        self.selected.hosts = self.hosts.len() as u64;
        self.selected
    }

    fn is_silent(&self, host: HostId, order: &OrderId, at: Timestamp) -> bool {
        let Some(patience) = self.query.patience.get(order) else { return false };
        let covers = |absence: &Absence| {
            absence.silence(*patience).is_some_and(|begin| at > begin) && absence.until.is_none_or(|until| at < until)
        };
        self.absences.get(&host).is_some_and(|absences| absences.iter().any(covers))
    }

    fn add(
        &mut self,
        at: Timestamp,
        host: HostId,
        order: &OrderId,
        from: Option<Lane>,
        to: Option<Lane>,
        cause: Cause,
    ) {
        if from == to {
            return;
        }
        let at = ChangeTime::new(at, self.query.sort);
        let key = ChangeKey { at, host, order: order.clone(), cause, to };
        match &self.query.after {
            None => {
                self.selected.total += 1;
                *self.selected.causes.entry(cause).or_default() += 1;
                self.hosts.insert(host);
            }
            Some(after) if key <= *after => return,
            Some(_) => {}
        }
        let page = &mut self.selected.page;
        let is_full = page.len() >= self.query.rows;
        if is_full && page.last_key_value().is_none_or(|(last, _)| key > *last) {
            self.selected.has_more = true;
            return;
        }
        page.insert(key, from);
        if page.len() > self.query.rows {
            page.pop_last();
            self.selected.has_more = true;
        }
    }
}

#[cfg(test)]
mod tests;
