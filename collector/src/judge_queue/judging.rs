//! One host: from what is known of its snapshot to its judgement. Pure, but for what it remembers of assessments.

use std::sync::Arc;

use muster_proto::model::{Assessment, HostState, Presence, ProductId, Protection, Reason, Timestamp};

use super::assessment_cache::{AssessmentCache, SnapshotHits};
use crate::judge::{self, HostSituation};
use crate::rules::{Catalogue, Order, RuleSet};
use crate::store::{JudgedOrder, Judgement, QueuedHost};

/// The judgement of a host; `None` when its snapshot could not be read, so that it stays on the judge queue.
pub(super) fn judge(
    cache: &mut AssessmentCache,
    rules: &RuleSet,
    host: &QueuedHost,
    now: Timestamp,
) -> Option<Judgement> {
    // Whatever was not sent anew with a check-in was confirmed by it.
    let received = host.last_seen.or(host.snapshot.map(|(_, since)| since)).unwrap_or(now);
    let (snapshot, state_key, assessments) = match host.snapshot {
        None => (None, None, Arc::default()),
        Some((digest, _)) => {
            let seen = cache.snapshot(&digest)?;
            let key = cache.state_key(&rules.catalogue, &host.state, received);
            let assessments =
                cache.assessments(digest, key).unwrap_or_else(|| Arc::new(assess(rules, &seen, &host.state, received)));
            cache.keep(digest, key, Arc::clone(&assessments));
            (Some(digest), Some(key), assessments)
        }
    };
    let orders = rules
        .active_orders()
        .map(|order| {
            let assessment = assessments.iter().find(|assessment| assessment.order == order.id);
            place(order, assessment, host, &rules.catalogue, received, now)
        })
        .collect();
    Some(Judgement { host: host.host, ticket: host.ticket, snapshot, state_key, orders })
}

fn assess(rules: &RuleSet, seen: &SnapshotHits, state: &HostState, received: Timestamp) -> Vec<Assessment> {
    rules
        .active_orders()
        .map(|order| judge::assess(order, &rules.catalogue, &seen.snapshot, &seen.hits, state, received))
        .collect()
}

fn place(
    order: &Order,
    assessment: Option<&Assessment>,
    host: &QueuedHost,
    catalogue: &Catalogue,
    received: Timestamp,
    now: Timestamp,
) -> JudgedOrder {
    let before = remediation_of(host, order, catalogue);
    let case = match assessment {
        Some(assessment) => before.advance(assessment, received, &host.state.boot_id),
        None => before,
    };
    let situation = HostSituation {
        platform: host.facts.platform,
        site: &host.site,
        // Awake: what silence changes is computed when a verdict is read.
        last_seen: Some(now),
        case: &case,
        decided: None,
    };
    let verdict = judge::place(order, assessment, &situation, now);
    let presence = assessment.map_or(Presence::Unknown, |assessment| assessment.presence);
    let protection = assessment.map_or(Protection::Unknown, |assessment| assessment.protection);
    JudgedOrder {
        order: order.id.clone(),
        awake_lane: verdict.lane,
        in_scope: verdict.in_scope,
        presence,
        protection,
        due: verdict.due,
        reason: verdict.reasons.first().map(|reason| reason.text.clone()).unwrap_or_default(),
        advice: verdict.advice,
        case,
    }
}

/// The host's past under the order. One that is new begins with what others have seen of the products that it covers: to
/// have had one is a fact, and no order's own.
fn remediation_of(host: &QueuedHost, order: &Order, catalogue: &Catalogue) -> judge::Remediation {
    if let Some(own) = host.cases.get(&order.id) {
        return own.clone();
    }
    let is_covered = |reason: &Reason| {
        let product = ProductId::new(reason.product.clone()).ok();
        let product = product.and_then(|id| catalogue.product(&id));
        product.is_some_and(|product| order.covers(product, host.facts.platform))
    };
    let has_seen = |case: &&judge::Remediation| case.seen().is_some_and(|seen| seen.reasons.iter().any(is_covered));
    // Of several the one that knows it longest.
    let others = host.cases.values().filter(has_seen);
    others.min_by_key(|case| case.seen().map(|seen| seen.since)).cloned().unwrap_or_default()
}
