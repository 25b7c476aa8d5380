//! The tally of an order at an instant: the present one, less what has changed since.
//!
//! Most hosts have been in their lane for long, so only the others are read: the present tally is counted back by the lanes that
//! began after the instant and the lanes that were in force then. Silence, enrollments and the roster are counted back in the same
//! way. Hosts that were waived or retired are read one by one and taken from their lanes. Hosts that were matched or taken apart since are read one by one, because the tally counts them elsewhere now.

use std::collections::{BTreeMap, HashMap};

use muster_proto::model::{EntryState, Lane, OrderId, Platform, SiteId, Timestamp};

use super::decisions::{NamedHost, each_named};
use super::portion;
use super::timeline::ORDER;
use crate::store::decide::past::{HostPast, OrderThen};
use crate::store::decide::tally::{DecidedCounts, SilentHosts, TallyRow, counted};
use crate::store::sql::{AdminTx, Row, Step, StoreFault};
use crate::store::{DecidedPlace, EntryCount, FleetTally, SiteScope};

const SITES: &str = "SELECT site, hosts FROM site_count WHERE hosts > 0 ORDER BY site";
const MATCHED: &str = "SELECT site, CAST(sum(entries) AS bigint) FROM roster_count WHERE state = 1 AND entries > 0
     GROUP BY site ORDER BY site";
const ENROLLED_SINCE: &str = "SELECT site, listed, count(*) FROM listed_row WHERE enrolled_at > $1
     GROUP BY site, listed ORDER BY site, listed";
const TALLY: &str = "SELECT site, lane, in_scope, listed, CAST(sum(hosts) AS bigint) FROM tally_row
     WHERE order_id = $1 AND hosts > 0 GROUP BY site, lane, in_scope, listed ORDER BY site, lane, in_scope, listed";
const BEGUN_SINCE: &str = "SELECT i.site, v.lane, v.in_scope, i.listed, count(*)
     FROM lane_now v JOIN listed_row i ON i.no = v.host WHERE v.order_no = $1 AND v.since > $2
     GROUP BY i.site, v.lane, v.in_scope, i.listed ORDER BY i.site, v.lane, v.in_scope, i.listed";
const IN_FORCE: &str = "SELECT i.site, v.lane, v.in_scope, i.listed, count(*)
     FROM lane_before v JOIN listed_row i ON i.no = v.host
     WHERE v.order_no = $1 AND v.since <= $2 AND v.until > $2
     GROUP BY i.site, v.lane, v.in_scope, i.listed ORDER BY i.site, v.lane, v.in_scope, i.listed";

// Hosts that were silent: those that have not come back, and those whose gap the instant lies in. `$1` is the instant, `$2` the
// last one at which a silent host was seen, plus one.
const AWAY: &str =
    "SELECT i.site, i.listed, count(*) FROM identity_row i WHERE i.last_seen < $2 AND i.enrolled_at <= $1
     GROUP BY i.site, i.listed ORDER BY i.site, i.listed";
// A gap may be stored a moment before the check-in that ended it; until then AWAY counts the host.
const WERE_AWAY: &str = "SELECT i.site, i.listed, count(*) FROM gap_row g JOIN identity_row i ON i.no = g.host
     WHERE g.until > $1 AND g.since < $2 AND i.last_seen >= g.until GROUP BY i.site, i.listed ORDER BY i.site, i.listed";
const AWAY_NOW: &str = "SELECT i.site, v.lane, v.in_scope, i.listed, count(*)
     FROM identity_row i JOIN lane_now v ON v.host = i.no AND v.order_no = $3
     WHERE i.last_seen < $2 AND v.since <= $1
     GROUP BY i.site, v.lane, v.in_scope, i.listed ORDER BY i.site, v.lane, v.in_scope, i.listed";
// SQLite takes the tables of a CROSS JOIN in their order: few hosts have been away, and all have past lanes.
const AWAY_BEFORE: &str = "SELECT i.site, v.lane, v.in_scope, i.listed, count(*)
     FROM identity_row i CROSS JOIN lane_before v
     WHERE v.host = i.no AND v.order_no = $3 AND i.last_seen < $2 AND v.since <= $1 AND v.until > $1
     GROUP BY i.site, v.lane, v.in_scope, i.listed ORDER BY i.site, v.lane, v.in_scope, i.listed";
const WERE_AWAY_NOW: &str = "SELECT i.site, v.lane, v.in_scope, i.listed, count(*)
     FROM gap_row g JOIN identity_row i ON i.no = g.host JOIN lane_now v ON v.host = g.host AND v.order_no = $3
     WHERE g.until > $1 AND g.since < $2 AND i.last_seen >= g.until AND v.since <= $1
     GROUP BY i.site, v.lane, v.in_scope, i.listed ORDER BY i.site, v.lane, v.in_scope, i.listed";
const WERE_AWAY_BEFORE: &str = "SELECT i.site, v.lane, v.in_scope, i.listed, count(*)
     FROM gap_row g JOIN identity_row i ON i.no = g.host JOIN lane_before v ON v.host = g.host AND v.order_no = $3
     WHERE g.until > $1 AND g.since < $2 AND i.last_seen >= g.until AND v.since <= $1 AND v.until > $1
     GROUP BY i.site, v.lane, v.in_scope, i.listed ORDER BY i.site, v.lane, v.in_scope, i.listed";

const ENTRIES: &str =
    "SELECT state, site, platform, entries FROM roster_count WHERE entries > 0 ORDER BY state, site, platform";
const ENTRIES_SINCE: &str = "SELECT state, counted_site, platform, count(*) FROM roster_entry WHERE since > $1
     GROUP BY state, counted_site, platform ORDER BY state, counted_site, platform";
const ENTRIES_THEN: &str = "SELECT p.state, e.site, e.platform, count(*)
     FROM roster_entry_history p JOIN roster_entry e ON e.no = p.entry WHERE p.since <= $1 AND p.until > $1
     GROUP BY p.state, e.site, e.platform ORDER BY p.state, e.site, e.platform";
// What is not kept of an entry any more counts as missing: that improves no figure.
const ENTRIES_LOST: &str = "SELECT 2, e.site, e.platform, count(*) FROM roster_entry e
     WHERE e.since > $1 AND e.listed_at <= $1 AND NOT EXISTS
         (SELECT 1 FROM roster_entry_history p WHERE p.entry = e.no AND p.since <= $1 AND p.until > $1)
     GROUP BY e.site, e.platform ORDER BY e.site, e.platform";

/// Hosts that became machines of the roster since the instant, or were one then. Those that enrolled since are not counted then.
pub(crate) const RELISTED: &str = "SELECT e.host, 1, 0 FROM roster_entry e JOIN listed_row i ON i.no = e.host
     WHERE e.since > $1 AND i.enrolled_at <= $1
     UNION ALL SELECT host, 0, 1 FROM roster_entry_history WHERE host IS NOT NULL AND since <= $1 AND until > $1
     ORDER BY 1, 2, 3";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    SITES,
    MATCHED,
    ENROLLED_SINCE,
    TALLY,
    BEGUN_SINCE,
    IN_FORCE,
    AWAY,
    WERE_AWAY,
    AWAY_NOW,
    AWAY_BEFORE,
    WERE_AWAY_NOW,
    WERE_AWAY_BEFORE,
    ENTRIES,
    ENTRIES_SINCE,
    ENTRIES_THEN,
    ENTRIES_LOST,
    RELISTED,
];

/// Hosts that are read at a time.
const AT_ONCE: usize = 1_000;

/// The machines of an order at an instant.
///
/// # Errors
/// The database fails, or its counts do not fit together.
pub(crate) fn tally(
    tx: &mut dyn AdminTx,
    order: &OrderId,
    then: &OrderThen,
    at: Timestamp,
    sites: &SiteScope,
) -> Step<FleetTally> {
    let number = tx.query(ORDER, &[order.as_str().into()])?.first().map(|row| row.int(0)).transpose()?;
    // An order that has never judged a host has no number, and no lanes.
    let number = number.unwrap_or(-1);
    let silent_before = at.minus(then.patience);
    let mut counts = Counts::new(sites);
    counts.enrolled(tx, at)?;
    counts.lanes(tx, order, number, at)?;
    counts.silent(tx, number, at, silent_before)?;
    let (entries, was_listed) = entries(tx, sites, at)?;
    let relisted = if was_listed {
        counts.relist(tx, number, then, at)?
    } else {
        counts.unlist();
        BTreeMap::new()
    };
    each_named(tx, (order, number), at, |host| {
        let is_listed = was_listed && relisted.get(&host.no).copied().unwrap_or(host.is_listed);
        counts.decide(host, is_listed, order, then, at);
    })?;
    counts.into_tally(entries)
}

/// Hosts as they are counted back. What is counted by `true` is on the roster.
struct Counts<'s> {
    sites: &'s SiteScope,
    hosts: HashMap<bool, i64>,
    lanes: HashMap<(Lane, bool, bool), i64>,
    /// Silent hosts by lane and scope; `None` is all, judged or not.
    silent: HashMap<(Option<(Lane, bool)>, bool), i64>,
    decided: DecidedCounts,
}

impl<'s> Counts<'s> {
    fn new(sites: &'s SiteScope) -> Self {
        Self {
            sites,
            hosts: HashMap::new(),
            lanes: HashMap::new(),
            silent: HashMap::new(),
            decided: DecidedCounts::new(),
        }
    }

    fn is_in(&self, row: &Row) -> Step<bool> {
        Ok(*self.sites == SiteScope::All || self.sites.contains(&row.parse("a site", 0)?))
    }

    /// Hosts that had enrolled: those of now, less those that enrolled since.
    fn enrolled(&mut self, tx: &mut dyn AdminTx, at: Timestamp) -> Step<()> {
        for row in tx.query(SITES, &[])? {
            if self.is_in(&row)? {
                *self.hosts.entry(false).or_default() += row.int(1)?;
            }
        }
        for row in tx.query(MATCHED, &[])? {
            if self.is_in(&row)? {
                *self.hosts.entry(true).or_default() += row.int(1)?;
                *self.hosts.entry(false).or_default() -= row.int(1)?;
            }
        }
        for row in tx.query(ENROLLED_SINCE, &[at.into()])? {
            if self.is_in(&row)? {
                *self.hosts.entry(row.flag(1)?).or_default() -= row.int(2)?;
            }
        }
        Ok(())
    }

    fn lanes(&mut self, tx: &mut dyn AdminTx, order: &OrderId, number: i64, at: Timestamp) -> Step<()> {
        let parts = [
            (tx.query(TALLY, &[order.as_str().into()])?, 1),
            (tx.query(BEGUN_SINCE, &[number.into(), at.into()])?, -1),
            (tx.query(IN_FORCE, &[number.into(), at.into()])?, 1),
        ];
        for (rows, sign) in parts {
            for row in rows {
                if self.is_in(&row)? {
                    let key = (lane(&row, 1)?, row.flag(2)?, row.flag(3)?);
                    *self.lanes.entry(key).or_default() += sign * row.int(4)?;
                }
            }
        }
        Ok(())
    }

    fn silent(&mut self, tx: &mut dyn AdminTx, number: i64, at: Timestamp, before: Timestamp) -> Step<()> {
        for sql in [AWAY, WERE_AWAY] {
            for row in tx.query(sql, &[at.into(), before.into()])? {
                if self.is_in(&row)? {
                    *self.silent.entry((None, row.flag(1)?)).or_default() += row.int(2)?;
                }
            }
        }
        for sql in [AWAY_NOW, AWAY_BEFORE, WERE_AWAY_NOW, WERE_AWAY_BEFORE] {
            for row in tx.query(sql, &[at.into(), before.into(), number.into()])? {
                if self.is_in(&row)? {
                    let place = Some((lane(&row, 1)?, row.flag(2)?));
                    *self.silent.entry((place, row.flag(3)?)).or_default() += row.int(4)?;
                }
            }
        }
        Ok(())
    }

    /// No machine was on the roster.
    fn unlist(&mut self) {
        let hosts: i64 = self.hosts.values().sum();
        self.hosts = HashMap::from([(false, hosts)]);
        let mut lanes = HashMap::new();
        for ((lane, in_scope, _), hosts) in self.lanes.drain() {
            *lanes.entry((lane, in_scope, false)).or_default() += hosts;
        }
        self.lanes = lanes;
        let mut silent = HashMap::new();
        for ((place, _), hosts) in self.silent.drain() {
            *silent.entry((place, false)).or_default() += hosts;
        }
        self.silent = silent;
    }

    /// Counts hosts on the roster or outside as they were then; returns which of them were on it, of those that changed.
    fn relist(
        &mut self,
        tx: &mut dyn AdminTx,
        number: i64,
        then: &OrderThen,
        at: Timestamp,
    ) -> Step<BTreeMap<i64, bool>> {
        let mut changed: BTreeMap<i64, (bool, bool)> = BTreeMap::new();
        for row in tx.query(RELISTED, &[at.into()])? {
            let (is_now, was_then) = changed.entry(row.int(0)?).or_default();
            *is_now |= row.flag(1)?;
            *was_then |= row.flag(2)?;
        }
        let changed: Vec<(i64, bool, bool)> = changed
            .into_iter()
            .filter(|(_, (is_now, was_then))| is_now != was_then)
            .map(|(host, (is_now, was_then))| (host, is_now, was_then))
            .collect();
        for part in changed.chunks(AT_ONCE) {
            let hosts: Vec<i64> = part.iter().map(|(host, ..)| *host).collect();
            for seen in portion::hosts(tx, &hosts, at)? {
                let moved = part.iter().find(|(host, ..)| *host == seen.no);
                let Some((_, is_now, was_then)) = moved.filter(|_| self.sites.contains(&seen.site)) else { continue };
                self.move_host(&seen.past(number), then, at, *is_now, *was_then);
            }
        }
        Ok(changed.into_iter().map(|(host, _, was_then)| (host, was_then)).collect())
    }

    /// Counts a host as waived or retired instead of silent, if it was.
    fn decide(&mut self, host: &NamedHost, is_listed: bool, order: &OrderId, then: &OrderThen, at: Timestamp) {
        let past = &host.past;
        let place = past.place(at, order, then.patience).filter(|_| self.sites.contains(&host.site));
        let Some((place, decided)) = place.and_then(|place| Some((place, place.decided?))) else { return };
        let span = past.span_at(at).map(|span| (span.lane, span.in_scope));
        let counted = DecidedPlace {
            decision: decided.decision,
            is_self_approved: decided.is_self_approved,
            awake: span.map_or(Lane::Unknown, |(lane, _)| lane),
            is_silent: place.is_silent,
        };
        *self.decided.entry((counted, is_listed, span.is_some())).or_default() += 1;
        if past.was_silent(at, then.patience) {
            *self.silent.entry((None, is_listed)).or_default() -= 1;
            if span.is_some() {
                *self.silent.entry((span, is_listed)).or_default() -= 1;
            }
        }
    }

    fn move_host(&mut self, past: &HostPast, then: &OrderThen, at: Timestamp, is_now: bool, was_then: bool) {
        if at < past.enrolled_at {
            return;
        }
        let place = past.span_at(at).map(|span| (span.lane, span.in_scope));
        let is_silent = past.was_silent(at, then.patience);
        for (is_listed, sign) in [(is_now, -1), (was_then, 1)] {
            *self.hosts.entry(is_listed).or_default() += sign;
            if let Some((lane, in_scope)) = place {
                *self.lanes.entry((lane, in_scope, is_listed)).or_default() += sign;
            }
            if is_silent {
                *self.silent.entry((None, is_listed)).or_default() += sign;
                if place.is_some() {
                    *self.silent.entry((place, is_listed)).or_default() += sign;
                }
            }
        }
    }

    fn into_tally(self, entries: Vec<EntryCount>) -> Step<FleetTally> {
        let count = |hosts: i64| {
            let negative = || StoreFault::damaged("the tally of the past", format!("it would have {hosts} hosts"));
            u64::try_from(hosts).map_err(|_| negative())
        };
        let mut rows = Vec::new();
        for ((lane, in_scope, is_listed), hosts) in &self.lanes {
            rows.push(TallyRow { lane: *lane, in_scope: *in_scope, is_listed: *is_listed, hosts: count(*hosts)? });
        }
        let mut silent = SilentHosts::new();
        for is_listed in [false, true] {
            let all = self.silent.get(&(None, is_listed)).copied().unwrap_or_default();
            let mut unjudged = all;
            for ((place, _), hosts) in self.silent.iter().filter(|((_, listed), _)| *listed == is_listed) {
                let Some((lane, in_scope)) = place else { continue };
                unjudged -= hosts;
                if *in_scope {
                    silent.insert((Some(*lane), is_listed), count(*hosts)?);
                }
            }
            silent.insert((None, is_listed), count(unjudged)?);
        }
        let hosts = |is_listed| count(self.hosts.get(&is_listed).copied().unwrap_or_default());
        let mut tally = FleetTally {
            listed: counted(hosts(true)?, true, &rows, &silent, &self.decided)?,
            outside: counted(hosts(false)?, false, &rows, &silent, &self.decided)?,
            entries,
        };
        let listed = hosts(true)?;
        if listed > 0 {
            let (state, site, platform) = (EntryState::Matched, None, None);
            tally.entries.push(EntryCount { state, site, platform, entries: listed });
        }
        Ok(tally)
    }
}

fn lane(row: &Row, at: usize) -> Step<Lane> {
    let lane = u8::try_from(row.int(at)?).ok().and_then(Lane::from_code);
    lane.ok_or_else(|| StoreFault::damaged("a lane of a host", "its code is unknown"))
}

/// The entries of the roster at these sites that no host was: those of now, less those that changed since, and what they were
/// then. Also whether any entry was matched, at whatever site.
fn entries(tx: &mut dyn AdminTx, sites: &SiteScope, at: Timestamp) -> Step<(Vec<EntryCount>, bool)> {
    let mut counts: BTreeMap<(u8, String, i64), i64> = BTreeMap::new();
    let parts = [
        (tx.query(ENTRIES, &[])?, 1),
        (tx.query(ENTRIES_SINCE, &[at.into()])?, -1),
        (tx.query(ENTRIES_THEN, &[at.into()])?, 1),
        (tx.query(ENTRIES_LOST, &[at.into()])?, 1),
    ];
    for (rows, sign) in parts {
        for row in rows {
            let key = (u8::try_from(row.int(0)?).unwrap_or_default(), row.text(1)?.to_owned(), row.int(2)?);
            *counts.entry(key).or_default() += sign * row.int(3)?;
        }
    }
    let mut matched = 0;
    let mut entries = Vec::new();
    for ((state, site, platform), machines) in counts {
        let unknown = || StoreFault::damaged("an entry of the roster", format!("state {state} is unknown"));
        let state = EntryState::from_code(state).ok_or_else(unknown)?;
        if state == EntryState::Matched {
            // The site that it counts at is that of its host, which may be another one now.
            matched += machines;
            continue;
        }
        let site = if site.is_empty() { None } else { Some(read_site(&site)?) };
        let platform = u8::try_from(platform).ok().and_then(Platform::from_code);
        let negative = || StoreFault::damaged("the roster of the past", format!("it would have {machines} entries"));
        let count = EntryCount { state, site, platform, entries: u64::try_from(machines).map_err(|_| negative())? };
        entries.extend(Some(count).filter(|count| count.entries > 0 && count.is_of(sites)));
    }
    Ok((entries, matched > 0))
}

fn read_site(text: &str) -> Step<SiteId> {
    text.parse().map_err(|error: muster_proto::model::InvalidId| StoreFault::damaged("a site", error.to_string()))
}
