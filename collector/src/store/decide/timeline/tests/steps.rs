//! The causes of steps, and what counts as progress: machines with a past that is given.

use muster_proto::model::{EntryState, SiteId};

use super::super::super::past::EntryPast;
use super::*;

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

#[test]
fn only_machines_whose_true_lane_is_finished_are_progress() {
    let span = |since: u64, until: Option<u64>, lane, cause| LaneSpan {
        since: at(since * DAY),
        until: until.map(|until| at(until * DAY)),
        lane,
        in_scope: true,
        cause,
    };
    let host = |spans: Vec<LaneSpan>, decisions: HostDecisions| HostPast {
        enrolled_at: at(DAY),
        last_seen: at(30 * DAY),
        spans,
        gaps: Vec::new(),
        decisions,
    };
    let progress = |past: &HostPast| -> Vec<(u64, i64)> {
        let days = rebuilt(std::slice::from_ref(past)).into_iter().zip(0..);
        days.filter(|(day, _)| day.progress != 0).map(|(day, n)| (n, day.progress)).collect()
    };
    let open = || vec![span(1, None, Lane::Replace, Cause::Enrolled)];
    let waived = HostDecisions { waivers: vec![waiver(5 * DAY, 10 * DAY)], retirements: Vec::new() };
    assert_eq!(progress(&host(open(), waived.clone())), [(1, -1)], "it came with work, which is still there");
    let retired = HostDecisions {
        waivers: Vec::new(),
        retirements: vec![RetirementTerm { requested_at: at(31 * DAY), ..retirement(5 * DAY) }],
    };
    assert_eq!(progress(&host(open(), retired)), [(1, -1)], "a retirement finishes nothing");
    let finished = vec![
        span(1, Some(7), Lane::Replace, Cause::Enrolled),
        span(7, Some(12), Lane::Done, Cause::Removed),
        span(12, Some(14), Lane::Replace, Cause::Installed),
        span(14, None, Lane::Done, Cause::Rules),
    ];
    // It is finished under its waiver. What other rules say counts neither way. At last it is silent, and nobody knows what it has.
    assert_eq!(progress(&host(finished, waived.clone())), [(1, -1), (7, 1), (12, -1), (33, -1)]);
    let first = host(open(), waived.clone());
    let ends = |by: u64| first.has_waiver_ending(at(6 * DAY), at(by), &id(), PATIENCE * 100);
    assert!(!ends(10 * DAY - 1) && ends(10 * DAY), "it covers the host until its end");
    assert!(!first.has_waiver_ending(at(4 * DAY), at(20 * DAY), &id(), PATIENCE), "it is not waived yet");
    let longer =
        HostDecisions { waivers: vec![waiver(5 * DAY, 10 * DAY), waiver(4 * DAY, 25 * DAY)], ..waived.clone() };
    assert!(
        !host(open(), longer).has_waiver_ending(at(6 * DAY), at(20 * DAY), &id(), PATIENCE * 100),
        "another waiver"
    );
    let clear = host(vec![span(1, None, Lane::Clear, Cause::Enrolled)], waived);
    assert!(!clear.has_waiver_ending(at(6 * DAY), at(20 * DAY), &id(), PATIENCE * 100), "no work is left on it");
}

#[test]
fn a_missing_machine_that_enrolls_is_finished_with_its_host_and_an_excused_one_is_not() {
    let entry = |last: EntryState| EntryPast {
        site: None,
        platform: None,
        listed_at: at(2 * DAY),
        spans: vec![(at(2 * DAY), Some(at(6 * DAY)), EntryState::Missing), (at(6 * DAY), None, last)],
    };
    let host = |lane| HostPast {
        enrolled_at: at(6 * DAY),
        last_seen: at(30 * DAY),
        spans: vec![LaneSpan { since: at(6 * DAY), until: None, lane, in_scope: true, cause: Cause::Enrolled }],
        ..HostPast::default()
    };
    let of = |last: EntryState, lane: Option<Lane>| -> Vec<i64> {
        let instant = |day: u64| TimelineInstant { at: at((day + 1) * DAY - 1), order: order() };
        let mut timeline: Timeline<u8> = Timeline::new((1..8).map(instant).collect());
        timeline.add(|instant| entry(last).place(instant.at, &instant.order));
        if let Some(lane) = lane {
            timeline.add(|instant| host(lane).place(instant.at, &id(), instant.order.patience));
        }
        timeline.finish().into_iter().map(|day| day.progress).collect()
    };
    assert_eq!(of(EntryState::Matched, Some(Lane::Clear)), [0, -1, 0, 0, 0, 1, 0]);
    assert_eq!(of(EntryState::Matched, Some(Lane::Replace)), [0, -1, 0, 0, 0, 0, 0], "its work is only known now");
    for left in [EntryState::Excused, EntryState::Closed] {
        assert_eq!(of(left, None), [0, -1, 0, 0, 0, 0, 0], "{left}");
    }
}
