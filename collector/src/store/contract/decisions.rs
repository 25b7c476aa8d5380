//! Waivers and dispositions: asked for, approved by another person, in force, ended.

use std::sync::Arc;

use muster_proto::model::{
    ApprovalRule, Digest, DispositionKind, DispositionState, DutyEvidence, EntryKind, Holder, HostId, HostMark, Lane,
    OrderId, Role, SiteId, Timestamp, WaiverReason, WaiverReport, WaiverState,
};

use super::Backend;
use super::kit::{
    account_acting, acting, all_judged, assert_healthy, at, check_in, create, enrolled, enrollment, facts, host,
    ledger, new_account, new_token, order, packages, reports, site, token_create,
};
use crate::judge::Decision;
use crate::store::admin::accounts::NewAccount;
use crate::store::admin::dispositions::retire::{RetireAsked, Retired, UnretireAsked, retire, unretire};
use crate::store::admin::dispositions::{self, returned};
use crate::store::admin::waivers::ask::{self, HostList, NewWaiver, Prepared};
use crate::store::admin::waivers::clean::Limits;
use crate::store::admin::waivers::decide::{DecideAsked, WaiverAct, decide};
use crate::store::admin::waivers::{self, HostsShown, ListAsked, clean};
use crate::store::{
    AdminTx, AskRefusal, CheckInAnswer, DecideRefusal, DecidedPlace, Enrollment, LaneTally, NewToken, SiteScope, Store,
    admin,
};

/// The hosts with which a waiver is shown.
const FIRST_HOSTS: HostsShown = HostsShown { rows: 100, after: 0 };

/// Accounts of two people, and of a program.
pub(crate) async fn people(store: &Arc<dyn Store>) {
    for name in ["ada", "bob"] {
        create(store, new_account(name, Role::Operator, &[], 1)).await.expect("creates");
    }
    let job = NewAccount { holder: Holder::Machine, ..new_account("job", Role::Operator, &[], 1) };
    create(store, job).await.expect("creates");
}

fn new_waiver(until: u64) -> NewWaiver {
    NewWaiver {
        order: order(),
        reason: WaiverReason::LegacySystem,
        control: "its network is separate".to_owned(),
        until: at(until),
        beyond_milestone: false,
        requested_by: "id-ada".to_owned(),
    }
}

/// Removes waivers that ended before this second, and nothing else.
fn ended(before: u64) -> Limits {
    Limits { ended_before: at(before), refused_before: at(0), begun_before: at(0) }
}

fn list_of(hosts: &[HostId]) -> HostList {
    HostList { count: hosts.len() as u64, digest: Digest::of(b"hosts"), named: hosts.to_vec() }
}

/// Ada asks for a waiver of these hosts.
pub(super) async fn asks(store: &Arc<dyn Store>, hosts: &[u8], until: u64, second: u64) -> Result<u64, AskRefusal> {
    let hosts: Vec<HostId> = hosts.iter().map(|n| host(*n)).collect();
    let work = move |tx: &mut dyn AdminTx| {
        let new = new_waiver(until);
        let waiver = ask::prepare(tx, &new, hosts.len() as u64, at(second))?.expect("there is space");
        if let Err(refusal) = ask::add(tx, &waiver, &hosts, &SiteScope::All)? {
            return Ok(Err(refusal));
        }
        Ok(ask::request(tx, &waiver, &new, &list_of(&hosts), at(second))?.map(|()| waiver.number))
    };
    admin::write(store.as_ref(), "ask", account_acting("ada", second), work).await.expect("asks")
}

pub(super) fn decide_asked(name: &str, number: u64, second: u64) -> DecideAsked {
    let (account, rule) = (format!("id-{name}"), ApprovalRule::TwoPeople);
    DecideAsked { number, account, sites: SiteScope::All, rule, now: at(second) }
}

pub(super) async fn decides(store: &Arc<dyn Store>, asked: DecideAsked, act: WaiverAct) -> Result<(), DecideRefusal> {
    let acting = crate::store::Acting { now: asked.now, ..account_acting("bob", 0) };
    let work = move |tx: &mut dyn AdminTx| decide(tx, &asked, act);
    admin::write(store.as_ref(), "decide", acting, work).await.expect("decides")
}

async fn waiver(store: &Arc<dyn Store>, number: u64, second: u64) -> Option<WaiverReport> {
    let get = move |tx: &mut dyn AdminTx| waivers::get(tx, number, FIRST_HOSTS, &SiteScope::All, at(second));
    admin::read(store.as_ref(), "get", get).await.expect("reads").map(|shown| shown.report)
}

async fn waivers_listed(store: &Arc<dyn Store>, all: bool, sites: SiteScope, second: u64) -> Vec<u64> {
    let (mut numbers, mut after) = (Vec::new(), None);
    loop {
        let sites = sites.clone();
        let asked = ListAsked { order: None, all, ending_before: None, sites, now: at(second), after, rows: 1 };
        let list = move |tx: &mut dyn AdminTx| waivers::list(tx, &asked);
        let page = admin::read(store.as_ref(), "list", list).await.expect("lists");
        assert!(page.rows.len() <= 1);
        numbers.extend(page.rows.iter().map(|waiver| waiver.number));
        after = page.next;
        if after.is_none() {
            return numbers;
        }
    }
}

pub(super) async fn tally(store: &Arc<dyn Store>, silent: u64, now: u64) -> LaneTally {
    store.lane_tally(&order(), &SiteScope::All, at(silent), at(now)).await.expect("tallies").hosts()
}

fn place(decision: Decision, awake: Lane, is_self_approved: bool, is_silent: bool) -> DecidedPlace {
    DecidedPlace { decision, is_self_approved, awake, is_silent }
}

async fn kinds(store: &Arc<dyn Store>, after: EntryKind) -> Vec<EntryKind> {
    let rows = ledger(store, 0, 1_000).await;
    let kinds: Vec<EntryKind> = rows.iter().map(|row| row.entry.kind()).collect();
    kinds[kinds.iter().rposition(|kind| *kind == after).expect("is there") + 1..].to_vec()
}

pub(crate) async fn a_waiver_needs_two_people_and_ends_by_itself(backend: impl Backend) {
    let store = backend.open();
    people(&store).await;
    enrolled(&store, 3).await;
    reports(&store, 1, 1, 10, &[packages(&[("kesl", "12")])]).await;
    all_judged(&store, Lane::Replace, 11).await;
    let refused = asks(&store, &[1, 9, 8], 100, 20).await;
    let first = host(9).to_string();
    assert_eq!(refused, Err(AskRefusal::NoSuchHosts { hosts: 2, first }));
    let number = asks(&store, &[1, 2], 100, 20).await.expect("asks");
    let shown = waiver(&store, number, 21).await.expect("is there");
    assert_eq!((shown.state, shown.hosts, shown.requested_by.as_str()), (WaiverState::Requested, 2, "ada"));
    assert_eq!((shown.control.as_str(), &shown.lanes), ("its network is separate", &[(Lane::Replace, 2)].into()));
    assert_eq!(
        shown.first_hosts.iter().map(|host| host.hostname.as_str()).collect::<Vec<_>>(),
        ["host-001", "host-002"]
    );
    // Who approves it can see each host.
    let mut pages = Vec::new();
    let mut after = Some(0);
    while let Some(from) = after {
        let shown = HostsShown { rows: 1, after: from };
        let get = move |tx: &mut dyn AdminTx| waivers::get(tx, number, shown, &SiteScope::All, at(21));
        let page = admin::read(store.as_ref(), "get", get).await.expect("reads").expect("is there");
        pages.push(page.report.first_hosts.iter().map(|host| host.id).collect::<Vec<_>>());
        after = page.next;
    }
    assert_eq!(pages, [vec![host(1)], vec![host(2)]]);
    let nothing = LaneTally { in_scope: [((Lane::Replace, true), 3)].into(), ..LaneTally::default() };
    assert_eq!(tally(&store, 50, 60).await, nothing, "nobody has approved it");
    // Neither the account that asked nor a program, and nobody twice.
    assert_eq!(decides(&store, decide_asked("ada", number, 30), WaiverAct::Approve).await, Err(DecideRefusal::Own));
    assert_eq!(decides(&store, decide_asked("job", number, 30), WaiverAct::Approve).await, Err(DecideRefusal::Machine));
    let refused = decides(&store, decide_asked("bob", number, 30), WaiverAct::End).await;
    assert_eq!(refused, Err(DecideRefusal::NotInForce(WaiverState::Requested)));
    assert_eq!(decides(&store, decide_asked("bob", 99, 30), WaiverAct::Approve).await, Err(DecideRefusal::Unknown));
    assert_eq!(waiver(&store, number, 30).await.expect("is there").state, WaiverState::Requested);
    decides(&store, decide_asked("bob", number, 30), WaiverAct::Approve).await.expect("approves");
    let again = decides(&store, decide_asked("bob", number, 31), WaiverAct::Approve).await;
    assert_eq!(again, Err(DecideRefusal::NotWaiting("in-force")));
    // It is in force from the approval to the end, by the time that the reader names.
    let waived = place(Decision::Waived, Lane::Replace, false, true);
    let during = LaneTally {
        in_scope: [((Lane::Replace, true), 1)].into(),
        decided: [(waived, 2)].into(),
        ..LaneTally::default()
    };
    for (second, expected) in [(29, &nothing), (30, &during), (99, &during), (100, &nothing)] {
        assert_eq!(&tally(&store, 50, second).await, expected, "at {second}");
    }
    assert_eq!(waiver(&store, number, 100).await.expect("is there").state, WaiverState::Expired);
    // A person ends it before.
    decides(&store, decide_asked("ada", number, 40), WaiverAct::End).await.expect("ends");
    assert_eq!((tally(&store, 50, 39).await, tally(&store, 50, 40).await), (during, nothing));
    assert_eq!(waiver(&store, number, 41).await.expect("is there").ended_by, "ada");
    // One person is enough if the settings say so, and that is seen.
    let own = asks(&store, &[3], 100, 50).await.expect("asks");
    let one = DecideAsked { rule: ApprovalRule::OnePerson, ..decide_asked("ada", own, 51) };
    decides(&store, one, WaiverAct::Approve).await.expect("approves");
    let self_approved = place(Decision::Waived, Lane::Replace, true, true);
    assert_eq!(tally(&store, 50, 60).await.decided, [(self_approved, 1)].into());
    assert!(waiver(&store, own, 60).await.expect("is there").is_self_approved);
    let withdrawn = asks(&store, &[3], 90, 52).await.expect("asks");
    decides(&store, decide_asked("ada", withdrawn, 53), WaiverAct::Refuse).await.expect("withdraws");
    assert_eq!(waivers_listed(&store, false, SiteScope::All, 60).await, [own]);
    assert_eq!(waivers_listed(&store, true, SiteScope::All, 60).await, [withdrawn, number, own]);
    use EntryKind::{WaiverApproved, WaiverEnded, WaiverRefused, WaiverRequested};
    let told = [WaiverRequested, WaiverApproved, WaiverEnded, WaiverRequested, WaiverApproved];
    let told = [told.as_slice(), &[WaiverRequested, WaiverRefused]].concat();
    assert_eq!(kinds(&store, EntryKind::LanesChanged).await, told);
    let rows = ledger(&store, 0, 1_000).await;
    let asked = rows.iter().find(|row| row.entry.kind() == WaiverRequested).expect("is there");
    assert!(asked.entry.concerns(host(2)) && !asked.entry.concerns(host(3)));
    for kind in [WaiverApproved, WaiverEnded] {
        let told = rows.iter().find(|row| row.entry.kind() == kind).expect("is there");
        assert!(told.entry.concerns(host(2)) && !told.entry.concerns(host(3)), "{kind}");
    }
    assert_eq!(asked.entry.reason(), Some(&Digest::of(b"its network is separate")));
    assert_healthy(&store).await;
}

pub(crate) async fn a_waiver_of_a_site_is_decided_by_those_who_may_act_there(backend: impl Backend) {
    let store = backend.open();
    people(&store).await;
    enrolled(&store, 1).await;
    let plant: SiteId = "plant".parse().expect("a site");
    let token = NewToken { id: "tok-2".parse().expect("an id"), site: plant.clone(), ..new_token(0) };
    token_create(&store, token.clone()).await.expect("creates");
    let other = Enrollment { token: token.id, facts: facts("other"), ..enrollment(2) };
    store.host_enroll(other).await.expect("enrolls");
    let number = asks(&store, &[1, 2], 100, 20).await.expect("asks");
    let of_plant = SiteScope::Only(vec![plant.clone()]);
    let add = {
        let of_plant = of_plant.clone();
        move |tx: &mut dyn AdminTx| {
            let waiver = ask::prepare(tx, &new_waiver(100), 1, at(21))?.expect("there is space");
            ask::add(tx, &waiver, &[host(1)], &of_plant)
        }
    };
    let refused = admin::write(store.as_ref(), "add", account_acting("ada", 21), add).await.expect("asks");
    assert!(matches!(refused, Err(AskRefusal::NoSuchHosts { hosts: 1, .. })), "a host of another site does not exist");
    let bound = |sites: SiteScope| DecideAsked { sites, ..decide_asked("bob", number, 30) };
    let refused = decides(&store, bound(of_plant.clone()), WaiverAct::Approve).await;
    assert_eq!(refused, Err(DecideRefusal::OtherSites));
    let nowhere = SiteScope::Only(vec!["nowhere".parse().expect("a site")]);
    assert_eq!(decides(&store, bound(nowhere.clone()), WaiverAct::Refuse).await, Err(DecideRefusal::Unknown));
    let both = SiteScope::Only(vec![site(), plant]);
    decides(&store, bound(both), WaiverAct::Approve).await.expect("approves");
    assert_eq!(waivers_listed(&store, false, of_plant.clone(), 40).await, [number]);
    assert!(waivers_listed(&store, false, nowhere, 40).await.is_empty());
    let get = move |tx: &mut dyn AdminTx| waivers::get(tx, number, FIRST_HOSTS, &of_plant, at(40));
    let seen = admin::read(store.as_ref(), "get", get).await.expect("reads").expect("is there").report;
    assert_eq!((seen.hosts, seen.first_hosts.len(), seen.first_hosts[0].id), (1, 1, host(2)));
}

pub(crate) async fn a_request_that_is_not_finished_leaves_no_waiver(backend: impl Backend) {
    let store = backend.open();
    people(&store).await;
    enrolled(&store, 3).await;
    let begin = |tx: &mut dyn AdminTx| {
        let new = new_waiver(100_000);
        let waiver = ask::prepare(tx, &new, 2, at(20))?.expect("there is space");
        ask::add(tx, &waiver, &[host(1), host(2)], &SiteScope::All)?.expect("adds");
        Ok(waiver)
    };
    let begun = admin::write(store.as_ref(), "begin", account_acting("ada", 20), begin).await.expect("begins");
    assert!(waiver(&store, begun.number, 21).await.is_none(), "nobody sees it");
    assert!(waivers_listed(&store, true, SiteScope::All, 21).await.is_empty());
    // Another number of hosts than was announced.
    let short = {
        let begun = begun.clone();
        move |tx: &mut dyn AdminTx| ask::request(tx, &begun, &new_waiver(100_000), &list_of(&[host(1)]), at(22))
    };
    let refused = admin::write(store.as_ref(), "request", account_acting("ada", 22), short).await.expect("asks");
    assert_eq!(refused, Err(AskRefusal::Incomplete));
    let entries = ledger(&store, 0, 100).await;
    assert!(entries.iter().all(|row| row.entry.kind() != EntryKind::WaiverRequested));
    // What was left an hour ago is removed, but no request.
    let asked = asks(&store, &[3], 100_000, 23).await.expect("asks");
    let clean = |begun_before: Timestamp| {
        let store = Arc::clone(&store);
        async move {
            let limits = Limits { ended_before: at(10), refused_before: at(10), begun_before };
            let remove = move |tx: &mut dyn AdminTx| clean::remove(tx, limits);
            while admin::write(store.as_ref(), "clean", acting(30), remove).await.expect("cleans") {}
        }
    };
    clean(at(20)).await;
    let finish = {
        let begun = begun.clone();
        move |tx: &mut dyn AdminTx| {
            ask::request(tx, &begun, &new_waiver(100_000), &list_of(&[host(1), host(2)]), at(24))
        }
    };
    clean(at(21)).await;
    let refused = admin::write(store.as_ref(), "request", account_acting("ada", 24), finish).await.expect("asks");
    assert_eq!(refused, Err(AskRefusal::Incomplete), "it was removed meanwhile");
    let abandon = move |tx: &mut dyn AdminTx| {
        clean::abandon(tx, &Prepared { number: asked, requested_by: "id-ada".to_owned(), begun_at: at(23) })
    };
    assert!(!admin::write(store.as_ref(), "abandon", acting(25), abandon).await.expect("asks"), "it is a request");
    assert_eq!(waivers_listed(&store, false, SiteScope::All, 30).await, [asked]);
    // A number is given again, but not the waiver of another request.
    let begin = |second: u64| {
        let store = Arc::clone(&store);
        async move {
            let begin = move |tx: &mut dyn AdminTx| ask::prepare(tx, &new_waiver(100_000), 1, at(second));
            admin::write(store.as_ref(), "begin", account_acting("ada", 26), begin).await.expect("begins")
        }
    };
    let first = begin(26).await.expect("there is space");
    clean(at(27)).await;
    let second = begin(28).await.expect("there is space");
    assert_eq!(first.number, second.number);
    let late = {
        let first = first.clone();
        move |tx: &mut dyn AdminTx| ask::add(tx, &first, &[host(1)], &SiteScope::All)
    };
    let refused = admin::write(store.as_ref(), "add", account_acting("ada", 29), late).await.expect("asks");
    assert_eq!(refused, Err(AskRefusal::Incomplete));
    let abandon = move |tx: &mut dyn AdminTx| clean::abandon(tx, &first);
    assert!(!admin::write(store.as_ref(), "abandon", acting(29), abandon).await.expect("asks"), "it is another one");
    let add = move |tx: &mut dyn AdminTx| ask::add(tx, &second, &[host(1)], &SiteScope::All);
    admin::write(store.as_ref(), "add", account_acting("ada", 30), add).await.expect("asks").expect("adds");
    // The hosts of a request that was withdrawn are removed soon; the request stays.
    decides(&store, decide_asked("ada", asked, 40), WaiverAct::Refuse).await.expect("withdraws");
    let limits = Limits { ended_before: at(10), refused_before: at(41), begun_before: at(10) };
    let remove = move |tx: &mut dyn AdminTx| clean::remove(tx, limits);
    while admin::write(store.as_ref(), "clean", acting(42), remove).await.expect("cleans") {}
    let withdrawn = waiver(&store, asked, 42).await.expect("is there");
    assert_eq!((withdrawn.state, withdrawn.hosts, withdrawn.first_hosts.len()), (WaiverState::Refused, 1, 0));
    assert_healthy(&store).await;
}

/// What Ada says of hosts that left. Those that are not finished need a second person.
fn retire_asked(hosts: &[u8], is_unfinished: fn(u8) -> bool, second: u64) -> RetireAsked {
    RetireAsked {
        hosts: hosts.iter().map(|n| host(*n)).collect(),
        kind: DispositionKind::Sold,
        evidence: "receipt 7".to_owned(),
        file: Some(DutyEvidence { name: "receipt.pdf".to_owned(), sha256: "ab".repeat(32) }),
        account: "id-ada".to_owned(),
        sites: SiteScope::All,
        is_unfinished: Arc::new(move |host| {
            assert!(host.verdicts.iter().all(|(id, ..)| *id == order()));
            is_unfinished(host.id.as_bytes()[0])
        }),
        now: at(second),
    }
}

pub(super) async fn retires(
    store: &Arc<dyn Store>,
    hosts: &[u8],
    is_unfinished: fn(u8) -> bool,
    second: u64,
) -> Retired {
    let asked = retire_asked(hosts, is_unfinished, second);
    let work = move |tx: &mut dyn AdminTx| retire(tx, &asked);
    admin::write(store.as_ref(), "retire", account_acting("ada", second), work).await.expect("retires")
}

pub(super) async fn approves(store: &Arc<dyn Store>, asked: DecideAsked, approve: bool) -> Result<(), DecideRefusal> {
    let acting = crate::store::Acting { now: asked.now, ..account_acting("bob", 0) };
    let work = move |tx: &mut dyn AdminTx| dispositions::decide::decide(tx, &asked, approve);
    admin::write(store.as_ref(), "decide", acting, work).await.expect("decides")
}

async fn note_returned(store: &Arc<dyn Store>, second: u64) -> usize {
    let note = move |tx: &mut dyn AdminTx| returned::note(tx, at(second));
    admin::write(store.as_ref(), "returned", acting(second), note).await.expect("notes")
}

pub(crate) async fn a_host_that_is_not_finished_is_retired_by_two_people_and_returns_when_it_reports(
    backend: impl Backend,
) {
    let store = backend.open();
    people(&store).await;
    enrolled(&store, 3).await;
    for n in 1..=3 {
        reports(&store, n, 1, 10, &[packages(&[("kesl", "12")])]).await;
    }
    all_judged(&store, Lane::Replace, 20).await;
    let done = retires(&store, &[1, 2, 3], |n| n > 1, 30).await;
    assert_eq!((done.retired, done.waiting, done.unchanged, done.dispositions.len()), (1, 2, 0, 2));
    let [at_once, waiting] = done.dispositions[..] else { panic!("{done:?}") };
    let retired = place(Decision::Retired, Lane::Replace, false, false);
    let one = tally(&store, 25, 30).await;
    assert_eq!((one.decided, one.in_scope), ([(retired, 1)].into(), [((Lane::Replace, true), 2)].into()));
    assert_eq!(retires(&store, &[1, 2], |_| false, 31).await.unchanged, 2, "one is retired, one waits");
    // Two people, as for waivers.
    assert_eq!(approves(&store, decide_asked("ada", waiting, 32), true).await, Err(DecideRefusal::Own));
    let refused = approves(&store, decide_asked("bob", at_once, 32), true).await;
    assert_eq!(refused, Err(DecideRefusal::NotWaiting("approved")));
    approves(&store, decide_asked("bob", waiting, 33), true).await.expect("approves");
    assert_eq!(tally(&store, 25, 33).await.decided, [(retired, 3)].into());
    // A check-in that is only in memory is enough to return.
    let answer = store.check_in(check_in(2, 2, 40, &[packages(&[("kesl", "12")])])).await.expect("checks in");
    assert_eq!(answer, CheckInAnswer::Current);
    let back = tally(&store, 25, 41).await;
    assert_eq!((back.decided, back.in_scope), ([(retired, 2)].into(), [((Lane::Replace, false), 1)].into()));
    // It is noted once the check-in is written, and the host is marked until a person has looked.
    store.close().await.expect("closes");
    let store = backend.open();
    assert_eq!((note_returned(&store, 50).await, note_returned(&store, 51).await), (1, 0));
    let marks = store.host_get(host(2)).await.expect("gets").expect("is there").marks;
    assert_eq!(marks.iter().map(|mark| mark.mark).collect::<Vec<_>>(), [HostMark::Returned]);
    let find = move |tx: &mut dyn AdminTx| dispositions::find(tx, waiting);
    let found = admin::read(store.as_ref(), "find", find).await.expect("reads").expect("is there").report;
    assert_eq!((found.state, found.evidence.as_str()), (DispositionState::Approved, "receipt 7"));
    assert_eq!(found.hosts.iter().map(|host| host.returned_at).collect::<Vec<_>>(), [Some(at(50)), None]);
    let of_host = |tx: &mut dyn AdminTx| dispositions::of_host(tx, host(2), 5);
    let of_host = admin::read(store.as_ref(), "of_host", of_host).await.expect("reads");
    assert_eq!(of_host.iter().map(|one| (one.number, one.hosts.len())).collect::<Vec<_>>(), [(waiting, 1)]);
    // Nothing is retired by an approval once all hosts have reported since the request.
    let late = retires(&store, &[2], |_| true, 51).await.dispositions[0];
    reports(&store, 2, 3, 52, &[packages(&[("kesl", "13")])]).await;
    store.close().await.expect("closes");
    let store = backend.open();
    assert_eq!(approves(&store, decide_asked("bob", late, 53), true).await, Err(DecideRefusal::Reported));
    approves(&store, decide_asked("bob", late, 53), false).await.expect("refuses");
    // It can be retired again, which ends the mark.
    assert_eq!(retires(&store, &[2], |_| false, 60).await.retired, 1);
    assert!(store.host_get(host(2)).await.expect("gets").expect("is there").marks.is_empty());
    assert_eq!(tally(&store, 25, 60).await.decided, [(retired, 3)].into());
    use EntryKind::{DispositionApproved, DispositionRefused, DispositionRequested, HostsReturned};
    let told = [DispositionRequested, DispositionApproved, DispositionRequested, DispositionApproved, HostsReturned];
    let again = [DispositionRequested, DispositionRefused, DispositionRequested, DispositionApproved];
    let told = [told.as_slice(), &again].concat();
    assert_eq!(kinds(&store, EntryKind::LanesChanged).await, told);
    // A return that nobody has noted yet is noted when the host is retired again.
    reports(&store, 1, 2, 70, &[packages(&[("kesl", "13")])]).await;
    store.close().await.expect("closes");
    let store = backend.open();
    retires(&store, &[1], |_| false, 71).await;
    assert_eq!(kinds(&store, EntryKind::DispositionApproved).await, []);
    let rows = ledger(&store, 0, 1_000).await;
    let returned = rows.iter().rfind(|row| row.entry.kind() == HostsReturned).expect("is there");
    assert!(returned.entry.concerns(host(1)), "{returned:?}");
    assert_healthy(&store).await;
}

pub(crate) async fn a_host_that_waits_to_be_judged_is_told_from_one_that_does_not(backend: impl Backend) {
    let store = backend.open();
    people(&store).await;
    enrolled(&store, 2).await;
    all_judged(&store, Lane::Clear, 20).await;
    reports(&store, 2, 1, 21, &[packages(&[("kesl", "12")])]).await;
    let mut asked = retire_asked(&[1, 2], |_| false, 30);
    asked.is_unfinished = Arc::new(|host| host.is_unjudged);
    let work = move |tx: &mut dyn AdminTx| retire(tx, &asked);
    let done = admin::write(store.as_ref(), "retire", account_acting("ada", 30), work).await.expect("retires");
    assert_eq!((done.retired, done.waiting), (1, 1));
}

pub(crate) async fn hosts_are_taken_back_and_what_ended_long_ago_is_removed(backend: impl Backend) {
    let store = backend.open();
    people(&store).await;
    enrolled(&store, 3).await;
    all_judged(&store, Lane::Clear, 20).await;
    let done = retires(&store, &[1, 2], |_| false, 30).await;
    let unretire_asked = |hosts: Vec<HostId>, second| {
        let (account, reason) = ("id-bob".to_owned(), "it was another one".to_owned());
        UnretireAsked { hosts, account, reason, sites: SiteScope::All, now: at(second) }
    };
    let asked = unretire_asked(vec![host(1), host(3)], 40);
    let work = move |tx: &mut dyn AdminTx| unretire(tx, &asked);
    let (changed, unchanged) =
        admin::write(store.as_ref(), "unretire", account_acting("bob", 40), work).await.expect("takes back");
    assert_eq!((changed.iter().map(|host| host.id).collect::<Vec<_>>(), unchanged), (vec![host(1)], 1));
    let decided = |tally: LaneTally| tally.decided.values().sum::<u64>();
    assert_eq!((decided(tally(&store, 0, 39).await), decided(tally(&store, 0, 40).await)), (2, 1));
    assert_eq!(kinds(&store, EntryKind::DispositionApproved).await, [EntryKind::HostsUnretired]);
    let refused = retires(&store, &[3], |_| true, 50).await.dispositions[0];
    approves(&store, decide_asked("ada", refused, 51), false).await.expect("withdraws");
    let last = retires(&store, &[3], |_| false, 60).await.dispositions[0];
    let waiver = asks(&store, &[3], 70, 61).await.expect("asks");
    let newest = asks(&store, &[3], 70, 62).await.expect("asks");
    let remove = |before: u64| {
        let store = Arc::clone(&store);
        async move {
            let remove = move |tx: &mut dyn AdminTx| {
                Ok(dispositions::clean::remove(tx, at(before))? | clean::remove(tx, ended(before))?)
            };
            while admin::write(store.as_ref(), "remove", acting(90), remove).await.expect("removes") {}
        }
    };
    let listed = || {
        let store = Arc::clone(&store);
        async move {
            let list = |tx: &mut dyn AdminTx| dispositions::list(tx, true, &SiteScope::All, None, 10);
            let (rows, _) = admin::read(store.as_ref(), "list", list).await.expect("lists");
            rows.iter().map(|row| (row.number, row.hosts.len())).collect::<Vec<_>>()
        }
    };
    let first = done.dispositions[0];
    remove(40).await;
    assert_eq!(listed().await, [(last, 1), (refused, 1), (first, 2)], "what was in force then is kept");
    assert_eq!(waivers_listed(&store, true, SiteScope::All, 80).await, [waiver, newest]);
    remove(80).await;
    assert_eq!(listed().await, [(last, 1), (first, 1)], "what holds is kept for ever");
    assert_eq!(waivers_listed(&store, true, SiteScope::All, 80).await, [newest], "no number is given twice");
    assert_eq!(decided(tally(&store, 0, 90).await), 2);
    assert_healthy(&store).await;
}

/// Everything that administration does with waivers and dispositions, in one transaction. The hosts and accounts are those of
/// `all_of_administration`.
pub(super) fn all(tx: &mut dyn AdminTx) {
    let order: OrderId = order();
    let new = NewWaiver { requested_by: "id-zed".to_owned(), ..new_waiver(1_000) };
    for (act, second) in [(WaiverAct::Approve, 28), (WaiverAct::Refuse, 29), (WaiverAct::End, 30)] {
        let number = if act == WaiverAct::End {
            1
        } else {
            let waiver = ask::prepare(tx, &new, 1, at(27)).expect("prepares").expect("there is space");
            ask::add(tx, &waiver, &[host(1)], &SiteScope::All).expect("asks").expect("adds");
            ask::request(tx, &waiver, &new, &list_of(&[host(1)]), at(27)).expect("asks").expect("requests");
            waiver.number
        };
        decide(tx, &decide_asked("ada", number, second), act).expect("asks").expect("decides");
    }
    let abandoned = ask::prepare(tx, &new, 1, at(27)).expect("prepares").expect("there is space");
    ask::add(tx, &abandoned, &[host(1)], &SiteScope::All).expect("asks").expect("adds");
    while clean::abandon(tx, &abandoned).expect("abandons") {}
    // Bulk changes have moved the host.
    let of_hq = SiteScope::Only(vec![site(), SiteId::new("a-new-site").expect("a site")]);
    let asked = ListAsked {
        order: Some(order),
        all: true,
        ending_before: None,
        sites: of_hq.clone(),
        now: at(31),
        after: None,
        rows: 10,
    };
    assert_eq!(waivers::list(tx, &asked).expect("lists").rows.len(), 2);
    assert!(waivers::get(tx, 1, FIRST_HOSTS, &of_hq, at(31)).expect("reads").is_some());
    assert!(clean::remove(tx, ended(2_000)).expect("removes"));
    let mut retire_asked = retire_asked(&[1], |_| false, 32);
    for is_unfinished in [false, true] {
        retire_asked.is_unfinished = Arc::new(move |_| is_unfinished);
        let made = retire(tx, &retire_asked).expect("retires").dispositions[0];
        if is_unfinished {
            let zed = DecideAsked { account: "id-zed".to_owned(), ..decide_asked("zed", made, 33) };
            dispositions::decide::decide(tx, &zed, true).expect("asks").expect("approves");
        }
        let (account, reason) = ("id-ada".to_owned(), "a mistake".to_owned());
        let sites = SiteScope::All;
        let asked = UnretireAsked { hosts: vec![host(1)], account, reason, sites, now: at(34) };
        assert_eq!(unretire(tx, &asked).expect("takes back").0.len(), 1);
    }
    retire_asked.is_unfinished = Arc::new(|_| false);
    retire_asked.now = at(0);
    retire(tx, &retire_asked).expect("retires");
    assert!(returned::is_any(tx).expect("asks"));
    assert_eq!(returned::note(tx, at(35)).expect("notes"), 1);
    for all in [true, false] {
        let (rows, _) = dispositions::list(tx, all, &SiteScope::All, None, 10).expect("lists");
        assert_eq!(rows.len(), if all { 3 } else { 0 });
    }
    assert_eq!(dispositions::of_host(tx, host(1), 2).expect("reads").len(), 2);
    assert!(dispositions::find(tx, 1).expect("reads").is_some());
    assert!(dispositions::clean::remove(tx, at(100)).expect("removes"));
}
