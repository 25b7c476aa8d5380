//! Random fleets: what is rebuilt from stored histories is what was counted day by day while the events happened.

mod steps;

use std::time::Duration;

use proptest::prelude::*;

use muster_proto::model::{DispositionKind, OrderId, WaiverReason};

use super::super::past::{HostPast, LaneSpan};
use super::*;
use crate::judge::{HostDecisions, RetirementTerm, WaiverTerm};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const START: i64 = 1_760_000_000_000;
const PATIENCE: Duration = Duration::from_millis(3 * DAY);
const DAYS: u64 = 40;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(START).plus(Duration::from_millis(millis))
}

fn id() -> OrderId {
    "an-order".parse().expect("valid")
}

fn order() -> OrderThen {
    OrderThen { patience: PATIENCE, platforms: Vec::new(), sites: Vec::new() }
}

/// What happens to a host: it is judged into a lane, it checks in, or people decide something about it.
#[derive(Debug, Clone, Copy)]
enum Event {
    Judged(Lane, bool, Cause),
    CheckIn,
    /// For so many hours.
    Waived(u64),
    Retired,
    TakenBack,
}

fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let awake: Vec<Lane> = Lane::ALL.iter().copied().filter(|lane| *lane != Lane::Silent).collect();
    let stored = [Cause::Installed, Cause::Removed, Cause::Coverage, Cause::Rules];
    let judged =
        (proptest::sample::select(awake), proptest::bool::weighted(0.9), proptest::sample::select(stored.to_vec()))
            .prop_map(|(lane, in_scope, cause)| Event::Judged(lane, in_scope, cause));
    let waived = (1..300_u64).prop_map(Event::Waived);
    let event = prop_oneof![
        4 => judged,
        4 => Just(Event::CheckIn),
        1 => waived,
        2 => Just(Event::Retired),
        1 => Just(Event::TakenBack),
    ];
    let events = proptest::collection::vec((1..DAYS * 24, event), 0..30);
    // Each hour has one event at most, so that their order is clear.
    events.prop_map(|events| events.into_iter().collect::<BTreeMap<u64, Event>>().into_iter().collect())
}

/// The present of a host while the events happen, and what the store keeps of it.
struct Simulated {
    enrolled: u64,
    last_seen: u64,
    present: Option<(u64, Lane, bool, Cause)>,
    is_retired: bool,
    /// From and until.
    waivers: Vec<(u64, u64)>,
    past: HostPast,
}

impl Simulated {
    fn happens(&mut self, hour: u64, event: Event) {
        match event {
            Event::CheckIn => {
                if Duration::from_millis((hour - self.last_seen) * HOUR) > PATIENCE {
                    self.past.gaps.push((at(self.last_seen * HOUR), at(hour * HOUR)));
                }
                self.last_seen = hour;
                if std::mem::take(&mut self.is_retired) {
                    self.retirement().returned_at = Some(at(hour * HOUR));
                }
            }
            Event::Waived(hours) => {
                self.waivers.push((hour, hour + hours));
                self.past.decisions.waivers.push(waiver(hour * HOUR, (hour + hours) * HOUR));
            }
            Event::Retired if self.is_retired => {}
            Event::Retired => {
                self.is_retired = true;
                self.past.decisions.retirements.push(retirement(hour * HOUR));
            }
            Event::TakenBack => {
                if std::mem::take(&mut self.is_retired) {
                    self.retirement().ended_at = Some(at(hour * HOUR));
                }
            }
            Event::Judged(lane, in_scope, cause) => {
                if let Some((since, before, was_in_scope, why)) = self.present {
                    if (before, was_in_scope) == (lane, in_scope) {
                        return;
                    }
                    let (since, until) = (at(since * HOUR), Some(at(hour * HOUR)));
                    self.past.spans.push(LaneSpan { since, until, lane: before, in_scope: was_in_scope, cause: why });
                }
                self.present = Some((hour, lane, in_scope, cause));
            }
        }
    }

    fn retirement(&mut self) -> &mut RetirementTerm {
        self.past.decisions.retirements.last_mut().expect("it is retired")
    }

    /// What the board shows at this time: the lane, or out of scope.
    fn shown(&self, millis: u64) -> Option<Lane> {
        let is_waived = self.waivers.iter().any(|(from, until)| (from * HOUR..until * HOUR).contains(&millis));
        match self.without_decisions(millis) {
            Some(_) if self.is_retired => Some(Lane::Retired),
            Some(_) if is_waived => Some(Lane::Waived),
            lane => lane,
        }
    }

    /// Whether work is left; `None` if it is retired or out of scope.
    fn has_work(&self, millis: u64) -> Option<bool> {
        let lane = self.without_decisions(millis).filter(|_| !self.is_retired)?;
        Some(!matches!(lane, Lane::Done | Lane::Clear | Lane::Retired | Lane::Waived))
    }

    /// What has changed since a day before, if it is not only what rules said since then.
    fn progress(&self, before: Option<Option<bool>>, since: u64, now: u64) -> i64 {
        let is_of_rules =
            self.present.is_some_and(|(judged, _, _, cause)| cause == Cause::Rules && judged * HOUR > since);
        match (before, self.has_work(now)) {
            _ if is_of_rules => 0,
            (Some(Some(true)), Some(false)) => 1,
            (None | Some(Some(false)), Some(true)) => -1,
            _ => 0,
        }
    }

    fn without_decisions(&self, millis: u64) -> Option<Lane> {
        let is_silent = Duration::from_millis(millis - self.last_seen * HOUR) > PATIENCE;
        match self.present {
            None => Some(Lane::Unknown.with_silence(is_silent)),
            Some((_, lane, true, _)) => Some(lane.with_silence(is_silent)),
            Some((_, _, false, _)) => None,
        }
    }

    fn stored(mut self) -> HostPast {
        if let Some((since, lane, in_scope, cause)) = self.present {
            self.past.spans.push(LaneSpan { since: at(since * HOUR), until: None, lane, in_scope, cause });
        }
        HostPast { enrolled_at: at(self.enrolled * HOUR), last_seen: at(self.last_seen * HOUR), ..self.past }
    }
}

fn waiver(from: u64, until: u64) -> WaiverTerm {
    WaiverTerm {
        number: from,
        order: id(),
        reason: WaiverReason::Research,
        approved_at: at(from),
        until: at(until),
        ended_at: None,
        is_self_approved: false,
    }
}

fn retirement(from: u64) -> RetirementTerm {
    RetirementTerm {
        number: from,
        kind: DispositionKind::Sold,
        requested_at: at(from),
        approved_at: at(from),
        ended_at: None,
        returned_at: None,
        is_self_approved: false,
    }
}

/// What was on the board at the end of each day: machines by lane, and out of scope. And the progress of the day.
type Recorded = Vec<(BTreeMap<Lane, u64>, u64, i64)>;

/// Lets everything happen, and counts the present at the end of each day.
fn simulate(fleet: &[(u64, Vec<(u64, Event)>)]) -> (Recorded, Vec<HostPast>) {
    let mut recorded: Recorded = vec![Default::default(); DAYS as usize];
    let mut pasts = Vec::new();
    for (enrolled, events) in fleet {
        let mut host = Simulated {
            enrolled: *enrolled,
            last_seen: *enrolled,
            present: None,
            is_retired: false,
            waivers: Vec::new(),
            past: HostPast::default(),
        };
        let mut events = events.iter().filter(|(hour, _)| hour >= enrolled).peekable();
        let mut before = None;
        for (day, (lanes, out_of_scope, progress)) in recorded.iter_mut().enumerate() {
            let end = (day as u64 + 1) * DAY - 1;
            while let Some((hour, event)) = events.next_if(|(hour, _)| hour * HOUR <= end) {
                host.happens(*hour, *event);
            }
            if enrolled * HOUR <= end {
                match host.shown(end) {
                    Some(lane) => *lanes.entry(lane).or_default() += 1,
                    None => *out_of_scope += 1,
                }
                *progress += if day == 0 { 0 } else { host.progress(before, end - DAY, end) };
                before = Some(host.has_work(end));
            }
        }
        pasts.push(host.stored());
    }
    (recorded, pasts)
}

fn rebuilt(pasts: &[HostPast]) -> Vec<InstantCounts<u8>> {
    let instant = |day: u64| TimelineInstant { at: at((day + 1) * DAY - 1), order: order() };
    let mut timeline = Timeline::new((0..DAYS).map(instant).collect());
    for (n, past) in pasts.iter().enumerate() {
        timeline.add(|instant| past.place(instant.at, &id(), instant.order.patience));
        timeline.add_to(&((n % 3) as u8), |instant| past.place(instant.at, &id(), instant.order.patience));
    }
    timeline.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn the_counts_that_are_rebuilt_are_those_that_were_recorded(
        fleet in proptest::collection::vec((0..DAYS * 24, events()), 1..12),
    ) {
        let (recorded, pasts) = simulate(&fleet);
        let days = rebuilt(&pasts);
        for ((lanes, out_of_scope, progress), day) in recorded.iter().zip(&days) {
            let shown: BTreeMap<Lane, u64> =
                day.counts.lanes.iter().filter(|(_, n)| **n > 0).map(|(lane, n)| (*lane, *n)).collect();
            prop_assert_eq!(&shown, lanes);
            prop_assert_eq!(day.counts.out_of_scope, *out_of_scope);
            prop_assert_eq!(day.progress, *progress);
            prop_assert_eq!(day.counts.lanes.values().sum::<u64>() + day.counts.out_of_scope, day.counts.total);
            prop_assert_eq!(day.groups.iter().map(|(_, counts)| counts.total).sum::<u64>(), day.counts.total);
        }
    }

    #[test]
    fn the_steps_of_a_day_are_the_difference_of_its_counts(
        fleet in proptest::collection::vec((0..DAYS * 24, events()), 1..12),
    ) {
        let (_, pasts) = simulate(&fleet);
        let days = rebuilt(&pasts);
        for pair in days.windows(2) {
            for lane in Lane::ALL {
                let of = |wanted: fn(&LaneStep) -> Option<Lane>| -> i64 {
                    let steps = pair[1].steps.iter().filter(|step| wanted(step) == Some(*lane));
                    steps.map(|step| step.hosts.cast_signed()).sum()
                };
                let moved = of(|step| step.to) - of(|step| step.from);
                let counted = pair[1].counts.lanes[lane].cast_signed() - pair[0].counts.lanes[lane].cast_signed();
                prop_assert_eq!(moved, counted, "{}", lane);
            }
        }
        prop_assert!(days[0].steps.is_empty(), "nothing is before the first day");
    }
}
