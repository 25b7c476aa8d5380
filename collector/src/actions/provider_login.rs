//! Logins with the identity provider. `oidc` says who a person is and what its groups allow; here the login is bound to a browser, and the
//! person gets an account and a session.

use std::time::Duration;

use muster_proto::model::{AccountName, Role, SiteId, Timestamp, Token};

use super::session::{SessionTimes, new_session};
use super::{ActionError, Caller, random};
use crate::store::admin::accounts::NewAccountToken;
use crate::store::admin::provider_logins::{self, Entered, Entering, NewLogin};
use crate::store::admin::sessions;
use crate::store::{AccountRefusal, SiteScope, Store, admin};

pub use crate::store::admin::provider_logins::TakenLogin;

/// How long a person may take at the provider.
const LIFETIME: Duration = Duration::from_secs(600);

/// Somebody for whom the provider vouches.
#[derive(Debug, Clone)]
pub struct ProviderPerson {
    /// The provider.
    pub issuer: String,
    /// What it calls the person for ever.
    pub subject: String,
    /// A name for a new account.
    pub name: AccountName,
    /// What the person's groups allow.
    pub role: Role,
    /// The sites of the groups; empty means all.
    pub sites: Vec<SiteId>,
    /// When the person showed the provider who they are, if it says so.
    pub proved_at: Option<Timestamp>,
}

/// Why a person for whom the provider vouches is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderRefusal {
    /// An administrator has revoked this account.
    Revoked(AccountName),
    /// No account can be made or changed.
    Account(AccountRefusal),
}

/// Begins a login. Returns its token, which the browser keeps. `next` is the page to go to; with `again` the person must show the provider
/// again who they are.
///
/// # Errors
/// The store fails.
pub async fn provider_login_begin(
    store: &dyn Store,
    next: &str,
    again: bool,
    now: Timestamp,
) -> Result<Token, ActionError> {
    let login = Token { id: random::token_id()?, secret: random::secret()? };
    let new = NewLogin {
        id: login.id.clone(),
        secret_hash: login.secret.hash(),
        next: next.to_owned(),
        again,
        now,
        over_since: now.minus(LIFETIME),
    };
    let begin = move |tx: &mut dyn admin::AdminTx| provider_logins::begin(tx, &new);
    // A stranger is not known yet; what is noted is no action and leaves no entry.
    admin::write(store, "provider_login_begin", stranger(now), begin).await?;
    Ok(login)
}

/// Takes a login that was begun within ten minutes. `None` if it is unknown, over, or was taken before.
///
/// # Errors
/// The store fails.
pub async fn provider_login_take(
    store: &dyn Store,
    login: &Token,
    now: Timestamp,
) -> Result<Option<TakenLogin>, ActionError> {
    let (id, hash) = (login.id.clone(), login.secret.hash());
    let take = move |tx: &mut dyn admin::AdminTx| provider_logins::take(tx, &id, &hash, now.minus(LIFETIME));
    Ok(admin::write(store, "provider_login_take", stranger(now), take).await?)
}

/// Lets a person in: makes or changes the account, and opens a session. Returns the token of the session, and who is logged in.
///
/// # Errors
/// The store fails. A refusal is no error.
pub async fn provider_login_open(
    store: &dyn Store,
    person: &ProviderPerson,
    times: SessionTimes,
    now: Timestamp,
) -> Result<Result<(Token, Caller), ProviderRefusal>, ActionError> {
    loop {
        let (entering, session, caller) = entering(store, person, times, now).await?;
        let enter = move |tx: &mut dyn admin::AdminTx| provider_logins::enter(tx, &entering);
        return Ok(match admin::write(store, "provider_login_open", caller.acting(now), enter).await? {
            Entered::In(account) => Ok((session, Caller { name: account.name.to_string(), ..caller })),
            Entered::Revoked(name) => Err(ProviderRefusal::Revoked(name)),
            Entered::Refused(refusal) => Err(ProviderRefusal::Account(refusal)),
            // Two first logins of one person; the next round finds the account of the other.
            Entered::Raced => continue,
        });
    }
}

/// The provider vouches for a person whom no group lets in any more. The sessions of the account end. Returns how many there were.
///
/// # Errors
/// The store fails.
pub async fn provider_login_refused(
    store: &dyn Store,
    issuer: &str,
    subject: &str,
    now: Timestamp,
) -> Result<usize, ActionError> {
    let Some(found) = identity(store, issuer, subject).await? else { return Ok(0) };
    let account = found.account.clone();
    let caller = Caller::account(found.account, found.token, String::new(), Role::Viewer, SiteScope::All);
    let end = move |tx: &mut dyn admin::AdminTx| sessions::end_all(tx, &account);
    Ok(admin::write(store, "provider_login_refused", caller.acting(now), end).await?)
}

async fn identity(
    store: &dyn Store,
    issuer: &str,
    subject: &str,
) -> Result<Option<provider_logins::Identity>, ActionError> {
    let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
    let find = move |tx: &mut dyn admin::AdminTx| provider_logins::identity(tx, &issuer, &subject);
    Ok(admin::read(store, "provider_identity", find).await?)
}

/// What lets a person in, with the token of the session and the caller. Ids are new for a person who was never here.
async fn entering(
    store: &dyn Store,
    person: &ProviderPerson,
    times: SessionTimes,
    now: Timestamp,
) -> Result<(Entering, Token, Caller), ActionError> {
    let found = identity(store, &person.issuer, &person.subject).await?;
    let (account, token) = match found {
        Some(found) => (found.account, found.token),
        None => (random::account_id()?, random::token_id()?),
    };
    // The secret is forgotten here, so nobody can show this token.
    let new_token = NewAccountToken { id: token.clone(), secret_hash: random::secret()?.hash(), expires_at: None };
    let scope = SiteScope::of(&person.sites);
    let caller = Caller::account(account.clone(), token, person.name.to_string(), person.role, scope);
    let proved_at = person.proved_at.unwrap_or(Timestamp::from_millis(0));
    let (session, new) = new_session(&caller, None, times, proved_at, now)?;
    let entering = Entering {
        issuer: person.issuer.clone(),
        subject: person.subject.clone(),
        name: person.name.clone(),
        role: person.role,
        sites: person.sites.clone(),
        account,
        token: new_token,
        session: new,
    };
    Ok((entering, session, caller))
}

/// Nobody is known before the provider has answered. There is no entry, so the actor is shown nowhere.
fn stranger(now: Timestamp) -> crate::store::Acting {
    crate::store::Acting { actor: crate::ledger::actor::Actor::Agent, now }
}
