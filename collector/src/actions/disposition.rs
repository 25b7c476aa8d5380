//! Dispositions: hosts that left the fleet are retired, those that are not finished with a second person; and a job notes those that
//! report again.

use std::sync::Arc;

use muster_proto::limits;
use muster_proto::model::{
    DispositionKind, DutyEvidence, HostActionReport, HostId, HostName, Lane, RetirementReport, Timestamp,
};

use super::duty::is_valid;
use super::waiver::{account_of, decide_asked, text};
use super::{ActionError, Caller};
use crate::config::Waivers;
use crate::judge::{effective_lane, is_silent};
use crate::ledger::actor::Actor;
use crate::rules::RuleSet;
use crate::store::admin::dispositions::{self, clean, decide, retire, returned};
use crate::store::admin::waivers;
use crate::store::{Acting, AdminTx, Store, StoreError, admin};

/// Hosts that left the fleet, and what shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispositionAsked {
    /// The hosts.
    pub hosts: Vec<HostId>,
    /// Why they left.
    pub kind: DispositionKind,
    /// What shows it.
    pub evidence: String,
    /// The file that shows it.
    pub file: Option<DutyEvidence>,
}

/// Retires hosts, or asks for it where a second person is needed. Each hundred hosts are one transaction.
///
/// # Errors
/// The evidence is not valid, or the store failed. What was changed until then stays changed.
pub async fn hosts_retire(
    store: &dyn Store,
    caller: &Caller,
    rules: &Arc<RuleSet>,
    asked: DispositionAsked,
    now: Timestamp,
) -> Result<RetirementReport, ActionError> {
    let account = account_of(caller)?.to_string();
    let evidence = text(&asked.evidence).ok_or(ActionError::Shown)?;
    if asked.file.as_ref().is_some_and(|file| !is_valid(file)) {
        return Err(ActionError::Evidence);
    }
    let rules = Arc::clone(rules);
    let is_unfinished: retire::IsUnfinished = Arc::new(move |host| is_unfinished(&rules, host, now));
    let mut report = RetirementReport::default();
    for portion in asked.hosts.chunks(retire::PORTION) {
        let asked = retire::RetireAsked {
            hosts: portion.to_vec(),
            kind: asked.kind,
            evidence: evidence.clone(),
            file: asked.file.clone(),
            account: account.clone(),
            sites: caller.scope.clone(),
            is_unfinished: Arc::clone(&is_unfinished),
            now,
        };
        let retire = move |tx: &mut dyn AdminTx| {
            let done = retire::retire(tx, &asked)?;
            let mut made = Vec::new();
            for number in &done.dispositions {
                made.extend(dispositions::find(tx, *number)?.map(|found| found.report));
            }
            Ok((done, made))
        };
        let (done, made) = admin::write(store, "hosts_retire", caller.acting(now), retire).await?;
        report.dispositions.extend(made);
        report.retired += done.retired;
        report.waiting += done.waiting;
        report.unchanged += done.unchanged;
    }
    Ok(report)
}

/// Whether something is left to do on a host under an active order. Silence counts: a host that does not report may have the product.
/// So does a host that waits to be judged: nobody knows yet what its last report means.
fn is_unfinished(rules: &RuleSet, host: &retire::HostStanding, now: Timestamp) -> bool {
    if host.is_unjudged && rules.active_orders().next().is_some() {
        return true;
    }
    rules.active_orders().any(|order| {
        let verdict = host.verdicts.iter().find(|(id, ..)| *id == order.id);
        let awake = match verdict {
            Some((_, _, false)) => return false,
            Some((_, lane, true)) => *lane,
            None if order.binds(host.platform, &host.site, &host.labels) => Lane::Unknown,
            None => return false,
        };
        !effective_lane(awake, is_silent(order, Some(host.last_seen), now)).is_finished()
    })
}

/// Takes retired hosts back.
///
/// # Errors
/// The reason is empty or too long, or the store failed. What was changed until then stays changed.
pub async fn hosts_unretire(
    store: &dyn Store,
    caller: &Caller,
    hosts: Vec<HostId>,
    reason: &str,
    now: Timestamp,
) -> Result<HostActionReport, ActionError> {
    let account = account_of(caller)?.to_string();
    let reason =
        text(reason).filter(|reason| reason.len() <= limits::ACTION_REASON_BYTES).ok_or(ActionError::Reason)?;
    let mut report = HostActionReport::default();
    for portion in hosts.chunks(retire::PORTION) {
        let asked = retire::UnretireAsked {
            hosts: portion.to_vec(),
            account: account.clone(),
            reason: reason.clone(),
            sites: caller.scope.clone(),
            now,
        };
        let unretire = move |tx: &mut dyn AdminTx| retire::unretire(tx, &asked);
        let (changed, unchanged): (Vec<HostName>, u64) =
            admin::write(store, "hosts_unretire", caller.acting(now), unretire).await?;
        report.changed += changed.len() as u64;
        report.unchanged += unchanged;
        let free = retire::PORTION.saturating_sub(report.hosts.len());
        report.hosts.extend(changed.into_iter().take(free));
    }
    Ok(report)
}

/// Approves or refuses a disposition that waits for a second person.
///
/// # Errors
/// The caller may not decide so, there is no such disposition at the caller's sites, or the store failed. Nothing was changed.
pub async fn disposition_decide(
    store: &dyn Store,
    caller: &Caller,
    settings: &Waivers,
    number: u64,
    approve: bool,
    now: Timestamp,
) -> Result<(), ActionError> {
    let asked = decide_asked(caller, settings, number, now)?;
    let decide = move |tx: &mut dyn AdminTx| decide::decide(tx, &asked, approve);
    let done = admin::write(store, "disposition_decide", caller.acting(now), decide).await?;
    done.map_err(|refusal| ActionError::Decide { what: "disposition", number, refusal })
}

/// Notes retired hosts that have reported again.
///
/// # Errors
/// The store failed.
pub async fn hosts_returned(store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
    if !admin::read(store, "hosts_returned", returned::is_any).await? {
        return Ok(());
    }
    loop {
        let note = move |tx: &mut dyn AdminTx| returned::note(tx, now);
        if admin::write(store, "hosts_returned", by_agent(now), note).await? < returned::PORTION {
            return Ok(());
        }
    }
}

/// Removes waivers and dispositions that ended before `ended_before`, requests for waivers that were begun before `begun_before` and
/// never finished, and the hosts of waivers that were refused or that nobody decided in time.
///
/// # Errors
/// The store failed.
pub async fn decisions_remove(
    store: &dyn Store,
    ended_before: Timestamp,
    begun_before: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let refused_before = now.minus(waivers::ask::REFUSED_FOR);
    let limits = waivers::clean::Limits { ended_before, refused_before, begun_before };
    let remove = move |tx: &mut dyn AdminTx| waivers::clean::remove(tx, limits);
    while admin::write(store, "waivers_remove", by_agent(now), remove).await? {}
    let remove = move |tx: &mut dyn AdminTx| clean::remove(tx, ended_before);
    while admin::write(store, "dispositions_remove", by_agent(now), remove).await? {}
    Ok(())
}

const fn by_agent(now: Timestamp) -> Acting {
    Acting { actor: Actor::Agent, now }
}
