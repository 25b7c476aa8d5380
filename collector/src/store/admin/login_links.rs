//! Links that log an account in to the web board once: made with a token, found by the id in their address, used up.
//!
//! A link has no rights of its own. When it is used, the token that made it and the account are read again.

use muster_proto::model::{AccountId, Timestamp, TokenId};

use super::accounts::{self, TokenHolder};
use super::sessions::{self, NewSession};
use crate::ledger::entry::Entry;
use crate::store::decide::login_links as decide;
use crate::store::sql::{AdminTx, Step};

const CREATE: &str = "INSERT INTO login_link (id, secret_hash, account, token, expires_at) VALUES ($1, $2, $3, $4, $5)";
const OF_ACCOUNT: &str = "SELECT id, expires_at FROM login_link WHERE account = $1 ORDER BY expires_at, id";
const REMOVE: &str = "DELETE FROM login_link WHERE id = $1";
const REMOVE_OVER: &str = "DELETE FROM login_link WHERE expires_at <= $1";
const FIND: &str = "SELECT l.secret_hash, l.token, l.expires_at, l.used_at, t.expires_at, t.revoked_at, a.id, a.name, a.role,
     a.revoked_at FROM login_link l JOIN account_token t ON t.id = l.token JOIN account a ON a.id = t.account WHERE l.id = $1";
const USE_UP: &str = "UPDATE login_link SET used_at = $2 WHERE id = $1 AND used_at IS NULL AND expires_at > $2";

/// A new link. Of its secret, only the hash is stored.
#[derive(Debug, Clone)]
pub(crate) struct NewLoginLink {
    pub(crate) id: TokenId,
    pub(crate) secret_hash: [u8; 32],
    pub(crate) account: AccountId,
    /// The token with which it was asked for.
    pub(crate) token: TokenId,
    pub(crate) now: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// A link as it is stored: its times, its secret and its account are not checked yet.
#[derive(Debug, Clone)]
pub(crate) struct StoredLoginLink {
    pub(crate) expires_at: Timestamp,
    pub(crate) used_at: Option<Timestamp>,
    pub(crate) token: TokenId,
    /// The account, with the hash of the link's secret.
    pub(crate) holder: TokenHolder,
}

/// Makes a link. Those that ended long ago are removed.
///
/// # Errors
/// The database fails. That the account has too many is no error: the instant at which it may make another one.
pub(crate) fn create(tx: &mut dyn AdminTx, new: &NewLoginLink) -> Step<Result<(), Timestamp>> {
    let account = new.account.as_str().into();
    let own: Vec<(TokenId, Timestamp)> = tx
        .query(OF_ACCOUNT, &[account])?
        .iter()
        .map(|row| -> Step<(TokenId, Timestamp)> { Ok((row.parse("a login link", 0)?, row.time(1)?)) })
        .collect::<Step<_>>()?;
    let ends: Vec<Timestamp> = own.iter().map(|(_, expires_at)| *expires_at).collect();
    let removed = match decide::may_make(&ends, new.now) {
        Ok(removed) => removed,
        Err(again) => return Ok(Err(again)),
    };
    // They have ended already, so that they are removed is no action.
    tx.note_progress(REMOVE_OVER, &[new.now.minus(decide::TOLD_FOR).into()])?;
    for (oldest, _) in own.iter().take(removed) {
        tx.note_progress(REMOVE, &[oldest.as_str().into()])?;
    }
    let (id, hash) = (new.id.as_str().into(), new.secret_hash.as_slice().into());
    tx.execute(CREATE, &[id, hash, account, new.token.as_str().into(), new.expires_at.into()])?;
    tx.record(Entry::LoginLinkCreated { link: new.id.clone(), expires_at: new.expires_at });
    Ok(Ok(()))
}

/// The link with this id.
///
/// # Errors
/// The database fails.
pub(crate) fn find(tx: &mut dyn AdminTx, id: &TokenId) -> Step<Option<StoredLoginLink>> {
    let rows = tx.query(FIND, &[id.as_str().into()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let account: AccountId = row.parse("an account", 6)?;
    let sites = accounts::sites_of(tx, &account)?;
    let holder = TokenHolder {
        secret_hash: row.bytes(0)?,
        expires_at: row.maybe_time(4)?,
        is_revoked: row.maybe_time(5)?.is_some() || row.maybe_time(9)?.is_some(),
        account,
        name: row.parse("an account", 7)?,
        role: row.parse("an account", 8)?,
        sites,
    };
    let token = row.parse("an account token", 1)?;
    Ok(Some(StoredLoginLink { expires_at: row.time(2)?, used_at: row.maybe_time(3)?, token, holder }))
}

/// Uses up a link and opens a session. Returns whether it did: a link that is used or over opens none.
///
/// # Errors
/// The database fails.
pub(crate) fn use_up(tx: &mut dyn AdminTx, id: &TokenId, session: &NewSession) -> Step<bool> {
    let is_used = tx.execute(USE_UP, &[id.as_str().into(), session.now.into()])? == 1;
    if is_used {
        sessions::open(tx, session)?;
    }
    Ok(is_used)
}

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[CREATE, OF_ACCOUNT, REMOVE, REMOVE_OVER, FIND, USE_UP];
