//! Passwords of accounts: set, removed, and looked up by the name of their account. Only a slow hash of a password is stored.
//!
//! A password has an id, which stands in sessions and in the ledger where a token would. Another password has another id, so
//! no session outlives the password that opened it.

use muster_proto::model::{AccountId, AccountName, AccountReport, Holder, Role, Timestamp, TokenId};

use super::accounts;
use super::sessions;
use crate::ledger::entry::Entry;
use crate::store::decide::accounts as decide;
use crate::store::sql::{AdminTx, Step};
use crate::store::{AccountRefusal, SiteScope};

const SET: &str = "INSERT INTO account_password (account, id, salt, hash, memory_kib, passes, set_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
const REMOVE: &str = "DELETE FROM account_password WHERE account = $1";
const BY_NAME: &str = "SELECT p.id, p.salt, p.hash, p.memory_kib, p.passes, a.id, a.name, a.role
     FROM account a JOIN account_password p ON p.account = a.id WHERE a.name = $1 AND a.revoked_at IS NULL AND a.holder = 'person'";

/// A slow hash of a password, with what is needed to compute it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash {
    /// Random bytes.
    pub(crate) salt: [u8; 16],
    /// Argon2id (RFC 9106) with one lane.
    pub(crate) hash: [u8; 32],
    /// Its memory in KiB.
    pub(crate) memory_kib: u32,
    /// Its passes over the memory.
    pub(crate) passes: u32,
}

/// A new password of an account.
#[derive(Debug, Clone)]
pub(crate) struct NewPassword {
    pub(crate) id: TokenId,
    pub(crate) hash: PasswordHash,
    pub(crate) now: Timestamp,
}

/// Whose password is meant.
#[derive(Debug, Clone)]
pub(crate) enum Whose {
    /// That of the caller's own account.
    Own(AccountId),
    /// That of an account with this name or id, which the caller may manage.
    Of(SiteScope, String),
}

/// The password of an account, as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredPassword {
    pub(crate) id: TokenId,
    pub(crate) hash: PasswordHash,
    pub(crate) account: AccountId,
    pub(crate) name: AccountName,
    pub(crate) role: Role,
    pub(crate) sites: SiteScope,
}

/// Sets the password of an account in place of the one before, and ends the account's sessions.
///
/// # Errors
/// The database fails. A refusal is no error.
pub(crate) fn set(
    tx: &mut dyn AdminTx,
    whose: &Whose,
    new: &NewPassword,
) -> Step<Result<AccountReport, AccountRefusal>> {
    let account = match find(tx, whose)? {
        // Whom the provider vouches for, only the provider lets in, and programs have tokens.
        Ok(account) if account.holder != Holder::Person => return Ok(Err(AccountRefusal::NoPerson)),
        Ok(account) => account.id,
        Err(refusal) => return Ok(Err(refusal)),
    };
    tx.execute(REMOVE, &[account.as_str().into()])?;
    let PasswordHash { salt, hash, memory_kib, passes } = &new.hash;
    let values = [
        account.as_str().into(),
        new.id.as_str().into(),
        salt.as_slice().into(),
        hash.as_slice().into(),
        i64::from(*memory_kib).into(),
        i64::from(*passes).into(),
        new.now.into(),
    ];
    tx.execute(SET, &values)?;
    sessions::end_all(tx, &account)?;
    tx.record(Entry::PasswordSet { account: account.clone(), password: new.id.clone() });
    Ok(accounts::get(tx, &account)?.ok_or(AccountRefusal::Unknown))
}

/// Removes the password of an account, and ends the account's sessions.
///
/// # Errors
/// The database fails. A refusal is no error.
pub(crate) fn remove(tx: &mut dyn AdminTx, whose: &Whose) -> Step<Result<AccountReport, AccountRefusal>> {
    let account = match find(tx, whose)? {
        Ok(account) => account.id,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if tx.execute(REMOVE, &[account.as_str().into()])? == 0 {
        return Ok(Err(AccountRefusal::NoPassword));
    }
    sessions::end_all(tx, &account)?;
    tx.record(Entry::PasswordRemoved { account: account.clone() });
    Ok(accounts::get(tx, &account)?.ok_or(AccountRefusal::Unknown))
}

/// The password of the account that has this name and is not revoked.
///
/// # Errors
/// The database fails.
pub(crate) fn by_name(tx: &mut dyn AdminTx, name: &AccountName) -> Step<Option<StoredPassword>> {
    let rows = tx.query(BY_NAME, &[name.as_str().into()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let account: AccountId = row.parse("an account", 5)?;
    let sites = accounts::sites_of(tx, &account)?;
    // A row with other numbers was changed by hand, and then no password is right.
    let number = |number: i64| u32::try_from(number).unwrap_or_default();
    let hash = PasswordHash {
        salt: row.bytes(1)?,
        hash: row.bytes(2)?,
        memory_kib: number(row.int(3)?),
        passes: number(row.int(4)?),
    };
    let (id, name, role) = (row.parse("a password", 0)?, row.parse("an account", 6)?, row.parse("an account", 7)?);
    Ok(Some(StoredPassword { id, hash, account, name, role, sites }))
}

/// The account that is meant, if it is not revoked.
fn find(tx: &mut dyn AdminTx, whose: &Whose) -> Step<Result<AccountReport, AccountRefusal>> {
    let found = match whose {
        Whose::Own(id) => accounts::get(tx, id)?.ok_or(AccountRefusal::Unknown),
        Whose::Of(scope, name_or_id) => decide::find(scope, name_or_id, &accounts::list(tx)?).cloned(),
    };
    Ok(found.and_then(|account| if account.revoked_at.is_some() { Err(AccountRefusal::Revoked) } else { Ok(account) }))
}

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[SET, REMOVE, BY_NAME];
