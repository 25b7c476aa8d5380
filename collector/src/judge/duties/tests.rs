//! Duties under shipped orders: weekends, holidays, activation, and duties that follow others.

use super::*;
use crate::rules::{RuleSet, load};

const FAR: &str = "us-far-52.204-23";
const BOD: &str = "us-dhs-bod-17-01";

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("valid")
}

fn rules() -> RuleSet {
    load(None).expect("rules")
}

fn product() -> ProductId {
    ProductId::new("kaspersky-endpoint-security").expect("valid")
}

/// What a finding at this instant opens, with all clocks of the order for this.
fn found(order: &Order, per: Per, since: &str, active_since: &str) -> Vec<NewDuty> {
    let mut order = order.clone();
    order.clocks.iter_mut().for_each(|clock| clock.per = per);
    let product = product();
    let finding = Finding {
        host: HostId::from_bytes([1; 16]),
        product: &product,
        since: at(since),
        host_since: at("2025-01-01T00:00:00Z"),
    };
    at_finding(&order, &finding, at(active_since))
}

#[test]
fn weekends_and_labor_day_are_no_business_days_of_a_first_report() {
    let rules = rules();
    let order = rules.order(FAR).expect("shipped");
    // The second Friday is the one before Labor Day, so its third business day is Thursday, 10 September.
    for (friday, end) in [
        ("2026-08-28T15:00:00-04:00", "2026-09-03T00:00:00-04:00"),
        ("2026-09-04T15:00:00-04:00", "2026-09-11T00:00:00-04:00"),
    ] {
        let opened = found(order, Per::Product, friday, "2026-01-01T00:00:00Z");
        let [duty] = opened.as_slice() else { panic!("one clock is in force: {opened:?}") };
        assert_eq!((duty.clock.as_str(), &duty.subject), ("first-report", &DutySubject::Product(product())));
        assert_eq!((duty.opened, duty.due), (at(friday), at(end)));
        assert!(duty.once);
    }
}

#[test]
fn a_clock_runs_for_the_order_a_product_or_a_host_and_for_a_host_from_its_first_product() {
    let rules = rules();
    let order = rules.order(FAR).expect("shipped");
    let since = "2026-08-28T15:00:00-04:00";
    let of = |per| found(order, per, since, "2026-01-01T00:00:00Z").pop().expect("one");
    assert_eq!((of(Per::Order).subject, of(Per::Order).once), (DutySubject::Order, true));
    let host = of(Per::Host);
    assert_eq!((host.subject, host.once), (DutySubject::Host(HostId::from_bytes([1; 16])), false));
    assert_eq!(host.opened, at("2025-01-01T00:00:00Z"));
}

#[test]
fn an_order_may_count_from_its_activation() {
    let rules = rules();
    let mut order = rules.order(FAR).expect("shipped").clone();
    let (before, activated) = ("2026-08-28T15:00:00-04:00", "2026-10-01T12:00:00-04:00");
    assert_eq!(found(&order, Per::Product, before, activated)[0].opened, at(before));
    order.starts_at = StartsAt::Activated;
    assert_eq!(found(&order, Per::Product, before, activated)[0].opened, at(activated));
    let after = "2026-10-02T12:00:00-04:00";
    assert_eq!(found(&order, Per::Product, after, activated)[0].opened, at(after));
}

#[test]
fn a_milestone_opens_its_duties_once_when_it_is_reached() {
    let rules = rules();
    let order = rules.order(BOD).expect("shipped");
    let of = |after: Option<&str>, now: &str| {
        let opened = at_milestones(order, at("2017-09-01T00:00:00Z"), after.map(at), at(now));
        opened.into_iter().map(|duty| duty.clock).collect::<Vec<_>>()
    };
    let reached = order.milestones.iter().find(|one| one.id == "announced-2017-09-13").expect("it has one").reached;
    let text = |at: Timestamp| at.to_rfc3339();
    let before = text(reached.minus(MOMENT));
    assert!(of(None, &before).is_empty());
    assert_eq!(of(Some(&before), &text(reached)).len(), 2, "identify within 30 days, plan within 60");
    assert!(of(Some(&text(reached)), "2017-12-01T00:00:00Z").is_empty(), "not again");
}

#[test]
fn a_recurring_duty_returns_on_its_days_until_every_host_is_finished() {
    let rules = rules();
    let order = rules.order(BOD).expect("shipped");
    let of = |active: &str, after: Option<&str>, now: &str, is_finished| {
        let opened = at_days(order, at(active), after.map(at), at(now), is_finished);
        opened.into_iter().map(|duty| (duty.opened, duty.due)).collect::<Vec<_>>()
    };
    // The first day is 11 January 2018, and the next one 30 days later.
    let first = (at("2018-01-11T00:00:00-05:00"), at("2018-01-12T00:00:00-05:00"));
    let second = (at("2018-02-10T00:00:00-05:00"), at("2018-02-11T00:00:00-05:00"));
    let active = "2017-10-01T00:00:00Z";
    assert_eq!(of(active, None, "2018-01-10T23:00:00-05:00", false), []);
    assert_eq!(of(active, None, "2018-01-11T00:00:00-05:00", false), [first]);
    assert_eq!(of(active, Some("2018-01-11T00:00:00-05:00"), "2018-02-10T10:00:00-05:00", false), [second]);
    assert_eq!(of(active, None, "2018-02-10T10:00:00-05:00", true), []);
    let years = of(active, None, "2036-01-01T00:00:00Z", false);
    assert_eq!(
        (years.len(), years.last()),
        (MOST_RETURNS, of(active, Some("2035-12-01T00:00:00Z"), "2036-01-01T00:00:00Z", false).last())
    );
    assert_eq!(of("2018-02-10T09:00:00-05:00", None, "2018-02-10T10:00:00-05:00", false), [second], "not those before");
}

#[test]
fn a_duty_that_is_done_starts_the_clocks_that_wait_for_it() {
    let rules = rules();
    let order = rules.order(FAR).expect("shipped");
    let subject = DutySubject::Product(product());
    let done = at("2026-09-03T12:00:00-04:00");
    let opened = following(order, "first-report", &subject, done);
    let [duty] = opened.as_slice() else { panic!("one waits for it: {opened:?}") };
    // Ten business days later, without Labor Day.
    assert_eq!((&duty.subject, duty.due), (&subject, at("2026-09-19T00:00:00-04:00")));
    assert!(following(order, "nothing", &subject, done).is_empty());
}
