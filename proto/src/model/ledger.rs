//! The ledger as operators read it: numbered entries, each with its actor.

use super::Timestamp;
use super::closed_list::closed_list;

closed_list! {
    /// What a ledger entry records.
    EntryKind {
        /// An enrollment token was created.
        TokenCreated = 1, "token-created";
        /// An enrollment token was revoked.
        TokenRevoked = 2, "token-revoked";
        /// An account was created.
        AccountCreated = 3, "account-created";
        /// An account got a new token in place of the ones before.
        AccountRotated = 4, "account-rotated";
        /// An account and its tokens were revoked.
        AccountRevoked = 5, "account-revoked";
        /// A host enrolled.
        HostEnrolled = 6, "host-enrolled";
        /// A host was given a new key.
        HostRekeyed = 7, "host-rekeyed";
        /// All keys of hosts were revoked.
        HostsRevoked = 8, "hosts-revoked";
        /// Hosts changed lanes.
        LanesChanged = 9, "lanes-changed";
        /// Another version of the rules is in force.
        RulesAdopted = 10, "rules-adopted";
        /// The store was restored from a backup.
        Restored = 11, "restored";
        /// The server key was lost, and another one was created.
        ServerKeyRenewed = 12, "server-key-renewed";
        /// The file of the admin token was lost, and another token was created.
        AdminTokenRenewed = 13, "admin-token-renewed";
        /// A host or a key that a restore has lost was admitted by its certificate.
        HostReadmitted = 14, "host-readmitted";
        /// Hosts were released from quarantine or from a revocation.
        HostsReleased = 15, "hosts-released";
        /// Two machines have reported with the key of a host.
        TwoHoldersFound = 18, "two-holders-found";
        /// Hosts of which two machines had the key were reviewed.
        HostsReviewed = 19, "hosts-reviewed";
        /// Hosts have spent a budget.
        HostsThrottled = 20, "hosts-throttled";
        /// Hosts have spent no budget for a day.
        ThrottlingEnded = 21, "throttling-ended";
        /// What hosts have sent was removed.
        HostsPurged = 22, "hosts-purged";
        /// The store keeps the public half of the key that signs attestations.
        SealKeyKept = 30, "seal-key-kept";
        /// The removal of a product from a host was attested.
        AttestationIssued = 31, "attestation-issued";
        /// Files of orders and addenda were applied.
        OrdersApplied = 40, "orders-applied";
        /// An order was made active, or an addendum put in force.
        OrderActivated = 41, "order-activated";
        /// An order was made inactive, or an addendum taken out of force.
        OrderDeactivated = 42, "order-deactivated";
        /// An applied file was removed.
        OrderRemoved = 43, "order-removed";
        /// The files of a version of the rules were kept.
        RulesKept = 44, "rules-kept";
        /// Clocks of an order were started, or duties of it returned.
        DutiesOpened = 50, "duties-opened";
        /// A duty was done.
        DutyDone = 51, "duty-done";
        /// Open duties ended, because their order is no longer active.
        DutiesClosed = 52, "duties-closed";
        /// A list of machines is being imported.
        RosterImportStarted = 60, "roster-import-started";
        /// A list of machines was imported.
        RosterImported = 61, "roster-imported";
        /// Entries of the roster were matched with hosts.
        RosterMatched = 62, "roster-matched";
        /// Entries of the roster are no longer matched with hosts.
        RosterUnmatched = 63, "roster-unmatched";
        /// A person said why an entry of the roster needs no host.
        RosterExcused = 64, "roster-excused";
        /// A change of many hosts was asked for.
        BulkStarted = 70, "bulk-started";
        /// A change of many hosts has come to its end.
        BulkEnded = 71, "bulk-ended";
        /// A person asked for a waiver.
        WaiverRequested = 80, "waiver-requested";
        /// A person approved a waiver.
        WaiverApproved = 81, "waiver-approved";
        /// A person refused a waiver, or withdrew it.
        WaiverRefused = 82, "waiver-refused";
        /// A person ended a waiver before its time.
        WaiverEnded = 83, "waiver-ended";
        /// A person said that hosts left the fleet.
        DispositionRequested = 84, "disposition-requested";
        /// Hosts are retired.
        DispositionApproved = 85, "disposition-approved";
        /// A person refused a disposition, or withdrew it.
        DispositionRefused = 86, "disposition-refused";
        /// A person took hosts back that were retired.
        HostsUnretired = 87, "hosts-unretired";
        /// Hosts reported again after they were retired.
        HostsReturned = 88, "hosts-returned";
        /// A person logged in to the web board.
        SessionOpened = 90, "session-opened";
        /// A person logged out of the web board.
        SessionEnded = 91, "session-ended";
        /// A person made a link that logs in to the web board once.
        LoginLinkCreated = 92, "login-link-created";
        /// An account got a password, or another one.
        PasswordSet = 93, "password-set";
        /// An account lost its password.
        PasswordRemoved = 94, "password-removed";
        /// The identity provider gave an account another role or other sites.
        AccountChanged = 97, "account-changed";
    }
}

/// A ledger entry.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LedgerEntry {
    /// Its number. Numbers grow with every entry; there may be gaps.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What it records.
    pub kind: EntryKind,
    /// Who acted, for people: `ada (token k3…)`, `root on the collector`, `rules`, `judge`, `agent`,
    /// `roster`.
    pub actor: String,
    /// The account that acted, by its id; empty if no account did.
    pub account: String,
    /// What happened, in one line, with the present names of hosts and accounts.
    pub text: String,
    /// The stored entry: JSON with ids instead of names.
    pub entry: String,
}
