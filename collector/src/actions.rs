//! Actions of accounts: one file per subject. An action checks what the caller may do, then does one operation of the
//! store, which writes the ledger entry with the caller as its actor. The role was checked by `api::access`.

mod account;
mod caller;
mod host;
mod random;
mod renewal;
mod restore;
mod throttling;
mod token;

use muster_proto::model::{AccountName, InvalidId, SiteId, TokenId};

pub use account::{
    AccountRequest, FirstAccount, account_by_token, account_create, account_get, account_list, account_of_caller,
    account_revoke, account_rotate, first_account_create, first_account_find, first_token_keep,
};
pub use caller::Caller;
pub use host::{HostSelection, host_action};
pub use renewal::{admin_token_renewed, server_key_renewed};
pub use restore::restore_record;
pub use throttling::{hosts_throttled, throttling_ended};
pub use token::{NewEnrollment, enrollment_token_create, enrollment_token_list, enrollment_token_revoke};

use crate::store::{AccountRefusal, SiteScope, StoreError};

/// Why an action failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// The lifetime of an enrollment token is out of bounds.
    #[error("an enrollment token can be valid for 1 second to 366 days, not for {seconds} seconds")]
    Lifetime {
        /// The requested lifetime.
        seconds: u64,
    },
    /// The lifetime of an account token is out of bounds.
    #[error("an account token can be valid for 1 minute to 3660 days, not for {seconds} seconds")]
    AccountLifetime {
        /// The requested lifetime.
        seconds: u64,
    },
    /// There are as many enrollment tokens as there may be.
    #[error(
        "there are 10,000 enrollment tokens, which is the limit; those that expired a year ago are deleted by themselves"
    )]
    TooManyTokens,
    /// The reason for an action on hosts is empty, too long, or has control characters.
    #[error("a reason is needed: one line of at most {} bytes", muster_proto::limits::ACTION_REASON_BYTES)]
    Reason,
    /// There is no such enrollment token at the caller's sites.
    #[error("no enrollment token \"{token}\"")]
    NoToken {
        /// As asked.
        token: TokenId,
    },
    /// The caller is bound to other sites.
    #[error("cannot act on site {site}: your account is bound to {scope}")]
    OtherSite {
        /// The site of the request.
        site: SiteId,
        /// The sites of the caller.
        scope: SiteScope,
    },
    /// An operation on an account was refused.
    #[error("{}", of_account(account, *refusal))]
    Account {
        /// The account, as asked.
        account: String,
        /// Why.
        refusal: AccountRefusal,
    },
    /// The operating system returned no random numbers.
    #[error("the operating system returned no random numbers")]
    NoRandom,
    /// The random id of a new token or account is not valid.
    #[error("create an id")]
    Id(#[source] InvalidId),
    /// The store failed.
    #[error("the action could not be stored")]
    Store(#[source] StoreError),
}

impl From<StoreError> for ActionError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl ActionError {
    fn account(account: &AccountName, refusal: AccountRefusal) -> Self {
        Self::Account { account: account.to_string(), refusal }
    }
}

fn of_account(account: &str, refusal: AccountRefusal) -> String {
    match refusal {
        AccountRefusal::Unknown => format!("no account \"{account}\""),
        AccountRefusal::NameTaken => format!(
            "account \"{account}\" already exists; choose another name, or give it a new token with `muster accounts rotate {account}`"
        ),
        AccountRefusal::NameUnavailable => format!("the name \"{account}\" is not available; choose another one"),
        AccountRefusal::NameReserved => {
            format!("the name \"{account}\" is reserved: the ledger uses it for another actor; choose another one")
        }
        AccountRefusal::Revoked => {
            format!(
                "account \"{account}\" is revoked; create a new one with `muster accounts create {account} --role ROLE`"
            )
        }
        AccountRefusal::LastAdmin => format!(
            "\"{account}\" is the last person's account that can administer the whole fleet; create another one first with `muster accounts create NAME --role admin`"
        ),
        AccountRefusal::BeyondCaller => {
            format!("your account is bound to sites, so \"{account}\" must be bound to some of them: use --site")
        }
        AccountRefusal::TooMany => {
            format!("cannot create \"{account}\": there are 1,000 accounts that are not revoked, which is the limit")
        }
        AccountRefusal::TooManySites => {
            format!("cannot bind \"{account}\" to more than 100 sites; leave out --site to let it see all sites")
        }
    }
}
