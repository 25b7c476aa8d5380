//! Lists are the same however they are read: by walking an index, by walking past hosts of other lanes, or by sorting few hosts.

use muster_proto::model::{HostId, Lane};

use super::Backend;
use super::kit::{assert_healthy, at, enrolled, host, judged, judgement, order, packages, reports, settled};
use crate::store::{HostQuery, HostSort, Store};

const HOSTS: u8 = 120;
/// Hosts that were last seen before it are silent.
const SILENT: u64 = 100;

fn awake_lane(n: u8) -> Lane {
    match n {
        n if n.is_multiple_of(40) => Lane::Replace,
        n if n % 3 == 1 => Lane::Confirm,
        n if n % 3 == 2 => Lane::Unknown,
        _ => Lane::Clear,
    }
}

fn last_seen(n: u8) -> u64 {
    if n.is_multiple_of(7) { SILENT - 90 } else { SILENT + 100 }
}

/// The hosts on all pages of so many rows.
async fn pages(store: &dyn Store, lanes: &[Lane], rows: usize) -> Vec<HostId> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let query = HostQuery {
            order: Some(order()),
            lanes: lanes.to_vec(),
            in_scope_only: true,
            silent_before: Some(at(SILENT)),
            sort: HostSort::Name,
            rows,
            after: after.take(),
            ..HostQuery::default()
        };
        let page = store.host_list(query).await.expect("lists");
        assert!(page.len() <= rows);
        assert!(page.iter().all(|row| row.verdicts.len() == 1), "each row has its verdict");
        let Some(last) = page.last() else { return all };
        after = Some(last.key.clone());
        all.extend(page.iter().map(|row| row.host));
    }
}

pub(crate) async fn a_list_is_the_same_however_it_is_read(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, HOSTS).await;
    for n in 1..=HOSTS {
        reports(&store, n, 1, last_seen(n), &[packages(&[("kesl", "12")])]).await;
    }
    let claimed = store.queue_claim(1000, at(300)).await.expect("claims");
    let of = |host: HostId| judged(awake_lane(host.as_bytes()[0]));
    let judgements: Vec<_> = claimed.iter().map(|waiting| judgement(waiting, vec![of(waiting.host)])).collect();
    assert_eq!(judgements.len(), usize::from(HOSTS));
    settled(&store, judgements, at(300)).await;
    for lanes in [
        vec![Lane::Replace],
        vec![Lane::Confirm],
        vec![Lane::Replace, Lane::Confirm],
        vec![Lane::Replace, Lane::Silent],
        vec![Lane::Silent],
        vec![Lane::Confirm, Lane::Unknown, Lane::Silent],
        vec![Lane::Clear],
    ] {
        let lane = |n: &u8| awake_lane(*n).with_silence(last_seen(*n) < SILENT);
        let expected: Vec<HostId> = (1..=HOSTS).filter(|n| lanes.contains(&lane(n))).map(host).collect();
        // Which way is taken depends on the lanes and on the rows of a page.
        for rows in [2, 7, 1_000] {
            assert_eq!(pages(store.as_ref(), &lanes, rows).await, expected, "{lanes:?}, {rows} rows");
        }
    }
    assert_healthy(&store).await;
}
