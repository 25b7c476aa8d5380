//! Which hosts match, by examples.

use std::time::Duration;

use muster_proto::model::{Lane, Platform, Presence, ProductId, Protection, Timestamp};

use crate::filter::{Filter, HostFields, OrderFields, RosterState};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-30T12:00:00Z").expect("valid")
}

/// A host as its fields borrow it.
struct Machine {
    addresses: Vec<String>,
    labels: Vec<String>,
    products: Vec<ProductId>,
}

impl Machine {
    fn new() -> Self {
        Self {
            addresses: vec!["10.14.7.22".to_owned(), "fe80::1".to_owned(), "00:1b:63:84:45:e6".to_owned()],
            labels: vec!["wave-3".to_owned(), "vip".to_owned()],
            products: vec![ProductId::new("kaspersky-endpoint-security").expect("valid")],
        }
    }

    fn fields(&self) -> HostFields<'_> {
        HostFields {
            name: "PC-17",
            fqdn: "pc-17.Example.org",
            serial: "CZC1234",
            asset_tag: "A-0042",
            addresses: &self.addresses,
            owner: "Doe, Jane",
            site: "lab",
            labels: &self.labels,
            platform: Some(Platform::Linux),
            os: "Debian GNU/Linux 12 (bookworm)",
            agent: "0.1.0",
            roster: Some(RosterState::Matched),
            last_seen: Some(now().minus(8 * DAY)),
            enrolled: Some(now().minus(100 * DAY)),
            quarantined: false,
            order: Some(OrderFields {
                lane: Lane::Replace,
                overdue: true,
                silent: false,
                since: Some(now().minus(30 * DAY)),
                presence: Some(Presence::Active),
                protection: Some(Protection::None),
                products: Some(&self.products),
                waived: false,
            }),
        }
    }
}

/// Nothing is known of it, and no order applies.
const UNKNOWN: HostFields<'static> = HostFields {
    name: "",
    fqdn: "",
    serial: "",
    asset_tag: "",
    addresses: &[],
    owner: "",
    site: "",
    labels: &[],
    platform: None,
    os: "",
    agent: "",
    roster: None,
    last_seen: None,
    enrolled: None,
    quarantined: false,
    order: None,
};

fn matches(text: &str, host: &HostFields<'_>) -> bool {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).matches(host, now())
}

fn assert_match(host: &HostFields<'_>, texts: &[&str]) {
    for text in texts {
        assert!(matches(text, host), "{text} should match");
        assert!(!matches(&format!("-{text}"), host), "-{text} should not match");
    }
}

fn assert_no_match(host: &HostFields<'_>, texts: &[&str]) {
    for text in texts {
        assert!(!matches(text, host), "{text} should not match");
        assert!(matches(&format!("-{text}"), host), "-{text} should match");
    }
}

#[test]
fn a_host_matches_by_each_key() {
    let machine = Machine::new();
    let host = machine.fields();
    assert_match(
        &host,
        &[
            "lane:replace,remove",
            "lane:any",
            "overdue:yes",
            "silent:no",
            "silent:>7d",
            "site:lab",
            "site:l*",
            "label:vip",
            "label:wave-*",
            "label:any",
            "owner:\"doe, JANE\"",
            "owner:doe*",
            "platform:linux",
            "os:debian*",
            "name:pc-17",
            "name:PC*",
            "serial:czc1234",
            "roster:matched",
            "roster:yes",
            "product:kaspersky-*",
            "presence:active,installed",
            "protection:none",
            "agent:0.1*",
            "last-seen:>7d",
            "since:>=30d",
            "enrolled:<2026-10-01",
            "waiver:no",
            "quarantined:no",
        ],
    );
    assert_no_match(
        &host,
        &[
            "lane:remove",
            "lane:none",
            "overdue:no",
            "silent:yes",
            "silent:<7d",
            "site:labor",
            "site:none",
            "label:wave",
            "label:none",
            "owner:jane",
            "owner:none",
            "platform:windows,macos",
            "os:debian",
            "name:pc",
            "serial:czc",
            "roster:outside,review",
            "roster:no",
            "product:kaspersky",
            "product:none",
            "presence:none",
            "protection:approved",
            "agent:0.1",
            "last-seen:<7d",
            "last-seen:none",
            "since:>30d",
            "enrolled:>2026-10-01",
            "waiver:yes",
            "quarantined:yes",
        ],
    );
    assert!(matches("order:eu-x", &host));
}

#[test]
fn what_is_unknown_matches_no_value_and_every_negation() {
    assert_no_match(
        &UNKNOWN,
        &[
            "lane:any",
            "lane:unknown",
            "overdue:no",
            "overdue:yes",
            "silent:yes",
            "silent:no",
            "silent:<7d",
            "site:any",
            "label:any",
            "owner:any",
            "platform:any",
            "os:any",
            "name:any",
            "serial:any",
            "roster:yes",
            "roster:no",
            "product:any",
            "product:none",
            "presence:any",
            "presence:none",
            "protection:none,any",
            "agent:any",
            "last-seen:any",
            "last-seen:>7d",
            "last-seen:<7d",
            "since:>7d",
            "enrolled:>7d",
            "waiver:no",
            "pc",
        ],
    );
    assert_match(
        &UNKNOWN,
        &[
            "lane:none",
            "site:none",
            "label:none",
            "owner:none",
            "platform:none",
            "os:none",
            "name:none",
            "serial:none",
            "agent:none",
            "last-seen:none",
            "since:none",
            "enrolled:none",
            "silent:>7d",
        ],
    );
    assert!(!matches("order:eu-x", &UNKNOWN), "the order does not apply to it");
    assert!(matches("", &UNKNOWN));
}

#[test]
fn a_host_that_waits_for_its_first_judgement_has_no_products_and_is_not_without_them() {
    let machine = Machine::new();
    let waiting = OrderFields {
        lane: Lane::Unknown,
        overdue: false,
        silent: false,
        since: None,
        presence: None,
        protection: None,
        products: None,
        waived: false,
    };
    let host = HostFields { order: Some(waiting), ..machine.fields() };
    assert_match(&host, &["lane:unknown", "silent:no", "since:none"]);
    assert_no_match(&host, &["product:none", "product:any", "presence:none,any", "protection:none,any"]);
    let judged = HostFields { order: Some(OrderFields { products: Some(&[]), ..waiting }), ..machine.fields() };
    assert_match(&judged, &["product:none"]);
}

#[test]
fn every_term_must_match_and_one_value_of_each() {
    let machine = Machine::new();
    let host = machine.fields();
    assert!(matches("lane:replace,done site:hq,lab -owner:none pc-17", &host));
    assert!(!matches("lane:replace,done site:hq -owner:none pc-17", &host));
    assert!(!matches("lane:replace,done -site:hq,lab", &host), "a negated list excludes each of its values");
}

#[test]
fn a_text_is_searched_for_in_every_field_that_names_a_host() {
    let machine = Machine::new();
    let host = machine.fields();
    assert_match(
        &host,
        &[
            "C-1",
            "example.ORG",
            "czc",
            "a-00*",
            "14.7.22",
            "10.14.*",
            "jane",
            "\"doe, j\"",
            "\"DOE, J\"*",
            "\"fe80::\"*",
            "\"63:84\"",
            "nothing,jane",
        ],
    );
    assert_no_match(&host, &["wave-3", "lab", "debian", "kaspersky", "c-1*", "14.7*", "jane*"]);
}

#[test]
fn a_bound_is_exact_to_the_millisecond() {
    let tick = Duration::from_millis(1);
    let seen = |at: Timestamp| HostFields { last_seen: Some(at), ..UNKNOWN };
    let then = now().minus(7 * DAY);
    let rows = [
        ("last-seen:>7d", [true, false, false]),
        ("last-seen:>=7d", [true, true, false]),
        ("last-seen:<7d", [false, false, true]),
        ("last-seen:<=7d", [false, true, true]),
        ("silent:>7d", [true, false, false]),
        ("silent:>=7d", [true, true, false]),
        ("silent:<7d", [false, false, true]),
        ("silent:<=7d", [false, true, true]),
        ("last-seen:<2026-11-23T12:00:00Z", [true, false, false]),
        ("last-seen:<=2026-11-23T12:00:00Z", [true, true, false]),
        ("last-seen:>2026-11-23T12:00:00Z", [false, false, true]),
        ("last-seen:>=2026-11-23T14:00:00+02:00", [false, true, true]),
        ("last-seen:>=1w", [true, true, false]),
        ("last-seen:<168h", [false, false, true]),
        ("last-seen:<=10080m", [false, true, true]),
    ];
    for (text, expected) in rows {
        let found = [then.minus(tick), then, then.plus(tick)].map(|at| matches(text, &seen(at)));
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_date_begins_at_midnight_in_utc() {
    let enrolled = |text: &str| HostFields { enrolled: Timestamp::parse_rfc3339(text).ok(), ..UNKNOWN };
    let (last, first) = (enrolled("2026-09-30T23:59:59.999Z"), enrolled("2026-10-01T00:00:00Z"));
    assert!(matches("enrolled:<2026-10-01", &last) && !matches("enrolled:<2026-10-01", &first));
    assert!(!matches("enrolled:>=2026-10-01", &last) && matches("enrolled:>=2026-10-01", &first));
}

#[test]
fn a_host_that_never_checked_in_is_silent_since_it_enrolled() {
    let fresh = HostFields { enrolled: Some(now().minus(HOUR)), ..UNKNOWN };
    assert_match(&fresh, &["silent:<2h", "last-seen:none"]);
    assert_no_match(&fresh, &["silent:>2h", "last-seen:>30m"]);
    let old = HostFields { enrolled: Some(now().minus(30 * DAY)), ..UNKNOWN };
    assert_match(&old, &["silent:>7d", "last-seen:>7d,none"]);
    // A check-in counts, not the enrollment.
    let awake = HostFields { last_seen: Some(now().minus(HOUR)), ..old };
    assert_no_match(&awake, &["silent:>7d"]);
}

#[test]
fn review_is_neither_on_the_roster_nor_outside() {
    let rows = [
        (RosterState::Matched, true, false),
        (RosterState::Missing, true, false),
        (RosterState::Excused, true, false),
        (RosterState::Outside, false, true),
        (RosterState::Review, false, false),
    ];
    for (state, yes, no) in rows {
        let host = HostFields { roster: Some(state), ..UNKNOWN };
        assert_eq!((matches("roster:yes", &host), matches("roster:no", &host)), (yes, no), "{}", state.name());
        assert!(matches(&format!("roster:{}", state.name()), &host));
    }
}

#[test]
fn only_the_case_of_ascii_letters_does_not_matter() {
    let host = HostFields { owner: "Jürgen MÜLLER", ..UNKNOWN };
    assert_match(&host, &["owner:\"jürgen mÜller\"", "jÜrgen,JÜRGEN,JüRGEN"]);
    assert_no_match(&host, &["owner:\"jürgen müller\""]);
}
