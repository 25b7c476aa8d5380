//! What people say of hosts, and changes of many hosts, to wire and back.

use super::{ConvertError, code, id, instant};
use crate::model::{AccountId, BulkKind, BulkReport, HostLabel, HostNote, HostOwner, Label, Timestamp};
use crate::wire;

impl From<HostLabel> for wire::HostLabel {
    fn from(label: HostLabel) -> Self {
        Self { label: label.label.to_string(), since_ms: label.since.millis() }
    }
}

impl TryFrom<wire::HostLabel> for HostLabel {
    type Error = ConvertError;
    fn try_from(label: wire::HostLabel) -> Result<Self, ConvertError> {
        let since = Timestamp::from_millis(label.since_ms);
        Ok(Self { label: id("HostLabel.label", Label::new(label.label))?, since })
    }
}

impl From<HostOwner> for wire::HostOwner {
    fn from(owner: HostOwner) -> Self {
        Self { owner: owner.owner, since_ms: owner.since.millis() }
    }
}

impl From<wire::HostOwner> for HostOwner {
    fn from(owner: wire::HostOwner) -> Self {
        Self { owner: owner.owner, since: Timestamp::from_millis(owner.since_ms) }
    }
}

impl From<HostNote> for wire::HostNote {
    fn from(note: HostNote) -> Self {
        Self { at_ms: note.at.millis(), by: note.by, text: note.text }
    }
}

impl From<wire::HostNote> for HostNote {
    fn from(note: wire::HostNote) -> Self {
        Self { at: Timestamp::from_millis(note.at_ms), by: note.by, text: note.text }
    }
}

impl From<BulkReport> for wire::BulkChange {
    fn from(bulk: BulkReport) -> Self {
        Self {
            number: bulk.number,
            change: u32::from(bulk.kind.code()),
            value: bulk.value,
            account: bulk.account.as_ref().map(AccountId::to_string).unwrap_or_default(),
            asked_ms: bulk.asked_at.millis(),
            ended_ms: bulk.ended_at.map(Timestamp::millis),
            hosts: bulk.hosts,
            done: bulk.done,
            changed: bulk.changed,
            refused: bulk.refused,
        }
    }
}

impl TryFrom<wire::BulkChange> for BulkReport {
    type Error = ConvertError;
    fn try_from(bulk: wire::BulkChange) -> Result<Self, ConvertError> {
        let account = Some(bulk.account).filter(|account| !account.is_empty());
        Ok(Self {
            number: bulk.number,
            kind: code("BulkChange.change", bulk.change, BulkKind::from_code)?,
            value: bulk.value,
            account: account.map(|account| id("BulkChange.account", AccountId::new(account))).transpose()?,
            asked_at: Timestamp::from_millis(bulk.asked_ms),
            ended_at: instant(bulk.ended_ms),
            hosts: bulk.hosts,
            done: bulk.done,
            changed: bulk.changed,
            refused: bulk.refused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_many_hosts_comes_back_as_it_was() {
        let bulk = BulkReport {
            number: 7,
            kind: BulkKind::Move,
            value: "lab".to_owned(),
            account: None,
            asked_at: Timestamp::from_millis(1),
            ended_at: Some(Timestamp::from_millis(2)),
            hosts: 5,
            done: 4,
            changed: 3,
            refused: 1,
        };
        assert_eq!(BulkReport::try_from(wire::BulkChange::from(bulk.clone())).expect("valid"), bulk);
        let unknown = wire::BulkChange { change: 99, ..bulk.into() };
        assert!(BulkReport::try_from(unknown).is_err());
    }
}
