//! The past over a real store, real rules and the real judge: what is asked of an instant is what was answered then.

use muster_proto::model::{Cause, OrderId, PastUnknown};

use super::*;
use crate::filter::Filter;
use crate::ledger::actor::Actor;
use crate::rules::Order;
use crate::store::admin::orders::{KeptOrder, KeptRules};
use crate::store::contract::check_in_is_written;
use crate::store::{Acting, admin};

/// Keeps rules and puts them in force.
pub(super) async fn adopt(store: &Arc<dyn Store>, rules: &RuleSet, now: Timestamp) {
    let kept = |order: &Order| KeptOrder {
        id: order.id.clone(),
        patience: order.patience,
        platforms: order.scope.platforms.clone(),
        sites: order.scope.sites.clone(),
    };
    let [shipped, overlay] = rules.base.packs();
    let applied = crate::rules::RulePack::of(&rules.applied).expect("packs");
    let set = KeptRules {
        version: rules.version.clone(),
        revision: rules.revision,
        active: rules.active_orders().map(kept).collect(),
        packs: [shipped.into(), overlay.into(), (&applied).into()],
        shortest: rules.shortest_patience(),
        kept_at: now,
    };
    let keep = move |tx: &mut dyn admin::AdminTx| admin::orders::keep(tx, &set);
    admin::write(store.as_ref(), "rules_keep", Acting { actor: Actor::Rules, now }, keep).await.expect("keeps");
    store.rules_adopt(&rules.version, now).await.expect("adopts");
}

async fn judge(fleet: &Fleet, rules: &Arc<RuleSet>, now: Timestamp) {
    let queue = JudgeQueue::new(Arc::clone(&fleet.store), Arc::new(ArcSwap::new(Arc::clone(rules))));
    queue.drain(now).await.expect("drains");
}

/// An addendum of the order that hosts are judged under, with this patience.
fn addendum(order: &OrderId, days: u64) -> crate::rules::RuleFile {
    crate::rules::RuleFile {
        folder: "orders".to_owned(),
        name: "acme.toml".to_owned(),
        place: "orders/acme.toml".to_owned(),
        text: format!("addendum = true\nid = \"acme\"\norder = \"{order}\"\npatience_days = {days}\n"),
    }
}

const DAY: u64 = 24 * 3600;

/// The fleet under the shipped rules; two days later under rules with more patience, when host 1 is clean.
async fn two_times() -> (Fleet, Arc<RuleSet>, OrderId) {
    let fleet = fleet().await;
    let order = fleet.order().id.clone();
    // The fleet was judged at 20 seconds, under rules that nobody kept.
    adopt(&fleet.store, &fleet.rules, at(25)).await;
    judge(&fleet, &fleet.rules, at(26)).await;
    for n in 1..=HOSTS {
        check_in_is_written(&fleet.store, HostId::from_bytes([n; 16])).await;
    }
    let after = Arc::new(fleet.rules.base.with_applied(&[addendum(&order, 30)]).expect("rules"));
    (fleet, after, order)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_board_of_an_instant_is_what_was_answered_then_also_under_rules_that_were_replaced() {
    let (fleet, after, order) = two_times().await;
    let week = 8 * DAY;
    let then = fleet.context(at(week)).board(None).await.expect("a board").remove(0);
    assert_eq!(then.counts.lanes[&Lane::Silent], 3, "nobody has reported for a week");
    adopt(&fleet.store, &after, at(week + 60)).await;
    judge(&fleet, &after, at(week + 61)).await;
    let later = ReportContext::new(Arc::clone(&fleet.store), Arc::clone(&after), at(week + 120));
    let now = later.board(None).await.expect("a board").remove(0);
    assert_eq!(now.counts.lanes[&Lane::Silent], 1, "the new patience is longer; one host enrolled long ago");
    for asked in [None, Some(&order)] {
        let past = later.board_at(asked, at(week)).await.expect("a board").remove(0);
        assert_eq!((&past.counts, &past.order, past.as_of), (&then.counts, &then.order, at(week)));
        assert_eq!((past.judge_queue, past.unprotected), (None, None), "these are not kept");
    }
    let present = later.board_at(None, at(week + 120)).await.expect("a board").remove(0);
    assert_eq!(present.counts, now.counts, "the present instant");
    let future = later.board_at(None, at(week + 121)).await;
    assert!(matches!(future, Err(ReportError::InTheFuture { .. })));
    let nobody: OrderId = "us-bis-icts-2021-003".parse().expect("valid");
    assert!(matches!(later.board_at(Some(&nobody), at(week)).await, Err(ReportError::NoOrder { .. })));
    // Before the first judgement no rules were in force.
    let before = later.board_at(None, at(15)).await;
    assert!(matches!(before, Err(ReportError::NotKnown { why: PastUnknown::RulesUnknown, .. })), "{before:?}");
    let inactive = after.orders.iter().find(|order| !order.active).expect("an inactive order").id.clone();
    let refused = later.board_at(Some(&inactive), at(week)).await.expect_err("not active");
    let text = refused.to_string();
    assert!(text.contains(": the order was not active at ") && text.contains("no host was judged"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_hosts_of_an_instant_agree_with_its_board() {
    let (fleet, after, order) = two_times().await;
    let week = 8 * DAY;
    adopt(&fleet.store, &after, at(week + 60)).await;
    judge(&fleet, &after, at(week + 61)).await;
    let context = ReportContext::new(Arc::clone(&fleet.store), Arc::clone(&after), at(week + 120));
    for instant in [at(30), at(week), at(week + 120)] {
        let board = context.board_at(Some(&order), instant).await.expect("a board").remove(0);
        let asked = |lanes: Vec<Lane>, rows: usize, page: Option<String>| PastHostsAsked {
            at: instant,
            order: Some(order.clone()),
            lanes,
            silent_only: false,
            sites: Vec::new(),
            name: "HOST-".to_owned(),
            filter: Filter::default(),
            rows,
            page,
        };
        for (lane, hosts) in &board.counts.lanes {
            let page = context.past_hosts(asked(vec![*lane], 100, None)).await.expect("hosts");
            assert_eq!(page.rows.len() as u64, *hosts, "{lane} at {instant}");
            for row in page.rows {
                let alone = context.past_host(&row.id.to_string(), None, instant).await.expect("a host");
                assert_eq!(alone.host, row, "{lane} at {instant}");
                assert!(alone.unknown.is_empty());
            }
        }
        let mut paged = Vec::new();
        let mut next = None;
        loop {
            let page = context.past_hosts(asked(Vec::new(), 1, next)).await.expect("a page");
            paged.extend(page.rows.into_iter().map(|row| row.id));
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(paged, (1..=HOSTS).map(|n| HostId::from_bytes([n; 16])).collect::<Vec<_>>());
        let silent = PastHostsAsked { silent_only: true, ..asked(Vec::new(), 100, None) };
        let silent = context.past_hosts(silent).await.expect("hosts").rows;
        assert_eq!(silent.len() as u64, board.counts.silent);
        assert!(silent.iter().all(|host| host.last_seen.is_some()));
    }
    let other = SiteScope::Only(vec![SiteId::new("elsewhere").expect("valid")]);
    let bound = context.clone().within(other);
    let asked = PastHostsAsked {
        at: at(30),
        order: None,
        lanes: Vec::new(),
        silent_only: false,
        sites: Vec::new(),
        name: String::new(),
        filter: Filter::default(),
        rows: 100,
        page: None,
    };
    assert!(bound.past_hosts(asked.clone()).await.expect("none").rows.is_empty());
    assert!(matches!(bound.past_host("host-001", None, at(30)).await, Err(ReportError::NoHost { .. })));
    assert_eq!(bound.board_at(None, at(30)).await.expect("a board")[0].counts.total, 0);
    let wrong = PastHostsAsked { page: Some("x".to_owned()), ..asked };
    assert!(matches!(context.past_hosts(wrong).await, Err(ReportError::PageToken)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_the_past_is_explained_by_its_snapshot_and_the_rules_of_that_time() {
    let (fleet, after, order) = two_times().await;
    // Host 1 has removed the product since.
    fleet.reports_at(1, 2, &["adduser"], Outcome::Found, at(DAY)).await;
    judge(&fleet, &fleet.rules, at(DAY + 1)).await;
    adopt(&fleet.store, &after, at(2 * DAY)).await;
    judge(&fleet, &after, at(2 * DAY + 1)).await;
    let context = ReportContext::new(Arc::clone(&fleet.store), Arc::clone(&after), at(3 * DAY));
    let explained =
        async |instant: Timestamp| context.past_host("host-001", Some(&order), instant).await.expect("a host");
    let then = explained(at(60)).await;
    let verdict = &then.host.verdicts[0];
    assert!(matches!(verdict.lane, Lane::Replace | Lane::Remove), "{verdict:?}");
    assert_eq!((verdict.in_scope, verdict.silent), (true, false));
    assert_eq!(then.rules_version, fleet.rules.version);
    assert_eq!(then.snapshot.as_ref().map(|snapshot| snapshot.since), Some(at(10)));
    let reasons = &then.assessments[0].reasons;
    assert!(reasons.iter().any(|reason| reason.product.is_some()), "the product that is gone now: {reasons:?}");
    assert!(then.not_kept.is_empty(), "{:?}", then.not_kept);
    let now = explained(at(3 * DAY)).await;
    assert_eq!(now.rules_version, after.version);
    assert!(matches!(now.host.verdicts[0].lane, Lane::Confirm | Lane::Protect), "{:?}", now.host.verdicts);
    assert_eq!(now.host.verdicts[0].cause, Cause::Removed);
    assert!(!now.assessments[0].reasons.iter().any(|reason| reason.product.is_some()));
    // When the retention of snapshots has ended, the lane is still there, and the answer says what is not.
    let step = crate::store::HistoryStep {
        after: 0,
        hosts: 100,
        snapshots: at(2 * DAY),
        states: at(0),
        verdicts: at(0),
        unfinished: at(2 * DAY),
    };
    assert!(fleet.store.history_remove(step).await.expect("removes").snapshots > 0);
    let then = explained(at(60)).await;
    assert_eq!(then.host.verdicts[0].lane, verdict.lane);
    assert!(then.snapshot.is_none() && then.assessments.is_empty());
    assert!(then.not_kept[0].contains("snapshots are kept from"), "{:?}", then.not_kept);
    let early = context.past_host("host-001", None, Timestamp::default()).await;
    assert!(matches!(early, Err(ReportError::NotEnrolled { .. })), "{early:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_of_the_past_means_the_hosts_as_they_were() {
    let (fleet, after, order) = two_times().await;
    let week = 8 * DAY;
    adopt(&fleet.store, &after, at(week + 60)).await;
    judge(&fleet, &after, at(week + 61)).await;
    let context = ReportContext::new(Arc::clone(&fleet.store), Arc::clone(&after), at(week + 120));
    let found = async |instant: Timestamp, order: Option<&OrderId>, filter: &str| {
        let asked = PastHostsAsked {
            at: instant,
            order: order.cloned(),
            lanes: Vec::new(),
            silent_only: false,
            sites: Vec::new(),
            name: String::new(),
            filter: Filter::parse(filter).expect("a filter"),
            rows: 100,
            page: None,
        };
        let rows = context.past_hosts(asked).await.expect("hosts").rows;
        rows.into_iter().map(|row| row.hostname).collect::<Vec<_>>()
    };
    let all = (1..=HOSTS).map(|n| format!("host-{n:03}")).collect::<Vec<_>>();
    for instant in [at(30), at(week), at(week + 120)] {
        let board = context.board_at(Some(&order), instant).await.expect("a board").remove(0);
        for lane in Lane::ALL {
            let is = found(instant, Some(&order), &format!("lane:{lane}")).await;
            let is_not = found(instant, Some(&order), &format!("-lane:{lane}")).await;
            assert_eq!(is.len() as u64, board.counts.lanes[lane], "{lane} at {instant}");
            assert_eq!(is.len() + is_not.len(), all.len(), "{lane} at {instant}");
            assert_eq!(found(instant, None, &format!("order:{order} lane:{lane}")).await, is);
        }
        let silent = found(instant, Some(&order), "silent:yes").await.len() as u64;
        assert_eq!(silent, board.counts.silent, "at {instant}");
    }
    // The instant is also what times are compared with.
    assert_eq!(
        found(at(week), Some(&order), "since:>6d").await.len(),
        found(at(week), Some(&order), "-since:<6d").await.len()
    );
    assert_eq!(found(at(30), Some(&order), "since:>6d").await, ["host-004"], "it enrolled long ago");
    assert_eq!(found(at(30), None, "name:host-002 site:hq platform:linux").await, ["host-002"]);
    assert_eq!(found(at(30), None, "-name:host-002").await.len(), all.len() - 1);
    assert_eq!(found(at(30), None, "owner:none label:none -roster:matched waiver:no").await, all);
    let two = PastHostsAsked {
        at: at(30),
        order: Some(order.clone()),
        lanes: Vec::new(),
        silent_only: false,
        sites: Vec::new(),
        name: String::new(),
        filter: Filter::parse("order:another").expect("a filter"),
        rows: 100,
        page: None,
    };
    assert!(matches!(context.past_hosts(two.clone()).await, Err(ReportError::TwoOrders { .. })));
    let unknown = PastHostsAsked { filter: Filter::parse("agent:1*").expect("a filter"), ..two };
    assert!(matches!(context.past_hosts(unknown).await, Err(ReportError::NotOfThePast { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rules_of_the_past_are_read_once_however_many_ask_for_them_at_a_time() {
    let (fleet, after, order) = two_times().await;
    adopt(&fleet.store, &after, at(60)).await;
    judge(&fleet, &after, at(61)).await;
    let rule_sets = Arc::<crate::reports::RuleSets>::default();
    let context =
        ReportContext::new(Arc::clone(&fleet.store), Arc::clone(&after), at(120)).sharing(Arc::clone(&rule_sets));
    let ask = || {
        let (context, order) = (context.clone(), order.clone());
        tokio::spawn(async move { context.board_at(Some(&order), at(30)).await.map(|boards| boards.len()) })
    };
    // One of them goes away at once; what it began is not lost.
    let gone = ask();
    let asked: Vec<_> = (0..8).map(|_| ask()).collect();
    gone.abort();
    for one in asked {
        assert_eq!(one.await.expect("ends").expect("a board"), 1);
    }
    assert_eq!(rule_sets.read.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_counts_open_machines_and_needs_days() {
    let (fleet, _, order) = two_times().await;
    let context = fleet.context(at(20 * DAY));
    let report = context.forecast(&order, Vec::new()).await.expect("a forecast");
    // The clear host is silent, so it has work left.
    assert_eq!((report.open, report.state), (4, muster_proto::model::ForecastState::Rates));
    assert!(report.days >= 14 && report.rates.iter().all(|rate| rate.end.is_none()), "{report:?}");
    let early = fleet.context(at(5 * DAY)).forecast(&order, Vec::new()).await.expect("a forecast");
    assert_eq!((early.open, early.state, early.rates.len()), (3, muster_proto::model::ForecastState::TooFewDays, 0));
    let nowhere = vec![SiteId::new("elsewhere").expect("valid")];
    let none = context.forecast(&order, nowhere).await;
    assert!(matches!(none, Err(ReportError::NoMachines { .. })), "a mistyped site is not finished: {none:?}");
}
