//! A simulated migration of 2,000 machines (600 in a debug build, which is slower) in 90 days, under a clock of its own: products are installed, removed and swapped, hosts
//! fall silent, deliver late, are re-imaged, waived and retired, a roster knows machines that never enroll, and the rules change.
//!
//! What happens goes into a log (`log`). On every day the board must equal what follows from the log alone (`expected`), and in the
//! end each day must be answered as it was recorded on it.

mod expected;
mod fleet;
mod log;
mod people;
mod script;

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{Board, BoardCounts, Cause, DayCounts, Lane};

use super::*;
use crate::filter::Filter;
use crate::reports::{PastHostsAsked, TimelineAsked};
use expected::{Counted, Counts, Expected, HasWork};
use fleet::Simulation;
use log::Log;

const DAYS: u64 = 90;
/// How many machines there are in a build of this kind, if `MUSTER_MIGRATION_MACHINES` says nothing else.
const MACHINES: u32 = if cfg!(debug_assertions) { 600 } else { 2_000 };
/// The first midnight in UTC.
const MIDNIGHT: i64 = 1_767_052_800_000;

fn machines() -> u32 {
    std::env::var("MUSTER_MIGRATION_MACHINES").ok().and_then(|text| text.parse().ok()).unwrap_or(MACHINES)
}

/// A second of a day.
fn moment(day: u64, second: u64) -> Timestamp {
    Timestamp::from_millis(MIDNIGHT).plus(Duration::from_secs(day * 86_400 + second))
}

/// The last millisecond of a day.
fn end(day: u64) -> Timestamp {
    Timestamp::from_millis(moment(day + 1, 0).millis() - 1)
}

/// What is compared of the counts of a board; empty lanes are left out.
fn compared(counts: &BoardCounts) -> Counts {
    let lanes = counts.lanes.iter().filter(|(_, machines)| **machines > 0);
    Counts {
        lanes: lanes.map(|(lane, machines)| (*lane, *machines)).collect(),
        out_of_scope: counts.out_of_scope,
        silent: counts.silent,
        waived: counts.waived.clone(),
        retired: counts.retired.clone(),
    }
}

fn assert_expected(board: &Board, expected: &Expected, day: u64) {
    assert_eq!(compared(&board.counts), expected.counted, "day {day}");
    assert_eq!(board.outside.as_ref().map(compared), expected.outside, "outside of the roster on day {day}");
    for counts in [Some(&board.counts), board.outside.as_ref()].into_iter().flatten() {
        assert_eq!(counts.lanes.values().sum::<u64>() + counts.out_of_scope, counts.total, "day {day} adds up");
        assert_eq!(counts.waived.values().sum::<u64>(), counts.lanes[&Lane::Waived], "day {day}");
        assert_eq!(counts.retired.values().sum::<u64>(), counts.lanes[&Lane::Retired], "day {day}");
    }
    if let Some(roster) = &board.roster {
        assert_eq!(board.counts.total, roster.listed, "the board adds up to the roster on day {day}");
        assert_eq!((roster.listed, roster.excused), (expected.listed, expected.excused), "day {day}");
        assert_eq!(roster.outside, board.outside.as_ref().map_or(0, |counts| counts.total), "day {day}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_day_of_a_migration_follows_from_its_log_and_is_answered_as_it_was_recorded() {
    let mut simulation = Simulation::start().await;
    let (mut recorded, mut expected) = (BTreeMap::new(), BTreeMap::new());
    for day in 0..DAYS {
        simulation.day(day).await;
        let board = simulation.board(end(day)).await;
        let follows = simulation.log.at(end(day));
        assert_expected(&board, &follows, day);
        expected.insert(day, follows);
        recorded.insert(day, board);
    }
    simulation.is_written().await;
    let seen: BTreeSet<Lane> = expected.values().flat_map(|day| day.all().into_keys().flatten()).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), Lane::ALL, "each lane has machines on some day");
    let context = simulation.context(end(DAYS - 1));
    let order = simulation.order.clone();
    for (day, board) in &recorded {
        let past = context.board_at(Some(&order), end(*day)).await.expect("a board").remove(0);
        assert_eq!((&past.counts, &past.outside), (&board.counts, &board.outside), "day {day}");
        assert_eq!((past.roster, &past.order), (board.roster, &board.order), "day {day}");
    }
    timeline(&context, &order, &expected, &simulation.log).await;
    // Lists are read host by host, so some days must do.
    for day in [12, 44, 50, 71, 89] {
        lists(&context, &order, &expected[&day], end(day)).await;
    }
    let damage = simulation.store.check().await.expect("checks").faults;
    assert_eq!(damage, Vec::<String>::new());
}

/// The days of the timeline are what follows from the log, and the steps of each lane add up.
async fn timeline(context: &ReportContext, order: &OrderId, expected: &BTreeMap<u64, Expected>, log: &Log) {
    let asked = TimelineAsked { from: Some(end(0)), ..TimelineAsked::default_of(order) };
    let report = context.timeline(asked).await.expect("a timeline");
    assert!(report.omitted.is_empty(), "{:?}", report.omitted);
    assert_eq!(report.days.len(), expected.len());
    let causes: BTreeSet<_> = report.days.iter().flat_map(|day| &day.steps).map(|step| step.cause).collect();
    for (day, expected) in report.days.iter().zip(expected.values()) {
        let DayCounts { lanes, out_of_scope, .. } = &day.counts;
        let mut shown: BTreeMap<Option<Lane>, u64> =
            lanes.iter().filter(|(_, n)| **n > 0).map(|(lane, n)| (Some(*lane), *n)).collect();
        shown.extend(Some((None, *out_of_scope)).filter(|(_, n)| *n > 0));
        assert_eq!(shown, expected.all(), "{}", day.at);
    }
    let progress: Vec<i64> = report.days.iter().map(|day| day.progress).collect();
    let follows: Vec<i64> = (0..DAYS).map(|day| progress_of(log, day)).collect();
    assert_eq!(progress, follows);
    assert!(progress.iter().any(|done| *done > 0) && progress.iter().any(|done| *done < 0), "{progress:?}");
    for pair in report.days.windows(2) {
        for lane in Lane::ALL {
            let into: u64 = pair[1].steps.iter().filter(|step| step.to == Some(*lane)).map(|step| step.hosts).sum();
            let from: u64 = pair[1].steps.iter().filter(|step| step.from == Some(*lane)).map(|step| step.hosts).sum();
            assert_eq!(pair[0].counts.lanes[lane] + into, pair[1].counts.lanes[lane] + from, "{lane} {}", pair[1].at);
        }
    }
    let all = [
        Cause::Installed,
        Cause::Removed,
        Cause::ProtectionChanged,
        Cause::Coverage,
        Cause::Silent,
        Cause::Returned,
        Cause::Enrolled,
        Cause::Rules,
        Cause::Waiver,
        Cause::Disposition,
    ];
    for cause in all {
        assert!(causes.contains(&cause), "no step has the cause {cause}: {causes:?}");
    }
}

/// The machines that were finished on a day, less those on which work was found again and new ones with work.
fn progress_of(log: &Log, day: u64) -> i64 {
    let Some(before) = day.checked_sub(1).map(|day| log.work(end(day), end(day))) else { return 0 };
    let (unchanged, now) = (log.work(end(day), end(day - 1)), log.work(end(day), end(day)));
    // What other rules say is not counted.
    let counted = now.into_iter().filter(|(machine, has_work)| unchanged[machine] == *has_work);
    let of = |(machine, has_work): (Counted, HasWork)| match (before.get(&machine), has_work) {
        (Some(Some(true)), Some(false)) => 1,
        (None | Some(Some(false)), Some(true)) => -1,
        _ => 0,
    };
    counted.map(of).sum()
}

/// The hosts of each lane are as many as follow from the log; the first of each lane is shown alone as in the list.
async fn lists(context: &ReportContext, order: &OrderId, expected: &Expected, at: Timestamp) {
    let mut listed: BTreeMap<Lane, u64> = BTreeMap::new();
    let mut page = None;
    loop {
        let asked = PastHostsAsked {
            at,
            order: Some(order.clone()),
            lanes: Vec::new(),
            silent_only: false,
            sites: Vec::new(),
            name: String::new(),
            filter: Filter::default(),
            rows: 1_000,
            page,
        };
        let found = context.past_hosts(asked).await.expect("hosts");
        for row in found.rows {
            let lane = row.verdicts[0].lane;
            let count = listed.entry(lane).or_default();
            *count += 1;
            if *count == 1 {
                let alone = context.past_host(&row.id.to_string(), Some(order), at).await.expect("a host");
                assert_eq!(alone.host, row);
                let decided: Vec<Lane> = alone.decisions.iter().map(|decided| decided.decision.lane).collect();
                let is_decided = matches!(lane, Lane::Waived | Lane::Retired);
                assert_eq!(decided, if is_decided { vec![lane] } else { Vec::new() }, "{at}");
            }
        }
        page = found.next;
        if page.is_none() {
            break;
        }
    }
    let of_hosts = |(lane, n): (Option<Lane>, u64)| lane.filter(|lane| *lane != Lane::Missing).map(|lane| (lane, n));
    assert_eq!(listed, expected.all().into_iter().filter_map(of_hosts).collect(), "{at}");
}
