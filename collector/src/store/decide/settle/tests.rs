//! Decisions about one host, without a database.

use muster_proto::model::{HostId, ProductId, ProductSeen, Reason, ReasonKind};

use super::*;
use crate::judge::{Removal, Unprotected};
use crate::ledger::entry::Entry;

const HOST: i64 = 7;
const SITE: i64 = 3;
const NUMBERS: HostNumbers<i64> = HostNumbers { no: HOST, site: SITE, is_listed: false };
const RULES: i64 = 5;
const ORDER: i64 = 1;

/// Orders are `order-1`, `order-2` and so on; a phrase has its length as its number.
struct Plain;

impl Numbers<i64> for Plain {
    fn order(&self, id: &OrderId) -> Step<i64> {
        Ok(id.as_str().trim_start_matches("order-").parse().expect("a number"))
    }
    fn phrase(&self, text: &str) -> Step<i64> {
        Ok(i64::try_from(text.len()).expect("short"))
    }
    fn rules(&self) -> i64 {
        RULES
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn order(n: i64) -> OrderId {
    OrderId::new(format!("order-{n}")).expect("an id")
}

fn judged(lane: Lane) -> JudgedOrder {
    JudgedOrder {
        order: order(ORDER),
        awake_lane: lane,
        in_scope: true,
        presence: Presence::None,
        protection: Protection::NotRequired,
        due: None,
        reason: "reason".to_owned(),
        advice: "do it".to_owned(),
        remediation: Remediation::default(),
        attestation: None,
        opens_duties: false,
    }
}

fn judgement(orders: Vec<JudgedOrder>) -> Judgement {
    Judgement { host: HostId::from_bytes([7; 16]), ticket: 3, snapshot: None, state_key: None, orders }
}

/// The row that `judged(lane)` comes to.
fn row(lane: Lane, since: i64) -> VerdictRow<i64> {
    VerdictRow {
        lane,
        in_scope: true,
        presence: Presence::None,
        protection: Protection::NotRequired,
        due: None,
        since: at(since),
        cause: Cause::Enrolled,
        reason: 6,
        advice: 5,
    }
}

fn never_judged() -> Judged<i64> {
    Judged { ticket: Some(3), rules: Some(RULES), ..Judged::default() }
}

fn in_lane(lane: Lane, since: i64) -> Judged<i64> {
    Judged { verdicts: BTreeMap::from([(ORDER, (order(ORDER), row(lane, since)))]), ..never_judged() }
}

fn decided<'j>(judgement: &'j Judgement, before: Judged<i64>, now: i64) -> Changes<'j, i64> {
    let mut changes = Changes::new(at(now));
    assert!(changes.judge(NUMBERS, judgement, before, &Plain).expect("decides"), "the judgement counts");
    changes
}

fn causes(changes: Changes<'_, i64>) -> Vec<Cause> {
    let of_entry = |entry| -> Vec<_> {
        let Entry::LanesChanged { changes, .. } = entry else { panic!("another entry: {entry:?}") };
        changes.iter().map(|change| change.cause).collect()
    };
    changes.ledger.into_entries("r1").flat_map(of_entry).collect()
}

fn lanes(changes: Changes<'_, i64>) -> Vec<(Option<Lane>, Option<Lane>)> {
    let of_entry = |entry| -> Vec<_> {
        let Entry::LanesChanged { changes, .. } = entry else { panic!("another entry: {entry:?}") };
        changes.iter().map(|change| (change.from, change.to)).collect()
    };
    changes.ledger.into_entries("r1").flat_map(of_entry).collect()
}

fn tally(changes: &Changes<'_, i64>) -> Vec<(Lane, i64)> {
    changes
        .tally
        .iter()
        .filter(|(_, n)| **n != 0)
        .map(|(key, n)| {
            assert_eq!((key.site, key.is_listed), (SITE, false));
            (key.lane, *n)
        })
        .collect()
}

#[test]
fn a_first_verdict_begins_now_and_is_counted() {
    let judgement = judgement(vec![judged(Lane::Replace)]);
    let changes = decided(&judgement, never_judged(), 20);
    assert_eq!(changes.verdicts, [(HOST, ORDER, row(Lane::Replace, 20))]);
    assert_eq!((changes.history.len(), tally(&changes)), (0, vec![(Lane::Replace, 1)]));
    assert_eq!(lanes(changes), [(None, Some(Lane::Replace))]);
}

#[test]
fn the_same_verdict_writes_nothing() {
    let judgement = judgement(vec![judged(Lane::Replace)]);
    let changes = decided(&judgement, in_lane(Lane::Replace, 10), 20);
    assert!(changes.verdicts.is_empty() && changes.history.is_empty() && changes.tally.is_empty());
    assert_eq!(changes.hosts, BTreeSet::from([HOST]), "the host leaves the queue all the same");
    assert_eq!(lanes(changes), []);
}

#[test]
fn another_reason_in_the_same_lane_is_written_and_is_no_change_of_lane() {
    let judgement = judgement(vec![JudgedOrder { reason: "another".to_owned(), ..judged(Lane::Replace) }]);
    let changes = decided(&judgement, in_lane(Lane::Replace, 10), 20);
    assert_eq!(changes.verdicts, [(HOST, ORDER, VerdictRow { reason: 7, ..row(Lane::Replace, 10) })]);
    assert!(changes.history.is_empty() && changes.tally.is_empty());
    assert_eq!(lanes(changes), []);
}

#[test]
fn a_change_of_lane_ends_the_verdict_before_it() {
    let judgement = judgement(vec![judged(Lane::Clear)]);
    let scanned = Some(JudgedState { no: 4, key: Digest::of(b"boot-1"), since: at(1) });
    let before = Judged { state: scanned, ..in_lane(Lane::Replace, 10) };
    let changes = decided(&judgement, before, 20);
    let cause = Cause::Removed;
    assert_eq!(changes.verdicts, [(HOST, ORDER, VerdictRow { cause, ..row(Lane::Clear, 20) })]);
    let (lane, in_scope, since, until, cause) = (Lane::Replace, true, at(10), at(20), Cause::Enrolled);
    assert_eq!(changes.history, [EndedVerdict { host: HOST, order: ORDER, lane, in_scope, since, until, cause }]);
    assert_eq!(tally(&changes), [(Lane::Replace, -1), (Lane::Clear, 1)]);
    assert_eq!(lanes(changes), [(Some(Lane::Replace), Some(Lane::Clear))]);
}

#[test]
fn a_change_of_scope_alone_is_history_too() {
    let judgement = judgement(vec![JudgedOrder { in_scope: false, ..judged(Lane::Replace) }]);
    let changes = decided(&judgement, in_lane(Lane::Replace, 10), 20);
    assert_eq!(changes.history.len(), 1);
    let key = |in_scope| TallyKey { order: ORDER, site: SITE, lane: Lane::Replace, in_scope, is_listed: false };
    let expected = BTreeMap::from([(key(true), -1), (key(false), 1)]);
    assert_eq!(changes.tally, expected);
}

#[test]
fn history_is_ordered_though_the_clock_was_set_back() {
    let judgement = judgement(vec![judged(Lane::Clear)]);
    let changes = decided(&judgement, in_lane(Lane::Replace, 10), 4);
    assert_eq!((changes.history[0].until, changes.verdicts[0].2.since), (at(11), at(11)));
    let after_a_gap = Judged { ended: BTreeMap::from([(ORDER, at(50))]), ..never_judged() };
    assert_eq!(decided(&judgement, after_a_gap, 4).verdicts[0].2.since, at(50));
}

#[test]
fn a_verdict_does_not_predate_the_enrollment_though_the_clock_was_set_back() {
    let mut judgement = judgement(vec![judged(Lane::Clear)]);
    judgement.state_key = Some(Digest::of(b"key"));
    let enrolled = Judged { enrolled_at: at(100), ..never_judged() };
    let changes = decided(&judgement, enrolled, 20);
    let states: Vec<Timestamp> = changes.states.values().map(|(_, since)| *since).collect();
    assert_eq!((changes.verdicts[0].2.since, states), (at(100), vec![at(100)]));
    let withdrawn = Judged { enrolled_at: at(100), ..in_lane(Lane::Replace, 100) };
    let none = super::Judgement { orders: Vec::new(), ..judgement };
    assert_eq!(decided(&none, withdrawn, 20).history[0].until, at(101), "the history is ordered, too");
}

#[test]
fn the_cause_of_the_lane_stays_with_the_verdict_and_is_in_the_ledger() {
    let unchanged = judgement(vec![JudgedOrder { reason: "another".to_owned(), ..judged(Lane::Replace) }]);
    let cause = Cause::Installed;
    let (id, old) = (order(ORDER), VerdictRow { cause, ..row(Lane::Replace, 10) });
    let before = Judged { verdicts: BTreeMap::from([(ORDER, (id, old))]), ..never_judged() };
    assert_eq!(decided(&unchanged, before, 20).verdicts[0].2.cause, cause, "the lane is the same");
    let clear = judgement(vec![judged(Lane::Clear)]);
    assert_eq!(causes(decided(&clear, never_judged(), 20)), [Cause::Enrolled]);
    let withdrawn = judgement(Vec::new());
    assert_eq!(causes(decided(&withdrawn, in_lane(Lane::Clear, 10), 20)), [Cause::Order]);
}

#[test]
fn other_rules_with_the_same_answer_write_no_verdict() {
    let judgement = judgement(vec![judged(Lane::Confirm)]);
    let before = Judged { rules: Some(RULES - 1), ..in_lane(Lane::Confirm, 10) };
    let changes = decided(&judgement, before, 20);
    assert_eq!((changes.verdicts, changes.hosts), (Vec::new(), BTreeSet::from([HOST])));
}

#[test]
fn an_order_that_is_no_longer_judged_ends_the_time_without_protection() {
    let removal =
        Removal { since: at(1), present_boot_id: String::new(), new_boot: false, clean_scans: Vec::new(), was: None };
    let with = |unprotected| {
        let record = Remediation { removal: Some(removal.clone()), unprotected, ..Remediation::default() };
        to_json(&record).expect("is JSON")
    };
    let open = with(Unprotected { since: Some(at(5)), longest_ms: 1, total_ms: 1 });
    let before = Judged { remediations: BTreeMap::from([(ORDER, open)]), ..in_lane(Lane::Protect, 10) };
    let judgement = judgement(Vec::new());
    let ended = with(Unprotected { since: None, longest_ms: 15, total_ms: 16 });
    let row = RemediationRow { unprotected_since: None, record: ended };
    assert_eq!(decided(&judgement, before, 20).remediations, [(HOST, ORDER, row)]);
}

#[test]
fn an_order_that_is_no_longer_judged_leaves_its_remediation_record() {
    let stored = BTreeMap::from([(ORDER, to_json(&Remediation::default()).expect("is JSON"))]);
    let before = Judged { remediations: stored, ..in_lane(Lane::Confirm, 10) };
    let judgement = judgement(Vec::new());
    let changes = decided(&judgement, before, 20);
    assert_eq!(changes.withdrawn, [(HOST, ORDER)]);
    assert!(changes.forgotten.is_empty() && changes.remediations.is_empty() && changes.verdicts.is_empty());
    assert_eq!((changes.history[0].until, tally(&changes)), (at(20), vec![(Lane::Confirm, -1)]));
    assert_eq!(lanes(changes), [(Some(Lane::Confirm), None)]);
}

#[test]
fn a_remediation_record_is_written_when_it_differs_and_deleted_when_it_is_empty() {
    let removal = Removal {
        since: at(1),
        present_boot_id: "boot-1".to_owned(),
        new_boot: false,
        clean_scans: Vec::new(),
        was: None,
    };
    let unprotected = Unprotected { since: Some(at(2)), ..Unprotected::default() };
    let remediation = Remediation { removal: Some(removal), unprotected, ..Remediation::default() };
    let text = to_json(&remediation).expect("is JSON");
    let row = RemediationRow { unprotected_since: Some(at(2)), record: text.clone() };
    let remembers = judgement(vec![JudgedOrder { remediation, ..judged(Lane::Confirm) }]);
    let forgets = judgement(vec![judged(Lane::Confirm)]);
    let stored =
        |text: &str| Judged { remediations: BTreeMap::from([(ORDER, text.to_owned())]), ..in_lane(Lane::Confirm, 10) };
    assert_eq!(decided(&remembers, never_judged(), 20).remediations, [(HOST, ORDER, row.clone())]);
    assert_eq!(decided(&remembers, stored("{}"), 20).remediations, [(HOST, ORDER, row.clone())]);
    assert!(decided(&remembers, stored(&text), 20).remediations.is_empty());
    assert_eq!(decided(&forgets, stored(&text), 20).forgotten, [(HOST, ORDER)]);
    assert!(decided(&forgets, never_judged(), 20).forgotten.is_empty());
}

#[test]
fn another_judged_state_ends_the_one_before_it() {
    let (old, new) = (Digest::of(b"boot-1"), Digest::of(b"boot-2"));
    let judgement = Judgement { state_key: Some(new), ..judgement(Vec::new()) };
    let first = decided(&judgement, never_judged(), 20);
    assert_eq!((first.states, first.state_history.len()), (BTreeMap::from([(HOST, (&new, at(20)))]), 0));
    let before = |key| Judged { state: Some(JudgedState { no: 4, key, since: at(30) }), ..never_judged() };
    let next = decided(&judgement, before(old), 20);
    assert_eq!(next.states, BTreeMap::from([(HOST, (&new, at(31)))]));
    assert_eq!(next.state_history, [(HOST, 4, at(30))]);
    let same = decided(&judgement, before(new), 20);
    assert!(same.states.is_empty() && same.state_history.is_empty());
}

#[test]
fn a_judgement_counts_once_and_only_with_the_newest_ticket() {
    let judgement = judgement(vec![judged(Lane::Clear)]);
    let mut changes = Changes::new(at(20));
    for ticket in [None, Some(2), Some(4)] {
        let outdated = Judged { ticket, ..never_judged() };
        assert!(!changes.judge(NUMBERS, &judgement, outdated, &Plain).expect("decides"));
    }
    assert!(changes.hosts.is_empty() && changes.verdicts.is_empty());
    assert!(changes.judge(NUMBERS, &judgement, never_judged(), &Plain).expect("decides"));
    assert!(!changes.judge(NUMBERS, &judgement, never_judged(), &Plain).expect("decides"), "twice is once");
    assert_eq!(changes.verdicts.len(), 1);
}

#[test]
fn duties_are_looked_at_for_new_findings_orders_and_rules_alone() {
    let product = |id: &str| {
        let id = ProductId::new(id).expect("valid");
        let product = ProductSeen { id, name: String::new(), version: String::new(), presence: Presence::Installed };
        Reason { product: Some(product), ..Reason::new(ReasonKind::Product, "rule", "it is installed") }
    };
    let with = |products: &[&str]| {
        let reasons = products.iter().map(|id| product(id)).collect();
        let positive = Positive {
            since: at(10),
            last_seen: at(20),
            presence: Presence::Installed,
            reasons,
            products: BTreeMap::new(),
            gone: Vec::new(),
        };
        let remediation = Remediation { positive: Some(positive), ..Remediation::default() };
        JudgedOrder { remediation, opens_duties: true, ..judged(Lane::Replace) }
    };
    let old = row(Lane::Replace, 10);
    let judged_again = |old: Option<VerdictRow<i64>>, stored: &[&str], new: &JudgedOrder, had_other_rules| {
        let stored = to_json(&with(stored).remediation).expect("writes");
        opens_duties(new, old.as_ref(), Some(&stored), had_other_rules).expect("reads")
    };
    let pending =
        |old: Option<VerdictRow<i64>>, stored: &[&str], new: &JudgedOrder| judged_again(old, stored, new, false);
    assert!(!pending(Some(old), &["a"], &with(&["a"])), "nothing is new");
    assert!(pending(Some(old), &["a"], &with(&["a", "b"])), "a second product");
    assert!(pending(None, &["a"], &with(&["a"])), "the order is new");
    assert!(judged_again(Some(old), &["a"], &with(&["a"]), true), "its clocks may be new");
    assert!(pending(Some(VerdictRow { in_scope: false, ..old }), &["a"], &with(&["a"])), "it applies to the host now");
    for not in [
        JudgedOrder { opens_duties: false, ..with(&["a"]) },
        JudgedOrder { in_scope: false, ..with(&["a"]) },
        JudgedOrder { remediation: Remediation::default(), ..with(&["a"]) },
    ] {
        assert!(!pending(None, &[], &not), "{not:?}");
    }
}
