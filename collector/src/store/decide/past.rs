//! The past: what was so at an instant, and whether that is still known.
//!
//! A host's lane at an instant is the row of its history that covers the instant; silence is laid over it as in the present: the
//! host was silent if the last check-in before the instant was longer ago than the patience of the order as it was then. What is
//! not kept any more is not guessed: [`PastBounds::at`] says why it is unknown.
//!
//! A waiver or a disposition of that time takes precedence over the lane of the history, as it does in the present.

use std::time::Duration;

use muster_proto::limits;
use muster_proto::model::{Cause, EntryState, Lane, OrderId, PastUnknown, Platform, SiteId, Timestamp, is_silent};

use crate::judge::{Decision, HostDecisions, InForce, decided_lane, is_shown_silent, true_lane};

/// An order as it was active at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderThen {
    /// How long a host might be silent.
    pub(crate) patience: Duration,
    /// The platforms and sites to which it applied; empty means all.
    pub(crate) platforms: Vec<Platform>,
    pub(crate) sites: Vec<SiteId>,
}

impl OrderThen {
    /// Whether it may apply to a machine that has not enrolled.
    fn may_bind(&self, platform: Option<Platform>, site: Option<&SiteId>) -> bool {
        (self.platforms.is_empty() || platform.is_none_or(|platform| self.platforms.contains(&platform)))
            && (self.sites.is_empty() || site.is_none_or(|site| self.sites.contains(site)))
    }
}

/// The rules that were in force from an instant on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RulesThen {
    pub(crate) from: Timestamp,
    /// Whether they are kept. Otherwise nothing else is known of them.
    pub(crate) is_kept: bool,
    /// The order that is asked for; `None` if it was not active.
    pub(crate) order: Option<OrderThen>,
    /// The shortest patience of all orders: gaps that ended then were stored if they were longer. `None` stored no gap.
    pub(crate) shortest: Option<Duration>,
}

/// A time of which nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotKnown {
    pub(crate) why: PastUnknown,
    /// From when on it is known; `None` if that cannot be said.
    pub(crate) from: Option<Timestamp>,
}

/// What is known of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PastBounds {
    pub(crate) now: Timestamp,
    /// The first entry of the ledger.
    pub(crate) first: Option<Timestamp>,
    /// Lanes that had ended by then were removed.
    pub(crate) lanes_removed: Option<Timestamp>,
    /// Waivers and dispositions that had ended by then were removed.
    pub(crate) decisions_removed: Option<Timestamp>,
    /// Times of which a restore has lost what happened: from the backup to the restore.
    pub(crate) lost: Vec<(Timestamp, Timestamp)>,
    /// The rules in force, the first ones first, up to now.
    pub(crate) rules: Vec<RulesThen>,
}

impl PastBounds {
    /// The order at an instant that is not in the future, if everything is known that a count of its lanes needs.
    pub(crate) fn at(&self, at: Timestamp) -> Result<&OrderThen, NotKnown> {
        let unknown = |why, from| Err(NotKnown { why, from });
        if let Some(first) = self.first.filter(|first| at < *first) {
            return unknown(PastUnknown::BeforeFirst, Some(first));
        }
        if let Some((_, restored)) = self.lost.iter().find(|(backup, restored)| *backup < at && at < *restored) {
            return unknown(PastUnknown::Lost, Some(*restored));
        }
        // The last rules that came in force by then.
        let Some(last) = self.rules.iter().rposition(|rules| rules.from <= at) else {
            return unknown(PastUnknown::RulesUnknown, self.rules.first().map(|rules| rules.from));
        };
        let rules = &self.rules[last];
        let next = self.rules.get(last + 1).map(|next| next.from);
        if !rules.is_kept {
            return unknown(PastUnknown::RulesUnknown, next);
        }
        let Some(order) = &rules.order else { return unknown(PastUnknown::NotActive, next) };
        // A lane that is kept ended after that instant, so it covers none before.
        if let Some(removed) = self.lanes_removed.filter(|removed| at < *removed) {
            return unknown(PastUnknown::LanesRemoved, Some(removed));
        }
        if let Some(removed) = self.decisions_removed.filter(|removed| at < *removed) {
            return unknown(PastUnknown::DecisionsRemoved, Some(removed));
        }
        let gaps_from = self.now.minus(Duration::from_millis(limits::GAPS_MS.unsigned_abs()));
        if at < gaps_from {
            return unknown(PastUnknown::SilenceRemoved, Some(gaps_from));
        }
        match self.silence_unknown_until(at, order.patience) {
            Some(until) => unknown(PastUnknown::SilenceUnknown, Some(until)),
            None => Ok(order),
        }
    }

    /// A gap is stored when it ends, if it was longer than the shortest patience of the orders then. If that was
    /// longer than the patience that is asked for, hosts that were silent at the instant may have come back without a trace: until
    /// the end of those rules.
    fn silence_unknown_until(&self, at: Timestamp, patience: Duration) -> Option<Timestamp> {
        let periods = self.rules.iter().enumerate().rev();
        let ends = periods.map(|(n, rules)| (rules, self.rules.get(n + 1).map_or(self.now, |next| next.from)));
        let mut unknown = ends.filter(|(rules, until)| {
            // The shortest gap of a host that was silent at the instant and came back under these rules.
            let shortest = rules.from.max(at).since(at).saturating_add(patience);
            let is_stored = rules.is_kept && rules.shortest.is_some_and(|stored| stored <= shortest);
            *until > at && rules.from < *until && !is_stored
        });
        unknown.next().map(|(_, until)| until)
    }
}

/// A time in which a host was in one awake lane under an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneSpan {
    pub(crate) since: Timestamp,
    /// `None` for the present lane.
    pub(crate) until: Option<Timestamp>,
    pub(crate) lane: Lane,
    pub(crate) in_scope: bool,
    pub(crate) cause: Cause,
}

/// What is stored of the past of one host under one order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HostPast {
    pub(crate) enrolled_at: Timestamp,
    /// The last check-in of all; before the first one, the enrollment.
    pub(crate) last_seen: Timestamp,
    /// In their order.
    pub(crate) spans: Vec<LaneSpan>,
    /// Times without a check-in that have ended, in their order.
    pub(crate) gaps: Vec<(Timestamp, Timestamp)>,
    /// The approved waivers and dispositions.
    pub(crate) decisions: HostDecisions,
}

/// Whether work was left on a machine, whatever waiver it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Open,
    /// Its true lane is finished; or it is a machine of the roster, and a host is known to be it.
    Finished,
    /// It was taken out of the count: retired, excused, gone from the lists, or out of scope.
    Left,
}

impl Work {
    const fn of(true_lane: Lane) -> Self {
        if true_lane.is_finished() { Self::Finished } else { Self::Open }
    }
}

/// Where a machine was at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlaceThen {
    /// The lane that was shown; `None` if the order did not apply to the machine.
    pub(crate) lane: Option<Lane>,
    /// Whether it is a machine that was counted at all.
    pub(crate) is_counted: bool,
    pub(crate) is_silent: bool,
    pub(crate) work: Work,
    /// Since when it was in its awake lane, and why.
    pub(crate) since: Timestamp,
    pub(crate) cause: Cause,
    /// The waiver or disposition that gave it its lane.
    pub(crate) decided: Option<DecidedThen>,
}

/// A waiver or a disposition that was in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DecidedThen {
    pub(crate) decision: Decision,
    pub(crate) is_self_approved: bool,
    pub(crate) since: Timestamp,
    /// When a person ended it, or when it ended by itself. A disposition also ends when the host reports again.
    pub(crate) end: Option<Timestamp>,
}

impl DecidedThen {
    fn of(found: InForce<'_>) -> Self {
        let end = match found {
            InForce::Waived(term) => Some(term.end()),
            InForce::Retired(term) => term.ended_at,
        };
        let (decision, is_self_approved) = (found.decision(), found.is_self_approved());
        Self { decision, is_self_approved, since: found.since(), end }
    }

    /// What its beginning and its end are the cause of.
    pub(crate) const fn cause(&self) -> Cause {
        match self.decision {
            Decision::Retired => Cause::Disposition,
            Decision::Waived => Cause::Waiver,
            Decision::Missing => Cause::Action,
        }
    }
}

impl HostPast {
    /// Where the host was at an instant, under an order with this patience; `None` before its enrollment. A host that waited for its
    /// first judgement is `unknown`, as on the board.
    pub(crate) fn place(&self, at: Timestamp, order: &OrderId, patience: Duration) -> Option<PlaceThen> {
        if at < self.enrolled_at {
            return None;
        }
        let span = self.span_at(at);
        let in_scope = span.is_none_or(|span| span.in_scope);
        let found = self.decision(at, order, patience).filter(|_| in_scope);
        let decision = found.map(|found| found.decision());
        let is_silent = self.was_silent(at, patience);
        let awake = span.map_or(Lane::Unknown, |span| span.lane);
        let is_left = !in_scope || decision == Some(Decision::Retired);
        Some(PlaceThen {
            lane: in_scope.then(|| decided_lane(decision, awake, is_silent)),
            is_counted: true,
            is_silent: in_scope && is_shown_silent(decision, is_silent),
            work: if is_left { Work::Left } else { Work::of(true_lane(decision, awake, is_silent)) },
            since: span.map_or(self.enrolled_at, |span| span.since),
            cause: span.map_or(Cause::Enrolled, |span| span.cause),
            decided: found.map(DecidedThen::of),
        })
    }

    /// Whether the host is waived at an instant with work left, and that waiver and any other of it end by a later instant.
    pub(crate) fn has_waiver_ending(&self, at: Timestamp, by: Timestamp, order: &OrderId, patience: Duration) -> bool {
        self.is_waived_with_work(at, order, patience) && self.decision(by, order, patience).is_none()
    }

    /// Whether the host is waived at an instant with work left.
    pub(crate) fn is_waived_with_work(&self, at: Timestamp, order: &OrderId, patience: Duration) -> bool {
        let place = self.place(at, order, patience).filter(|place| place.work == Work::Open);
        place.and_then(|place| place.decided).is_some_and(|it| it.decision == Decision::Waived)
    }

    /// The lane at an instant without a decision; `place` is that of the same instant.
    pub(crate) fn true_lane(&self, at: Timestamp, place: &PlaceThen, patience: Duration) -> Lane {
        let awake = self.span_at(at).map_or(Lane::Unknown, |span| span.lane);
        true_lane(place.decided.map(|decided| decided.decision), awake, self.was_silent(at, patience))
    }

    /// The waiver or disposition that was in force at an instant, whatever the scope of the order.
    ///
    /// The last check-in is only stored of hosts that were away for long. Any other host had reported within the patience, so it had
    /// come back if it was said to have left before that. Within the patience the record of its return decides, which a job makes
    /// some seconds after the check-in.
    pub(crate) fn decision(&self, at: Timestamp, order: &OrderId, patience: Duration) -> Option<InForce<'_>> {
        let seen = self.last_seen_by(at).unwrap_or_else(|| at.minus(patience));
        self.decisions.under(order, Some(seen), at)
    }

    /// The last check-in by an instant, if it is known: it is stored only for hosts that were away then.
    pub(crate) fn last_seen_by(&self, at: Timestamp) -> Option<Timestamp> {
        if self.last_seen <= at {
            return Some(self.last_seen);
        }
        self.gap_at(at).map(|(since, _)| since)
    }

    /// The lane that covers an instant.
    pub(crate) fn span_at(&self, at: Timestamp) -> Option<&LaneSpan> {
        // Spans do not overlap, so only the last one that had begun can cover it.
        let begun = self.spans.partition_point(|span| span.since <= at);
        self.spans[..begun].last().filter(|span| span.until.is_none_or(|until| at < until))
    }

    /// Whether the host had not reported within this patience.
    pub(crate) fn was_silent(&self, at: Timestamp, patience: Duration) -> bool {
        self.last_seen_by(at).is_some_and(|seen| is_silent(Some(seen), at.minus(patience)))
    }

    /// The stored gap that an instant is in. The check-in that ended it is not.
    fn gap_at(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let begun = self.gaps.partition_point(|(since, _)| *since <= at);
        self.gaps[..begun].last().copied().filter(|(_, until)| at < *until)
    }
}

/// What is stored of the past of one entry of the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryPast {
    /// What the lists say now; earlier sites and platforms are not kept.
    pub(crate) site: Option<SiteId>,
    pub(crate) platform: Option<Platform>,
    pub(crate) listed_at: Timestamp,
    /// Since when and until when it was in a state, in their order; `None` is the present one.
    pub(crate) spans: Vec<(Timestamp, Option<Timestamp>, EntryState)>,
}

impl EntryPast {
    /// The state at an instant; `None` before a list had the machine. States that are not kept any more count as missing: that
    /// improves no figure.
    pub(crate) fn state(&self, at: Timestamp) -> Option<(EntryState, Timestamp)> {
        if at < self.listed_at {
            return None;
        }
        let begun = self.spans.partition_point(|(since, ..)| *since <= at);
        let span = self.spans[..begun].last().filter(|(_, until, _)| until.is_none_or(|until| at < until));
        Some(span.map_or((EntryState::Missing, self.listed_at), |(since, _, state)| (*state, *since)))
    }

    /// Where a machine is that has no host: missing, or not counted.
    pub(crate) fn place(&self, at: Timestamp, order: &OrderThen) -> Option<PlaceThen> {
        let (state, since) = self.state(at)?;
        let binds = order.may_bind(self.platform, self.site.as_ref());
        // A machine that is matched is counted as the host. Any other state is what an account said, by hand or by a list.
        let cause = if state == EntryState::Matched { Cause::Enrolled } else { Cause::Action };
        let lane = (state.is_missing() && binds).then_some(Lane::Missing);
        let work = match state {
            _ if !binds => Work::Left,
            EntryState::Missing | EntryState::Review => Work::Open,
            EntryState::Matched => Work::Finished,
            EntryState::Excused | EntryState::Closed => Work::Left,
        };
        Some(PlaceThen { lane, is_counted: state.is_missing(), is_silent: false, work, since, cause, decided: None })
    }
}

#[cfg(test)]
mod tests;
