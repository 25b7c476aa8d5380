//! Selecting changes, without a database.

use super::*;
use crate::store::SiteScope;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn order(id: &str) -> OrderId {
    OrderId::new(id).expect("an id")
}

fn host(n: u8) -> HostId {
    HostId::from_bytes([n; 16])
}

/// Everything from day 10 to day 20 under two orders with a patience of seven days.
fn query() -> ChangesQuery {
    ChangesQuery {
        since: at(10 * DAY),
        now: at(20 * DAY),
        order: None,
        patience: BTreeMap::from([(order("a"), PATIENCE), (order("b"), PATIENCE)]),
        sites: SiteScope::All,
        only: None,
        sort: ChangesSort::Newest,
        rows: 100,
        after: None,
    }
}

fn change(of: &str, from: Option<Lane>, to: Option<Lane>, cause: Cause) -> LaneChange {
    LaneChange { order: order(of), from, to, was_in_scope: from.is_some(), in_scope: to.is_some(), cause }
}

fn span(of: &str, lane: Lane, since: i64, until: Option<i64>) -> LaneSpan {
    LaneSpan { order: order(of), lane, in_scope: true, since: at(since), until: until.map(at) }
}

type Shown = (i64, u8, String, Option<Lane>, Option<Lane>, Cause);

fn shown(selected: &Selected) -> Vec<Shown> {
    let one = |(key, from): (&ChangeKey, &Option<Lane>)| {
        (key.at.at().millis(), key.host.as_bytes()[0], key.order.to_string(), *from, key.to, key.cause)
    };
    selected.page.iter().map(one).collect()
}

fn absent(n: u8, since: i64, until: Option<i64>) -> HashMap<HostId, Vec<Absence>> {
    HashMap::from([(host(n), vec![Absence { since: at(since), until: until.map(at), left: None }])])
}

#[test]
fn changes_are_shown_newest_first_and_counted_by_cause() {
    let query = query();
    let mut selection = Selection::new(&query, HashMap::new());
    let installed = change("a", Some(Lane::Clear), Some(Lane::Replace), Cause::Installed);
    let removed = change("a", Some(Lane::Replace), Some(Lane::Confirm), Cause::Removed);
    selection.add_entry(at(15 * DAY), &[host(2), host(1)], &[removed]);
    selection.add_entry(at(12 * DAY), &[host(1)], &[installed]);
    let selected = selection.finish();
    let (clear, replace, confirm) = (Some(Lane::Clear), Some(Lane::Replace), Some(Lane::Confirm));
    let expected = [
        (15 * DAY, 1, "a".to_owned(), replace, confirm, Cause::Removed),
        (15 * DAY, 2, "a".to_owned(), replace, confirm, Cause::Removed),
        (12 * DAY, 1, "a".to_owned(), clear, replace, Cause::Installed),
    ];
    assert_eq!(shown(&selected), expected);
    assert_eq!((selected.total, selected.hosts, selected.has_more), (3, 2, false));
    assert_eq!(selected.causes, BTreeMap::from([(Cause::Installed, 1), (Cause::Removed, 2)]));
}

#[test]
fn pages_follow_each_other_and_only_the_first_is_counted() {
    let installed = [change("a", Some(Lane::Clear), Some(Lane::Replace), Cause::Installed)];
    let read = |query: &ChangesQuery| {
        let mut selection = Selection::new(query, HashMap::new());
        for day in (11..=15).rev().filter(|day| selection.wants(at(day * DAY))).collect::<Vec<_>>() {
            selection.add_entry(at(day * DAY), &[host(1)], &installed);
        }
        selection.finish()
    };
    let paged = |sort: ChangesSort| {
        let (mut days, mut query) = (Vec::new(), ChangesQuery { rows: 2, sort, ..query() });
        loop {
            let selected = read(&query);
            assert_eq!(selected.total, if query.after.is_none() { 5 } else { 0 });
            days.extend(selected.page.keys().map(|key| key.at.at().millis() / DAY));
            let Some((last, _)) = selected.page.last_key_value().filter(|_| selected.has_more) else { break };
            query.after = Some(last.clone());
        }
        days
    };
    assert_eq!(paged(ChangesSort::Newest), [15, 14, 13, 12, 11]);
    assert_eq!(paged(ChangesSort::Oldest), [11, 12, 13, 14, 15]);
}

#[test]
fn a_later_page_ends_the_reading_when_it_is_full() {
    let after = ChangeKey {
        at: ChangeTime::new(at(19 * DAY), ChangesSort::Newest),
        host: host(9),
        order: order("a"),
        cause: Cause::Installed,
        to: Some(Lane::Replace),
    };
    let installed = [change("a", Some(Lane::Clear), Some(Lane::Replace), Cause::Installed)];
    for (query, ends) in
        [(ChangesQuery { rows: 1, after: Some(after), ..query() }, true), (ChangesQuery { rows: 1, ..query() }, false)]
    {
        let mut selection = Selection::new(&query, HashMap::new());
        selection.add_entry(at(15 * DAY), &[host(1), host(2)], &installed);
        assert!(!selection.is_complete(at(15 * DAY - HOUR)), "the clocks of collectors may differ");
        assert_eq!(selection.is_complete(at(15 * DAY - 2 * HOUR)), ends, "the first page counts everything");
        assert!(selection.is_complete(at(10 * DAY - 2 * HOUR)));
    }
}

#[test]
fn a_page_of_the_oldest_ends_the_reading_where_it_begins() {
    let after = ChangeKey {
        at: ChangeTime::new(at(15 * DAY), ChangesSort::Oldest),
        host: host(1),
        order: order("a"),
        cause: Cause::Installed,
        to: Some(Lane::Replace),
    };
    let query = ChangesQuery { rows: 1, sort: ChangesSort::Oldest, after: Some(after), ..query() };
    let mut selection = Selection::new(&query, HashMap::new());
    let installed = [change("a", Some(Lane::Clear), Some(Lane::Replace), Cause::Installed)];
    assert!(selection.wants(at(15 * DAY)) && !selection.wants(at(15 * DAY - 1)));
    selection.add_entry(at(19 * DAY), &[host(1)], &installed);
    selection.add_entry(at(18 * DAY), &[host(1)], &installed);
    assert!(!selection.is_complete(at(16 * DAY)), "older ones come before those of the full page");
    // At the instant of the last page, hosts that come after its last one are on this page.
    selection.add_entry(at(15 * DAY), &[host(1), host(2)], &installed);
    assert!(!selection.is_complete(at(15 * DAY - HOUR)), "the clocks of collectors may differ");
    assert!(selection.is_complete(at(15 * DAY - 2 * HOUR)));
    let shown: Vec<_> = shown(&selection.finish()).into_iter().map(|row| (row.0 / DAY, row.1)).collect();
    assert_eq!(shown, [(15, 2)]);
}

#[test]
fn a_host_is_silent_when_the_patience_ends_and_returns_with_its_check_in() {
    let query = query();
    let mut selection = Selection::new(&query, absent(1, 5 * DAY, Some(15 * DAY)));
    assert_eq!(selection.hosts_with_silence(), [host(1)]);
    selection.add_silence(host(1), &[span("a", Lane::Clear, DAY, None), span("b", Lane::Replace, DAY, None)]);
    let (clear, silent) = (Some(Lane::Clear), Some(Lane::Silent));
    let expected = [
        (15 * DAY, 1, "a".to_owned(), silent, clear, Cause::Returned),
        (12 * DAY, 1, "a".to_owned(), clear, silent, Cause::Silent),
    ];
    assert_eq!(shown(&selection.finish()), expected, "a product that was found stays found");
}

#[test]
fn a_host_that_has_not_come_back_is_only_silent() {
    let query = query();
    let mut selection = Selection::new(&query, absent(1, 5 * DAY, None));
    selection.add_silence(host(1), &[span("a", Lane::Done, DAY, None)]);
    let expected = (12 * DAY, 1, "a".to_owned(), Some(Lane::Done), Some(Lane::Silent), Cause::Silent);
    assert_eq!(shown(&selection.finish()), [expected]);
}

#[test]
fn a_host_that_left_before_the_patience_ended_does_not_become_silent() {
    let query = query();
    for (left, is_shown) in [(12 * DAY, false), (13 * DAY, true)] {
        let absence = Absence { since: at(5 * DAY), until: None, left: Some(at(left)) };
        let mut selection = Selection::new(&query, HashMap::from([(host(1), vec![absence])]));
        assert_eq!(!selection.hosts_with_silence().is_empty(), is_shown);
        selection.add_silence(host(1), &[span("a", Lane::Done, DAY, None)]);
        assert_eq!(!shown(&selection.finish()).is_empty(), is_shown, "it left on day {}", left / DAY);
    }
}

#[test]
fn silence_that_began_before_the_time_that_is_asked_for_is_not_shown_again() {
    let query = query();
    let mut selection = Selection::new(&query, absent(1, DAY, None));
    assert!(selection.hosts_with_silence().is_empty());
    selection.add_silence(host(1), &[span("a", Lane::Done, DAY, None)]);
    assert!(shown(&selection.finish()).is_empty());
}

#[test]
fn each_order_has_its_own_patience() {
    let longer = BTreeMap::from([(order("a"), PATIENCE), (order("b"), PATIENCE * 2)]);
    let query = ChangesQuery { patience: longer, ..query() };
    let mut selection = Selection::new(&query, absent(1, 5 * DAY, Some(15 * DAY)));
    selection.add_silence(host(1), &[span("a", Lane::Clear, DAY, None), span("b", Lane::Clear, DAY, None)]);
    assert!(shown(&selection.finish()).iter().all(|one| one.2 == "a"), "ten days are within the patience of b");
}

#[test]
fn a_change_of_the_awake_lane_of_a_silent_host_is_not_visible() {
    let query = query();
    let mut selection = Selection::new(&query, absent(1, 5 * DAY, Some(18 * DAY)));
    let unknown = change("a", Some(Lane::Clear), Some(Lane::Unknown), Cause::Rules);
    selection.add_entry(at(14 * DAY), &[host(1)], &[unknown]);
    selection
        .add_silence(host(1), &[span("a", Lane::Clear, DAY, Some(14 * DAY)), span("a", Lane::Unknown, 14 * DAY, None)]);
    let (clear, silent, unknown) = (Some(Lane::Clear), Some(Lane::Silent), Some(Lane::Unknown));
    let expected = [
        (18 * DAY, 1, "a".to_owned(), silent, unknown, Cause::Returned),
        (12 * DAY, 1, "a".to_owned(), clear, silent, Cause::Silent),
    ];
    assert_eq!(shown(&selection.finish()), expected);
}

#[test]
fn rules_that_find_a_product_take_a_silent_host_out_of_silence() {
    let query = query();
    let mut selection = Selection::new(&query, absent(1, DAY, None));
    let replace = change("a", Some(Lane::Clear), Some(Lane::Replace), Cause::Rules);
    selection.add_entry(at(14 * DAY), &[host(1)], &[replace]);
    let expected = (14 * DAY, 1, "a".to_owned(), Some(Lane::Silent), Some(Lane::Replace), Cause::Rules);
    assert_eq!(shown(&selection.finish()), [expected]);
}

#[test]
fn outside_its_scope_an_order_has_no_lane() {
    let query = query();
    let mut selection = Selection::new(&query, HashMap::new());
    let out = LaneChange { in_scope: false, ..change("a", Some(Lane::Clear), Some(Lane::Clear), Cause::Rules) };
    let never = LaneChange { was_in_scope: false, in_scope: false, ..out.clone() };
    selection.add_entry(at(14 * DAY), &[host(1)], &[out]);
    selection.add_entry(at(13 * DAY), &[host(1)], &[never]);
    let expected = (14 * DAY, 1, "a".to_owned(), Some(Lane::Clear), None, Cause::Rules);
    assert_eq!(shown(&selection.finish()), [expected]);
}

#[test]
fn only_the_order_that_is_asked_for_is_shown() {
    let query = ChangesQuery { order: Some(order("b")), ..query() };
    let mut selection = Selection::new(&query, absent(1, 5 * DAY, Some(15 * DAY)));
    selection.add_entry(at(16 * DAY), &[host(2)], &[change("a", None, Some(Lane::Clear), Cause::Enrolled)]);
    selection.add_silence(host(1), &[span("a", Lane::Clear, DAY, None), span("b", Lane::Clear, DAY, None)]);
    let selected = selection.finish();
    assert_eq!((selected.total, selected.hosts), (2, 1));
    assert!(selected.page.keys().all(|key| key.order == order("b")));
}
