//! Reports over a real store, real rules and the real judge: all of them give the same numbers at every time.

mod migration;
mod past;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use muster_proto::canonical;
use muster_proto::model::{
    ChangesSort, FindingsSort, HostId, HostsSort, Kind, Lane, Observation, Outcome, Platform, RunId, Section, SiteId,
    Snapshot, SnapshotEntry, SourceName, Timestamp,
};

use super::*;
use crate::judge_queue::JudgeQueue;
use crate::rules;
use crate::store::contract::{enrolled_fleet, enrollment, judged, judgement, settled_under};
use crate::store::{self, Allowance, Delivered, Delivery, JudgedOrder};

const HOSTS: u8 = 4;

struct Fleet {
    store: Arc<dyn Store>,
    rules: Arc<RuleSet>,
    folder: tempfile::TempDir,
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_767_000_000_000).plus(Duration::from_secs(seconds))
}

/// Host 1 has the product, host 2 is clean, host 3's package database could not be read, and host 4 has not reported
/// since it enrolled long ago.
async fn fleet() -> Fleet {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("opens");
    enrolled_fleet(&store, HOSTS).await;
    let rules = Arc::new(rules::load(None).expect("rules"));
    let fleet = Fleet { store, rules, folder };
    fleet.reports(1, &["adduser", "kesl"], Outcome::Found).await;
    fleet.reports(2, &["adduser"], Outcome::Found).await;
    fleet.reports(3, &[], Outcome::Failed).await;
    let judge_queue = JudgeQueue::new(Arc::clone(&fleet.store), Arc::new(ArcSwap::new(Arc::clone(&fleet.rules))));
    assert_eq!(judge_queue.drain(at(20)).await.expect("drains"), u64::from(HOSTS));
    fleet
}

impl Fleet {
    async fn reports(&self, n: u8, packages: &[&str], outcome: Outcome) {
        self.reports_at(n, 1, packages, outcome, at(10)).await;
    }

    async fn reports_at(&self, n: u8, seq: u64, packages: &[&str], outcome: Outcome, now: Timestamp) {
        let package = |name: &&str| Observation { state: "ii".to_owned(), ..Observation::new(Kind::Deb, *name) };
        let section = Section::new(Platform::Linux, SourceName::Dpkg, packages.iter().map(package).collect());
        let has = !packages.is_empty();
        let entry = |source: &SourceName| {
            let dpkg = *source == SourceName::Dpkg;
            SnapshotEntry {
                source: *source,
                outcome: if dpkg { outcome } else { Outcome::Empty },
                reason: if dpkg && !has { "the database is cut off".to_owned() } else { String::new() },
                watchlist: self.rules.watchlist().version,
                section: (dpkg && has).then(|| canonical::section_digest(&section)),
            }
        };
        let snapshot = Snapshot::new(Platform::Linux, SourceName::ALL.iter().map(entry).collect());
        let sections = has.then(|| (&section).into());
        let operation = Delivery {
            host: HostId::from_bytes([n; 16]),
            run: RunId::from_bytes([n; 16]),
            seq,
            observed_at: now,
            now,
            digest: canonical::snapshot_digest(&snapshot),
            snapshot: Some(snapshot),
            sections: sections.into_iter().collect(),
            allowance: Allowance::unlimited(),
        };
        assert_eq!(self.store.snapshot_deliver(operation).await.expect("delivers"), Delivered::Accepted);
    }

    fn context(&self, now: Timestamp) -> ReportContext {
        ReportContext::new(Arc::clone(&self.store), Arc::clone(&self.rules), now)
    }

    fn order(&self) -> &Order {
        self.rules.active_orders().next().expect("an active order")
    }
}

fn all() -> HostsQuery {
    HostsQuery { rows: 1000, ..HostsQuery::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn board_lists_and_hosts_agree_before_and_after_silence() {
    let fleet = fleet().await;
    let patience = fleet.order().patience;
    for now in [at(30), at(10).plus(patience * 2)] {
        let context = fleet.context(now);
        let board = context.board(None).await.expect("a board").remove(0);
        assert_eq!(board.counts.total, u64::from(HOSTS));
        let mut listed: BTreeMap<Lane, u64> = Lane::ALL.iter().map(|lane| (*lane, 0)).collect();
        for row in context.hosts(all()).await.expect("hosts").rows {
            let lane = row.lanes[&board.order.id];
            *listed.entry(lane).or_default() += 1;
            let alone = context.host(&row.id.to_string()).await.expect("a host");
            assert_eq!(alone.verdicts[0].lane, lane, "{} at {now}", row.hostname);
            assert_eq!(alone.verdicts[0].overdue, row.overdue.contains(&board.order.id));
        }
        assert_eq!(board.counts.lanes, listed, "at {now}");
        for (lane, hosts) in &listed {
            let query = HostsQuery { order: Some(board.order.id.clone()), lanes: vec![*lane], ..all() };
            let rows = context.hosts(query).await.expect("hosts").rows;
            assert_eq!(rows.len() as u64, *hosts, "{lane} at {now}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prohibited_product_stays_found_while_every_other_host_falls_silent() {
    let fleet = fleet().await;
    let awake = fleet.context(at(30)).board(None).await.expect("a board").remove(0).counts;
    assert_eq!((awake.lanes[&Lane::Clear], awake.lanes[&Lane::Unknown], awake.lanes[&Lane::Silent]), (1, 1, 1));
    assert_eq!(awake.silent, 1);
    assert_eq!(awake.lanes[&Lane::Replace] + awake.lanes[&Lane::Remove], 1);
    assert_eq!(awake.overdue, 3, "all but the clear one are past the due milestone");
    let later = at(10).plus(fleet.order().patience * 2);
    let asleep = fleet.context(later).board(None).await.expect("a board").remove(0).counts;
    assert_eq!((asleep.lanes[&Lane::Silent], asleep.silent, asleep.overdue), (3, 4, 4));
    assert_eq!(asleep.lanes[&Lane::Replace] + asleep.lanes[&Lane::Remove], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_are_listed_worst_first_and_pages_have_no_gap_and_no_duplicate() {
    let fleet = fleet().await;
    let context = fleet.context(at(30));
    let whole = context.findings(FindingsQuery { rows: 100, ..FindingsQuery::default() }).await.expect("findings");
    let lanes: Vec<Lane> = whole.rows.iter().map(|finding| finding.lane).collect();
    assert!(matches!(lanes[..], [Lane::Replace | Lane::Remove, Lane::Unknown, Lane::Silent]), "{lanes:?}");
    assert!(whole.rows.iter().all(|finding| finding.overdue && !finding.reason.is_empty()), "{:?}", whole.rows);
    let (mut paged, mut page) = (Vec::new(), None);
    loop {
        let query = FindingsQuery { rows: 1, page, ..FindingsQuery::default() };
        let one = context.findings(query).await.expect("findings");
        paged.extend(one.rows);
        page = one.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(paged, whole.rows);
    assert_eq!(whole.total, Some(3));
    let later = fleet.context(at(10).plus(fleet.order().patience * 2));
    let silent = FindingsQuery { rows: 100, lanes: vec![Lane::Silent], ..FindingsQuery::default() };
    let silent = later.findings(silent).await.expect("findings").rows;
    assert_eq!(silent.len(), 3);
    assert!(silent.iter().all(|finding| !finding.reason.is_empty() && !finding.advice.is_empty()), "{silent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_names_source_observation_rule_and_product() {
    let fleet = fleet().await;
    let context = fleet.context(at(30));
    let explanation = context.explain("HOST-001", None).await.expect("explained");
    let verdict = &explanation.host.verdicts[0];
    let reason = verdict.reasons.iter().find(|reason| reason.evidence.is_some()).expect("a reason with evidence");
    let evidence = reason.evidence.as_ref().expect("evidence");
    assert_eq!(evidence.source, SourceName::Dpkg);
    assert!(evidence.name == "kesl" && !reason.rule.is_empty(), "{reason:?}");
    assert!(!verdict.advice.is_empty());
    let product = reason.product.as_ref().expect("a product");
    assert!(explanation.host.hits.iter().any(|hit| hit.product == product.id), "{:?}", explanation.host.hits);
    assert_eq!(explanation.history.len(), 1);
    let dpkg = explanation.host.sources.iter().find(|source| source.source == SourceName::Dpkg).expect("dpkg");
    assert_eq!((dpkg.outcome, dpkg.observations), (Outcome::Found, 2));
    let reasons = verdict.reasons.iter().filter(|reason| reason.command.is_some()).count();
    assert_eq!((reasons, verdict.commands[0].command.as_deref()), (0, Some("apt-get purge kesl")), "{verdict:?}");
    let failed = context.host("host-003").await.expect("a host");
    let needed: Vec<SourceName> = failed
        .sources
        .iter()
        .filter(|source| source.needed_by == [fleet.order().id.clone()])
        .map(|source| source.source)
        .collect();
    assert!(needed.contains(&SourceName::Dpkg) && !needed.contains(&SourceName::Snap), "{needed:?}");
    assert!(failed.verdicts[0].reasons.iter().any(|reason| reason.text.contains("dpkg")), "{:?}", failed.verdicts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_found_by_the_start_of_its_id_if_only_one_matches() {
    let fleet = fleet().await;
    let context = fleet.context(at(30));
    for asked in ["02020202", "02020202-0202-02", "0202020202020202", "02020202-0202-0202-0202-020202020202"] {
        assert_eq!(context.host(asked).await.expect("a host").id, HostId::from_bytes([2; 16]), "{asked}");
    }
    for asked in ["0202020", "02020203", "02020202-", "f0f0f0f0", "00000000", "host-00"] {
        let found = context.host(asked).await.map(|host| host.id);
        assert_eq!(found.is_ok(), asked.ends_with('-'), "{asked}: {found:?}");
    }
    let mut near = enrollment(9);
    near.host = HostId::from_bytes([2, 2, 2, 2, 2, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    near.facts.hostname = String::new();
    fleet.store.host_enroll(near).await.expect("enrolls");
    let Err(ReportError::Ambiguous { hosts, .. }) = context.host("02020202").await else { panic!("two begin so") };
    assert_eq!(hosts.iter().map(|host| host.hostname.as_str()).collect::<Vec<_>>(), ["host-002", ""]);
    assert!(context.host("02020202-0202-03").await.is_ok());
    // A host that is named like the beginning of another one's id does not take its place.
    let mut impostor = enrollment(7);
    impostor.facts.hostname = "01010101".to_owned();
    fleet.store.host_enroll(impostor).await.expect("enrolls");
    let Err(ReportError::Ambiguous { hosts, .. }) = context.host("01010101").await else { panic!("two are meant") };
    assert_eq!(hosts.iter().map(|host| host.hostname.as_str()).collect::<Vec<_>>(), ["host-001", "01010101"]);
    assert!(matches!(context.host("").await, Err(ReportError::NoHost { .. })), "hosts without a name are not meant");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_host_does_not_hide_the_others_of_its_name() {
    let fleet = fleet().await;
    let mut twin = enrollment(9);
    twin.facts.hostname = "host-001".to_owned();
    fleet.store.host_enroll(twin).await.expect("enrolls");
    let sql = rusqlite::Connection::open(fleet.folder.path().join("fleet.db")).expect("opens");
    let damage = "UPDATE snapshot SET entries = x'00' WHERE no = (SELECT snapshot FROM host WHERE hostname = 'host-001' \
                  AND snapshot IS NOT NULL)";
    assert_eq!(sql.execute(damage, []).expect("damages it"), 1);
    let context = fleet.context(at(30));
    let damaged = context.host(&HostId::from_bytes([1; 16]).to_string()).await;
    assert!(matches!(damaged, Err(ReportError::Store(_))), "{damaged:?}");
    let refused = context.host("host-001").await.expect_err("two hosts have the name");
    let ReportError::Ambiguous { hosts, .. } = &refused else { panic!("{refused}") };
    let ids: Vec<HostId> = hosts.iter().map(|host| host.id).collect();
    assert_eq!(ids, [HostId::from_bytes([1; 16]), HostId::from_bytes([9; 16])]);
    let (text, seen) = (refused.to_string(), at(10).whole_seconds());
    let first = format!("\n  {}  \"host-001\", site hq, last seen {seen}", ids[0]);
    assert!(text.starts_with("host \"host-001\" is ambiguous; it may be one of") && text.contains(&first), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_changes_follow_in_both_orders_and_a_token_belongs_to_one() {
    let fleet = fleet().await;
    let context = fleet.context(at(30));
    let asked =
        |sort, rows, page| ChangesAsked { span: Duration::from_secs(60), sort, rows, page, ..Default::default() };
    let mut lists = Vec::new();
    for sort in ChangesSort::ALL {
        let (mut paged, mut page) = (Vec::new(), None);
        loop {
            let (report, next) = context.changes(asked(*sort, 1, page)).await.expect("changes");
            paged.extend(report.changes);
            page = next;
            let Some(token) = &page else { break };
            for other in ChangesSort::ALL.iter().filter(|other| *other != sort) {
                let refused = context.changes(asked(*other, 1, Some(token.clone()))).await;
                assert!(matches!(refused, Err(ReportError::PageToken)), "{refused:?}");
            }
        }
        let whole = context.changes(asked(*sort, 100, None)).await.expect("changes").0.changes;
        assert_eq!(paged, whole, "{sort}");
        lists.push(whole);
    }
    assert!(lists[0].len() > 2 && lists[0].is_sorted_by_key(|row| std::cmp::Reverse(row.at)));
    assert!(lists[1].is_sorted_by_key(|row| row.at));
    lists.iter_mut().for_each(|list| list.sort_by_key(|row| (row.host, row.order.clone(), row.at)));
    assert_eq!(lists[0], lists[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_what_was_asked() {
    let fleet = fleet().await;
    let context = fleet.context(at(30));
    for asked in ["atlantis", &HostId::random().to_string()] {
        let refused = context.host(asked).await.expect_err("nobody").to_string();
        assert!(refused.contains(asked), "{refused}");
    }
    let nobody = OrderId::new("nobody").expect("an id");
    assert!(matches!(context.board(Some(&nobody)).await, Err(ReportError::NoOrder { .. })));
    let said = context.board(Some(&nobody)).await.expect_err("there is none").to_string();
    assert_eq!(said, format!("no order \"{nobody}\""));
    let page = Some("nonsense".to_owned());
    assert!(matches!(context.hosts(HostsQuery { page: page.clone(), ..all() }).await, Err(ReportError::PageToken)));
    let query = FindingsQuery { rows: 1, page, ..FindingsQuery::default() };
    assert!(matches!(context.findings(query).await, Err(ReportError::PageToken)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_total_of_a_list_is_the_number_of_its_rows_and_the_board_agrees() {
    let fleet = fleet().await;
    // It has no verdict yet.
    fleet.store.host_enroll(enrollment(9)).await.expect("enrolls");
    for now in [at(30), at(10).plus(fleet.order().patience * 2)] {
        let context = fleet.context(now);
        let counts = context.board(None).await.expect("a board").remove(0).counts;
        for sort in FindingsSort::ALL {
            let query = FindingsQuery { sort: *sort, rows: 1, ..FindingsQuery::default() };
            let (mut rows, mut page, mut total) = (Vec::new(), None, None);
            loop {
                let read = context.findings(FindingsQuery { page, ..query.clone() }).await.expect("findings");
                total = total.or(read.total);
                rows.extend(read.rows);
                page = read.next;
                if page.is_none() {
                    break;
                }
            }
            let on_board: u64 =
                counts.lanes.iter().filter(|(lane, _)| !lane.is_finished()).map(|(_, hosts)| hosts).sum();
            assert_eq!((total, rows.len() as u64), (Some(on_board), on_board), "{sort} at {now}");
            assert_eq!(
                rows.iter().filter(|row| row.silent).count() as u64,
                counts.silent - silent_and_finished(&context).await
            );
            let sorted = match sort {
                FindingsSort::Name => rows.is_sorted_by_key(|row| row.hostname.clone()),
                // The last check-ins are not written yet; the contract of the store tests these sorts.
                FindingsSort::Since | FindingsSort::LastSeen => true,
                FindingsSort::Site | FindingsSort::Lane => true,
            };
            assert!(sorted, "{sort} at {now}: {rows:?}");
        }
        for sort in HostsSort::ALL {
            let silent = HostsQuery { silent_only: true, sort: *sort, ..all() };
            let silent = context.hosts(silent).await.expect("hosts");
            assert_eq!(
                (silent.total, silent.rows.len() as u64),
                (Some(counts.silent), counts.silent),
                "{sort} at {now}"
            );
            assert!(silent.rows.iter().all(|row| !row.silent.is_empty()));
            let whole = context.hosts(HostsQuery { sort: *sort, ..all() }).await.expect("hosts");
            assert_eq!((whole.total, whole.rows.len()), (Some(5), 5), "{sort} at {now}");
        }
        let named = context.hosts(HostsQuery { name: "host-00".to_owned(), ..all() }).await.expect("hosts");
        assert_eq!((named.total, named.rows.len()), (Some(5), 5));
    }
}

/// Silent hosts that are not findings.
async fn silent_and_finished(context: &ReportContext) -> u64 {
    let rows = context.hosts(all()).await.expect("hosts").rows;
    rows.iter().filter(|row| !row.silent.is_empty() && row.lanes.values().all(|lane| lane.is_finished())).count() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_silent_since_its_patience_ended_whenever_it_was_judged() {
    let fleet = fleet().await;
    let patience = fleet.order().patience;
    // Host 2 was last seen at second 10. New rules judge it again much later, and to another lane.
    let later = at(10).plus(patience * 2);
    assert!(fleet.store.rules_adopt("r2", later).await.expect("adopts"));
    let claimed = fleet.store.queue_claim(9, later).await.expect("claims");
    let order = fleet.order().id.clone();
    let judgements =
        claimed.iter().map(|host| judgement(host, vec![JudgedOrder { order: order.clone(), ..judged(Lane::Unknown) }]));
    settled_under("r2", &fleet.store, judgements.collect(), later).await;
    let context = fleet.context(later.plus(Duration::from_secs(240)));
    let query = FindingsQuery { lanes: vec![Lane::Silent], ..FindingsQuery::default() };
    let rows = context.findings(query).await.expect("findings").rows;
    let row = rows.iter().find(|row| row.hostname == "host-002").expect("it is silent");
    assert_eq!(row.since, at(10).plus(patience));
    assert_eq!(context.host("host-002").await.expect("a host").verdicts[0].since, at(10).plus(patience));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_with_sites_sees_the_hosts_of_these_sites_only() {
    let fleet = fleet().await;
    let elsewhere = SiteId::new("elsewhere").expect("valid");
    let within = |site: &SiteId| fleet.context(at(30)).within(SiteScope::of(std::slice::from_ref(site)));
    let (mine, other) = (within(&SiteId::new("hq").expect("valid")), within(&elsewhere));
    assert_eq!(mine.board(None).await.expect("a board")[0].counts.total, u64::from(HOSTS));
    assert_eq!(other.board(None).await.expect("a board")[0].counts.total, 0);
    for (context, hosts) in [(&mine, usize::from(HOSTS)), (&other, 0)] {
        assert_eq!(context.hosts(all()).await.expect("hosts").rows.len(), hosts);
        let findings = context.findings(FindingsQuery::default()).await.expect("findings");
        assert_eq!((findings.rows.is_empty(), findings.total == Some(0)), (hosts == 0, hosts == 0));
        let asked = SoftwareAsked { text: "kesl".to_owned(), editions: 9, hosts: 9, ..SoftwareAsked::default() };
        assert_eq!(
            context.software(asked, &roomy_searches()).await.expect("software").0.hosts_total,
            u64::from(hosts > 0)
        );
        for name in ["host-001", "01010101", "01010101-0101-0101-0101-010101010101"] {
            assert_eq!(context.host(name).await.is_ok(), hosts > 0, "{name}");
        }
    }
    // A filter cannot widen what the reader may see.
    let query = HostsQuery { sites: vec![elsewhere], ..all() };
    assert!(mine.hosts(query).await.expect("hosts").rows.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_page_of_hosts_with_software_names_no_next_page() {
    let fleet = fleet().await;
    let context = fleet.context(at(30));
    // Two hosts have it.
    let asked =
        |hosts, page| SoftwareAsked { text: "adduser".to_owned(), editions: 9, hosts, page, ..Default::default() };
    for (hosts, on_page, is_more) in [(0, 0, false), (1, 1, true), (2, 2, false), (3, 2, false)] {
        let (page, next) = context.software(asked(hosts, None), &roomy_searches()).await.expect("software");
        assert_eq!((page.hosts.len(), next.is_some()), (on_page, is_more), "{hosts}");
        assert_eq!(page.hosts_total, 2);
    }
    let (first, next) = context.software(asked(1, None), &roomy_searches()).await.expect("software");
    let (second, end) = context.software(asked(1, next), &roomy_searches()).await.expect("software");
    assert_eq!((&*first.hosts[0].hostname, &*second.hosts[0].hostname, end), ("host-001", "host-002", None));
}
