//! Each mistake with the exact text that a person reads.

use crate::filter::{Filter, FilterError};

fn refused(text: &str) -> FilterError {
    match Filter::parse(text) {
        Ok(filter) => panic!("{text} was read as {filter}"),
        Err(error) => error,
    }
}

#[test]
fn each_mistake_is_named_with_its_column() {
    let rows = [
        ("web   lan:replace", "column 7: there is no key \"lan\"; did you mean lane?"),
        ("ünï -lan:x", "column 6: there is no key \"lan\"; did you mean lane?"),
        ("lats-seen:>7d", "column 1: there is no key \"lats-seen\"; did you mean last-seen?"),
        ("fe80::1", "column 1: there is no key \"fe80\""),
        ("\"ownr:Jane Doe\"", "column 2: there is no key \"ownr\"; did you mean owner?"),
        ("--site:lab", "column 2: there is no key \"-site\"; did you mean site?"),
        ("web :x", "column 5: there is no key before the colon"),
        ("lane:replce", "column 6: lane has no value \"replce\"; did you mean replace?"),
        ("lane:replace,colour", "column 14: lane has no value \"colour\""),
        ("platform:windos", "column 10: platform has no value \"windos\"; did you mean windows?"),
        ("presence:instaled", "column 10: presence has no value \"instaled\"; did you mean installed?"),
        ("protection:aproved", "column 12: protection has no value \"aproved\"; did you mean approved?"),
        ("roster:outsde", "column 8: roster has no value \"outsde\"; did you mean outside?"),
        ("roster:none", "column 8: roster has no value \"none\""),
        ("overdue:yess", "column 9: overdue has no value \"yess\"; did you mean yes?"),
        ("waiver:none", "column 8: waiver has no value \"none\""),
        ("silent:always", "column 8: silent has no value \"always\""),
        ("overdue:yes,no", "column 13: overdue takes only one value"),
        ("silent:yes,>7d", "column 12: silent takes only one value"),
        ("quarantined:y*", "column 13: quarantined takes no *"),
        ("lane:re*", "column 6: lane takes no *"),
        ("silent:*", "column 8: silent takes no *"),
        ("since:2026*", "column 7: since takes no *"),
        ("owner:\"Jane Doe", "column 7: the quote is not closed"),
        ("\"Jane Doe", "column 1: the quote is not closed"),
        ("owner:\"Jane\\\"", "column 7: the quote is not closed"),
        ("owner:Ja\"ne", "column 9: a quote is only allowed at the beginning of a value"),
        ("ow\"ner:Jane", "column 3: a quote is only allowed at the beginning of a value"),
        ("owner:\"Jane\"Doe", "column 13: expected a space or a comma after the closing quote"),
        ("\"owner\":Jane", "column 8: expected a space or a comma after the closing quote"),
        ("\"owner:Jane\",bob", "column 13: expected a space after the closing quote"),
        ("owner:\"a\\n\"", "column 9: in quotes, a backslash is only allowed before a quote or another backslash"),
        ("name:w*b", "column 7: name: * is only allowed at the end of a value"),
        ("name:web**", "column 9: name: * is only allowed at the end of a value"),
        ("w*b", "column 2: the text to search for: * is only allowed at the end of a value"),
        ("*", "column 1: * alone needs a key"),
        ("lane:", "column 6: lane has an empty value"),
        ("lane:replace, remove", "column 14: lane has an empty value"),
        ("lane:,remove", "column 6: lane has an empty value"),
        ("owner:\"\"", "column 7: owner has an empty value"),
        ("owner:\"\"*", "column 7: owner has an empty value"),
        ("\"owner:\"", "column 8: owner has an empty value"),
        ("last-seen:>", "column 12: last-seen has an empty value"),
        ("web -", "column 6: the text to search for has an empty value"),
        ("web,fe80::1", "column 9: text without a key must be in quotes if it has a colon"),
        ("lane:replace AND site:lab", "column 14: \"AND\" is not an operator"),
        ("name:>5", "column 6: name cannot be compared with >"),
        ("agent:x,<=0.2", "column 9: agent cannot be compared with <="),
        ("lane:>=replace", "column 6: lane cannot be compared with >="),
        ("overdue:<7d", "column 9: overdue cannot be compared with <"),
        ("last-seen:7d", "column 11: last-seen needs a comparison before \"7d\""),
        ("enrolled:2026-10-01", "column 10: enrolled needs a comparison before \"2026-10-01\""),
        ("silent:7d", "column 8: silent needs a comparison before \"7d\""),
        ("silent:>2026-10-01", "column 9: silent: \"2026-10-01\" is not a span such as 7d"),
        ("silent:>3y", "column 9: silent: there is no unit \"y\" in \"3y\"; use m, h, d or w"),
        ("since:>=5D", "column 9: since: there is no unit \"D\" in \"5D\"; use m, h, d or w"),
        ("since:>0d", "column 8: since: \"0d\" is not between 1m and 36500d"),
        ("since:>36501d", "column 8: since: \"36501d\" is not between 1m and 36500d"),
        (
            "since:>99999999999999999999999w",
            "column 8: since: \"99999999999999999999999w\" is not between 1m and 36500d",
        ),
        (
            "since:>7",
            "column 8: since: \"7\" is neither a span such as 7d nor a date such as 2026-10-01 nor an RFC 3339 instant",
        ),
        (
            "since:<2026-10-01T10:00",
            "column 8: since: \"2026-10-01T10:00\" is neither a span such as 7d nor a date such as 2026-10-01 nor an \
             RFC 3339 instant",
        ),
        ("enrolled:<2026-02-30", "column 11: enrolled: there is no date 2026-02-30"),
        ("enrolled:<2026-13-01T00:00:00Z", "column 11: enrolled: there is no date 2026-13-01"),
        ("enrolled:<1969-12-31", "column 11: enrolled: \"1969-12-31\" is not in the years 1970 to 9999 of UTC"),
        (
            "enrolled:<9999-12-31T23:59:59-01:00",
            "column 11: enrolled: \"9999-12-31T23:59:59-01:00\" is not in the years 1970 to 9999 of UTC",
        ),
        ("label:wave_3", "column 7: label cannot be \"wave_3\": only a-z, 0-9 and '-' are allowed"),
        ("label:\"wave 3\"", "column 7: label cannot be \"wave 3\": only a-z, 0-9 and '-' are allowed"),
        ("label:x,w.*", "column 9: label cannot be \"w.\": only a-z, 0-9 and '-' are allowed"),
        (
            "label:abcdefghijklmnopqrstuvwxyz-0123456789-abc",
            "column 7: label cannot be \"abcdefghijklmnopqrstuvwxyz-0123456789-abc\": expected 1 to 40 characters",
        ),
        ("site:a/b", "column 6: site cannot be \"a/b\": only a-z, 0-9, '.', '-' and '_' are allowed"),
        ("product:\"a b\"", "column 9: product cannot be \"a b\": only a-z, 0-9, '.', '-' and '_' are allowed"),
        ("order:a+b", "column 7: order cannot be \"a+b\": only a-z, 0-9, '.', '-' and '_' are allowed"),
        ("order:a*", "column 7: order takes no *"),
        ("order:a,b", "column 9: order takes only one value"),
        ("-order:a", "column 2: order cannot be negated"),
        ("order:a lane:done order:a", "column 19: order is given twice"),
        ("a\u{0}b", "column 2: control characters such as U+0000 are not allowed"),
        ("owner:\"a\tb\"", "column 9: control characters such as U+0009 are not allowed"),
    ];
    for (text, expected) in rows {
        assert_eq!(refused(text).to_string(), expected, "{text}");
    }
}

#[test]
fn each_limit_is_named() {
    let rows = [
        ("é".repeat(1_001), "column 1001: the filter has 2002 bytes; at most 2000 are allowed"),
        (vec!["a"; 65].join(" "), "column 129: the filter has more than 64 terms"),
        (format!("site:a{}", ",a".repeat(200)), "column 406: site has more than 200 values"),
        (format!("a{}", ",a".repeat(200)), "column 401: the text to search for has more than 200 values"),
        (
            format!(
                "os:{}",
                vec!["x\\"; 195].iter().enumerate().map(|(n, x)| format!("{n}{x}0000")).collect::<Vec<_>>().join(",")
            ),
            "column 1: the filter has 2427 bytes when it is written in full; at most 2000 are allowed",
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(refused(&text).to_string(), expected, "{}", text.chars().take(40).collect::<String>());
    }
}

#[test]
fn a_long_text_is_cut_in_the_message() {
    let long = "k".repeat(1_500);
    let expected = format!("column 1: there is no key \"{}…\"", "k".repeat(60));
    assert_eq!(refused(&format!("{long}:x")).to_string(), expected);
    let expected = format!("column 6: lane has no value \"{}…\"", "k".repeat(60));
    assert_eq!(refused(&format!("lane:{long}")).to_string(), expected);
}

#[test]
fn advice_says_what_to_type_instead() {
    let rows = [
        ("waiver:maybe", "waiver takes yes or no"),
        ("name:>5", "name takes exact texts, prefixes such as web*, any or none"),
        (
            "last-seen:7d",
            "last-seen takes >7d (more than 7 days ago), <7d (less than 7 days ago), <2026-10-01 (before that day in UTC), an \
             RFC 3339 time after < or >, any or none",
        ),
        (
            "a or b",
            "terms are joined by spaces, values by commas, and - negates a term; to search for the text, write \
             \"or\" in quotes",
        ),
        ("*", "for hosts that have an owner, use owner:*"),
        (
            "lane:",
            "lane takes retired, waived, missing, replace, remove, silent, unknown, protect, confirm, done, clear, \
             any or none",
        ),
        ("w*b", "put a text that contains * in quotes"),
        (
            "fe80::1",
            "the keys are order, lane, overdue, silent, site, label, owner, platform, os, name, serial, roster, \
             product, presence, protection, agent, last-seen, since, enrolled, waiver, quarantined; put a text that \
             has a colon in quotes to search for it",
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(refused(text).advice().as_deref(), Some(expected), "{text}");
    }
    assert_eq!(refused("owner:\"x").advice(), None);
}

#[test]
fn advice_that_names_a_quoted_form_leads_to_a_filter() {
    for text in ["\"fe80::1\"", "\"or\"", "\"w*b\"", "owner:*", "owner:\"Ja\\\"ne\"", "owner:\"a\\\\n\""] {
        assert!(Filter::parse(text).is_ok(), "{text}");
    }
}
