//! Links that log the caller's own account in to the web board once. The store gets the hash of a link's secret only.

use std::time::Duration;

use muster_proto::model::{Timestamp, Token};

use super::session::{SessionTimes, new_session};
use super::{ActionError, Caller, random};
use crate::ledger::actor::Actor;
use crate::store::admin::login_links::{self, NewLoginLink};
use crate::store::{Store, admin};

/// How long a link can be used.
const LIFETIME: Duration = Duration::from_secs(600);

/// A link whose secret is right and whose account and token are still accepted.
#[derive(Debug, Clone)]
pub enum LoginLinkFound {
    /// It can be used by this account.
    Valid(Caller),
    /// It was used.
    Used,
    /// Its time is over.
    Over,
}

impl LoginLinkFound {
    /// The account that can use it.
    #[must_use]
    pub const fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Valid(caller) => Some(caller),
            Self::Used | Self::Over => None,
        }
    }
}

/// Makes a link for the caller's own account. Returns its token and until when it can be used.
///
/// # Errors
/// The caller is not an account or has made too many links, or the store fails.
pub async fn login_link_create(
    store: &dyn Store,
    caller: &Caller,
    now: Timestamp,
) -> Result<(Token, Timestamp), ActionError> {
    let Actor::Account { account, token } = &caller.actor else { return Err(ActionError::NotAnAccount) };
    let link = Token { id: random::token_id()?, secret: random::secret()? };
    let expires_at = now.plus(LIFETIME);
    let new = NewLoginLink {
        id: link.id.clone(),
        secret_hash: link.secret.hash(),
        account: account.clone(),
        token: token.clone(),
        now,
        expires_at,
    };
    let create = move |tx: &mut dyn admin::AdminTx| login_links::create(tx, &new);
    match admin::write(store, "login_link_create", caller.acting(now), create).await? {
        Ok(()) => Ok((link, expires_at)),
        Err(at) => Err(ActionError::TooManyLinks { again: at.since(now).max(Duration::from_secs(1)) }),
    }
}

/// The link with this token: `None` if it is unknown, if its secret is wrong, or if the token or the account that made it is no
/// longer accepted.
///
/// # Errors
/// The store fails.
pub async fn login_link_find(
    store: &dyn Store,
    token: &Token,
    now: Timestamp,
) -> Result<Option<LoginLinkFound>, ActionError> {
    let id = token.id.clone();
    let found = admin::read(store, "login_link_find", move |tx| login_links::find(tx, &id)).await?;
    // Compare even if the id is unknown, so that the duration does not reveal which ids exist.
    let expected = found.as_ref().map_or([0_u8; 32], |found| found.holder.secret_hash);
    let is_same = token.secret.matches(&expected);
    let is_accepted = |found: &login_links::StoredLoginLink| {
        is_same && !found.holder.is_revoked && found.holder.expires_at.is_none_or(|end| now < end)
    };
    Ok(found.filter(is_accepted).map(|found| {
        if found.used_at.is_some() {
            return LoginLinkFound::Used;
        }
        if now >= found.expires_at {
            return LoginLinkFound::Over;
        }
        let holder = found.holder;
        let name = holder.name.to_string();
        LoginLinkFound::Valid(Caller::account(holder.account, found.token, name, holder.role, holder.sites))
    }))
}

/// Uses up a link that was found for this caller, and opens a session. `None` if somebody has used it meanwhile.
///
/// # Errors
/// The caller is not an account, or the store fails.
pub async fn login_link_use(
    store: &dyn Store,
    link: &Token,
    caller: &Caller,
    times: SessionTimes,
    now: Timestamp,
) -> Result<Option<Token>, ActionError> {
    let (session, new) = new_session(caller, Some(link.id.clone()), times, now, now)?;
    let id = link.id.clone();
    let use_up = move |tx: &mut dyn admin::AdminTx| login_links::use_up(tx, &id, &new);
    let is_used = admin::write(store, "login_link_use", caller.acting(now), use_up).await?;
    Ok(is_used.then_some(session))
}
