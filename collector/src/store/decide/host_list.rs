//! How a list of hosts is read: which index is walked, or which hosts are read and sorted.
//!
//! ```text
//!  query + counts ─► plan ─► streams, each in the order of the sort key ─► merged by the backend ─► page
//! ```
//!
//! A list walks the index of its sort key and drops what does not match, unless few hosts match. Then it reads these few
//! from another index and sorts them. Without this choice, a list of ten hosts in a fleet of a million would read the
//! whole fleet. Counts come from the tally, so the choice costs nothing.

use muster_proto::model::Lane;

use super::silence::is_decided;
use crate::store::{HostQuery, HostSort};

/// The lanes of the index `verdict_unfinished`: those in which work is left and which are stored.
pub(in crate::store) const INDEXED_LANES: [Lane; 6] =
    [Lane::Missing, Lane::Replace, Lane::Remove, Lane::Unknown, Lane::Protect, Lane::Confirm];

/// Up to this many sites, a list by name walks the names of each site and merges them.
const MERGED_SITES: usize = 32;

/// What it costs to read a host while walking, to read and sort one, and to pass or gather one whose row is not read.
const WALKING: u64 = 16;
const SORTING: u64 = 48;
const PASSING: u64 = 1;

/// Numbers of hosts on which the plan depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct ListCounts {
    /// All hosts.
    pub(in crate::store) hosts: u64,
    /// Hosts of the sites of the query.
    pub(in crate::store) of_sites: u64,
    /// Hosts of any site whose awake lane is one of those asked for, other than `silent`.
    pub(in crate::store) in_lanes: u64,
    /// The same, of the sites of the query.
    pub(in crate::store) in_lanes_of_sites: u64,
    /// Hosts that may be silent; 0 if nobody asks for silent hosts. Counted up to [`SILENT_COUNTED`].
    pub(in crate::store) silent: u64,
    /// Hosts that have no verdict under the order.
    pub(in crate::store) unjudged: u64,
    /// Whether a term of the filter allows only a few hosts, which an index has.
    pub(in crate::store) are_few: bool,
    /// At most so many hosts are retired, or waived under the order; 0 if nobody asks for them.
    pub(in crate::store) decided: u64,
}

/// Silent hosts are counted up to here: beyond, walking is always cheaper.
pub(in crate::store) const SILENT_COUNTED: i64 = 50_000;

/// Where a stream reads its hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum StreamSource<No> {
    /// The index of the sort key.
    Walk,
    /// The index of names within this site. Only under [`HostSort::Name`].
    NamesOfSite(No),
    /// The hosts of the sites of the query, sorted.
    Sites,
    /// The verdicts of the lanes of this stream, which must be [`INDEXED_LANES`]. Sorted, except under
    /// [`HostSort::Since`], where a stream has one lane and the index has the order.
    Verdicts,
    /// Hosts whose last check-in is older than the instant of silence, sorted by it.
    Silent,
    /// Hosts without a verdict under the order, by their last check-in.
    Unjudged,
    /// Hosts that a waiver in force or an approved disposition names, sorted.
    Decided,
    /// Hosts with a mark, of a token or of a term of the filter, sorted: they are few.
    Chosen,
    /// As a walk, but only among the hosts that indexes have for the lanes of the query. Others are passed without reading
    /// their rows.
    Among(Walk<No>),
}

/// An index that is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Walk<No> {
    /// The index of the sort key.
    All,
    /// The index of names within this site. Only under [`HostSort::Name`].
    Site(No),
}

/// Hosts in the order of the sort key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct HostStream<No> {
    pub(in crate::store) source: StreamSource<No>,
    /// The lanes of hosts that this stream yields, silence included; empty is any. No host is in two streams.
    pub(in crate::store) lanes: Vec<Lane>,
}

/// The streams of a list. `sites` are the row numbers of the query's sites; `None` is every site.
pub(in crate::store) fn plan<No: Copy>(
    query: &HostQuery,
    sites: Option<&[No]>,
    counts: &ListCounts,
) -> Vec<HostStream<No>> {
    // No site of the query has a host.
    if sites.is_some_and(<[No]>::is_empty) {
        return Vec::new();
    }
    let are_chosen = query.is_chosen() || counts.are_few;
    match query.sort {
        HostSort::Name | HostSort::LastSeen | HostSort::Id if are_chosen => vec![stream(query, StreamSource::Chosen)],
        HostSort::Id => vec![stream(query, StreamSource::Walk)],
        HostSort::Since => by_since(query, counts),
        HostSort::Name | HostSort::LastSeen => by_cost(query, sites, counts),
    }
}

fn stream<No>(query: &HostQuery, source: StreamSource<No>) -> HostStream<No> {
    HostStream { source, lanes: query.lanes.clone() }
}

/// One stream for each lane: within a lane, the index has the order.
fn by_since<No>(query: &HostQuery, counts: &ListCounts) -> Vec<HostStream<No>> {
    let one = |lane: &Lane| HostStream {
        source: if *lane == Lane::Silent { StreamSource::Silent } else { StreamSource::Verdicts },
        lanes: vec![*lane],
    };
    let mut streams: Vec<HostStream<No>> = query.lanes.iter().map(one).collect();
    if counts.unjudged > 0 && query.lanes.contains(&Lane::Unknown) {
        streams.push(HostStream { source: StreamSource::Unjudged, lanes: vec![Lane::Unknown] });
    }
    streams
}

fn by_cost<No: Copy>(query: &HostQuery, sites: Option<&[No]>, counts: &ListCounts) -> Vec<HostStream<No>> {
    let walks_sites = query.sort == HostSort::Name && sites.is_some_and(|sites| sites.len() <= MERGED_SITES);
    let walked = if walks_sites { counts.of_sites } else { counts.hosts };
    let passed = walk_cost(query, walked, matching(query, counts));
    let mut best = (passed.saturating_mul(WALKING), Choice::Walk);
    let mut consider = |cost: u64, choice: Choice| {
        if cost < best.0 {
            best = (cost, choice);
        }
    };
    if sites.is_some() {
        consider(counts.of_sites.saturating_mul(SORTING), Choice::Sites);
    }
    if can_gather(query, counts) {
        let gathered = counts.in_lanes.saturating_add(counts.silent).saturating_add(counts.decided);
        consider(gathered.saturating_mul(SORTING), Choice::Lanes);
        let read = u64::try_from(query.rows).unwrap_or(u64::MAX).min(gathered).saturating_mul(WALKING);
        consider(passed.saturating_add(gathered).saturating_mul(PASSING).saturating_add(read), Choice::Among);
    }
    match (best.1, sites) {
        (Choice::Walk, Some(sites)) if walks_sites => {
            sites.iter().map(|site| stream(query, StreamSource::NamesOfSite(*site))).collect()
        }
        (Choice::Among, Some(sites)) if walks_sites => {
            sites.iter().map(|site| stream(query, StreamSource::Among(Walk::Site(*site)))).collect()
        }
        (Choice::Among, _) => vec![stream(query, StreamSource::Among(Walk::All))],
        (Choice::Walk, _) => vec![stream(query, StreamSource::Walk)],
        (Choice::Sites, _) => vec![stream(query, StreamSource::Sites)],
        (Choice::Lanes, _) => gathered(query),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Walk,
    Among,
    Sites,
    Lanes,
}

/// A filter of which no index has the hosts is taken to match one host of so many.
const FILTERED: u64 = 8;

/// About how many hosts match the query; one if that is not known.
fn matching(query: &HostQuery, counts: &ListCounts) -> u64 {
    if !query.name.is_empty() {
        return 1;
    }
    // Silent hosts of other sites are counted too, so this is an upper limit.
    let limited = || {
        let found = counts.in_lanes_of_sites.saturating_add(counts.silent.min(counts.of_sites));
        found.saturating_add(counts.unjudged).saturating_add(counts.decided.min(counts.of_sites))
    };
    let matching = if query.is_limited() { limited() } else { counts.of_sites };
    if query.filter.is_some() { matching / FILTERED } else { matching }
}

/// About how many hosts are passed until a page is full, if those that match are spread evenly.
fn walk_cost(query: &HostQuery, walked: u64, matching: u64) -> u64 {
    let rows = u64::try_from(query.rows).unwrap_or(u64::MAX);
    (rows.saturating_mul(walked) / matching.max(1)).min(walked)
}

/// Whether indexes have all hosts of the lanes asked for.
fn can_gather(query: &HostQuery, counts: &ListCounts) -> bool {
    let is_indexed = |lane: &Lane| *lane == Lane::Silent || is_decided(*lane) || INDEXED_LANES.contains(lane);
    // No index has hosts without a verdict, which count as unknown, or as silent.
    let is_judged =
        counts.unjudged == 0 || !(query.lanes.contains(&Lane::Unknown) || query.lanes.contains(&Lane::Silent));
    query.is_limited()
        && query.in_scope_only
        // More than were counted: each page would gather all of them.
        && counts.silent < SILENT_COUNTED.cast_unsigned()
        && (query.silent_only || (is_judged && query.lanes.iter().all(is_indexed)))
}

fn gathered<No>(query: &HostQuery) -> Vec<HostStream<No>> {
    if query.silent_only {
        return vec![stream(query, StreamSource::Silent)];
    }
    let of = |source: StreamSource<No>, is_of: fn(Lane) -> bool| {
        let lanes: Vec<Lane> = query.lanes.iter().copied().filter(|lane| is_of(*lane)).collect();
        (!lanes.is_empty()).then_some(HostStream { source, lanes })
    };
    let awake = of(StreamSource::Verdicts, is_awake);
    let silent = of(StreamSource::Silent, |lane| lane == Lane::Silent);
    let decided = of(StreamSource::Decided, is_decided);
    awake.into_iter().chain(silent).chain(decided).collect()
}

/// Whether hosts are found in this lane by their verdicts alone.
pub(in crate::store) const fn is_awake(lane: Lane) -> bool {
    !matches!(lane, Lane::Silent) && !is_decided(lane)
}

#[cfg(test)]
mod tests {
    use muster_proto::model::HostMark;

    use super::*;
    use crate::store::SiteScope;

    fn query(sort: HostSort, lanes: &[Lane]) -> HostQuery {
        let order = "us-bis-icts-2021-002".parse().ok();
        HostQuery { order, lanes: lanes.to_vec(), in_scope_only: true, sort, rows: 50, ..HostQuery::default() }
    }

    fn sources(query: &HostQuery, sites: Option<&[i64]>, counts: ListCounts) -> Vec<StreamSource<i64>> {
        plan(query, sites, &counts).into_iter().map(|stream| stream.source).collect()
    }

    const MILLION: ListCounts = ListCounts {
        hosts: 1_000_000,
        of_sites: 1_000_000,
        in_lanes: 0,
        in_lanes_of_sites: 0,
        silent: 0,
        unjudged: 0,
        are_few: false,
        decided: 0,
    };

    #[test]
    fn few_hosts_of_a_lane_are_read_from_its_index_and_many_by_walking() {
        let asked = query(HostSort::Name, &[Lane::Replace]);
        let few = ListCounts { in_lanes: 300, in_lanes_of_sites: 300, ..MILLION };
        assert_eq!(sources(&asked, None, few), [StreamSource::Verdicts]);
        let many = ListCounts { in_lanes: 400_000, in_lanes_of_sites: 400_000, ..MILLION };
        assert_eq!(sources(&asked, None, many), [StreamSource::Walk]);
        let clear = query(HostSort::Name, &[Lane::Clear]);
        assert_eq!(sources(&clear, None, few), [StreamSource::Walk], "clear hosts are in no index");
    }

    #[test]
    fn a_large_page_of_a_lane_walks_past_the_other_hosts_without_reading_them() {
        let large = HostQuery { rows: 1_001, ..query(HostSort::Name, &[Lane::Replace, Lane::Silent]) };
        let counts = ListCounts {
            hosts: 100_000,
            of_sites: 100_000,
            in_lanes: 7_000,
            in_lanes_of_sites: 7_000,
            silent: 2_000,
            unjudged: 0,
            are_few: false,
            decided: 0,
        };
        assert_eq!(sources(&large, None, counts), [StreamSource::Among(Walk::All)]);
        let of_sites = ListCounts { of_sites: 50_000, in_lanes_of_sites: 3_500, ..counts };
        assert_eq!(
            sources(&large, Some(&[7, 9]), of_sites),
            [StreamSource::Among(Walk::Site(7)), StreamSource::Among(Walk::Site(9))]
        );
        // Each page would gather all silent hosts, and nobody has counted them all.
        let countless = ListCounts { silent: SILENT_COUNTED.cast_unsigned(), ..MILLION };
        let countless = ListCounts { in_lanes: 7_000, in_lanes_of_sites: 7_000, ..countless };
        assert_eq!(sources(&large, None, countless), [StreamSource::Walk]);
        let clear = HostQuery { lanes: vec![Lane::Clear], ..large };
        assert_eq!(sources(&clear, None, counts), [StreamSource::Walk], "clear hosts are in no index");
    }

    #[test]
    fn silent_hosts_and_a_lane_are_two_streams_that_share_no_host() {
        let asked = query(HostSort::Name, &[Lane::Confirm, Lane::Silent]);
        let counts = ListCounts { in_lanes: 10, in_lanes_of_sites: 10, silent: 10, ..MILLION };
        let streams = plan::<i64>(&asked, None, &counts);
        assert_eq!(streams[0], HostStream { source: StreamSource::Verdicts, lanes: vec![Lane::Confirm] });
        assert_eq!(streams[1], HostStream { source: StreamSource::Silent, lanes: vec![Lane::Silent] });
        let waived = query(HostSort::Name, &[Lane::Confirm, Lane::Silent, Lane::Waived]);
        let decided = ListCounts { decided: 20, ..counts };
        assert_eq!(
            sources(&waived, None, decided),
            [StreamSource::Verdicts, StreamSource::Silent, StreamSource::Decided]
        );
        let many = ListCounts { decided: 900_000, ..counts };
        assert_eq!(sources(&waived, None, many), [StreamSource::Walk]);
        let unjudged = ListCounts { unjudged: 1, ..counts };
        assert_eq!(sources(&asked, None, unjudged), [StreamSource::Walk], "hosts without a verdict are in no index");
    }

    #[test]
    fn a_small_site_is_read_as_a_whole_and_a_list_by_name_walks_the_names_of_each_site() {
        let sites = SiteScope::Only(Vec::new());
        let by_name = HostQuery { sites: sites.clone(), rows: 50, sort: HostSort::Name, ..HostQuery::default() };
        let counts = ListCounts { of_sites: 4_000, ..MILLION };
        assert_eq!(
            sources(&by_name, Some(&[7, 9]), counts),
            [StreamSource::NamesOfSite(7), StreamSource::NamesOfSite(9)]
        );
        let by_check_in = HostQuery { sort: HostSort::LastSeen, ..by_name };
        assert_eq!(sources(&by_check_in, Some(&[7, 9]), counts), [StreamSource::Sites]);
        assert_eq!(sources(&by_check_in, Some(&[]), counts), []);
        let large = ListCounts { of_sites: 900_000, ..MILLION };
        assert_eq!(sources(&by_check_in, Some(&[7, 9]), large), [StreamSource::Walk]);
    }

    #[test]
    fn hosts_with_a_mark_or_of_a_token_are_read_as_a_whole() {
        let marked = HostQuery { marks: vec![HostMark::Revoked], ..query(HostSort::Name, &[Lane::Replace]) };
        let of_token = HostQuery { enrolled_with: "tok".parse().ok(), ..query(HostSort::LastSeen, &[]) };
        for asked in [marked, of_token] {
            assert_eq!(sources(&asked, None, MILLION), [StreamSource::Chosen]);
            assert_eq!(sources(&asked, Some(&[]), MILLION), [], "no site");
        }
        let few = ListCounts { are_few: true, ..MILLION };
        assert_eq!(sources(&query(HostSort::Name, &[]), None, few), [StreamSource::Chosen]);
        let by_since = query(HostSort::Since, &[Lane::Replace]);
        assert_eq!(sources(&by_since, None, few), [StreamSource::Verdicts], "only the index of lanes has the order");
    }

    #[test]
    fn every_lane_in_which_work_is_left_and_that_is_stored_is_indexed() {
        for lane in Lane::ALL {
            let is_indexed = INDEXED_LANES.contains(lane);
            assert_eq!(is_indexed, !lane.is_finished() && *lane != Lane::Silent, "{lane}");
        }
    }
}
