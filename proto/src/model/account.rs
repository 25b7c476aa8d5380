//! Accounts: who may act on the collector, with which role, at which sites.

use super::closed_list::closed_list;
use super::ids::{AccountId, AccountName, SiteId, TokenId};
use super::{Role, Timestamp};

closed_list! {
    /// Who holds an account's tokens.
    Holder {
        /// One person.
        Person = 1, "person";
        /// A program: an export, a dashboard, a pipeline.
        Machine = 2, "machine";
        /// One person whom the identity provider vouches for at each login. The account has no token of its own.
        ProviderPerson = 3, "provider-person";
    }
}

/// An account as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AccountReport {
    /// Its id, which the ledger uses.
    pub id: AccountId,
    /// Its name, unique among the accounts that are not revoked.
    pub name: AccountName,
    /// What it may do.
    pub role: Role,
    /// Who holds it.
    pub holder: Holder,
    /// The sites to which it is bound, sorted; empty means all sites.
    pub sites: Vec<SiteId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When its password was set, if it has one.
    pub password_set_at: Option<Timestamp>,
    /// Its tokens, newest first, at most 10; none for a person of the identity provider.
    pub tokens: Vec<AccountTokenReport>,
}

/// A token of an account, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AccountTokenReport {
    /// Its public part.
    pub id: TokenId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires; `None` means never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl AccountTokenReport {
    /// Whether the token is accepted at an instant. It is no longer accepted at `expires_at` itself.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

impl AccountReport {
    /// Whether somebody can act with the account at an instant: it is not revoked and has a valid token.
    #[must_use]
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.tokens.iter().any(|token| token.is_valid(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_usable_until_its_last_token_ends() {
        let at = Timestamp::from_millis;
        let token = |expires_at, revoked_at| AccountTokenReport {
            id: TokenId::new("t").expect("an id"),
            created_at: at(0),
            expires_at,
            revoked_at,
        };
        let account = |tokens, revoked_at| AccountReport {
            id: AccountId::new("a").expect("an id"),
            name: AccountName::new("ada").expect("a name"),
            role: Role::Admin,
            holder: Holder::Person,
            sites: Vec::new(),
            created_at: at(0),
            revoked_at,
            password_set_at: None,
            tokens,
        };
        assert!(account(vec![token(Some(at(5)), None)], None).is_usable(at(4)));
        assert!(!account(vec![token(Some(at(5)), None)], None).is_usable(at(5)));
        assert!(account(vec![token(None, Some(at(1))), token(None, None)], None).is_usable(at(9)));
        assert!(!account(vec![token(None, None)], Some(at(1))).is_usable(at(9)));
        assert!(!account(Vec::new(), None).is_usable(at(9)));
    }
}
