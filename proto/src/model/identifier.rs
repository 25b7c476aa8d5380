//! Identifiers: what a machine is recognised by in other lists, in the one spelling in which two of them are compared.

use std::collections::BTreeSet;

use super::closed_list::closed_list;
use super::{HostFacts, MachineIdentity};
use crate::limits;

closed_list! {
    /// What kind of identifier a text is.
    IdentifierKind {
        /// The serial number that the manufacturer gave the machine.
        Serial = 1, "serial";
        /// The UUID of the system in the firmware.
        HardwareUuid = 2, "hardware-uuid";
        /// The address of a physical network card.
        Mac = 3, "mac";
        /// The full name in the DNS.
        Fqdn = 4, "fqdn";
        /// The host name, without its domain.
        Name = 5, "name";
        /// The number that the owner gave the machine.
        AssetTag = 6, "asset-tag";
        /// The object id of the machine in Entra ID. Lists have it, hosts do not.
        EntraObjectId = 7, "entra-object-id";
    }
}

impl IdentifierKind {
    /// Whether one machine only can have it, so that it alone recognises the machine.
    #[must_use]
    pub const fn is_certain(self) -> bool {
        matches!(self, Self::Serial | Self::HardwareUuid)
    }

    /// The spelling in which identifiers of this kind are compared; `None` if the text cannot be one.
    #[must_use]
    pub fn spelled(self, text: &str) -> Option<String> {
        let text = text.trim().to_lowercase();
        let spelled = match self {
            Self::Serial | Self::AssetTag => Some(text),
            Self::HardwareUuid | Self::EntraObjectId => uuid(&text),
            Self::Mac => mac(&text),
            Self::Fqdn => Some(text.trim_end_matches('.').to_owned()).filter(|name| name.contains('.')),
            Self::Name => text.split('.').next().map(ToOwned::to_owned),
        };
        spelled.filter(|text| !text.is_empty() && text.len() <= limits::HOSTNAME_BYTES)
    }
}

/// One identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier {
    /// What kind of identifier it is.
    pub kind: IdentifierKind,
    /// Its value, as [`IdentifierKind::spelled`] spells it.
    pub value: String,
}

impl Identifier {
    /// An identifier in its compared spelling; `None` if the text cannot be one of this kind.
    #[must_use]
    pub fn new(kind: IdentifierKind, text: &str) -> Option<Self> {
        kind.spelled(text).map(|value| Self { kind, value })
    }

    /// The same UUID with its first three groups in the other byte order; `None` for other kinds. Firmware before SMBIOS 2.6 wrote
    /// them in network order, and tools disagree about which firmware did (DMTF DSP0134, 7.2.1 "System UUID").
    #[must_use]
    pub fn swapped(&self) -> Option<Self> {
        if self.kind != IdentifierKind::HardwareUuid {
            return None;
        }
        let swapped = |group: &str| -> String {
            let bytes: Vec<&str> = (0..group.len() / 2).rev().filter_map(|at| group.get(2 * at..2 * at + 2)).collect();
            bytes.concat()
        };
        let mut groups = self.value.split('-').map(ToOwned::to_owned).collect::<Vec<String>>();
        groups.iter_mut().take(3).for_each(|group| *group = swapped(group));
        Some(Self { kind: self.kind, value: groups.join("-") })
    }
}

impl std::fmt::Display for Identifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.value)
    }
}

impl HostFacts {
    /// The identifiers of the machine.
    #[must_use]
    pub fn identifiers(&self) -> BTreeSet<Identifier> {
        let MachineIdentity { serial, hardware_uuid, asset_tag, macs, fqdn, domain: _, chassis: _ } = &self.identity;
        let texts = [
            (IdentifierKind::Serial, serial),
            (IdentifierKind::HardwareUuid, hardware_uuid),
            (IdentifierKind::AssetTag, asset_tag),
            (IdentifierKind::Fqdn, fqdn),
            // An agent that sends no identity may still name the machine in full.
            (IdentifierKind::Fqdn, &self.hostname),
            (IdentifierKind::Name, &self.hostname),
        ];
        let macs = macs.iter().map(|mac| (IdentifierKind::Mac, mac));
        texts.into_iter().chain(macs).filter_map(|(kind, text)| Identifier::new(kind, text)).collect()
    }
}

/// `4c4c4544-0042-3510-8056-b4c04f4e4d31` from a UUID in lower case with or without braces and hyphens.
fn uuid(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, '{' | '}' | '-')).collect();
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let group = |from: usize, to: usize| digits.get(from..to);
    let groups = [group(0, 8)?, group(8, 12)?, group(12, 16)?, group(16, 20)?, group(20, 32)?];
    Some(groups.join("-"))
}

/// `00:1b:63:84:45:e6` from an address in lower case with any of the usual separators or none.
fn mac(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
    if digits.len() != 12 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let bytes: Vec<&str> = (0..6).filter_map(|at| digits.get(2 * at..2 * at + 2)).collect();
    Some(bytes.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Platform;

    #[test]
    fn spellings_of_one_identifier_are_equal() {
        let same = |kind: IdentifierKind, texts: &[&str]| {
            let spelled: BTreeSet<_> = texts.iter().map(|text| kind.spelled(text)).collect();
            assert!(spelled.len() == 1 && !spelled.contains(&None), "{kind}: {spelled:?}");
        };
        same(IdentifierKind::Serial, &["5CG9120ABC", " 5cg9120abc "]);
        same(
            IdentifierKind::HardwareUuid,
            &[
                "4C4C4544-0042-3510-8056-B4C04F4E4D31",
                "{4c4c4544-0042-3510-8056-b4c04f4e4d31}",
                "4c4c4544004235108056b4c04f4e4d31",
            ],
        );
        same(IdentifierKind::Mac, &["00:1B:63:84:45:E6", "00-1b-63-84-45-e6", "001b.6384.45e6", "001B638445E6"]);
        same(IdentifierKind::Fqdn, &["PC-17.example.org", "pc-17.example.org."]);
        same(IdentifierKind::Name, &["PC-17", "pc-17.example.org"]);
    }

    #[test]
    fn what_is_no_identifier_of_a_kind_has_no_spelling() {
        for (kind, text) in [
            (IdentifierKind::Serial, "  "),
            (IdentifierKind::HardwareUuid, "4c4c4544-0042"),
            (IdentifierKind::HardwareUuid, "4c4c4544-0042-3510-8056-b4c04f4e4dxx"),
            (IdentifierKind::Mac, "00:1b:63:84:45"),
            (IdentifierKind::Fqdn, "pc-17"),
            (IdentifierKind::Name, ".example.org"),
        ] {
            assert_eq!(kind.spelled(text), None, "{kind} {text:?}");
        }
    }

    #[test]
    fn a_uuid_in_the_other_byte_order_is_known() {
        let uuid =
            Identifier::new(IdentifierKind::HardwareUuid, "33221100-5544-7766-8899-aabbccddeeff").expect("valid");
        let swapped = uuid.swapped().expect("a UUID");
        assert_eq!(swapped.value, "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(swapped.swapped(), Some(uuid));
        assert_eq!(Identifier::new(IdentifierKind::Serial, "x").expect("valid").swapped(), None);
    }

    #[test]
    fn a_host_has_its_name_and_all_that_it_reports() {
        let facts = HostFacts {
            hostname: "PC-17.example.org".to_owned(),
            platform: Platform::Windows,
            os_name: String::new(),
            kernel: String::new(),
            architecture: String::new(),
            agent_version: String::new(),
            offline_root: false,
            identity: MachineIdentity {
                serial: "5CG9120ABC".to_owned(),
                macs: vec!["00:1b:63:84:45:e6".to_owned()],
                ..MachineIdentity::default()
            },
        };
        let texts: Vec<String> = facts.identifiers().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["serial 5cg9120abc", "mac 00:1b:63:84:45:e6", "fqdn pc-17.example.org", "name pc-17"]);
    }
}
