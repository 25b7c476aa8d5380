//! When clocks run out, and which are refused.

use muster_proto::model::Timestamp;

use super::{Clock, Per, Starts, Unit};
use crate::rules::order::Order;
use crate::rules::toml_reader::{RuleFile, TomlReader};
use crate::rules::zone::Zone;
use crate::rules::{RuleSet, load, order_file};

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("valid")
}

fn clock(within: u32, unit: Unit) -> Clock {
    Clock {
        id: "c".to_owned(),
        starts: Starts::Found,
        from: None,
        until: None,
        within,
        unit,
        per: Per::Order,
        what: "report".to_owned(),
        fields: Vec::new(),
        confirmed: true,
    }
}

fn shipped() -> RuleSet {
    load(None).expect("the shipped rules")
}

#[test]
fn a_clock_runs_out_when_its_last_day_ends_in_the_zone_of_the_order() {
    let rules = shipped();
    let order = rules.order("us-far-52.204-23").expect("shipped");
    let calendar = order.calendar.as_deref();
    for (within, unit, event, due) in [
        // Friday before Labor Day: Tuesday, Wednesday, Thursday.
        (3, Unit::BusinessDay, "2026-09-04T12:00:00-04:00", "2026-09-11T00:00:00-04:00"),
        // The last minute of Friday in New York is Saturday in UTC.
        (3, Unit::BusinessDay, "2026-09-05T03:59:59Z", "2026-09-11T00:00:00-04:00"),
        (1, Unit::BusinessDay, "2026-09-05T04:00:00Z", "2026-09-09T00:00:00-04:00"),
        (30, Unit::Day, "2017-09-13T00:00:00-04:00", "2017-10-14T00:00:00-04:00"),
        // Clocks are put forward on 8 March and back on 1 November.
        (1, Unit::Day, "2026-03-07T23:00:00-05:00", "2026-03-09T00:00:00-04:00"),
        (1, Unit::Day, "2026-10-31T23:00:00-04:00", "2026-11-02T00:00:00-05:00"),
        (24, Unit::Hour, "2026-03-07T23:00:00-05:00", "2026-03-09T00:00:00-04:00"),
        (1, Unit::Month, "2024-01-31T10:00:00-05:00", "2024-03-01T00:00:00-05:00"),
        (1, Unit::Month, "2023-01-31T10:00:00-05:00", "2023-03-01T00:00:00-05:00"),
        (12, Unit::Month, "2024-02-29T10:00:00-05:00", "2025-03-01T00:00:00-05:00"),
        (36_525, Unit::Month, "9990-01-01T00:00:00Z", "9999-12-30T00:00:00-05:00"),
    ] {
        let found = clock(within, unit).due(at(event), &order.zone, calendar);
        if within < 36_525 {
            assert_eq!(found, at(due), "{within} {unit:?} after {event}");
        } else {
            assert!(found > at(due), "{found}");
        }
    }
    let _ = clock(u32::MAX, Unit::Hour).due(Timestamp::from_millis(i64::MAX), &Zone::default(), None);
}

#[test]
fn the_federal_contractor_has_three_business_days_and_had_one_until_december_2023() {
    let rules = shipped();
    let order = rules.order("us-far-52.204-23").expect("shipped");
    let running = |event: &str| -> Vec<(&str, u32)> {
        let clocks = order.clocks.iter().filter(|clock| clock.starts == Starts::Found);
        clocks.filter(|clock| clock.is_started_by(at(event))).map(|clock| (clock.id.as_str(), clock.within)).collect()
    };
    assert_eq!(running("2023-12-03T23:59:59-05:00"), [("first-report-2018", 1)]);
    assert_eq!(running("2023-12-04T00:00:00-05:00"), [("first-report", 3)]);
    assert_eq!(running("2018-09-30T12:00:00-04:00"), []);
}

#[test]
fn clocks_that_repeat_a_milestone_agree_with_it() {
    let rules = shipped();
    for (order, clock, milestone) in [
        ("us-dhs-bod-17-01", "identify", "deadline-2017-10-13"),
        ("us-dhs-bod-17-01", "plan", "deadline-2017-11-12"),
        ("us-vt-ads-2019-02-19", "report", "deadline-2019-03-21"),
        ("us-md-2022-12-06", "removal", "deadline-2022-12-20"),
    ] {
        let order = rules.order(order).expect("shipped");
        let clock = order.clocks.iter().find(|known| known.id == clock).expect("it has the clock");
        let Starts::Milestone(start) = &clock.starts else { panic!("{clock:?}") };
        let reached = |id: &str| order.milestones.iter().find(|known| known.id == id).expect("known").reached;
        let due = clock.due(reached(start), &order.zone, order.calendar.as_deref());
        assert_eq!(due, reached(milestone), "{} {}", order.id, clock.id);
    }
}

fn faults(tables: &str) -> Vec<String> {
    let text = format!("id = \"o\"\ntitle = \"t\"\nissuer = \"i\"\njurisdiction = \"j\"\nbinding = \"duty\"\n{tables}");
    let file =
        RuleFile { folder: "orders".to_owned(), name: "o.toml".to_owned(), place: "orders/o.toml".to_owned(), text };
    let (_, faults): (Option<Option<Order>>, _) = TomlReader::read_whole(&file, order_file::read);
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_clock_or_date_that_cannot_run_is_refused_with_its_line_and_what_would_be_right() {
    let clock = |id: &str, starts: &str, rest: &str| {
        format!("[[clock]]\nid = \"{id}\"\nstarts = \"{starts}\"\nper = \"host\"\nwhat = \"w\"\n{rest}\n")
    };
    let recurring = |id: &str| {
        format!(
            "[[recurring]]\nid = \"{id}\"\nfirst = 2025-01-01\nevery_days = 1\nuntil = \"finished\"\nwhat = \"w\"\n"
        )
    };
    let day = "within = 1\nunit = \"day\"";
    let milestone = |rest: &str| format!("[[milestone]]\nid = \"m\"\nkind = \"deadline\"\nwhat = \"w\"\n{rest}\n");
    for (text, line, fault) in [
        (clock("a", "clock:b", day), 6, "`starts`: the order has no clock \"b\""),
        (clock("a", "milestone:m", day), 8, "`starts`: the order has no milestone \"m\""),
        (clock("a", "clock:a", day), 6, "the clock \"a\" waits for itself"),
        ([clock("a", "clock:b", day), clock("b", "clock:a", day)].concat(), 6, "the clock \"a\" waits for itself"),
        ([clock("a", "found", day), clock("a", "found", day)].concat(), 13, "two clocks with the id \"a\""),
        ([milestone("at = 2025-04-01T00:00:00Z"), clock("a", "milestone:m", day)].concat(), 11, "must be \"order\""),
        (
            [clock("a", "found", day), clock("b", "clock:a", day).replace("\"host\"", "\"order\"")].concat(),
            13,
            "`per`: the clock \"a\" that it waits for has \"host\", so it must be \"host\"",
        ),
        ([clock("a", "found", day), recurring("a")].concat(), 13, "a clock of the order has the id \"a\", too"),
        (
            (0..65).map(|n| recurring(&format!("r{n}"))).collect(),
            390,
            "has 65 recurring duties; it can have at most 64",
        ),
        (
            (0..65).map(|n| clock(&format!("c{n}"), "found", day)).collect(),
            454,
            "has 65 clocks; it can have at most 64",
        ),
        (clock("a", "fund", day), 8, "expected \"found\", \"clock:ID\" or \"milestone:ID\""),
        (clock("a", "found", "within = 1\nunit = \"business-day\""), 6, "business days need a `calendar`"),
        (clock("a", "found", "within = 0\nunit = \"day\""), 6, "`within` must be a number from 1 to 36525"),
        (clock("a", "found", "within = 1\nunit = \"week\""), 12, "expected one of hour, day, business-day, month"),
        ("zone = \"America/NewYork\"".to_owned(), 6, "did you mean"),
        ("due = \"m\"".to_owned(), 6, "`due`: the order has no milestone \"m\""),
        (milestone("at = 2025-04-01T00:00:00+11:00"), 6, "is not the beginning of a day in UTC"),
        (
            milestone("at = 2025-04-01T00:00:00Z\nprecision = \"minute\"\nreached = \"end\""),
            6,
            "a milestone with `precision = \"minute\"` has no end",
        ),
        (milestone("at = 2025-04-01T00:00:00Z\nreached = \"late\""), 11, "expected one of start, end"),
        (
            "[[recurring]]\nid = \"r\"\nfirst = 2025-01-01\nuntil = \"finished\"\nwhat = \"w\"".to_owned(),
            6,
            "either `every_days` or `every_months`",
        ),
        (
            "[[recurring]]\nid = \"r\"\nfirst = 2025-01-01\nevery_days = 1\nuntil = \"done\"\nwhat = \"w\"".to_owned(),
            10,
            "expected \"finished\", or a date and time",
        ),
        (
            "[[recurring]]\nid = \"r\"\nevery_days = 1\nuntil = \"finished\"\nwhat = \"w\"".to_owned(),
            6,
            "missing key `first`",
        ),
    ] {
        let found = faults(&text);
        let expected = format!("orders/o.toml:{line}: ");
        assert!(found.iter().any(|found| found.starts_with(&expected) && found.contains(fault)), "{text}: {found:?}");
    }
}

#[test]
fn a_calendar_that_is_not_there_is_named() {
    let overlay = crate::rules::test_overlay::overlay(&[(
        "orders/o.toml",
        "id = \"o\"\ntitle = \"t\"\nissuer = \"i\"\njurisdiction = \"j\"\nbinding = \"duty\"\ncalendar = \"mars\"\n\
         not_judged = \"a test\"\n",
    )]);
    let refused = load(Some(overlay.path())).expect_err("there is no such calendar").to_string();
    assert!(refused.contains("`calendar`: there is no calendar \"mars\""), "{refused}");
}
