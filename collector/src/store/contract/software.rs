//! Search: the same answers before indexing, after it, and after segments were merged.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_proto::model::SoftwareReport;

use super::Backend;
use super::kit::{assert_healthy, enrolled, host, packages, reports, units};
use crate::store::{IndexStep, SiteScope, SoftwareQuery, Store};

fn query(text: &str) -> SoftwareQuery {
    SoftwareQuery {
        text: text.to_owned(),
        version: String::new(),
        sites: SiteScope::All,
        editions: 100,
        hosts: 100,
        after: None,
    }
}

async fn ask(store: &Arc<dyn Store>, query: SoftwareQuery) -> SoftwareReport {
    store.software_find(query).await.expect("finds")
}

/// Builds the whole index; returns the number of steps.
pub(crate) async fn indexed(store: &Arc<dyn Store>) -> usize {
    let mut taken = 0;
    loop {
        match store.index_advance(1).await.expect("indexes") {
            IndexStep::Taken => taken += 1,
            IndexStep::Later => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            IndexStep::Nothing => return taken,
        }
    }
}

/// Name, version and number of hosts of each edition; and the hosts on the page.
async fn find(store: &Arc<dyn Store>, text: &str) -> (Vec<(String, u64)>, Vec<u8>) {
    let found = ask(store, query(text)).await;
    assert_eq!(found.hosts_total, found.hosts.len() as u64);
    let editions =
        found.editions.into_iter().map(|one| (format!("{} {}", one.edition.name, one.edition.version), one.hosts));
    (editions.collect(), found.hosts.iter().map(|one| one.id.as_bytes()[0]).collect())
}

pub(crate) async fn software_is_found_in_current_snapshots_before_and_after_it_is_indexed(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 4).await;
    let image = packages(&[("curl", "8.1"), ("kesl", "12.1")]);
    reports(&store, 1, 1, 10, &[image.clone(), units(&["kesl.service"])]).await;
    reports(&store, 2, 1, 11, std::slice::from_ref(&image)).await;
    let of_kaspersky = units(&["Служба Лаборатории Касперского"]);
    reports(&store, 3, 1, 12, &[packages(&[("curl", "8.2"), ("libcurl4", "8.2")]), of_kaspersky]).await;
    for round in 0..4 {
        let kesl = ("kesl 12.1".to_owned(), 2);
        assert_eq!(find(&store, "KESL").await, (vec![kesl, ("kesl.service ".to_owned(), 1)], vec![1, 2]), "{round}");
        let curl = vec![("curl 8.1".to_owned(), 2), ("curl 8.2".to_owned(), 1), ("libcurl4 8.2".to_owned(), 1)];
        assert_eq!(find(&store, "curl").await, (curl, vec![1, 2, 3]), "{round}");
        assert_eq!(find(&store, "debian").await.1, [1, 2, 3], "by vendor, {round}");
        assert_eq!(find(&store, "касПЕРСКОГО").await.1, [3], "in any script, {round}");
        for nothing in ["8.1", "kes1", "kesldebian"] {
            assert_eq!(find(&store, nothing).await, (vec![], vec![]), "{nothing}, {round}");
        }
        let begins = ask(&store, SoftwareQuery { version: "8.2".to_owned(), ..query("curl") }).await;
        assert_eq!((begins.editions.len(), begins.hosts_total), (2, 1));
        assert_eq!(begins.hosts[0].editions.len(), 2, "{:?}", begins.hosts);
        let page = ask(&store, SoftwareQuery { editions: 1, hosts: 1, after: Some(host(1)), ..query("curl") }).await;
        assert_eq!((page.editions.len(), page.more_editions, page.hosts_total), (1, 2, 3));
        assert_eq!((page.hosts.len(), page.hosts[0].id), (1, host(2)));
        assert_eq!((page.hosts[0].hostname.as_str(), page.hosts[0].site.as_str()), ("host-002", "hq"));
        if round == 2 {
            store.close().await.expect("closes");
            break;
        }
        indexed(&store).await;
    }
    let store = backend.open();
    // An earlier snapshot does not count.
    reports(&store, 1, 2, 20, &[packages(&[("curl", "8.2")])]).await;
    assert_eq!(find(&store, "kesl").await, (vec![("kesl 12.1".to_owned(), 1)], vec![2]));
    reports(&store, 2, 2, 21, &[packages(&[("curl", "8.2")])]).await;
    assert_eq!(find(&store, "kesl").await, (vec![], vec![]));
    assert_eq!(find(&store, "curl").await.1, [1, 2, 3]);
    assert_healthy(&store).await;
}

pub(crate) async fn an_index_of_many_segments_says_what_the_sections_say(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 4).await;
    let mut steps = 0;
    for round in 1..=20_u8 {
        for n in 1..=4 {
            let (name, version) = (format!("tool-{}", round % 7), format!("{}.{n}", round % 5));
            reports(&store, n, round.into(), u64::from(round) * 10, &[packages(&[(&name, &version), ("curl", "8.1")])])
                .await;
        }
        steps += indexed(&store).await;
    }
    assert!(steps > 20, "segments are merged: {steps} steps");
    let current = BTreeSet::from(["tool-6 0.1", "tool-6 0.2", "tool-6 0.3", "tool-6 0.4"].map(str::to_owned));
    let (editions, hosts) = find(&store, "tool-").await;
    assert_eq!(editions.iter().map(|(edition, _)| edition.clone()).collect::<BTreeSet<_>>(), current);
    assert_eq!(hosts, [1, 2, 3, 4]);
    assert_healthy(&store).await;
}
