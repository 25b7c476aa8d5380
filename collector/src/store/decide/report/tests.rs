//! Single decisions on check-ins and deliveries; `model_tests` has all interleavings.

use super::*;
use crate::store::last_seen::RunReturns;

const DAY: i64 = 24 * 3600 * 1000;
/// Carries facts and state as they are stored.
const SAME: Differs = Differs { facts: false, state: false, machine: false, is_whole: true };

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn run(n: u8) -> RunId {
    RunId::from_bytes([n; 16])
}

fn arrival(n: u8, seq: u64, now: i64) -> Arrival {
    Arrival { run: run(n), seq, observed_at: at(now - 1), now: at(now), patience: None, may_change: true }
}

fn seen(n: u8, seq: u64) -> Option<LastSeen> {
    Some(LastSeen { last_seen: at(10), run: run(n), seq, previous: None, returns: RunReturns::default() })
}

fn current(snapshot: i64, since: i64) -> CurrentSnapshot<i64> {
    CurrentSnapshot { snapshot, since: at(since), observed_at: at(since - 1) }
}

/// Judged at 10, with snapshot 1 from sequence number 5 of process 1.
fn host() -> HostBefore<i64> {
    HostBefore {
        current: Some(current(1, 10)),
        judged_at: Some(at(10)),
        is_queued: false,
        seen: LastSeenPair { row: seen(1, 5), memory: None },
        enrolled_at: at(1),
        platform: Platform::Linux,
    }
}

fn complete(no: i64) -> Option<KnownSnapshot<i64>> {
    Some(KnownSnapshot { no, platform: Platform::Linux, missing: Vec::new(), foreign: None })
}

fn incomplete(no: i64) -> Option<KnownSnapshot<i64>> {
    complete(no).map(|known| KnownSnapshot { missing: vec![Digest::of(b"section")], ..known })
}

#[test]
fn a_known_snapshot_becomes_current_and_the_one_before_it_history() {
    let (answer, change) = check_in(&host(), arrival(1, 6, 20), Differs::default(), complete(2));
    assert_eq!(answer, CheckInAnswer::Current);
    let change = change.expect("changes");
    let expected = SnapshotChange { before: Some(current(1, 10)), now: current(2, 20) };
    assert_eq!((change.snapshot, change.is_queued), (Some(expected), true));
    assert_eq!((change.seen.seq, change.seen.last_seen), (6, at(20)));
}

#[test]
fn nothing_of_a_host_is_dated_before_its_enrollment() {
    let enrolled =
        HostBefore { enrolled_at: at(100), current: None, seen: LastSeenPair::default(), judged_at: None, ..host() };
    // The collector's clock was set back after the enrollment.
    let (_, change) = deliver(&enrolled, arrival(1, 5, 20), complete(2));
    let change = change.expect("changes");
    let first = CurrentSnapshot { snapshot: 2, since: at(100), observed_at: at(100) };
    assert_eq!((change.snapshot.expect("a snapshot").now, change.seen.last_seen), (first, at(100)));
    // The agent made the snapshot before it enrolled, and delivers it later from its spool.
    let spooled = Arrival { observed_at: at(50), ..arrival(1, 6, 200) };
    let (_, change) = check_in(&enrolled, spooled, Differs::default(), complete(3));
    let now = change.expect("changes").snapshot.expect("a snapshot").now;
    assert_eq!((now.since, now.observed_at), (at(200), at(100)));
}

#[test]
fn the_first_snapshot_ends_none() {
    let first = HostBefore { current: None, ..host() };
    let (_, change) = deliver(&first, arrival(1, 5, 20), complete(2));
    let expected = SnapshotChange { before: None, now: current(2, 20) };
    assert_eq!(change.expect("changes").snapshot, Some(expected));
}

#[test]
fn history_is_ordered_though_the_clock_was_set_back() {
    let (_, change) = deliver(&host(), arrival(1, 6, 3), complete(2));
    let now = change.expect("changes").snapshot.expect("is another").now;
    assert_eq!((now.since, now.observed_at), (at(11), at(2)));
}

#[test]
fn an_unchanged_snapshot_only_moves_last_seen() {
    let (answer, change) = check_in(&host(), arrival(1, 6, 20), Differs::default(), complete(1));
    let change = change.expect("was seen");
    assert_eq!((answer, change.snapshot, change.is_queued), (CheckInAnswer::Current, None, false));
    assert_eq!(change.seen.seq, 6);
}

#[test]
fn other_facts_or_another_state_put_the_host_on_the_queue_though_the_snapshot_is_not_here() {
    for differs in [Differs { facts: true, ..SAME }, Differs { state: true, ..SAME }] {
        let (answer, change) = check_in(&host(), arrival(1, 6, 20), differs, None);
        let change = change.expect("changes");
        assert_eq!((answer, change.snapshot, change.is_queued), (CheckInAnswer::SnapshotWanted, None, true));
        assert_eq!((change.has_new_facts, change.has_new_state), (differs.facts, differs.state));
    }
    assert!(differs(Some(&1), Some(&2)) && differs(None, Some(&2)));
    assert!(!differs(Some(&1), Some(&1)) && !differs(Some(&1), None));
}

#[test]
fn an_old_verdict_puts_the_host_on_the_queue_unless_it_is_there() {
    let is_queued = |host: HostBefore<i64>| {
        let (_, change) = check_in(&host, arrival(1, 6, 10 + DAY), Differs::default(), complete(1));
        change.expect("was seen").is_queued
    };
    assert!(is_queued(host()));
    assert!(!is_queued(HostBefore { is_queued: true, ..host() }), "a judgement under way keeps its ticket");
    assert!(!is_queued(HostBefore { judged_at: None, ..host() }));
}

#[test]
fn a_repeated_check_in_only_renews_last_seen_whether_the_row_or_the_memory_has_it() {
    let from_memory = HostBefore { seen: LastSeenPair { row: None, memory: seen(1, 5) }, ..host() };
    for before in [host(), from_memory] {
        for seq in [4, 5] {
            let (answer, change) = check_in(&before, arrival(1, seq, 20), SAME, complete(1));
            let renewed =
                LastSeen { last_seen: at(20), run: run(1), seq: 5, previous: None, returns: RunReturns::default() };
            assert_eq!((answer, change), (CheckInAnswer::Current, Some(HostChange::only_seen(renewed))));
        }
    }
    let (answer, change) = check_in(&host(), arrival(1, 5, 20), Differs::default(), complete(1));
    assert_eq!((answer, change.map(|change| change.seen.seq)), (CheckInAnswer::StateWanted, Some(5)));
}

#[test]
fn a_repeated_number_with_anything_else_needs_a_new_run() {
    let cases = [
        (Differs { facts: true, ..SAME }, complete(1)),
        (Differs { state: true, ..SAME }, complete(1)),
        (SAME, complete(2)),
        (Differs::default(), complete(2)),
        (Differs::default(), None),
    ];
    for (differs, named) in cases {
        let decided = check_in(&host(), arrival(1, 5, 20), differs, named);
        assert_eq!(decided, (CheckInAnswer::NewRun, None), "{differs:?}");
    }
    assert_eq!(check_in(&host(), arrival(1, 4, 20), SAME, None), (CheckInAnswer::NewRun, None));
    // The answer to the last one was lost.
    assert_eq!(check_in(&host(), arrival(1, 5, 20), SAME, None), (CheckInAnswer::SnapshotWanted, None));
}

#[test]
fn the_first_check_in_of_a_run_carries_facts_and_state() {
    let (answer, change) = check_in(&host(), arrival(2, 1, 20), Differs::default(), complete(1));
    assert_eq!((answer, change), (CheckInAnswer::NewRun, None));
    let (answer, change) = check_in(&host(), arrival(2, 1, 20), SAME, complete(1));
    assert_eq!((answer, change.expect("was seen").seen.run), (CheckInAnswer::Current, run(2)));
}

#[test]
fn missing_sections_are_asked_for() {
    let missing = vec![Digest::of(b"section")];
    let (answer, change) = check_in(&host(), arrival(1, 6, 20), Differs::default(), incomplete(2));
    assert_eq!(answer, CheckInAnswer::SectionsWanted(missing.clone()));
    assert_eq!(change.expect("was seen").snapshot, None);
    assert_eq!(deliver(&host(), arrival(1, 6, 20), incomplete(2)), (Delivered::SectionsWanted(missing), None));
    assert_eq!(deliver(&host(), arrival(1, 6, 20), None), (Delivered::SnapshotWanted, None));
}

#[test]
fn a_snapshot_of_another_platform_is_not_accepted_of_a_host() {
    let windows = complete(2).map(|known| KnownSnapshot { platform: Platform::Windows, ..known });
    let contradiction = Contradiction::Platform { snapshot: Platform::Windows, host: Platform::Linux };
    let (answer, change) = check_in(&host(), arrival(1, 6, 20), Differs::default(), windows.clone());
    assert_eq!((answer, change), (CheckInAnswer::Contradicts(contradiction.clone()), None));
    let answer = deliver(&host(), arrival(1, 6, 20), windows.clone());
    assert_eq!(answer, (Delivered::Contradicts(contradiction), None));
    let reinstalled = HostBefore { platform: Platform::Windows, ..host() };
    assert_eq!(deliver(&reinstalled, arrival(1, 6, 20), windows).0, Delivered::Accepted, "the facts came first");
}

#[test]
fn a_delivery_with_the_number_of_its_check_in_is_not_late() {
    let (answer, change) = deliver(&host(), arrival(1, 5, 20), complete(2));
    assert_eq!(answer, Delivered::Accepted);
    assert!(change.expect("changes").snapshot.is_some());
}

#[test]
fn a_late_delivery_is_acknowledged_only_if_its_snapshot_is_current() {
    let restarted = LastSeen {
        last_seen: at(10),
        run: run(2),
        seq: 1,
        previous: Some((run(1), 5)),
        returns: RunReturns::default(),
    };
    let restarted = HostBefore { seen: LastSeenPair { row: Some(restarted), memory: None }, ..host() };
    let in_memory = HostBefore { seen: LastSeenPair { row: seen(1, 3), memory: seen(1, 5) }, ..host() };
    for (before, late) in [(host(), 4), (restarted, 6), (in_memory, 4)] {
        let (answer, change) = deliver(&before, arrival(1, late, 20), complete(2));
        assert_eq!((answer, change.is_some()), (Delivered::NewRun, late == 6), "only a run that was replaced is noted");
        let (answer, change) = deliver(&before, arrival(1, late, 20), complete(1));
        let change = change.expect("was seen");
        assert_eq!((answer, change.seen.last_seen, change.snapshot), (Delivered::StateWanted, at(20), None));
    }
    let unknown = deliver(&host(), arrival(9, 1, 20), complete(2));
    assert_eq!(unknown, (Delivered::NewRun, None), "its check-in was not the last");
}

#[test]
fn last_seen_advances_from_whichever_knows_more() {
    let advanced = |row, memory| LastSeenPair { row, memory }.advanced(arrival(1, 9, 20));
    assert_eq!(advanced(seen(1, 5), seen(1, 7)).seq, 9);
    let other = advanced(seen(2, 3), seen(1, 8));
    assert_eq!((other.run, other.previous), (run(1), Some((run(2), 3))), "another collector has written the row");
}
#[test]
fn a_check_in_after_a_gap_says_how_long_the_gap_was() {
    let gap = |host: HostBefore<i64>, now, patience| {
        let arrival = Arrival { patience: Some(Duration::from_millis(patience)), ..arrival(1, 9, now) };
        check_in(&host, arrival, Differs::default(), complete(1)).1.expect("was seen").gap
    };
    let (since, until) = (at(10), at(31));
    assert_eq!(gap(host(), 31, 20), Some(Gap { since, until }));
    assert_eq!(gap(host(), 30, 20), None, "the patience itself is no gap");
    let never_seen = HostBefore { seen: LastSeenPair::default(), ..host() };
    assert_eq!(gap(never_seen, 31, 20), Some(Gap { since: at(1), until }), "it counts from the enrollment");
    let later =
        Some(LastSeen { last_seen: at(25), run: run(1), seq: 8, previous: None, returns: RunReturns::default() });
    let answered_from_memory = HostBefore { seen: LastSeenPair { row: seen(1, 5), memory: later }, ..host() };
    assert_eq!(gap(answered_from_memory, 31, 20), None);
    assert_eq!(gap(host(), 3, 0), None, "the clock was set back");
    let replayed = Arrival { patience: Some(Duration::ZERO), ..arrival(1, 5, 90) };
    let change = check_in(&host(), replayed, SAME, complete(1)).1.expect("was seen");
    assert_eq!(change.gap, Some(Gap { since, until: at(90) }), "it was silent all the same");
}

#[test]
fn another_fingerprint_shows_another_machine_once_the_host_has_checked_in() {
    let (one, two): (&[u8], &[u8]) = (&[1; 32], &[2; 32]);
    assert!(is_other_machine(one, two));
    assert!(!is_other_machine(one, one) && !is_other_machine(&[], two) && !is_other_machine(one, &[]));
    assert_eq!((fingerprint_after(one, two), fingerprint_after(one, &[])), (two, one), "unknown changes nothing");
    let other = Differs { facts: true, machine: true, ..SAME };
    let decided = |host: &HostBefore<i64>| check_in(host, arrival(1, 6, 20), other, complete(1)).1.expect("changes");
    let change = decided(&host());
    assert_eq!((change.two_holders, change.is_queued), (Some(HoldersSign::Machine), true));
    let enrolled = HostBefore { seen: LastSeenPair::default(), ..host() };
    assert_eq!(decided(&enrolled).two_holders, None, "it may have enrolled with the fingerprint of another root");
}

/// A process of the agent: it says everything at first and after a refusal, later only what has changed.
struct Process {
    run: u8,
    seq: u64,
    is_whole: bool,
}

/// Check-ins of these processes in turn, until one shows two holders. Returns after how many.
fn until_shown(processes: &mut [Process], changes: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut before, mut runs) = (host(), 100);
    for turn in 0..20 {
        let process = &mut processes[turn % 2];
        loop {
            process.seq += 1;
            let differs = Differs { state: changes(turn), is_whole: process.is_whole, ..Differs::default() };
            let (answer, change) = check_in(&before, arrival(process.run, process.seq, 20), differs, complete(1));
            let shown = change.as_ref().is_some_and(|change| change.two_holders.is_some());
            if let Some(change) = change {
                before.seen.row = Some(change.seen);
            }
            if shown {
                return Some(turn + 1);
            }
            if answer != CheckInAnswer::NewRun {
                process.is_whole = false;
                break;
            }
            runs += 1;
            *process = Process { run: runs, seq: 0, is_whole: true };
        }
    }
    None
}

#[test]
fn two_processes_with_one_key_show_within_a_few_check_ins_of_each() {
    let both = || [Process { run: 1, seq: 5, is_whole: false }, Process { run: 2, seq: 0, is_whole: true }];
    assert_eq!(until_shown(&mut both(), |_| false), Some(5));
    // A machine that was cloned with its memory: both have the same run and the same number.
    let twins = || [Process { run: 1, seq: 5, is_whole: false }, Process { run: 1, seq: 5, is_whole: false }];
    assert!(until_shown(&mut twins(), |turn| turn >= 2).is_some_and(|turns| turns < 12));
}

#[test]
fn gaps_are_kept_for_two_years() {
    let gap = Gap { since: at(1), until: at(1_000 * DAY) };
    assert_eq!(gap.kept_from(), at(270 * DAY));
}
