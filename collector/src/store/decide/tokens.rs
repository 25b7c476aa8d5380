//! Enrollment tokens and revocation: what is written to the ledger.

use crate::ledger::entry::Entry;
use crate::store::NewToken;

/// The entry for a new enrollment token.
pub(in crate::store) fn created(token: &NewToken) -> Entry {
    Entry::TokenCreated {
        token: token.id.clone(),
        site: token.site.clone(),
        expires_at: token.expires_at,
        max_uses: token.max_uses,
    }
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
    use super::*;

    #[test]
    fn only_the_first_revocation_writes() {
        assert_eq!(Revocation::of(Some(false)), Revocation::Revoke);
        assert_eq!(Revocation::of(Some(true)), Revocation::Repeated);
        assert!(Revocation::of(Some(true)).is_known() && !Revocation::of(None).is_known());
    }
}
