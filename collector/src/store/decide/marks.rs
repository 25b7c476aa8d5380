//! Marks of hosts: what an action of an operator changes.

use muster_proto::model::{HostActionKind, HostMark};

/// What an action writes for one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct MarkChange {
    pub(in crate::store) added: Vec<HostMark>,
    pub(in crate::store) removed: Vec<HostMark>,
}

impl MarkChange {
    pub(in crate::store) const fn is_nothing(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// Decides an action on a host that has these marks. A mark that it has keeps its time: the first revocation counts.
pub(in crate::store) fn change(kind: HostActionKind, had: &[HostMark]) -> MarkChange {
    let (wanted, unwanted): (&[HostMark], &[HostMark]) = match kind {
        HostActionKind::Revoke => (&[HostMark::Revoked], &[]),
        HostActionKind::Release => (&[], &[HostMark::Quarantined, HostMark::Revoked]),
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
    }
}
