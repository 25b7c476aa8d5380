//! The roster: lists are imported, their entries are matched with hosts, and every count is a part of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_proto::model::{
    CandidateReason, EntryKind, EntryReport, EntryState, HostFacts, ImportCounts, Lane, MachineIdentity, MatchBasis,
    RosterRow,
};

use super::Backend;
use super::kit::{
    acting, assert_healthy, at, check_in, enrollment, facts, host, ledger, new_token, order, packages, token_create,
};

use crate::store::admin::roster::by_hand::{self, ByHand, ByHandRefusal};
use crate::store::admin::roster::entries::{self, EntriesAsked};
use crate::store::admin::roster::import::{self, BeginRefusal, Portion};
use crate::store::admin::{self, AdminTx, identifiers, roster};
use crate::store::{CheckIn, Enrollment, FleetTally, SiteScope, Store};

fn identity(name: &str, serial: &str) -> HostFacts {
    let identity = MachineIdentity { serial: serial.to_owned(), ..MachineIdentity::default() };
    HostFacts { identity, ..facts(name) }
}

fn row(id: &str, name: &str, serial: &str) -> RosterRow {
    let (name, serial) = (name.to_owned(), serial.to_owned());
    RosterRow { external_id: id.to_owned(), name, serial, os: "Ubuntu 24.04".to_owned(), ..RosterRow::default() }
}

/// Looks at the identifiers of hosts and matches entries until nothing is left to do.
pub(crate) async fn match_all(store: &Arc<dyn Store>, second: u64) {
    let advance = move |tx: &mut dyn AdminTx| {
        let more = identifiers::advance(tx)?.is_unfinished;
        Ok(roster::pending::advance(tx, &|_| true, at(second))? || more)
    };
    while admin::write(store.as_ref(), "roster_match", acting(second), advance).await.expect("matches") {}
}

/// Imports rows of a source, and matches them.
pub(crate) async fn import(
    store: &Arc<dyn Store>,
    source: &'static str,
    rows: &[RosterRow],
    second: u64,
) -> ImportCounts {
    let begin = move |tx: &mut dyn AdminTx| import::begin(tx, source, "list.csv", "id-ada", at(second));
    let no =
        admin::write(store.as_ref(), "begin", acting(second), begin).await.expect("begins").expect("nothing else runs");
    let known = admin::read(store.as_ref(), "known", move |tx| import::known(tx, source, 0)).await.expect("reads");
    let mut known: BTreeMap<_, _> = known.into_iter().map(|(no, key, digest)| (key, (no, digest))).collect();
    let (mut counts, mut staged) = (ImportCounts::default(), Vec::new());
    for row in rows {
        let (key, digest) = import::digests(row);
        match known.remove(&key) {
            Some((_, before)) if before == digest => counts.unchanged += 1,
            Some(_) => counts.changed += 1,
            None => counts.added += 1,
        }
        staged.push(row.clone());
    }
    counts.absent = known.len() as u64;
    let absent: Vec<i64> = known.into_values().map(|(no, _)| no).collect();
    let rows = staged.chunks(100).map(|rows| Portion::Rows(rows.to_vec()));
    let portions: Vec<Portion> = rows.chain(import::absent(&absent)).collect();
    let stage = move |tx: &mut dyn AdminTx| {
        for (at, portion) in (0..).zip(&portions) {
            import::stage(tx, no, at, portion, super::kit::at(second))?;
        }
        import::start(tx, no, counts)
    };
    admin::write(store.as_ref(), "stage", acting(second), stage).await.expect("stages");
    let apply = move |tx: &mut dyn AdminTx| import::apply(tx, no, &|_| true, at(second));
    while admin::write(store.as_ref(), "apply", acting(second), apply).await.expect("applies") {}
    match_all(store, second).await;
    counts
}

async fn entries(store: &Arc<dyn Store>) -> Vec<EntryReport> {
    let asked = EntriesAsked { rows: 100, ..EntriesAsked::default() };
    let list = move |tx: &mut dyn AdminTx| entries::list(tx, &asked);
    admin::read(store.as_ref(), "list", list).await.expect("lists").entries
}

/// Name, state and host of each entry.
async fn states(store: &Arc<dyn Store>) -> Vec<(String, EntryState, Option<u8>)> {
    let of = |entry: EntryReport| (entry.name, entry.state, entry.host.map(|host| host.as_bytes()[0]));
    entries(store).await.into_iter().map(of).collect()
}

async fn tally(store: &Arc<dyn Store>) -> FleetTally {
    store.lane_tally(&order(), &SiteScope::All, at(0), at(0)).await.expect("tallies")
}

fn entries_in(tally: &FleetTally, state: EntryState) -> u64 {
    tally.entries.iter().filter(|count| count.state == state).map(|count| count.entries).sum()
}

async fn enroll(store: &Arc<dyn Store>, number: u8, name: &str, serial: &str) {
    store.host_enroll(Enrollment { facts: identity(name, serial), ..enrollment(number) }).await.expect("enrolls");
}

async fn decide(store: &Arc<dyn Store>, entry: u64, decision: ByHand, second: u64) -> Result<(), ByHandRefusal> {
    let work = move |tx: &mut dyn AdminTx| by_hand::decide(tx, entry, &decision, &SiteScope::All, at(second));
    admin::write(store.as_ref(), "decide", acting(second), work).await.expect("decides")
}

pub(crate) async fn lists_are_imported_and_their_machines_matched(backend: impl Backend) {
    let store = backend.open();
    token_create(&store, new_token(9)).await.expect("creates");
    enroll(&store, 1, "pc-1", "A1").await;
    enroll(&store, 2, "pc-2", "").await;
    super::kit::all_judged(&store, Lane::Remove, 10).await;
    let rows = [row("1", "pc-1", "A1"), row("2", "pc-2", ""), row("3", "pc-3", "C3")];
    let counts = import(&store, "ad", &rows, 20).await;
    assert_eq!(counts, ImportCounts { added: 3, ..ImportCounts::default() });
    let missing = ("pc-3".to_owned(), EntryState::Missing, None);
    let review = ("pc-2".to_owned(), EntryState::Review, None);
    assert_eq!(states(&store).await, [("pc-1".to_owned(), EntryState::Matched, Some(1)), review, missing.clone()]);
    let of_review = &entries(&store).await[1].candidates[0];
    assert_eq!((of_review.host, of_review.why), (host(2), CandidateReason::OneIdentifier));
    // The tally counts the matched host apart, and the rest as outside.
    let now = tally(&store).await;
    assert_eq!(now.listed.in_scope, BTreeMap::from([((Lane::Remove, false), 1)]));
    assert_eq!(now.outside.in_scope, BTreeMap::from([((Lane::Remove, false), 1)]));
    assert_eq!((entries_in(&now, EntryState::Matched), entries_in(&now, EntryState::Review)), (1, 1));
    // The same list again changes nothing.
    let ledger_before = ledger(&store, 0, 1000).await.len();
    let again = import(&store, "ad", &rows, 30).await;
    assert_eq!(again, ImportCounts { unchanged: 3, ..ImportCounts::default() });
    assert_eq!(states(&store).await[2], missing);
    assert_eq!(ledger(&store, 0, 1000).await.len(), ledger_before + 2, "only the import itself");
    // A second list of the same machines adds no machine.
    import(&store, "intune", &[row("i-3", "pc-3", "C3"), row("i-4", "pc-4", "D4")], 40).await;
    assert_eq!(states(&store).await.len(), 4);
    assert_eq!(entries(&store).await[2].records.len(), 2, "both lists say something of it");
    // A machine that enrolls later is found by its serial number.
    enroll(&store, 4, "renamed", "d4").await;
    match_all(&store, 50).await;
    assert_eq!(states(&store).await[3], ("pc-4".to_owned(), EntryState::Matched, Some(4)));
    // An entry is closed when no list has it any more, and open again when one has it.
    let counts = import(&store, "ad", &rows[1..], 60).await;
    assert_eq!((counts.unchanged, counts.absent), (2, 1));
    assert!(states(&store).await.iter().all(|(name, ..)| name != "pc-1"), "closed entries are not listed");
    assert!(tally(&store).await.listed.in_scope.is_empty(), "its host is outside");
    import(&store, "ad", &rows, 70).await;
    assert_eq!(states(&store).await[0], ("pc-1".to_owned(), EntryState::Matched, Some(1)));
    assert_eq!(tally(&store).await.listed.in_scope.len(), 1);
    assert_healthy(&store).await;
}

pub(crate) async fn a_person_decides_which_host_is_a_machine_and_can_undo_it(backend: impl Backend) {
    let store = backend.open();
    token_create(&store, new_token(9)).await.expect("creates");
    enroll(&store, 1, "pc-1", "").await;
    enroll(&store, 2, "pc-2", "").await;
    import(&store, "ad", &[row("1", "pc-1", ""), row("2", "pc-2", "")], 20).await;
    let (one, two) = (entries(&store).await[0].number, entries(&store).await[1].number);
    assert_eq!(decide(&store, 99, ByHand::Match(host(1)), 21).await, Err(ByHandRefusal::NoEntry));
    assert_eq!(decide(&store, one, ByHand::Match(host(9)), 21).await, Err(ByHandRefusal::NoHost));
    assert_eq!(decide(&store, one, ByHand::Unmatch, 21).await, Err(ByHandRefusal::NotMatched));
    assert_eq!(decide(&store, one, ByHand::Match(host(1)), 22).await, Ok(()));
    assert_eq!(decide(&store, two, ByHand::Match(host(1)), 23).await, Err(ByHandRefusal::Taken { entry: one }));
    assert_eq!(decide(&store, one, ByHand::Excuse("scrapped".to_owned()), 23).await, Err(ByHandRefusal::Matched));
    let matched = &entries(&store).await[0];
    assert_eq!((matched.state, matched.basis, matched.host), (EntryState::Matched, MatchBasis::ByHand, Some(host(1))));
    // What a person took apart is not proposed again.
    assert_eq!(decide(&store, one, ByHand::Unmatch, 24).await, Ok(()));
    match_all(&store, 25).await;
    assert_eq!(states(&store).await[0], ("pc-1".to_owned(), EntryState::Missing, None));
    // An excused entry does not count, until its machine is found.
    assert_eq!(decide(&store, two, ByHand::Excuse("in the museum".to_owned()), 26).await, Ok(()));
    let excused = entries(&store).await[1].clone();
    assert_eq!((excused.state, excused.note.as_str()), (EntryState::Excused, "in the museum"));
    assert_eq!(entries_in(&tally(&store).await, EntryState::Excused), 1);
    let kinds = [EntryKind::RosterMatched, EntryKind::RosterUnmatched, EntryKind::RosterExcused];
    let entries = ledger(&store, 0, 1000).await;
    for kind in kinds {
        assert_eq!(entries.iter().filter(|row| row.entry.kind() == kind).count(), 1, "{kind}");
    }
    assert_healthy(&store).await;
}

pub(crate) async fn a_machine_that_was_installed_anew_takes_the_place_of_the_one_before(backend: impl Backend) {
    let store = backend.open();
    token_create(&store, new_token(9)).await.expect("creates");
    enroll(&store, 1, "pc-1", "A1").await;
    import(&store, "ad", &[row("1", "pc-1", "A1")], 20).await;
    let seen = |number: u8, second: u64, facts: HostFacts| {
        let sections = [packages(&[("adduser", "3.134")])];
        CheckIn { facts: Some(facts), ..check_in(number, 1, second, &sections) }
    };
    store.check_in(seen(1, 30, identity("pc-1", "A1"))).await.expect("checks in");
    let anew = Enrollment { facts: identity("pc-1", "A1"), now: at(100), ..enrollment(2) };
    store.host_enroll(anew).await.expect("enrolls");
    store.check_in(seen(2, 110, identity("pc-1", "A1"))).await.expect("checks in");
    // The next start of the collector has what was only in memory.
    store.close().await.expect("closes");
    let store = backend.open();
    match_all(&store, 120).await;
    let entry = &entries(&store).await[0];
    assert_eq!(entry.host, Some(host(2)));
    let proposed: Vec<_> = entry.candidates.iter().map(|candidate| (candidate.host, candidate.why)).collect();
    assert_eq!(proposed, [(host(1), CandidateReason::Reimaged)]);
    assert_healthy(&store).await;
}

pub(crate) async fn hosts_are_found_by_what_identifies_them(backend: impl Backend) {
    let store = backend.open();
    token_create(&store, new_token(9)).await.expect("creates");
    enroll(&store, 1, "pc-1", "A1").await;
    enroll(&store, 2, "pc-2", "B2").await;
    match_all(&store, 10).await;
    let find = |text: &'static str| {
        let store = Arc::clone(&store);
        async move {
            let asked =
                [muster_proto::model::Identifier::new(muster_proto::model::IdentifierKind::Serial, text)
                    .expect("valid")];
            let find = move |tx: &mut dyn AdminTx| identifiers::find(tx, &asked, &SiteScope::All);
            admin::read(store.as_ref(), "find", find).await.expect("finds").into_iter().collect::<Vec<_>>()
        }
    };
    assert_eq!((find("a1").await, find("B2").await, find("c3").await), (vec![host(1)], vec![host(2)], Vec::new()));
    let sections = [packages(&[("adduser", "3.134")])];
    let changed = CheckIn { facts: Some(identity("pc-1", "C3")), ..check_in(1, 1, 20, &sections) };
    store.check_in(changed).await.expect("checks in");
    match_all(&store, 21).await;
    assert_eq!((find("a1").await, find("c3").await), (Vec::new(), vec![host(1)]));
    assert_healthy(&store).await;
}

pub(crate) async fn an_import_that_is_not_started_changes_nothing_and_blocks_no_other_for_long(backend: impl Backend) {
    let store = backend.open();
    let begin = move |tx: &mut dyn AdminTx| import::begin(tx, "ad", "list.csv", "id-ada", at(10));
    let no = admin::write(store.as_ref(), "begin", acting(10), begin).await.expect("begins").expect("free");
    let stage =
        move |tx: &mut dyn AdminTx| import::stage(tx, no, 0, &Portion::Rows(vec![row("1", "pc-1", "A1")]), at(11));
    admin::write(store.as_ref(), "stage", acting(11), stage).await.expect("stages");
    let refused = admin::write(store.as_ref(), "begin", acting(12), begin).await.expect("asks");
    let Err(BeginRefusal::Running(running)) = refused else { panic!("{refused:?}") };
    assert!(!running.is_abandoned(at(70)) && running.is_abandoned(at(72)));
    assert!(entries(&store).await.is_empty());
    let throw_away = move |tx: &mut dyn AdminTx| import::throw_away(tx, no);
    while admin::write(store.as_ref(), "throw_away", acting(13), throw_away).await.expect("removes") {}
    assert!(admin::write(store.as_ref(), "begin", acting(14), begin).await.expect("begins").is_ok());
    assert_healthy(&store).await;
}

/// Everything that can be done with identifiers and the roster, for the comparison of both databases.
pub(super) fn all(tx: &mut dyn AdminTx) {
    let lists: [(&'static str, Vec<RosterRow>); 3] = [
        ("ad", vec![row("1", "host-001", ""), row("2", "b", "B2"), row("3", "c", "C3")]),
        ("intune", vec![row("i-2", "b", "B2"), row("i-9", "z", "Z9")]),
        ("ad", vec![row("2", "b", "B3")]),
    ];
    identifiers::advance(tx).expect("advances");
    for (second, (source, rows)) in (50..).zip(lists) {
        assert_eq!(import::running(tx).expect("reads"), None);
        let no = import::begin(tx, source, "list.csv", "id-ada", at(second)).expect("begins").expect("free");
        import::stage(tx, no, 0, &Portion::Rows(Vec::new()), at(second)).expect("stages");
        assert!(import::throw_away(tx, no).expect("removes") && !import::throw_away(tx, no).expect("removes"));
        let no = import::begin(tx, source, "list.csv", "id-ada", at(second)).expect("begins").expect("free");
        let mut known = import::known(tx, source, 0).expect("reads");
        known.retain(|(_, key, _)| rows.iter().all(|row| import::digests(row).0 != *key));
        let absent: Vec<i64> = known.iter().map(|(no, ..)| *no).collect();
        import::names(tx, &absent).expect("reads");
        let portions: Vec<Portion> = std::iter::once(Portion::Rows(rows)).chain(import::absent(&absent)).collect();
        for (at, portion) in (0..).zip(&portions) {
            import::stage(tx, no, at, portion, super::kit::at(second)).expect("stages");
        }
        import::start(tx, no, ImportCounts::default()).expect("starts");
        while import::apply(tx, no, &|_| true, at(second)).expect("applies") {}
        while roster::pending::advance(tx, &|_| true, at(second)).expect("matches") {}
    }
    let changed = [(
        1,
        vec![muster_proto::model::Identifier::new(muster_proto::model::IdentifierKind::Name, "b").expect("valid")],
    )];
    roster::pending::note_hosts(tx, &changed.into()).expect("notes");
    roster::pending::advance(tx, &|_| true, at(60)).expect("matches");
    identifiers::find(
        tx,
        &[muster_proto::model::Identifier::new(muster_proto::model::IdentifierKind::Name, "host-001").expect("valid")],
        &SiteScope::All,
    )
    .expect("finds");
    let page = entries::list(tx, &EntriesAsked { rows: 100, ..EntriesAsked::default() }).expect("lists");
    for state in EntryState::ALL {
        entries::list(tx, &EntriesAsked { rows: 1, state: Some(*state), ..EntriesAsked::default() }).expect("lists");
    }
    entries::sources(tx).expect("lists");
    entries::counts(tx).expect("counts");
    let entry = page.entries.iter().find(|entry| entry.name == "b").expect("there").number;
    for decision in [ByHand::Match(host(1)), ByHand::Unmatch, ByHand::Excuse("gone".to_owned())] {
        by_hand::decide(tx, entry, &decision, &SiteScope::All, at(61)).expect("decides").expect("is done");
    }
    entries::get(tx, entry, &SiteScope::All).expect("gets").expect("is there");
    roster::pending::advance(tx, &|_| true, at(62)).expect("matches");
}

pub(crate) async fn a_probable_match_gives_way_to_a_certain_one(backend: impl Backend) {
    let store = backend.open();
    token_create(&store, new_token(9)).await.expect("creates");
    let named = |serial: &str| {
        let facts = identity("pc-1", serial);
        let fqdn = "pc-1.example.org".to_owned();
        HostFacts { identity: MachineIdentity { fqdn, ..facts.identity.clone() }, ..facts }
    };
    store.host_enroll(Enrollment { facts: named(""), ..enrollment(1) }).await.expect("enrolls");
    import(&store, "purchases", &[row("p-1", "box-9", "A1")], 20).await;
    let listed = RosterRow { fqdn: "pc-1.example.org".to_owned(), ..row("1", "pc-1", "") };
    import(&store, "ad", &[listed], 30).await;
    let missing = ("box-9".to_owned(), EntryState::Missing, None);
    assert_eq!(states(&store).await, [missing, ("pc-1".to_owned(), EntryState::Matched, Some(1))]);
    // Both entries are looked at in one transaction: the first takes the host from the second.
    let sections = [packages(&[("adduser", "3.134")])];
    let changed = CheckIn { facts: Some(named("A1")), ..check_in(1, 1, 40, &sections) };
    store.check_in(changed).await.expect("checks in");
    match_all(&store, 50).await;
    let taken = ("pc-1".to_owned(), EntryState::Review, None);
    assert_eq!(states(&store).await, [("box-9".to_owned(), EntryState::Matched, Some(1)), taken]);
    assert_eq!(entries(&store).await[1].candidates[0].why, CandidateReason::Taken);
    assert_healthy(&store).await;
}
