//! What each key reads, and how it is written back.

use muster_proto::model::{Lane, OrderId, Platform, Presence, Protection, Timestamp};

use crate::filter::{
    Choice, Comparison, Condition, Filter, FilterKey, Moment, RosterMatch, RosterState, SearchText, SilentMatch, Span,
    SpanUnit, TextMatch, TimeComparison, TimeMatch,
};

fn parse(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn only(text: &str) -> Condition {
    let filter = parse(text);
    let [term] = filter.terms() else { panic!("{text}: {} terms", filter.terms().len()) };
    assert!(!term.negated, "{text}");
    term.condition.clone()
}

fn is(text: &str) -> TextMatch {
    TextMatch::Is(text.to_owned())
}

fn begins(text: &str) -> TextMatch {
    TextMatch::StartsWith(text.to_owned())
}

fn contains(text: &str) -> SearchText {
    SearchText::Contains(text.to_owned())
}

fn compared(comparison: Comparison, with: Moment) -> TimeMatch {
    TimeMatch::Compared(TimeComparison { comparison, with })
}

fn span(count: u64, unit: SpanUnit) -> Span {
    Span::new(count, unit).expect("in range")
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("valid")
}

#[test]
fn every_key_reads_its_kind_of_value() {
    let order = OrderId::new("us-bis-icts-2021-002").expect("valid");
    let seven_days = Moment::Ago(span(7, SpanUnit::Days));
    let october = Moment::At(at("2026-10-01T00:00:00Z"));
    let rows = [
        ("order:us-bis-icts-2021-002", Condition::Order(order)),
        ("lane:replace,none,any", Condition::Lane(vec![Choice::Is(Lane::Replace), Choice::None, Choice::Any])),
        ("overdue:yes", Condition::Overdue(true)),
        ("silent:no", Condition::Silent(SilentMatch::No)),
        ("silent:>=12h", Condition::Silent(SilentMatch::For(Comparison::AtLeast, span(12, SpanUnit::Hours)))),
        ("site:lab,dc-*", Condition::Site(vec![is("lab"), begins("dc-")])),
        ("label:wave-3,none", Condition::Label(vec![is("wave-3"), TextMatch::None])),
        ("owner:\"Doe, Jane\",Bob", Condition::Owner(vec![is("doe, jane"), is("bob")])),
        ("platform:windows,*", Condition::Platform(vec![Choice::Is(Platform::Windows), Choice::Any])),
        ("os:debian*", Condition::Os(vec![begins("debian")])),
        ("name:PC-17", Condition::Name(vec![is("pc-17")])),
        ("serial:any", Condition::Serial(vec![TextMatch::Any])),
        (
            "roster:review,yes,no",
            Condition::Roster(vec![RosterMatch::State(RosterState::Review), RosterMatch::Yes, RosterMatch::No]),
        ),
        (
            "product:kaspersky-*,kaspersky-endpoint-security",
            Condition::Product(vec![begins("kaspersky-"), is("kaspersky-endpoint-security")]),
        ),
        ("presence:none,any", Condition::Presence(vec![Choice::Is(Presence::None), Choice::Any])),
        (
            "protection:none,not-required",
            Condition::Protection(vec![Choice::Is(Protection::None), Choice::Is(Protection::NotRequired)]),
        ),
        ("agent:0.1.*", Condition::Agent(vec![begins("0.1.")])),
        ("last-seen:>7d,none", Condition::LastSeen(vec![compared(Comparison::More, seven_days), TimeMatch::None])),
        ("since:<=7d", Condition::Since(vec![compared(Comparison::AtMost, seven_days)])),
        ("enrolled:<2026-10-01", Condition::Enrolled(vec![compared(Comparison::Less, october)])),
        ("waiver:no", Condition::Waiver(false)),
        ("quarantined:yes", Condition::Quarantined(true)),
    ];
    for (text, expected) in &rows {
        assert_eq!(only(text), *expected, "{text}");
    }
    let seen: std::collections::BTreeSet<_> = rows.iter().filter_map(|(_, condition)| condition.key()).collect();
    assert_eq!(seen.len(), FilterKey::ALL.len(), "a key has no row here");
}

#[test]
fn every_member_of_a_closed_list_is_read_and_written_back() {
    for lane in Lane::ALL {
        assert_eq!(only(&format!("lane:{lane}")), Condition::Lane(vec![Choice::Is(*lane)]));
    }
    for platform in Platform::ALL {
        assert_eq!(only(&format!("platform:{platform}")), Condition::Platform(vec![Choice::Is(*platform)]));
    }
    for presence in Presence::ALL {
        assert_eq!(only(&format!("presence:{presence}")), Condition::Presence(vec![Choice::Is(*presence)]));
    }
    for protection in Protection::ALL {
        assert_eq!(only(&format!("protection:{protection}")), Condition::Protection(vec![Choice::Is(*protection)]));
    }
    for state in RosterState::ALL {
        let text = format!("roster:{}", state.name());
        assert_eq!(only(&text), Condition::Roster(vec![RosterMatch::State(*state)]));
        assert_eq!(parse(&text).to_string(), text);
    }
}

#[test]
fn a_filter_is_written_in_its_canonical_form() {
    let rows = [
        ("", ""),
        ("  \t\n ", ""),
        (
            "lane:replace,remove silent:>7d -site:lab \"owner:Jane Doe\"",
            "lane:replace,remove silent:>7d -site:lab owner:\"jane doe\"",
        ),
        ("  LANE:Replace   -Site:Lab ", "lane:replace -site:lab"),
        ("lane:replace,replace,remove", "lane:replace,remove"),
        ("owner:*", "owner:any"),
        ("owner:NONE,\"none\"", "owner:none,\"none\""),
        ("owner:\"any\"*", "owner:\"any\"*"),
        ("owner:anya", "owner:anya"),
        ("owner:CORP\\jane", "owner:\"corp\\\\jane\""),
        ("owner:\"a \\\"b\\\" \\\\ c\"", "owner:\"a \\\"b\\\" \\\\ c\""),
        ("owner:\"J*\"", "owner:\"j*\""),
        ("owner:\"Jane D\"*", "owner:\"jane d\"*"),
        ("serial:AB:CD", "serial:\"ab:cd\""),
        ("name:\">5\"", "name:\">5\""),
        ("silent:>007d", "silent:>7d"),
        ("since:>4w,<30m", "since:>4w,<30m"),
        ("enrolled:>=2026-10-01T02:00:00+02:00", "enrolled:>=2026-10-01"),
        ("enrolled:<2026-10-01T10:30:00Z", "enrolled:<2026-10-01T10:30:00Z"),
        ("enrolled:<\"2026-10-01t10:30:00.5z\"", "enrolled:<2026-10-01T10:30:00.5Z"),
        ("Web*", "web*"),
        ("web,DB", "web,db"),
        ("-web", "-web"),
        ("\"-web\"", "\"-web\""),
        ("-\"-web\"", "-\"-web\""),
        ("\"fe80::1\"", "\"fe80::1\""),
        ("\"AND\"", "\"and\""),
        ("name:and", "name:\"and\""),
        ("\"Jane Doe\"*", "\"jane doe\"*"),
        ("owner:Müller", "owner:müller"),
    ];
    for (typed, canonical) in rows {
        let filter = parse(typed);
        assert_eq!(filter.to_string(), canonical, "{typed}");
        assert_eq!(parse(canonical), filter, "{typed}");
    }
}

#[test]
fn quotes_around_a_whole_term_protect_its_spaces() {
    let rows = [
        ("\"owner:Jane Doe\"", "owner:\"Jane Doe\""),
        ("-\"owner:Jane Doe\"", "-owner:\"Jane Doe\""),
        ("\"-owner:Jane Doe\"", "-owner:\"Jane Doe\""),
        ("\"owner: Jane Doe , bob* \"", "owner:\"Jane Doe\",bob*"),
        ("\"owner:\\\"Doe, Jane\\\" , bob\"", "owner:\"Doe, Jane\",bob"),
        ("\"last-seen:> 7d, none\"", "last-seen:>7d,none"),
        ("\"owner: *\"", "owner:any"),
        ("\"lane:replace,remove\" web", "lane:replace,remove web"),
    ];
    for (whole, plain) in rows {
        assert_eq!(parse(whole), parse(plain), "{whole}");
    }
}

#[test]
fn text_without_a_key_is_searched_for() {
    let rows = [
        ("web", vec![contains("web")]),
        ("\"Jane Doe\",bob", vec![contains("jane doe"), contains("bob")]),
        ("10.14.7.*", vec![SearchText::StartsWith("10.14.7.".to_owned())]),
        ("\"00:1B:63:84:45:E6\"", vec![contains("00:1b:63:84:45:e6")]),
        ("and,or", vec![contains("and"), contains("or")]),
        ("web,\"lane:replace\"", vec![contains("web"), contains("lane:replace")]),
        ("C:\\x".trim_start_matches("C:"), vec![contains("\\x")]),
        (">7d", vec![contains(">7d")]),
    ];
    for (text, expected) in rows {
        assert_eq!(only(text), Condition::Search(expected), "{text}");
    }
    assert_eq!(parse("web db").terms().len(), 2, "two words are two terms");
}

#[test]
fn the_order_is_known_and_so_is_whether_one_is_needed() {
    let filter = parse("site:lab order:eu-x lane:replace");
    assert_eq!(filter.order().map(OrderId::as_str), Some("eu-x"));
    assert_eq!(parse("lane:replace").order(), None);
    for text in [
        "order:eu-x",
        "lane:replace",
        "overdue:no",
        "silent:yes",
        "silent:no",
        "since:>7d",
        "presence:any",
        "protection:any",
        "product:none",
        "-waiver:yes",
    ] {
        assert!(parse(text).needs_order(), "{text}");
        assert!(parse(&format!("web {text}")).needs_order(), "{text}");
    }
    for text in [
        "",
        "web",
        "silent:>7d",
        "site:lab",
        "label:x",
        "owner:x",
        "platform:linux",
        "os:x",
        "name:x",
        "serial:x",
        "roster:yes",
        "agent:x",
        "last-seen:>7d",
        "enrolled:>7d",
        "quarantined:yes",
    ] {
        assert!(!parse(text).needs_order(), "{text}");
    }
}

#[test]
fn a_filter_at_its_limits_is_read() {
    let terms = vec!["a"; 64].join(" ");
    assert_eq!(parse(&terms).terms().len(), 64);
    let values: Vec<String> = (0..200).map(|n| format!("s{n}")).collect();
    let Condition::Site(found) = only(&format!("site:{}", values.join(","))) else { panic!("a site") };
    assert_eq!(found.len(), 200);
    let long = "x".repeat(2_000);
    assert_eq!(only(&long), Condition::Search(vec![contains(&long)]));
    assert_eq!(only("label:abcdefghijklmnopqrstuvwxyz-0123456789-42").to_string().len(), "label:".len() + 40);
}

#[test]
fn a_filter_without_terms_is_empty() {
    assert!(parse(" ").is_empty());
    assert_eq!(parse(""), Filter::default());
    assert!(!parse("web").is_empty());
    assert_eq!("lane:replace".parse::<Filter>(), Filter::parse("lane:replace"));
}

#[test]
fn each_key_says_what_it_takes() {
    assert_eq!(FilterKey::Overdue.takes(), "yes or no");
    assert_eq!(FilterKey::Platform.takes(), "linux, windows, macos, any or none");
    assert_eq!(FilterKey::Roster.takes(), "matched, outside, review, yes or no");
    for key in FilterKey::ALL {
        assert!(!key.takes().is_empty(), "{key}");
        assert_eq!(FilterKey::from_name(&key.name().to_uppercase()), Some(*key));
    }
}
