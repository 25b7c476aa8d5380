//! Properties of every filter: no text is too strange, what is written reads back, and `-term` is the complement.

use std::time::Duration;

use muster_proto::model::{Lane, Platform, Presence, ProductId, Protection, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;

use crate::filter::{Filter, FilterKey, HostFields, MOST_BYTES, OrderFields, RosterState, Term};

const NOW: Timestamp = Timestamp::from_millis(1_796_000_000_000);

/// Text that is nearly a filter: its pieces are those of the language, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let keys = FilterKey::ALL.iter().map(|key| format!("{key}:"));
    let signs = [
        ":",
        ",",
        "-",
        "\"",
        "\\",
        "\\\"",
        "*",
        " ",
        "  ",
        ">",
        ">=",
        "<",
        "<=",
        "7d",
        "0m",
        "36500d",
        "99999w",
        "5y",
        "any",
        "none",
        "yes",
        "no",
        "replace",
        "linux",
        "active",
        "matched",
        "2026-10-01",
        "2026-02-30",
        "T10:00:00Z",
        "0000-01-01",
        "9999-12-31T23:59:59.999-23:59",
        "and",
        "lab",
        "wave-3",
        "Jane Doe",
        "é",
        "K",
        "\u{200b}",
        "\u{85}",
        "\t",
        "\u{0}",
        "lan:",
        "\"owner:",
        "\"-site:",
    ];
    let all: Vec<String> = signs.iter().map(|sign| (*sign).to_owned()).chain(keys).collect();
    prop::collection::vec(select(all), 0..24).prop_map(|pieces| pieces.concat())
}

/// A text in quotes, quoted here without the help of the module.
fn quoted() -> impl Strategy<Value = String> {
    "[a-zA-Zäß0-9 .,:;*<>\"\\\\-]{1,12}"
        .prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn text_value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-zA-Z0-9./\\\\][a-zA-Z0-9./\\\\-]{0,8}\\*?",
        3 => (quoted(), select(vec!["", "*"])).prop_map(|(text, star)| text + star),
        1 => select(vec!["any", "none", "*", "NONE"]).prop_map(str::to_owned),
    ]
}

fn id_value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9-]{1,8}\\*?".prop_filter("begins like a comparison", |text| !text.is_empty()),
        1 => select(vec!["any", "none", "*", "\"any\"", "\"none\"*"]).prop_map(str::to_owned),
    ]
}

fn time_value() -> impl Strategy<Value = String> {
    let sign = || select(vec![">", ">=", "<", "<="]);
    let date =
        (1970..=9998_i32, 1..=12_u8, 1..=28_u8).prop_map(|(year, month, day)| format!("{year}-{month:02}-{day:02}"));
    let instant = (0..=4_000_000_000_000_i64).prop_map(|millis| Timestamp::from_millis(millis).to_rfc3339());
    prop_oneof![
        3 => (sign(), span()).prop_map(|(sign, span)| format!("{sign}{span}")),
        2 => (sign(), date).prop_map(|(sign, date)| format!("{sign}{date}")),
        2 => (sign(), instant).prop_map(|(sign, instant)| format!("{sign}{instant}")),
        1 => select(vec!["any", "none", "*"]).prop_map(str::to_owned),
    ]
}

fn span() -> impl Strategy<Value = String> {
    (1..=5_000_u32, select(vec!["m", "h", "d", "w"])).prop_map(|(count, unit)| format!("{count}{unit}"))
}

fn member(names: Vec<&'static str>) -> BoxedStrategy<String> {
    select(names).prop_map(str::to_owned).boxed()
}

/// One value of a key.
fn value(key: FilterKey) -> BoxedStrategy<String> {
    let names = |all: Vec<&'static str>, more: &[&'static str]| member([all, more.to_vec()].concat());
    match key {
        FilterKey::Order => "[a-z0-9-]{1,8}".boxed(),
        FilterKey::Lane => names(Lane::ALL.iter().map(|lane| lane.name()).collect(), &["any", "none", "*"]),
        FilterKey::Platform => names(Platform::ALL.iter().map(|one| one.name()).collect(), &["any", "none", "*"]),
        FilterKey::Presence => names(Presence::ALL.iter().map(|one| one.name()).collect(), &["any", "*"]),
        FilterKey::Protection => names(Protection::ALL.iter().map(|one| one.name()).collect(), &["any", "*"]),
        FilterKey::Roster => names(RosterState::ALL.iter().map(|state| state.name()).collect(), &["yes", "no"]),
        FilterKey::Overdue | FilterKey::Waiver | FilterKey::Quarantined => member(vec!["yes", "no"]),
        FilterKey::Silent => prop_oneof![
            member(vec!["yes", "no"]),
            (select(vec![">", ">=", "<", "<="]), span()).prop_map(|(sign, span)| format!("{sign}{span}"))
        ]
        .boxed(),
        FilterKey::Site | FilterKey::Label | FilterKey::Product => id_value().boxed(),
        FilterKey::Owner | FilterKey::Os | FilterKey::Name | FilterKey::Serial | FilterKey::Agent => {
            text_value().boxed()
        }
        FilterKey::LastSeen | FilterKey::Since | FilterKey::Enrolled => time_value().boxed(),
    }
}

fn values(key: FilterKey) -> BoxedStrategy<Vec<String>> {
    let is_list = !matches!(
        key,
        FilterKey::Order | FilterKey::Overdue | FilterKey::Waiver | FilterKey::Quarantined | FilterKey::Silent
    );
    prop::collection::vec(value(key), 1..if is_list { 5 } else { 2 }).boxed()
}

/// A term that must be read: its key and its values. Only `order` cannot be negated.
fn keyed() -> impl Strategy<Value = (FilterKey, Vec<String>)> {
    select(FilterKey::ALL.to_vec()).prop_flat_map(|key| values(key).prop_map(move |values| (key, values)))
}

fn searched() -> impl Strategy<Value = String> {
    prop_oneof![
        "[b-z0-9][b-z0-9./\\\\-]{3,8}\\*?",
        "[a-zäß0-9 .,;*<>\\\\-]{1,12}".prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\"))),
    ]
}

fn term_text() -> impl Strategy<Value = String> {
    let sign = |key: FilterKey, negated: bool| if negated && key != FilterKey::Order { "-" } else { "" };
    prop_oneof![
        4 => (keyed(), any::<bool>())
            .prop_map(move |((key, values), negated)| format!("{}{key}:{}", sign(key, negated), values.join(","))),
        1 => (searched(), any::<bool>()).prop_map(|(text, negated)| if negated { format!("-{text}") } else { text }),
    ]
}

#[derive(Debug, Clone)]
struct Machine {
    texts: Vec<String>,
    addresses: Vec<String>,
    labels: Vec<String>,
    products: Option<Vec<ProductId>>,
    platform: Option<Platform>,
    roster: Option<RosterState>,
    times: [Option<Timestamp>; 3],
    flags: [bool; 4],
    order: Option<(Lane, Option<Presence>, Option<Protection>)>,
}

impl Machine {
    fn fields(&self) -> HostFields<'_> {
        let text = |index: usize| self.texts.get(index).map_or("", String::as_str);
        let [last_seen, enrolled, since] = self.times;
        let [quarantined, overdue, silent, waived] = self.flags;
        let order = self.order.map(|(lane, presence, protection)| OrderFields {
            lane,
            overdue,
            silent,
            since,
            presence,
            protection,
            products: self.products.as_deref(),
            waived,
        });
        HostFields {
            name: text(0),
            fqdn: text(1),
            serial: text(2),
            asset_tag: text(3),
            owner: text(4),
            site: text(5),
            os: text(6),
            agent: text(7),
            addresses: &self.addresses,
            labels: &self.labels,
            platform: self.platform,
            roster: self.roster,
            last_seen,
            enrolled,
            quarantined,
            order,
        }
    }
}

fn maybe<T: Clone + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = Option<T>> {
    prop::option::of(select(all.to_vec()))
}

fn machine() -> impl Strategy<Value = Machine> {
    let short = || "[a-cA-C0-2-]{0,3}";
    let time = || prop::option::of((0..=40_000_u64).prop_map(|hours| NOW.minus(Duration::from_secs(3_600 * hours))));
    let product = "[a-c0-2-]{1,3}".prop_map(|text| ProductId::new(text).expect("valid"));
    let under = (select(Lane::ALL.to_vec()), maybe(Presence::ALL), maybe(Protection::ALL));
    (
        prop::collection::vec(short(), 8),
        prop::collection::vec(short(), 0..3),
        prop::collection::vec("[a-c0-2-]{1,3}", 0..3),
        prop::option::of(prop::collection::vec(product, 0..3)),
        (maybe(Platform::ALL), maybe(RosterState::ALL)),
        [time(), time(), time()],
        any::<[bool; 4]>(),
        prop::option::of(under),
    )
        .prop_map(|(texts, addresses, labels, products, (platform, roster), times, flags, order)| Machine {
            texts,
            addresses,
            labels,
            products,
            platform,
            roster,
            times,
            flags,
            order,
        })
}

fn assert_reads_back(filter: &Filter) {
    let text = filter.to_string();
    assert!(text.len() <= MOST_BYTES);
    let again = Filter::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(again, *filter, "{text}");
    assert_eq!(again.to_string(), text);
}

fn read(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused_at_one_of_its_columns(text in any::<String>()) {
        match Filter::parse(&text) {
            Ok(filter) => assert_reads_back(&filter),
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.column), "{error}"),
        }
    }

    #[test]
    fn pieces_of_the_language_in_any_order_are_read_or_refused_at_one_of_their_columns(text in pieces()) {
        match Filter::parse(&text) {
            Ok(filter) => assert_reads_back(&filter),
            Err(error) => {
                prop_assert!((1..=text.chars().count() + 1).contains(&error.column), "{error}");
                let _ = (error.to_string(), error.advice());
            }
        }
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_filter(terms in prop::collection::vec(term_text(), 0..8)) {
        let mut seen = false;
        // The language has at most one order.
        let is_first = |term: &String| !term.starts_with("order:") || !std::mem::replace(&mut seen, true);
        let terms: Vec<String> = terms.into_iter().filter(is_first).collect();
        let filter = read(&terms.join(" "));
        prop_assert_eq!(filter.terms().len(), terms.len());
        assert_reads_back(&filter);
    }

    #[test]
    fn a_negated_term_is_the_complement(text in term_text(), machine in machine()) {
        let filter = read(&text);
        let host = machine.fields();
        for term in filter.terms() {
            let opposite = Term { negated: !term.negated, condition: term.condition.clone() };
            prop_assert_ne!(term.matches(&host, NOW), opposite.matches(&host, NOW));
        }
        if !text.starts_with("order:") {
            let opposite = text.strip_prefix('-').map_or_else(|| format!("-{text}"), str::to_owned);
            prop_assert_ne!(filter.matches(&host, NOW), read(&opposite).matches(&host, NOW));
        }
    }

    #[test]
    fn a_list_matches_if_one_of_its_values_does((key, values) in keyed(), machine in machine()) {
        let host = machine.fields();
        let one = |value: &String| read(&format!("{key}:{value}")).matches(&host, NOW);
        prop_assert_eq!(read(&format!("{key}:{}", values.join(","))).matches(&host, NOW), values.iter().any(one));
    }

    #[test]
    fn a_filter_matches_if_all_of_its_terms_do(
        terms in prop::collection::vec(term_text(), 0..4),
        machine in machine(),
    ) {
        let host = machine.fields();
        let terms: Vec<String> = terms.into_iter().filter(|term| !term.starts_with("order:")).collect();
        let all = terms.iter().all(|term| read(term).matches(&host, NOW));
        prop_assert_eq!(read(&terms.join(" ")).matches(&host, NOW), all);
    }
}
