//! Who is logged in, and ending a session from elsewhere: administrators those of accounts that they manage, everybody their own.

use muster_proto::model::{AccountId, Timestamp, TokenId};

use super::session::SessionTimes;
use super::{ActionError, Caller};
use crate::ledger::actor::Actor;
use crate::store::admin::sessions;
use crate::store::{SiteScope, Store, admin};

pub use crate::store::admin::sessions::OpenSession;

/// The sessions of the accounts that the caller may manage, by account.
///
/// # Errors
/// The store fails.
pub async fn session_list(
    store: &dyn Store,
    caller: &Caller,
    times: SessionTimes,
    now: Timestamp,
) -> Result<Vec<OpenSession>, ActionError> {
    let list = move |tx: &mut dyn admin::AdminTx| {
        let sessions = sessions::list(tx, now, now.minus(times.idle))?;
        Ok((sessions, admin::accounts::list(tx)?))
    };
    let (mut sessions, mut accounts) = admin::read(store, "session_list", list).await?;
    accounts.retain(|account| caller.scope.covers(&SiteScope::of(&account.sites)));
    sessions.retain(|session| accounts.iter().any(|account| account.id == session.account));
    Ok(sessions)
}

/// The sessions of the caller's own account.
///
/// # Errors
/// The caller is not an account, or the store fails.
pub async fn session_list_own(
    store: &dyn Store,
    caller: &Caller,
    times: SessionTimes,
    now: Timestamp,
) -> Result<Vec<OpenSession>, ActionError> {
    let own = own(caller)?.clone();
    let list = move |tx: &mut dyn admin::AdminTx| sessions::list(tx, now, now.minus(times.idle));
    let mut sessions = admin::read(store, "session_list", list).await?;
    sessions.retain(|session| session.account == own);
    Ok(sessions)
}

/// Ends a session of an account that the caller may manage.
///
/// # Errors
/// There is no such session, or it is of another account; the store fails.
pub async fn session_end_of(
    store: &dyn Store,
    caller: &Caller,
    session: &TokenId,
    now: Timestamp,
) -> Result<(), ActionError> {
    let scope = caller.scope.clone();
    end(store, caller, session, now, move |_, sites| scope.covers(sites)).await
}

/// Ends a session of the caller's own account.
///
/// # Errors
/// There is no such session, or it is of another account; the caller is not an account, or the store fails.
pub async fn session_end_own(
    store: &dyn Store,
    caller: &Caller,
    session: &TokenId,
    now: Timestamp,
) -> Result<(), ActionError> {
    let own = own(caller)?.clone();
    end(store, caller, session, now, move |account, _| *account == own).await
}

fn own(caller: &Caller) -> Result<&AccountId, ActionError> {
    match &caller.actor {
        Actor::Account { account, .. } => Ok(account),
        Actor::Collector { .. } | Actor::Rules | Actor::Judge | Actor::Agent | Actor::Roster | Actor::Bulk => {
            Err(ActionError::NotAnAccount)
        }
    }
}

async fn end(
    store: &dyn Store,
    caller: &Caller,
    session: &TokenId,
    now: Timestamp,
    may: impl Fn(&AccountId, &SiteScope) -> bool + Send + Sync + 'static,
) -> Result<(), ActionError> {
    let id = session.clone();
    let end = move |tx: &mut dyn admin::AdminTx| {
        let found = sessions::find(tx, &id)?.filter(|found| may(&found.holder.account, &found.holder.sites));
        if found.is_none() { Ok(false) } else { sessions::end(tx, &id) }
    };
    let is_ended = admin::write(store, "session_end", caller.acting(now), end).await?;
    if is_ended { Ok(()) } else { Err(ActionError::NoSession { session: session.clone() }) }
}
