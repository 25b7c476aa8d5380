//! One row of a list of machines.

use std::collections::BTreeSet;

use super::{Identifier, IdentifierKind, Timestamp};

/// What a list says of one machine. A text is empty if the list does not say it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct RosterRow {
    /// The host name without its domain, in lower case.
    pub name: String,
    /// The full name in the DNS, in lower case.
    pub fqdn: String,
    /// The serial number that the manufacturer gave the machine.
    pub serial: String,
    /// The UUID of the system in the firmware, in lower case.
    pub hardware_uuid: String,
    /// The addresses of network cards, in lower case.
    pub macs: Vec<String>,
    /// Whose machine it is.
    pub owner: String,
    /// The owner's address for mail.
    pub owner_email: String,
    /// The site, as the list spells it.
    pub site: String,
    /// The operating system, as the list spells it.
    pub os: String,
    /// The number that the source gave the machine.
    pub external_id: String,
    /// The object id in Entra ID.
    pub entra_object_id: String,
    /// When the source has last seen the machine.
    pub last_seen: Option<Timestamp>,
}

impl RosterRow {
    /// The identifiers of the machine.
    #[must_use]
    pub fn identifiers(&self) -> BTreeSet<Identifier> {
        let texts = [
            (IdentifierKind::Serial, &self.serial),
            (IdentifierKind::HardwareUuid, &self.hardware_uuid),
            (IdentifierKind::Fqdn, &self.fqdn),
            (IdentifierKind::Name, &self.name),
            (IdentifierKind::EntraObjectId, &self.entra_object_id),
        ];
        let macs = self.macs.iter().map(|mac| (IdentifierKind::Mac, mac));
        texts.into_iter().chain(macs).filter_map(|(kind, text)| Identifier::new(kind, text)).collect()
    }

    /// What tells the rows of one list apart: the number that the source gave the machine, else its best identifier.
    #[must_use]
    pub fn key(&self) -> String {
        let texts = [
            ("external-id", &self.external_id),
            ("entra-object-id", &self.entra_object_id),
            ("hardware-uuid", &self.hardware_uuid),
            ("serial", &self.serial),
            ("fqdn", &self.fqdn),
            ("name", &self.name),
        ];
        let texts = texts.into_iter().chain(self.macs.iter().map(|mac| ("mac", mac)));
        let first = texts.into_iter().find(|(_, text)| !text.is_empty());
        first.map(|(field, text)| format!("{field}:{}", text.to_lowercase())).unwrap_or_default()
    }

    /// What the machine is called: its name, else its first identifier.
    #[must_use]
    pub fn called(&self) -> String {
        let texts = [&self.name, &self.fqdn, &self.serial, &self.hardware_uuid].into_iter().chain(&self.macs);
        texts.into_iter().find(|text| !text.is_empty()).cloned().unwrap_or_default()
    }
}
