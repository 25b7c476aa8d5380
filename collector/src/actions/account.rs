//! Accounts and their tokens (`id.secret`): created, listed, rotated, revoked. A secret is shown once; the store gets its
//! hash only.

use std::time::Duration;

use muster_proto::model::{AccountId, AccountName, AccountReport, Holder, Role, SiteId, Timestamp, Token};

use super::{ActionError, Caller, random};
use crate::store::admin::accounts::{self, NewAccount, NewAccountToken};
use crate::store::{AccountRefusal, SiteScope, Store, admin};

const MIN_LIFETIME: Duration = Duration::from_secs(60);
const MAX_LIFETIME: Duration = Duration::from_secs(3660 * 86_400);

/// The name of the account that a new collector creates.
const FIRST: &str = "admin";

/// What a new account is for.
#[derive(Debug, Clone)]
pub struct AccountRequest {
    /// Its name.
    pub name: AccountName,
    /// What it may do.
    pub role: Role,
    /// Who holds it.
    pub holder: Holder,
    /// The sites to which it is bound; empty means all.
    pub sites: Vec<SiteId>,
    /// How long its token is valid; `None` means until it is revoked.
    pub lifetime: Option<Duration>,
}

/// Creates an account with its first token.
///
/// # Errors
/// The lifetime is out of bounds, the account is refused, or the store fails.
pub async fn account_create(
    store: &dyn Store,
    caller: &Caller,
    new: AccountRequest,
    now: Timestamp,
) -> Result<(Token, AccountReport), ActionError> {
    let (token, stored) = new_token(new.lifetime, now)?;
    let report = create(store, caller, new, stored, now).await?;
    Ok((token, report))
}

/// Gives an account a new token. The tokens before it are accepted for `grace` longer, so that a program can be given
/// the new one without a gap.
///
/// # Errors
/// The lifetime is out of bounds, the account is unknown or revoked, or the store fails.
pub async fn account_rotate(
    store: &dyn Store,
    caller: &Caller,
    name_or_id: &str,
    lifetime: Option<Duration>,
    grace: Duration,
    now: Timestamp,
) -> Result<(Token, AccountReport), ActionError> {
    let (token, new) = new_token(lifetime, now)?;
    let (scope, asked) = (caller.scope.clone(), name_or_id.to_owned());
    let others_end_at = now.plus(grace.min(MAX_LIFETIME));
    let rotate = move |tx: &mut dyn admin::AdminTx| accounts::rotate(tx, &scope, &asked, &new, others_end_at, now);
    let rotated = admin::write(store, "account_rotate", caller.acting(now), rotate).await?;
    Ok((token, rotated.map_err(|refusal| refused(name_or_id, refusal))?))
}

/// Revokes an account and all its tokens. Its name stays in the ledger and is free for another account.
///
/// # Errors
/// The account is unknown or the last administrator, or the store fails.
pub async fn account_revoke(
    store: &dyn Store,
    caller: &Caller,
    name_or_id: &str,
    now: Timestamp,
) -> Result<AccountReport, ActionError> {
    let (scope, asked) = (caller.scope.clone(), name_or_id.to_owned());
    let revoke = move |tx: &mut dyn admin::AdminTx| accounts::revoke(tx, &scope, &asked, now);
    let revoked = admin::write(store, "account_revoke", caller.acting(now), revoke).await?;
    revoked.map_err(|refusal| refused(name_or_id, refusal))
}

/// The accounts that the caller may manage, by name.
///
/// # Errors
/// The store fails.
pub async fn account_list(store: &dyn Store, caller: &Caller) -> Result<Vec<AccountReport>, ActionError> {
    let mut accounts = admin::read(store, "account_list", accounts::list).await?;
    accounts.retain(|account| caller.scope.covers(&SiteScope::of(&account.sites)));
    Ok(accounts)
}

/// One account, by its name or id.
///
/// # Errors
/// The caller may not see such an account, or the store fails.
pub async fn account_get(store: &dyn Store, caller: &Caller, name_or_id: &str) -> Result<AccountReport, ActionError> {
    let (scope, asked) = (caller.scope.clone(), name_or_id.to_owned());
    let find = move |tx: &mut dyn admin::AdminTx| accounts::find(tx, &scope, &asked);
    admin::read(store, "account_get", find).await?.map_err(|refusal| refused(name_or_id, refusal))
}

/// The account of a caller, by its id.
///
/// # Errors
/// The store fails.
pub async fn account_of_caller(store: &dyn Store, id: &AccountId) -> Result<Option<AccountReport>, ActionError> {
    let id = id.clone();
    Ok(admin::read(store, "account_get", move |tx| accounts::get(tx, &id)).await?)
}

/// The caller behind a token: `None` if the token is unknown, expired or revoked, or its secret is wrong.
///
/// # Errors
/// The store fails.
pub async fn account_by_token(store: &dyn Store, token: &Token, now: Timestamp) -> Result<Option<Caller>, ActionError> {
    let id = token.id.clone();
    let holder = admin::read(store, "account_by_token", move |tx| accounts::by_token(tx, &id)).await?;
    // Compare even if the id is unknown, so that the duration does not reveal which ids exist.
    let expected = holder.as_ref().map_or([0_u8; 32], |holder| holder.secret_hash);
    let is_same = token.secret.matches(&expected);
    Ok(holder.filter(|holder| is_same && !holder.is_revoked && holder.expires_at.is_none_or(|end| now < end)).map(
        |holder| Caller::account(holder.account, token.id.clone(), holder.name.to_string(), holder.role, holder.sites),
    ))
}

/// The account that a new collector creates, as a start finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstAccount {
    /// There is no account at all.
    None,
    /// It is in use: a person's account for the whole fleet with a valid token.
    InUse(AccountId),
    /// There are other accounts only. The first one was revoked, has no valid token, or its name is used for another account.
    Ended,
}

/// What has become of the first account.
///
/// # Errors
/// The store fails.
pub async fn first_account_find(
    store: &dyn Store,
    caller: &Caller,
    now: Timestamp,
) -> Result<FirstAccount, ActionError> {
    let accounts = account_list(store, caller).await?;
    let is_first = |account: &&AccountReport| {
        account.name.as_str() == FIRST
            && account.role == Role::Admin
            && account.holder == Holder::Person
            && account.sites.is_empty()
            && account.is_usable(now)
    };
    Ok(match accounts.iter().find(is_first) {
        Some(account) => FirstAccount::InUse(account.id.clone()),
        None if accounts.is_empty() => FirstAccount::None,
        None => FirstAccount::Ended,
    })
}

/// Creates the first account. Returns `None` if another collector on the same database was faster.
///
/// # Errors
/// The store fails.
pub async fn first_account_create(
    store: &dyn Store,
    caller: &Caller,
    now: Timestamp,
) -> Result<Option<Token>, ActionError> {
    match account_create(store, caller, first_account()?, now).await {
        Ok((token, _)) => Ok(Some(token)),
        Err(ActionError::Account { refusal: AccountRefusal::NameTaken, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates the first account with a token that exists in a file, if the store has no account at all. Returns whether it
/// did.
///
/// # Errors
/// The store fails.
pub async fn first_token_keep(
    store: &dyn Store,
    caller: &Caller,
    token: &Token,
    now: Timestamp,
) -> Result<bool, ActionError> {
    if !account_list(store, caller).await?.is_empty() {
        return Ok(false);
    }
    let new = NewAccountToken { id: token.id.clone(), secret_hash: token.secret.hash(), expires_at: None };
    match create(store, caller, first_account()?, new, now).await {
        Ok(_) => Ok(true),
        // Another collector on the same database was faster.
        Err(ActionError::Account { refusal: AccountRefusal::NameTaken, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn first_account() -> Result<AccountRequest, ActionError> {
    let name = AccountName::new(FIRST).map_err(ActionError::Id)?;
    Ok(AccountRequest { name, role: Role::Admin, holder: Holder::Person, sites: Vec::new(), lifetime: None })
}

async fn create(
    store: &dyn Store,
    caller: &Caller,
    new: AccountRequest,
    token: NewAccountToken,
    now: Timestamp,
) -> Result<AccountReport, ActionError> {
    let AccountRequest { name, role, holder, sites, .. } = new;
    let asked = name.clone();
    let account = NewAccount { id: random::account_id()?, name, role, holder, sites, token, now };
    let scope = caller.scope.clone();
    let create = move |tx: &mut dyn admin::AdminTx| accounts::create(tx, &scope, &account);
    let created = admin::write(store, "account_create", caller.acting(now), create).await?;
    created.map_err(|refusal| ActionError::account(&asked, refusal))
}

/// A new token, and what the store gets of it.
fn new_token(lifetime: Option<Duration>, now: Timestamp) -> Result<(Token, NewAccountToken), ActionError> {
    if let Some(lifetime) = lifetime.filter(|lifetime| !(MIN_LIFETIME..=MAX_LIFETIME).contains(lifetime)) {
        return Err(ActionError::AccountLifetime { seconds: lifetime.as_secs() });
    }
    let token = Token { id: random::token_id()?, secret: random::secret()? };
    let expires_at = lifetime.map(|lifetime| now.plus(lifetime));
    let stored = NewAccountToken { id: token.id.clone(), secret_hash: token.secret.hash(), expires_at };
    Ok((token, stored))
}

fn refused(account: &str, refusal: AccountRefusal) -> ActionError {
    ActionError::Account { account: account.to_owned(), refusal }
}
