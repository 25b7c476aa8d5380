//! One entry of the ledger, as versioned JSON. Entries outlive the code that wrote them, so fields and kinds are only
//! added.

use std::collections::BTreeMap;

use muster_proto::model::{
    AccountId, Budget, BulkKind, Cause, Digest, DispositionKind, DutyEvidence, DutySubject, EntryKind, Holder,
    HoldersSign, HostId, ImportCounts, Lane, MatchBasis, OrderId, PurgeCounts, Role, SiteId, Timestamp, TokenId,
    WaiverReason,
};

use super::actor::ActorId;

/// The version of entries that this code writes.
const VERSION: u32 = 1;

/// Why a stored text cannot be read as an entry.
#[derive(Debug, thiserror::Error)]
pub enum NotAnEntry {
    /// It is not the JSON of an entry.
    #[error("cannot parse the ledger entry")]
    Json(#[source] serde_json::Error),
    /// A newer version of Muster wrote it.
    #[error("the ledger entry has version {found}; this collector reads version {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Entry {
    /// An enrollment token was created.
    TokenCreated {
        /// Its public part.
        token: TokenId,
        /// The site for which it enrolls.
        site: SiteId,
        /// When it expires.
        expires_at: Timestamp,
        /// How many hosts may enroll with it; 0 means any number.
        max_uses: u64,
    },
    /// An enrollment token was revoked.
    TokenRevoked {
        /// Its public part.
        token: TokenId,
    },
    /// An account was created, with its first token.
    AccountCreated {
        /// Its id.
        account: AccountId,
        /// What it may do.
        role: Role,
        /// Who holds it.
        holder: Holder,
        /// The sites to which it is bound; empty means all.
        sites: Vec<SiteId>,
        /// The public part of its token.
        token: TokenId,
        /// When the token expires.
        expires_at: Option<Timestamp>,
    },
    /// An account got a new token; the ones before end at `others_end_at`.
    AccountRotated {
        /// Its id.
        account: AccountId,
        /// The public part of the new token.
        token: TokenId,
        /// When the new token expires.
        expires_at: Option<Timestamp>,
        /// Until when the tokens before it are accepted.
        others_end_at: Timestamp,
    },
    /// An account and all its tokens were revoked.
    AccountRevoked {
        /// Its id.
        account: AccountId,
    },
    /// An account got a password, or another one; its sessions ended.
    PasswordSet {
        /// Its id.
        account: AccountId,
        /// The id of the password.
        password: TokenId,
    },
    /// An account lost its password; its sessions ended.
    PasswordRemoved {
        /// Its id.
        account: AccountId,
    },
    /// The identity provider has given the account's person another role or other sites.
    AccountChanged {
        /// Its id.
        account: AccountId,
        /// What it may do now.
        role: Role,
        /// The sites to which it is bound now; empty means all.
        sites: Vec<SiteId>,
    },
    /// A person logged in to the web board.
    SessionOpened {
        /// The public part of the session.
        session: TokenId,
        /// When it ends.
        expires_at: Timestamp,
        /// The public part of the login link, if the person used one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<TokenId>,
    },
    /// A person made a link that logs the own account in to the web board once.
    LoginLinkCreated {
        /// The public part of the link.
        link: TokenId,
        /// Until when it can be used.
        expires_at: Timestamp,
    },
    /// A person logged out.
    SessionEnded {
        /// The public part of the session.
        session: TokenId,
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
        /// Whether its certificate had expired before.
        quarantined: bool,
    },
    /// All keys of hosts were revoked.
    HostsRevoked(HostAction),
    /// Hosts were released from quarantine or from a revocation.
    HostsReleased(HostAction),
    /// Two machines have reported with the key of a host that was not marked.
    TwoHoldersFound {
        /// Its id.
        host: HostId,
        /// How they showed.
        sign: HoldersSign,
    },
    /// A person has reviewed hosts of which two machines had the key.
    HostsReviewed(HostAction),
    /// What hosts have sent was removed, as far as no other host has it, and their keys were revoked.
    HostsPurged {
        /// Which hosts, and why.
        #[serde(flatten)]
        action: HostAction,
        /// What was removed.
        removed: PurgeCounts,
    },
    /// Hosts have spent a budget, for the first time in a day.
    HostsThrottled {
        /// Their ids.
        #[serde(with = "hosts")]
        hosts: Vec<HostId>,
        /// The budget.
        budget: Budget,
    },
    /// A day has passed since hosts had spent a budget.
    ThrottlingEnded {
        /// Their ids.
        #[serde(with = "hosts")]
        hosts: Vec<HostId>,
    },
    /// Hosts that were judged together changed lanes, all in the same way.
    LanesChanged {
        /// Their ids.
        #[serde(with = "hosts")]
        hosts: Vec<HostId>,
        /// The changes of each of them, one per order.
        changes: Vec<LaneChange>,
        /// The version of the rules that judged them.
        rules_version: String,
    },
    /// Another version of the rules is in force.
    RulesAdopted {
        /// The version before.
        from: Option<String>,
        /// The version now.
        to: String,
    },
    /// Files of orders and addenda were applied.
    OrdersApplied {
        /// Their ids, each with the SHA-256 of the file in hex.
        files: BTreeMap<OrderId, String>,
    },
    /// An order was made active, or an addendum put in force.
    OrderActivated {
        /// Its id.
        order: OrderId,
        /// The SHA-256 of its file, in hex.
        sha256: String,
    },
    /// An order was made inactive, or an addendum taken out of force.
    OrderDeactivated {
        /// Its id.
        order: OrderId,
        /// The SHA-256 of its file, in hex.
        sha256: String,
    },
    /// An applied file was removed.
    OrderRemoved {
        /// The id of the order or addendum.
        order: OrderId,
        /// The SHA-256 of the file, in hex.
        sha256: String,
    },
    /// The files of a version of the rules were kept, before it came in force.
    RulesKept {
        /// The version.
        version: String,
        /// The SHA-256 of the files of the binary, in hex.
        shipped: String,
        /// The SHA-256 of the files of the overlay, in hex.
        overlay: String,
        /// The SHA-256 of the applied files, in hex.
        applied: String,
    },
    /// A host or key that a restore has lost was admitted by its certificate.
    HostReadmitted {
        /// Its id.
        host: HostId,
        /// Its site, by the certificate.
        site: SiteId,
        /// When the certificate was issued.
        issued_at: Timestamp,
        /// Whether the store did not have the host.
        is_new: bool,
    },
    /// The store was restored from a backup. What happened between the backup and this entry is not in the store.
    Restored {
        /// When the backup was begun.
        backup_at: Timestamp,
    },
    /// Duties of an order began.
    DutiesOpened {
        /// The order.
        order: OrderId,
        /// The clock or the recurring duty.
        clock: String,
        /// The numbers of the duties.
        duties: Vec<u64>,
    },
    /// A person has done a duty.
    DutyDone {
        /// Its number.
        duty: u64,
        /// The order.
        order: OrderId,
        /// The clock or the recurring duty.
        clock: String,
        /// What it is about.
        subject: DutySubject,
        /// The hash of what the person said. The text has a row of its own, so that it can be forgotten.
        reference: Digest,
        /// The file that proves it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<DutyEvidence>,
    },
    /// Open duties ended, because their order is no longer active.
    DutiesClosed {
        /// The order.
        order: OrderId,
        /// The numbers of the duties.
        duties: Vec<u64>,
    },
    /// The server key was lost, and the collector created another one.
    ServerKeyRenewed,
    /// The file of the admin token was lost, and the collector created another token.
    AdminTokenRenewed {
        /// The public part of the new token.
        token: TokenId,
    },
    /// The removal of a product from a host was attested.
    AttestationIssued {
        /// The host.
        host: HostId,
        /// The order.
        order: OrderId,
        /// The SHA-256 of the attestation, in hexadecimal digits.
        sha256: String,
    },
    /// A list of machines is being imported.
    RosterImportStarted {
        /// The number of the import.
        import: u64,
        /// The name of the list.
        source: String,
        /// What it changes of the list.
        counts: ImportCounts,
    },
    /// A list of machines was imported.
    RosterImported {
        /// The number of the import.
        import: u64,
        /// The name of the list.
        source: String,
        /// What it has changed of the list.
        counts: ImportCounts,
    },
    /// Entries of the roster were matched with hosts.
    RosterMatched {
        /// The numbers of the entries.
        entries: Vec<u64>,
        /// The host of each of them.
        #[serde(with = "hosts")]
        hosts: Vec<HostId>,
        /// How they were matched.
        basis: MatchBasis,
    },
    /// Entries of the roster are no longer matched with these hosts.
    RosterUnmatched {
        /// The numbers of the entries.
        entries: Vec<u64>,
        /// The host of each of them.
        #[serde(with = "hosts")]
        hosts: Vec<HostId>,
    },
    /// A person said why an entry of the roster needs no host.
    RosterExcused {
        /// The number of the entry.
        entry: u64,
        /// The hash of the reason. The text has a row of its own, so that it can be forgotten.
        reason: Digest,
    },
    /// A change of many hosts was asked for.
    BulkStarted {
        /// Its number.
        bulk: u64,
        /// What it does.
        change: BulkKind,
        /// The label or the site.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
        /// The hash of the owner or the note. The text has a row of its own, so that it can be forgotten.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<Digest>,
        /// How many hosts were selected.
        selected: u64,
    },
    /// A change of many hosts has come to its end.
    BulkEnded {
        /// Its number.
        bulk: u64,
        /// How many hosts it changed.
        changed: u64,
        /// How many had as much as a host may have.
        refused: u64,
    },
    /// A person asked for a waiver.
    WaiverRequested(Box<WaiverRequest>),
    /// A person approved a waiver.
    WaiverApproved {
        /// Its number.
        waiver: u64,
        /// The ids of its hosts, if they are at most 2,000; otherwise none of them.
        #[serde(with = "hosts")]
        hosts: Vec<HostId>,
    },
    /// A person refused a waiver, or withdrew it.
    WaiverRefused {
        /// Its number.
        waiver: u64,
        /// The ids of its hosts, if they are at most 2,000; otherwise none of them.
        #[serde(with = "hosts")]
        hosts: Vec<HostId>,
    },
    /// A person ended a waiver before its time.
    WaiverEnded {
        /// Its number.
        waiver: u64,
        /// The ids of its hosts, if they are at most 2,000; otherwise none of them.
        #[serde(with = "hosts")]
        hosts: Vec<HostId>,
    },
    /// A person said that hosts left the fleet.
    DispositionRequested {
        /// The number of the disposition.
        disposition: u64,
        /// Why they left.
        disposition_kind: DispositionKind,
        /// Their ids.
        #[serde(with = "hosts")]
        hosts: Vec<HostId>,
        /// The hash of the evidence. The text has a row of its own, so that it can be forgotten.
        evidence: Digest,
        /// The file that shows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<DutyEvidence>,
        /// Whether it waits for a second person.
        needs_second: bool,
    },
    /// Hosts are retired.
    DispositionApproved {
        /// The number of the disposition.
        disposition: u64,
        /// Their ids.
        #[serde(with = "hosts")]
        hosts: Vec<HostId>,
    },
    /// A person refused a disposition, or withdrew it.
    DispositionRefused {
        /// The number of the disposition.
        disposition: u64,
        /// The ids of its hosts.
        #[serde(with = "hosts")]
        hosts: Vec<HostId>,
    },
    /// A person took hosts back that were retired.
    HostsUnretired(HostAction),
    /// Hosts reported again after they were retired.
    HostsReturned {
        /// Their ids.
        #[serde(with = "hosts")]
        hosts: Vec<HostId>,
    },
    /// The store keeps the public half of the key that signs attestations, and accepts no other from now on.
    SealKeyKept {
        /// The verifier key: origin, id and public key.
        verifier_key: String,
    },
}

/// A waiver as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WaiverRequest {
    /// Its number.
    pub waiver: u64,
    /// The order.
    pub order: OrderId,
    /// Why.
    pub reason: WaiverReason,
    /// The hash of the control. The text has a row of its own, so that it can be forgotten.
    pub control: Digest,
    /// Until when it is to be in force.
    pub until: Timestamp,
    /// Whether that is after the due milestone of the order.
    pub beyond_milestone: bool,
    /// How many hosts it covers.
    pub count: u64,
    /// The hash of their ids: sixteen bytes each, in ascending order.
    pub list: Digest,
    /// Their ids, if they are at most 2,000; otherwise none of them.
    #[serde(with = "hosts")]
    pub hosts: Vec<HostId>,
}

/// What a person did to hosts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostAction {
    /// The ids of those that it changed.
    #[serde(with = "hosts")]
    pub hosts: Vec<HostId>,
    /// The enrollment token by which they were chosen, if they were not named.
    pub token: Option<TokenId>,
    /// The hash of the reason. The text has a row of its own, so that it can be forgotten.
    pub reason: Digest,
}

/// A change of lane under one order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct LaneChange {
    /// The order.
    pub order: OrderId,
    /// The lane before; `None` at the first judgement.
    pub from: Option<Lane>,
    /// The lane now; `None` if hosts are no longer judged under the order.
    pub to: Option<Lane>,
    /// Whether the order applied to the host before; `false` at the first judgement.
    pub was_in_scope: bool,
    /// Whether the order applies to the host now; `false` if it is no longer judged under the order.
    pub in_scope: bool,
    /// Why the lane changed.
    pub cause: Cause,
}

/// Hosts of one entry: more would make it too long to be sealed (see `ledger::leaf`).
pub const HOSTS: usize = 2_000;

/// The lane changes of a batch. Hosts with the same changes share an entry, at most 2,000 of them.
#[derive(Debug, Default)]
pub struct LaneChanges(BTreeMap<Vec<LaneChange>, Vec<HostId>>);

impl LaneChanges {
    /// Adds the changes of a host; an empty list is ignored.
    pub fn add(&mut self, host: HostId, changes: Vec<LaneChange>) {
        if !changes.is_empty() {
            self.0.entry(changes).or_default().push(host);
        }
    }

    /// The entries.
    pub fn into_entries(self, rules_version: &str) -> impl Iterator<Item = Entry> {
        self.0.into_iter().flat_map(move |(changes, hosts)| {
            let entry = |hosts: &[HostId]| Entry::LanesChanged {
                hosts: hosts.to_vec(),
                changes: changes.clone(),
                rules_version: rules_version.to_owned(),
            };
            hosts.chunks(HOSTS).map(entry).collect::<Vec<_>>()
        })
    }
}

/// Host ids as one base64 string: an entry may have hundreds.
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
            return Err(D::Error::custom(format!("{} bytes are not a list of host ids", bytes.len())));
        }
        Ok(ids.iter().map(|id| HostId::from_bytes(*id)).collect())
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Versioned<A, T> {
    v: u32,
    actor: A,
    #[serde(flatten)]
    entry: T,
}

#[derive(serde::Deserialize)]
struct OnlyVersion {
    v: u32,
}

impl Entry {
    /// What the entry records.
    #[must_use]
    pub const fn kind(&self) -> EntryKind {
        match self {
            Self::TokenCreated { .. } => EntryKind::TokenCreated,
            Self::TokenRevoked { .. } => EntryKind::TokenRevoked,
            Self::AccountCreated { .. } => EntryKind::AccountCreated,
            Self::AccountRotated { .. } => EntryKind::AccountRotated,
            Self::AccountRevoked { .. } => EntryKind::AccountRevoked,
            Self::PasswordSet { .. } => EntryKind::PasswordSet,
            Self::PasswordRemoved { .. } => EntryKind::PasswordRemoved,
            Self::AccountChanged { .. } => EntryKind::AccountChanged,
            Self::SessionOpened { .. } => EntryKind::SessionOpened,
            Self::SessionEnded { .. } => EntryKind::SessionEnded,
            Self::LoginLinkCreated { .. } => EntryKind::LoginLinkCreated,
            Self::HostEnrolled { .. } => EntryKind::HostEnrolled,
            Self::HostRekeyed { .. } => EntryKind::HostRekeyed,
            Self::HostsRevoked(_) => EntryKind::HostsRevoked,
            Self::HostsReleased(_) => EntryKind::HostsReleased,
            Self::TwoHoldersFound { .. } => EntryKind::TwoHoldersFound,
            Self::HostsReviewed(_) => EntryKind::HostsReviewed,
            Self::HostsPurged { .. } => EntryKind::HostsPurged,
            Self::HostsThrottled { .. } => EntryKind::HostsThrottled,
            Self::ThrottlingEnded { .. } => EntryKind::ThrottlingEnded,
            Self::LanesChanged { .. } => EntryKind::LanesChanged,
            Self::RulesAdopted { .. } => EntryKind::RulesAdopted,
            Self::OrdersApplied { .. } => EntryKind::OrdersApplied,
            Self::OrderActivated { .. } => EntryKind::OrderActivated,
            Self::OrderDeactivated { .. } => EntryKind::OrderDeactivated,
            Self::OrderRemoved { .. } => EntryKind::OrderRemoved,
            Self::RulesKept { .. } => EntryKind::RulesKept,
            Self::HostReadmitted { .. } => EntryKind::HostReadmitted,
            Self::Restored { .. } => EntryKind::Restored,
            Self::DutiesOpened { .. } => EntryKind::DutiesOpened,
            Self::DutyDone { .. } => EntryKind::DutyDone,
            Self::DutiesClosed { .. } => EntryKind::DutiesClosed,
            Self::ServerKeyRenewed => EntryKind::ServerKeyRenewed,
            Self::AdminTokenRenewed { .. } => EntryKind::AdminTokenRenewed,
            Self::AttestationIssued { .. } => EntryKind::AttestationIssued,
            Self::SealKeyKept { .. } => EntryKind::SealKeyKept,
            Self::RosterImportStarted { .. } => EntryKind::RosterImportStarted,
            Self::RosterImported { .. } => EntryKind::RosterImported,
            Self::RosterMatched { .. } => EntryKind::RosterMatched,
            Self::RosterUnmatched { .. } => EntryKind::RosterUnmatched,
            Self::RosterExcused { .. } => EntryKind::RosterExcused,
            Self::BulkStarted { .. } => EntryKind::BulkStarted,
            Self::BulkEnded { .. } => EntryKind::BulkEnded,
            Self::WaiverRequested(_) => EntryKind::WaiverRequested,
            Self::WaiverApproved { .. } => EntryKind::WaiverApproved,
            Self::WaiverRefused { .. } => EntryKind::WaiverRefused,
            Self::WaiverEnded { .. } => EntryKind::WaiverEnded,
            Self::DispositionRequested { .. } => EntryKind::DispositionRequested,
            Self::DispositionApproved { .. } => EntryKind::DispositionApproved,
            Self::DispositionRefused { .. } => EntryKind::DispositionRefused,
            Self::HostsUnretired(_) => EntryKind::HostsUnretired,
            Self::HostsReturned { .. } => EntryKind::HostsReturned,
        }
    }

    /// The hosts that the entry is about.
    #[must_use]
    pub fn hosts(&self) -> &[HostId] {
        match self {
            Self::HostEnrolled { host, .. }
            | Self::HostRekeyed { host, .. }
            | Self::HostReadmitted { host, .. }
            | Self::AttestationIssued { host, .. }
            | Self::TwoHoldersFound { host, .. } => std::slice::from_ref(host),
            Self::HostsRevoked(action)
            | Self::HostsReleased(action)
            | Self::HostsReviewed(action)
            | Self::HostsUnretired(action)
            | Self::HostsPurged { action, .. } => &action.hosts,
            Self::WaiverRequested(request) => &request.hosts,
            Self::LanesChanged { hosts, .. }
            | Self::HostsThrottled { hosts, .. }
            | Self::ThrottlingEnded { hosts }
            | Self::DispositionRequested { hosts, .. }
            | Self::DispositionApproved { hosts, .. }
            | Self::DispositionRefused { hosts, .. }
            | Self::WaiverApproved { hosts, .. }
            | Self::WaiverRefused { hosts, .. }
            | Self::WaiverEnded { hosts, .. }
            | Self::HostsReturned { hosts }
            | Self::RosterMatched { hosts, .. }
            | Self::RosterUnmatched { hosts, .. } => hosts,
            Self::TokenCreated { .. }
            | Self::TokenRevoked { .. }
            | Self::AccountCreated { .. }
            | Self::AccountRotated { .. }
            | Self::AccountRevoked { .. }
            | Self::PasswordSet { .. }
            | Self::PasswordRemoved { .. }
            | Self::AccountChanged { .. }
            | Self::SessionOpened { .. }
            | Self::SessionEnded { .. }
            | Self::LoginLinkCreated { .. }
            | Self::RulesAdopted { .. }
            | Self::OrdersApplied { .. }
            | Self::OrderActivated { .. }
            | Self::OrderDeactivated { .. }
            | Self::OrderRemoved { .. }
            | Self::RulesKept { .. }
            | Self::Restored { .. }
            | Self::DutiesOpened { .. }
            | Self::DutyDone { .. }
            | Self::DutiesClosed { .. }
            | Self::ServerKeyRenewed
            | Self::AdminTokenRenewed { .. }
            | Self::RosterImportStarted { .. }
            | Self::RosterImported { .. }
            | Self::RosterExcused { .. }
            | Self::BulkStarted { .. }
            | Self::BulkEnded { .. }
            | Self::SealKeyKept { .. } => &[],
        }
    }

    /// Whether the entry is about this host.
    #[must_use]
    pub fn concerns(&self, host: HostId) -> bool {
        self.hosts().contains(&host)
    }

    /// The hash of the reason that a person gave.
    #[must_use]
    pub const fn reason(&self) -> Option<&Digest> {
        match self {
            Self::HostsRevoked(action)
            | Self::HostsReleased(action)
            | Self::HostsReviewed(action)
            | Self::HostsUnretired(action)
            | Self::HostsPurged { action, .. } => Some(&action.reason),
            Self::WaiverRequested(request) => Some(&request.control),
            Self::DispositionRequested { evidence, .. } => Some(evidence),
            Self::DutyDone { reference, .. } => Some(reference),
            Self::RosterExcused { reason, .. } => Some(reason),
            Self::BulkStarted { text, .. } => text.as_ref(),
            Self::TokenCreated { .. }
            | Self::TokenRevoked { .. }
            | Self::AccountCreated { .. }
            | Self::AccountRotated { .. }
            | Self::AccountRevoked { .. }
            | Self::PasswordSet { .. }
            | Self::PasswordRemoved { .. }
            | Self::AccountChanged { .. }
            | Self::SessionOpened { .. }
            | Self::SessionEnded { .. }
            | Self::LoginLinkCreated { .. }
            | Self::HostEnrolled { .. }
            | Self::HostRekeyed { .. }
            | Self::HostReadmitted { .. }
            | Self::TwoHoldersFound { .. }
            | Self::HostsThrottled { .. }
            | Self::ThrottlingEnded { .. }
            | Self::LanesChanged { .. }
            | Self::RulesAdopted { .. }
            | Self::OrdersApplied { .. }
            | Self::OrderActivated { .. }
            | Self::OrderDeactivated { .. }
            | Self::OrderRemoved { .. }
            | Self::RulesKept { .. }
            | Self::Restored { .. }
            | Self::DutiesOpened { .. }
            | Self::DutiesClosed { .. }
            | Self::ServerKeyRenewed
            | Self::AdminTokenRenewed { .. }
            | Self::AttestationIssued { .. }
            | Self::RosterImportStarted { .. }
            | Self::RosterImported { .. }
            | Self::RosterMatched { .. }
            | Self::RosterUnmatched { .. }
            | Self::BulkEnded { .. }
            | Self::WaiverApproved { .. }
            | Self::WaiverRefused { .. }
            | Self::WaiverEnded { .. }
            | Self::DispositionApproved { .. }
            | Self::DispositionRefused { .. }
            | Self::HostsReturned { .. }
            | Self::SealKeyKept { .. } => None,
        }
    }

    /// The account that the entry is about.
    #[must_use]
    pub const fn account(&self) -> Option<&AccountId> {
        match self {
            Self::AccountCreated { account, .. }
            | Self::AccountRotated { account, .. }
            | Self::AccountChanged { account, .. }
            | Self::AccountRevoked { account }
            | Self::PasswordSet { account, .. }
            | Self::PasswordRemoved { account } => Some(account),
            Self::TokenCreated { .. }
            | Self::TokenRevoked { .. }
            | Self::SessionOpened { .. }
            | Self::SessionEnded { .. }
            | Self::LoginLinkCreated { .. }
            | Self::HostEnrolled { .. }
            | Self::HostRekeyed { .. }
            | Self::HostsRevoked(_)
            | Self::HostsReleased(_)
            | Self::TwoHoldersFound { .. }
            | Self::HostsReviewed(_)
            | Self::HostsPurged { .. }
            | Self::HostsThrottled { .. }
            | Self::ThrottlingEnded { .. }
            | Self::LanesChanged { .. }
            | Self::RulesAdopted { .. }
            | Self::OrdersApplied { .. }
            | Self::OrderActivated { .. }
            | Self::OrderDeactivated { .. }
            | Self::OrderRemoved { .. }
            | Self::RulesKept { .. }
            | Self::HostReadmitted { .. }
            | Self::Restored { .. }
            | Self::DutiesOpened { .. }
            | Self::DutyDone { .. }
            | Self::DutiesClosed { .. }
            | Self::ServerKeyRenewed
            | Self::AdminTokenRenewed { .. }
            | Self::AttestationIssued { .. }
            | Self::RosterImportStarted { .. }
            | Self::RosterImported { .. }
            | Self::RosterMatched { .. }
            | Self::RosterUnmatched { .. }
            | Self::RosterExcused { .. }
            | Self::BulkStarted { .. }
            | Self::BulkEnded { .. }
            | Self::WaiverRequested(_)
            | Self::WaiverApproved { .. }
            | Self::WaiverRefused { .. }
            | Self::WaiverEnded { .. }
            | Self::DispositionRequested { .. }
            | Self::DispositionApproved { .. }
            | Self::DispositionRefused { .. }
            | Self::HostsUnretired(_)
            | Self::HostsReturned { .. }
            | Self::SealKeyKept { .. } => None,
        }
    }

    /// The entry and its actor as they are stored.
    ///
    /// # Errors
    /// They cannot be written as JSON.
    pub fn to_json(&self, actor: &ActorId) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Versioned { v: VERSION, actor, entry: self })
    }

    /// Reads a stored entry and its actor.
    ///
    /// # Errors
    /// It is not an entry, or has a newer version.
    pub fn from_json(text: &str) -> Result<(Self, ActorId), NotAnEntry> {
        // The version is read alone first, because a newer entry may have a kind that this code does not know.
        let OnlyVersion { v } = serde_json::from_str(text).map_err(NotAnEntry::Json)?;
        if v > VERSION {
            return Err(NotAnEntry::Version { found: v });
        }
        let versioned: Versioned<ActorId, Self> = serde_json::from_str(text).map_err(NotAnEntry::Json)?;
        Ok((versioned.entry, versioned.actor))
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
            was_in_scope: false,
            in_scope: true,
            cause: Cause::Enrolled,
        };
        let mut all = LaneChanges::default();
        for n in 0..3 {
            all.add(HostId::from_bytes([n; 16]), vec![change.clone()]);
        }
        all.add(HostId::from_bytes([9; 16]), Vec::new());
        let entries: Vec<Entry> = all.into_entries("r1").collect();
        assert_eq!(entries.len(), 1, "hosts with the same changes share an entry");
        let text = entries[0].to_json(&ActorId::Judge).expect("writes");
        assert!(text.starts_with(r#"{"v":1,"actor":{"by":"judge"},"kind":"lanes-changed""#), "{text}");
        assert_eq!(Entry::from_json(&text).expect("reads"), (entries[0].clone(), ActorId::Judge));
        assert!(entries[0].concerns(HostId::from_bytes([2; 16])) && !entries[0].concerns(HostId::from_bytes([9; 16])));
        let Entry::LanesChanged { hosts, .. } = &entries[0] else { panic!("{text}") };
        assert_eq!(hosts.len(), 3);
        let cut = text.replace("\"hosts\":\"", "\"hosts\":\"AA");
        Entry::from_json(&cut).expect_err("not a list of ids");
    }

    #[test]
    fn an_entry_of_a_newer_version_is_refused() {
        let error = Entry::from_json(r#"{"v":2,"kind":"something-new"}"#).expect_err("newer");
        assert_eq!(error.to_string(), "the ledger entry has version 2; this collector reads version 1");
    }
}
