//! One host: from what is known of its look to its judgement. Pure, but for what it remembers of assessments.

use std::sync::Arc;

use muster_proto::model::{Assessment, HostState, OrderId, Presence, Protection, Timestamp};

use super::known::{Known, Seen};
use crate::judge::{self, HostSituation};
use crate::rules::{Order, RuleSet};
use crate::store::{DocketHost, JudgedOrder, Judgement};

/// The judgement of a host; `None` when its look could not be read, so that it stays on the docket.
pub(super) fn judge(known: &mut Known, rules: &RuleSet, host: &DocketHost, now: Timestamp) -> Option<Judgement> {
    // Whatever was not sent anew with a check-in was confirmed by it.
    let received = host.last_seen.or(host.look.map(|(_, since)| since)).unwrap_or(now);
    let (look, state_key, assessments) = match host.look {
        None => (None, None, Arc::default()),
        Some((digest, _)) => {
            let seen = known.look(&digest)?;
            let key = known.state_key(&rules.catalogue, &host.state, received);
            let assessments =
                known.assessments(digest, key).unwrap_or_else(|| Arc::new(assess(rules, &seen, &host.state, received)));
            known.keep(digest, key, Arc::clone(&assessments));
            (Some(digest), Some(key), assessments)
        }
    };
    let orders = rules
        .active_orders()
        .map(|order| {
            let assessment = assessments.iter().find(|assessment| assessment.order == order.id);
            place(order, assessment, host, received, now)
        })
        .collect();
    Some(Judgement { host: host.host, ticket: host.ticket, look, state_key, orders })
}

fn assess(rules: &RuleSet, seen: &Seen, state: &HostState, received: Timestamp) -> Vec<Assessment> {
    rules
        .active_orders()
        .map(|order| judge::assess(order, &rules.catalogue, &seen.look, &seen.hits, state, received))
        .collect()
}

fn place(
    order: &Order,
    assessment: Option<&Assessment>,
    host: &DocketHost,
    received: Timestamp,
    now: Timestamp,
) -> JudgedOrder {
    let before = case_of(host, &order.id);
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

fn case_of(host: &DocketHost, order: &OrderId) -> judge::Case {
    host.cases.get(order).cloned().unwrap_or_default()
}
