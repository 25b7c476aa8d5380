//! The bounds of what is known, and places at an instant.

use muster_proto::model::{DispositionKind, WaiverReason};

use super::*;
use crate::judge::{RetirementTerm, WaiverTerm};

const DAY: u64 = 24 * 3600;
const WEEK: Duration = Duration::from_secs(7 * DAY);

fn day(day: u64) -> Timestamp {
    Timestamp::from_millis(1_760_000_000_000).plus(Duration::from_secs(day * DAY))
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY)
}

fn rules(from: u64, patience: Option<u64>, shortest: Option<u64>) -> RulesThen {
    let order =
        patience.map(|patience| OrderThen { patience: days(patience), platforms: Vec::new(), sites: Vec::new() });
    RulesThen { from: day(from), is_kept: true, order, shortest: shortest.map(days) }
}

fn bounds(rules: Vec<RulesThen>) -> PastBounds {
    PastBounds {
        now: day(100),
        first: Some(day(0)),
        lanes_removed: None,
        decisions_removed: None,
        lost: Vec::new(),
        rules,
    }
}

fn why(bounds: &PastBounds, at: Timestamp) -> Option<(PastUnknown, Option<Timestamp>)> {
    bounds.at(at).err().map(|unknown| (unknown.why, unknown.from))
}

#[test]
fn an_order_is_known_as_it_was_while_it_was_active() {
    let bounds = bounds(vec![rules(1, Some(7), Some(7)), rules(20, Some(9), Some(7)), rules(60, None, Some(5))]);
    assert_eq!(bounds.at(day(5)).expect("known").patience, days(7));
    assert_eq!(bounds.at(day(20)).expect("known").patience, days(9), "new rules count from their first instant on");
    assert_eq!(why(&bounds, day(70)), Some((PastUnknown::NotActive, None)));
    let before = Timestamp::from_millis(day(0).millis() - 1);
    assert_eq!(why(&bounds, before), Some((PastUnknown::BeforeFirst, Some(day(0)))));
    assert_eq!(why(&bounds, day(0)), Some((PastUnknown::RulesUnknown, Some(day(1)))), "nobody kept rules yet");
}

#[test]
fn what_a_retention_has_removed_is_not_guessed() {
    let mut bounds = bounds(vec![rules(0, Some(7), Some(7))]);
    bounds.lanes_removed = Some(day(30));
    assert_eq!(why(&bounds, day(29)), Some((PastUnknown::LanesRemoved, Some(day(30)))));
    assert_eq!(why(&bounds, day(30)), None);
    bounds.now = day(800);
    assert_eq!(why(&bounds, day(69)), Some((PastUnknown::SilenceRemoved, Some(day(70)))));
    assert_eq!(why(&bounds, day(70)), None);
    bounds.rules[0].is_kept = false;
    assert_eq!(why(&bounds, day(90)), Some((PastUnknown::RulesUnknown, None)));
}

#[test]
fn what_a_restore_has_lost_is_unknown_between_backup_and_restore() {
    let mut bounds = bounds(vec![rules(0, Some(7), Some(7))]);
    bounds.lost = vec![(day(10), day(12))];
    assert_eq!(why(&bounds, day(11)), Some((PastUnknown::Lost, Some(day(12)))));
    assert_eq!((why(&bounds, day(10)), why(&bounds, day(12))), (None, None));
}

#[test]
fn silence_is_unknown_where_hosts_may_have_come_back_without_a_trace() {
    // From day 40 to day 50 only gaps of more than 14 days were stored.
    let periods = vec![rules(0, Some(7), Some(7)), rules(40, None, Some(14)), rules(50, Some(7), Some(7))];
    let patient = bounds(periods);
    // A host that was silent on day 39 came back on day 40 at the earliest, after 8 days.
    assert_eq!(why(&patient, day(39)), Some((PastUnknown::SilenceUnknown, Some(day(50)))));
    // One that was silent on day 33 and came back then was away for 14 days.
    assert_eq!(why(&patient, day(32)), None);
    assert_eq!(why(&patient, day(33)), None);
    assert_eq!(why(&patient, day(50)), None);
    // Without an active order no gap was stored, however long it was.
    let none = bounds(vec![rules(0, Some(7), Some(7)), rules(40, None, None), rules(50, Some(7), Some(7))]);
    assert_eq!(why(&none, day(1)), Some((PastUnknown::SilenceUnknown, Some(day(50)))));
    assert_eq!(why(&none, day(50)), None);
    // Nobody has come back since now.
    let patient_now = bounds(vec![rules(0, Some(7), Some(7)), rules(100, Some(7), Some(30))]);
    assert_eq!(why(&patient_now, day(100)), None);
    assert_eq!(why(&patient_now, day(99)), None, "the rules have been in force for no time");
}

fn us() -> OrderId {
    "us".parse().expect("valid")
}

fn host(spans: Vec<LaneSpan>, gaps: Vec<(Timestamp, Timestamp)>) -> HostPast {
    HostPast { enrolled_at: day(1), last_seen: day(50), spans, gaps, decisions: HostDecisions::default() }
}

fn span(since: u64, until: Option<u64>, lane: Lane) -> LaneSpan {
    LaneSpan { since: day(since), until: until.map(day), lane, in_scope: true, cause: Cause::Removed }
}

#[test]
fn a_host_is_where_its_history_says_and_unknown_before_its_first_judgement() {
    let out = LaneSpan { in_scope: false, ..span(30, None, Lane::Clear) };
    let host = host(vec![span(2, Some(10), Lane::Replace), span(20, Some(30), Lane::Done), out], Vec::new());
    let lane = |at: u64| host.place(day(at), &us(), WEEK).map(|place| place.lane);
    assert_eq!(lane(0), None);
    assert_eq!(lane(1), Some(Some(Lane::Unknown)));
    assert_eq!(
        (lane(2), lane(9), lane(10)),
        (Some(Some(Lane::Replace)), Some(Some(Lane::Replace)), Some(Some(Lane::Unknown)))
    );
    assert_eq!((lane(20), lane(30)), (Some(Some(Lane::Done)), Some(None)));
    let place = host.place(day(25), &us(), WEEK).expect("counted");
    assert_eq!((place.since, place.cause, place.is_silent), (day(20), Cause::Removed, false));
}

#[test]
fn silence_begins_after_the_patience_and_ends_with_the_check_in() {
    let host = host(vec![span(2, None, Lane::Clear)], vec![(day(10), day(20))]);
    let place = |at: Timestamp, patience| host.place(at, &us(), patience).expect("counted");
    assert!(!place(day(17), WEEK).is_silent, "the patience itself is not exceeded");
    let just_after = Timestamp::from_millis(day(17).millis() + 1);
    assert_eq!(place(just_after, WEEK).lane, Some(Lane::Silent));
    assert_eq!(place(day(20), WEEK).lane, Some(Lane::Clear), "the check-in has ended it");
    assert!(!place(day(19), days(9)).is_silent, "another order has more patience");
    assert!(!place(day(57), WEEK).is_silent && place(day(58), WEEK).is_silent, "the gap that is open");
    assert_eq!(
        [host.last_seen_by(day(15)), host.last_seen_by(day(30)), host.last_seen_by(day(55))],
        [Some(day(10)), None, Some(day(50))]
    );
    // A prohibited product that was found stays found.
    let found = HostPast { spans: vec![span(2, None, Lane::Replace)], ..host.clone() };
    let place = found.place(day(19), &us(), WEEK).expect("counted");
    assert_eq!((place.lane, place.is_silent), (Some(Lane::Replace), true));
}

#[test]
fn a_machine_of_the_roster_is_missing_while_no_host_is_it_and_the_order_may_apply() {
    let entry = EntryPast {
        site: Some(SiteId::new("hq").expect("valid")),
        platform: None,
        listed_at: day(3),
        spans: vec![
            (day(5), Some(day(9)), EntryState::Review),
            (day(9), Some(day(12)), EntryState::Matched),
            (day(12), Some(day(20)), EntryState::Missing),
            (day(20), None, EntryState::Excused),
        ],
    };
    let order = OrderThen { patience: WEEK, platforms: Vec::new(), sites: Vec::new() };
    let missing = Some(Some(Lane::Missing));
    let lane = |at: u64| entry.place(day(at), &order).filter(|place| place.is_counted).map(|place| place.lane);
    assert_eq!(
        (lane(2), lane(3), lane(5), lane(10), lane(12), lane(20)),
        (None, missing, missing, None, missing, None)
    );
    let elsewhere = OrderThen { sites: vec![SiteId::new("lab").expect("valid")], ..order };
    let place = entry.place(day(12), &elsewhere).expect("counted");
    assert!(place.is_counted && place.lane.is_none());
}

#[test]
fn a_host_was_waived_or_retired_while_that_was_in_force() {
    let waiver = WaiverTerm {
        number: 1,
        order: us(),
        reason: WaiverReason::Research,
        approved_at: day(10),
        until: day(20),
        ended_at: None,
        is_self_approved: true,
    };
    let retirement = RetirementTerm {
        number: 2,
        kind: DispositionKind::Sold,
        requested_at: day(29),
        approved_at: day(30),
        ended_at: None,
        returned_at: None,
        is_self_approved: false,
    };
    let decisions = HostDecisions { waivers: vec![waiver], retirements: vec![retirement.clone()] };
    let spans = vec![span(1, Some(15), Lane::Clear), span(15, None, Lane::Replace)];
    let host = HostPast { decisions, last_seen: day(28), ..host(spans, vec![(day(1), day(12))]) };
    let place = |host: &HostPast, at: u64| host.place(day(at), &us(), WEEK).expect("counted");
    let lane = |at: u64| place(&host, at).lane.expect("in scope");
    assert_eq!([9, 10, 19, 20].map(lane), [Lane::Silent, Lane::Waived, Lane::Waived, Lane::Replace]);
    let waived = place(&host, 11);
    assert!(waived.is_silent, "a waived host has to report");
    assert_eq!(host.true_lane(day(11), &waived, WEEK), Lane::Silent);
    assert_eq!(host.true_lane(day(16), &place(&host, 16), WEEK), Lane::Replace);
    let decided = waived.decided.expect("waived");
    assert_eq!((decided.since, decided.is_self_approved, decided.cause()), (day(10), true, Cause::Waiver));
    assert_eq!([29, 30, 60].map(lane), [Lane::Replace, Lane::Retired, Lane::Retired]);
    assert!(!place(&host, 60).is_silent, "a retired one has not");
    let elsewhere = host.place(day(11), &"another".parse().expect("valid"), WEEK).expect("counted");
    assert_eq!(elsewhere.lane, Some(Lane::Silent), "a waiver is about one order");
    let out = LaneSpan { in_scope: false, ..span(1, None, Lane::Clear) };
    assert_eq!(place(&HostPast { spans: vec![out], ..host.clone() }, 11).lane, None);
    // A report ends a disposition: a check-in that ended a gap, one that is known from the patience alone, and the record of it.
    let gap = HostPast { last_seen: day(90), gaps: vec![(day(31), day(70))], ..host.clone() };
    assert_eq!(place(&gap, 40).lane, Some(Lane::Replace), "it reported on day 31");
    let soon = HostPast { last_seen: day(90), gaps: Vec::new(), ..host.clone() };
    assert_eq!([36, 37].map(|at| place(&soon, at).lane), [Some(Lane::Retired), Some(Lane::Replace)]);
    let noted = RetirementTerm { returned_at: Some(day(32)), ..retirement };
    let noted = HostPast { decisions: HostDecisions { retirements: vec![noted], ..soon.decisions.clone() }, ..soon };
    assert_eq!([31, 32].map(|at| place(&noted, at).lane), [Some(Lane::Retired), Some(Lane::Replace)]);
}

#[test]
fn decisions_that_a_retention_has_removed_are_not_taken_for_none() {
    let bounds = PastBounds { decisions_removed: Some(day(30)), ..bounds(vec![rules(0, Some(7), Some(7))]) };
    assert_eq!(why(&bounds, day(29)), Some((PastUnknown::DecisionsRemoved, Some(day(30)))));
    assert_eq!(why(&bounds, day(30)), None);
}
