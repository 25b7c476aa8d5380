//! Passwords of accounts, for people who have no provider to log in with: set, removed, and checked.
//!
//! Checking one takes 64 MiB and a good part of a second on purpose, so a collector checks two at a time, and a bounded number waits.
//! Names that do not exist take as long as others and are counted like them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use muster_proto::model::{AccountName, AccountReport, Timestamp};
use subtle::ConstantTimeEq as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::password_rule;
use super::password_tries::Tries;
use super::{ActionError, Caller, random};
use crate::store::admin::passwords::{self, NewPassword, PasswordHash, StoredPassword, Whose};
use crate::store::{Store, admin};
use crate::tls::AddressKey;

/// The memory of a hash (RFC 9106, second recommendation). Tests have less.
const MEMORY_KIB: u32 = if cfg!(test) { 64 } else { 64 * 1024 };
/// Its passes.
const PASSES: u32 = 3;
/// The most memory that a stored hash may ask for, should a later version use more.
const MOST_MEMORY_KIB: u32 = 256 * 1024;
/// Hashes at a time.
const AT_ONCE: usize = 2;
/// Those at work and those that wait.
const IN_ALL: usize = 32;
/// Accounts, and addresses, whose wrong tries are remembered (about 150 bytes each).
const REMEMBERED: usize = 20_000;

/// Computes hashes and counts wrong passwords, for the whole collector.
#[derive(Debug)]
pub struct Passwords {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    tries: Mutex<AllTries>,
}

/// Wrong tries.
#[derive(Debug)]
struct AllTries {
    /// By the name of an account. What cannot be a name is nobody's.
    accounts: Tries<Option<AccountName>>,
    addresses: Tries<AddressKey>,
}

impl AllTries {
    /// A try that was counted was not wrong, or was not made.
    fn take_back(&mut self, name: &Option<AccountName>, address: Option<AddressKey>) {
        self.accounts.take_back(name);
        if let Some(address) = &address {
            self.addresses.take_back(address);
        }
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(IN_ALL)),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            tries: Mutex::new(AllTries { accounts: Tries::new(REMEMBERED), addresses: Tries::new(REMEMBERED) }),
        }
    }
}

/// Whose password an action is about.
#[derive(Debug, Clone)]
pub enum PasswordOf {
    /// That of the caller's own account.
    Own,
    /// That of an account with this name or id, which the caller may manage.
    Account(String),
}

impl PasswordOf {
    fn whose(&self, caller: &Caller) -> Result<Whose, ActionError> {
        match self {
            Self::Own => caller.actor.account().cloned().map(Whose::Own).ok_or(ActionError::NotAnAccount),
            Self::Account(name_or_id) => Ok(Whose::Of(caller.scope.clone(), name_or_id.clone())),
        }
    }

    fn asked(&self, caller: &Caller) -> String {
        match self {
            Self::Own => caller.name.clone(),
            Self::Account(name_or_id) => name_or_id.clone(),
        }
    }
}

/// Sets a password in place of the one before. The account's sessions end.
///
/// # Errors
/// The password is easy to guess, the account is unknown or revoked, too many passwords are being hashed, or the store fails.
pub async fn password_set(
    store: &dyn Store,
    passwords: &Passwords,
    caller: &Caller,
    of: &PasswordOf,
    password: &str,
    now: Timestamp,
) -> Result<AccountReport, ActionError> {
    let (whose, asked) = (of.whose(caller)?, of.asked(caller));
    let name = match of {
        PasswordOf::Own => caller.name.clone(),
        // By the id, the name is not known yet.
        PasswordOf::Account(name_or_id) => super::account_get(store, caller, name_or_id).await?.name.to_string(),
    };
    password_rule::check(password, &name)?;
    let salt = random::salt()?;
    let hash = passwords.hash(password.to_owned(), salt, MEMORY_KIB, PASSES).await?;
    let hash = PasswordHash { salt, hash, memory_kib: MEMORY_KIB, passes: PASSES };
    let new = NewPassword { id: random::token_id()?, hash, now };
    let set = move |tx: &mut dyn admin::AdminTx| passwords::set(tx, &whose, &new);
    let done = admin::write(store, "password_set", caller.acting(now), set).await?;
    let report = done.map_err(|refusal| ActionError::Account { account: asked, refusal })?;
    // Who has forgotten the password before waits no longer.
    passwords.tries().accounts.forget(&Some(report.name.clone()));
    Ok(report)
}

/// Removes a password. The account's sessions end.
///
/// # Errors
/// The account is unknown or revoked or has none, or the store fails.
pub async fn password_remove(
    store: &dyn Store,
    caller: &Caller,
    of: &PasswordOf,
    now: Timestamp,
) -> Result<AccountReport, ActionError> {
    let (whose, asked) = (of.whose(caller)?, of.asked(caller));
    let remove = move |tx: &mut dyn admin::AdminTx| passwords::remove(tx, &whose);
    let done = admin::write(store, "password_remove", caller.acting(now), remove).await?;
    done.map_err(|refusal| ActionError::Account { account: asked, refusal })
}

/// The caller behind a name and a password: `None` if there is no such account, if it has no password, or if it is another one.
///
/// # Errors
/// The account or the address has to wait after wrong tries, too many passwords are being checked, or the store fails.
pub async fn password_check(
    store: &dyn Store,
    passwords: &Passwords,
    name: &str,
    password: String,
    address: Option<AddressKey>,
) -> Result<Option<Caller>, ActionError> {
    let name = AccountName::new(name).ok();
    passwords.begin(&name, address)?;
    let found = passwords.find(store, name.clone(), password).await;
    if !matches!(found, Ok(None)) {
        passwords.tries().take_back(&name, address);
    }
    if matches!(found, Ok(Some(_))) {
        passwords.tries().accounts.forget(&name);
    }
    Ok(found?.map(|found| Caller::account(found.account, found.id, found.name.to_string(), found.role, found.sites)))
}

impl Passwords {
    fn tries(&self) -> MutexGuard<'_, AllTries> {
        // No step leaves the tables half changed.
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, name: &Option<AccountName>, address: Option<AddressKey>) -> Result<(), ActionError> {
        let (now, mut tries) = (Instant::now(), self.tries());
        let of_address = address.and_then(|address| tries.addresses.wait(&address, now));
        if let Some(wait) = tries.accounts.wait(name, now).max(of_address) {
            return Err(ActionError::PasswordWait { wait: wait.max(Duration::from_secs(1)) });
        }
        tries.accounts.begin(name, now);
        if let Some(address) = &address {
            tries.addresses.begin(address, now);
        }
        Ok(())
    }

    async fn find(
        &self,
        store: &dyn Store,
        name: Option<AccountName>,
        password: String,
    ) -> Result<Option<StoredPassword>, ActionError> {
        let stored = match name {
            Some(name) => admin::read(store, "password_find", move |tx| passwords::by_name(tx, &name)).await?,
            None => None,
        };
        // The same work for a name that nobody has.
        let expected = stored.as_ref().map_or_else(|| NOBODY, |stored| stored.hash.clone());
        let hash = self.hash(password, expected.salt, expected.memory_kib, expected.passes).await?;
        let is_same = bool::from(hash.ct_eq(&expected.hash));
        Ok(stored.filter(|_| is_same))
    }

    /// The hash of a password, when it is its turn.
    async fn hash(
        &self,
        password: String,
        salt: [u8; 16],
        memory_kib: u32,
        passes: u32,
    ) -> Result<[u8; 32], ActionError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| ActionError::TooManyPasswords)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| ActionError::TooManyPasswords)?;
        // The turn goes along: a peer that hangs up does not stop the work, so it must not let the next one begin.
        let work = move || slow_hash(&password, &salt, memory_kib, passes, (place, turn));
        tokio::task::spawn_blocking(work).await.map_err(|_| ActionError::Hash)?
    }
}

/// What a name that nobody has is compared with. No password has this hash.
const NOBODY: PasswordHash = PasswordHash { salt: [0; 16], hash: [0; 32], memory_kib: MEMORY_KIB, passes: PASSES };

fn slow_hash(
    password: &str,
    salt: &[u8; 16],
    memory_kib: u32,
    passes: u32,
    _turn: (OwnedSemaphorePermit, OwnedSemaphorePermit),
) -> Result<[u8; 32], ActionError> {
    let mut hash = [0_u8; 32];
    let params =
        Params::new(memory_kib.min(MOST_MEMORY_KIB), passes, 1, Some(hash.len())).map_err(|_| ActionError::Hash)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(password.as_bytes(), salt, &mut hash).map_err(|_| ActionError::Hash)?;
    Ok(hash)
}

#[cfg(test)]
mod tests;
