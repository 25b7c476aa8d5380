//! The bounds of a search: its budget, its caller, and what others do meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use muster_proto::model::{Kind, Observation, Platform, Section, SourceName};

use super::Backend;
use super::kit::{assert_healthy, enrolled, enrollment, facts, host, new_token, packages, reports, token_create};
use super::software::{indexed, query};
use crate::store::{
    Enrollment, InstalledStates, SearchBudget, SearchLimits, SearchStop, SiteScope, SoftwareQuery, Store, StoreError,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Three hosts, each with packages of its own. Each package has a state of its own, because a search asks for each state once.
async fn fleet(store: &Arc<dyn Store>) {
    enrolled(store, 3).await;
    for n in 1..=3 {
        let package = |letter: &str| Observation {
            version: "1".to_owned(),
            state: format!("state {n} {letter}"),
            ..Observation::new(Kind::Deb, format!("tool-{n}-{letter}"))
        };
        let packages = ["a", "b", "c"].map(package).to_vec();
        reports(store, n, 1, 10, &[Section::new(Platform::Linux, SourceName::Dpkg, packages)]).await;
    }
}

/// A search that stops at the first edition that it finds.
struct Held {
    query: SoftwareQuery,
    budget: SearchBudget,
    /// How many editions it has found.
    found: Arc<AtomicUsize>,
    reached: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

fn held() -> Held {
    let ((reach, reached), (go_on, wait)) = (mpsc::channel(), mpsc::channel());
    let (wait, found, budget) = (Mutex::new(wait), Arc::<AtomicUsize>::default(), SearchBudget::unlimited());
    let counter = Arc::clone(&found);
    let installed = InstalledStates::new(move |_, _| {
        if counter.fetch_add(1, Ordering::SeqCst) == 0 {
            reach.send(()).expect("the test waits");
            // The sender is dropped by a test that fails.
            let _ = wait.lock().expect("one search").recv();
        }
        true
    });
    let query = SoftwareQuery { installed, budget: budget.clone(), ..query("tool") };
    Held { query, budget, found, reached, go_on }
}

async fn until_reached(reached: mpsc::Receiver<()>) {
    let waited = tokio::task::spawn_blocking(move || reached.recv_timeout(PATIENCE)).await;
    waited.expect("waits").expect("the search begins");
}

pub(crate) async fn a_search_beyond_its_budget_ends_with_the_bound_by_name(backend: impl Backend) {
    let store = backend.open();
    fleet(&store).await;
    let plenty = SearchLimits { rows: u64::MAX, bytes: u64::MAX, time: PATIENCE };
    for round in 0..2 {
        for (limits, expected) in [
            (SearchLimits { rows: 8, ..plenty }, SearchStop::Rows { most: 8 }),
            (SearchLimits { rows: 20, ..plenty }, SearchStop::Rows { most: 20 }),
            (SearchLimits { bytes: 1000, ..plenty }, SearchStop::Bytes { most: 1000 }),
            (SearchLimits { time: Duration::ZERO, ..plenty }, SearchStop::Time { most: Duration::ZERO }),
        ] {
            let budget = SearchBudget::new(limits, None);
            let ended = store.software_find(SoftwareQuery { budget, ..query("tool") }).await;
            match ended {
                Err(StoreError::SearchStopped { stop }) => assert_eq!(stop, expected, "{round}"),
                other => panic!("{expected:?} {round}: {other:?}"),
            }
        }
        let budget = SearchBudget::new(SearchLimits { rows: 1000, bytes: 100_000, ..plenty }, None);
        let found = store.software_find(SoftwareQuery { budget, ..query("tool") }).await.expect("within its budget");
        assert_eq!((found.editions.len(), found.hosts_total), (9, 3), "{round}");
        indexed(&store).await;
    }
    assert_healthy(&store).await;
}

pub(crate) async fn a_search_ends_when_its_caller_has_gone(backend: impl Backend) {
    let store = backend.open();
    fleet(&store).await;
    let Held { query, budget, found, reached, go_on } = held();
    let caller = budget.abandon_on_drop();
    let searching = Arc::clone(&store);
    let search = tokio::spawn(async move { searching.software_find(query).await });
    until_reached(reached).await;
    drop(caller);
    go_on.send(()).expect("it waits");
    let ended = search.await.expect("ends");
    let expected = SearchStop::Abandoned;
    assert!(matches!(&ended, Err(StoreError::SearchStopped { stop }) if *stop == expected), "{ended:?}");
    assert_eq!(found.load(Ordering::SeqCst), 1, "it does not go on to the other editions");
    assert_healthy(&store).await;
}

pub(crate) async fn reports_do_not_wait_for_searches(backend: impl Backend) {
    let store = backend.open();
    fleet(&store).await;
    // More than either backend has connections for everything else.
    let mut searches = Vec::new();
    for _ in 0..10 {
        let Held { query, reached, go_on, .. } = held();
        let searching = Arc::clone(&store);
        let search = tokio::spawn(async move { searching.software_find(query).await });
        until_reached(reached).await;
        searches.push((search, go_on));
    }
    let others = async {
        assert_eq!(store.host_count(&SiteScope::All).await.expect("counts"), 3);
        store.queue_depth().await.expect("asks");
        store.editions_level().await.expect("asks");
    };
    tokio::time::timeout(PATIENCE, others).await.expect("nothing waits for the searches");
    for (search, go_on) in searches {
        go_on.send(()).expect("it waits");
        assert_eq!(search.await.expect("ends").expect("finds").hosts_total, 3);
    }
    assert_healthy(&store).await;
}

/// What a search with this query pays for, in rows.
async fn rows_of(store: &Arc<dyn Store>, query: SoftwareQuery) -> u64 {
    let budget = query.budget.clone();
    store.software_find(query).await.expect("finds");
    budget.rows_spent()
}

pub(crate) async fn a_search_reads_each_block_of_the_index_once(backend: impl Backend) {
    let store = backend.open();
    let (hosts, packages_of_each) = (7_u8, 300_u64);
    enrolled(&store, hosts).await;
    for n in 1..=hosts {
        let names: Vec<String> = (0..packages_of_each).map(|number| format!("tool-{n}-{number}")).collect();
        let named: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        reports(&store, n, 1, 10, &[packages(&named)]).await;
        // A segment for each host; eight would be merged.
        indexed(&store).await;
    }
    let found = store.software_find(query("tool-")).await.expect("finds");
    let editions = u64::from(hosts) * packages_of_each;
    assert_eq!((found.editions.len() as u64 + found.more_editions, found.hosts_total), (editions, u64::from(hosts)));
    let rows = rows_of(&store, SoftwareQuery { hosts: 0, ..query("tool-") }).await;
    // Each edition is found, led to its section, and counted with it. Looking up each one in each segment is seven more.
    assert!(rows < editions * 5, "{rows} rows for {editions} editions");
    assert_healthy(&store).await;
}

pub(crate) async fn a_page_of_hosts_does_not_read_all_hosts_that_are_found(backend: impl Backend) {
    let store = backend.open();
    let hosts = 200_u8;
    enrolled(&store, hosts).await;
    for n in 1..=hosts {
        reports(&store, n, 1, 10, &[packages(&[("curl", "8.1")])]).await;
    }
    indexed(&store).await;
    let counts = rows_of(&store, SoftwareQuery { hosts: 0, ..query("curl") }).await;
    let page = rows_of(&store, SoftwareQuery { hosts: 3, ..query("curl") }).await;
    assert!(page - counts < 50, "{page} rows with a page of three of {hosts} hosts, {counts} without");
    assert_healthy(&store).await;
}

pub(crate) async fn pages_of_hosts_follow_names_and_ids_whatever_the_case(backend: impl Backend) {
    let store = backend.open();
    token_create(&store, new_token(0)).await.expect("token");
    for (n, name) in (1..).zip(["web", "Web", "a", "WEB", "web", "B", "Ä", "other", "zz"]) {
        store.host_enroll(Enrollment { facts: facts(name), ..enrollment(n) }).await.expect("enrolls");
        let package = if name == "other" { "wget" } else { "curl" };
        reports(&store, n, 1, 10, &[packages(&[(package, "8.1")])]).await;
    }
    // Ids are in the order of enrollment here.
    let expected = [3, 6, 1, 2, 4, 5, 9, 7].map(host);
    for size in [1, 2, 3, 100] {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = SoftwareQuery { hosts: size, after: after.take(), ..query("curl") };
            let found = store.software_find(page).await.expect("finds");
            assert_eq!(found.hosts_total, 8);
            all.extend(found.hosts.iter().map(|one| one.id));
            let Some(last) = found.hosts.last() else { break };
            after = Some((last.hostname.to_ascii_lowercase(), last.id));
        }
        assert_eq!(all, expected, "pages of {size}");
    }
    assert_healthy(&store).await;
}
