//! Versions and dates of signatures, where products write them in the registry and in files.

use muster_proto::model::SignatureState;

use crate::sources::parse::signatures::{Release, of_definfo};
use crate::sources::parse::windows::signatures as parse;
use crate::sources::parse::windows::text;
use crate::sources::windows::reader::{Reader, Values};

/// Reads what the values of a key say.
type OfValues = fn(&Values) -> Option<Release>;
/// Reads what the text of a file says.
type OfText = fn(&str) -> Option<Release>;

/// Limit of a file. Real ones have a tenth of this.
const FILE_BYTES: usize = 1024 * 1024;

/// Keys, each spelled as in the catalogue.
pub(in crate::sources::windows) const KEYS: &[(&str, OfValues)] = &[
    (r"HKLM\SOFTWARE\Microsoft\Windows Defender\Signature Updates", of_microsoft),
    (r"HKLM\SOFTWARE\Microsoft\Microsoft Antimalware\Signature Updates", of_microsoft),
    (r"HKLM\SOFTWARE\ESET\ESET Security\CurrentVersion\Info", |values| parse::of_eset(&values.text("ScannerVersion")?)),
    (r"HKLM\SOFTWARE\WOW6432Node\Avg\Avg2013", |values| parse::of_date_text(&values.text("Protection_BasesDate")?)),
    (r"HKLM\SOFTWARE\WOW6432Node\Avira\Antivirus", |values| parse::of_version(&values.text("VdfVersion")?)),
    (r"HKLM\SOFTWARE\Sophos\EndpointDefense\Acknowledged", |values| {
        parse::of_dated_digits(&values.text("VirusDataVersion")?)
    }),
    (r"HKLM\SOFTWARE\WOW6432Node\Sophos\AutoUpdate\UpdateStatus", |values| {
        let time = i64::try_from(values.number("LastUpdateTime")?).ok()?;
        parse::of_epoch(time)
    }),
    (r"HKLM\SOFTWARE\WOW6432Node\Symantec\Symantec Endpoint Protection\CurrentVersion\public-opstate", |values| {
        parse::of_date_text(&values.text("LatestVirusDefsDate")?)
    }),
    (r"HKLM\SOFTWARE\McAfee\AVEngine", of_mcafee),
    (r"HKLM\SOFTWARE\WOW6432Node\TrendMicro\PC-cillinNTCorp\CurrentVersion\Misc.", |values| {
        parse::of_trend_pattern(values.number("InternalNonCrcPatternVer")?)
    }),
    (r"HKLM\SOFTWARE\WOW6432Node\TrendMicro\PC-cillinNTCorp\CurrentVersion\UpdateInfo", |values| {
        let text = values.text("LastUpdate").or_else(|| values.number("LastUpdate").map(|time| time.to_string()))?;
        parse::of_date_text(&text).or_else(|| parse::of_epoch(text.parse().ok()?))
    }),
    (r"HKLM\SOFTWARE\TrendMicro\AMSP", |values| parse::of_epoch(i64::try_from(values.number("InstallTime")?).ok()?)),
];

/// Keys with one key below them for each release or engine.
pub(super) const ULTRALIGHT: &str = r"HKLM\SOFTWARE\F-Secure\Ultralight\Updates";
pub(in crate::sources::windows) const ULTRALIGHT_VERSION: &str =
    r"HKLM\SOFTWARE\F-Secure\Ultralight\Updates\aquarius\*";
pub(in crate::sources::windows) const ULTRALIGHT_TIME: &str =
    r"HKLM\SOFTWARE\F-Secure\Ultralight\updates\{engine}\{epoch}";

/// Files, each spelled as in the catalogue.
pub(in crate::sources::windows) const FILES: &[(&str, OfText)] = &[
    (r"%ProgramFiles%\Avast Software\Avast\defs\aswdefs.ini", parse::of_aswdefs),
    (r"%ProgramFiles%\AVG\Antivirus\defs\aswdefs.ini", parse::of_aswdefs),
    (r"%ProgramFiles%\Bitdefender\Endpoint Security\update_statistics.xml", parse::of_update_statistics),
    (r"%ProgramData%\Malwarebytes\MBAMService\config\UpdateControllerConfig.json", parse::of_malwarebytes),
    (
        r"%ProgramData%\Symantec\Symantec Endpoint Protection\CurrentVersion\Data\Definitions\SDSDefs\definfo.dat",
        of_definfo,
    ),
    (
        r"%ProgramData%\Symantec\Symantec Endpoint Protection\CurrentVersion\Data\Definitions\VirusDefs\definfo.dat",
        of_definfo,
    ),
    (r"%ProgramFiles(x86)%\Trend Micro\Security Agent\ofcscan.ini", parse::of_ofcscan),
    (r"%ProgramFiles%\VIPRE Business Agent\Definitions\DefVer.txt", parse::of_vipre),
];

/// Norton's data folder is in the registry, below a key for each product.
pub(in crate::sources::windows) const NORTON: &str =
    r"{DATADIR from Common Client\PathExpansionMap}\Definitions\SDSDefs\definfo.dat";

/// Every signature database that could be read.
pub(in crate::sources::windows) fn signatures(reader: &mut Reader<'_>) -> Vec<SignatureState> {
    let mut found = Vec::new();
    let mut add = |place: &str, release: Option<Release>| {
        found.extend(release.map(|Release { version, released }| SignatureState {
            place: place.to_owned(),
            version,
            released,
        }));
    };
    for (place, of) in KEYS {
        add(place, reader.values(place).and_then(|values| of(&values)));
    }
    for (place, of) in FILES {
        add(place, file(reader, place).and_then(|text| of(&text)));
    }
    let (version, time) = ultralight(reader);
    add(ULTRALIGHT_VERSION, version);
    add(ULTRALIGHT_TIME, time);
    for folder in norton(reader) {
        add(
            NORTON,
            file(reader, &format!("{folder}\\Definitions\\SDSDefs\\definfo.dat")).and_then(|text| of_definfo(&text)),
        );
    }
    found
}

/// The text of the first file that a path means.
fn file(reader: &mut Reader<'_>, path: &str) -> Option<String> {
    let folders = crate::sources::parse::windows::image_path::of_folder(path, &reader.folders);
    folders.iter().find_map(|place| reader.read(place.text(), FILE_BYTES)).map(|bytes| text::file(&bytes))
}

fn of_microsoft(values: &Values) -> Option<Release> {
    let version = values.text("AVSignatureVersion").unwrap_or_default();
    let released = values.get("SignaturesLastUpdated").and_then(|value| parse::of_filetime(&value.data));
    (!version.is_empty() || released.is_some()).then_some(Release { version, released })
}

fn of_mcafee(values: &Values) -> Option<Release> {
    let (major, minor) = (values.number("AVDatVersion")?, values.number("AVDatVersionMinor").unwrap_or(0));
    let released = values.text("AVDatDate").and_then(|text| parse::of_date_text(&text)).and_then(|it| it.released);
    Some(Release { version: format!("{major:04}.{minor:04}"), released })
}

/// The newest version of the engine, and the newest time of any engine, which is the name of a key.
fn ultralight(reader: &mut Reader<'_>) -> (Option<Release>, Option<Release>) {
    let (mut version, mut newest) = (None, None);
    for engine in reader.keys(ULTRALIGHT).unwrap_or_default() {
        let key = format!("{ULTRALIGHT}\\{engine}");
        for time in reader.keys(&key).unwrap_or_default() {
            if let Ok(seconds) = time.parse::<i64>() {
                newest = newest.max(Some(seconds));
            }
            if engine.eq_ignore_ascii_case("aquarius") {
                let text = reader.text(&format!("{key}\\{time}"), "file_set_visible_version");
                version = version.max(text);
            }
        }
    }
    (version.and_then(|text| parse::of_date_and_serial(&text)), newest.and_then(parse::of_epoch))
}

fn norton(reader: &mut Reader<'_>) -> Vec<String> {
    let mut folders = Vec::new();
    for top in [r"HKLM\SOFTWARE\Norton", r"HKLM\SOFTWARE\WOW6432Node\Norton"] {
        for product in reader.keys(top).unwrap_or_default() {
            folders.extend(reader.text(&format!("{top}\\{product}\\Common Client\\PathExpansionMap"), "DATADIR"));
        }
    }
    folders
}
