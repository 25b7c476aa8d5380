//! What the columns of known exports are called, as data with a source each.
//!
//! The order matters: a field takes its value from the first column in its list that has one.

use std::str::FromStr;

use muster_proto::model::RosterField::{
    self, EntraObjectId, ExternalId, Fqdn, HardwareUuid, LastSeen, Mac, Name, Os, Owner, OwnerEmail, Serial, Site,
};

/// A system whose exports are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Active Directory: `Get-ADComputer`, `csvde`.
    Ad,
    /// Microsoft Entra ID, formerly Azure Active Directory: the export of the portal, Microsoft Graph and its PowerShell.
    Entra,
    /// Microsoft Intune: the export of all devices, and Microsoft Graph.
    Intune,
    /// Microsoft Configuration Manager, formerly SCCM: views of its database, and `Get-CMDevice`.
    Sccm,
}

impl Preset {
    /// Every preset.
    pub const ALL: &'static [Self] = &[Self::Ad, Self::Entra, Self::Intune, Self::Sccm];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ad => "ad",
            Self::Entra => "entra",
            Self::Intune => "intune",
            Self::Sccm => "sccm",
        }
    }
}

impl std::fmt::Display for Preset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no preset has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown preset {name:?}; the presets are ad, entra, intune and sccm")]
pub struct UnknownPreset {
    name: String,
}

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.iter().find(|preset| preset.name() == name);
        named.copied().ok_or_else(|| UnknownPreset { name: name.to_owned() })
    }
}

/// The headers of a preset with their fields, the preferred ones first; without a preset, plain names.
pub(super) fn headers(preset: Option<Preset>) -> impl Iterator<Item = (&'static str, RosterField)> {
    let exports = match preset {
        None => PLAIN,
        Some(Preset::Ad) => AD,
        Some(Preset::Entra) => ENTRA,
        Some(Preset::Intune) => INTUNE,
        Some(Preset::Sccm) => SCCM,
    };
    exports.iter().flat_map(|export| export.headers.iter().copied())
}

/// One kind of export.
struct Export {
    /// Where its headers are documented; empty for plain names.
    #[cfg_attr(not(test), expect(dead_code, reason = "the source is for people who check the headers"))]
    source: &'static str,
    headers: &'static [(&'static str, RosterField)],
}

/// The names of the fields themselves, and what people call them.
const PLAIN: &[Export] = &[Export {
    source: "",
    headers: &[
        ("name", Name),
        ("hostname", Name),
        ("host", Name),
        ("computer name", Name),
        ("computer", Name),
        ("machine name", Name),
        ("machine", Name),
        ("device name", Name),
        ("device", Name),
        ("fqdn", Fqdn),
        ("dns host name", Fqdn),
        ("dns name", Fqdn),
        ("full name", Fqdn),
        ("serial", Serial),
        ("serial number", Serial),
        ("serial no", Serial),
        ("sn", Serial),
        ("service tag", Serial),
        ("hardware uuid", HardwareUuid),
        ("uuid", HardwareUuid),
        ("smbios guid", HardwareUuid),
        ("smbios uuid", HardwareUuid),
        ("system uuid", HardwareUuid),
        ("mac", Mac),
        ("macs", Mac),
        ("mac address", Mac),
        ("mac addresses", Mac),
        ("wifi mac", Mac),
        ("ethernet mac", Mac),
        ("owner", Owner),
        ("user", Owner),
        ("primary user", Owner),
        ("assigned to", Owner),
        ("owner email", OwnerEmail),
        ("email", OwnerEmail),
        ("email address", OwnerEmail),
        ("site", Site),
        ("location", Site),
        ("office", Site),
        ("os", Os),
        ("operating system", Os),
        ("external id", ExternalId),
        ("id", ExternalId),
        ("asset id", ExternalId),
        ("asset tag", ExternalId),
        ("entra object id", EntraObjectId),
        ("azure ad object id", EntraObjectId),
        ("last seen", LastSeen),
        ("last seen at", LastSeen),
        ("last contact", LastSeen),
        ("last check in", LastSeen),
        ("last logon", LastSeen),
    ],
}];

/// `lastLogon` is left out: each domain controller has its own, and an export has that of one of them
/// (<https://learn.microsoft.com/windows/win32/adschema/a-lastlogon>). Active Directory itself keeps no serial number
/// (<https://learn.microsoft.com/windows/win32/adschema/a-serialnumber>).
const AD: &[Export] = &[
    Export {
        source: "https://learn.microsoft.com/archive/technet-wiki/12056.active-directory-get-adcomputer-default-and-extended-properties",
        headers: &[
            ("Name", Name),
            ("CN", Name),
            ("SamAccountName", Name),
            ("DNSHostName", Fqdn),
            ("ManagedBy", Owner),
            ("Location", Site),
            ("OperatingSystem", Os),
            ("ObjectGUID", ExternalId),
            ("LastLogonDate", LastSeen),
        ],
    },
    Export {
        source: "https://learn.microsoft.com/windows/win32/adschema/a-lastlogontimestamp",
        headers: &[("lastLogonTimestamp", LastSeen)],
    },
];

/// The id of a device object (`id`, `objectId`) is not its `deviceId`, which the registration service gives it; both identify the
/// device. <https://learn.microsoft.com/graph/api/resources/device>
const ENTRA: &[Export] = &[
    Export {
        source: "https://learn.microsoft.com/entra/identity/devices/manage-device-identities",
        headers: &[
            ("displayName", Name),
            ("registeredOwners", Owner),
            ("userNames", Owner),
            ("operatingSystem", Os),
            ("deviceId", ExternalId),
            ("objectId", EntraObjectId),
            ("approximateLastSignInDateTime", LastSeen),
            // What the portal calls the same columns in its list.
            ("Device name", Name),
            ("Name", Name),
            ("Owner", Owner),
            ("OS", Os),
            ("Activity", LastSeen),
        ],
    },
    Export { source: "https://learn.microsoft.com/graph/api/resources/device", headers: &[("id", EntraObjectId)] },
    Export {
        // With `$expand=registeredOwners`.
        source: "https://learn.microsoft.com/graph/api/resources/user",
        headers: &[
            ("registeredOwners.userPrincipalName", Owner),
            ("registeredOwners.displayName", Owner),
            ("registeredOwners.mail", OwnerEmail),
        ],
    },
    Export {
        source: "https://learn.microsoft.com/powershell/module/azuread/get-azureaddevice",
        headers: &[("DeviceOSType", Os), ("ApproximateLastLogonTimeStamp", LastSeen)],
    },
];

/// The device id of Entra ID is in these exports, too (`Azure AD Device ID`, `azureADDeviceId`), but not the object id.
const INTUNE: &[Export] = &[
    Export {
        // The report `DevicesWithInventory` is what `All devices > Export` gives; the columns are those that are received.
        source: "https://learn.microsoft.com/intune/intune-service/fundamentals/reports-export-graph-available-reports",
        headers: &[
            ("Device name", Name),
            ("Serial number", Serial),
            ("Wi-Fi MAC", Mac),
            ("EthernetMAC", Mac),
            ("Primary user UPN", Owner),
            ("Primary user display name", Owner),
            ("Primary user email address", OwnerEmail),
            ("OS", Os),
            ("Device ID", ExternalId),
            ("Last check-in", LastSeen),
            // What the same reports call them if they are requested by the API.
            ("WifiMacAddress", Mac),
            ("UPN", Owner),
            ("UserName", Owner),
            ("UserEmail", OwnerEmail),
            ("LastContact", LastSeen),
            ("IntuneDeviceId", ExternalId),
        ],
    },
    Export {
        source: "https://learn.microsoft.com/graph/api/resources/intune-devices-manageddevice",
        headers: &[
            ("deviceName", Name),
            ("serialNumber", Serial),
            ("wiFiMacAddress", Mac),
            ("ethernetMacAddress", Mac),
            ("userPrincipalName", Owner),
            ("userDisplayName", Owner),
            ("emailAddress", OwnerEmail),
            ("operatingSystem", Os),
            ("id", ExternalId),
            ("lastSyncDateTime", LastSeen),
        ],
    },
];

/// A column of a view is named as the property of the class, with words parted by underscores and a `0` at its end
/// (<https://learn.microsoft.com/previous-versions/system-center/developer/hh948501(v=cmsdk.12)>). `ResourceID` is in all of them;
/// it is unique in one site.
const SCCM: &[Export] = &[
    Export {
        source: "https://learn.microsoft.com/intune/configmgr/develop/core/understand/sqlviews/discovery-views-configuration-manager",
        headers: &[
            ("Netbios_Name0", Name),
            ("Name0", Name),
            ("Resource_Names0", Fqdn),
            ("SMBIOS_GUID0", HardwareUuid),
            ("MAC_Addresses0", Mac),
            ("User_Name0", Owner),
            ("AD_Site_Name0", Site),
            ("Operating_System_Name_and0", Os),
            ("ResourceID", ExternalId),
        ],
    },
    Export {
        source: "https://learn.microsoft.com/intune/configmgr/develop/core/understand/sqlviews/hardware-inventory-views-configuration-manager",
        headers: &[("SerialNumber0", Serial), ("MACAddress0", Mac), ("Caption0", Os), ("UserName0", Owner)],
    },
    Export {
        source: "https://learn.microsoft.com/intune/configmgr/develop/core/understand/sqlviews/client-status-views-configuration-manager",
        headers: &[("LastActiveTime", LastSeen), ("LastOnline", LastSeen), ("Last_Logon_Timestamp0", LastSeen)],
    },
    Export {
        source: "https://learn.microsoft.com/intune/configmgr/develop/reference/core/clients/manage/sms_r_system-server-wmi-class",
        headers: &[
            ("NetbiosName", Name),
            ("Name", Name),
            ("ResourceNames", Fqdn),
            ("SMBIOSGUID", HardwareUuid),
            ("MACAddresses", Mac),
            ("LastLogonUserName", Owner),
            ("ADSiteName", Site),
            ("OperatingSystemNameandVersion", Os),
            ("LastLogonTimestamp", LastSeen),
        ],
    },
    Export {
        source: "https://learn.microsoft.com/powershell/module/configurationmanager/get-cmdevice",
        headers: &[
            ("PrimaryUser", Owner),
            ("LastLogonUser", Owner),
            ("SerialNumber", Serial),
            ("MACAddress", Mac),
            ("DeviceOS", Os),
            ("ADLastLogonTime", LastSeen),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::super::mapping::{Mapping, folded};
    use super::*;

    #[test]
    fn every_field_is_a_plain_header_of_itself() {
        let mapping = Mapping::default();
        for field in RosterField::ALL {
            assert_eq!(mapping.rank(*field, field.name()), Some(0), "{field}");
        }
    }

    #[test]
    fn every_header_has_one_field_and_a_source() {
        for (name, exports) in [("plain", PLAIN), ("ad", AD), ("entra", ENTRA), ("intune", INTUNE), ("sccm", SCCM)] {
            let mut seen = std::collections::BTreeMap::new();
            for (header, field) in exports.iter().flat_map(|export| export.headers) {
                if let Some(other) = seen.insert(folded(header), *field) {
                    assert_eq!(other, *field, "{name} has {header} as two fields");
                }
            }
            let is_documented = |export: &Export| export.source.starts_with("https://learn.microsoft.com/");
            assert!(name == "plain" || exports.iter().all(is_documented), "{name}");
            assert!(seen.values().any(|field| field.names_a_machine()), "{name}");
        }
    }

    #[test]
    fn the_device_id_of_entra_is_not_its_object_id() {
        let rank = |preset, field, column| Mapping { preset: Some(preset), ..Mapping::default() }.rank(field, column);
        for (column, field) in [
            ("deviceId", ExternalId),
            ("Device ID", ExternalId),
            ("objectId", EntraObjectId),
            ("Object ID", EntraObjectId),
        ] {
            assert!(rank(Preset::Entra, field, column).is_some(), "{column}");
        }
        assert_eq!(rank(Preset::Entra, EntraObjectId, "deviceId"), None);
        for column in ["Azure AD Device ID", "azureADDeviceId", "Microsoft Entra device ID", "ReferenceId"] {
            assert_eq!(rank(Preset::Intune, EntraObjectId, column), None, "{column}");
            assert_eq!(rank(Preset::Intune, ExternalId, column), None, "{column}");
        }
    }

    #[test]
    fn a_preset_is_found_by_its_name() {
        for preset in Preset::ALL {
            assert_eq!(preset.name().parse(), Ok(*preset));
        }
        let unknown = "jamf".parse::<Preset>().expect_err("unknown");
        assert_eq!(unknown.to_string(), "unknown preset \"jamf\"; the presets are ad, entra, intune and sccm");
    }
}
