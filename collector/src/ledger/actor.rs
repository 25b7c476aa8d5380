//! Who acts. Entries hold ids, so that a name can be forgotten without changing an entry.

use muster_proto::model::{AccountId, TokenId};

/// Who acts, as a caller of the store names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// An account that called the API.
    Account {
        /// Its id.
        account: AccountId,
        /// The token or the password that it used.
        token: TokenId,
    },
    /// A user of the collector's machine, by `muster-collector`.
    Collector {
        /// The user's name on that machine.
        user: String,
    },
    /// The directory of rules, which has changed.
    Rules,
    /// The judge.
    Judge,
    /// An agent.
    Agent,
    /// The job that matches the roster with hosts.
    Roster,
    /// The job that changes many hosts, as the entry that began the change says.
    Bulk,
}

impl Actor {
    /// The account, if one acts.
    #[must_use]
    pub const fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Account { account, .. } => Some(account),
            Self::Collector { .. } | Self::Rules | Self::Judge | Self::Agent | Self::Roster | Self::Bulk => None,
        }
    }
}

/// An actor as an entry holds it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum ActorId {
    /// An account.
    Account {
        /// Its id.
        account: AccountId,
        /// The token that it used.
        token: TokenId,
    },
    /// A user of the collector's machine.
    Collector {
        /// The number of the user's name in the store.
        user: u64,
    },
    /// The directory of rules.
    Rules,
    /// The judge.
    Judge,
    /// An agent.
    Agent,
    /// The job that matches the roster with hosts.
    Roster,
    /// The job that changes many hosts, as the entry that began the change says.
    Bulk,
}

impl ActorId {
    /// The account, if one acted.
    #[must_use]
    pub const fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Account { account, .. } => Some(account),
            Self::Collector { .. } | Self::Rules | Self::Judge | Self::Agent | Self::Roster | Self::Bulk => None,
        }
    }

    /// The number of the system user, if one acted.
    #[must_use]
    pub const fn user(&self) -> Option<u64> {
        match self {
            Self::Collector { user } => Some(*user),
            Self::Account { .. } | Self::Rules | Self::Judge | Self::Agent | Self::Roster | Self::Bulk => None,
        }
    }
}
