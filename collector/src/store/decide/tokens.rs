//! Tokens and revocation: what is written to the ledger, and when.

use muster_proto::model::Timestamp;

use crate::ledger::entry::Entry;
use crate::store::{AccountToken, NewToken};

/// The entry for a new enrollment token.
pub(in crate::store) fn created(token: &NewToken) -> Entry {
    Entry::TokenMade {
        token: token.id.clone(),
        site: token.site.clone(),
        expires_at: token.expires_at,
        max_uses: token.max_uses,
    }
}

/// The entry for an account's token that is added, changed or revoked, and the time of that change.
pub(in crate::store) fn account_token_put(token: &AccountToken) -> (Timestamp, Entry) {
    let entry = Entry::AccountTokenPut {
        token: token.id.clone(),
        person: token.person.clone(),
        role: token.role.name().to_owned(),
        revoked_at: token.revoked_at,
    };
    (token.revoked_at.unwrap_or(token.created_at), entry)
}

/// What revoking a token or a host writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Revocation {
    /// Nothing: there is no such row.
    Unknown,
    /// Nothing: the first revocation counts.
    Repeated,
    /// The time of the revocation, and an entry.
    Revoke,
}

impl Revocation {
    /// From whether the row is revoked; `None` if there is no row.
    pub(in crate::store) fn of(is_revoked: Option<bool>) -> Self {
        match is_revoked {
            None => Self::Unknown,
            Some(true) => Self::Repeated,
            Some(false) => Self::Revoke,
        }
    }

    /// Whether the token or the host exists: the answer of the operation.
    pub(in crate::store) fn is_known(self) -> bool {
        self != Self::Unknown
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{Role, TokenId};

    use super::*;

    #[test]
    fn only_the_first_revocation_writes() {
        assert_eq!(Revocation::of(Some(false)), Revocation::Revoke);
        assert_eq!(Revocation::of(Some(true)), Revocation::Repeated);
        assert!(Revocation::of(Some(true)).is_known() && !Revocation::of(None).is_known());
    }

    #[test]
    fn a_revoked_account_token_is_recorded_at_the_time_of_its_revocation() {
        let token = AccountToken {
            id: TokenId::new("ada").expect("an id"),
            secret_hash: [0; 32],
            person: "Ada".to_owned(),
            role: Role::Operator,
            created_at: Timestamp::from_millis(1),
            revoked_at: None,
        };
        let (at, entry) = account_token_put(&token);
        assert_eq!(at, Timestamp::from_millis(1));
        assert!(matches!(entry, Entry::AccountTokenPut { role, .. } if role == "operator"));
        let revoked = AccountToken { revoked_at: Some(Timestamp::from_millis(9)), ..token };
        assert_eq!(account_token_put(&revoked).0, Timestamp::from_millis(9));
    }
}
