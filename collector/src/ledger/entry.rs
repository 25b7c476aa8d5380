//! One entry of the ledger, as JSON with its version. Entries outlive the code that wrote them: fields and kinds are
//! only ever added.

use muster_proto::model::{HostId, Lane, OrderId, SiteId, Timestamp, TokenId};

/// The version in which entries are written.
const VERSION: u32 = 1;

/// Text that is no entry of a version that is known.
#[derive(Debug, thiserror::Error)]
pub enum NotAnEntry {
    /// Not the JSON of an entry.
    #[error("the ledger entry is not readable")]
    Json(#[source] serde_json::Error),
    /// Written by a newer version.
    #[error("the ledger entry has version {found}, this version reads {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Entry {
    /// An enrolment token was made.
    TokenMade {
        /// Its public half.
        token: TokenId,
        /// The site for which it enrols.
        site: SiteId,
        /// When it ends.
        expires_at: Timestamp,
        /// How often it may be used; 0 is without limit.
        max_uses: u64,
    },
    /// An enrolment token was withdrawn.
    TokenRevoked {
        /// Its public half.
        token: TokenId,
    },
    /// An operator's token was made, replaced or withdrawn.
    OperatorTokenPut {
        /// Its public half.
        token: TokenId,
        /// The person.
        person: String,
        /// The role's name.
        role: String,
        /// When it was withdrawn.
        revoked_at: Option<Timestamp>,
    },
    /// A host enrolled.
    HostEnrolled {
        /// Its id.
        host: HostId,
        /// Its site.
        site: SiteId,
        /// The token that it used.
        token: TokenId,
    },
    /// A host was given a new key.
    HostRekeyed {
        /// Its id.
        host: HostId,
        /// Whether its certificate had ended before.
        quarantined: bool,
    },
    /// All keys of a host were withdrawn.
    HostRevoked {
        /// Its id.
        host: HostId,
    },
    /// A host has come to stand in another lane.
    LaneChanged {
        /// Its id.
        host: HostId,
        /// The order.
        order: OrderId,
        /// Where it stood; `None` before the first judgement.
        from: Option<Lane>,
        /// Where it stands; `None` when the order is no longer judged.
        to: Option<Lane>,
        /// Whether the order binds the host.
        in_scope: bool,
        /// The version of catalogue and orders that judged.
        rules_version: String,
    },
    /// Catalogue and orders of another version are in force.
    RulesAdopted {
        /// The version before.
        from: Option<String>,
        /// The version now.
        to: String,
    },
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    entry: T,
}

#[derive(serde::Deserialize)]
struct OnlyVersion {
    v: u32,
}

impl Entry {
    /// The entry as it is stored.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Versioned { v: VERSION, entry: self })
    }

    /// Reads a stored entry.
    ///
    /// # Errors
    /// It is no entry, or of a newer version.
    pub fn from_json(text: &str) -> Result<Self, NotAnEntry> {
        let OnlyVersion { v } = serde_json::from_str(text).map_err(NotAnEntry::Json)?;
        if v > VERSION {
            return Err(NotAnEntry::Version { found: v });
        }
        let versioned: Versioned<Self> = serde_json::from_str(text).map_err(NotAnEntry::Json)?;
        Ok(versioned.entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_back_as_it_was_written() {
        let entry = Entry::LaneChanged {
            host: HostId::from_bytes([7; 16]),
            order: OrderId::new("us-bis-icts-2021-002").expect("valid"),
            from: None,
            to: Some(Lane::Replace),
            in_scope: true,
            rules_version: "r1".to_owned(),
        };
        let text = entry.to_json().expect("writes");
        assert!(text.starts_with(r#"{"v":1,"kind":"lane-changed""#), "{text}");
        assert_eq!(Entry::from_json(&text).expect("reads"), entry);
    }

    #[test]
    fn an_entry_of_a_newer_version_is_refused_by_name() {
        let error = Entry::from_json(r#"{"v":2,"kind":"something-new"}"#).expect_err("newer");
        assert_eq!(error.to_string(), "the ledger entry has version 2, this version reads 1");
    }
}
