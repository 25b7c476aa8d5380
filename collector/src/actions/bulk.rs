//! Changes of many hosts: labels, owners, notes and sites. The list of hosts is frozen when the change is asked for; a job works
//! through it.

use std::sync::Arc;
use std::time::Duration;

use muster_proto::limits;
use muster_proto::model::{BulkKind, BulkReport, Label, SiteId, Timestamp};

use super::{ActionError, Caller};
use crate::clock::Clock;
use crate::ledger::actor::Actor;
use crate::rules::RuleSet;
use crate::store::admin::bulk::{self, NewBulk, ScopeLabels};
use crate::store::admin::{host_labels, host_owners};
use crate::store::{Acting, AdminTx, SelectedHost, SiteScope, Store, StoreError, admin};

/// Portions that the answer to a request waits for, so that a small change has ended when it comes.
const AT_ONCE: usize = 3;
/// The time between two portions.
const BETWEEN: Duration = Duration::from_millis(10);
/// Rows of the past that one transaction removes, of each kind.
const FORGOTTEN: i64 = 500;
/// Bulk changes that a list shows.
const LISTED: usize = 100;

/// What hosts get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkChange {
    /// A label.
    Label(Label),
    /// No longer a label.
    Unlabel(Label),
    /// An owner; nobody if the name is empty.
    Own(String),
    /// A note.
    Note(String),
    /// A site.
    Move(SiteId),
}

impl BulkChange {
    /// Reads what a request asks for.
    ///
    /// # Errors
    /// The value is no label or site, or it is too long, or has control characters.
    pub fn read(kind: BulkKind, value: &str) -> Result<Self, ActionError> {
        let value = value.trim();
        let is_line = !value.chars().any(char::is_control);
        let is_note = !value.is_empty() && value.chars().all(|c| !c.is_control() || c == '\n' || c == '\t');
        match kind {
            BulkKind::Label => Ok(Self::Label(Label::new(value)?)),
            BulkKind::Unlabel => Ok(Self::Unlabel(Label::new(value)?)),
            BulkKind::Own if value.len() <= limits::OWNER_BYTES && is_line => Ok(Self::Own(value.to_owned())),
            BulkKind::Own => Err(ActionError::Owner),
            BulkKind::Note if value.len() <= limits::NOTE_BYTES && is_note => Ok(Self::Note(value.to_owned())),
            BulkKind::Note => Err(ActionError::Note),
            BulkKind::Move => Ok(Self::Move(SiteId::new(value)?)),
        }
    }

    fn parts(&self) -> (BulkKind, String) {
        match self {
            Self::Label(label) => (BulkKind::Label, label.to_string()),
            Self::Unlabel(label) => (BulkKind::Unlabel, label.to_string()),
            Self::Own(owner) => (BulkKind::Own, owner.clone()),
            Self::Note(note) => (BulkKind::Note, note.clone()),
            Self::Move(site) => (BulkKind::Move, site.to_string()),
        }
    }
}

/// Begins a change of hosts, which were selected at the caller's sites, and does its first portions.
///
/// # Errors
/// The caller may not move hosts to the site, too many hosts are selected, too many changes run, or the store failed.
pub async fn hosts_change(
    store: &dyn Store,
    caller: &Caller,
    change: &BulkChange,
    hosts: &[SelectedHost],
    rules: &RuleSet,
    clock: &Clock,
) -> Result<BulkReport, ActionError> {
    if let BulkChange::Move(site) = change {
        caller.must_admit(site)?;
    }
    if hosts.len() > limits::BULK_HOSTS {
        return Err(ActionError::TooManyHosts);
    }
    let (kind, value) = change.parts();
    let account = match &caller.actor {
        Actor::Account { account, .. } => Some(account.clone()),
        Actor::Collector { .. } | Actor::Rules | Actor::Judge | Actor::Agent | Actor::Roster | Actor::Bulk => None,
    };
    let mut numbers: Vec<i64> = hosts.iter().map(|host| host.no).collect();
    // In the order of their rows, which is the one in which other transactions lock them.
    numbers.sort_unstable();
    let (new, now) = (NewBulk { kind, value, account, sites: caller.scope.clone(), hosts: numbers }, clock());
    let begin = move |tx: &mut dyn AdminTx| bulk::begin(tx, &new, now);
    let begun = admin::write(store, "bulk_begin", caller.acting(now), begin).await?;
    let number = begun.ok_or(ActionError::TooManyChanges)?;
    let scope = scope_labels(rules);
    for _ in 0..=AT_ONCE {
        // The change has begun, so a failure from here on is no answer: the job goes on with it.
        match advance(store, &scope, clock).await {
            Ok(true) if bulk_get(store, number).await?.is_some_and(|bulk| bulk.ended_at.is_none()) => {}
            Ok(_) => break,
            Err(failed) => {
                tracing::warn!(bulk = number, error = %failed, "changing hosts failed; trying again");
                break;
            }
        }
    }
    bulk_get(store, number).await?.ok_or(ActionError::NoChange { number })
}

/// Does what is left of changes, until nothing is.
///
/// # Errors
/// The store failed. What was done stays done.
pub async fn bulk_advance(store: &dyn Store, rules: &RuleSet, clock: &Clock) -> Result<(), StoreError> {
    if !admin::read(store, "bulk_is_running", bulk::is_running).await? {
        return Ok(());
    }
    let scope = scope_labels(rules);
    while advance(store, &scope, clock).await? {
        // Reports come in between two portions.
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(())
}

fn scope_labels(rules: &RuleSet) -> Arc<ScopeLabels> {
    let labels = rules.active_orders().flat_map(|order| order.scope.labels.iter().cloned()).collect();
    Arc::new(ScopeLabels { rules: rules.version.clone(), labels })
}

async fn advance(store: &dyn Store, scope: &Arc<ScopeLabels>, clock: &Clock) -> Result<bool, StoreError> {
    let now = clock();
    let acting = || Acting { actor: Actor::Bulk, now };
    let scope = Arc::clone(scope);
    let advance = move |tx: &mut dyn AdminTx| bulk::advance(tx, &scope, now);
    match admin::write(store, "bulk_advance", acting(), advance).await {
        Err(damaged @ StoreError::Damaged { .. }) => {
            // It would fail for ever, and hold up all that were asked for later.
            let give_up = move |tx: &mut dyn AdminTx| bulk::give_up(tx, now);
            let ended = admin::write(store, "bulk_give_up", acting(), give_up).await?;
            tracing::error!(bulk = ended, error = %damaged, "a change of hosts was ended before its last host");
            Ok(true)
        }
        advanced => advanced,
    }
}

/// Removes the past of labels and owners from before an instant, in small steps.
///
/// # Errors
/// The store failed. What was removed stays removed.
pub async fn said_forget(store: &dyn Store, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        let forget = move |tx: &mut dyn AdminTx| {
            Ok(host_labels::forget(tx, before, FORGOTTEN)? + host_owners::forget(tx, before, FORGOTTEN)?)
        };
        match admin::write(store, "said_forget", Acting { actor: Actor::Bulk, now }, forget).await? {
            0 => return Ok(removed),
            rows => removed += rows,
        }
    }
}

async fn bulk_get(store: &dyn Store, number: u64) -> Result<Option<BulkReport>, StoreError> {
    admin::read(store, "bulk_get", move |tx: &mut dyn AdminTx| bulk::get(tx, number)).await
}

/// A change that a caller may see: a caller that is bound to sites sees its own.
///
/// # Errors
/// There is none, or the store failed.
pub async fn bulk_show(store: &dyn Store, caller: &Caller, number: u64) -> Result<BulkReport, ActionError> {
    let found = bulk_get(store, number).await?.filter(|bulk| may_see(caller, bulk));
    found.ok_or(ActionError::NoChange { number })
}

/// The newest changes that a caller may see.
///
/// # Errors
/// The store failed.
pub async fn bulk_list(store: &dyn Store, caller: &Caller) -> Result<Vec<BulkReport>, ActionError> {
    // Those of others are left out afterwards, so all are read.
    let list = |tx: &mut dyn AdminTx| bulk::list(tx, usize::try_from(bulk::KEPT).unwrap_or(LISTED));
    let mut changes = admin::read(store, "bulk_list", list).await?;
    changes.retain(|bulk| may_see(caller, bulk));
    changes.truncate(LISTED);
    Ok(changes)
}

fn may_see(caller: &Caller, bulk: &BulkReport) -> bool {
    let is_own = match &caller.actor {
        Actor::Account { account, .. } => bulk.account.as_ref() == Some(account),
        Actor::Collector { .. } | Actor::Rules | Actor::Judge | Actor::Agent | Actor::Roster | Actor::Bulk => false,
    };
    caller.scope == SiteScope::All || is_own
}
