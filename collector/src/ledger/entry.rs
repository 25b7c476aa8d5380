//! One entry of the ledger, as JSON with its version. Entries outlive the code that wrote them: fields and kinds are
//! only ever added.

use std::collections::BTreeMap;

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
    /// An enrollment token was made.
    TokenMade {
        /// Its public half.
        token: TokenId,
        /// The site for which it enrolls.
        site: SiteId,
        /// When it ends.
        expires_at: Timestamp,
        /// How often it may be used; 0 is without limit.
        max_uses: u64,
    },
    /// An enrollment token was withdrawn.
    TokenRevoked {
        /// Its public half.
        token: TokenId,
    },
    /// An operator's token was made, replaced or withdrawn.
    AccountTokenPut {
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
    /// Hosts that were judged together have come to stand in other lanes, each in the same way.
    LanesChanged {
        /// Their ids.
        #[serde(with = "hosts")]
        hosts: Vec<HostId>,
        /// What has changed for each of them, one for an order.
        changes: Vec<LaneChange>,
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

/// A host has come to stand in another lane under one order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct LaneChange {
    /// The order.
    pub order: OrderId,
    /// Where it stood; `None` before the first judgement.
    pub from: Option<Lane>,
    /// Where it stands; `None` when the order is no longer judged.
    pub to: Option<Lane>,
    /// Whether the order binds the host.
    pub in_scope: bool,
}

/// Lane changes of a batch, gathered into few entries: hosts to which the same has happened share one.
#[derive(Debug, Default)]
pub struct LaneChanges(BTreeMap<Vec<LaneChange>, Vec<HostId>>);

impl LaneChanges {
    /// Adds what has changed for a host; nothing is no change.
    pub fn add(&mut self, host: HostId, changes: Vec<LaneChange>) {
        if !changes.is_empty() {
            self.0.entry(changes).or_default().push(host);
        }
    }

    /// The entries.
    pub fn into_entries(self, rules_version: &str) -> impl Iterator<Item = Entry> {
        self.0.into_iter().map(move |(changes, hosts)| Entry::LanesChanged {
            hosts,
            changes,
            rules_version: rules_version.to_owned(),
        })
    }
}

/// Host ids one after the other in base64: there may be hundreds in an entry.
mod hosts {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use muster_proto::model::HostId;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(hosts: &[HostId], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = hosts.iter().flat_map(|host| *host.as_bytes()).collect();
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HostId>, D::Error> {
        let bytes = URL_SAFE_NO_PAD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        let (ids, rest) = bytes.as_chunks::<16>();
        if !rest.is_empty() {
            return Err(D::Error::custom(format!("{} bytes are no ids of hosts", bytes.len())));
        }
        Ok(ids.iter().map(|id| HostId::from_bytes(*id)).collect())
    }
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
        let change = LaneChange {
            order: OrderId::new("us-bis-icts-2021-002").expect("valid"),
            from: None,
            to: Some(Lane::Replace),
            in_scope: true,
        };
        let mut all = LaneChanges::default();
        for n in 0..3 {
            all.add(HostId::from_bytes([n; 16]), vec![change.clone()]);
        }
        all.add(HostId::from_bytes([9; 16]), Vec::new());
        let entries: Vec<Entry> = all.into_entries("r1").collect();
        assert_eq!(entries.len(), 1, "hosts to which the same has happened share an entry");
        let text = entries[0].to_json().expect("writes");
        assert!(text.starts_with(r#"{"v":1,"kind":"lanes-changed""#), "{text}");
        assert_eq!(Entry::from_json(&text).expect("reads"), entries[0]);
        let Entry::LanesChanged { hosts, .. } = &entries[0] else { panic!("{text}") };
        assert_eq!(hosts.len(), 3);
        let cut = text.replace("\"hosts\":\"", "\"hosts\":\"AA");
        Entry::from_json(&cut).expect_err("no ids");
    }

    #[test]
    fn an_entry_of_a_newer_version_is_refused_by_name() {
        let error = Entry::from_json(r#"{"v":2,"kind":"something-new"}"#).expect_err("newer");
        assert_eq!(error.to_string(), "the ledger entry has version 2, this version reads 1");
    }
}
