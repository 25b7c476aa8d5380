//! Sessions of the web board: opened with a token, found by the id in a cookie, ended.
//!
//! A session has no rights of its own. Whenever it is used, the token or the password that opened it and the account are read again.

use muster_proto::model::{AccountId, AccountName, Holder, Timestamp, TokenId};

use super::accounts::{self, TokenHolder};
use crate::ledger::entry::Entry;
use crate::store::sql::{AdminTx, Row, Step};

/// Sessions of one account. Somebody who opens another one ends the one that was not used for the longest time.
const PER_ACCOUNT: usize = 20;
/// Sessions of all accounts. Beyond them, those that were not used for the longest time end.
/// Tests have fewer.
const MOST: i64 = if cfg!(test) { 30 } else { 10_000 };

const OPEN: &str =
    "INSERT INTO session (id, secret_hash, account, token, created_at, expires_at, seen_at, by_link, proved_at)
     VALUES ($1, $2, $3, $4, $5, $6, $5, $7, $8)";
const END_OVER: &str = "DELETE FROM session WHERE expires_at <= $1 OR seen_at <= $2";
const OF_ACCOUNT: &str = "SELECT id FROM session WHERE account = $1 ORDER BY seen_at, created_at, id";
const COUNT: &str = "SELECT count(*) FROM session";
const UNUSED: &str = "SELECT id FROM session ORDER BY seen_at, id LIMIT $1";
const FIND: &str =
    "SELECT s.secret_hash, s.token, s.expires_at, s.seen_at, t.expires_at, t.revoked_at, a.id, a.name, a.role,
     a.revoked_at, s.created_at, s.by_link, s.proved_at, a.holder FROM session s JOIN account a ON a.id = s.account
     LEFT JOIN account_token t ON t.id = s.token AND t.account = s.account
     LEFT JOIN account_password p ON p.id = s.token AND p.account = s.account
     WHERE s.id = $1 AND (t.id IS NOT NULL OR p.id IS NOT NULL)";
const SEEN: &str = "UPDATE session SET seen_at = $2 WHERE id = $1 AND seen_at < $2";
// Those whose token or password and account are still accepted.
const LIST: &str = "SELECT s.id, s.account, a.name, s.created_at, s.seen_at, s.by_link, a.holder
     FROM session s JOIN account a ON a.id = s.account
     LEFT JOIN account_token t ON t.id = s.token AND t.account = s.account
     LEFT JOIN account_password p ON p.id = s.token AND p.account = s.account
     WHERE s.expires_at > $1 AND s.seen_at > $2 AND a.revoked_at IS NULL
     AND (p.id IS NOT NULL OR (t.id IS NOT NULL AND t.revoked_at IS NULL
          AND coalesce(t.expires_at, 9223372036854775807) > $1)) ORDER BY a.name, s.account, s.created_at, s.id";
const END: &str = "DELETE FROM session WHERE id = $1";

/// A new session. Of its secret, only the hash is stored.
#[derive(Debug, Clone)]
pub(crate) struct NewSession {
    pub(crate) id: TokenId,
    pub(crate) secret_hash: [u8; 32],
    pub(crate) account: AccountId,
    /// The token or the password with which the person logged in.
    pub(crate) token: TokenId,
    /// The login link, if the person used one.
    pub(crate) link: Option<TokenId>,
    /// When the person showed who they are; the epoch if that is not known.
    pub(crate) proved_at: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// Sessions that were last used then or earlier are over.
    pub(crate) idle_since: Timestamp,
}

/// A session as it is stored: its times, its secret and its account are not checked yet.
#[derive(Debug, Clone)]
pub(crate) struct StoredSession {
    pub(crate) expires_at: Timestamp,
    /// When it was opened.
    pub(crate) opened_at: Timestamp,
    /// When it was last used.
    pub(crate) seen_at: Timestamp,
    pub(crate) token: TokenId,
    /// Whether it was opened with a login link.
    pub(crate) by_link: bool,
    /// When its person showed who they are; the epoch if that is not known.
    pub(crate) proved_at: Timestamp,
    /// Who holds the account.
    pub(crate) held_by: Holder,
    /// The account, with the hash of the session's secret.
    pub(crate) holder: TokenHolder,
}

/// A session that is not over, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// Its public part.
    pub id: TokenId,
    /// Whose it is.
    pub account: AccountId,
    /// The account's name.
    pub name: AccountName,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub seen_at: Timestamp,
    /// Whether it was opened with a login link.
    pub by_link: bool,
    /// Who holds the account.
    pub holder: Holder,
}

/// Opens a session. Those that are over are removed. Others beyond the bounds end, which is an entry for each: they were in use.
///
/// # Errors
/// The database fails.
pub(crate) fn open(tx: &mut dyn AdminTx, new: &NewSession) -> Step<()> {
    // They have ended already, so that they are removed is no action.
    tx.note_progress(END_OVER, &[new.now.into(), new.idle_since.into()])?;
    let own = of_account(tx, &new.account)?;
    for oldest in own.iter().take((own.len() + 1).saturating_sub(PER_ACCOUNT)) {
        end(tx, oldest)?;
    }
    let count = tx.query(COUNT, &[])?.first().map(|row| row.int(0)).transpose()?.unwrap_or_default();
    if count >= MOST {
        let unused = tx.query(UNUSED, &[(count - MOST + 1).into()])?;
        for row in &unused {
            end(tx, &row.parse("a session", 0)?)?;
        }
    }
    let (account, by_link) = (new.account.as_str().into(), i64::from(new.link.is_some()));
    let (id, hash) = (new.id.as_str().into(), new.secret_hash.as_slice().into());
    let values = [
        id,
        hash,
        account,
        new.token.as_str().into(),
        new.now.into(),
        new.expires_at.into(),
        by_link.into(),
        new.proved_at.into(),
    ];
    tx.execute(OPEN, &values)?;
    let (session, link) = (new.id.clone(), new.link.clone());
    tx.record(Entry::SessionOpened { session, expires_at: new.expires_at, link });
    Ok(())
}

/// The session with this id.
///
/// # Errors
/// The database fails.
pub(crate) fn find(tx: &mut dyn AdminTx, id: &TokenId) -> Step<Option<StoredSession>> {
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
    let (expires_at, opened_at, seen_at, by_link) = (row.time(2)?, row.time(10)?, row.time(3)?, row.flag(11)?);
    let (proved_at, held_by) = (row.time(12)?, row.parse("an account", 13)?);
    Ok(Some(StoredSession { expires_at, opened_at, seen_at, token, by_link, proved_at, held_by, holder }))
}

/// The sessions that are not over, by account: those that end after `now` and were used after `idle_since`. There are at most 10,000.
///
/// # Errors
/// The database fails.
pub(crate) fn list(tx: &mut dyn AdminTx, now: Timestamp, idle_since: Timestamp) -> Step<Vec<OpenSession>> {
    let session = |row: &Row| -> Step<OpenSession> {
        Ok(OpenSession {
            id: row.parse("a session", 0)?,
            account: row.parse("an account", 1)?,
            name: row.parse("an account", 2)?,
            created_at: row.time(3)?,
            seen_at: row.time(4)?,
            by_link: row.flag(5)?,
            holder: row.parse("an account", 6)?,
        })
    };
    tx.query(LIST, &[now.into(), idle_since.into()])?.iter().map(session).collect()
}

/// Notes that a session was used.
///
/// # Errors
/// The database fails.
pub(crate) fn seen(tx: &mut dyn AdminTx, id: &TokenId, now: Timestamp) -> Step<()> {
    tx.note_progress(SEEN, &[id.as_str().into(), now.into()])?;
    Ok(())
}

/// Ends a session. Returns whether there was one.
///
/// # Errors
/// The database fails.
pub(crate) fn end(tx: &mut dyn AdminTx, id: &TokenId) -> Step<bool> {
    let ended = tx.execute(END, &[id.as_str().into()])? > 0;
    if ended {
        tx.record(Entry::SessionEnded { session: id.clone() });
    }
    Ok(ended)
}

/// Ends all sessions of an account. Returns how many there were.
///
/// # Errors
/// The database fails.
pub(crate) fn end_all(tx: &mut dyn AdminTx, account: &AccountId) -> Step<usize> {
    let sessions = of_account(tx, account)?;
    for session in &sessions {
        end(tx, session)?;
    }
    Ok(sessions.len())
}

/// The sessions of an account. The first one was not used for the longest time.
fn of_account(tx: &mut dyn AdminTx, account: &AccountId) -> Step<Vec<TokenId>> {
    tx.query(OF_ACCOUNT, &[account.as_str().into()])?.iter().map(|row| row.parse("a session", 0)).collect()
}

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[OPEN, END_OVER, OF_ACCOUNT, COUNT, UNUSED, FIND, SEEN, LIST, END];
