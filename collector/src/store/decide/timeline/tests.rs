//! Random fleets: what is rebuilt from stored histories is what was counted day by day while the events happened.

use std::time::Duration;

use proptest::prelude::*;

use muster_proto::model::{DispositionKind, EntryState, OrderId, SiteId, WaiverReason};

use super::super::past::{EntryPast, HostPast, LaneSpan};
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

/// What was on the board at the end of each day: machines by lane, and out of scope.
type Recorded = Vec<(BTreeMap<Lane, u64>, u64)>;

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
        for (day, (lanes, out_of_scope)) in recorded.iter_mut().enumerate() {
            let end = (day as u64 + 1) * DAY - 1;
            while let Some((hour, event)) = events.next_if(|(hour, _)| hour * HOUR <= end) {
                host.happens(*hour, *event);
            }
            if enrolled * HOUR <= end {
                match host.shown(end) {
                    Some(lane) => *lanes.entry(lane).or_default() += 1,
                    None => *out_of_scope += 1,
                }
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
        for ((lanes, out_of_scope), day) in recorded.iter().zip(&days) {
            let shown: BTreeMap<Lane, u64> =
                day.counts.lanes.iter().filter(|(_, n)| **n > 0).map(|(lane, n)| (*lane, *n)).collect();
            prop_assert_eq!(&shown, lanes);
            prop_assert_eq!(day.counts.out_of_scope, *out_of_scope);
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

#[test]
fn each_step_has_the_cause_of_its_last_change() {
    let span = |since: u64, until: Option<u64>, lane, cause| LaneSpan {
        since: at(since * DAY),
        until: until.map(|until| at(until * DAY)),
        lane,
        in_scope: true,
        cause,
    };
    let host = HostPast {
        enrolled_at: at(DAY),
        last_seen: at(20 * DAY),
        spans: vec![
            span(1, Some(3), Lane::Clear, Cause::Enrolled),
            span(3, Some(15), Lane::Confirm, Cause::Removed),
            span(15, None, Lane::Done, Cause::Rules),
        ],
        gaps: vec![(at(4 * DAY), at(18 * DAY))],
        decisions: HostDecisions::default(),
    };
    let days = rebuilt(&[host]);
    let steps: Vec<_> = days.iter().zip(0..).flat_map(|(day, n)| day.steps.iter().map(move |step| (n, step))).collect();
    let told: Vec<_> = steps.iter().map(|(day, step)| (*day, step.from, step.to, step.cause)).collect();
    let (clear, confirm, silent, done) = (Some(Lane::Clear), Some(Lane::Confirm), Some(Lane::Silent), Some(Lane::Done));
    assert_eq!(
        told,
        [
            (1, None, clear, Cause::Enrolled),
            (3, clear, confirm, Cause::Removed),
            (7, confirm, silent, Cause::Silent),
            // It was judged anew while it was silent, which nobody saw.
            (18, silent, done, Cause::Returned),
            (23, done, silent, Cause::Silent),
        ]
    );
}

#[test]
fn a_waiver_and_a_disposition_are_the_causes_of_their_steps() {
    let span = |since: u64, until: Option<u64>, lane, cause| {
        let (since, until) = (at(since), until.map(at));
        LaneSpan { since, until, lane, in_scope: true, cause }
    };
    let taken_back = RetirementTerm { ended_at: Some(at(25 * DAY)), ..retirement(20 * DAY) };
    let returned = RetirementTerm { returned_at: Some(at(35 * DAY)), ..retirement(30 * DAY) };
    let host = HostPast {
        enrolled_at: at(0),
        last_seen: at(35 * DAY),
        spans: vec![
            span(0, Some(13 * DAY), Lane::Replace, Cause::Installed),
            span(13 * DAY, Some(18 * DAY + 2 * HOUR), Lane::Confirm, Cause::Removed),
            span(18 * DAY + 2 * HOUR, None, Lane::Replace, Cause::Installed),
        ],
        gaps: vec![(at(19 * DAY), at(35 * DAY))],
        decisions: HostDecisions {
            // During the second one the product is removed; after the third one it is installed again on the same day.
            waivers: vec![waiver(2 * DAY, 5 * DAY), waiver(10 * DAY, 15 * DAY), waiver(16 * DAY, 18 * DAY + HOUR)],
            retirements: vec![taken_back, returned],
        },
    };
    let days = rebuilt(&[host]);
    let steps: Vec<_> = days.iter().zip(0..).flat_map(|(day, n)| day.steps.iter().map(move |step| (n, step))).collect();
    let told: Vec<_> = steps.iter().map(|(day, step)| (*day, step.from, step.to, step.cause)).collect();
    let (replace, waived, confirm, retired) =
        (Some(Lane::Replace), Some(Lane::Waived), Some(Lane::Confirm), Some(Lane::Retired));
    assert_eq!(
        told,
        [
            (2, replace, waived, Cause::Waiver),
            (5, waived, replace, Cause::Waiver),
            (10, replace, waived, Cause::Waiver),
            (15, waived, confirm, Cause::Waiver),
            (16, confirm, waived, Cause::Waiver),
            // It ended an hour before, but that is not the last change.
            (18, waived, replace, Cause::Installed),
            (20, replace, retired, Cause::Disposition),
            (25, retired, replace, Cause::Disposition),
            (30, replace, retired, Cause::Disposition),
            (35, retired, replace, Cause::Returned),
        ]
    );
}

#[test]
fn a_silent_host_that_was_waived_is_silent_because_the_waiver_ended() {
    let host = |gap: u64| HostPast {
        enrolled_at: at(0),
        last_seen: at(gap * DAY),
        spans: vec![LaneSpan { since: at(0), until: None, lane: Lane::Clear, in_scope: true, cause: Cause::Enrolled }],
        gaps: Vec::new(),
        decisions: HostDecisions { waivers: vec![waiver(DAY, 10 * DAY)], retirements: Vec::new() },
    };
    let to_silent = |past: HostPast| {
        let days = rebuilt(&[past]);
        let step = days.iter().flat_map(|day| &day.steps).find(|step| step.to == Some(Lane::Silent)).cloned();
        step.map(|step| (step.from, step.cause))
    };
    assert_eq!(to_silent(host(2)), Some((Some(Lane::Waived), Cause::Waiver)), "it was silent before");
    assert_eq!(to_silent(host(9)), Some((Some(Lane::Clear), Cause::Silent)), "the waiver was over before");
}

/// The steps of a machine on these days: the day, the lanes, and the cause.
fn steps(
    days: &[(u64, OrderThen)],
    place: impl Fn(&TimelineInstant) -> Option<PlaceThen>,
) -> Vec<(u64, Option<Lane>, Option<Lane>, Cause)> {
    let instant =
        |(day, order): &(u64, OrderThen)| TimelineInstant { at: at((day + 1) * DAY - 1), order: order.clone() };
    let mut timeline: Timeline<u8> = Timeline::new(days.iter().map(instant).collect());
    timeline.add(place);
    let counted = timeline.finish().into_iter().zip(days);
    counted
        .flat_map(|(found, (day, _))| found.steps.into_iter().map(|step| (*day, step.from, step.to, step.cause)))
        .collect()
}

fn with_patience(days: u64) -> OrderThen {
    OrderThen { patience: Duration::from_millis(days * DAY), ..order() }
}

#[test]
fn hosts_that_become_silent_or_are_not_any_more_because_of_another_patience_changed_by_the_rules() {
    let (clear, silent) = (Some(Lane::Clear), Some(Lane::Silent));
    let host = |gaps: Vec<(Timestamp, Timestamp)>, last_seen: u64| HostPast {
        enrolled_at: at(0),
        last_seen: at(last_seen),
        spans: vec![LaneSpan { since: at(0), until: None, lane: Lane::Clear, in_scope: true, cause: Cause::Enrolled }],
        gaps,
        decisions: HostDecisions::default(),
    };
    // It is away from day 1 on; the patience is 3 days until day 5, then 9, and 5 from day 8 on.
    let patience = |day: u64| {
        with_patience(if day < 6 {
            3
        } else if day < 8 {
            9
        } else {
            5
        })
    };
    let days: Vec<_> = (0..20).map(|day| (day, patience(day))).collect();
    let of = |past: &HostPast| steps(&days, |instant| past.place(instant.at, &id(), instant.order.patience));
    assert_eq!(
        of(&host(Vec::new(), DAY)),
        [(3 + 1, clear, silent, Cause::Silent), (6, silent, clear, Cause::Rules), (8, clear, silent, Cause::Rules),],
    );
    // It comes back on the day of the longer patience, and is away again.
    let back = 6 * DAY + HOUR;
    assert_eq!(
        of(&host(vec![(at(DAY), at(back))], back)),
        [(4, clear, silent, Cause::Silent), (6, silent, clear, Cause::Returned), (11, clear, silent, Cause::Silent),],
    );
    // A waiver that ended on that day is not why it is silent.
    let mut waived = host(Vec::new(), 3 * DAY);
    waived.decisions.waivers.push(waiver(DAY, 8 * DAY));
    let found = of(&waived);
    assert_eq!(found.last(), Some(&(8, Some(Lane::Waived), silent, Cause::Rules)), "{found:?}");
}

#[test]
fn machines_that_come_into_the_scope_of_an_order_or_leave_it_changed_by_the_rules() {
    let (plant, silent) = (SiteId::new("plant").expect("valid"), Some(Lane::Silent));
    let only = |sites: &[&SiteId]| OrderThen { sites: sites.iter().map(|site| (*site).clone()).collect(), ..order() };
    let elsewhere = SiteId::new("elsewhere").expect("valid");
    let days = [(1, order()), (2, only(&[&elsewhere])), (3, only(&[&elsewhere])), (4, only(&[&elsewhere, &plant]))];
    let entry = EntryPast {
        site: Some(plant),
        platform: None,
        listed_at: at(HOUR),
        spans: vec![(at(HOUR), None, EntryState::Missing)],
    };
    let missing = Some(Lane::Missing);
    assert_eq!(
        steps(&days, |instant| entry.place(instant.at, &instant.order)),
        [(2, missing, None, Cause::Rules), (4, None, missing, Cause::Rules)]
    );
    // A host that has long been silent is judged into the scope.
    let span = |since: u64, until: Option<u64>, in_scope, cause| LaneSpan {
        since: at(since),
        until: until.map(at),
        lane: Lane::Clear,
        in_scope,
        cause,
    };
    let host = HostPast {
        enrolled_at: at(0),
        last_seen: at(0),
        spans: vec![
            span(0, Some(8 * DAY), false, Cause::Enrolled),
            span(8 * DAY, Some(9 * DAY), true, Cause::Rules),
            span(9 * DAY, None, false, Cause::Rules),
        ],
        ..HostPast::default()
    };
    let days: Vec<_> = (6..12).map(|day| (day, order())).collect();
    assert_eq!(
        steps(&days, |instant| host.place(instant.at, &id(), instant.order.patience)),
        [(8, None, silent, Cause::Rules), (9, silent, None, Cause::Rules)]
    );
}
