//! Who calls an action: an account, or a user of the collector's machine.

use muster_proto::model::{AccountId, Role, SiteId, Timestamp, TokenId};

use super::ActionError;
use crate::ledger::actor::Actor;
use crate::store::{Acting, SiteScope};

/// Who calls an action, and what the caller may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who acts, for the ledger.
    pub actor: Actor,
    /// The name, for people.
    pub name: String,
    /// What the caller may do.
    pub role: Role,
    /// The sites that the caller may see and act on.
    pub scope: SiteScope,
}

impl Caller {
    /// An account that showed a valid token.
    #[must_use]
    pub const fn account(account: AccountId, token: TokenId, name: String, role: Role, scope: SiteScope) -> Self {
        Self { actor: Actor::Account { account, token }, name, role, scope }
    }

    /// A user of the collector's machine, who may do everything.
    #[must_use]
    pub fn collector(user: &str) -> Self {
        let actor = Actor::Collector { user: user.to_owned() };
        Self { actor, name: user.to_owned(), role: Role::Admin, scope: SiteScope::default() }
    }

    pub(super) fn acting(&self, now: Timestamp) -> Acting {
        Acting { actor: self.actor.clone(), now }
    }

    /// Refuses a site that the caller may not act on.
    pub(super) fn must_admit(&self, site: &SiteId) -> Result<(), ActionError> {
        if self.scope.contains(site) {
            return Ok(());
        }
        Err(ActionError::OtherSite { site: site.clone(), scope: self.scope.clone() })
    }
}
