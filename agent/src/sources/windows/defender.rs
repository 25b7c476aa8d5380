//! `defender`: Microsoft Defender, as it says itself and as its settings say. The settings are read whether or not it answers:
//! they show what is switched off, but not whether Defender runs.

use muster_proto::model::{Kind, Observation, Outcome, SourceName};

use super::machine;
use super::reader::Reader;
use crate::sources::parse::windows::defender_status::{DefenderStatus, PROPERTIES};
use crate::sources::parse::windows::wmi::{Answer, WmiError};
use crate::sources::wmi::{Question, Wmi};
use crate::sources::{ScanContext, Source, SourceReading};

/// Also the place of its evidence and its signatures in the catalogue.
pub(super) const STATUS: Question =
    Question { class: r"root\Microsoft\Windows\Defender:MSFT_MpComputerStatus", properties: PROPERTIES };

const SETTINGS: &str = r"HKLM\SOFTWARE\Microsoft\Windows Defender";
const POLICIES: &str = r"HKLM\SOFTWARE\Policies\Microsoft\Windows Defender";
const ENDPOINT: &str = r"HKLM\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection";
const SERVICE: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\WinDefend";
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
        machine::read(context, |reader| defender(reader, &context.wmi))
    }
}

/// What Defender says; `None` if it cannot be asked.
pub(super) fn status(wmi: &Wmi) -> Option<Result<DefenderStatus, WmiError>> {
    Some(match wmi.ask(&STATUS)? {
        Answer::Rows(rows) => match rows.first() {
            Some(row) => Ok(DefenderStatus::of(row)),
            None => Err(WmiError::Failed("there is no row".to_owned())),
        },
        Answer::Error(error) => Err(error),
    })
}

pub(super) fn defender(mut reader: Reader<'_>, wmi: &Wmi) -> SourceReading {
    let has_settings = reader.keys(SETTINGS).is_some();
    let status = status(wmi);
    let is_absent = matches!(status, None | Some(Err(WmiError::Absent)));
    // A server without the feature keeps some of the settings.
    let is_removed = matches!(status, Some(Err(WmiError::Absent))) && reader.keys(SERVICE).is_none();
    if (is_absent && !has_settings) || (is_removed && !reader.builder.has_problem()) {
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
    let mut outcome = None;
    let is_shown = has_settings || matches!(status, Some(Ok(_)));
    match status {
        Some(Ok(DefenderStatus { mode, .. })) if !mode.is_empty() => row.state = mode,
        Some(Ok(_)) => {}
        Some(Err(error)) => {
            reader.builder.problem(format!("only the settings were read: cannot ask {}: {error}", STATUS.class));
            outcome = Some(error.outcome()).filter(|outcome| *outcome == Outcome::TimedOut);
        }
        None => reader.builder.problem(
            "only the settings were read: whether Microsoft Defender runs is known to the running system only",
        ),
    }
    if is_shown {
        reader.add(SETTINGS, row);
    }
    let reading = reader.finish("");
    // What the settings say is kept, but the advice is that for a question that hangs.
    SourceReading { outcome: outcome.unwrap_or(reading.outcome), ..reading }
}

/// Defender moves to a new folder with every update, and the section must not change with it.
fn without_version(folder: String) -> String {
    let folder = folder.trim_end_matches('\\');
    match folder.rsplit_once("\\Platform\\") {
        Some((start, _)) => format!("{start}\\Platform"),
        None => folder.to_owned(),
    }
}
