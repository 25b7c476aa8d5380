//! Changes of lanes: causes, gaps, silence, pages and sites.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{Cause, ChangesSort, HostId, Lane, Presence, SiteId};

use super::kit::{
    all_judged, assert_healthy, at, check_in, enrolled, enrollment, host, judged, judgement, new_token, order,
    packages, reports, settled, settled_under, token_create,
};
use super::{Backend, decisions};
use crate::store::{ChangesQuery, CheckIn, Enrollment, JudgedOrder, NewToken, SiteScope, Store, StoredChanges};

const DAY: u64 = 24 * 3600;
const PATIENCE: Duration = Duration::from_secs(7 * DAY);

/// Everything until a day, under an order with a patience of seven days.
fn until(day: u64) -> ChangesQuery {
    ChangesQuery {
        since: at(0),
        now: at(day * DAY),
        order: None,
        patience: BTreeMap::from([(order(), PATIENCE)]),
        sites: SiteScope::All,
        only: None,
        sort: ChangesSort::Newest,
        rows: 100,
        after: None,
    }
}

type Shown = (u64, u8, Option<Lane>, Option<Lane>, Cause);

fn shown(stored: &StoredChanges) -> Vec<Shown> {
    let of = |row: &muster_proto::model::ChangeRow| {
        assert_eq!(row.hostname, format!("host-{:03}", row.host.as_bytes()[0]));
        (row.at.since(at(0)).as_secs(), row.host.as_bytes()[0], row.from, row.to, row.cause)
    };
    stored.report.changes.iter().map(of).collect()
}

async fn checks_in(store: &Arc<dyn Store>, n: u8, seq: u64, seconds: u64) {
    let check_in = check_in(n, seq, seconds, &[packages(&[("adduser", "3")])]);
    store.check_in(CheckIn { patience: Some(PATIENCE), ..check_in }).await.expect("checks in");
}

pub(crate) async fn changes_are_listed_with_their_causes(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    let all = [packages(&[("adduser", "3")])];
    for n in 1..=2 {
        reports(&store, n, 1, 10, &all).await;
    }
    all_judged(&store, Lane::Clear, 11).await;
    reports(&store, 2, 2, 20, &[packages(&[("kesl", "12")])]).await;
    let claimed = store.queue_claim(9, at(21)).await.expect("claims");
    let installed = JudgedOrder { presence: Presence::Installed, ..judged(Lane::Replace) };
    settled(&store, vec![judgement(&claimed[0], vec![installed])], at(21)).await;
    assert!(store.rules_adopt("r2", at(30)).await.expect("adopts"));
    let claimed = store.queue_claim(9, at(31)).await.expect("claims");
    let judgements = claimed.iter().filter(|one| one.host == host(1));
    let judgements = judgements.map(|one| judgement(one, vec![judged(Lane::Unknown)])).collect();
    settled_under("r2", &store, judgements, at(31)).await;
    let stored = store.change_list(until(1)).await.expect("lists");
    let (clear, replace, unknown) = (Some(Lane::Clear), Some(Lane::Replace), Some(Lane::Unknown));
    let expected = [
        (31, 1, clear, unknown, Cause::Rules),
        (21, 2, clear, replace, Cause::Installed),
        (11, 1, None, clear, Cause::Enrolled),
        (11, 2, None, clear, Cause::Enrolled),
    ];
    assert_eq!(shown(&stored), expected);
    assert_eq!((stored.report.total, stored.report.hosts, stored.next), (4, 2, None));
    let causes = BTreeMap::from([(Cause::Enrolled, 2), (Cause::Installed, 1), (Cause::Rules, 1)]);
    assert_eq!(stored.report.causes, causes);
    let later = ChangesQuery { since: at(21), ..until(1) };
    assert_eq!(shown(&store.change_list(later).await.expect("lists")), expected[..2]);
    let other = ChangesQuery { order: Some("other".parse().expect("valid")), ..until(1) };
    assert_eq!(store.change_list(other).await.expect("lists"), StoredChanges::default());
    assert_healthy(&store).await;
}

pub(crate) async fn silence_and_return_are_changes_though_check_ins_are_answered_from_memory(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 3).await;
    for n in 1..=3 {
        reports(&store, n, 1, 10, &[packages(&[("adduser", "3")])]).await;
    }
    all_judged(&store, Lane::Clear, 11).await;
    // Rules that judge the hosts while they are away make the next check-ins cheap: the verdicts are not old.
    let before = 9 * DAY;
    assert!(store.rules_adopt("r2", at(before)).await.expect("adopts"));
    let claimed = store.queue_claim(9, at(before)).await.expect("claims");
    let judgements = claimed.iter().map(|one| judgement(one, vec![judged(Lane::Clear)])).collect();
    settled_under("r2", &store, judgements, at(before)).await;
    checks_in(&store, 1, 2, before + 60).await;
    checks_in(&store, 1, 3, before + 120).await;
    // Host 2 comes back within the patience.
    checks_in(&store, 2, 2, 6 * DAY).await;
    checks_in(&store, 2, 3, before + 60).await;
    let (clear, silent) = (Some(Lane::Clear), Some(Lane::Silent));
    let expected = [
        (before + 60, 1, silent, clear, Cause::Returned),
        (7 * DAY + 10, 1, clear, silent, Cause::Silent),
        (7 * DAY + 10, 3, clear, silent, Cause::Silent),
    ];
    let day = ChangesQuery { since: at(5 * DAY), ..until(10) };
    assert_eq!(shown(&store.change_list(day.clone()).await.expect("lists")), expected);
    let causes = BTreeMap::from([(Cause::Silent, 2), (Cause::Returned, 1)]);
    assert_eq!(store.change_list(day.clone()).await.expect("lists").report.causes, causes);
    assert_healthy(&store).await;
    store.close().await.expect("closes");
    let store = backend.open();
    assert_eq!(shown(&store.change_list(day).await.expect("lists")), expected, "also after a restart");
}

pub(crate) async fn gaps_older_than_the_retention_are_deleted(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    reports(&store, 1, 1, 10, &[packages(&[("adduser", "3")])]).await;
    all_judged(&store, Lane::Clear, 11).await;
    let returned = async |day: u64| {
        let stored = store.change_list(until(day)).await.expect("lists");
        stored.report.causes.get(&Cause::Returned).copied().unwrap_or_default()
    };
    for (seq, day) in [(2, 10), (3, 20), (4, 745)] {
        checks_in(&store, 1, seq, day * DAY).await;
        all_judged(&store, Lane::Clear, day * DAY + 1).await;
    }
    assert_eq!(returned(746).await, 2, "the gap that ended on day 10 is more than two years old");
    assert_healthy(&store).await;
}

pub(crate) async fn changes_are_paged_and_bounded_by_site(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 3).await;
    let plant = SiteId::new("plant").expect("valid");
    let id = "tok-2".parse().expect("valid");
    token_create(&store, NewToken { id, site: plant.clone(), ..new_token(0) }).await.expect("token");
    let there = Enrollment { token: "tok-2".parse().expect("valid"), ..enrollment(4) };
    store.host_enroll(there).await.expect("enrolls");
    all_judged(&store, Lane::Unknown, 5).await;
    let hosts = |stored: &StoredChanges| stored.report.changes.iter().map(|row| row.host).collect::<Vec<HostId>>();
    let (mut pages, mut query) = (Vec::new(), ChangesQuery { rows: 3, ..until(1) });
    loop {
        let stored = store.change_list(query.clone()).await.expect("lists");
        assert_eq!(stored.report.total, if pages.is_empty() { 4 } else { 0 });
        pages.push(hosts(&stored));
        query.after = stored.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec![host(1), host(2), host(3)], vec![host(4)]]);
    // The oldest first: changes of silence and of the ledger, at the same instants too.
    let whole = store.change_list(until(9)).await.expect("lists").report.changes;
    assert_eq!(whole.len(), 8);
    let (mut paged, mut query) = (Vec::new(), ChangesQuery { rows: 3, sort: ChangesSort::Oldest, ..until(9) });
    loop {
        let stored = store.change_list(query.clone()).await.expect("lists");
        assert_eq!(stored.report.total, if paged.is_empty() { 8 } else { 0 });
        paged.extend(stored.report.changes);
        query.after = stored.next;
        if query.after.is_none() {
            break;
        }
    }
    assert!(paged.is_sorted_by_key(|row| (row.at, row.host)), "{paged:?}");
    let mut oldest = whole;
    oldest.sort_by_key(|row| (row.at, row.host));
    assert_eq!(paged, oldest);
    let sites = SiteScope::Only(vec![plant]);
    let stored = store.change_list(ChangesQuery { sites, ..until(1) }).await.expect("lists");
    assert_eq!((hosts(&stored), stored.report.total), (vec![host(4)], 1));
    // All four are silent later; the other sites' hosts are still not shown.
    let sites = SiteScope::Only(vec![SiteId::new("hq").expect("valid")]);
    let stored = store.change_list(ChangesQuery { sites, since: at(10), ..until(9) }).await.expect("lists");
    assert_eq!(hosts(&stored), [host(1), host(2), host(3)]);
    // One of them left before it was missed.
    decisions::people(&store).await;
    assert_eq!(decisions::retires(&store, &[2], |_| false, 6).await.retired, 1);
    let sites = SiteScope::Only(vec![SiteId::new("hq").expect("valid")]);
    let stored = store.change_list(ChangesQuery { sites, since: at(10), ..until(9) }).await.expect("lists");
    assert_eq!(hosts(&stored), [host(1), host(3)]);
    let none = ChangesQuery { sites: SiteScope::Only(Vec::new()), ..until(9) };
    assert_eq!(store.change_list(none).await.expect("lists"), StoredChanges::default());
}
