//! Waivers: asking for one, and deciding about it.

use std::collections::BTreeSet;

use muster_proto::limits;
use muster_proto::model::{AccountId, Digest, HostId, OrderId, Timestamp, WaiverReason};

use super::{ActionError, Caller};
use crate::clock::Clock;
use crate::config::Waivers;
use crate::ledger::actor::Actor;
use crate::ledger::entry::HOSTS;
use crate::rules::RuleSet;
use crate::store::admin::waivers::ask::{self, HostList, NewWaiver, PORTION, Prepared};
use crate::store::admin::waivers::clean;
use crate::store::admin::waivers::decide::{self, DecideAsked, WaiverAct};
use crate::store::{AdminTx, AskRefusal, DecideRefusal, Store, TermAsked, admin};

/// A waiver to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiverAsked {
    /// The order.
    pub order: OrderId,
    /// Why.
    pub reason: WaiverReason,
    /// What protects the hosts or limits the risk meanwhile.
    pub control: String,
    /// Its end.
    pub until: Timestamp,
    /// Whether it may last beyond the due milestone of the order.
    pub beyond_milestone: bool,
}

/// What a person does with a waiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaiverDecision {
    /// Approves it.
    Approve,
    /// Refuses it, or withdraws the own request.
    Refuse,
    /// Ends it before its time.
    End,
}

/// Whether a waiver can be asked for now, whatever its hosts are.
///
/// # Errors
/// It cannot.
pub fn waiver_check(
    caller: &Caller,
    rules: &RuleSet,
    settings: &Waivers,
    asked: &WaiverAsked,
    now: Timestamp,
) -> Result<(), ActionError> {
    new_waiver(caller, rules, settings, asked, now).map(drop)
}

/// Asks for a waiver of these hosts; returns its number. The hosts are written in portions, and nobody sees the waiver before the last
/// one.
///
/// # Errors
/// The waiver cannot be asked for, a host is unknown or at another site, there are too many, or the store failed. Nothing is asked
/// for.
pub async fn waiver_ask(
    store: &dyn Store,
    caller: &Caller,
    rules: &RuleSet,
    settings: &Waivers,
    asked: &WaiverAsked,
    hosts: BTreeSet<HostId>,
    clock: &Clock,
) -> Result<u64, ActionError> {
    let now = clock();
    let new = new_waiver(caller, rules, settings, asked, now)?;
    if hosts.is_empty() {
        return Err(AskRefusal::NoHosts.into());
    }
    if hosts.len() > limits::HOSTS_PER_WAIVER {
        return Err(AskRefusal::TooManyHosts.into());
    }
    let prepared = new.clone();
    let count = hosts.len() as u64;
    let prepare = move |tx: &mut dyn AdminTx| ask::prepare(tx, &prepared, count, now);
    let waiver = admin::write(store, "waiver_prepare", caller.acting(now), prepare).await??;
    let asked = request(store, caller, &waiver, new, hosts, clock).await;
    let number = waiver.number;
    if asked.is_err() {
        abandon(store, caller, waiver, clock()).await;
    }
    asked.map(|()| number)
}

fn new_waiver(
    caller: &Caller,
    rules: &RuleSet,
    settings: &Waivers,
    asked: &WaiverAsked,
    now: Timestamp,
) -> Result<NewWaiver, ActionError> {
    let requested_by = account_of(caller)?.to_string();
    let order = rules.order(asked.order.as_str()).ok_or_else(|| ActionError::NoOrder { id: asked.order.clone() })?;
    if !order.active {
        return Err(ActionError::InactiveOrder { id: asked.order.clone() });
    }
    let control = text(&asked.control).ok_or(ActionError::Control)?;
    let (until, due) = (asked.until, order.due());
    let term = TermAsked { until, beyond_milestone: asked.beyond_milestone, due, longest: settings.longest };
    term.check(now)?;
    Ok(NewWaiver {
        order: asked.order.clone(),
        reason: asked.reason,
        control,
        until,
        beyond_milestone: term.is_beyond(),
        requested_by,
    })
}

/// Writes the hosts, then the request.
async fn request(
    store: &dyn Store,
    caller: &Caller,
    waiver: &Prepared,
    new: NewWaiver,
    hosts: BTreeSet<HostId>,
    clock: &Clock,
) -> Result<(), ActionError> {
    let hosts: Vec<HostId> = hosts.into_iter().collect();
    for portion in hosts.chunks(PORTION) {
        let (portion, sites, waiver) = (portion.to_vec(), caller.scope.clone(), waiver.clone());
        let add = move |tx: &mut dyn AdminTx| ask::add(tx, &waiver, &portion, &sites);
        admin::write(store, "waiver_hosts", caller.acting(clock()), add).await??;
    }
    let bytes: Vec<u8> = hosts.iter().flat_map(|host| *host.as_bytes()).collect();
    let (count, digest) = (hosts.len() as u64, Digest::of(&bytes));
    let named = if hosts.len() <= HOSTS { hosts } else { Vec::new() };
    let (list, now, waiver) = (HostList { count, digest, named }, clock(), waiver.clone());
    let request = move |tx: &mut dyn AdminTx| ask::request(tx, &waiver, &new, &list, now);
    Ok(admin::write(store, "waiver_ask", caller.acting(now), request).await??)
}

/// Throws away what was written of a request. A failure is left to the job.
async fn abandon(store: &dyn Store, caller: &Caller, waiver: Prepared, now: Timestamp) {
    loop {
        let waiver = waiver.clone();
        let abandon = move |tx: &mut dyn AdminTx| clean::abandon(tx, &waiver);
        match admin::write(store, "waiver_abandon", caller.acting(now), abandon).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(failed) => {
                tracing::warn!(error = %failed, "a request for a waiver could not be thrown away; this is tried again");
                return;
            }
        }
    }
}

/// Decides about a waiver.
///
/// # Errors
/// The caller may not decide so, there is no such waiver at the caller's sites, or the store failed. Nothing was changed.
pub async fn waiver_decide(
    store: &dyn Store,
    caller: &Caller,
    settings: &Waivers,
    number: u64,
    decision: WaiverDecision,
    now: Timestamp,
) -> Result<(), ActionError> {
    let asked = decide_asked(caller, settings, number, now)?;
    let act = match decision {
        WaiverDecision::Approve => WaiverAct::Approve,
        WaiverDecision::Refuse => WaiverAct::Refuse,
        WaiverDecision::End => WaiverAct::End,
    };
    let decide = move |tx: &mut dyn AdminTx| decide::decide(tx, &asked, act);
    let done = admin::write(store, "waiver_decide", caller.acting(now), decide).await?;
    done.map_err(|refusal| ActionError::Decide { what: "waiver", number, refusal })
}

pub(super) fn decide_asked(
    caller: &Caller,
    settings: &Waivers,
    number: u64,
    now: Timestamp,
) -> Result<DecideAsked, ActionError> {
    let account = account_of(caller)?.to_string();
    Ok(DecideAsked { number, account, sites: caller.scope.clone(), rule: settings.approval, now })
}

/// The account of a caller: two people are distinguished by their accounts.
pub(super) const fn account_of(caller: &Caller) -> Result<&AccountId, ActionError> {
    match &caller.actor {
        Actor::Account { account, .. } => Ok(account),
        Actor::Collector { .. } | Actor::Rules | Actor::Judge | Actor::Agent | Actor::Roster | Actor::Bulk => {
            Err(ActionError::NeedsAccount)
        }
    }
}

/// A text of one line that is not too long; `None` if it is empty or not such a text.
pub(super) fn text(text: &str) -> Option<String> {
    let text = text.trim();
    let is_text = !text.is_empty() && text.len() <= limits::CONTROL_BYTES && !text.chars().any(char::is_control);
    is_text.then(|| text.to_owned())
}

/// Why a waiver is not asked for, for people.
pub(super) fn of_ask(refusal: &AskRefusal) -> String {
    match refusal {
        AskRefusal::Past { until } => {
            format!("the waiver would have ended already, at {}; give a later --until", until.whole_seconds())
        }
        AskRefusal::TooLong { latest } => format!(
            "--until is too late: the setting waivers.longest allows {} at the latest; ask for a new waiver before that one ends",
            latest.whole_seconds()
        ),
        AskRefusal::BeyondMilestone { due } => format!(
            "the order is due at {}, before the waiver ends; add --beyond-milestone if you mean that",
            due.whole_seconds()
        ),
        AskRefusal::NoHosts => "the waiver would cover no host, so nothing was asked for".to_owned(),
        AskRefusal::TooManyHosts => {
            format!("a waiver covers at most {} hosts; split the list", limits::HOSTS_PER_WAIVER)
        }
        AskRefusal::TooManyWaivers => format!(
            "{} waivers of this order wait or are in force, which is the limit; end or refuse some of them",
            limits::WAIVERS_PER_ORDER
        ),
        AskRefusal::TooManyWaived => format!(
            "the waivers that wait or are in force would cover more than {} hosts together, which is the limit",
            limits::WAIVED_HOSTS
        ),
        AskRefusal::NoSuchHosts { hosts, first } if *hosts == 1 => format!("no host {first}; nothing was asked for"),
        AskRefusal::NoSuchHosts { hosts, first } => {
            format!("{hosts} hosts were not found, the first of them is {first}; nothing was asked for")
        }
        AskRefusal::Incomplete => "the request took too long, so nothing was asked for; ask again".to_owned(),
    }
}

/// Which lines name no host or several, for people.
pub(super) fn of_lines(not_found: u64, ambiguous: u64, first: &str) -> String {
    match (not_found, ambiguous) {
        (1, 0) => format!("no host \"{first}\"; nothing was changed"),
        (not_found, 0) => {
            format!("{not_found} hosts were not found, the first of them is \"{first}\"; nothing was changed")
        }
        (0, 1) => format!("\"{first}\" matches several hosts; give the id instead; nothing was changed"),
        (0, ambiguous) => format!(
            "{ambiguous} names match several hosts each, first \"{first}\"; give ids instead; nothing was changed"
        ),
        (not_found, ambiguous) => format!(
            "{not_found} names match no host and {ambiguous} match several, first \"{first}\"; nothing was changed"
        ),
    }
}

/// Why a waiver or a disposition is not decided, for people.
pub(super) fn of_decide(what: &str, number: u64, refusal: DecideRefusal) -> String {
    match refusal {
        DecideRefusal::Unknown => format!("no {what} {number}"),
        DecideRefusal::OtherSites => {
            format!(
                "{what} {number} has hosts of other sites too, and your account is bound to sites; an account that may act on all \
                 of its hosts must decide"
            )
        }
        DecideRefusal::NotWaiting(state) => {
            format!("{what} {number} does not wait for an approval: it is {state}; nothing was changed")
        }
        DecideRefusal::Reported => format!(
            "all hosts of {what} {number} have reported since it was asked for, so they did not leave; refuse it with \
             `muster dispositions refuse {number}`"
        ),
        DecideRefusal::Clocks => format!(
            "another collector, whose clock is ahead, has just decided about {what} {number}; look at it and try again"
        ),
        DecideRefusal::NotInForce(state) => {
            format!("{what} {number} is not in force but {state}; only what is in force can be ended")
        }
        DecideRefusal::Own => {
            format!(
                "your account has asked for {what} {number}, so another person must approve it; nothing was changed"
            )
        }
        DecideRefusal::Machine => {
            format!("your account is held by a program, and a person must approve {what} {number}; nothing was changed")
        }
    }
}
