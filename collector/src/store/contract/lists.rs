//! Lists, counts and names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{HostId, KeyFingerprint, Lane, SiteId, TokenId};

use super::Backend;
use super::kit::{
    all_judged, at, check_in, delivery, enrolled, enrollment, facts, host, new_token, order, packages, reports, site,
    token_id,
};
use crate::store::{
    CheckInAnswer, Delivered, Enrollment, HostQuery, HostSort, InstalledStates, LaneTally, NewToken, SearchBudget,
    SiteScope, SoftwareQuery, Store, VersionFilter,
};

pub(crate) async fn silence_moves_only_lanes_that_yield_to_it(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 4).await;
    for n in 1..=3 {
        reports(&store, n, 1, 10, &[packages(&[("kesl", "12")])]).await;
    }
    all_judged(&store, Lane::Clear, 11).await;
    reports(&store, 3, 2, 12, &[packages(&[("kesl", "13")])]).await;
    all_judged(&store, Lane::Replace, 13).await;
    // This check-in is only in memory yet.
    let answer = store.check_in(check_in(2, 2, 500, &[packages(&[("kesl", "12")])])).await.expect("checks in");
    assert_eq!(answer, CheckInAnswer::Current);
    let tally = store.lane_tally(&order(), &SiteScope::All, at(100), at(100)).await.expect("tallies").hosts();
    let expected = BTreeMap::from([((Lane::Clear, true), 2), ((Lane::Clear, false), 1), ((Lane::Replace, true), 1)]);
    assert_eq!(tally.in_scope, expected);
    let ask = |lanes: &[Lane]| HostQuery {
        order: Some(order()),
        lanes: lanes.to_vec(),
        silent_before: Some(at(100)),
        rows: 10,
        ..HostQuery::default()
    };
    for (lanes, expected) in [
        (vec![Lane::Silent], vec![host(1), host(4)]),
        (vec![Lane::Clear], vec![host(2)]),
        (vec![Lane::Replace], vec![host(3)]),
        (vec![], vec![host(1), host(2), host(3), host(4)]),
    ] {
        let rows = store.host_list(ask(&lanes)).await.expect("lists");
        assert_eq!(rows.iter().map(|row| row.host).collect::<Vec<HostId>>(), expected, "{lanes:?}");
    }
    assert_eq!(
        store
            .lane_tally(&"other".parse().expect("valid"), &SiteScope::All, at(0), at(0))
            .await
            .expect("tallies")
            .hosts()
            .unjudged,
        4
    );
}

pub(crate) async fn lists_are_in_order_filtered_and_paged(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 5).await;
    let ask = HostQuery { rows: 2, ..HostQuery::default() };
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.host_list(HostQuery { after, ..ask.clone() }).await.expect("lists");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.key.clone());
        seen.extend(page.iter().map(|row| row.host));
    }
    assert_eq!(seen, (1..=5).map(host).collect::<Vec<HostId>>());
    let all = HostQuery { rows: 100, ..HostQuery::default() };
    let named = store.host_list(HostQuery { name: "OST-004".to_owned(), ..all.clone() }).await.expect("lists");
    assert_eq!(named.iter().map(|row| row.hostname.as_str()).collect::<Vec<&str>>(), ["host-004"]);
    let elsewhere = HostQuery { sites: SiteScope::Only(vec![SiteId::new("elsewhere").expect("valid")]), ..all.clone() };
    assert!(store.host_list(elsewhere).await.expect("lists").is_empty());
    let of_lane = |lane| HostQuery { order: Some(order()), in_scope_only: true, lanes: vec![lane], ..all.clone() };
    let unknown = store.host_list(of_lane(Lane::Unknown)).await.expect("lists");
    assert_eq!(unknown.len(), 5, "a host that waits for its first judgement is unknown");
    all_judged(&store, Lane::Clear, 5).await;
    let rows = store.host_list(of_lane(Lane::Clear)).await.expect("lists");
    assert_eq!(rows.len(), 5);
    assert!(rows.iter().all(|row| row.verdicts.len() == 1));
}

pub(crate) async fn a_host_is_found_by_its_name_whatever_its_case(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let mut twin = enrollment(3);
    twin.facts.hostname = "HOST-001".to_owned();
    store.host_enroll(Enrollment { now: at(2), ..twin }).await.expect("enrolls");
    assert_eq!(store.host_find("Host-001", &SiteScope::All).await.expect("finds"), vec![host(1), host(3)]);
    assert_eq!(
        store.host_find("host-00", &SiteScope::All).await.expect("finds"),
        Vec::<HostId>::new(),
        "a part is not the name"
    );
}

pub(crate) async fn an_unknown_host_is_told_so(backend: impl Backend) {
    let store = backend.open();
    let all = [packages(&[("kesl", "12")])];
    assert_eq!(store.check_in(check_in(9, 1, 1, &all)).await.expect("asks"), CheckInAnswer::HostUnknown);
    let answer = store.snapshot_deliver(delivery(9, 1, 1, &all, &all)).await.expect("asks");
    assert_eq!(answer, Delivered::HostUnknown);
    assert_eq!(store.check().await.expect("checks").sections, 0, "strangers store nothing");
    assert!(store.host_get(host(9)).await.expect("asks").is_none());
    assert!(store.host_identify(KeyFingerprint::from_bytes([9; 32])).await.expect("asks").is_none());
}

/// The patience of the order in [`lists_are_sorted_in_the_store_and_pages_have_no_gap`].
const PATIENCE: Duration = Duration::from_secs(50);
/// The instant of silence there: hosts that were last seen before it are silent.
const SILENT: u64 = 130;

/// Name, site, lane, when it was last seen, and when it was judged, of the hosts 1 to 9. Host 9 has no verdict.
const FLEET: [(&str, &str, Lane, u64, u64); 9] = [
    ("mail", "hq", Lane::Replace, 150, 210),
    ("Alpha", "plant", Lane::Clear, 120, 211),
    ("web-2", "hq", Lane::Confirm, 160, 212),
    ("WEB-1", "hq", Lane::Confirm, 110, 213),
    ("alpha", "plant", Lane::Unknown, 140, 214),
    ("db", "plant", Lane::Replace, 100, 215),
    ("zeta", "plant", Lane::Clear, 170, 216),
    ("beta", "hq", Lane::Confirm, 145, 217),
    ("gamma", "plant", Lane::Unknown, 155, 0),
];

/// The lane now of a host of [`FLEET`].
fn lane_of(n: u8) -> Lane {
    let (.., lane, seen, _) = FLEET[usize::from(n) - 1];
    lane.with_silence(seen < SILENT)
}

async fn sorted_fleet(store: &Arc<dyn Store>) {
    super::kit::token_create(store, new_token(0)).await.expect("token");
    let (plant, token) = (SiteId::new("plant").expect("valid"), TokenId::new("tok-2").expect("valid"));
    super::kit::token_create(store, NewToken { id: token.clone(), site: plant, ..new_token(0) }).await.expect("token");
    for n in 1..=9 {
        let (name, site, lane, seen, judged_at) = FLEET[usize::from(n) - 1];
        let token = if site == "hq" { token_id() } else { token.clone() };
        let enrollment = Enrollment { token, facts: facts(name), ..enrollment(n) };
        store.host_enroll(enrollment).await.expect("enrolls");
        reports(store, n, 1, seen, &[packages(&[("curl", "8")])]).await;
        if n < 9 {
            all_judged(store, lane, judged_at).await;
        }
    }
}

pub(crate) async fn lists_are_sorted_in_the_store_and_pages_have_no_gap(backend: impl Backend) {
    let store = backend.open();
    sorted_fleet(&store).await;
    // Writes the last check-ins, by which one sort reads the hosts.
    store.close().await.expect("closes");
    let store = backend.open();
    let all: Vec<u8> = (1..=9).collect();
    let name = |n: &u8| (FLEET[usize::from(*n) - 1].0.to_ascii_lowercase(), *n);
    let seen = |n: &u8| (FLEET[usize::from(*n) - 1].3, *n);
    let since = |n: &u8| {
        if lane_of(*n) == Lane::Silent {
            return (seen(n).0 + PATIENCE.as_secs(), *n);
        }
        // Host 9 enrolled then, and has not been judged since.
        if *n == 9 { seen(n) } else { (FLEET[usize::from(*n) - 1].4, *n) }
    };
    let lanes: [&[Lane]; 6] = [
        &[],
        &[Lane::Replace],
        &[Lane::Confirm, Lane::Silent],
        &[Lane::Unknown, Lane::Replace, Lane::Silent],
        &[Lane::Clear],
        &[Lane::Done],
    ];
    let sites = [None, Some("hq"), Some("plant"), Some("nowhere")];
    let mut asked = 0;
    for (lanes, site) in lanes.iter().flat_map(|lanes| sites.iter().map(move |site| (*lanes, *site))) {
        for sort in [HostSort::Name, HostSort::LastSeen, HostSort::Since] {
            if sort == HostSort::Since && (lanes.is_empty() || lanes.iter().any(|lane| lane.is_finished())) {
                continue;
            }
            let is_asked = |n: &u8| {
                (lanes.is_empty() || lanes.contains(&lane_of(*n)))
                    && site.is_none_or(|site| FLEET[usize::from(*n) - 1].1 == site)
            };
            let mut expected: Vec<u8> = all.iter().copied().filter(is_asked).collect();
            match sort {
                HostSort::Id => {}
                HostSort::Name => expected.sort_by_key(name),
                HostSort::LastSeen => expected.sort_by_key(seen),
                HostSort::Since => expected.sort_by_key(since),
            }
            // Small and large pages are read from different indexes.
            for rows in [1, 2, 100] {
                let query = HostQuery {
                    order: Some(order()),
                    lanes: lanes.to_vec(),
                    silent_before: Some(at(SILENT)),
                    patience: PATIENCE,
                    in_scope_only: true,
                    sites: site.map_or(SiteScope::All, |site| SiteScope::Only(vec![site.parse().expect("valid")])),
                    sort,
                    rows,
                    ..HostQuery::default()
                };
                assert_eq!(listed(&store, &query).await, expected, "{sort:?} {lanes:?} {site:?} {rows}");
                let matches = store.host_matches(query).await.expect("counts");
                assert_eq!(matches, expected.len() as u64, "{lanes:?} {site:?}");
                asked += 1;
            }
        }
    }
    assert_eq!(asked, 180);
    let silent = HostQuery {
        order: Some(order()),
        silent_before: Some(at(SILENT)),
        silent_only: true,
        in_scope_only: true,
        sort: HostSort::Name,
        rows: 1,
        ..HostQuery::default()
    };
    assert_eq!(listed(&store, &silent).await, [2, 6, 4], "silent in any lane");
    let named = HostQuery { name: "ALPHA".to_owned(), sort: HostSort::Name, rows: 1, ..HostQuery::default() };
    assert_eq!(listed(&store, &named).await, [2, 5]);
    assert_eq!(store.host_matches(named).await.expect("counts"), 2);
    let tally = store.site_tally(&SiteScope::All).await.expect("tallies");
    let tally: Vec<(&str, u64)> = tally.iter().map(|(site, hosts)| (site.as_str(), *hosts)).collect();
    assert_eq!(tally, [("hq", 4), ("plant", 5)]);
}

/// All pages of a list, one after the other.
async fn listed(store: &Arc<dyn Store>, query: &HostQuery) -> Vec<u8> {
    let (mut hosts, mut after) = (Vec::new(), None);
    loop {
        let page = store.host_list(HostQuery { after, ..query.clone() }).await.expect("lists");
        assert!(page.len() <= query.rows);
        let Some(last) = page.last() else { return hosts };
        after = Some(last.key.clone());
        hosts.extend(page.iter().map(|row| row.host.as_bytes()[0]));
    }
}

/// Hosts 1 to 3 are at `hq`, hosts 4 and 5 at `plant`; all have curl, and all but host 5 are judged.
pub(crate) async fn counts_lists_and_searches_can_be_limited_to_sites(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 3).await;
    let (hq, plant) = (site(), SiteId::new("plant").expect("valid"));
    let token = TokenId::new("tok-2").expect("valid");
    let new = NewToken { id: token.clone(), site: plant.clone(), ..new_token(0) };
    super::kit::token_create(&store, new).await.expect("token");
    for n in 4..=5 {
        if n == 5 {
            all_judged(&store, Lane::Clear, 20).await;
        }
        store.host_enroll(Enrollment { token: token.clone(), ..enrollment(n) }).await.expect("enrolls");
        reports(&store, n, 1, 10, &[packages(&[("curl", "8")])]).await;
    }
    for n in 1..=3 {
        reports(&store, n, 1, 10, &[packages(&[("curl", "8")])]).await;
    }
    let nowhere = SiteScope::Only(vec![SiteId::new("nowhere").expect("valid")]);
    let both = SiteScope::of(&[hq.clone(), plant.clone()]);
    for (sites, hosts, judged) in [
        (SiteScope::All, vec![1, 2, 3, 4, 5], 4),
        (both, vec![1, 2, 3, 4, 5], 4),
        (SiteScope::Only(vec![hq]), vec![1, 2, 3], 3),
        (SiteScope::Only(vec![plant]), vec![4, 5], 1),
        (nowhere, vec![], 0),
        (SiteScope::Only(vec![]), vec![], 0),
    ] {
        let expected: Vec<HostId> = hosts.iter().copied().map(host).collect();
        let count = hosts.len() as u64;
        assert_eq!(store.host_count(&sites).await.expect("counts"), count, "{sites:?}");
        // The check-ins are at second 10, so every host is silent after that.
        let tally = store.lane_tally(&order(), &sites, at(11), at(11)).await.expect("tallies").hosts();
        let in_scope = BTreeMap::from([((Lane::Clear, true), judged)]);
        let in_scope = if judged == 0 { BTreeMap::new() } else { in_scope };
        let unjudged = count - judged;
        let counted = LaneTally { in_scope, unjudged, unjudged_silent: unjudged, ..LaneTally::default() };
        assert_eq!(tally, counted, "{sites:?}");
        let query = HostQuery { sites: sites.clone(), rows: 10, ..HostQuery::default() };
        let rows = store.host_list(query).await.expect("lists");
        assert_eq!(rows.iter().map(|row| row.host).collect::<Vec<HostId>>(), expected, "{sites:?}");
        let found = store.host_find("host-004", &sites).await.expect("finds");
        assert_eq!(found, if hosts.contains(&4) { vec![host(4)] } else { vec![] }, "{sites:?}");
        let query = SoftwareQuery {
            text: "curl".to_owned(),
            version: VersionFilter::Any,
            installed: InstalledStates::default(),
            remnants: false,
            sites: sites.clone(),
            editions: 10,
            hosts: 10,
            after: None,
            budget: SearchBudget::unlimited(),
        };
        let found = store.software_find(query).await.expect("finds");
        assert_eq!(found.hosts_total, count, "{sites:?}");
        assert_eq!(found.editions.iter().map(|edition| edition.hosts).sum::<u64>(), count, "{sites:?}");
        assert_eq!(found.hosts.iter().map(|row| row.id).collect::<Vec<HostId>>(), expected, "{sites:?}");
    }
}
