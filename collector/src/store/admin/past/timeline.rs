//! A timeline of an order, read machine by machine.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_proto::limits;
use muster_proto::model::{EntryState, Label, OmittedDays, OrderId, Platform, SiteId, Timestamp};

use super::bounds::bounds;
use super::decisions;
use super::lanes::span;
use crate::store::decide::past::{EntryPast, HostPast};
pub(crate) use crate::store::decide::timeline::InstantCounts;
use crate::store::decide::timeline::{Timeline, TimelineInstant};
use crate::store::sql::{AdminTx, Row, Step, StoreFault};
use crate::store::{SearchBudget, SiteScope};

pub(super) const ORDER: &str = "SELECT no FROM order_row WHERE id = $1";
const HOSTS: &str = "SELECT no, site, enrolled_at, last_seen FROM identity_row WHERE no > $1 ORDER BY no LIMIT $2";
// Those that the last millisecond of a day lies in.
const BEFORE: &str = "SELECT host, since, until, lane, in_scope, cause FROM lane_before
     WHERE host > $1 AND host <= $2 AND order_no = $3 AND until > $4 AND since / 86400000 < until / 86400000
     ORDER BY host, since";
const NOW: &str = "SELECT host, since, lane, in_scope, cause FROM lane_now
     WHERE host > $1 AND host <= $2 AND order_no = $3 ORDER BY host";
const GAPS: &str = "SELECT host, since, until FROM gap_row
     WHERE host > $1 AND host <= $2 AND until > $3 AND since / 86400000 < until / 86400000 ORDER BY host, since";
const LABELS: &str = "SELECT host, label, since, until FROM host_label
     WHERE host > $1 AND host <= $2 AND (until IS NULL OR until > $3) ORDER BY host, label, since";
const ENTRIES: &str = "SELECT no, site, platform, listed_at, state, since FROM roster_entry
     WHERE no > $1 ORDER BY no LIMIT $2";
const ENTRIES_BEFORE: &str = "SELECT entry, since, until, state FROM roster_entry_history
     WHERE entry > $1 AND entry <= $2 AND until > $3 ORDER BY entry, since";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[ORDER, HOSTS, BEFORE, NOW, GAPS, LABELS, ENTRIES, ENTRIES_BEFORE];

/// Machines that are read at a time.
const PORTION: i64 = 10_000;

/// Which timeline is asked for.
#[derive(Debug, Clone)]
pub(crate) struct TimelineAsked {
    pub(crate) order: OrderId,
    /// In their order: ends of days, and at last perhaps now. None is in the future.
    pub(crate) instants: Vec<Timestamp>,
    pub(crate) now: Timestamp,
    pub(crate) sites: SiteScope,
    /// By what the counts are divided, too.
    pub(crate) by: Option<GroupedBy>,
    /// Also the hosts whose waivers end by this instant, if it is in the future.
    pub(crate) due: Option<Timestamp>,
    /// How long it may take. It also ends when its caller has gone.
    pub(crate) budget: SearchBudget,
}

/// What divides machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupedBy {
    /// Their sites of now.
    Site,
    /// The labels that they had then. A host can have several or none, so these counts do not add up to all.
    Label,
}

/// Machines of one site or with one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// `None` if no list says the site of a machine of the roster.
    Site(Option<SiteId>),
    Label(Label),
}

/// The counts of the instants that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimelineFound {
    pub(crate) days: Vec<InstantCounts<Group>>,
    pub(crate) omitted: Vec<OmittedDays>,
    /// Whether there are more sites or labels than a timeline of so many days may have. The days then have no groups.
    pub(crate) has_too_many_groups: bool,
    /// Whether rules of this time knew the order.
    pub(crate) is_known: bool,
    /// Hosts that are waived now with work left, and will not be when the order is due; 0 if the present is not asked for.
    pub(crate) waivers_ending: u64,
    /// All hosts that are waived now with work left; 0 if the present is not asked for.
    pub(crate) waived: u64,
}

/// Reads a timeline, all of it at one moment of the database.
///
/// # Errors
/// The database fails, the budget is spent, or the caller has gone.
pub(crate) fn timeline(tx: &mut dyn AdminTx, asked: &TimelineAsked) -> Step<TimelineFound> {
    let from = asked.instants.first().copied().unwrap_or(asked.now);
    let bounds = bounds(tx, &asked.order, from, asked.now)?;
    let is_known = bounds.rules.iter().any(|rules| rules.order.is_some());
    let (mut known, mut omitted) = (Vec::new(), Vec::<OmittedDays>::new());
    for at in asked.instants.iter().copied() {
        match bounds.at(at) {
            Ok(order) => known.push(TimelineInstant { at, order: order.clone() }),
            // Days in a row that are left out for the same reason make one row.
            Err(unknown) => match omitted.last_mut().filter(|last| last.why == unknown.why) {
                Some(last) if known.last().is_none_or(|known| known.at < last.from) => last.until = at,
                _ => omitted.push(OmittedDays { from: at, until: at, why: unknown.why }),
            },
        }
    }
    let mut found =
        TimelineFound { days: Vec::new(), omitted, has_too_many_groups: false, is_known, waivers_ending: 0, waived: 0 };
    let Some(first) = known.first().map(|instant| instant.at) else { return Ok(found) };
    let most = limits::TIMELINE_GROUPS / known.len();
    let due = asked.due.filter(|due| *due > asked.now);
    let patience = known.last().filter(|last| last.at == asked.now).map(|last| last.order.patience);
    let mut ending = WaiversEnding { due, patience, hosts: 0, waived: 0 };
    let mut counted = Timeline::new(known);
    let order = tx.query(ORDER, &[asked.order.as_str().into()])?.first().map(|row| row.int(0)).transpose()?;
    // An order that has never judged a host has no number: every host was unknown.
    let is_counted = count_hosts(tx, asked, order.unwrap_or(-1), (first, most), &mut counted, &mut ending)?
        && count_entries(tx, asked, first, most, &mut counted)?;
    found.has_too_many_groups = !is_counted;
    found.waivers_ending = ending.hosts;
    found.waived = ending.waived;
    found.days = counted.finish();
    if found.has_too_many_groups {
        found.days.iter_mut().for_each(|day| day.groups.clear());
    }
    Ok(found)
}

/// Hosts that are waived now with work left, and those of them that will not be when the order is due.
struct WaiversEnding {
    /// The due milestone, if it is ahead.
    due: Option<Timestamp>,
    /// The present patience of the order; `None` if the present is not asked for.
    patience: Option<Duration>,
    hosts: u64,
    waived: u64,
}

/// `false` if there are more groups than `most`; then it has stopped.
fn count_hosts(
    tx: &mut dyn AdminTx,
    asked: &TimelineAsked,
    order: i64,
    (first, most): (Timestamp, usize),
    counted: &mut Timeline<Group>,
    ending: &mut WaiversEnding,
) -> Step<bool> {
    let mut after = 0;
    loop {
        asked.budget.check()?;
        let rows = tx.query(HOSTS, &[after.into(), PORTION.into()])?;
        let Some(last) = rows.last() else { return Ok(true) };
        let last = last.int(0)?;
        let mut hosts: BTreeMap<i64, (SiteId, HostPast)> = BTreeMap::new();
        for row in &rows {
            let site: SiteId = row.parse("a site", 1)?;
            if asked.sites.contains(&site) {
                let past = HostPast { enrolled_at: row.time(2)?, last_seen: row.time(3)?, ..HostPast::default() };
                hosts.insert(row.int(0)?, (site, past));
            }
        }
        let range = [after.into(), last.into()];
        for row in tx.query(BEFORE, &[range[0], range[1], order.into(), first.into()])? {
            if let Some((_, past)) = hosts.get_mut(&row.int(0)?) {
                past.spans.push(span(&row, Some(row.time(2)?), 3)?);
            }
        }
        for row in tx.query(NOW, &[range[0], range[1], order.into()])? {
            if let Some((_, past)) = hosts.get_mut(&row.int(0)?) {
                past.spans.push(span(&row, None, 2)?);
            }
        }
        for row in tx.query(GAPS, &[range[0], range[1], first.into()])? {
            if let Some((_, past)) = hosts.get_mut(&row.int(0)?) {
                past.gaps.push((row.time(1)?, row.time(2)?));
            }
        }
        for (no, decisions) in decisions::of_range(tx, (after, last), (first, asked.now))? {
            if let Some((_, past)) = hosts.get_mut(&no) {
                past.decisions = decisions;
            }
        }
        if asked.by == Some(GroupedBy::Label) {
            for row in tx.query(LABELS, &[range[0], range[1], first.into()])? {
                let Some((_, past)) = hosts.get(&row.int(0)?) else { continue };
                let (since, until) = (row.time(2)?, row.maybe_time(3)?);
                counted.add_to(&Group::Label(row.parse("a label", 1)?), |instant| {
                    let had = since <= instant.at && until.is_none_or(|until| instant.at < until);
                    past.place(instant.at, &asked.order, instant.order.patience).filter(|_| had)
                });
            }
        }
        for (site, past) in hosts.into_values() {
            let place = |instant: &TimelineInstant| past.place(instant.at, &asked.order, instant.order.patience);
            counted.add(place);
            if let Some(patience) = ending.patience {
                ending.waived += u64::from(past.is_waived_with_work(asked.now, &asked.order, patience));
                let ends = |due| past.has_waiver_ending(asked.now, due, &asked.order, patience);
                ending.hosts += u64::from(ending.due.is_some_and(ends));
            }
            if asked.by == Some(GroupedBy::Site) {
                counted.add_to(&Group::Site(Some(site)), place);
            }
        }
        if counted.groups() > most {
            return Ok(false);
        }
        after = last;
    }
}

/// `false` if there are more groups than `most`; then it has stopped.
fn count_entries(
    tx: &mut dyn AdminTx,
    asked: &TimelineAsked,
    first: Timestamp,
    most: usize,
    counted: &mut Timeline<Group>,
) -> Step<bool> {
    let mut after = 0;
    loop {
        asked.budget.check()?;
        let rows = tx.query(ENTRIES, &[after.into(), PORTION.into()])?;
        let Some(last) = rows.last() else { return Ok(true) };
        let last = last.int(0)?;
        let mut entries: BTreeMap<i64, EntryPast> = BTreeMap::new();
        for row in &rows {
            let entry = entry(row)?;
            // Entries whose site nobody knows are for readers of all sites, as on the board.
            if entry.site.as_ref().map_or(asked.sites == SiteScope::All, |site| asked.sites.contains(site)) {
                entries.insert(row.int(0)?, entry);
            }
        }
        for row in tx.query(ENTRIES_BEFORE, &[after.into(), last.into(), first.into()])? {
            if let Some(entry) = entries.get_mut(&row.int(0)?) {
                let present = entry.spans.len().saturating_sub(1);
                entry.spans.insert(present, (row.time(1)?, Some(row.time(2)?), state(&row, 3)?));
            }
        }
        for entry in entries.into_values() {
            let place = |instant: &TimelineInstant| entry.place(instant.at, &instant.order);
            counted.add(place);
            if asked.by == Some(GroupedBy::Site) {
                counted.add_to(&Group::Site(entry.site.clone()), place);
            }
        }
        if counted.groups() > most {
            return Ok(false);
        }
        after = last;
    }
}

/// An entry with its present state.
fn entry(row: &Row) -> Step<EntryPast> {
    let site = row.text(1)?;
    let platform = u8::try_from(row.int(2)?).ok().and_then(Platform::from_code);
    Ok(EntryPast {
        site: if site.is_empty() { None } else { Some(row.parse("a site", 1)?) },
        platform,
        listed_at: row.time(3)?,
        spans: vec![(row.time(5)?, None, state(row, 4)?)],
    })
}

fn state(row: &Row, at: usize) -> Step<EntryState> {
    let state = u8::try_from(row.int(at)?).ok().and_then(EntryState::from_code);
    state.ok_or_else(|| StoreFault::damaged("an entry of the roster", "its state is unknown"))
}
