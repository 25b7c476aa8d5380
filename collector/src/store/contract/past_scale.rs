//! Figures of questions about the past of a large fleet. Run by hand, one backend at a time:
//! `MUSTER_PAST_HOSTS=100000 cargo test --release -p muster-collector --lib past_scale -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use muster_proto::model::Timestamp;

use super::Backend;
use super::kit::{at, new_token, order, token_create};
use super::past::adopt;
use crate::store::admin::past::bounds::bounds;
use crate::store::admin::past::portion;
use crate::store::admin::past::tally::tally;
use crate::store::admin::past::timeline::{TimelineAsked, timeline};
use crate::store::admin::{self, AdminTx};
use crate::store::{SearchBudget, SiteScope, Store};

const DAY: u64 = 24 * 3600;
const WEEK: Duration = Duration::from_secs(7 * DAY);
/// The present, in days after the first one.
const NOW: u64 = 90;

/// Statements that fill a store with hosts that have been there for 90 days: each is on the roster and has a lane under four
/// orders; a third of them changed lane on day 50 and a tenth on day 80, too; a tenth is silent, and a fifth was for ten days. A
/// hundredth was matched on day 70. A fiftieth is waived from day 30 to day 80, and 0.5 % are retired on day 70. What differs between the databases comes from the caller: a table of the numbers of hosts, the
/// statements for hosts, and true.
pub(crate) fn fill(numbers: &str, hosts: &str, yes: &str) -> String {
    let day = |day: u64| at(day * DAY).millis();
    let n = format!("(SELECT i FROM {numbers}) AS n");
    let orders = "(SELECT 1 AS o UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) AS o";
    let moved = "(i % 3 = 0)";
    let (d1, d10, d20, d30, d50, d70, d80) = (day(1), day(10), day(20), day(30), day(50), day(70), day(80));
    let lane = "CASE WHEN i % 10 = 0 THEN 10 WHEN i % 3 = 0 THEN 9 WHEN i % 7 = 0 THEN 7 ELSE 11 END";
    format!(
        "{hosts};
         INSERT INTO verdict (host, order_no, lane, in_scope, presence, protection, due, since, reason, advice, cause)
             SELECT i, o, {lane}, {yes}, 7, 1, NULL, CASE WHEN i % 10 = 0 THEN {d80} WHEN {moved} THEN {d50} ELSE {d1} END,
                 1, 1, 2 FROM {n} CROSS JOIN {orders};
         INSERT INTO verdict_history (host, order_no, since, until, lane, in_scope, cause)
             SELECT i, o, {d1}, CASE WHEN {moved} THEN {d50} ELSE {d80} END, 4, {yes}, 1
             FROM {n} CROSS JOIN {orders} WHERE {moved} OR i % 10 = 0;
         INSERT INTO verdict_history (host, order_no, since, until, lane, in_scope, cause)
             SELECT i, o, {d50}, {d80}, 9, {yes}, 2 FROM {n} CROSS JOIN {orders} WHERE {moved} AND i % 10 = 0;
         INSERT INTO tally (order_no, site, lane, in_scope, listed, hosts)
             SELECT order_no, 1, lane, in_scope, {yes}, count(*) FROM verdict GROUP BY order_no, lane, in_scope;
         INSERT INTO host_gap (host, since, until) SELECT i, {d20}, {d30} FROM {n} WHERE i % 5 = 0;
         INSERT INTO site_hosts (site, hosts) SELECT 1, count(*) FROM host;
         INSERT INTO roster_entry (no, name, site, counted_site, platform, state, since, host, basis, note, listed_at)
             SELECT i, 'pc-' || i, 'hq', 'hq', 1, 1, CASE WHEN i % 100 = 0 THEN {d70} ELSE {d10} END, i, 1, NULL, {d10}
             FROM {n};
         INSERT INTO roster_entry_history (entry, since, until, state, host, basis)
             SELECT i, {d10}, {d70}, 2, NULL, 0 FROM {n} WHERE i % 100 = 0;
         INSERT INTO roster_count (state, site, platform, entries) SELECT 1, 'hq', 1, count(*) FROM roster_entry;
         INSERT INTO waiver_host (waiver, host) SELECT 1, i FROM {n} WHERE i % 50 = 0;
         INSERT INTO disposition_host (disposition, host) SELECT 1, i FROM {n} WHERE i % 200 = 1;
         INSERT INTO waiver (no, order_id, state, reason, control, until, beyond_milestone, requested_by, requested_at,
                 decided_by, decided_at, hosts)
             SELECT 1, 'us-bis-icts-2021-002', 3, 2, secret_hash, {d80}, 0, 'a', {d30}, 'b', {d30},
                 (SELECT count(*) FROM waiver_host) FROM enrollment_token;
         INSERT INTO disposition (no, state, kind, evidence, needs_second, requested_by, requested_at, decided_by, decided_at,
                 hosts)
             SELECT 1, 3, 1, secret_hash, 1, 'a', {d70}, 'b', {d70}, (SELECT count(*) FROM disposition_host)
             FROM enrollment_token;"
    )
}

/// How many hosts to fill in.
pub(crate) fn hosts() -> u32 {
    std::env::var("MUSTER_PAST_HOSTS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000)
}

/// Whether a host was last seen long ago, in SQL: when.
pub(crate) fn last_seen() -> String {
    let (long_ago, now) = (at(60 * DAY).millis(), at(NOW * DAY).millis());
    format!("CASE WHEN i % 10 = 1 THEN {long_ago} ELSE {now} END")
}

pub(crate) async fn past_scale<B: Backend>(backend: B, fill: impl FnOnce(&B)) {
    let store = backend.open();
    token_create(&store, new_token(0)).await.expect("token");
    adopt(&store, "r1", Some(WEEK), 60).await;
    store.close().await.expect("closes");
    drop(store);
    fill(&backend);
    let store = backend.open();
    let now = at(NOW * DAY);
    for day in [89, 75, 60, 40, 25, 5] {
        let instant = at(day * DAY);
        let mut times = Vec::new();
        let mut told = String::new();
        for _ in 0..9 {
            let began = Instant::now();
            let tally = board(store.as_ref(), instant, now).await;
            times.push(began.elapsed());
            let hosts = tally.hosts();
            told = format!(
                "{} in scope, {} of them waived or retired, {} on the roster",
                hosts.in_scope.values().sum::<u64>() + hosts.decided.values().sum::<u64>(),
                hosts.decided.values().sum::<u64>(),
                tally.listed.in_scope.values().sum::<u64>()
            );
        }
        times.sort_unstable();
        println!(
            "board as of day {day}: median {:?}, slowest {:?} ({told})",
            times[times.len() / 2],
            times[times.len() - 1]
        );
    }
    let instants = (1..=NOW).map(|day| Timestamp::from_millis(at(day * DAY).millis())).collect();
    let budget = SearchBudget::unlimited();
    let asked = TimelineAsked { order: order(), instants, now, sites: SiteScope::All, by: None, due: None, budget };
    let began = Instant::now();
    let found = admin::read(store.as_ref(), "timeline", move |tx| timeline(tx, &asked)).await.expect("reads");
    println!("timeline of {} days: {:?}", found.days.len(), began.elapsed());
    let began = Instant::now();
    let page = move |tx: &mut dyn AdminTx| portion::hosts_after(tx, 50_000, 500, at(40 * DAY));
    let page = admin::read(store.as_ref(), "hosts_at", page).await.expect("reads");
    println!("portion of {} hosts as of day 40: {:?}", page.len(), began.elapsed());
}

/// What a board of the past reads.
async fn board(store: &dyn Store, at: Timestamp, now: Timestamp) -> crate::store::FleetTally {
    let read = move |tx: &mut dyn AdminTx| {
        let order = order();
        let bounds = bounds(tx, &order, at, now)?;
        let then = bounds.at(at).expect("known").clone();
        assert_eq!(admin::duties::overdue_at(tx, &order, &SiteScope::All, at)?, 0);
        tally(tx, &order, &then, at, &SiteScope::All)
    };
    admin::read(store, "board_at", read).await.expect("reads")
}
