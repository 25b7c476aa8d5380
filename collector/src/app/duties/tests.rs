//! Duties from the judgement to the reference of a person, over a real store, the real rules and the real judge.

use std::sync::Arc;

use arc_swap::ArcSwap;
use muster_proto::canonical;
use muster_proto::model::{
    DutyEvidence, DutyState, DutySubject, EntryKind, HostId, Kind, Observation, OrderId, Outcome, Platform, ProductId,
    RunId, Section, SiteId, Snapshot, SnapshotEntry, SourceName, Timestamp,
};

use crate::actions::{Caller, duties_follow, duty_finish};
use crate::judge_queue::JudgeQueue;
use crate::reports::ReportContext;
use crate::rules::{self, RuleSet};
use crate::store::admin::duties::{self, DutyRow};
use crate::store::admin::ledger::{self, LedgerQuery};
use crate::store::contract::enrolled_fleet;
use crate::store::{self, AdminTx, Allowance, Delivered, Delivery, SiteScope, Store, admin};

const FAR: &str = "us-far-52.204-23";

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("valid")
}

struct Fleet {
    store: Arc<dyn Store>,
    rules: Arc<RuleSet>,
    _folder: tempfile::TempDir,
}

impl Fleet {
    async fn new(active: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("opens");
        enrolled_fleet(&store, 2).await;
        Self { store, rules: with_active(active), _folder: folder }
    }

    /// The host reports these packages, and is judged.
    async fn reports(&self, n: u8, seq: u64, packages: &[&str], now: Timestamp) {
        let package = |name: &&str| Observation { state: "ii".to_owned(), ..Observation::new(Kind::Deb, *name) };
        let section = Section::new(Platform::Linux, SourceName::Dpkg, packages.iter().map(package).collect());
        let entry = |source: &SourceName| {
            let dpkg = *source == SourceName::Dpkg;
            SnapshotEntry {
                source: *source,
                outcome: if dpkg { Outcome::Found } else { Outcome::Empty },
                reason: String::new(),
                watchlist: self.rules.watchlist().version,
                section: dpkg.then(|| canonical::section_digest(&section)),
            }
        };
        let snapshot = Snapshot::new(Platform::Linux, SourceName::ALL.iter().map(entry).collect());
        let operation = Delivery {
            host: HostId::from_bytes([n; 16]),
            run: RunId::from_bytes([n; 16]),
            seq,
            observed_at: now,
            now,
            digest: canonical::snapshot_digest(&snapshot),
            snapshot: Some(snapshot),
            sections: vec![(&section).into()],
            allowance: Allowance::unlimited(),
        };
        assert_eq!(self.store.snapshot_deliver(operation).await.expect("delivers"), Delivered::Accepted);
        self.judge(now).await;
    }

    async fn judge(&self, now: Timestamp) {
        let rules = Arc::new(ArcSwap::new(Arc::clone(&self.rules)));
        JudgeQueue::new(Arc::clone(&self.store), rules).drain(now).await.expect("drains");
    }

    async fn follow(&self, now: Timestamp) {
        duties_follow(self.store.as_ref(), &self.rules, true, now).await.expect("follows");
    }

    async fn duties(&self, all: bool) -> Vec<DutyRow> {
        let list = move |tx: &mut dyn AdminTx| duties::list(tx, None, all, &SiteScope::All, None, 100);
        admin::read(self.store.as_ref(), "duties_list", list).await.expect("lists").duties
    }

    async fn entries(&self, kind: EntryKind) -> usize {
        let query = LedgerQuery { since: None, kind: Some(kind), by: None, host: None, before: None, rows: 100 };
        let list = move |tx: &mut dyn AdminTx| ledger::list(tx, &query);
        admin::read(self.store.as_ref(), "ledger_list", list).await.expect("lists").rows.len()
    }
}

fn with_active(active: &[&str]) -> Arc<RuleSet> {
    let ids: Vec<OrderId> = active.iter().map(|id| OrderId::new(*id).expect("an id")).collect();
    Arc::new(rules::load(None).expect("rules").with_active(&ids).expect("known"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_was_found_opens_one_duty_that_is_done_once_and_starts_the_next() {
    let fleet = Fleet::new(&[FAR]).await;
    // The Friday before Labor Day.
    let friday = at("2026-09-04T15:00:00-04:00");
    fleet.reports(1, 1, &["adduser", "kesl"], friday).await;
    fleet.follow(friday).await;
    fleet.follow(friday).await;
    fleet.reports(2, 1, &["kesl"], friday.plus(std::time::Duration::from_secs(60))).await;
    fleet.follow(friday).await;
    let open = fleet.duties(false).await;
    let [first] = open.as_slice() else { panic!("one duty for the product, whatever the hosts: {open:?}") };
    let product = ProductId::new("kaspersky-endpoint-security").expect("valid");
    assert_eq!((first.clock.as_str(), &first.subject), ("first-report", &DutySubject::Product(product)));
    assert_eq!((first.opened, first.due), (friday, at("2026-09-11T00:00:00-04:00")));
    assert_eq!(fleet.entries(EntryKind::DutiesOpened).await, 1);
    let reader = ReportContext::new(Arc::clone(&fleet.store), Arc::clone(&fleet.rules), first.due);
    let host = HostId::from_bytes([1; 16]).to_string();
    let told = reader.explain(&host, None).await.expect("explains").duties;
    assert!(matches!(told.as_slice(), [duty] if duty.number == first.number && duty.overdue), "{told:?}");
    let of_site = reader.within(SiteScope::Only(vec![SiteId::new("hq").expect("valid")]));
    let told = of_site.explain(&host, None).await.expect("explains").duties;
    assert!(told.is_empty(), "a product is on hosts of every site: {told:?}");

    let caller = Caller::collector("root");
    let done_at = at("2026-09-10T10:00:00-04:00");
    let finish = async |reference: &str, evidence| {
        duty_finish(fleet.store.as_ref(), &caller, &fleet.rules, first.number, reference, evidence, done_at).await
    };
    let file = DutyEvidence { name: "report.pdf".to_owned(), sha256: "0a".repeat(32) };
    for (reference, evidence) in [
        (" ", None),
        ("two\nlines", None),
        ("DIBNet 7", Some(DutyEvidence { name: "a/b".to_owned(), ..file.clone() })),
        ("DIBNet 7", Some(DutyEvidence { sha256: "0A".repeat(32), ..file.clone() })),
    ] {
        finish(reference, evidence).await.expect_err("is refused");
    }
    let (done, started) = finish("DIBNet 7", Some(file.clone())).await.expect("is done");
    assert_eq!((done.state, done.reference.as_str(), done.evidence), (DutyState::Done, "DIBNet 7", Some(file)));
    let again = finish("DIBNet 8", None).await.expect_err("is done already").to_string();
    assert!(again.contains("is done already"), "{again}");
    let left = fleet.duties(false).await;
    assert_eq!(left.iter().map(|duty| duty.number).collect::<Vec<_>>(), started);
    assert_eq!((left[0].clock.as_str(), left[0].due), ("follow-up", at("2026-09-25T00:00:00-04:00")));
    assert_eq!(fleet.entries(EntryKind::DutyDone).await, 1);
    fleet.reports(1, 2, &["kesl", "adduser", "curl"], done_at).await;
    fleet.follow(done_at).await;
    assert_eq!(fleet.duties(true).await.len(), 2, "the product was reported");
}

#[tokio::test(flavor = "multi_thread")]
async fn duties_of_an_order_that_is_switched_off_are_closed_and_open_again_with_it() {
    let mut fleet = Fleet::new(&[FAR]).await;
    let friday = at("2026-09-04T15:00:00-04:00");
    fleet.reports(1, 1, &["kesl"], friday).await;
    fleet.follow(friday).await;
    let (on, later) = (Arc::clone(&fleet.rules), at("2026-09-08T12:00:00-04:00"));
    // Other rules are in force, so a collector that still has the old ones does nothing.
    fleet.rules = with_active(&["us-bis-icts-2021-002"]);
    fleet.judge(later).await;
    assert!(!duties_follow(fleet.store.as_ref(), &on, true, later).await.expect("follows"));
    assert_eq!(fleet.duties(false).await.len(), 1);
    fleet.follow(later).await;
    let closed = fleet.duties(true).await;
    assert_eq!((closed.len(), closed[0].state, closed[0].settled), (1, DutyState::Closed, Some(later)));
    assert_eq!(fleet.entries(EntryKind::DutiesClosed).await, 1);
    let caller = Caller::collector("root");
    let finish = duty_finish(fleet.store.as_ref(), &caller, &fleet.rules, closed[0].number, "DIBNet 7", None, later);
    assert!(finish.await.expect_err("is closed").to_string().contains("was closed when its order was switched off"));
    fleet.rules = on;
    fleet.judge(later).await;
    fleet.follow(later).await;
    let open = fleet.duties(false).await;
    assert_eq!((open.len(), open[0].number, open[0].settled), (1, closed[0].number, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_milestone_that_was_reached_before_opens_its_duties_also_for_a_clock_that_is_new() {
    let fleet = Fleet::new(&["us-dhs-bod-17-01"]).await;
    let now = at("2026-09-04T15:00:00-04:00");
    fleet.judge(now).await;
    let mut without = (*fleet.rules).clone();
    without.orders.iter_mut().for_each(|order| order.clocks.clear());
    let without = Arc::new(without);
    let follow = async |rules: &Arc<RuleSet>, is_first| {
        assert!(duties_follow(fleet.store.as_ref(), rules, is_first, now).await.expect("follows"), "they are in force");
        fleet.duties(false).await.len()
    };
    assert_eq!(follow(&without, true).await, 0);
    assert_eq!(follow(&fleet.rules, false).await, 0, "it was reached before the last time");
    assert_eq!(follow(&fleet.rules, true).await, 2, "identify within 30 days, plan within 60");
    assert_eq!(follow(&fleet.rules, true).await, 2, "not again");
    let board = ReportContext::new(Arc::clone(&fleet.store), Arc::clone(&fleet.rules), now).board(None).await;
    assert_eq!(board.expect("a board")[0].overdue_duties, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_counts_from_the_host_on_which_it_was_found_first() {
    let mut fleet = Fleet::new(&["us-bis-icts-2021-002"]).await;
    let (first, later) = (at("2026-09-01T12:00:00-04:00"), at("2026-09-04T15:00:00-04:00"));
    // The host with the greater number is the earlier one.
    fleet.reports(2, 1, &["kesl"], first).await;
    fleet.reports(1, 1, &["kesl"], later).await;
    fleet.rules = with_active(&[FAR]);
    fleet.judge(later).await;
    fleet.follow(later).await;
    let open = fleet.duties(false).await;
    assert_eq!(open.iter().map(|duty| duty.opened).collect::<Vec<_>>(), [first]);
}
