//! Logins with the identity provider: begun and taken once, and the accounts of the people for whom it vouches.
//!
//! An account of these belongs to an issuer and what it calls the person for ever, never to a name. Its role and its sites are those that
//! the provider's groups gave at the last login. It has one token, whose secret nobody has: its sessions belong to that.

use muster_proto::model::{AccountId, AccountName, AccountReport, Holder, Role, SiteId, Timestamp, TokenId};

use super::accounts::{self, NewAccount, NewAccountToken};
use super::sessions::{self, NewSession};
use crate::store::decide::accounts as decide;
use crate::store::sql::{AdminTx, Step};
use crate::store::{AccountRefusal, SiteScope};

/// Logins that are begun and not finished. Beyond them, the oldest end.
/// Tests have fewer.
const MOST: i64 = if cfg!(test) { 20 } else { 10_000 };

const REMOVE_OVER: &str = "DELETE FROM pending_login WHERE begun_at <= $1";
const COUNT: &str = "SELECT count(*) FROM pending_login";
const REMOVE_OLDEST: &str = "DELETE FROM pending_login WHERE id IN
     (SELECT id FROM pending_login ORDER BY begun_at, id LIMIT $1)";
const BEGIN: &str = "INSERT INTO pending_login (id, secret_hash, next, again, begun_at) VALUES ($1, $2, $3, $4, $5)";
const FIND: &str = "SELECT secret_hash, next, again, begun_at FROM pending_login WHERE id = $1";
const REMOVE: &str = "DELETE FROM pending_login WHERE id = $1";
const IDENTITY: &str = "SELECT i.account, t.id FROM account_identity i JOIN account_token t ON t.account = i.account
     WHERE i.issuer = $1 AND i.subject = $2 ORDER BY t.id";
const IDENTIFY: &str = "INSERT INTO account_identity (issuer, subject, account) VALUES ($1, $2, $3)";

/// A login that begins. Of its secret, only the hash is stored.
#[derive(Debug, Clone)]
pub(crate) struct NewLogin {
    pub(crate) id: TokenId,
    pub(crate) secret_hash: [u8; 32],
    /// The page to go to.
    pub(crate) next: String,
    /// Whether the person must show the provider again who they are.
    pub(crate) again: bool,
    pub(crate) now: Timestamp,
    /// Logins that were begun then or earlier are over.
    pub(crate) over_since: Timestamp,
}

/// A login that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenLogin {
    /// The page to go to.
    pub next: String,
    /// Whether the person must show the provider again who they are.
    pub again: bool,
    /// When it was begun.
    pub begun_at: Timestamp,
}

/// The account of a person of the provider, with its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) account: AccountId,
    pub(crate) token: TokenId,
}

/// A person who comes in.
#[derive(Debug, Clone)]
pub(crate) struct Entering {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    /// The name for a new account. It gets a number if another account has it.
    pub(crate) name: AccountName,
    pub(crate) role: Role,
    /// Empty means all sites.
    pub(crate) sites: Vec<SiteId>,
    /// The account that was found, or one for a new person.
    pub(crate) account: AccountId,
    /// The token of the account, with the hash of a secret that nobody has.
    pub(crate) token: NewAccountToken,
    pub(crate) session: NewSession,
}

/// Whether a person came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entered {
    /// A session is open.
    In(AccountReport),
    /// An administrator has revoked the account.
    Revoked(AccountName),
    /// No account can be made.
    Refused(AccountRefusal),
    /// The person has another account than was found before: somebody was faster. Try again.
    Raced,
}

/// Begins a login. Those that are over are removed, and the oldest if there are too many: strangers can begin some.
///
/// # Errors
/// The database fails.
pub(crate) fn begin(tx: &mut dyn AdminTx, new: &NewLogin) -> Step<()> {
    // Nobody is known yet, so none of this is an action.
    tx.note_progress(REMOVE_OVER, &[new.over_since.into()])?;
    let count = tx.query(COUNT, &[])?.first().map(|row| row.int(0)).transpose()?.unwrap_or_default();
    if count >= MOST {
        tx.note_progress(REMOVE_OLDEST, &[(count - MOST + 1).into()])?;
    }
    let (id, hash) = (new.id.as_str().into(), new.secret_hash.as_slice().into());
    tx.note_progress(BEGIN, &[id, hash, new.next.as_str().into(), i64::from(new.again).into(), new.now.into()])?;
    Ok(())
}

/// Takes a login that was begun after `over_since`. It cannot be taken again.
///
/// # Errors
/// The database fails.
pub(crate) fn take(
    tx: &mut dyn AdminTx,
    id: &TokenId,
    secret_hash: &[u8; 32],
    over_since: Timestamp,
) -> Step<Option<TakenLogin>> {
    let rows = tx.query(FIND, &[id.as_str().into()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (hash, begun_at): ([u8; 32], _) = (row.bytes(0)?, row.time(3)?);
    let taken = TakenLogin { next: row.text(1)?.to_owned(), again: row.flag(2)?, begun_at };
    // Who has another secret must not end the login of the right one.
    if hash != *secret_hash {
        return Ok(None);
    }
    let is_first = tx.note_progress(REMOVE, &[id.as_str().into()])? == 1;
    Ok(Some(taken).filter(|taken| is_first && taken.begun_at > over_since))
}

/// The account of a person.
///
/// # Errors
/// The database fails.
pub(crate) fn identity(tx: &mut dyn AdminTx, issuer: &str, subject: &str) -> Step<Option<Identity>> {
    let rows = tx.query(IDENTITY, &[issuer.into(), subject.into()])?;
    let identity = rows.first().map(|row| -> Step<Identity> {
        Ok(Identity { account: row.parse("an account", 0)?, token: row.parse("an account token", 1)? })
    });
    identity.transpose()
}

/// Lets a person in: makes the account, or gives it the role and the sites of now, and opens a session. With another role or other sites,
/// the sessions before it end.
///
/// # Errors
/// The database fails.
pub(crate) fn enter(tx: &mut dyn AdminTx, new: &Entering) -> Step<Entered> {
    let found = identity(tx, &new.issuer, &new.subject)?;
    if found.as_ref().is_some_and(|found| found.account != new.account) {
        return Ok(Entered::Raced);
    }
    let report = if found.is_some() {
        let Some(account) = accounts::get(tx, &new.account)? else { return Ok(Entered::Raced) };
        if account.revoked_at.is_some() {
            return Ok(Entered::Revoked(account.name));
        }
        match update(tx, account, new)? {
            Ok(report) => report,
            Err(refusal) => return Ok(Entered::Refused(refusal)),
        }
    } else {
        match add(tx, new)? {
            Ok(report) => report,
            Err(refusal) => return Ok(Entered::Refused(refusal)),
        }
    };
    sessions::open(tx, &new.session)?;
    Ok(Entered::In(report))
}

fn add(tx: &mut dyn AdminTx, new: &Entering) -> Step<Result<AccountReport, AccountRefusal>> {
    let existing = accounts::list(tx)?;
    let name = match decide::free_name(&new.name, &existing) {
        Ok(name) => name,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let account = NewAccount {
        id: new.account.clone(),
        name,
        role: new.role,
        holder: Holder::ProviderPerson,
        sites: new.sites.clone(),
        token: new.token.clone(),
        now: new.session.now,
    };
    // The settings of the collector let the person in, so no caller's sites bound it.
    let created = accounts::create_beside(tx, &SiteScope::All, &account, &existing)?;
    if created.is_ok() {
        tx.execute(IDENTIFY, &[new.issuer.as_str().into(), new.subject.as_str().into(), new.account.as_str().into()])?;
    }
    Ok(created)
}

fn update(tx: &mut dyn AdminTx, account: AccountReport, new: &Entering) -> Step<Result<AccountReport, AccountRefusal>> {
    let mut sites = new.sites.clone();
    sites.sort_unstable();
    sites.dedup();
    if sites.len() > decide::MAX_SITES {
        return Ok(Err(AccountRefusal::TooManySites));
    }
    if account.role != new.role || account.sites != sites {
        accounts::change(tx, &account.id, new.role, &sites)?;
        sessions::end_all(tx, &account.id)?;
    }
    Ok(Ok(AccountReport { role: new.role, sites, ..account }))
}

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[REMOVE_OVER, COUNT, REMOVE_OLDEST, BEGIN, FIND, REMOVE, IDENTITY, IDENTIFY];
