//! Actions of accounts: one file per subject. An action checks what the caller may do, then does one operation of the
//! store, which writes the ledger entry with the caller as its actor. The role was checked by `api::access`.

mod account;
mod bulk;
mod caller;
mod disposition;
mod duty;
mod host;
mod ledger;
mod login_link;
mod order;
mod password;
mod password_rule;
mod password_tries;
mod provider_login;
mod random;
mod renewal;
mod restore;
mod roster;
mod seal;
mod session;
mod session_list;
mod throttling;
mod token;
mod waiver;

use muster_proto::model::{AccountName, InvalidId, OrderId, SiteId, TokenId};

pub use account::{
    AccountRequest, FirstAccount, account_by_token, account_create, account_get, account_list, account_of_caller,
    account_revoke, account_rotate, first_account_create, first_account_find, first_token_keep,
};
pub use bulk::{BulkChange, bulk_advance, bulk_list, bulk_show, hosts_change, said_forget};
pub use caller::Caller;
pub use disposition::{
    DispositionAsked, decisions_remove, disposition_decide, hosts_retire, hosts_returned, hosts_unretire,
};
pub use duty::duties_follow;
pub(crate) use duty::duty_finish;
pub use host::{HostSelection, host_action};
pub use ledger::ledger_seal;
pub use login_link::{LoginLinkFound, login_link_create, login_link_find, login_link_use};
pub use order::{OrdersAsked, OrdersChanged, applied_orders, orders_change, orders_revision};
pub use password::{PasswordOf, Passwords, password_check, password_remove, password_set};
pub use password_rule::PasswordFault;
pub use provider_login::{
    ProviderPerson, ProviderRefusal, TakenLogin, provider_login_begin, provider_login_open, provider_login_refused,
    provider_login_take,
};
pub use renewal::{admin_token_renewed, server_key_renewed};
pub use restore::restore_record;
pub use roster::{EntryDecision, ImportRefusal, ListAsked, RosterImport, entry_decide, roster_advance};
pub use seal::{seal_key_claim, seal_key_get};
pub use session::{Session, SessionTimes, session_end, session_end_all, session_find, session_open, session_seen};
pub use session_list::{OpenSession, session_end_of, session_end_own, session_list, session_list_own};
pub use throttling::{hosts_throttled, throttling_ended};
pub use token::{NewEnrollment, enrollment_token_create, enrollment_token_list, enrollment_token_revoke};
pub use waiver::{WaiverAsked, WaiverDecision, waiver_ask, waiver_check, waiver_decide};

use crate::rules::{PackError, RuleErrors};
use crate::store::{AccountRefusal, AskRefusal, ByHandRefusal, DecideRefusal, FinishRefusal, SiteScope, StoreError};

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
    /// The name of an owner is too long, or has control characters.
    #[error("an owner is one line of at most {} bytes", muster_proto::limits::OWNER_BYTES)]
    Owner,
    /// A note is empty, too long, or has control characters.
    #[error("a note is a text of at most {} bytes", muster_proto::limits::NOTE_BYTES)]
    Note,
    /// A label or a site is not valid.
    #[error("{0}")]
    Invalid(#[from] InvalidId),
    /// A change would be of more hosts than one may be.
    #[error("more than {} hosts are selected, so nothing was changed; select fewer", muster_proto::limits::BULK_HOSTS)]
    TooManyHosts,
    /// Other hosts are selected than the caller has seen.
    #[error("{selected} hosts are selected now and not {expected}, so nothing was changed; look at them and ask again")]
    OtherHosts {
        /// How many are selected.
        selected: u64,
        /// How many the caller has seen.
        expected: u64,
    },
    /// As many changes of many hosts run as may.
    #[error("20 changes of many hosts are running, which is the limit; try again when one has ended")]
    TooManyChanges,
    /// There is no such change of many hosts, or the caller may not see it.
    #[error("no bulk change {number}")]
    NoChange {
        /// As asked.
        number: u64,
    },
    /// What is said of a duty that is done is empty, too long, or has control characters.
    #[error(
        "a reference is needed, such as the number of a report: one line of at most {} bytes",
        muster_proto::limits::DUTY_REFERENCE_BYTES
    )]
    Reference,
    /// The name or the hash of a file of evidence is not valid.
    #[error(
        "evidence is the name of a file without its folder, at most {} bytes, and the SHA-256 of its content in lower-case hex",
        muster_proto::limits::EVIDENCE_NAME_BYTES
    )]
    Evidence,
    /// A duty cannot be done.
    #[error("{}", of_duty(*number, *refusal))]
    Duty {
        /// Its number, as asked.
        number: u64,
        /// Why.
        refusal: FinishRefusal,
    },
    /// A list of machines is not imported.
    #[error("{0}")]
    Import(#[from] ImportRefusal),
    /// A decision about an entry of the roster is refused.
    #[error("{}", roster::of_entry(*entry, *refusal))]
    Entry {
        /// Its number, as asked.
        entry: u64,
        /// Why.
        refusal: ByHandRefusal,
    },
    /// Only an account can ask for something that another account must approve.
    #[error("this needs an account: two people are distinguished by their accounts")]
    NeedsAccount,
    /// No host is judged under the order, so nothing can be waived.
    #[error(
        "order \"{id}\" is not active, so nothing can be waived under it; an administrator can activate it with `muster orders activate {id}`"
    )]
    InactiveOrder {
        /// As asked.
        id: OrderId,
    },
    /// The control of a waiver is empty, too long, or has control characters.
    #[error(
        "--control must say what protects the hosts meanwhile, in one line of 1 to {} bytes without control characters",
        muster_proto::limits::CONTROL_BYTES
    )]
    Control,
    /// What shows that hosts left is empty, too long, or has control characters.
    #[error(
        "--evidence must say what shows that the hosts left, in one line of 1 to {} bytes without control characters",
        muster_proto::limits::CONTROL_BYTES
    )]
    Shown,
    /// Hosts that were named are not hosts, or several.
    #[error("{}", waiver::of_lines(*not_found, *ambiguous, first))]
    Lines {
        /// How many lines no host has.
        not_found: u64,
        /// How many lines several hosts have.
        ambiguous: u64,
        /// The first of them.
        first: String,
    },
    /// A command would retire too many hosts.
    #[error("one command retires at most {} hosts; split the list", muster_proto::limits::HOSTS_PER_RETIREMENT)]
    TooManyRetired,
    /// A waiver is not asked for.
    #[error("{}", waiver::of_ask(.0))]
    Ask(AskRefusal),
    /// A decision about a waiver or a disposition is refused.
    #[error("{}", waiver::of_decide(what, *number, *refusal))]
    Decide {
        /// `waiver` or `disposition`.
        what: &'static str,
        /// Its number, as asked.
        number: u64,
        /// Why.
        refusal: DecideRefusal,
    },
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
    /// Files of orders or addenda have faults, or the rules with them have.
    #[error("{0}")]
    Orders(RuleErrors),
    /// There are as many applied files as there may be.
    #[error(
        "there would be {files} applied files with {bytes} bytes; the limits are {} files and {} bytes; remove one that is no \
         longer needed with `muster orders remove ID`",
        muster_proto::limits::APPLIED_FILES,
        muster_proto::limits::APPLIED_BYTES
    )]
    TooManyOrders {
        /// The files that there would be.
        files: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// The settings say which orders are active.
    #[error(
        "rules.active_orders in the collector's settings says which orders are active, so nothing was changed; empty it to \
         activate orders by action"
    )]
    OrdersPinned,
    /// There is no order or addendum with this id.
    #[error("no order \"{id}\"")]
    NoOrder {
        /// As asked.
        id: OrderId,
    },
    /// Nobody has applied a file with this id.
    #[error("no applied file \"{id}\"; only applied orders and addenda can be removed")]
    NotApplied {
        /// As asked.
        id: OrderId,
    },
    /// The order is what the action would make it.
    #[error("{id} is {} already; nothing was changed", if *active { "active" } else { "inactive" })]
    AlreadySwitched {
        /// The order or addendum.
        id: OrderId,
        /// Whether it is active.
        active: bool,
    },
    /// Others change orders at the same time, again and again.
    #[error("others are changing the orders at this moment, so nothing was changed; try again")]
    OrdersBusy,
    /// An applied file is damaged in the store.
    #[error("read what is applied")]
    Pack(#[source] PackError),
    /// A user of the collector's machine has no session.
    #[error("only an account can log in to the web board")]
    NotAnAccount,
    /// There is no such session, or the caller may not end it.
    #[error("no session \"{session}\"; perhaps it has ended already")]
    NoSession {
        /// As asked.
        session: TokenId,
    },
    /// An account has made too many login links.
    #[error(
        "this account has made 5 login links within ten minutes, which is the limit; it can make the next one in {} s",
        again.as_secs()
    )]
    TooManyLinks {
        /// The time until it can make another one.
        again: std::time::Duration,
    },
    /// A password is not accepted.
    #[error("{0}")]
    Password(#[from] PasswordFault),
    /// An account or an address has shown too many wrong passwords.
    #[error(
        "too many wrong passwords for this account or from this address; try again in {} s, or log in with a token",
        wait.as_secs()
    )]
    PasswordWait {
        /// The time until the next try.
        wait: std::time::Duration,
    },
    /// As many passwords as may are being hashed or wait for it.
    #[error("too many passwords are being checked at this moment; try again in a few seconds")]
    TooManyPasswords,
    /// A password could not be hashed.
    #[error("hash a password")]
    Hash,
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

impl From<AskRefusal> for ActionError {
    fn from(refusal: AskRefusal) -> Self {
        Self::Ask(refusal)
    }
}

impl ActionError {
    fn account(account: &AccountName, refusal: AccountRefusal) -> Self {
        Self::Account { account: account.to_string(), refusal }
    }
}

fn of_duty(number: u64, refusal: FinishRefusal) -> String {
    match refusal {
        FinishRefusal::Unknown => format!("no duty {number}"),
        FinishRefusal::Done => format!("duty {number} is done already; `muster duties show {number}` says when"),
        FinishRefusal::Closed => format!("duty {number} was closed when its order was switched off"),
        FinishRefusal::OtherRules => {
            format!(
                "nothing is noted for duty {number}, because this collector has other rules than those in force; try again in a \
                 few seconds, or at a collector that has them"
            )
        }
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
            "\"{account}\" is the last account held by a person that can administer the whole fleet; create another one first with `muster accounts create NAME --role admin`"
        ),
        AccountRefusal::BeyondCaller => {
            format!("your account is bound to sites, so \"{account}\" must be bound to some of them: use --site")
        }
        AccountRefusal::TooMany => {
            format!("cannot create \"{account}\": there are 1,000 accounts that are not revoked, which is the limit")
        }
        AccountRefusal::FromProvider => {
            format!(
                "cannot make a token for \"{account}\": people of the identity provider get their accounts when they log in, and these have no token; create another account with `muster accounts create NAME`"
            )
        }
        AccountRefusal::TooManySites => {
            format!("cannot bind \"{account}\" to more than 100 sites; leave out --site to let it see all sites")
        }
        AccountRefusal::NoPerson => format!(
            "account \"{account}\" cannot have a password: programs use tokens, and people of the identity provider log in there"
        ),
        AccountRefusal::NoPassword => format!("account \"{account}\" has no password"),
    }
}
