//! The statement of one stream of a list. `CROSS JOIN` and `INDEXED BY` fix how SQLite reads it: the plan was chosen from
//! exact counts, which SQLite does not have.

use muster_proto::model::Lane;
use rusqlite::{Connection, ToSql};

use super::Values;
use crate::store::decide::host_list::{HostStream, StreamSource, Walk, is_awake};
use crate::store::decide::silence;
use crate::store::decision_sql::{self, DecidedAtMost};
use crate::store::host_filter::{Bound, Columns, FEW};
use crate::store::sqlite::fault::Step;
use crate::store::sqlite::{decisions, row};
use crate::store::{HostKey, HostQuery, HostSort, SiteScope};

/// Row numbers of what a query names.
pub(super) struct Names {
    /// `None` if the query names no order. An order without a row has the number 0, which no row has.
    pub(super) order: Option<i64>,
    /// `None` is every site. Sites without a row are left out.
    pub(super) sites: Option<Vec<i64>>,
    /// Which of the statements of the filter has only a few hosts.
    pub(super) few: Option<usize>,
    /// How many hosts are retired, or waived under the order: without any, statements say nothing of decisions.
    pub(super) decided: DecidedAtMost,
}

impl Names {
    pub(super) fn of(sql: &Connection, query: &HostQuery) -> Step<Self> {
        let order = match &query.order {
            Some(order) => Some(row::find_number(sql, row::FIND_ORDER, order.as_str())?.unwrap_or(0)),
            None => None,
        };
        let sites = match &query.sites {
            SiteScope::All => None,
            SiteScope::Only(sites) => {
                let mut numbers = Vec::new();
                for site in sites {
                    numbers.extend(row::find_number(sql, row::FIND_SITE, site.as_str())?);
                }
                Some(numbers)
            }
        };
        let decided = match &query.order {
            Some(order) => decisions::at_most(sql, order, query.decided_at)?,
            None => DecidedAtMost::default(),
        };
        Ok(Self { order, sites, few: None, decided })
    }
}

/// The condition of the partial index, word for word: otherwise SQLite does not use it. It lists the lanes that are not
/// indexed, because SQLite would use a list of lanes with IN instead of the one lane that is asked for.
const INDEXED: &str = "v.in_scope = 1 AND v.lane NOT IN (1, 2, 6, 10, 11)";

/// The columns of every stream.
const COLUMNS: &str = "h.no, h.id, s.id, h.hostname, h.platform, h.os_name, e.last_seen";

pub(super) fn statement(query: &HostQuery, names: &Names, stream: &HostStream<i64>) -> (String, Values) {
    // Verdicts are chosen by their own columns.
    let joins_verdicts = names.order.is_some() && stream.source != StreamSource::Verdicts;
    let mut values: Values = Vec::new();
    let host = first_host(query.sort, stream.source);
    let mut conditions = conditions(query, names, (host, joins_verdicts), &stream.lanes, &mut values);
    let key = sort_key(query.sort, stream.source);
    // Hosts among which the list is are walked from that place on.
    if let Some(after) = query.after.as_ref().filter(|_| !matches!(stream.source, StreamSource::Among(_))) {
        conditions.push(place(query, stream.source, key, after, &mut values));
    }
    if stream.source == StreamSource::Unjudged {
        conditions.push("v.host IS NULL".to_owned());
    }
    if let StreamSource::NamesOfSite(site) = stream.source {
        conditions.push(format!("h.site = {site}"));
    }
    if let (StreamSource::Sites, Some(sites)) = (stream.source, &names.sites) {
        let numbers: Vec<String> = sites.iter().map(ToString::to_string).collect();
        conditions.push(format!("h.site IN ({})", numbers.join(", ")));
    }
    if let (StreamSource::Silent, Some(before)) = (stream.source, query.silent_before) {
        conditions.push(format!("e.last_seen < {}", bound(before.millis(), &mut values)));
    }
    if stream.source == StreamSource::Verdicts {
        conditions.push(INDEXED.to_owned());
        conditions.push(match stream.lanes.as_slice() {
            // Within one lane the index has the order of `since`, and nothing is sorted.
            [lane] => format!("v.lane = {}", lane.code()),
            lanes => format!("v.lane IN ({})", codes(lanes.iter().copied())),
        });
    }
    if stream.source == StreamSource::Decided {
        let (order, now) = decided_at(query, &mut values);
        conditions.push(format!("h.no IN ({})", decision_sql::hosts(&order, &now)));
    }
    let decided = decided(query, names, &mut values);
    if matches!(stream.source, StreamSource::Among(_)) {
        // Bound anew for each host.
        conditions.push(format!("h.no = ?{}", values.len() + 1));
    }
    let columns = if names.order.is_some() { "v.lane, v.since" } else { "NULL, NULL" };
    let from = tables(query.sort, names, stream.source);
    let text = format!(
        "SELECT {COLUMNS}, {columns}, {decided} FROM {from} CROSS JOIN site s ON s.no = h.site WHERE {} ORDER BY {key}",
        conditions.join(" AND ")
    );
    (text, values)
}

/// The parameters of the order and of the instant of decisions.
fn decided_at(query: &HostQuery, values: &mut Values) -> (String, String) {
    let order = query.order.as_ref().map_or_else(String::new, |order| order.as_str().to_owned());
    (bound(order, values), bound(query.decided_at.millis(), values))
}

/// Two columns with what is decided about a host.
fn decided(query: &HostQuery, names: &Names, values: &mut Values) -> String {
    if names.decided.is_nothing() {
        return "NULL, 0".to_owned();
    }
    let (order, now) = decided_at(query, values);
    decision_sql::columns(&order, &now)
}

/// Statements that together have the numbers of all hosts in the lanes of the query, or silent, and of some more. All are read
/// from indexes alone.
pub(super) fn gather(query: &HostQuery, names: &Names) -> Vec<(String, Values)> {
    let mut statements = Vec::new();
    let awake = codes(query.lanes.iter().copied().filter(|lane| is_awake(*lane)));
    if !awake.is_empty() && !query.silent_only {
        let order = names.order.unwrap_or(0);
        let find = "SELECT v.host FROM verdict v INDEXED BY verdict_unfinished";
        statements
            .push((format!("{find} WHERE v.order_no = {order} AND {INDEXED} AND v.lane IN ({awake})"), Vec::new()));
    }
    let is_silence_asked = query.silent_only || query.lanes.contains(&Lane::Silent);
    if let Some(before) = query.silent_before.filter(|_| is_silence_asked) {
        let mut values: Values = Vec::new();
        let before = bound(before.millis(), &mut values);
        let find = "SELECT e.host FROM host_check_in e INDEXED BY host_check_in_by_last_seen";
        statements.push((format!("{find} WHERE e.last_seen < {before}"), values));
    }
    if query.lanes.iter().copied().any(silence::is_decided) && !query.silent_only {
        let mut values: Values = Vec::new();
        let (order, now) = decided_at(query, &mut values);
        statements.push((decision_sql::hosts(&order, &now), values));
    }
    statements
}

/// The numbers of all hosts of a walk in the order of the list, from its place on. They are read from the index alone.
pub(super) fn walk(query: &HostQuery, walk: Walk<i64>) -> (String, Values) {
    let mut values: Values = Vec::new();
    let (no, from) = match (walk, query.sort) {
        (Walk::Site(_), _) => ("h.no", "host h INDEXED BY host_by_site"),
        (Walk::All, HostSort::LastSeen | HostSort::Since) => {
            ("e.host", "host_check_in e INDEXED BY host_check_in_by_last_seen")
        }
        (Walk::All, HostSort::Name | HostSort::Id) => ("h.no", "host h INDEXED BY host_by_name"),
    };
    let key = sort_key(query.sort, StreamSource::Walk);
    let mut conditions = vec!["1 = 1".to_owned()];
    if let Walk::Site(site) = walk {
        conditions.push(format!("h.site = {site}"));
    }
    if let Some(after) = &query.after {
        conditions.push(place(query, StreamSource::Walk, key, after, &mut values));
    }
    (format!("SELECT {no} FROM {from} WHERE {} ORDER BY {key}", conditions.join(" AND ")), values)
}

/// The number of hosts that match the query, on all pages.
pub(super) fn count(query: &HostQuery, names: &Names) -> (String, Values) {
    let mut values: Values = Vec::new();
    let mut conditions = conditions(query, names, ("h.no", names.order.is_some()), &query.lanes, &mut values);
    let needs_silence = query.silent_only || query.awake_only || !query.lanes.is_empty();
    if let (Some(_), Some(before), true) = (names.order, query.silent_before, needs_silence) {
        let silent = format!("e.last_seen < {}", bound(before.millis(), &mut values));
        let (mut decided, mut shown_silent) = (String::new(), silent.clone());
        if !names.decided.is_nothing() {
            let (order, now) = decided_at(query, &mut values);
            let retired = decision_sql::is_retired(&now, "e.last_seen");
            let waived = decision_sql::is_waived("h.no", &order, &now);
            shown_silent = format!("({silent} AND NOT {retired})");
            let (of_retired, of_waived) = (Lane::Retired.code(), Lane::Waived.code());
            decided = format!("WHEN {retired} THEN {of_retired} WHEN {waived} THEN {of_waived} ");
        }
        if query.silent_only {
            conditions.push(shown_silent.clone());
        }
        if query.awake_only {
            conditions.push(format!("NOT {shown_silent}"));
        }
        if !query.lanes.is_empty() {
            let lane = format!("coalesce(v.lane, {})", Lane::Unknown.code());
            let yielding = codes(Lane::ALL.iter().copied().filter(|lane| lane.yields_to_silence()));
            let effective = format!(
                "CASE {decided}WHEN {silent} AND {lane} IN ({yielding}) THEN {} ELSE {lane} END",
                Lane::Silent.code()
            );
            conditions.push(format!("{effective} IN ({})", codes(query.lanes.iter().copied())));
        }
    }
    let mut joins = String::new();
    if names.order.is_some() || query.filter.is_some() {
        joins.push_str(" CROSS JOIN host_check_in e ON e.host = h.no");
    }
    joins.push_str(&verdicts(names));
    if query.filter.is_some() {
        joins.push_str(" CROSS JOIN site s ON s.no = h.site");
    }
    let text = format!("SELECT count(*) FROM host h{joins} WHERE {}", conditions.join(" AND "));
    (text, values)
}

/// What the hosts of a stream have in common, whatever its source is.
fn conditions(
    query: &HostQuery,
    names: &Names,
    (host, joins_verdicts): (&str, bool),
    lanes: &[Lane],
    values: &mut Values,
) -> Vec<String> {
    // Always true, so that WHERE is never empty.
    let mut conditions = vec!["1 = 1".to_owned()];
    if let Some(filter) = &query.filter {
        let columns = columns(query, names);
        let allowed = names.few.and_then(|few| filter.allowed(few, &columns, &mut |value| bound_of(value, values)));
        conditions.extend(allowed.map(|allowed| format!("{host} IN ({allowed})")));
        conditions.extend(filter.conditions(&columns, host, &mut |value| bound_of(value, values)));
    }
    if let Some(sites) = &names.sites {
        let numbers: Vec<String> = sites.iter().map(ToString::to_string).collect();
        // The plus keeps SQLite from reading the index of sites, which does not have the order of the list.
        conditions.push(format!("+h.site IN ({})", numbers.join(", ")));
    }
    if !query.name.is_empty() {
        // A NUL would end the text for SQLite; no stored name has one.
        let name = bound(query.name.replace('\0', "\u{fffd}"), values);
        conditions.push(format!("instr(lower(h.hostname), lower({name})) > 0"));
    }
    if !query.marks.is_empty() {
        let codes: Vec<String> = query.marks.iter().map(|mark| mark.code().to_string()).collect();
        conditions.push(format!("h.no IN (SELECT host FROM host_mark WHERE mark IN ({}))", codes.join(", ")));
    }
    if let Some(token) = &query.enrolled_with {
        let id = bound(token.as_str().to_owned(), values);
        conditions.push(format!("h.enrolled_with = (SELECT no FROM enrollment_token WHERE id = {id})"));
    }
    if joins_verdicts && query.in_scope_only {
        conditions.push("coalesce(v.in_scope, 1) = 1".to_owned());
    }
    if joins_verdicts && !lanes.is_empty() {
        let awake = codes(silence::awake_lanes(lanes));
        conditions.push(format!("coalesce(v.lane, {}) IN ({awake})", Lane::Unknown.code()));
    }
    conditions
}

/// A statement that has hosts of a term of the filter, at most a few and one more.
pub(super) fn few(query: &HostQuery, names: &Names, nth: usize) -> Option<(String, Values)> {
    let filter = query.filter.as_ref()?;
    let mut values: Values = Vec::new();
    let columns = columns(query, names);
    let allowed = filter.allowed(nth, &columns, &mut |value| bound_of(value, &mut values))?;
    Some((format!("SELECT count(*) FROM ({allowed} LIMIT {})", FEW + 1), values))
}

/// What the statements of a list call what a filter asks about.
fn columns(query: &HostQuery, names: &Names) -> Columns {
    Columns {
        last_seen: "e.last_seen",
        run: "e.run",
        is_listed: "h.listed = 1",
        name: "h.hostname",
        silence: query.silent_before.map(|before| (before, query.patience)),
        position: "instr",
        has_verdict: names.order.is_some(),
        decided: query
            .order
            .as_ref()
            .filter(|_| !names.decided.is_nothing())
            .map(|order| (order.clone(), query.decided_at)),
    }
}

/// The number of a host in the table that a stream reads first, so that hosts are chosen before more of them is read.
const fn first_host(sort: HostSort, source: StreamSource<i64>) -> &'static str {
    match (source, sort) {
        (StreamSource::Verdicts, _) => "v.host",
        (StreamSource::Silent | StreamSource::Unjudged, _)
        | (StreamSource::Walk, HostSort::LastSeen | HostSort::Since) => "e.host",
        (
            StreamSource::Walk
            | StreamSource::NamesOfSite(_)
            | StreamSource::Sites
            | StreamSource::Chosen
            | StreamSource::Decided
            | StreamSource::Among(_),
            _,
        ) => "h.no",
    }
}

fn bound_of(value: Bound, values: &mut Values) -> String {
    match value {
        Bound::Text(text) => bound(text, values),
        Bound::At(at) => bound(at, values),
    }
}

fn tables(sort: HostSort, names: &Names, source: StreamSource<i64>) -> String {
    let check_ins = "host_check_in e INDEXED BY host_check_in_by_last_seen CROSS JOIN host h ON h.no = e.host";
    let (verdicts, order) = (verdicts(names), names.order.unwrap_or(0));
    match (source, sort) {
        (StreamSource::Verdicts, _) => format!(
            "verdict v INDEXED BY verdict_unfinished CROSS JOIN host h ON h.no = v.host AND v.order_no = {order}
             CROSS JOIN host_check_in e ON e.host = h.no"
        ),
        (StreamSource::NamesOfSite(_) | StreamSource::Sites, _) => {
            format!("host h INDEXED BY host_by_site CROSS JOIN host_check_in e ON e.host = h.no{verdicts}")
        }
        (StreamSource::Silent | StreamSource::Unjudged, _)
        | (StreamSource::Walk, HostSort::LastSeen | HostSort::Since) => {
            format!("{check_ins}{verdicts}")
        }
        (StreamSource::Walk, HostSort::Name) => {
            format!("host h INDEXED BY host_by_name CROSS JOIN host_check_in e ON e.host = h.no{verdicts}")
        }
        (StreamSource::Chosen | StreamSource::Decided | StreamSource::Among(_), _)
        | (StreamSource::Walk, HostSort::Id) => {
            format!("host h CROSS JOIN host_check_in e ON e.host = h.no{verdicts}")
        }
    }
}

fn verdicts(names: &Names) -> String {
    names
        .order
        .map_or_else(String::new, |order| format!(" LEFT JOIN verdict v ON v.host = h.no AND v.order_no = {order}"))
}

const fn sort_key(sort: HostSort, source: StreamSource<i64>) -> &'static str {
    match (sort, source) {
        (HostSort::Id, _) => "h.id",
        (HostSort::Name, _) => "h.hostname, h.no",
        (HostSort::Since, StreamSource::Verdicts) => "v.since, v.host",
        (HostSort::LastSeen | HostSort::Since, _) => "e.last_seen, e.host",
    }
}

/// The condition that a row comes after this place.
fn place(query: &HostQuery, source: StreamSource<i64>, key: &str, after: &HostKey, values: &mut Values) -> String {
    match after {
        HostKey::Id(id) => format!("{key} > {}", bound(*id.as_bytes(), values)),
        HostKey::Name(name, no) => {
            format!("({key}) > ({}, {})", bound(name.clone(), values), bound(*no, values))
        }
        HostKey::At(at, no) => {
            // Rows of this stream are sorted by the last check-in, and the key says when the silence began.
            let is_silent = query.sort == HostSort::Since && source == StreamSource::Silent;
            let patience = i64::try_from(query.patience.as_millis()).unwrap_or(i64::MAX);
            let at = if is_silent { at.saturating_sub(patience) } else { *at };
            format!("({key}) > ({}, {})", bound(at, values), bound(*no, values))
        }
    }
}

/// Adds a value and returns its parameter. Values that differ from one request to the next must not be in the text: each
/// text is a prepared statement, and the cache keeps few of them.
fn bound(value: impl ToSql + 'static, values: &mut Values) -> String {
    values.push(Box::new(value));
    format!("?{}", values.len())
}

fn codes(lanes: impl Iterator<Item = Lane>) -> String {
    lanes.map(|lane| lane.code().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use muster_proto::model::Timestamp;

    use super::*;
    use crate::store::decide::host_list::INDEXED_LANES;

    /// Streams that must not sort: a list of a million hosts would be read as a whole.
    #[test]
    fn pages_are_read_in_the_order_of_an_index() {
        let sql = Connection::open_in_memory().expect("opens");
        sql.execute_batch(include_str!("../../../../migrations/sqlite/0001_initial.sql")).expect("makes tables");
        sql.execute_batch("CREATE TABLE site (no INTEGER PRIMARY KEY, id TEXT)").expect("makes the table of sites");
        let names = Names { order: Some(1), sites: Some(vec![7]), few: None, decided: DecidedAtMost::default() };
        for (sort, source, lanes) in [
            (HostSort::Name, StreamSource::Walk, vec![Lane::Clear]),
            (HostSort::Name, StreamSource::NamesOfSite(7), vec![]),
            (HostSort::LastSeen, StreamSource::Walk, vec![]),
            (HostSort::Since, StreamSource::Verdicts, vec![Lane::Confirm]),
            (HostSort::Since, StreamSource::Silent, vec![Lane::Silent]),
            (HostSort::Id, StreamSource::Walk, vec![]),
        ] {
            for after in [None, Some(HostKey::At(5, 6))] {
                let after = after.map(|at| match sort {
                    HostSort::Name => HostKey::Name("web".to_owned(), 6),
                    HostSort::Id => HostKey::Id(muster_proto::model::HostId::from_bytes([1; 16])),
                    HostSort::LastSeen | HostSort::Since => at,
                });
                let query = HostQuery { in_scope_only: true, sort, after, ..HostQuery::default() };
                let (text, values) = statement(&query, &names, &HostStream { source, lanes: lanes.clone() });
                let mut plan = sql.prepare(&format!("EXPLAIN QUERY PLAN {text}")).expect("is valid");
                let read = |row: &rusqlite::Row<'_>| row.get::<_, String>(3);
                let steps = plan.query_map(rusqlite::params_from_iter(values), read).expect("explains");
                let steps: Vec<String> = steps.collect::<Result<_, _>>().expect("reads");
                assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{sort:?} {source:?}: {steps:?}");
            }
        }
    }

    /// Statements that read an index alone: reading each host would cost more than what they save.
    #[test]
    fn hosts_are_gathered_and_passed_without_reading_their_rows() {
        let sql = Connection::open_in_memory().expect("opens");
        sql.execute_batch(include_str!("../../../../migrations/sqlite/0001_initial.sql")).expect("makes tables");
        let names = Names { order: Some(1), sites: Some(vec![7]), few: None, decided: DecidedAtMost::default() };
        let query = |sort, after| HostQuery {
            lanes: vec![Lane::Replace, Lane::Silent],
            silent_before: Some(Timestamp::from_millis(1)),
            sort,
            after,
            ..HostQuery::default()
        };
        let (by_name, by_time) = (HostKey::Name("web".to_owned(), 6), HostKey::At(5, 6));
        let mut statements = gather(&query(HostSort::Name, None), &names);
        assert_eq!(statements.len(), 2);
        for after in [None, Some(by_name)] {
            let query = query(HostSort::Name, after);
            statements.extend([walk(&query, Walk::All), walk(&query, Walk::Site(7))]);
        }
        statements.push(walk(&query(HostSort::LastSeen, Some(by_time)), Walk::All));
        for (text, values) in statements {
            let mut plan = sql.prepare(&format!("EXPLAIN QUERY PLAN {text}")).expect("is valid");
            let read = |row: &rusqlite::Row<'_>| row.get::<_, String>(3);
            let steps = plan.query_map(rusqlite::params_from_iter(values), read).expect("explains");
            let steps: Vec<String> = steps.collect::<Result<_, _>>().expect("reads");
            assert!(steps.len() == 1 && steps[0].contains("COVERING INDEX"), "{text}: {steps:?}");
        }
    }

    #[test]
    fn the_time_and_the_name_do_not_change_the_text_of_a_statement() {
        let names = Names { order: Some(1), sites: None, few: None, decided: DecidedAtMost::default() };
        let lanes = vec![Lane::Silent];
        let texts = |millis: i64, name: &str| {
            let query = HostQuery {
                lanes: lanes.clone(),
                silent_before: Some(Timestamp::from_millis(millis)),
                name: name.to_owned(),
                after: Some(HostKey::At(millis, millis)),
                sort: HostSort::Since,
                ..HostQuery::default()
            };
            let stream = HostStream { source: StreamSource::Silent, lanes: lanes.clone() };
            let ((list, values), (count, counted)) = (statement(&query, &names, &stream), count(&query, &names));
            assert_eq!((values.len(), counted.len()), (4, 2), "{list}\n{count}");
            (list, count)
        };
        assert_eq!(texts(12_345, "web"), texts(67_890, "o'clock"));
    }

    #[test]
    fn the_partial_index_has_the_lanes_that_the_plan_expects() {
        let others: Vec<String> = (Lane::ALL.iter())
            .filter(|lane| !INDEXED_LANES.contains(lane))
            .map(|lane| lane.code().to_string())
            .collect();
        assert!(INDEXED.ends_with(&format!("NOT IN ({})", others.join(", "))), "{INDEXED}");
    }
}
