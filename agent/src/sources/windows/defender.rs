//! `defender`: what the settings of Microsoft Defender say. Whether it runs is known to the running system only, so what is read
//! here is never complete.

use muster_proto::model::{Kind, Observation, SourceName};

use super::machine;
use super::reader::Reader;
use crate::sources::{ScanContext, Source, SourceReading};

const SETTINGS: &str = r"HKLM\SOFTWARE\Microsoft\Windows Defender";
const POLICIES: &str = r"HKLM\SOFTWARE\Policies\Microsoft\Windows Defender";
const ENDPOINT: &str = r"HKLM\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection";
/// The settings that switch something off, each with its key and the attribute that shows it.
const SWITCHES: &[(&str, &str, &str, &str)] = &[
    (SETTINGS, "", "DisableAntiSpyware", "disabled"),
    (SETTINGS, "", "DisableAntiVirus", "disabled"),
    (SETTINGS, "\\Real-Time Protection", "DisableRealtimeMonitoring", "realtime_disabled"),
    (POLICIES, "", "DisableAntiSpyware", "disabled_by_policy"),
    (POLICIES, "\\Real-Time Protection", "DisableRealtimeMonitoring", "realtime_disabled_by_policy"),
    (ENDPOINT, "", "ForceDefenderPassiveMode", "passive_by_policy"),
];

pub(super) struct Defender;

impl Source for Defender {
    fn name(&self) -> SourceName {
        SourceName::Defender
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, defender)
    }
}

pub(super) fn defender(mut reader: Reader<'_>) -> SourceReading {
    if reader.keys(SETTINGS).is_none() {
        return reader.finish("this Windows has no Microsoft Defender");
    }
    let mut row = Observation::new(Kind::Wsc, "Microsoft Defender Antivirus");
    row.vendor = "Microsoft Corporation".to_owned();
    row.path = reader.text(SETTINGS, "InstallLocation").map(without_version).unwrap_or_default();
    for (key, below, name, attribute) in SWITCHES {
        let values = reader.values(&format!("{key}{below}")).unwrap_or_default();
        if values.is_set(name) {
            row.attributes.insert((*attribute).to_owned(), "yes".to_owned());
        }
    }
    if row.attributes.contains_key("passive_by_policy") {
        // The word that Defender itself reports.
        row.state = "Passive Mode".to_owned();
    }
    reader
        .builder
        .problem("only the settings were read: whether Microsoft Defender runs is known to the running system only");
    reader.add(SETTINGS, row);
    reader.finish("")
}

/// Defender moves to a new folder with every update, and the section must not change with it.
fn without_version(folder: String) -> String {
    let folder = folder.trim_end_matches('\\');
    match folder.rsplit_once("\\Platform\\") {
        Some((start, _)) => format!("{start}\\Platform"),
        None => folder.to_owned(),
    }
}
