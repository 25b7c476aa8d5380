//! The statement of one stream of a list. Hosts that are few are collected first (`MATERIALIZED`), so that the database
//! does not walk the whole fleet instead: the plan was chosen from exact counts, which the database does not have.

use muster_proto::model::Lane;

use super::Values;
use crate::store::decide::host_list::{HostStream, StreamSource, Walk, is_awake};
use crate::store::decide::silence;
use crate::store::decision_sql::{self, DecidedAtMost};
use crate::store::host_filter::{Bound, Columns, FEW};
use crate::store::postgres::decisions;
use crate::store::postgres::fault::Step;
use crate::store::postgres::session::Session;
use crate::store::postgres::small_dictionaries::{SmallDictionaries, SmallDictionary};
use crate::store::{HostKey, HostQuery, HostSort, SiteScope};

/// Row numbers of what a query names.
pub(super) struct Names {
    /// `None` if the query names no order. An order without a row has the number 0, which no row has.
    pub(super) order: Option<i32>,
    /// `None` is every site. Sites without a row are left out.
    pub(super) sites: Option<Vec<i32>>,
    /// Which of the statements of the filter has only a few hosts.
    pub(super) few: Option<usize>,
    /// How many hosts are retired, or waived under the order: without any, statements say nothing of decisions.
    pub(super) decided: DecidedAtMost,
}

impl Names {
    pub(super) async fn of(session: &Session, dictionaries: &SmallDictionaries, query: &HostQuery) -> Step<Self> {
        let order = match &query.order {
            Some(order) => Some(dictionaries.find(session, SmallDictionary::Order, order.as_str()).await?.unwrap_or(0)),
            None => None,
        };
        let sites = match &query.sites {
            SiteScope::All => None,
            SiteScope::Only(sites) => {
                let mut numbers = Vec::new();
                for site in sites {
                    numbers.extend(dictionaries.find(session, SmallDictionary::Site, site.as_str()).await?);
                }
                Some(numbers)
            }
        };
        let decided = match &query.order {
            Some(order) => decisions::at_most(session, order, query.decided_at).await?,
            None => DecidedAtMost::default(),
        };
        Ok(Self { order, sites, few: None, decided })
    }

    /// A condition on a column with numbers of sites.
    fn within(&self, column: &str) -> Option<String> {
        let numbers: Vec<String> = self.sites.as_ref()?.iter().map(ToString::to_string).collect();
        // PostgreSQL has no empty list.
        Some(if numbers.is_empty() { "false".to_owned() } else { format!("{column} IN ({})", numbers.join(", ")) })
    }
}

/// The columns of every stream.
const COLUMNS: &str = "h.no, h.id, s.id, h.hostname, h.platform, (SELECT text FROM phrase WHERE no = h.os_name),
    n.last_seen";

pub(super) fn statement(
    query: &HostQuery,
    names: &Names,
    stream: &HostStream<i32>,
    among: &[i32],
    after: Option<&HostKey>,
    portion: usize,
) -> (String, Values) {
    let mut values: Values = Vec::new();
    // Verdicts are chosen by their own columns; conditions on absent ones would mislead the database's estimates.
    let joins_verdicts = names.order.is_some() && stream.source != StreamSource::Verdicts;
    let is_collected = stream.source == StreamSource::Chosen;
    let mut conditions = conditions(query, names, joins_verdicts, &stream.lanes, is_collected, &mut values);
    if let Some(after) = after {
        conditions.push(place(query, stream.source, after, &mut values));
    }
    let by_since = query.sort == HostSort::Since && stream.source == StreamSource::Verdicts;
    let order = names.order.unwrap_or(0);
    let mut chosen = None;
    match stream.source {
        StreamSource::Walk => {}
        StreamSource::NamesOfSite(site) => conditions.push(format!("h.site = {site}")),
        StreamSource::Among(walk) => {
            if let Walk::Site(site) = walk {
                conditions.push(format!("h.site = {site}"));
            }
            values.push(Box::new(among.to_vec()));
            // The sum keeps the database from reading these hosts and sorting them.
            conditions.push(format!("h.no + 0 = ANY (${}::int4[])", values.len()));
        }
        StreamSource::Sites => {
            let within = names.within("site").unwrap_or_else(|| "true".to_owned());
            chosen = Some(format!("SELECT no AS host FROM host WHERE {within}"));
        }
        StreamSource::Verdicts => {
            let is_one =
                format!("order_no = {order} AND in_scope AND lane IN ({})", codes(silence::awake_lanes(&stream.lanes)));
            if by_since {
                // The index has the order within one lane, so nothing is collected and sorted.
                let lane = stream.lanes.first().map_or(0, |lane| lane.code());
                conditions.push(format!("v.order_no = {order} AND v.in_scope AND v.lane = {lane}"));
            } else {
                chosen = Some(format!("SELECT host FROM verdict WHERE {is_one}"));
            }
        }
        StreamSource::Silent => conditions.extend(query.silent_before.map(|before| {
            let before = before.millis();
            format!("n.day <= {} AND n.last_seen < {before}", before.div_euclid(DAY))
        })),
        StreamSource::Unjudged => conditions.push("v.host IS NULL".to_owned()),
        StreamSource::Chosen => chosen = Some(chosen_hosts(query, names, &mut values)),
        StreamSource::Decided => chosen = Some(decided_hosts(query)),
    }
    let decided = decided(query, names);
    let with = chosen.as_ref().map_or_else(String::new, |chosen| format!("WITH c AS MATERIALIZED ({chosen}) "));
    let first = if chosen.is_some() { "c JOIN host h ON h.no = c.host" } else { "host h" };
    let verdicts = if by_since { " JOIN verdict v ON v.host = h.no".to_owned() } else { verdicts(names) };
    let columns = if names.order.is_some() { "v.lane, v.since" } else { "NULL::int2, NULL::int8" };
    let text = format!(
        "{with}SELECT {COLUMNS}, {columns}, {decided} FROM {first} JOIN site s ON s.no = h.site
         JOIN host_current n ON n.host = h.no{verdicts} WHERE {} ORDER BY {} LIMIT {portion}",
        conditions.join(" AND "),
        sort_key(query.sort, stream.source)
    );
    (text, values)
}

/// The order and the instant of decisions, as literals: the id of an order has no quotation mark.
fn decided_at(query: &HostQuery) -> (String, String) {
    let order = query.order.as_ref().map_or("", |order| order.as_str());
    (format!("'{order}'"), query.decided_at.millis().to_string())
}

/// Two columns with what is decided about a host.
fn decided(query: &HostQuery, names: &Names) -> String {
    if names.decided.is_nothing() {
        return "NULL::int8, false".to_owned();
    }
    let (order, now) = decided_at(query);
    decision_sql::columns(&order, &now)
}

/// The numbers of the hosts that a waiver in force or an approved disposition names, as a statement.
fn decided_hosts(query: &HostQuery) -> String {
    let (order, now) = decided_at(query);
    format!("SELECT g.host::int4 AS host FROM ({}) AS g", decision_sql::hosts(&order, &now))
}

/// The numbers of all hosts in the lanes of the query, or silent, and of some more, as a statement.
pub(super) fn gather(query: &HostQuery, names: &Names) -> String {
    let mut parts = Vec::new();
    let awake = codes(query.lanes.iter().copied().filter(|lane| is_awake(*lane)));
    if !awake.is_empty() && !query.silent_only {
        let order = names.order.unwrap_or(0);
        parts.push(format!("SELECT host FROM verdict WHERE order_no = {order} AND in_scope AND lane IN ({awake})"));
    }
    let is_silence_asked = query.silent_only || query.lanes.contains(&Lane::Silent);
    if let Some(before) = query.silent_before.filter(|_| is_silence_asked) {
        let before = before.millis();
        let day = before.div_euclid(DAY);
        parts.push(format!("SELECT host FROM host_current WHERE day <= {day} AND last_seen < {before}"));
    }
    if query.lanes.iter().copied().any(silence::is_decided) && !query.silent_only {
        parts.push(decided_hosts(query));
    }
    parts.join(" UNION ")
}

/// The hosts of the term of the filter that allows only a few, as a statement.
fn allowed(query: &HostQuery, names: &Names, values: &mut Values) -> Option<String> {
    let columns = columns(query, names);
    query.filter.as_ref()?.allowed(names.few?, &columns, &mut |value| bound_of(value, values))
}

/// A statement that counts hosts of a term of the filter, at most a few and one more.
pub(super) fn few(query: &HostQuery, names: &Names, nth: usize) -> Option<(String, Values)> {
    let mut values: Values = Vec::new();
    let columns = columns(query, names);
    let allowed = query.filter.as_ref()?.allowed(nth, &columns, &mut |value| bound_of(value, &mut values))?;
    Some((format!("SELECT count(*) FROM ({allowed} LIMIT {}) AS few", FEW + 1), values))
}

/// What the statements of a list call what a filter asks about.
fn columns(query: &HostQuery, names: &Names) -> Columns {
    Columns {
        last_seen: "n.last_seen",
        run: "n.run",
        is_listed: "n.listed",
        name: "lower(h.hostname)",
        silence: query.silent_before.map(|before| (before, query.patience)),
        position: "strpos",
        has_verdict: names.order.is_some(),
        decided: query
            .order
            .as_ref()
            .filter(|_| !names.decided.is_nothing())
            .map(|order| (order.clone(), query.decided_at)),
    }
}

fn bound_of(value: Bound, values: &mut Values) -> String {
    match value {
        Bound::Text(text) => {
            values.push(Box::new(text));
            format!("${}::text COLLATE \"C\"", values.len())
        }
        Bound::At(at) => {
            values.push(Box::new(at));
            format!("${}::int8", values.len())
        }
    }
}

/// The numbers of the hosts with a mark, of a token or of a term of the filter, as a statement.
fn chosen_hosts(query: &HostQuery, names: &Names, values: &mut Values) -> String {
    let mut conditions = vec!["true".to_owned()];
    conditions.extend(allowed(query, names, values).map(|allowed| format!("no IN ({allowed})")));
    if !query.marks.is_empty() {
        let codes: Vec<String> = query.marks.iter().map(|mark| mark.code().to_string()).collect();
        conditions.push(format!("no IN (SELECT host FROM host_mark WHERE mark IN ({}))", codes.join(", ")));
    }
    if let Some(token) = &query.enrolled_with {
        values.push(Box::new(token.as_str().to_owned()));
        conditions.push(format!("enrolled_with = (SELECT no FROM enrollment_token WHERE id = ${})", values.len()));
    }
    format!("SELECT no AS host FROM host WHERE {}", conditions.join(" AND "))
}

/// The number of hosts that match the query, on all pages.
pub(super) fn count(query: &HostQuery, names: &Names) -> (String, Values) {
    let mut values: Values = Vec::new();
    let mut conditions = conditions(query, names, names.order.is_some(), &query.lanes, false, &mut values);
    if let (Some(_), Some(before)) = (names.order, query.silent_before) {
        let silent = format!("n.last_seen < {}", before.millis());
        let (mut decided, mut shown_silent) = (String::new(), silent.clone());
        if !names.decided.is_nothing() {
            let (order, now) = decided_at(query);
            let retired = decision_sql::is_retired(&now, "n.last_seen");
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
        joins.push_str(" JOIN host_current n ON n.host = h.no");
    }
    if query.filter.is_some() {
        joins.push_str(" JOIN site s ON s.no = h.site");
    }
    joins.push_str(&verdicts(names));
    let text = format!("SELECT count(*) FROM host h{joins} WHERE {}", conditions.join(" AND "));
    (text, values)
}

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// What the hosts of a stream have in common, whatever its source is.
fn conditions(
    query: &HostQuery,
    names: &Names,
    joins_verdicts: bool,
    lanes: &[Lane],
    is_collected: bool,
    values: &mut Values,
) -> Vec<String> {
    // Always true, so that WHERE is never empty.
    let mut conditions = vec!["true".to_owned()];
    conditions.extend(names.within("h.site"));
    if !query.name.is_empty() {
        // PostgreSQL stores no NUL, so no name has it; U+FFFD is what ingest puts in its place.
        values.push(Box::new(query.name.replace('\0', "\u{fffd}")));
        conditions.push(format!("strpos(lower(h.hostname), lower(${}::text COLLATE \"C\")) > 0", values.len()));
    }
    // A stream of them has these conditions already.
    if (query.is_chosen() || names.few.is_some()) && !is_collected {
        conditions.push(format!("h.no IN ({})", chosen_hosts(query, names, values)));
    }
    if let Some(filter) = &query.filter {
        let columns = columns(query, names);
        conditions.extend(filter.conditions(&columns, "h.no", &mut |value| bound_of(value, values)));
    }
    if joins_verdicts && query.in_scope_only {
        conditions.push("v.in_scope IS NOT FALSE".to_owned());
    }
    if joins_verdicts && !lanes.is_empty() {
        let awake = codes(silence::awake_lanes(lanes));
        conditions.push(format!("coalesce(v.lane, {}) IN ({awake})", Lane::Unknown.code()));
    }
    conditions
}

fn verdicts(names: &Names) -> String {
    names
        .order
        .map_or_else(String::new, |order| format!(" LEFT JOIN verdict v ON v.host = h.no AND v.order_no = {order}"))
}

/// `day` comes first, because only it is indexed; it is computed from `last_seen`, so the order is the same.
const fn sort_key(sort: HostSort, source: StreamSource<i32>) -> &'static str {
    match (sort, source) {
        (HostSort::Id, _) => "h.id",
        (HostSort::Name, _) => "lower(h.hostname), h.no",
        (HostSort::Since, StreamSource::Verdicts) => "v.since, v.host",
        (HostSort::LastSeen | HostSort::Since, _) => "n.day, n.last_seen, n.host",
    }
}

/// The condition that a row comes after this place.
fn place(query: &HostQuery, source: StreamSource<i32>, after: &HostKey, values: &mut Values) -> String {
    let number = |no: i64| i32::try_from(no).unwrap_or(i32::MAX);
    match after {
        HostKey::Id(id) => {
            values.push(Box::new(id.as_bytes().to_vec()));
            format!("h.id > ${}", values.len())
        }
        HostKey::Name(name, no) => {
            values.push(Box::new(name.clone()));
            format!("(lower(h.hostname), h.no) > (${}::text COLLATE \"C\", {})", values.len(), number(*no))
        }
        HostKey::At(at, no) if query.sort == HostSort::Since && source == StreamSource::Verdicts => {
            format!("(v.since, v.host) > ({at}, {})", number(*no))
        }
        HostKey::At(at, no) => {
            // Rows of this stream are sorted by the last check-in, and the key says when the silence began.
            let is_silent = query.sort == HostSort::Since && source == StreamSource::Silent;
            let patience = i64::try_from(query.patience.as_millis()).unwrap_or(i64::MAX);
            let at = if is_silent { at.saturating_sub(patience) } else { *at };
            format!("n.day >= {} AND (n.last_seen, n.host) > ({at}, {})", at.div_euclid(DAY), number(*no))
        }
    }
}

fn codes(lanes: impl Iterator<Item = Lane>) -> String {
    lanes.map(|lane| lane.code().to_string()).collect::<Vec<_>>().join(", ")
}
