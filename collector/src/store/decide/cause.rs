//! Why a host changed its lane: compares the stored verdict with the new judgement.
//!
//! The first cause that applies is the cause of the change:
//!
//! | cause | when |
//! |---|---|
//! | `action` | an account put the host into a lane, or took it out of one |
//! | `order` | the host was judged before, but has no verdict under this order |
//! | `enrolled` | the host was never judged before, or had sent no scan |
//! | `rules` | other rules judged it before |
//! | `action` | the same rules, but the order now applies to the host, or no longer |
//! | `removed` | a product that was in force is refuted by a complete scan |
//! | `coverage` | required sources were not read completely, before or now |
//! | `installed`, `removed` | the product is present in a stronger or weaker way |
//! | `coverage`, `protection-changed` | protection became known or unknown, or changed |
//! | `updated` | the product has another version |
//! | `coverage` | the host came into lane `unknown`, or left it |
//! | `removed` | none of these: time or a restart has proven the removal |
//!
//! If rules and snapshot both changed between two judgements, the cause is `rules`: new rules put every host on the
//! judge queue at once, so they explain nearly all changes of that judgement, and Muster does not claim that somebody
//! installed a product if the new rules may only have recognised it. Silence is not decided here, because it is never
//! stored.

use muster_proto::model::{Cause, Lane, Presence, Protection};

use crate::judge::Remediation;

/// What a verdict says of a host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) lane: Lane,
    pub(super) in_scope: bool,
    pub(super) presence: Presence,
    pub(super) protection: Protection,
}

/// What is stored of a host under an order.
pub(super) struct Before {
    /// `None` if the host has no verdict under this order.
    pub(super) verdict: Option<Placed>,
    /// Whether other rules judged the host before.
    pub(super) had_other_rules: bool,
    /// `None` if nothing is remembered.
    pub(super) remediation: Option<Remediation>,
    /// Whether a snapshot of the host was judged before.
    pub(super) had_snapshot: bool,
    /// Whether the host has or had a verdict under any order.
    pub(super) had_verdicts: bool,
}

/// The cause of a change of lane or scope. `remediation` is the record after the new judgement. The table above has the
/// precedence.
pub(super) fn cause(before: &Before, new: &Placed, remediation: &Remediation) -> Cause {
    let was_decided = before.verdict.as_ref().is_some_and(|old| is_decided(old.lane));
    if was_decided || is_decided(new.lane) {
        return Cause::Action;
    }
    let Some(old) = &before.verdict else {
        return if before.had_snapshot || before.had_verdicts { Cause::Order } else { Cause::Enrolled };
    };
    if !before.had_snapshot {
        return Cause::Enrolled;
    }
    if before.had_other_rules {
        return Cause::Rules;
    }
    if old.in_scope != new.in_scope {
        return Cause::Action;
    }
    of_host(old, new, before.remediation.as_ref(), remediation)
}

/// The cause if the host itself changed, or what is known of it.
fn of_host(old: &Placed, new: &Placed, was: Option<&Remediation>, is: &Remediation) -> Cause {
    let had_positive = was.is_some_and(|record| record.positive.is_some());
    // Before coverage: a scan that reads a source again can show that the product is gone.
    if had_positive && is.positive.is_none() {
        return Cause::Removed;
    }
    if old.presence != new.presence {
        return of_presence(old.presence, new.presence);
    }
    if old.protection != new.protection {
        let is_unknown = [old.protection, new.protection].contains(&Protection::Unknown);
        return if is_unknown { Cause::Coverage } else { Cause::ProtectionChanged };
    }
    if was.is_some_and(|record| versions(record) != versions(is)) {
        return Cause::Updated;
    }
    if [old.lane, new.lane].contains(&Lane::Unknown) {
        return Cause::Coverage;
    }
    Cause::Removed
}

fn of_presence(old: Presence, new: Presence) -> Cause {
    if [old, new].contains(&Presence::Unknown) {
        return Cause::Coverage;
    }
    // A remnant that appears without its product shows that the product was there between two scans.
    if strength(new) > strength(old) && new != Presence::Remnant { Cause::Installed } else { Cause::Removed }
}

/// How much of a product is present.
const fn strength(presence: Presence) -> u8 {
    match presence {
        Presence::None | Presence::Unknown => 0,
        Presence::Remnant => 1,
        Presence::Suspect => 2,
        Presence::Embedded => 3,
        Presence::ManagementOnly => 4,
        Presence::Installed => 5,
        Presence::Active => 6,
    }
}

/// Whether an account puts a host into this lane, and not what was found on it.
const fn is_decided(lane: Lane) -> bool {
    matches!(lane, Lane::Retired | Lane::Waived | Lane::Missing)
}

/// The products of a record with their versions.
fn versions(record: &Remediation) -> Vec<(&str, &str)> {
    let reasons = record.last_positive().into_iter().flat_map(|positive| &positive.reasons);
    let products = reasons.filter_map(|reason| reason.product.as_ref());
    let mut versions: Vec<_> = products.map(|product| (product.id.as_str(), product.version.as_str())).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

#[cfg(test)]
mod tests;
