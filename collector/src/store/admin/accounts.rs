//! Accounts and their tokens: created, listed, rotated, revoked, and looked up by the token of a call.

use std::collections::BTreeMap;

use muster_proto::model::{
    AccountId, AccountName, AccountReport, AccountTokenReport, Holder, Role, SiteId, Timestamp, TokenId,
};

use super::sites;
use crate::ledger::entry::Entry;
use crate::store::decide::accounts as decide;
use crate::store::sql::{AdminTx, Row, Step};
use crate::store::{AccountRefusal, SiteScope};

/// Tokens of an account that are kept; older ones are deleted when another one is made.
const KEPT_TOKENS: i64 = 10;

const CREATE: &str = "INSERT INTO account (id, name, role, holder, created_at) VALUES ($1, $2, $3, $4, $5)";
const BIND: &str = "INSERT INTO account_site (account, site) VALUES ($1, $2)";
const LIST: &str = "SELECT a.id, a.name, a.role, a.holder, a.created_at, a.revoked_at, p.set_at
     FROM account a LEFT JOIN account_password p ON p.account = a.id ORDER BY a.name, a.created_at, a.id";
const SITES: &str = "SELECT b.account, s.id FROM account_site b JOIN site s ON s.no = b.site ORDER BY b.account, s.id";
const TOKENS: &str = "SELECT account, id, created_at, expires_at, revoked_at FROM account_token
     ORDER BY account, created_at DESC, id";
const ADD_TOKEN: &str = "INSERT INTO account_token (id, account, secret_hash, created_at, expires_at)
     VALUES ($1, $2, $3, $4, $5)";
const PRUNE_TOKENS: &str = "DELETE FROM account_token WHERE account = $1 AND id NOT IN
     (SELECT id FROM account_token WHERE account = $1 ORDER BY created_at DESC, id LIMIT $2)";
const END_TOKENS: &str = "UPDATE account_token SET expires_at = $2
     WHERE account = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";
const REVOKE_TOKENS: &str = "UPDATE account_token SET revoked_at = $2 WHERE account = $1 AND revoked_at IS NULL";
const REVOKE: &str = "UPDATE account SET revoked_at = $2 WHERE id = $1";
const BY_TOKEN: &str = "SELECT t.secret_hash, t.expires_at, t.revoked_at, a.id, a.name, a.role, a.revoked_at
     FROM account_token t JOIN account a ON a.id = t.account WHERE t.id = $1";
const CHANGE: &str = "UPDATE account SET role = $2 WHERE id = $1";
const GET: &str = "SELECT a.id, a.name, a.role, a.holder, a.created_at, a.revoked_at, p.set_at
     FROM account a LEFT JOIN account_password p ON p.account = a.id WHERE a.id = $1";
const TOKENS_OF: &str = "SELECT account, id, created_at, expires_at, revoked_at FROM account_token WHERE account = $1
     ORDER BY created_at DESC, id";
const FORGET_TOKENS: &str = "DELETE FROM account_token WHERE account = $1";
const END_LINKS: &str = "DELETE FROM login_link WHERE account = $1";
const END_PASSWORD: &str = "DELETE FROM account_password WHERE account = $1";
const END_SESSIONS: &str = "DELETE FROM session WHERE account = $1";
const FORGET_IDENTITY: &str = "DELETE FROM account_identity WHERE account = $1";
const FORGET_SITES: &str = "DELETE FROM account_site WHERE account = $1";
const FORGET: &str = "DELETE FROM account WHERE id = $1";
const SITES_OF: &str =
    "SELECT s.id FROM account_site b JOIN site s ON s.no = b.site WHERE b.account = $1 ORDER BY s.id";
/// Until when the account that a new collector creates has a valid token, if it is in use; milliseconds.
pub(in crate::store) const FIRST_UNTIL: &str = "SELECT max(coalesce(t.expires_at, 9223372036854775807))
     FROM account a JOIN account_token t ON t.account = a.id
     WHERE a.name = 'admin' AND a.role = 'admin' AND a.holder = 'person' AND a.revoked_at IS NULL
     AND t.revoked_at IS NULL AND NOT EXISTS (SELECT 1 FROM account_site b WHERE b.account = a.id)";

/// A new token of an account. Of its secret, only the hash is stored.
#[derive(Debug, Clone)]
pub(crate) struct NewAccountToken {
    pub(crate) id: TokenId,
    pub(crate) secret_hash: [u8; 32],
    pub(crate) expires_at: Option<Timestamp>,
}

/// A new account.
#[derive(Debug, Clone)]
pub(crate) struct NewAccount {
    pub(crate) id: AccountId,
    pub(crate) name: AccountName,
    pub(crate) role: Role,
    pub(crate) holder: Holder,
    /// Empty means all sites.
    pub(crate) sites: Vec<SiteId>,
    pub(crate) token: NewAccountToken,
    pub(crate) now: Timestamp,
}

/// The account behind a token, as it is stored: the secret and the times are not checked yet.
#[derive(Debug, Clone)]
pub(crate) struct TokenHolder {
    pub(crate) secret_hash: [u8; 32],
    pub(crate) account: AccountId,
    pub(crate) name: AccountName,
    pub(crate) role: Role,
    pub(crate) sites: SiteScope,
    pub(crate) expires_at: Option<Timestamp>,
    /// Whether the token or its account is revoked.
    pub(crate) is_revoked: bool,
}

#[cfg(test)]
impl TokenHolder {
    pub(crate) fn scope_text(&self) -> String {
        self.sites.to_string()
    }
}

/// Creates an account with one token.
///
/// # Errors
/// The database fails. A refusal is no error.
pub(crate) fn create(
    tx: &mut dyn AdminTx,
    caller: &SiteScope,
    new: &NewAccount,
) -> Step<Result<AccountReport, AccountRefusal>> {
    if new.holder == Holder::ProviderPerson {
        return Ok(Err(AccountRefusal::FromProvider));
    }
    let existing = list(tx)?;
    create_beside(tx, caller, new, &existing)
}

/// The same, when the accounts that exist were read already.
pub(super) fn create_beside(
    tx: &mut dyn AdminTx,
    caller: &SiteScope,
    new: &NewAccount,
    existing: &[AccountReport],
) -> Step<Result<AccountReport, AccountRefusal>> {
    if let Err(refusal) = decide::may_create(caller, new.name.as_str(), &new.sites, existing) {
        return Ok(Err(refusal));
    }
    if let Some(oldest) = decide::to_forget(existing) {
        forget(tx, &oldest.id)?;
    }
    let (id, name) = (new.id.as_str().into(), new.name.as_str().into());
    tx.execute(CREATE, &[id, name, new.role.name().into(), new.holder.name().into(), new.now.into()])?;
    let sites = bind(tx, &new.id, &new.sites)?;
    let token = add_token(tx, &new.id, &new.token, new.now)?;
    tx.record(Entry::AccountCreated {
        account: new.id.clone(),
        role: new.role,
        holder: new.holder,
        sites: sites.clone(),
        token: token.id.clone(),
        expires_at: token.expires_at,
    });
    Ok(Ok(AccountReport {
        id: new.id.clone(),
        name: new.name.clone(),
        role: new.role,
        holder: new.holder,
        sites,
        created_at: new.now,
        revoked_at: None,
        password_set_at: None,
        tokens: vec![token],
    }))
}

/// Binds an account to sites. Returns them sorted.
fn bind(tx: &mut dyn AdminTx, account: &AccountId, sites: &[SiteId]) -> Step<Vec<SiteId>> {
    let mut sites = sites.to_vec();
    sites.sort_unstable();
    sites.dedup();
    for site in &sites {
        let site = sites::number(tx, site)?;
        tx.execute(BIND, &[account.as_str().into(), site.into()])?;
    }
    Ok(sites)
}

/// Gives an account another role and other sites, as the identity provider says.
pub(super) fn change(tx: &mut dyn AdminTx, account: &AccountId, role: Role, sites: &[SiteId]) -> Step<()> {
    tx.execute(CHANGE, &[account.as_str().into(), role.name().into()])?;
    tx.execute(FORGET_SITES, &[account.as_str().into()])?;
    let sites = bind(tx, account, sites)?;
    tx.record(Entry::AccountChanged { account: account.clone(), role, sites });
    Ok(())
}

/// Gives an account a new token. Its other tokens are accepted until `others_end_at`, which may be now. A password ends at once.
///
/// # Errors
/// The database fails. A refusal is no error.
pub(crate) fn rotate(
    tx: &mut dyn AdminTx,
    caller: &SiteScope,
    name_or_id: &str,
    new: &NewAccountToken,
    others_end_at: Timestamp,
    now: Timestamp,
) -> Step<Result<AccountReport, AccountRefusal>> {
    let existing = list(tx)?;
    let account = match decide::find(caller, name_or_id, &existing) {
        Ok(account) if account.revoked_at.is_some() => return Ok(Err(AccountRefusal::Revoked)),
        Ok(account) if account.holder == Holder::ProviderPerson => return Ok(Err(AccountRefusal::FromProvider)),
        Ok(account) => account.id.clone(),
        Err(refusal) => return Ok(Err(refusal)),
    };
    tx.execute(END_TOKENS, &[account.as_str().into(), others_end_at.into()])?;
    let token = add_token(tx, &account, new, now)?;
    tx.execute(PRUNE_TOKENS, &[account.as_str().into(), KEPT_TOKENS.into()])?;
    // A person who had the token before may have set it.
    if tx.execute(END_PASSWORD, &[account.as_str().into()])? > 0 {
        tx.record(Entry::PasswordRemoved { account: account.clone() });
    }
    let expires_at = token.expires_at;
    tx.record(Entry::AccountRotated { account: account.clone(), token: token.id, expires_at, others_end_at });
    Ok(get(tx, &account)?.ok_or(AccountRefusal::Unknown))
}

/// Revokes an account and all its tokens. An account that is revoked already keeps the time of its first revocation.
///
/// # Errors
/// The database fails. A refusal is no error.
pub(crate) fn revoke(
    tx: &mut dyn AdminTx,
    caller: &SiteScope,
    name_or_id: &str,
    now: Timestamp,
) -> Step<Result<AccountReport, AccountRefusal>> {
    let existing = list(tx)?;
    let account = match decide::find(caller, name_or_id, &existing) {
        Ok(account) if account.revoked_at.is_some() => return Ok(Ok(account.clone())),
        Ok(account) => account,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(refusal) = decide::may_revoke(account, &existing, now) {
        return Ok(Err(refusal));
    }
    tx.execute(REVOKE, &[account.id.as_str().into(), now.into()])?;
    tx.execute(REVOKE_TOKENS, &[account.id.as_str().into(), now.into()])?;
    tx.execute(END_SESSIONS, &[account.id.as_str().into()])?;
    tx.execute(END_LINKS, &[account.id.as_str().into()])?;
    tx.execute(END_PASSWORD, &[account.id.as_str().into()])?;
    tx.record(Entry::AccountRevoked { account: account.id.clone() });
    Ok(Ok(AccountReport { revoked_at: Some(now), password_set_at: None, ..account.clone() }))
}

/// All accounts, by name.
///
/// # Errors
/// The database fails.
pub(crate) fn list(tx: &mut dyn AdminTx) -> Step<Vec<AccountReport>> {
    let mut sites: BTreeMap<AccountId, Vec<SiteId>> = BTreeMap::new();
    for row in tx.query(SITES, &[])? {
        sites.entry(row.parse("an account", 0)?).or_default().push(row.parse("a site", 1)?);
    }
    let mut tokens: BTreeMap<AccountId, Vec<AccountTokenReport>> = BTreeMap::new();
    for row in tx.query(TOKENS, &[])? {
        tokens.entry(row.parse("an account", 0)?).or_default().push(token_of(&row)?);
    }
    let mut account = |row: &Row| -> Step<AccountReport> {
        let id: AccountId = row.parse("an account", 0)?;
        let (sites, tokens) = (sites.remove(&id), tokens.remove(&id));
        account_of(row, sites.unwrap_or_default(), tokens.unwrap_or_default())
    };
    tx.query(LIST, &[])?.iter().map(&mut account).collect()
}

/// The account that a caller means by its name or its id.
///
/// # Errors
/// The database fails. A refusal is no error.
pub(crate) fn find(
    tx: &mut dyn AdminTx,
    caller: &SiteScope,
    name_or_id: &str,
) -> Step<Result<AccountReport, AccountRefusal>> {
    Ok(decide::find(caller, name_or_id, &list(tx)?).cloned())
}

/// One account by its id.
///
/// # Errors
/// The database fails.
pub(crate) fn get(tx: &mut dyn AdminTx, id: &AccountId) -> Step<Option<AccountReport>> {
    let values = [id.as_str().into()];
    let rows = tx.query(GET, &values)?;
    let Some(row) = rows.first() else { return Ok(None) };
    let sites = tx.query(SITES_OF, &values)?.iter().map(|row| row.parse("a site", 0)).collect::<Step<_>>()?;
    let tokens = tx.query(TOKENS_OF, &values)?.iter().map(token_of).collect::<Step<_>>()?;
    account_of(row, sites, tokens).map(Some)
}

/// The account that has this token, whether it is revoked or not.
///
/// # Errors
/// The database fails.
pub(crate) fn by_token(tx: &mut dyn AdminTx, id: &TokenId) -> Step<Option<TokenHolder>> {
    let rows = tx.query(BY_TOKEN, &[id.as_str().into()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let account: AccountId = row.parse("an account", 3)?;
    let sites = sites_of(tx, &account)?;
    Ok(Some(TokenHolder {
        secret_hash: row.bytes(0)?,
        expires_at: row.maybe_time(1)?,
        is_revoked: row.maybe_time(2)?.is_some() || row.maybe_time(6)?.is_some(),
        account,
        name: row.parse("an account", 4)?,
        role: row.parse("an account", 5)?,
        sites,
    }))
}

/// The sites to which an account is bound.
pub(super) fn sites_of(tx: &mut dyn AdminTx, account: &AccountId) -> Step<SiteScope> {
    let sites = tx.query(SITES_OF, &[account.as_str().into()])?;
    let sites = sites.iter().map(|row| row.parse("a site", 0)).collect::<Step<Vec<SiteId>>>()?;
    Ok(SiteScope::of(&sites))
}

fn account_of(row: &Row, sites: Vec<SiteId>, tokens: Vec<AccountTokenReport>) -> Step<AccountReport> {
    let holder = row.parse("an account", 3)?;
    // The token of such an account only holds its sessions together; nobody can show it.
    let tokens = if holder == Holder::ProviderPerson { Vec::new() } else { tokens };
    Ok(AccountReport {
        id: row.parse("an account", 0)?,
        name: row.parse("an account", 1)?,
        role: row.parse("an account", 2)?,
        holder,
        created_at: row.time(4)?,
        revoked_at: row.maybe_time(5)?,
        password_set_at: row.maybe_time(6)?,
        sites,
        tokens,
    })
}

fn token_of(row: &Row) -> Step<AccountTokenReport> {
    Ok(AccountTokenReport {
        id: row.parse("an account token", 1)?,
        created_at: row.time(2)?,
        expires_at: row.maybe_time(3)?,
        revoked_at: row.maybe_time(4)?,
    })
}

/// Deletes an account that was revoked long ago. The ledger keeps its id.
pub(crate) fn forget(tx: &mut dyn AdminTx, id: &AccountId) -> Step<()> {
    for statement in [END_SESSIONS, END_LINKS, END_PASSWORD, FORGET_TOKENS, FORGET_IDENTITY, FORGET_SITES, FORGET] {
        tx.execute(statement, &[id.as_str().into()])?;
    }
    Ok(())
}

fn add_token(
    tx: &mut dyn AdminTx,
    account: &AccountId,
    token: &NewAccountToken,
    now: Timestamp,
) -> Step<AccountTokenReport> {
    let hash = token.secret_hash.as_slice();
    let values = [token.id.as_str().into(), account.as_str().into(), hash.into(), now.into(), token.expires_at.into()];
    tx.execute(ADD_TOKEN, &values)?;
    Ok(AccountTokenReport { id: token.id.clone(), created_at: now, expires_at: token.expires_at, revoked_at: None })
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    CREATE,
    BIND,
    LIST,
    SITES,
    TOKENS,
    ADD_TOKEN,
    PRUNE_TOKENS,
    END_TOKENS,
    REVOKE_TOKENS,
    REVOKE,
    CHANGE,
    BY_TOKEN,
    SITES_OF,
    GET,
    TOKENS_OF,
    END_SESSIONS,
    END_LINKS,
    END_PASSWORD,
    FORGET_TOKENS,
    FORGET_IDENTITY,
    FORGET_SITES,
    FORGET,
    FIRST_UNTIL,
];
