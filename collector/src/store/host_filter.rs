//! The terms of a filter as conditions of a statement, for both backends: what they mean is defined by
//! [`Filter::matches`](crate::filter::Filter::matches).
//!
//! ```text
//!  HostFilter ─┬─► allowed: hosts that an index has for a label, owner, serial number or name; read as a whole if few
//!              └─► conditions: WHERE … AND …, checked host by host
//! ```
//!
//! A condition that is NULL does not hold, also before it is negated (`IS NOT TRUE`).

use std::time::Duration;

use muster_proto::model::{HostMark, IdentifierKind, Lane, OrderId, ProductId, Timestamp};

use super::decision_sql;
use crate::filter::{
    Choice, Condition, InstantBound, RosterMatch, RosterState, SearchText, SilentMatch, Term, TextMatch, TimeMatch,
    fold_case,
};

/// Terms that are checked host by host. The lanes of a filter, its silence and its order are parts of a query of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFilter {
    /// The terms, all of which must hold.
    pub terms: Vec<Term>,
    /// The products that the order of the query covers.
    pub products: Vec<ProductId>,
    /// When times and waivers are compared.
    pub now: Timestamp,
}

/// Up to this many hosts are read one by one and sorted. More of them are met soon by walking the list.
pub(in crate::store) const FEW: i64 = 2_000;

/// The names under which a backend's statements have what a filter asks about.
#[derive(Debug, Clone)]
pub(in crate::store) struct Columns {
    /// When a host was last seen.
    pub(in crate::store) last_seen: &'static str,
    /// The run of its last check-in; NULL before the first.
    pub(in crate::store) run: &'static str,
    /// Whether it is a machine of the roster, as a condition.
    pub(in crate::store) is_listed: &'static str,
    /// Its name, as an index of names compares it: without regard to the case of ASCII letters.
    pub(in crate::store) name: &'static str,
    /// The instant before which a last check-in counts as silent under the order of the query, and its patience.
    pub(in crate::store) silence: Option<(Timestamp, Duration)>,
    /// Where a text is found in another: `instr(text, part)`.
    pub(in crate::store) position: &'static str,
    /// Whether the host has a verdict under an order that is asked for; then `v` is its row.
    pub(in crate::store) has_verdict: bool,
    /// The order that is asked for and the instant of decisions, if something is decided under it.
    pub(in crate::store) decided: Option<(OrderId, Timestamp)>,
}

/// A value of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Bound {
    /// A text.
    Text(String),
    /// Unix milliseconds.
    At(i64),
}

/// Takes a value into those of a statement, and returns how the statement names it. Values are never part of the text, so that a
/// prepared statement serves all of them.
pub(in crate::store) type Bind<'b> = &'b mut dyn FnMut(Bound) -> String;

impl HostFilter {
    /// The conditions of the terms; `host` is the column with the number of a host.
    pub(in crate::store) fn conditions(&self, columns: &Columns, host: &str, bind: Bind<'_>) -> Vec<String> {
        let terms = self.terms.iter().filter(|term| !is_of_query(&term.condition));
        terms.map(|term| self.condition(term, columns, host, bind)).collect()
    }

    /// How many statements [`Self::allowed`] has.
    pub(in crate::store) fn indexed(&self) -> usize {
        self.terms.iter().filter(|term| is_indexed(term)).count()
    }

    /// A statement that has the numbers of all hosts that one of the terms allows. It is read from an index.
    pub(in crate::store) fn allowed(&self, nth: usize, columns: &Columns, bind: Bind<'_>) -> Option<String> {
        let term = self.terms.iter().filter(|term| is_indexed(term)).nth(nth)?;
        let current = |table: &str, is_one: &str| format!("SELECT host FROM {table} WHERE until IS NULL AND {is_one}");
        match &term.condition {
            Condition::Label(values) => Some(current("host_label", &text_condition(values, "label", bind))),
            Condition::Owner(values) => Some(current("host_owner", &text_condition(values, "folded", bind))),
            Condition::Serial(values) => {
                let is_one = text_condition(values, "value", bind);
                Some(format!("SELECT host FROM host_identifier WHERE {is_one} AND kind = {}", serial()))
            }
            Condition::Name(values) => {
                Some(format!("SELECT h.no AS host FROM host h WHERE {}", text_condition(values, columns.name, bind)))
            }
            Condition::Order(_)
            | Condition::Lane(_)
            | Condition::Overdue(_)
            | Condition::Silent(_)
            | Condition::Site(_)
            | Condition::Platform(_)
            | Condition::Os(_)
            | Condition::Roster(_)
            | Condition::Product(_)
            | Condition::Presence(_)
            | Condition::Protection(_)
            | Condition::Agent(_)
            | Condition::LastSeen(_)
            | Condition::Since(_)
            | Condition::Enrolled(_)
            | Condition::Waiver(_)
            | Condition::Quarantined(_)
            | Condition::Search(_) => None,
        }
    }

    fn condition(&self, term: &Term, columns: &Columns, host: &str, bind: Bind<'_>) -> String {
        let holds = self.holds(&term.condition, columns, host, bind);
        let sign = if term.negated { "IS NOT TRUE" } else { "IS TRUE" };
        format!("(({holds}) {sign})")
    }

    fn holds(&self, condition: &Condition, columns: &Columns, host: &str, bind: Bind<'_>) -> String {
        let of_host =
            |table: &str, is_one: &str| format!("EXISTS (SELECT 1 FROM {table} x WHERE x.host = {host} AND {is_one})");
        match condition {
            // Left out by the caller.
            Condition::Order(_)
            | Condition::Lane(_)
            | Condition::Overdue(_)
            | Condition::Silent(SilentMatch::Yes | SilentMatch::No) => "1 = 1".to_owned(),
            Condition::Silent(SilentMatch::For(comparison, span)) => {
                bounded(columns.last_seen, InstantBound::ago(*comparison, *span, self.now), bind)
            }
            Condition::Site(values) => text_condition(values, "s.id", bind),
            Condition::Label(values) => {
                some_or_none(values, &|is_one| of_host("host_label", is_one), "x.label", "x.until IS NULL", bind)
            }
            Condition::Owner(values) => {
                some_or_none(values, &|is_one| of_host("host_owner", is_one), "x.folded", "x.until IS NULL", bind)
            }
            Condition::Serial(values) => {
                let kind = format!("x.kind = {}", serial());
                some_or_none(values, &|is_one| of_host("host_identifier", is_one), "x.value", &kind, bind)
            }
            Condition::Platform(values) => choices(values, "h.platform", |platform| i64::from(platform.code())),
            Condition::Os(values) => text_condition(values, &phrase("h.os_name"), bind),
            Condition::Agent(values) => text_condition(values, &phrase("h.agent_version"), bind),
            Condition::Name(values) => text_condition(values, columns.name, bind),
            Condition::Roster(values) => roster(values, columns, host),
            Condition::Product(values) => self.product(values, columns, host, bind),
            Condition::Presence(values) => verdict_choices(values, "v.presence", columns, |one| i64::from(one.code())),
            Condition::Protection(values) => {
                verdict_choices(values, "v.protection", columns, |one| i64::from(one.code()))
            }
            Condition::LastSeen(values) => {
                // Until the first check-in the column has the time of the enrollment.
                let last_seen = format!("CASE WHEN {} IS NULL THEN NULL ELSE {} END", columns.run, columns.last_seen);
                times(values, &last_seen, self.now, bind)
            }
            Condition::Since(values) => {
                let since = since(columns, host, bind);
                times(values, &since, self.now, bind)
            }
            Condition::Enrolled(values) => times(values, "h.enrolled_at", self.now, bind),
            Condition::Waiver(wanted) => match &columns.decided {
                Some((order, at)) => {
                    let (order, now) = (bind(Bound::Text(order.to_string())), bind(Bound::At(at.millis())));
                    flag(*wanted, &decision_sql::is_waived(host, &order, &now))
                }
                None => flag(*wanted, "1 = 0"),
            },
            Condition::Quarantined(wanted) => {
                let mark = format!("x.mark = {}", HostMark::Quarantined.code());
                flag(*wanted, &of_host("host_mark", &mark))
            }
            Condition::Search(values) => search(values, columns, host, bind),
        }
    }

    /// A product of the order that was found and that no complete scan has refuted. The remediation record has it as a key: see
    /// `Positive`.
    fn product(&self, values: &[TextMatch], columns: &Columns, host: &str, bind: Bind<'_>) -> String {
        if !columns.has_verdict {
            return "NULL".to_owned();
        }
        let position = columns.position;
        let mut has = |key: String| format!("{position}(x.record, {}) > 0", bind(Bound::Text(key)));
        let is_positive = has("\"positive\":{".to_owned());
        let record = format!("x.order_no = v.order_no AND {is_positive}");
        let found = |is_one: String| {
            format!("EXISTS (SELECT 1 FROM host_remediation x WHERE x.host = {host} AND {record} AND {is_one})")
        };
        any(values.iter().map(|value| match value {
            TextMatch::Any => found(has("\"products\":{".to_owned())),
            TextMatch::None => {
                let any_product = found(has("\"products\":{".to_owned()));
                format!("(v.host IS NOT NULL AND NOT {any_product})")
            }
            TextMatch::Is(_) | TextMatch::StartsWith(_) => {
                let named = self.products.iter().filter(|product| is_named(product, value));
                let ones: Vec<String> = named.map(|product| has(format!("\"{product}\":"))).collect();
                found(any(ones.into_iter()))
            }
        }))
    }
}

fn is_named(product: &ProductId, value: &TextMatch) -> bool {
    let id = fold_case(product.as_str());
    match value {
        TextMatch::Is(text) => id == *text,
        TextMatch::StartsWith(text) => id.starts_with(text),
        TextMatch::Any | TextMatch::None => true,
    }
}

/// Whether the query itself says it: it reads only hosts to which its order applies, and knows about lanes and silence.
fn is_of_query(condition: &Condition) -> bool {
    matches!(
        condition,
        Condition::Order(_)
            | Condition::Lane(_)
            | Condition::Overdue(_)
            | Condition::Silent(SilentMatch::Yes | SilentMatch::No)
    )
}

/// Whether an index has the hosts that a term allows.
fn is_indexed(term: &Term) -> bool {
    let is_named = |value: &TextMatch| matches!(value, TextMatch::Is(_) | TextMatch::StartsWith(_));
    let (Condition::Label(values) | Condition::Owner(values) | Condition::Serial(values) | Condition::Name(values)) =
        &term.condition
    else {
        return false;
    };
    !term.negated && values.iter().all(is_named)
}

/// A text that a host always has, though it may be empty.
fn text_condition(values: &[TextMatch], column: &str, bind: Bind<'_>) -> String {
    any(values.iter().map(|value| text(value, column, bind)))
}

/// A text that is in a table of its own, where a host may have none or several.
fn some_or_none(
    values: &[TextMatch],
    exists: &dyn Fn(&str) -> String,
    column: &str,
    also: &str,
    bind: Bind<'_>,
) -> String {
    any(values.iter().map(|value| match value {
        TextMatch::Any => exists(also),
        TextMatch::None => format!("NOT {}", exists(also)),
        TextMatch::Is(_) | TextMatch::StartsWith(_) => exists(&format!("{also} AND {}", text(value, column, bind))),
    }))
}

fn text(value: &TextMatch, column: &str, bind: Bind<'_>) -> String {
    match value {
        TextMatch::Is(text) => format!("{column} = {}", bind(clean(text))),
        TextMatch::StartsWith(beginning) => starts_with(column, beginning, bind),
        TextMatch::Any => format!("{column} <> ''"),
        TextMatch::None => format!("{column} = ''"),
    }
}

/// A range of the index of the column: every text that begins so sorts between the beginning and its successor.
fn starts_with(column: &str, beginning: &str, bind: Bind<'_>) -> String {
    let from = format!("{column} >= {}", bind(clean(beginning)));
    match successor(beginning) {
        Some(end) => format!("({from} AND {column} < {})", bind(Bound::Text(end))),
        None => from,
    }
}

/// The first text that sorts after all texts with this beginning, by the bytes of UTF-8. Where case does not matter, no text has
/// ASCII letters in upper case.
fn successor(beginning: &str) -> Option<String> {
    let mut characters: Vec<char> = beginning.chars().collect();
    while let Some(last) = characters.pop() {
        let next = match last {
            '@' => Some('['),
            // The surrogates are no characters.
            '\u{d7ff}' => Some('\u{e000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

/// No stored text has a NUL, which neither database accepts everywhere.
fn clean(text: &str) -> Bound {
    Bound::Text(text.replace('\0', "\u{fffd}"))
}

fn search(values: &[SearchText], columns: &Columns, host: &str, bind: Bind<'_>) -> String {
    let mut matches = |column: &str| {
        any(values.iter().map(|value| match value {
            SearchText::Contains(text) => format!("{}(lower({column}), {}) > 0", columns.position, bind(clean(text))),
            SearchText::StartsWith(text) => starts_with(column, text, bind),
        }))
    };
    let kinds = [IdentifierKind::Serial, IdentifierKind::Mac, IdentifierKind::Fqdn, IdentifierKind::AssetTag];
    let kinds: Vec<String> = kinds.iter().map(|kind| kind.code().to_string()).collect();
    let (name, identifier, owner) = (matches(columns.name), matches("x.value"), matches("x.folded"));
    // However many values there are, each table is read once.
    format!(
        "({name} OR {host} IN (SELECT x.host FROM host_identifier x WHERE x.kind IN ({}) AND {identifier})
         OR {host} IN (SELECT x.host FROM host_owner x WHERE x.until IS NULL AND {owner}))",
        kinds.join(", ")
    )
}

/// A host with an agent is matched, outside, or possibly the machine of an entry.
fn roster(values: &[RosterMatch], columns: &Columns, host: &str) -> String {
    let is_candidate = format!("EXISTS (SELECT 1 FROM roster_candidate x WHERE x.host = {host})");
    let state = |state: RosterState| match state {
        RosterState::Matched => columns.is_listed.to_owned(),
        RosterState::Review => format!("(NOT {} AND {is_candidate})", columns.is_listed),
        RosterState::Outside => format!("(NOT {} AND NOT {is_candidate})", columns.is_listed),
        // They have no host.
        RosterState::Missing | RosterState::Excused => "1 = 0".to_owned(),
    };
    let included =
        |value: &RosterMatch| any(RosterState::ALL.iter().filter(|one| value.includes(**one)).map(|one| state(*one)));
    // Without a roster no host relates to it.
    format!("(EXISTS (SELECT 1 FROM roster_source) AND {})", any(values.iter().map(included)))
}

fn choices<T: Copy>(values: &[Choice<T>], column: &str, code: impl Fn(T) -> i64) -> String {
    any(values.iter().map(|value| match value {
        Choice::Is(member) => format!("{column} = {}", code(*member)),
        Choice::Any => format!("{column} IS NOT NULL"),
        Choice::None => format!("{column} IS NULL"),
    }))
}

fn verdict_choices<T: Copy>(values: &[Choice<T>], column: &str, columns: &Columns, code: impl Fn(T) -> i64) -> String {
    if columns.has_verdict { choices(values, column, code) } else { choices(values, "NULL", code) }
}

fn times(values: &[TimeMatch], column: &str, now: Timestamp, bind: Bind<'_>) -> String {
    any(values.iter().map(|value| match value {
        TimeMatch::Compared(comparison) => bounded(column, comparison.bound(now), bind),
        TimeMatch::Any => format!("{column} IS NOT NULL"),
        TimeMatch::None => format!("{column} IS NULL"),
    }))
}

fn bounded(column: &str, bound: InstantBound, bind: Bind<'_>) -> String {
    let (sign, at) = match bound {
        InstantBound::Before(at) => ("<", at),
        InstantBound::NotAfter(at) => ("<=", at),
        InstantBound::After(at) => (">", at),
        InstantBound::NotBefore(at) => (">=", at),
    };
    format!("{column} {sign} {}", bind(Bound::At(at.millis())))
}

/// Since when a host has been in its lane: one about which something is decided since that was approved.
fn since(columns: &Columns, host: &str, bind: Bind<'_>) -> String {
    let found = found_since(columns, bind);
    let Some((order, at)) = columns.decided.as_ref().filter(|_| columns.has_verdict) else { return found };
    let (order, now) = (bind(Bound::Text(order.to_string())), bind(Bound::At(at.millis())));
    format!("coalesce({}, {found})", decision_sql::decided_since(host, &order, &now, columns.last_seen))
}

/// Since when it would be in its lane without a decision: a silent one since its patience ended.
fn found_since(columns: &Columns, bind: Bind<'_>) -> String {
    let Some((before, patience)) = columns.silence.filter(|_| columns.has_verdict) else {
        return if columns.has_verdict { "v.since" } else { "NULL" }.to_owned();
    };
    let yielding = Lane::ALL.iter().filter(|lane| lane.yields_to_silence()).map(|lane| lane.code().to_string());
    let yielding: Vec<String> = yielding.collect();
    let (before, last_seen) = (bind(Bound::At(before.millis())), columns.last_seen);
    let patience = bind(Bound::At(i64::try_from(patience.as_millis()).unwrap_or(i64::MAX)));
    format!(
        "CASE WHEN {last_seen} < {before} AND v.lane IN ({}) THEN {last_seen} + {patience} ELSE v.since END",
        yielding.join(", ")
    )
}

fn flag(wanted: bool, condition: &str) -> String {
    if wanted { condition.to_owned() } else { format!("NOT ({condition})") }
}

/// A text that many rows repeat, with ASCII letters in lower case.
fn phrase(column: &str) -> String {
    format!("(SELECT lower(p.text) FROM phrase p WHERE p.no = {column})")
}

fn serial() -> u8 {
    IdentifierKind::Serial.code()
}

fn any(conditions: impl Iterator<Item = String>) -> String {
    let conditions: Vec<String> = conditions.collect();
    if conditions.is_empty() { "1 = 0".to_owned() } else { format!("({})", conditions.join(" OR ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_with_a_beginning_sorts_before_its_successor() {
        for (beginning, end) in
            [("web", "wec"), ("a\u{d7ff}", "a\u{e000}"), ("a\u{10ffff}", "b"), ("é", "ê"), ("a@", "a[")]
        {
            assert_eq!(successor(beginning).as_deref(), Some(end));
            assert!(format!("{beginning}\u{10ffff}\u{10ffff}").as_str() < end, "{beginning}");
        }
        assert_eq!(successor("\u{10ffff}"), None);
    }
}
