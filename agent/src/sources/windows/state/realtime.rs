//! Evidence of real-time protection in the registry: the settings of products that say on or off.

use muster_proto::model::RealtimeEvidence;

use crate::sources::windows::reader::Reader;

/// Keys with the value that switches protection on, each spelled as in the catalogue.
pub(in crate::sources::windows) const SWITCHES: &[(&str, &str)] = &[
    (r"HKLM\SOFTWARE\WOW6432Node\Sophos\SAVService\TamperProtection", "Enabled"),
    (r"HKLM\SOFTWARE\WOW6432Node\Symantec\Symantec Endpoint Protection\AV\Storages\Filesystem\RealTimeScan", "OnOff"),
    (r"HKLM\SOFTWARE\WOW6432Node\TrendMicro\PC-cillinNTCorp\CurrentVersion\Real Time Scan Configuration", "Enable"),
];

/// The firewall has a key for each kind of network. It is on if none of them is off.
pub(in crate::sources::windows) const FIREWALL: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\{DomainProfile,StandardProfile,PublicProfile}";
const PROFILES: &[&str] = &["DomainProfile", "StandardProfile", "PublicProfile"];

/// Every switch that could be read.
pub(in crate::sources::windows) fn evidence(reader: &mut Reader<'_>) -> Vec<RealtimeEvidence> {
    let mut found = Vec::new();
    for (place, name) in SWITCHES {
        let switch = reader.values(place).and_then(|values| values.number(name));
        found.extend(switch.map(|switch| RealtimeEvidence { place: (*place).to_owned(), on: switch == 1 }));
    }
    let start = FIREWALL.split('{').next().unwrap_or_default();
    let switches: Option<Vec<u64>> =
        PROFILES.iter().map(|profile| reader.values(&format!("{start}{profile}"))?.number("EnableFirewall")).collect();
    if let Some(switches) = switches {
        found.push(RealtimeEvidence { place: FIREWALL.to_owned(), on: switches.iter().all(|switch| *switch == 1) });
    }
    found
}
