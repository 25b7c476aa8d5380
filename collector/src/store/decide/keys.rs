//! Keys of hosts: which host a key belongs to, and how a new key replaces an old one.
//!
//! A host's first key is in use from its enrollment on. A renewal gives the host a new key beside the one in use,
//! because the answer to the agent may be lost: both are accepted until the new key is used for the first time. Then
//! the older ones count as replaced. A machine that still shows a replaced key is a clone, or was restored from an old
//! image: it must enroll again, because a renewal would take the host from its other holder.

use muster_proto::model::{HostId, SiteId};

use crate::ledger::entry::Entry;
use crate::store::{HostIdentity, KeyRenewal, Renewed};

/// The status of a key. The codes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::store) enum KeyStatus {
    /// The host uses it.
    InUse = 1,
    /// It was given to the host, which has not used it yet.
    Given = 2,
    /// The host has used a newer key.
    Replaced = 3,
}

impl KeyStatus {
    pub(in crate::store) const fn code(self) -> u8 {
        self as u8
    }

    pub(in crate::store) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::InUse),
            2 => Some(Self::Given),
            3 => Some(Self::Replaced),
            _ => None,
        }
    }
}

/// A key and its host, as they are stored. `No` is the backend's row number of a host.
#[derive(Debug, Clone)]
pub(in crate::store) struct StoredKey<No> {
    pub(in crate::store) status: KeyStatus,
    pub(in crate::store) host_no: No,
    pub(in crate::store) host: HostId,
    pub(in crate::store) site: SiteId,
    pub(in crate::store) is_revoked: bool,
    pub(in crate::store) is_quarantined: bool,
}

impl<No> StoredKey<No> {
    /// Whether the host shows this key for the first time: then it must be marked as in use, and the keys in use before
    /// as replaced.
    pub(in crate::store) fn is_first_use(&self) -> bool {
        self.status == KeyStatus::Given
    }

    /// The host as this key identifies it.
    pub(in crate::store) fn identity(self) -> HostIdentity {
        HostIdentity {
            host: self.host,
            site: self.site,
            revoked: self.is_revoked,
            quarantined: self.is_quarantined,
            superseded: self.status == KeyStatus::Replaced,
        }
    }
}

/// What a renewal writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum RenewalDecision<No> {
    /// Nothing: the renewal is refused, and this is the answer.
    Refuse(Renewed),
    /// The new key is known already, because the answer to the first attempt was lost. Quarantine the host if asked to.
    Repeated { host_no: No },
    /// Delete the keys that were given and never used (except the old key itself), add the new one as given, and write
    /// the entry. Quarantine the host if asked to.
    Give { host_no: No, entry: Entry },
}

/// Decides a renewal from what is stored of the old key, and from the host that has the new key, if any.
pub(in crate::store) fn renew<No: PartialEq>(
    renewal: &KeyRenewal,
    old_key: Option<StoredKey<No>>,
    new_key_holder: Option<No>,
) -> RenewalDecision<No> {
    let Some(old_key) = old_key.filter(|key| key.host == renewal.host && !key.is_revoked) else {
        return RenewalDecision::Refuse(Renewed::OldKeyInvalid);
    };
    if old_key.status == KeyStatus::Replaced {
        return RenewalDecision::Refuse(Renewed::OldKeySuperseded);
    }
    let host_no = old_key.host_no;
    match new_key_holder {
        Some(holder) if holder != host_no => RenewalDecision::Refuse(Renewed::NewKeyTaken),
        Some(_) => RenewalDecision::Repeated { host_no },
        None => {
            let entry = Entry::HostRekeyed { host: renewal.host, quarantined: renewal.quarantine };
            RenewalDecision::Give { host_no, entry }
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{KeyFingerprint, Timestamp};

    use super::*;

    const HOST: HostId = HostId::from_bytes([1; 16]);

    fn renewal() -> KeyRenewal {
        KeyRenewal {
            host: HOST,
            old: KeyFingerprint::from_bytes([1; 32]),
            new: KeyFingerprint::from_bytes([2; 32]),
            quarantine: true,
            now: Timestamp::from_millis(5),
        }
    }

    fn key(status: KeyStatus) -> StoredKey<i64> {
        StoredKey {
            status,
            host_no: 7,
            host: HOST,
            site: SiteId::new("hq").expect("a site"),
            is_revoked: false,
            is_quarantined: false,
        }
    }

    #[test]
    fn every_status_has_its_code() {
        for status in [KeyStatus::InUse, KeyStatus::Given, KeyStatus::Replaced] {
            assert_eq!(KeyStatus::from_code(status.code()), Some(status));
        }
        assert_eq!((KeyStatus::from_code(0), KeyStatus::from_code(4)), (None, None));
    }

    #[test]
    fn only_a_given_key_has_a_first_use_and_only_a_replaced_key_is_superseded() {
        for status in [KeyStatus::InUse, KeyStatus::Given, KeyStatus::Replaced] {
            assert_eq!(key(status).is_first_use(), status == KeyStatus::Given);
            assert_eq!(key(status).identity().superseded, status == KeyStatus::Replaced);
        }
    }

    #[test]
    fn a_new_key_is_given_unless_the_old_one_was_replaced() {
        for status in [KeyStatus::InUse, KeyStatus::Given] {
            let entry = Entry::HostRekeyed { host: HOST, quarantined: true };
            assert_eq!(renew(&renewal(), Some(key(status)), None), RenewalDecision::Give { host_no: 7, entry });
        }
        // Not even to the key that the host has now.
        for holder in [None, Some(7)] {
            let decision = renew(&renewal(), Some(key(KeyStatus::Replaced)), holder);
            assert_eq!(decision, RenewalDecision::Refuse(Renewed::OldKeySuperseded));
        }
    }

    #[test]
    fn a_repeated_renewal_adds_no_key() {
        let decision = renew(&renewal(), Some(key(KeyStatus::InUse)), Some(7));
        assert_eq!(decision, RenewalDecision::Repeated { host_no: 7 });
    }

    #[test]
    fn a_renewal_is_refused_without_the_hosts_own_valid_key() {
        let stranger = StoredKey { host: HostId::from_bytes([2; 16]), ..key(KeyStatus::InUse) };
        let revoked = StoredKey { is_revoked: true, ..key(KeyStatus::InUse) };
        for old_key in [None, Some(stranger), Some(revoked)] {
            assert_eq!(renew(&renewal(), old_key, None), RenewalDecision::Refuse(Renewed::OldKeyInvalid));
        }
        let taken = renew(&renewal(), Some(key(KeyStatus::InUse)), Some(8));
        assert_eq!(taken, RenewalDecision::Refuse(Renewed::NewKeyTaken));
    }
}
