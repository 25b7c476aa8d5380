//! Search: the same answers before indexing, after it, and after segments were merged.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_proto::canonical;
use muster_proto::model::{Kind, Observation, Platform, Section, SiteId, SoftwareReport, SourceName, TokenId};

use super::Backend;
use super::kit::{
    assert_healthy, enrolled, enrollment, host, new_token, packages, part, reports, site, token_create, units,
};
use crate::store::{
    Enrollment, IndexStep, InstalledStates, NewToken, SearchBudget, SiteScope, SoftwareQuery, Store, VersionFilter,
};

pub(crate) fn query(text: &str) -> SoftwareQuery {
    SoftwareQuery {
        text: text.to_owned(),
        version: VersionFilter::Any,
        installed: InstalledStates::new(|_, state| state != "deinstall ok config-files"),
        remnants: false,
        sites: SiteScope::All,
        editions: 100,
        hosts: 100,
        after: None,
        budget: SearchBudget::unlimited(),
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
    let storage = Observation::new(Kind::Path, "container-storage");
    let storage = Section::new(Platform::Linux, SourceName::Host, vec![storage]);
    reports(&store, 1, 1, 10, &[image.clone(), units(&["kesl.service"]), storage]).await;
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
        for nothing in ["8.1", "kes1", "kesldebian", "container-storage"] {
            assert_eq!(find(&store, nothing).await, (vec![], vec![]), "{nothing}, {round}");
        }
        let begins =
            ask(&store, SoftwareQuery { version: VersionFilter::StartsWith("8.2".to_owned()), ..query("curl") }).await;
        assert_eq!((begins.editions.len(), begins.hosts_total), (2, 1));
        assert_eq!(begins.hosts[0].editions.len(), 2, "{:?}", begins.hosts);
        let page = ask(
            &store,
            SoftwareQuery { editions: 1, hosts: 1, after: Some(("host-001".to_owned(), host(1))), ..query("curl") },
        )
        .await;
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

/// The package database of a host where the second package was removed and has left its configuration.
fn with_remnant(installed: (&str, &str), removed: (&str, &str)) -> Section {
    let package = |(name, version): (&str, &str), state: &str| Observation {
        version: version.to_owned(),
        state: state.to_owned(),
        ..Observation::new(Kind::Deb, name)
    };
    let rows = vec![package(installed, "install ok installed"), package(removed, "deinstall ok config-files")];
    Section::new(Platform::Linux, SourceName::Dpkg, rows)
}

pub(crate) async fn a_removed_package_is_a_remnant_and_a_version_is_exact(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 3).await;
    reports(&store, 1, 1, 10, &[with_remnant(("curl", "3.0.1"), ("kesl", "12.1"))]).await;
    reports(&store, 2, 1, 10, &[with_remnant(("kesl", "12.1"), ("curl", "3.0.1"))]).await;
    reports(&store, 3, 1, 10, &[packages(&[("curl", "3.0.19")])]).await;
    for round in 0..3 {
        assert_eq!(find(&store, "kesl").await, (vec![("kesl 12.1".to_owned(), 1)], vec![2]), "{round}");
        let all = ask(&store, SoftwareQuery { remnants: true, ..query("kesl") }).await;
        let states: Vec<(&str, bool, u64)> =
            all.editions.iter().map(|one| (one.edition.state.as_str(), one.edition.present, one.hosts)).collect();
        assert_eq!(states, [("deinstall ok config-files", false, 1), ("install ok installed", true, 1)], "{round}");
        assert_eq!(all.hosts_total, 2);
        let hosts: Vec<bool> = all.hosts.iter().map(|one| one.editions[0].present).collect();
        assert_eq!(hosts, [false, true], "each host shows its own state");
        for (version, hosts) in [
            (VersionFilter::Exactly("3.0.1".to_owned()), vec![host(1)]),
            (VersionFilter::Exactly("3.0".to_owned()), vec![]),
            (VersionFilter::StartsWith("3.0.1".to_owned()), vec![host(1), host(3)]),
        ] {
            let found = ask(&store, SoftwareQuery { version: version.clone(), ..query("curl") }).await;
            assert_eq!(found.hosts.iter().map(|one| one.id).collect::<Vec<_>>(), hosts, "{version:?} {round}");
        }
        indexed(&store).await;
    }
    assert_healthy(&store).await;
    store.close().await.expect("closes");
    let store = backend.open();
    assert_eq!(find(&store, "kesl").await, (vec![("kesl 12.1".to_owned(), 1)], vec![2]), "after a restart");
    let section = with_remnant(("curl", "3.0.1"), ("kesl", "12.1"));
    let kept = store.section_get(canonical::section_digest(&section)).await.expect("gets").expect("is there");
    assert_eq!(kept, part(&section), "the states are rebuilt to the byte");
}

/// Hosts 1 and 2 are at `hq`, hosts 3 to 5 at `plant`. Hosts 1, 2, 3 and 4 share one snapshot, and host 5 has a newer
/// curl, so a search must drop hosts of another site from a snapshot that it finds.
pub(crate) async fn a_search_within_sites_counts_and_pages_only_their_hosts(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let plant = SiteId::new("plant").expect("valid");
    let token = TokenId::new("tok-2").expect("valid");
    let new = NewToken { id: token.clone(), site: plant.clone(), ..new_token(0) };
    token_create(&store, new).await.expect("token");
    for n in 3..=5 {
        store.host_enroll(Enrollment { token: token.clone(), ..enrollment(n) }).await.expect("enrolls");
    }
    for n in 1..=4 {
        reports(&store, n, 1, 10, &[packages(&[("curl", "8.1")])]).await;
    }
    reports(&store, 5, 1, 10, &[packages(&[("curl", "8.2")])]).await;
    let (hq, plant) = (SiteScope::Only(vec![site()]), SiteScope::Only(vec![plant]));
    for round in 0..3 {
        for (sites, editions, hosts) in [
            (SiteScope::All, vec![("8.1", 4), ("8.2", 1)], vec![1, 2, 3, 4, 5]),
            (hq.clone(), vec![("8.1", 2)], vec![1, 2]),
            (plant.clone(), vec![("8.1", 2), ("8.2", 1)], vec![3, 4, 5]),
        ] {
            let within = SoftwareQuery { sites: sites.clone(), ..query("curl") };
            let found = ask(&store, within.clone()).await;
            let counted: Vec<(&str, u64)> =
                found.editions.iter().map(|one| (one.edition.version.as_str(), one.hosts)).collect();
            assert_eq!((counted, found.more_editions), (editions, 0), "{sites:?} {round}");
            let expected: Vec<_> = hosts.iter().copied().map(host).collect();
            assert_eq!(found.hosts.iter().map(|one| one.id).collect::<Vec<_>>(), expected, "{sites:?} {round}");
            // Page 2 continues after the first host and has the rest of the site.
            let first = ask(&store, SoftwareQuery { hosts: 1, ..within.clone() }).await;
            let [only] = first.hosts.as_slice() else { panic!("{:?}", first.hosts) };
            let after = Some((only.hostname.clone(), only.id));
            let second = ask(&store, SoftwareQuery { after, ..within }).await;
            assert_eq!(first.hosts[0].id, expected[0], "{sites:?} {round}");
            assert_eq!(second.hosts.iter().map(|one| one.id).collect::<Vec<_>>(), expected[1..], "{sites:?} {round}");
            assert_eq!([first.hosts_total, second.hosts_total], [hosts.len() as u64; 2], "{sites:?} {round}");
        }
        indexed(&store).await;
    }
    assert_healthy(&store).await;
}
