//! Sessions of the web board. A person shows a token once and then has a session, whose own token is in a cookie. The store
//! gets its hash only.
//!
//! Here is the place for other ways to log in: each proves an account in its own way, and then opens a session.

use std::time::Duration;

use muster_proto::model::{Holder, Timestamp, Token, TokenId};

use super::{ActionError, Caller, random};
use crate::ledger::actor::Actor;
use crate::store::admin::sessions::{self, NewSession};
use crate::store::{Acting, Store, admin};

/// The longest time within which a session that is used again is not noted again.
const NOTED_FOR: Duration = Duration::from_secs(60);

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimes {
    /// From the login on.
    pub whole: Duration,
    /// Without being used.
    pub idle: Duration,
}

/// The longest time since the login after which a session may do what is sensitive.
const LATELY: Duration = Duration::from_secs(15 * 60);

/// A session in use.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its public part.
    pub id: TokenId,
    /// Who is logged in.
    pub caller: Caller,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When its person showed who they are, with a token or to the identity provider; the epoch if that is not known.
    pub proved_at: Timestamp,
    /// When it was last used, to the minute.
    pub seen_at: Timestamp,
    /// Whether it was opened with a login link: somebody who came in by a link has not shown who they are by anything else.
    pub by_link: bool,
    /// Whether the identity provider vouches for the account.
    pub is_from_provider: bool,
}

impl Session {
    /// Whether its person showed who they are so lately that a sensitive action needs no other login. A browser that was left open must
    /// not approve anything, and neither must who has found a link.
    #[must_use]
    pub fn is_proved_lately(&self, now: Timestamp) -> bool {
        !self.by_link && now.since(self.proved_at) < LATELY
    }

    /// Whether it was noted so long ago that its use now is to be noted, too: a minute, and less for sessions that end soon
    /// without use.
    #[must_use]
    pub fn is_due(&self, times: SessionTimes, now: Timestamp) -> bool {
        now.since(self.seen_at) >= NOTED_FOR.min(times.idle / 4)
    }
}

/// Opens a session for a caller who has shown a token. Returns the token of the session, which the caller's browser keeps.
///
/// # Errors
/// The caller is not an account, or the store fails.
pub async fn session_open(
    store: &dyn Store,
    caller: &Caller,
    times: SessionTimes,
    now: Timestamp,
) -> Result<Token, ActionError> {
    let (session, new) = new_session(caller, None, times, now, now)?;
    let open = move |tx: &mut dyn admin::AdminTx| sessions::open(tx, &new);
    admin::write(store, "session_open", caller.acting(now), open).await?;
    Ok(session)
}

/// A new session with its token. `link` is the login link that the person used; `proved_at` is when they showed who they are.
pub(super) fn new_session(
    caller: &Caller,
    link: Option<TokenId>,
    times: SessionTimes,
    proved_at: Timestamp,
    now: Timestamp,
) -> Result<(Token, NewSession), ActionError> {
    let Actor::Account { account, token } = &caller.actor else { return Err(ActionError::NotAnAccount) };
    let session = Token { id: random::token_id()?, secret: random::secret()? };
    let new = NewSession {
        id: session.id.clone(),
        secret_hash: session.secret.hash(),
        account: account.clone(),
        token: token.clone(),
        link,
        proved_at,
        now,
        expires_at: now.plus(times.whole),
        idle_since: now.minus(times.idle),
    };
    Ok((session, new))
}

/// The session with this token: `None` if it is unknown or over, if its secret is wrong, or if the token or the account that
/// opened it is no longer accepted.
///
/// # Errors
/// The store fails.
pub async fn session_find(
    store: &dyn Store,
    token: &Token,
    times: SessionTimes,
    now: Timestamp,
) -> Result<Option<Session>, ActionError> {
    let id = token.id.clone();
    let found = admin::read(store, "session_find", move |tx| sessions::find(tx, &id)).await?;
    // Compare even if the id is unknown, so that the duration does not reveal which ids exist.
    let expected = found.as_ref().map_or([0_u8; 32], |found| found.holder.secret_hash);
    let is_same = token.secret.matches(&expected);
    let lasts = |found: &sessions::StoredSession| {
        now < found.expires_at && now.since(found.seen_at) < times.idle && !found.holder.is_revoked
    };
    let found = found.filter(|found| is_same && lasts(found));
    let found = found.filter(|found| found.holder.expires_at.is_none_or(|end| now < end));
    Ok(found.map(|found| {
        let holder = found.holder;
        let caller = Caller::account(holder.account, found.token, holder.name.to_string(), holder.role, holder.sites);
        Session {
            id: token.id.clone(),
            caller,
            opened_at: found.opened_at,
            seen_at: found.seen_at,
            proved_at: found.proved_at,
            by_link: found.by_link,
            is_from_provider: found.held_by == Holder::ProviderPerson,
        }
    }))
}

/// Notes that a session was used.
///
/// # Errors
/// The store fails.
pub async fn session_seen(store: &dyn Store, session: &Session, now: Timestamp) -> Result<(), ActionError> {
    let id = session.id.clone();
    let acting = Acting { actor: session.caller.actor.clone(), now };
    admin::write(store, "session_seen", acting, move |tx| sessions::seen(tx, &id, now)).await?;
    Ok(())
}

/// Ends a session: its person has logged out. One that is over already is no error.
///
/// # Errors
/// The store fails.
pub async fn session_end(store: &dyn Store, session: &Session, now: Timestamp) -> Result<(), ActionError> {
    let id = session.id.clone();
    admin::write(store, "session_end", session.caller.acting(now), move |tx| sessions::end(tx, &id)).await?;
    Ok(())
}

/// Ends all sessions of an account. Returns how many there were.
///
/// # Errors
/// The caller is not an account, or the store fails.
pub async fn session_end_all(store: &dyn Store, caller: &Caller, now: Timestamp) -> Result<usize, ActionError> {
    let Actor::Account { account, .. } = &caller.actor else { return Err(ActionError::NotAnAccount) };
    let account = account.clone();
    let end = move |tx: &mut dyn admin::AdminTx| sessions::end_all(tx, &account);
    Ok(admin::write(store, "session_end_all", caller.acting(now), end).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_noted_after_a_minute_or_a_quarter_of_the_idle_time() {
        let seen_at = Timestamp::from_millis(1_767_000_000_000);
        let session = Session {
            id: TokenId::new("one").expect("an id"),
            caller: Caller::collector("root"),
            opened_at: seen_at,
            proved_at: seen_at,
            seen_at,
            by_link: false,
            is_from_provider: false,
        };
        let due = |idle: u64, after: u64| {
            let times = SessionTimes { whole: Duration::from_secs(43_200), idle: Duration::from_secs(idle) };
            session.is_due(times, seen_at.plus(Duration::from_secs(after)))
        };
        assert_eq!([due(3_600, 59), due(3_600, 60)], [false, true]);
        assert_eq!([due(60, 14), due(60, 15)], [false, true]);
    }
}
