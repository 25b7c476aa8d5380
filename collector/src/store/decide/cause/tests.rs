//! One test of the whole table of causes, and one for each rule of precedence.

use std::collections::BTreeMap;

use muster_proto::model::{ProductId, ProductSeen, Reason, ReasonKind, Timestamp};

use super::*;
use crate::judge::Positive;

fn record(version: &str) -> Remediation {
    let product = ProductSeen {
        id: ProductId::new("kaspersky-endpoint-security").expect("valid"),
        name: "Kaspersky Endpoint Security".to_owned(),
        version: version.to_owned(),
        presence: Presence::Installed,
    };
    let reason = Reason { product: Some(product), ..Reason::new(ReasonKind::Product, "rule", "it is installed") };
    let at = Timestamp::from_millis(1);
    let positive = Positive {
        since: at,
        last_seen: at,
        presence: Presence::Installed,
        reasons: vec![reason],
        products: BTreeMap::new(),
        gone: Vec::new(),
    };
    Remediation { positive: Some(positive), ..Remediation::default() }
}

/// A host in a lane, with the presence and protection that lead to it.
#[derive(Clone)]
struct Is {
    placed: Placed,
    remediation: Remediation,
}

fn is(lane: Lane, presence: Presence, protection: Protection) -> Is {
    let installed = matches!(presence, Presence::Active | Presence::Installed);
    let remediation = if installed { record("12.0") } else { Remediation::default() };
    Is { placed: Placed { lane, presence, protection, in_scope: true }, remediation }
}

/// The cause for a host that had sent a scan before.
fn between(old: &Is, new: &Is) -> Cause {
    judged_again(old, new, false)
}

fn by_other_rules(old: &Is, new: &Is) -> Cause {
    judged_again(old, new, true)
}

fn judged_again(old: &Is, new: &Is, had_other_rules: bool) -> Cause {
    let (verdict, remediation) = (Some(old.placed), Some(old.remediation.clone()));
    let before = Before { verdict, had_other_rules, remediation, had_snapshot: true, had_verdicts: true };
    cause(&before, &new.placed, &new.remediation)
}

fn first(had_snapshot: bool, had_verdicts: bool, new: &Is) -> Cause {
    let before = Before { verdict: None, had_other_rules: false, remediation: None, had_snapshot, had_verdicts };
    cause(&before, &new.placed, &new.remediation)
}

fn out_of_scope(mut is: Is) -> Is {
    is.placed.in_scope = false;
    is
}

#[test]
fn each_change_of_a_host_has_its_cause() {
    use Lane as L;
    use Presence as P;
    use Protection as T;
    let table = [
        (is(L::Clear, P::None, T::Approved), is(L::Remove, P::Installed, T::Approved), Cause::Installed),
        (is(L::Clear, P::None, T::None), is(L::Replace, P::Active, T::None), Cause::Installed),
        (is(L::Clear, P::None, T::None), is(L::Unknown, P::Suspect, T::None), Cause::Installed),
        (is(L::Unknown, P::Suspect, T::None), is(L::Replace, P::Installed, T::None), Cause::Installed),
        (is(L::Done, P::Remnant, T::Approved), is(L::Remove, P::Installed, T::Approved), Cause::Installed),
        (is(L::Replace, P::Installed, T::None), is(L::Protect, P::None, T::None), Cause::Removed),
        (is(L::Replace, P::Installed, T::None), is(L::Confirm, P::Remnant, T::Approved), Cause::Removed),
        (is(L::Replace, P::Unknown, T::None), is(L::Unknown, P::None, T::Unknown), Cause::Coverage),
        (is(L::Unknown, P::Suspect, T::None), is(L::Clear, P::None, T::None), Cause::Removed),
        (is(L::Clear, P::None, T::Approved), is(L::Confirm, P::Remnant, T::Approved), Cause::Removed),
        (is(L::Confirm, P::Remnant, T::Approved), is(L::Done, P::None, T::Approved), Cause::Removed),
        (is(L::Confirm, P::None, T::Approved), is(L::Done, P::None, T::Approved), Cause::Removed),
        (is(L::Replace, P::Installed, T::None), is(L::Remove, P::Installed, T::Approved), Cause::ProtectionChanged),
        (
            is(L::Remove, P::Installed, T::Approved),
            is(L::Replace, P::Installed, T::Unapproved),
            Cause::ProtectionChanged,
        ),
        (is(L::Done, P::None, T::Approved), is(L::Protect, P::None, T::None), Cause::ProtectionChanged),
        (is(L::Remove, P::Installed, T::Approved), is(L::Replace, P::Installed, T::Unknown), Cause::Coverage),
        (is(L::Unknown, P::None, T::Unknown), is(L::Protect, P::None, T::None), Cause::Coverage),
        (is(L::Clear, P::None, T::Approved), is(L::Unknown, P::Unknown, T::Approved), Cause::Coverage),
        (is(L::Unknown, P::Unknown, T::Approved), is(L::Clear, P::None, T::Approved), Cause::Coverage),
        (is(L::Unknown, P::Unknown, T::None), is(L::Replace, P::Installed, T::None), Cause::Coverage),
        (is(L::Confirm, P::Remnant, T::Approved), is(L::Unknown, P::Remnant, T::Approved), Cause::Coverage),
        (is(L::Clear, P::None, T::Approved), is(L::Waived, P::None, T::Approved), Cause::Action),
        (is(L::Retired, P::None, T::Approved), is(L::Clear, P::None, T::Approved), Cause::Action),
        (is(L::Missing, P::Unknown, T::Unknown), is(L::Clear, P::None, T::Approved), Cause::Action),
    ];
    for (old, new, expected) in table {
        assert_eq!(between(&old, &new), expected, "{:?} to {:?}", old.placed, new.placed);
    }
}

#[test]
fn a_product_that_is_gone_when_sources_are_read_again_was_removed() {
    // The record keeps the product in force while the sources cannot be read.
    let unread = Is { remediation: record("12.0"), ..is(Lane::Replace, Presence::Unknown, Protection::Unknown) };
    let read = is(Lane::Confirm, Presence::None, Protection::Approved);
    assert_eq!(between(&unread, &read), Cause::Removed);
}

#[test]
fn another_version_alone_is_an_update() {
    let old = is(Lane::Replace, Presence::Installed, Protection::None);
    let new = |protection| Is { remediation: record("12.1"), ..is(Lane::Remove, Presence::Installed, protection) };
    assert_eq!(between(&old, &new(Protection::None)), Cause::Updated);
    let protected = new(Protection::Approved);
    assert_eq!(between(&old, &protected), Cause::ProtectionChanged, "protection decides the lane, a version does not");
}

#[test]
fn the_first_verdict_and_the_first_scan_are_the_enrollment() {
    let unknown = is(Lane::Unknown, Presence::Unknown, Protection::Unknown);
    assert_eq!(first(false, false, &unknown), Cause::Enrolled);
    let replace = is(Lane::Replace, Presence::Installed, Protection::None);
    for had_other_rules in [false, true] {
        let verdict = Some(unknown.placed);
        let before = Before { verdict, had_other_rules, remediation: None, had_snapshot: false, had_verdicts: true };
        let scan = cause(&before, &replace.placed, &replace.remediation);
        assert_eq!(scan, Cause::Enrolled, "whichever rules judge it");
    }
}

#[test]
fn an_order_that_becomes_active_is_the_cause_for_hosts_that_were_judged_before() {
    let replace = is(Lane::Replace, Presence::Installed, Protection::None);
    assert_eq!(first(true, true, &replace), Cause::Order);
    assert_eq!(first(false, true, &replace), Cause::Order);
    assert_eq!(first(true, false, &replace), Cause::Order, "no order was active when it was judged before");
}

#[test]
fn other_rules_are_the_cause_whether_or_not_the_host_changed_too() {
    let old = is(Lane::Clear, Presence::None, Protection::Approved);
    for new in [
        is(Lane::Remove, Presence::Installed, Protection::Approved),
        is(Lane::Unknown, Presence::Unknown, Protection::Approved),
        is(Lane::Protect, Presence::None, Protection::None),
        out_of_scope(old.clone()),
    ] {
        let text = format!("{:?}", new.placed);
        assert_eq!(by_other_rules(&old, &new), Cause::Rules, "{text}");
    }
}

#[test]
fn a_change_of_scope_under_the_same_rules_is_an_action() {
    let old = is(Lane::Clear, Presence::None, Protection::Approved);
    assert_eq!(between(&old, &out_of_scope(old.clone())), Cause::Action);
}
