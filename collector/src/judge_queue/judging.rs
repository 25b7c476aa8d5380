//! Judges one host from its cached snapshot. Pure, except that it adds assessments to the cache.

use std::sync::Arc;

use muster_proto::model::{Assessment, HostState, Presence, ProductId, Protection, Reason, Timestamp};

use super::assessment_cache::{AssessmentCache, SnapshotHits};
use super::proof::proof;
use crate::judge::{self, HostSituation, Positive, Remediation, Removal, RemovalEvidence, ScanSeen, Unprotected};
use crate::rules::{Catalogue, Order, RuleSet, Starts};
use crate::store::{JudgedOrder, Judgement, QueuedHost};

/// The judgement of a host; `None` if its snapshot could not be read, so that the host stays on the judge queue. `attests` says
/// whether removals that are proven are attested.
pub(super) fn judge(
    cache: &mut AssessmentCache,
    rules: &RuleSet,
    host: &QueuedHost,
    attests: bool,
    now: Timestamp,
) -> Option<Judgement> {
    // A check-in without a new snapshot confirms the old one, so its age counts from the check-in.
    let received = host.last_seen.or(host.snapshot.map(|(_, since)| since)).unwrap_or(now);
    let (snapshot, state_key, assessments) = match host.snapshot {
        None => (None, None, Arc::default()),
        Some((digest, _)) => {
            let snapshot = cache.snapshot(&digest)?;
            let key = cache.state_key(&rules.catalogue, &host.state, received);
            let assessments = cache
                .assessments(digest, key)
                .unwrap_or_else(|| Arc::new(assess(rules, &snapshot, &host.state, received)));
            cache.keep(digest, key, Arc::clone(&assessments));
            (Some((digest, snapshot.snapshot)), Some(key), assessments)
        }
    };
    let boot_id = host.state.boot_id.as_str();
    let scan = snapshot.as_ref().map(|(digest, snapshot)| ScanSeen { received, digest: *digest, snapshot, boot_id });
    let orders = rules
        .active_orders()
        .map(|order| {
            let assessment = assessments.iter().find(|assessment| assessment.order == order.id);
            place(order, scan.as_ref().zip(assessment), host, &rules.catalogue, attests, now)
        })
        .collect();
    // By the ticket the store drops this judgement if the host is queued again after the claim.
    let snapshot = snapshot.map(|(digest, _)| digest);
    Some(Judgement { host: host.host, ticket: host.ticket, snapshot, state_key, orders })
}

fn assess(rules: &RuleSet, found: &SnapshotHits, state: &HostState, received: Timestamp) -> Vec<Assessment> {
    rules
        .active_orders()
        .map(|order| judge::assess(order, &rules.catalogue, &found.snapshot, &found.hits, state, received))
        .collect()
}

fn place(
    order: &Order,
    seen: Option<(&ScanSeen<'_>, &Assessment)>,
    host: &QueuedHost,
    catalogue: &Catalogue,
    attests: bool,
    now: Timestamp,
) -> JudgedOrder {
    let before = remediation_of(host, order, catalogue);
    let assessment = seen.map(|(_, assessment)| assessment);
    let mut remediation = match seen {
        // Of two machines, a scan of one is no evidence of a removal.
        Some((scan, assessment)) if host.has_two_holders && !assessment.prohibited => {
            before.advance_by_one_of_two(assessment, scan.received, scan.boot_id)
        }
        Some((scan, assessment)) => {
            let advanced = before.advance(assessment, scan.received, scan.boot_id);
            advanced.with_evidence(assessment, scan, &order.confirm)
        }
        None => before,
    };
    let situation = HostSituation {
        platform: host.facts.platform,
        site: &host.site,
        // The stored lane is the one while it reports; readers add silence.
        last_seen: Some(now),
        remediation: &remediation,
        has_two_holders: host.has_two_holders,
        labels: &host.labels,
        // Readers add what people decided, too.
        decision: None,
    };
    let verdict = judge::place(order, assessment, &situation, now);
    let attestation = seen.filter(|_| attests);
    let attestation = attestation.and_then(|(scan, found)| proof(order, host, scan, found, &remediation, &verdict));
    if attestation.is_some() {
        // Stored together with the attestation, so that there is one for each removal.
        remediation.evidence.attested = Some(now);
    }
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
        // Lists show one line for each host, so the stored advice has its commands.
        advice: verdict.advice_line(),
        remediation,
        attestation,
        opens_duties: order.clocks.iter().any(|clock| clock.starts == Starts::Found),
    }
}

/// The host's remediation record under the order. A new order starts with the oldest record of the other orders that
/// have seen a product that it covers: that a host had a product is a fact, whichever order found it.
fn remediation_of(host: &QueuedHost, order: &Order, catalogue: &Catalogue) -> Remediation {
    if let Some(own) = host.remediations.get(&order.id) {
        return own.clone();
    }
    let is_covered =
        |id: &ProductId| catalogue.product(id).is_some_and(|product| order.covers(product, host.facts.platform));
    let is_of_covered = |reason: &Reason| reason.product.as_ref().is_some_and(|product| is_covered(&product.id));
    let has_seen = |record: &&Remediation| {
        record.last_positive().is_some_and(|positive| positive.reasons.iter().any(is_of_covered))
    };
    let others = host.remediations.values().filter(has_seen);
    let oldest = others.min_by_key(|record| record.last_positive().map(|positive| positive.since));
    let mut record = oldest.cloned().unwrap_or_default();
    // What the other order demands of other products is nothing to this one.
    let only_covered = |positive: Positive| positive.only(is_covered);
    record.positive = record.positive.map(only_covered);
    record.removal = record.removal.map(|removal| Removal { was: removal.was.map(only_covered), ..removal });
    // The removal was attested under the other order only.
    record.evidence = RemovalEvidence { attested: None, ..record.evidence };
    // What protects a host under the other order may not be accepted by this one.
    record.unprotected = Unprotected::default();
    record
}
