//! Marks of hosts: what an action of an operator changes.

use muster_proto::model::{Digest, HoldersSign, HostActionKind, HostId, HostMark};

use crate::ledger::entry::Entry;

/// What an action writes for one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct MarkChange {
    pub(in crate::store) added: Vec<HostMark>,
    pub(in crate::store) removed: Vec<HostMark>,
}

impl MarkChange {
    /// Whether the host must be judged again: two holders of its key hold its lane.
    pub(in crate::store) fn is_judged(&self) -> bool {
        self.added.iter().chain(&self.removed).any(|mark| *mark == HostMark::TwoHolders)
    }

    pub(in crate::store) const fn is_nothing(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// What is recorded of a host with whose key two machines report: the hash of the reason, and the ledger entry.
pub(in crate::store) fn two_holders(host: HostId, sign: HoldersSign) -> (Digest, Entry) {
    (Digest::of(sign.text().as_bytes()), Entry::TwoHoldersFound { host, sign })
}

/// Logs what a report has shown of a host, once it is stored.
pub(in crate::store) fn log_two_holders(host: HostId, sign: HoldersSign) {
    tracing::warn!(host.id = %host, sign = sign.name(), "{}; the host is marked until it is reviewed", sign.text());
}

/// Decides an action on a host that has these marks. A mark that it has keeps its time: the first revocation counts.
pub(in crate::store) fn change(kind: HostActionKind, had: &[HostMark]) -> MarkChange {
    let (wanted, unwanted): (&[HostMark], &[HostMark]) = match kind {
        HostActionKind::Revoke => (&[HostMark::Revoked], &[]),
        HostActionKind::Release => (&[], &[HostMark::Quarantined, HostMark::Revoked, HostMark::Purged]),
        // A host that could still report would send all of it again.
        HostActionKind::Purge => (&[HostMark::Revoked, HostMark::Purged], &[]),
        HostActionKind::Review => (&[], &[HostMark::TwoHolders, HostMark::Returned]),
    };
    MarkChange {
        added: wanted.iter().filter(|mark| !had.contains(mark)).copied().collect(),
        removed: unwanted.iter().filter(|mark| had.contains(mark)).copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_revocation_and_the_first_release_change_something() {
        let revoked = change(HostActionKind::Revoke, &[HostMark::Quarantined]);
        assert_eq!((revoked.added.as_slice(), revoked.removed.as_slice()), (&[HostMark::Revoked][..], &[][..]));
        assert!(change(HostActionKind::Revoke, &[HostMark::Revoked]).is_nothing());
        let both = [HostMark::Quarantined, HostMark::Revoked];
        assert_eq!(change(HostActionKind::Release, &both), MarkChange { removed: both.to_vec(), added: Vec::new() });
        assert!(change(HostActionKind::Release, &[]).is_nothing());
        assert!(!revoked.is_judged());
        let all = [both.as_slice(), &[HostMark::TwoHolders]].concat();
        let reviewed = change(HostActionKind::Review, &all);
        assert_eq!(reviewed, MarkChange { removed: vec![HostMark::TwoHolders], added: Vec::new() });
        assert!(reviewed.is_judged() && change(HostActionKind::Review, &both).is_nothing());
        let purged = change(HostActionKind::Purge, &[HostMark::Revoked]);
        assert_eq!((purged.added.as_slice(), purged.removed.as_slice()), (&[HostMark::Purged][..], &[][..]));
    }
}
