//! What a forecast needs of waivers, and the bounds of a timeline.

use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{Lane, Timestamp};

use super::Backend;
use super::decisions::{asks, decide_asked, decides, people};
use super::kit::{all_judged, at, enrolled, order};
use super::past::adopt;
use crate::store::admin::past::timeline::{TimelineAsked, timeline};
use crate::store::admin::waivers::decide::WaiverAct;
use crate::store::{SearchBudget, SearchLimits, SearchStop, SiteScope, Store, StoreError, admin};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const NOW: u64 = 100;

async fn ending(store: &Arc<dyn Store>, instant: u64, due: Option<Timestamp>, sites: SiteScope) -> u64 {
    let (instants, now) = (vec![at(instant)], at(NOW));
    let budget = SearchBudget::unlimited();
    let asked = TimelineAsked { order: order(), instants, now, sites, by: None, due, budget };
    admin::read(store.as_ref(), "timeline", move |tx| timeline(tx, &asked)).await.expect("reads").waivers_ending
}

/// All hosts that are waived with work left, whatever the order's due date.
async fn waived(store: &Arc<dyn Store>, due: Option<Timestamp>) -> u64 {
    let (instants, now, sites, budget) = (vec![at(NOW)], at(NOW), SiteScope::All, SearchBudget::unlimited());
    let asked = TimelineAsked { order: order(), instants, now, sites, by: None, due, budget };
    admin::read(store.as_ref(), "timeline", move |tx| timeline(tx, &asked)).await.expect("reads").waived
}

pub(crate) async fn waivers_that_end_before_an_order_is_due_are_counted_with_their_hosts(backend: impl Backend) {
    let store = backend.open();
    people(&store).await;
    enrolled(&store, 4).await;
    adopt(&store, "r1", Some(WEEK), 5).await;
    all_judged(&store, Lane::Replace, 11).await;
    // Host 2 has two waivers; that of host 4 nobody has approved.
    for (hosts, until) in [(&[1, 2][..], 10_000), (&[2], 20_000), (&[4], 10_000)] {
        let number = asks(&store, hosts, until, 20).await.expect("asks");
        if hosts != [4] {
            decides(&store, decide_asked("bob", number, 30), WaiverAct::Approve).await.expect("approves");
        }
    }
    for (due, expected) in [(25, 0), (9_999, 0), (10_000, 1), (19_999, 1), (20_000, 2), (90_000, 2)] {
        assert_eq!(ending(&store, NOW, Some(at(due)), SiteScope::All).await, expected, "due at {due}");
    }
    assert_eq!(ending(&store, NOW, None, SiteScope::All).await, 0, "there is no due date");
    for due in [None, Some(at(25)), Some(at(9_999)), Some(at(90_000))] {
        assert_eq!(waived(&store, due).await, 2, "due at {due:?}");
    }
    assert_eq!(ending(&store, NOW - 1, Some(at(90_000)), SiteScope::All).await, 0, "the present is not asked for");
    let elsewhere = SiteScope::Only(vec!["elsewhere".parse().expect("valid")]);
    assert_eq!(ending(&store, NOW, Some(at(90_000)), elsewhere).await, 0);
    // A person ends the first one, so its host is open now.
    decides(&store, decide_asked("bob", 1, 40), WaiverAct::End).await.expect("ends");
    assert_eq!(ending(&store, NOW, Some(at(90_000)), SiteScope::All).await, 1);
}

pub(crate) async fn a_timeline_ends_when_its_time_is_over_or_its_caller_has_gone(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 2).await;
    adopt(&store, "r1", Some(WEEK), 5).await;
    let read = async |budget: SearchBudget| {
        let (instants, now, sites) = (vec![at(NOW)], at(NOW), SiteScope::All);
        let asked = TimelineAsked { order: order(), instants, now, sites, by: None, due: None, budget };
        admin::read(store.as_ref(), "timeline", move |tx| timeline(tx, &asked)).await
    };
    assert_eq!(read(SearchBudget::unlimited()).await.expect("reads").days[0].counts.total, 2);
    let no_time = SearchLimits { rows: u64::MAX, bytes: u64::MAX, time: Duration::ZERO };
    let ended = read(SearchBudget::new(no_time, None)).await;
    let late = SearchStop::Time { most: Duration::ZERO };
    assert!(matches!(&ended, Err(StoreError::SearchStopped { stop }) if *stop == late), "{ended:?}");
    let budget = SearchBudget::unlimited();
    drop(budget.abandon_on_drop());
    let ended = read(budget).await;
    let gone = SearchStop::Abandoned;
    assert!(matches!(&ended, Err(StoreError::SearchStopped { stop }) if *stop == gone), "{ended:?}");
}
