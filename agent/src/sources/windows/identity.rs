//! What identifies a Windows machine beyond its name: the firmware's tables, which Windows keeps in the registry, its names on the
//! network, and the network cards of the running system.

use std::collections::BTreeSet;

use muster_proto::model::MachineIdentity;

use super::reader::Reader;
use crate::sources::ScanContext;
use crate::sources::parse::{mac, smbios};
use crate::sources::record::Part;
use crate::sources::registry::folded;

/// The tables of the firmware, as the driver `mssmbios` has read them at the last start.
const FIRMWARE: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\mssmbios\Data";
/// The names of the machine: those that begin with `NV` are set, the others in use.
const NAMES: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters";
/// Network adapters. <https://learn.microsoft.com/windows-hardware/drivers/install/system-defined-device-setup-classes-available-to-vendors>
const ADAPTERS: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e972-e325-11ce-bfc1-08002be10318}";
/// `NCF_PHYSICAL`: the adapter is hardware.
/// <https://learn.microsoft.com/windows-hardware/drivers/network/netcfgclass-network-component-characteristics>
const PHYSICAL: u64 = 4;

/// A network adapter of the running system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Adapter {
    /// Its id: `{…}`.
    pub(super) id: String,
    pub(super) address: Vec<u8>,
}

pub(super) const IDENTITY: &[Part] = &[Part {
    what: "what identifies the machine",
    read: |context| {
        let identity = of_machine(context);
        Box::new(move |record| record.facts.identity = identity)
    },
    unread: |_| {},
}];

fn of_machine(context: &ScanContext) -> MachineIdentity {
    let Ok(registry) = &context.registry else { return MachineIdentity::default() };
    let adapters = if context.root.is_running_system() { adapters() } else { Vec::new() };
    identity(&mut Reader::new(registry.as_ref(), &context.root), &adapters)
}

pub(super) fn identity(reader: &mut Reader<'_>, adapters: &[Adapter]) -> MachineIdentity {
    let firmware = reader.values(FIRMWARE).unwrap_or_default();
    let firmware = firmware.get("SMBiosData").map(|value| smbios::of_windows(&value.data)).unwrap_or_default();
    let names = reader.values(NAMES).unwrap_or_default();
    let name = |set: &str, used: &str| names.text(set).or_else(|| names.text(used)).unwrap_or_default();
    let (hostname, domain) = (name("NV Hostname", "Hostname"), name("NV Domain", "Domain").to_lowercase());
    let fqdn = if hostname.is_empty() || domain.is_empty() { String::new() } else { format!("{hostname}.{domain}") };
    let physical = physical_adapters(reader);
    let cards = adapters.iter().filter(|adapter| physical.contains(&folded(&adapter.id)));
    MachineIdentity {
        serial: firmware.serial,
        hardware_uuid: firmware.uuid,
        asset_tag: firmware.asset_tag,
        chassis: firmware.chassis.to_owned(),
        macs: cards.filter_map(|adapter| mac::of_bytes(&adapter.address)).collect(),
        fqdn: fqdn.to_lowercase(),
        domain,
    }
}

/// The ids of adapters that are hardware.
fn physical_adapters(reader: &mut Reader<'_>) -> BTreeSet<String> {
    let mut physical = BTreeSet::new();
    for key in reader.keys(ADAPTERS).unwrap_or_default() {
        let Some(values) = reader.values(&format!(r"{ADAPTERS}\{key}")) else { continue };
        if values.number("Characteristics").is_some_and(|flags| flags & PHYSICAL != 0) {
            physical.extend(values.text("NetCfgInstanceId").map(|id| folded(&id)));
        }
    }
    physical
}

#[cfg(windows)]
fn adapters() -> Vec<Adapter> {
    super::live::network::adapters().into_iter().map(|(id, address)| Adapter { id, address }).collect()
}

#[cfg(not(windows))]
const fn adapters() -> Vec<Adapter> {
    Vec::new()
}
