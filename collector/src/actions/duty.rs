//! Duties: a job opens and closes them, and people say that one is done.

use std::sync::Arc;

use muster_proto::limits;
use muster_proto::model::{DutyEvidence, Platform, ProductSeen, Timestamp};

use super::{ActionError, Caller};
use crate::judge::{self, Finding, NewDuty};
use crate::ledger::actor::Actor;
use crate::rules::{Order, RuleSet, StartsAt};
use crate::store::admin::duties::{self, DutyRow, Finish, HostFindings};
use crate::store::sql::Step;
use crate::store::{Acting, AdminTx, FinishRefusal, Store, StoreError, admin};

/// Opens the duties of everything that has happened until now, and closes those of orders that are no longer active. Does
/// nothing while other rules than these are in force, and says whether they are. `is_first` is for rules that this collector has not
/// followed yet. What was done stays done if it fails in between.
///
/// # Errors
/// The store failed.
pub async fn duties_follow(
    store: &dyn Store,
    rules: &Arc<RuleSet>,
    is_first: bool,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (set, of_read) = (Arc::clone(rules), Arc::clone(rules));
    let read = move |tx: &mut dyn AdminTx| -> Step<Option<Work>> {
        if !are_in_force(tx, &of_read)? {
            return Ok(None);
        }
        Ok(Some(Work { activity: duties::activity(tx)?, is_pending: duties::is_pending(tx)? }))
    };
    let Some(work) = admin::read(store, "duties_read", read).await? else { return Ok(false) };
    if !activities(store, &set, &work, is_first, now).await? {
        return Ok(false);
    }
    let mut end = if work.is_pending { Portion::Unfinished } else { Portion::Finished };
    while end == Portion::Unfinished {
        end = pending(store, &set, now).await?;
    }
    Ok(end == Portion::Finished)
}

/// How a portion of work has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Portion {
    Finished,
    Unfinished,
    /// Nothing was done, because other rules have come into force.
    OtherRules,
}

impl Portion {
    const fn of(is_unfinished: bool) -> Self {
        if is_unfinished { Self::Unfinished } else { Self::Finished }
    }
}

/// What is left to do.
struct Work {
    activity: Vec<duties::Activity>,
    is_pending: bool,
}

/// Follows orders that became active or inactive, and opens what milestones and days have brought. Returns whether these rules are
/// still in force.
async fn activities(
    store: &dyn Store,
    rules: &Arc<RuleSet>,
    work: &Work,
    is_first: bool,
    now: Timestamp,
) -> Result<bool, StoreError> {
    for gone in work.activity.iter().filter(|known| !rules.active_orders().any(|order| order.id == known.order)) {
        let id = gone.order.clone();
        let rules = Arc::clone(rules);
        let close = move |tx: &mut dyn AdminTx| {
            if !are_in_force(tx, &rules)? {
                return Ok(Portion::OtherRules);
            }
            Ok(Portion::of(duties::deactivate(tx, &id, now)?))
        };
        if !to_the_end(store, "duties_close", now, close).await? {
            return Ok(false);
        }
    }
    for order in rules.active_orders() {
        let known = work.activity.iter().find(|known| known.order == order.id);
        let (since, until) = known.map_or((now, None), |known| (known.active_since, known.opened_until));
        let is_new = known.is_none();
        let id = order.id.clone();
        // Rules that are new to this collector may have clocks whose milestones were reached before.
        let milestones_after = until.filter(|_| !is_first);
        let events = move |order: &Order, is_finished: bool| {
            let mut new = judge::at_milestones(order, since, milestones_after, now);
            new.extend(judge::at_days(order, since, until, now, is_finished));
            new
        };
        if !is_new && events(order, false).is_empty() {
            continue;
        }
        let rules = Arc::clone(rules);
        let open = move |tx: &mut dyn AdminTx| -> Step<Portion> {
            if !are_in_force(tx, &rules)? {
                return Ok(Portion::OtherRules);
            }
            let Some(order) = rules.order(id.as_str()) else { return Ok(Portion::Finished) };
            if is_new {
                // Clocks that count from the activation begin anew instead. New duties have a transaction of their own, whose rows
                // are limited.
                if order.starts_at == StartsAt::Found && duties::reopen(tx, &id)? {
                    return Ok(Portion::Unfinished);
                }
                duties::activate(tx, &id, now)?;
            }
            let is_finished = duties::is_finished(tx, &id)?;
            let is_unfinished = duties::open(tx, &events(order, is_finished), now)?.is_unfinished;
            if !is_unfinished {
                duties::advance(tx, &id, now)?;
            }
            Ok(Portion::of(is_unfinished))
        };
        if !to_the_end(store, "duties_open", now, open).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Does work in one transaction after another until nothing is left; returns `false` if other rules have come into force.
async fn to_the_end(
    store: &dyn Store,
    operation: &'static str,
    now: Timestamp,
    work: impl Fn(&mut dyn AdminTx) -> Step<Portion> + Clone + Send + Sync + 'static,
) -> Result<bool, StoreError> {
    loop {
        match admin::write(store, operation, by(Actor::Rules, now), work.clone()).await? {
            Portion::Unfinished => {}
            Portion::Finished => return Ok(true),
            Portion::OtherRules => return Ok(false),
        }
    }
}

/// Whether these rules are in force: another collector may have adopted others.
fn are_in_force(tx: &mut dyn AdminTx, rules: &RuleSet) -> Step<bool> {
    Ok(duties::rules_in_force(tx)?.as_deref() == Some(&rules.version))
}

/// Opens the duties of a portion of hosts.
async fn pending(store: &dyn Store, rules: &Arc<RuleSet>, now: Timestamp) -> Result<Portion, StoreError> {
    let rules = Arc::clone(rules);
    let open = move |tx: &mut dyn AdminTx| -> Step<Portion> {
        // Other rules may know orders that these do not.
        if !are_in_force(tx, &rules)? {
            return Ok(Portion::OtherRules);
        }
        let activity = duties::activity(tx)?;
        let taken = duties::take_pending(tx)?;
        let mut new = Vec::new();
        for host in taken.iter().filter_map(|host| host.findings.as_ref()) {
            let since = activity.iter().find(|known| known.order == host.order).map(|known| known.active_since);
            new.extend(since.map(|since| of_host(&rules, host, since)).unwrap_or_default());
        }
        // What is open already is not opened again.
        let is_unfinished = duties::open(tx, &new, now)?.is_unfinished;
        if is_unfinished {
            duties::put_back(tx, &taken)?;
        }
        Ok(Portion::of(!taken.is_empty()))
    };
    admin::write(store, "duties_open", by(Actor::Judge, now), open).await
}

/// The duties of a host on which a product was found.
fn of_host(rules: &RuleSet, host: &HostFindings, active_since: Timestamp) -> Vec<NewDuty> {
    let (Some(order), Some(positive)) = (rules.order(host.order.as_str()), &host.remediation.positive) else {
        return Vec::new();
    };
    // A record that began under another order may have products that this one does not cover.
    let is_covered = |seen: &ProductSeen| {
        let product = rules.catalogue.product(&seen.id);
        let covers = |product| Platform::ALL.iter().any(|platform| order.covers(product, *platform));
        order.prohibits(seen.presence) && product.is_some_and(covers)
    };
    let findings = positive.findings().filter(|(seen, _)| is_covered(seen)).map(|(seen, since)| Finding {
        host: host.host,
        product: &seen.id,
        since,
        host_since: positive.since,
    });
    findings.flat_map(|finding| judge::at_finding(order, &finding, active_since)).collect()
}

const fn by(actor: Actor, now: Timestamp) -> Acting {
    Acting { actor, now }
}

/// Notes that a duty is done, and opens those that wait for it. Returns it, and the numbers of the others.
///
/// # Errors
/// The reference or the evidence is not valid, there is no such open duty at the caller's sites, or the store failed.
pub(crate) async fn duty_finish(
    store: &dyn Store,
    caller: &Caller,
    rules: &Arc<RuleSet>,
    number: u64,
    reference: &str,
    evidence: Option<DutyEvidence>,
    now: Timestamp,
) -> Result<(DutyRow, Vec<u64>), ActionError> {
    let reference = reference.trim();
    if reference.is_empty() || reference.len() > limits::DUTY_REFERENCE_BYTES || reference.chars().any(char::is_control)
    {
        return Err(ActionError::Reference);
    }
    if evidence.as_ref().is_some_and(|file| !is_valid(file)) {
        return Err(ActionError::Evidence);
    }
    let asked = Finish { number, reference: reference.to_owned(), evidence, sites: caller.scope.clone(), now };
    let rules = Arc::clone(rules);
    let finish = move |tx: &mut dyn AdminTx| -> Step<Result<(DutyRow, Vec<u64>), FinishRefusal>> {
        // Other rules may have other clocks that wait for this duty.
        if !are_in_force(tx, &rules)? {
            return Ok(Err(FinishRefusal::OtherRules));
        }
        let done = match duties::finish(tx, &asked)? {
            Ok(done) => done,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let order = rules.order(done.order.as_str());
        let new = order.map(|order| judge::following(order, &done.clock, &done.subject, now)).unwrap_or_default();
        // No order has so many clocks.
        let started = duties::open(tx, &new, now)?.numbers;
        Ok(Ok((done, started)))
    };
    let done = admin::write(store, "duty_finish", caller.acting(now), finish).await?;
    done.map_err(|refusal| ActionError::Duty { number, refusal })
}

pub(super) fn is_valid(file: &DutyEvidence) -> bool {
    let DutyEvidence { name, sha256 } = file;
    let is_name = !name.is_empty()
        && name.len() <= limits::EVIDENCE_NAME_BYTES
        && !name.chars().any(|c| c.is_control() || c == '/' || c == '\\');
    is_name && sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
