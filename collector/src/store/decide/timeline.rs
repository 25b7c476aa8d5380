//! A timeline: from the stored past of each machine to counts at some instants and what changed between them.
//!
//! The steps between two instants are the machines that are in another lane at the second one, so they always add up to the
//! difference of the counts. A machine that left a lane and came back in between makes none.
//!
//! The *progress* between two instants is the machines that were finished, less those on which new work was found and new ones with
//! work. What people decided is no progress: a waiver hides no work, and a machine that is retired, excused or gone from
//! the lists has not been finished. Neither is what other rules say of the same machines.

use std::collections::BTreeMap;

use muster_proto::model::{Cause, DayCounts, Lane, LaneStep, Timestamp};

use super::past::{DecidedThen, OrderThen, PlaceThen, Work};
use crate::judge::Decision;

/// An instant of a timeline, with the order as it was then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimelineInstant {
    pub(crate) at: Timestamp,
    pub(crate) order: OrderThen,
}

/// Machines by the code of their lane; 0 is out of scope.
type ByLane = [u64; Lane::ALL.len() + 1];
const NONE: ByLane = [0; Lane::ALL.len() + 1];

/// The lanes before and after, and the cause.
type Step = (Option<Lane>, Option<Lane>, Cause);

/// What is known of one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstantCounts<G> {
    pub(crate) at: Timestamp,
    pub(crate) counts: DayCounts,
    /// The counts of each group that has machines.
    pub(crate) groups: Vec<(G, DayCounts)>,
    pub(crate) steps: Vec<LaneStep>,
    pub(crate) progress: i64,
}

/// Counts machines at each instant, one machine after the other. `G` is what counts are divided by.
#[derive(Debug)]
pub(crate) struct Timeline<G> {
    instants: Vec<TimelineInstant>,
    /// The same instants with the order as it was at the instant before, where it was another one.
    replaced: Vec<Option<TimelineInstant>>,
    all: Vec<ByLane>,
    groups: BTreeMap<G, Vec<ByLane>>,
    steps: Vec<BTreeMap<Step, u64>>,
    progress: Vec<i64>,
}

impl<G: Ord + Clone> Timeline<G> {
    /// Of these instants, in their order.
    pub(crate) fn new(instants: Vec<TimelineInstant>) -> Self {
        let steps = vec![BTreeMap::new(); instants.len()];
        let all = vec![NONE; instants.len()];
        let mut replaced = vec![None];
        replaced.extend(instants.windows(2).map(|pair| {
            let order = Some(&pair[0].order).filter(|order| **order != pair[1].order)?;
            Some(TimelineInstant { at: pair[1].at, order: order.clone() })
        }));
        let progress = vec![0; instants.len()];
        Self { instants, replaced, all, groups: BTreeMap::new(), steps, progress }
    }

    /// How many groups have machines.
    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Counts one machine, which is in the place that is given for each instant.
    pub(crate) fn add(&mut self, place: impl Fn(&TimelineInstant) -> Option<PlaceThen>) {
        let mut before: Option<(Timestamp, Option<PlaceThen>)> = None;
        let instants = self.instants.iter().zip(&self.replaced).zip(&mut self.progress);
        for ((((instant, replaced), done), counts), steps) in instants.zip(&mut self.all).zip(&mut self.steps) {
            let now = place(instant);
            count(counts, now);
            if let Some((at, before)) = before {
                let unchanged = replaced.as_ref().map_or(now, &place);
                *done += progress(at, before, unchanged, now);
                if let Some(step) = step(at, before, unchanged, now, instant.at) {
                    *steps.entry(step).or_default() += 1;
                }
            }
            before = Some((instant.at, now));
        }
    }

    /// Counts a machine in a group at the instants at which it has a place there. It can be in several groups.
    pub(crate) fn add_to(&mut self, group: &G, place: impl Fn(&TimelineInstant) -> Option<PlaceThen>) {
        if !self.groups.contains_key(group) {
            self.groups.insert(group.clone(), vec![NONE; self.instants.len()]);
        }
        let Some(counts) = self.groups.get_mut(group) else { return };
        for (instant, counts) in self.instants.iter().zip(counts) {
            count(counts, place(instant));
        }
    }

    /// What was counted.
    pub(crate) fn finish(self) -> Vec<InstantCounts<G>> {
        let Self { instants, replaced: _, all, groups, steps, progress } = self;
        let instants = instants.into_iter().zip(steps).zip(progress).enumerate();
        let of = |(n, ((instant, steps), progress)): (usize, ((TimelineInstant, BTreeMap<_, _>), i64))| {
            let mut parts = Vec::new();
            for (group, counts) in &groups {
                let Some(part) = counts.get(n) else { continue };
                if part.iter().any(|machines| *machines > 0) {
                    parts.push((group.clone(), day_counts(part)));
                }
            }
            let step = |((from, to, cause), hosts)| LaneStep { from, to, cause, hosts };
            let steps = steps.into_iter().map(step).collect();
            let counts = day_counts(all.get(n).unwrap_or(&NONE));
            InstantCounts { at: instant.at, counts, groups: parts, steps, progress }
        };
        instants.map(of).collect()
    }
}

/// Counts a machine in its lane.
fn count(counts: &mut ByLane, place: Option<PlaceThen>) {
    if let Some(place) = place.filter(|place| place.is_counted) {
        let code = place.lane.map_or(0, |lane| usize::from(lane.code()));
        if let Some(count) = counts.get_mut(code) {
            *count += 1;
        }
    }
}

fn day_counts(counts: &ByLane) -> DayCounts {
    let of = |code: usize| counts.get(code).copied().unwrap_or_default();
    DayCounts {
        lanes: Lane::ALL.iter().map(|lane| (*lane, of(usize::from(lane.code())))).collect(),
        out_of_scope: of(0),
        total: counts.iter().sum(),
    }
}

/// The lanes before and after, and the cause of the last change between both instants; `None` if the lane is the same. `at` is the
/// instant before, `until` the one after, and `unchanged` where the machine would be now if the order had stayed as it was.
fn step(
    at: Timestamp,
    before: Option<PlaceThen>,
    unchanged: Option<PlaceThen>,
    now: Option<PlaceThen>,
    until: Timestamp,
) -> Option<Step> {
    let lane = |place: Option<PlaceThen>| place.and_then(|place| place.lane);
    let (from, to) = (lane(before), lane(now));
    let now = now.filter(|_| from != to)?;
    let ended = before.and_then(|before| before.decided.map(|decided| (decided, before.is_silent)));
    let cause = match (now.decided, ended) {
        (Some(began), _) if began.since > at => began.cause(),
        _ if lane(unchanged) != to => Cause::Rules,
        // Another decision, made before, is left.
        (_, Some((ended, was_silent))) => end_cause(at, &ended, was_silent, &now, until),
        (Some(began), None) => began.cause(),
        (None, None) => awake_cause(at, before, &now),
    };
    Some((from, to, cause))
}

/// What a machine adds to the progress between two instants; the arguments are those of [`step`].
fn progress(at: Timestamp, before: Option<PlaceThen>, unchanged: Option<PlaceThen>, now: Option<PlaceThen>) -> i64 {
    let work = |place: Option<PlaceThen>| place.map(|place| place.work);
    let is_judged_by_others = now.is_some_and(|now| matches!(now.cause, Cause::Rules | Cause::Order) && now.since > at);
    if is_judged_by_others || work(unchanged) != work(now) {
        return 0;
    }
    match (work(before), work(now)) {
        (Some(Work::Open), Some(Work::Finished)) => 1,
        (None | Some(Work::Finished), Some(Work::Open)) => -1,
        // Nothing has changed, it was new and finished, or it was taken out of the count or back into it.
        (Some(Work::Open | Work::Left), Some(Work::Open))
        | (None | Some(Work::Finished | Work::Left), Some(Work::Finished))
        | (_, None | Some(Work::Left)) => 0,
    }
}

/// Why a machine about which nothing was or is decided is in another lane.
fn awake_cause(at: Timestamp, before: Option<PlaceThen>, now: &PlaceThen) -> Cause {
    let was_out_of_scope = before.is_some_and(|before| before.is_counted && before.lane.is_none());
    let was_silent = before.is_some_and(|before| before.lane == Some(Lane::Silent));
    match now.lane {
        // It was judged into the scope of the order, whether it reports or not.
        Some(Lane::Silent) if was_out_of_scope => now.cause,
        // Whatever happened before it fell silent does not show.
        Some(Lane::Silent) => Cause::Silent,
        // Its stored lane has not changed, so it has reported.
        Some(_) if was_silent && now.since <= at => Cause::Returned,
        Some(_) | None => now.cause,
    }
}

/// Why a machine is in another lane than that of a decision that is no longer in force. `at` and `until` are both instants.
fn end_cause(at: Timestamp, ended: &DecidedThen, was_silent: bool, now: &PlaceThen, until: Timestamp) -> Cause {
    // It is out of scope.
    let Some(lane) = now.lane else { return now.cause };
    match (ended.decision, ended.end.filter(|end| *end <= until)) {
        // Nobody took it back, so it has reported.
        (Decision::Retired, None) => {
            if now.since > at {
                now.cause
            } else {
                Cause::Returned
            }
        }
        (Decision::Waived, _) if lane == Lane::Silent && !was_silent => Cause::Silent,
        (_, Some(end)) if lane != Lane::Silent && now.since > end => now.cause,
        (Decision::Retired | Decision::Waived | Decision::Missing, _) => ended.cause(),
    }
}

#[cfg(test)]
mod tests;
