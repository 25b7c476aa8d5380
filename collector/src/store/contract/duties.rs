//! Duties: what a settlement leaves for the job that opens them, and everything that is done with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_proto::model::{
    DutyEvidence, DutyState, DutySubject, Lane, Presence, ProductId, ProductSeen, Reason, ReasonKind, SiteId,
};

use super::kit::{
    acting, all_judged, assert_healthy, at, enrolled, enrollment, host, judged, judgement, order, packages, reports,
    settled,
};
use super::{Backend, decisions};
use crate::judge::{NewDuty, Positive, Remediation, Removal, Unprotected};
use crate::store::admin::duties::{self, Finish, Listed};
use crate::store::admin::unprotected::{self, UnprotectedHosts};
use crate::store::{AdminTx, FinishRefusal, JudgedOrder, SiteScope, Store, admin};

fn product() -> ProductId {
    ProductId::new("kaspersky-endpoint-security").expect("an id")
}

/// A host reports, and is judged to have the product since this second.
pub(super) async fn found(store: &Arc<dyn Store>, n: u8, seq: u64, second: u64) {
    reports(store, n, seq, second, &[packages(&[("kesl", &format!("12.{seq}"))])]).await;
    let claimed = store.queue_claim(9, at(second)).await.expect("claims");
    let seen =
        ProductSeen { id: product(), name: "KES".to_owned(), version: "12".to_owned(), presence: Presence::Installed };
    let reason = Reason { product: Some(seen), ..Reason::new(ReasonKind::Product, "rule", "it is installed") };
    let positive = Positive {
        since: at(second),
        last_seen: at(second),
        presence: Presence::Installed,
        reasons: vec![reason],
        products: BTreeMap::new(),
        gone: Vec::new(),
    };
    let unprotected = Unprotected { since: Some(at(second)), ..Unprotected::default() };
    let remediation = Remediation { positive: Some(positive), unprotected, ..Remediation::default() };
    let judged = JudgedOrder { remediation, opens_duties: true, ..judged(Lane::Replace) };
    let of_host = claimed.iter().find(|claimed| claimed.host == host(n)).expect("it waits");
    settled(store, vec![judgement(of_host, vec![judged])], at(second)).await;
}

fn new_duty(subject: DutySubject, opened: u64, once: bool) -> NewDuty {
    let by_finding = subject != DutySubject::Order;
    let (order, clock) = (order(), "report".to_owned());
    NewDuty { order, clock, subject, opened: at(opened), due: at(opened + 100), once, by_finding }
}

/// Executes every statement of duties.
pub(super) fn all(tx: &mut dyn AdminTx) {
    let (now, whole) = (at(40), SiteScope::All);
    drop(duties::rules_in_force(tx).expect("asks"));
    assert_eq!(unprotected::count(tx, &order(), &whole).expect("counts").hosts, 1);
    duties::activate(tx, &order(), at(30)).expect("activates");
    duties::advance(tx, &order(), now).expect("advances");
    assert_eq!(duties::activity(tx).expect("asks")[0].opened_until, Some(now));
    assert!(!duties::is_finished(tx, &order()).expect("asks"), "a host has the product");
    assert!(duties::is_pending(tx).expect("asks"));
    let taken = duties::take_pending(tx).expect("takes");
    assert_eq!(taken.iter().map(|one| one.findings.as_ref().map(|of| of.host)).collect::<Vec<_>>(), [Some(host(1))]);
    assert!(!duties::is_pending(tx).expect("asks"));
    duties::put_back(tx, &taken).expect("puts back");
    assert_eq!(duties::take_pending(tx).expect("takes").len(), 1);
    let of_host = new_duty(DutySubject::Host(host(1)), 31, false);
    let of_product = new_duty(DutySubject::Product(product()), 32, true);
    assert_eq!(duties::open(tx, &[of_host, of_product.clone()], now).expect("opens").numbers.len(), 2);
    let later = NewDuty { opened: at(33), ..of_product.clone() };
    let earlier = NewDuty { opened: at(30), due: at(130), ..of_product.clone() };
    assert!(duties::open(tx, &[of_product.clone(), later], now).expect("opens").numbers.is_empty(), "one is enough");
    let moved = duties::open(tx, &[earlier, of_product.clone()], now).expect("opens");
    assert_eq!(moved.numbers.len(), 1, "it was found earlier on another host");
    let moved = duties::get(tx, moved.numbers[0], &whole).expect("asks").expect("is there");
    assert_eq!((moved.opened, moved.due), (at(30), at(130)));
    let moved = NewDuty { opened: at(30), due: at(130), ..of_product };
    let open = duties::list(tx, Some(&order()), false, &whole, None, 10).expect("lists").duties;
    let about = duties::about(tx, &order(), &DutySubject::Product(product()), &whole, 5).expect("asks");
    assert_eq!(about, open[..1]);
    // The one about the product is due first.
    let (of_product, of_host) = (open[0].number, open[1].number);
    let finish = |number| Finish {
        number,
        reference: "7".to_owned(),
        evidence: Some(DutyEvidence { name: "a.pdf".to_owned(), sha256: "0a".repeat(32) }),
        sites: SiteScope::All,
        now,
    };
    let done = duties::finish(tx, &finish(of_host)).expect("finishes").expect("is open");
    assert_eq!((done.state, done.reference.as_str(), done.evidence), (DutyState::Done, "7", finish(1).evidence));
    assert_eq!(duties::finish(tx, &finish(of_host)).expect("asks"), Err(FinishRefusal::Done));
    assert!(!duties::deactivate(tx, &order(), now).expect("closes"), "nothing is left");
    assert_eq!(duties::finish(tx, &finish(of_product)).expect("asks"), Err(FinishRefusal::Closed));
    assert!(duties::activity(tx).expect("asks").is_empty());
    let again = duties::open(tx, std::slice::from_ref(&moved), now).expect("opens");
    assert_eq!(again.numbers.len(), 1, "the same event opens it again");
    assert!(!duties::deactivate(tx, &order(), now).expect("closes"));
    assert!(duties::reopen(tx, &order()).expect("opens"), "one was closed");
    assert!(!duties::reopen(tx, &order()).expect("opens"), "nothing is left");
    assert_eq!(duties::get(tx, again.numbers[0], &whole).expect("asks").map(|duty| duty.state), Some(DutyState::Open));
    for (sites, overdue) in [(SiteScope::All, 1), (SiteScope::Only(Vec::new()), 0)] {
        assert_eq!(duties::overdue(tx, &order(), &sites, at(129)).expect("counts"), 0, "not yet");
        assert_eq!(duties::overdue(tx, &order(), &sites, at(131)).expect("counts"), overdue);
    }
    assert_eq!(duties::list(tx, None, true, &whole, None, 10).expect("lists").duties.len(), 2);
}

pub(crate) async fn a_finding_waits_until_its_duties_are_opened_and_a_site_sees_its_own(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    found(&store, 1, 1, 10).await;
    store.close().await.expect("closes");
    let store = backend.open();
    let work = |tx: &mut dyn AdminTx| {
        all(tx);
        Ok(())
    };
    admin::write(store.as_ref(), "duties", acting(40), work).await.expect("works");
    let lists = |tx: &mut dyn AdminTx| {
        let hq = SiteScope::Only(vec![SiteId::new("hq").expect("valid")]);
        let other = SiteScope::Only(vec![SiteId::new("elsewhere").expect("valid")]);
        let of = |tx: &mut dyn AdminTx, sites: &SiteScope| duties::list(tx, None, true, sites, None, 10);
        let ours: Vec<DutySubject> = of(tx, &hq)?.duties.into_iter().map(|duty| duty.subject).collect();
        assert_eq!(ours, [DutySubject::Host(host(1))], "what is about no host is for accounts of the whole fleet");
        assert_eq!(of(tx, &other)?, Listed { duties: Vec::new(), next: None });
        // Pages, one after the other, are the whole.
        let Listed { mut duties, next } = duties::list(tx, None, true, &SiteScope::All, None, 1)?;
        let first = duties.remove(0);
        assert_eq!(next, Some((first.due, first.number)));
        let rest = duties::list(tx, None, true, &SiteScope::All, next, 1)?;
        assert_eq!((rest.duties.len(), rest.next), (1, None));
        assert!(duties::get(tx, first.number, &other)?.is_none() && duties::get(tx, 99, &SiteScope::All)?.is_none());
        Ok(())
    };
    admin::read(store.as_ref(), "duties", lists).await.expect("reads");
    assert_healthy(&store).await;
}

pub(crate) async fn more_duties_than_a_transaction_opens_are_opened_in_several(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let opens = |tx: &mut dyn AdminTx| {
        let all: Vec<NewDuty> = (0..30).map(|second| new_duty(DutySubject::Order, second, false)).collect();
        duties::open(tx, &all, at(40))
    };
    let mut opened = Vec::new();
    for is_unfinished in [true, true, false] {
        let done = admin::write(store.as_ref(), "duties", acting(40), opens).await.expect("opens");
        assert_eq!(done.is_unfinished, is_unfinished, "{done:?}");
        opened.extend(done.numbers);
    }
    assert_eq!(opened, (1..=30).collect::<Vec<u64>>());
    // Who may see none of them gets pages without rows, each after a limited number of duties.
    let pages = |tx: &mut dyn AdminTx| {
        let (nobody, mut next, mut pages) = (SiteScope::Only(Vec::new()), None, 0);
        loop {
            let page = duties::list(tx, None, true, &nobody, next, 10)?;
            assert!(page.duties.is_empty());
            (next, pages) = (page.next, pages + 1);
            if next.is_none() {
                return Ok(pages);
            }
        }
    };
    let pages = admin::read(store.as_ref(), "duties_list", pages).await.expect("reads");
    assert_eq!(pages, 3, "12 duties are read for a page");
}

pub(crate) async fn hosts_without_protection_are_counted_until_they_have_it(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    found(&store, 2, 1, 20).await;
    found(&store, 1, 1, 30).await;
    let counted = |sites: SiteScope| {
        admin::read(store.as_ref(), "unprotected", move |tx| unprotected::count(tx, &order(), &sites))
    };
    let (hq, elsewhere) = (SiteId::new("hq").expect("valid"), SiteId::new("elsewhere").expect("valid"));
    for (sites, hosts, since) in [
        (SiteScope::All, 2, Some(at(20))),
        (SiteScope::Only(vec![hq]), 2, Some(at(20))),
        (SiteScope::Only(vec![elsewhere]), 0, None),
    ] {
        assert_eq!(counted(sites).await.expect("counts"), UnprotectedHosts { hosts, since });
    }
    // One is protected again, and the order no longer applies to the other.
    for (n, in_scope) in [(1, true), (2, false)] {
        reports(&store, n, 2, 40, &[packages(&[("kesl", "13")])]).await;
        let claimed = store.queue_claim(9, at(40)).await.expect("claims");
        let removal = Removal {
            since: at(40),
            present_boot_id: String::new(),
            new_boot: false,
            clean_scans: Vec::new(),
            was: None,
        };
        let since = (!in_scope).then(|| at(20));
        let unprotected = Unprotected { since, longest_ms: 10_000, total_ms: 10_000 };
        let remediation = Remediation { removal: Some(removal), unprotected, ..Remediation::default() };
        let judged = JudgedOrder { remediation, in_scope, ..judged(Lane::Confirm) };
        settled(&store, vec![judgement(&claimed[0], vec![judged])], at(40)).await;
        let left = UnprotectedHosts { hosts: if in_scope { 1 } else { 0 }, since: in_scope.then(|| at(20)) };
        assert_eq!(counted(SiteScope::All).await.expect("counts"), left);
    }
    assert_healthy(&store).await;
}

pub(crate) async fn hosts_that_left_need_no_protection(backend: impl Backend) {
    let store = backend.open();
    decisions::people(&store).await;
    enrolled(&store, 2).await;
    found(&store, 2, 1, 20).await;
    found(&store, 1, 1, 30).await;
    let counted = |store: &Arc<dyn Store>| {
        let store = Arc::clone(store);
        async move {
            let count = |tx: &mut dyn AdminTx| unprotected::count(tx, &order(), &SiteScope::All);
            admin::read(store.as_ref(), "unprotected", count).await.expect("counts")
        }
    };
    assert_eq!(counted(&store).await, UnprotectedHosts { hosts: 2, since: Some(at(20)) });
    let waiting = decisions::retires(&store, &[2], |_| true, 35).await.dispositions[0];
    assert_eq!(counted(&store).await.hosts, 2, "one person is not enough");
    decisions::approves(&store, decisions::decide_asked("bob", waiting, 36), true).await.expect("approves");
    assert_eq!(counted(&store).await, UnprotectedHosts { hosts: 1, since: Some(at(30)) });
    reports(&store, 2, 2, 40, &[packages(&[("kesl", "12.9")])]).await;
    // When it closes, the check-ins that only the memory has are written.
    store.close().await.expect("closes");
    let store = backend.open();
    assert_eq!(counted(&store).await.hosts, 2, "it is back");
}

pub(crate) async fn a_host_with_too_many_open_duties_is_looked_at_again_when_one_is_done(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    found(&store, 1, 1, 5).await;
    let work = |tx: &mut dyn AdminTx| {
        assert_eq!(duties::take_pending(tx)?.len(), 1);
        // One transaction opens no more than twelve.
        let of = |range: std::ops::Range<u64>| -> Vec<NewDuty> {
            range.map(|second| new_duty(DutySubject::Host(host(1)), second, false)).collect()
        };
        let opened =
            duties::open(tx, &of(1..13), at(40))?.numbers.len() + duties::open(tx, &of(13..20), at(40))?.numbers.len();
        assert!(!duties::is_pending(tx)?);
        let finish =
            Finish { number: 1, reference: "1".to_owned(), evidence: None, sites: SiteScope::All, now: at(41) };
        assert!(duties::finish(tx, &finish)?.is_ok());
        assert!(duties::is_pending(tx)?, "what was found last has no duty yet");
        Ok((opened, duties::open(tx, &of(1..20), at(42))?.numbers.len()))
    };
    let opened = admin::write(store.as_ref(), "duties", acting(40), work).await.expect("works");
    assert_eq!(opened, (16, 1));
    assert_healthy(&store).await;
}

pub(crate) async fn an_order_is_finished_when_every_host_is_judged_and_done(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let is_finished = async |store: &Arc<dyn Store>| {
        let ask = |tx: &mut dyn AdminTx| duties::is_finished(tx, &order());
        admin::write(store.as_ref(), "asks", acting(5), ask).await.expect("asks")
    };
    assert!(!is_finished(&store).await, "no host is judged yet");
    let claimed = store.queue_claim(1, at(10)).await.expect("claims");
    settled(&store, vec![judgement(&claimed[0], vec![judged(Lane::Clear)])], at(10)).await;
    assert!(!is_finished(&store).await, "the other one may have the product");
    all_judged(&store, Lane::Clear, 11).await;
    assert!(is_finished(&store).await);
    store.host_enroll(enrollment(3)).await.expect("enrolls");
    assert!(!is_finished(&store).await, "a new host may have it");
    all_judged(&store, Lane::Replace, 12).await;
    assert!(!is_finished(&store).await, "it has");
    // It is sold with the product, and two people say so.
    decisions::people(&store).await;
    let waiting = decisions::retires(&store, &[3], |_| true, 30).await.dispositions[0];
    assert!(!is_finished(&store).await, "one person is not enough");
    decisions::approves(&store, decisions::decide_asked("bob", waiting, 31), true).await.expect("approves");
    assert!(is_finished(&store).await, "nothing is left to do on it");
    let packages = [packages(&[("kesl", "12")])];
    reports(&store, 3, 1, 40, &packages).await;
    // When it closes, the check-ins that only the memory has are written.
    store.close().await.expect("closes");
    let store = backend.open();
    assert!(!is_finished(&store).await, "it is back");
}
