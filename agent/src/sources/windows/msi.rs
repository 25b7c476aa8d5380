//! `msi`: the products of Windows Installer. Its own interface is not asked: listing products there can start repairs.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{Kind, Observation, ReportedState, SourceName};

use super::machine;
use super::reader::Reader;
use crate::sources::parse::windows::product_code::unpack;
use crate::sources::{HomeItem, ScanContext, Source, SourceReading};

const INSTALLER: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Installer";
/// Products of the machine, and the account under which they are listed.
const ADVERTISED: &str = r"HKLM\SOFTWARE\Classes\Installer\Products";
const MACHINE: &str = "S-1-5-18";

pub(super) struct Msi;

impl Source for Msi {
    fn name(&self) -> SourceName {
        SourceName::Msi
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, msi)
    }
}

pub(super) fn msi(mut reader: Reader<'_>) -> SourceReading {
    let for_rows = reader.budget.set_aside();
    let upgrades = upgrade_codes(&mut reader);
    reader.budget.kept_bytes += for_rows;
    let mut known: BTreeSet<(String, bool)> = BTreeSet::new();
    // Products of which only the code is left here; the lists below may have their names.
    let mut unnamed: BTreeSet<(String, bool)> = BTreeSet::new();
    let mut rows = Vec::new();
    let owners = reader.keys(&format!("{INSTALLER}\\UserData"));
    reader.builder.places_found += usize::from(owners.is_some());
    for owner in owners.unwrap_or_default() {
        let key = format!("{INSTALLER}\\UserData\\{owner}\\Products");
        let is_machine = owner == MACHINE;
        for packed in reader.keys(&key).unwrap_or_default() {
            let Some(code) = unpack(&packed) else { continue };
            let row = installed(&mut reader, &format!("{key}\\{packed}\\InstallProperties"), &code, is_machine);
            let Some(mut row) = row else {
                if !reader.keep_text(code.len()) {
                    break;
                }
                unnamed.insert((code, is_machine));
                continue;
            };
            if !reader.keep(&mut row) {
                break;
            }
            known.insert((code, is_machine));
            rows.push(row);
        }
    }
    let advertised = std::iter::once((ADVERTISED.to_owned(), None));
    let users = reader.users();
    let of_users =
        users.iter().map(|user| (format!("{}\\Software\\Microsoft\\Installer\\Products", user.key), Some(user)));
    for (key, user) in advertised.chain(of_users) {
        for packed in reader.keys(&key).unwrap_or_default() {
            let Some(code) = unpack(&packed) else { continue };
            if let Some(user) = user.filter(|user| reader.keep_text(user.profile.len() + code.len())) {
                let place = format!("msi:{code}");
                reader.builder.add_home_item(HomeItem { home: user.profile.clone(), place, watched: false });
            }
            if known.contains(&(code.clone(), user.is_none())) {
                continue;
            }
            let Some(values) = reader.values(&format!("{key}\\{packed}")) else { continue };
            let name = values.text("ProductName").unwrap_or_else(|| code.clone());
            let version = values.number("Version").map(version).unwrap_or_default();
            unnamed.remove(&(code.clone(), user.is_none()));
            let mut row = product(name, version, &code, user.is_none());
            if !reader.keep(&mut row) {
                break;
            }
            rows.push(row);
        }
    }
    for (code, is_machine) in unnamed {
        let mut row = product(code.clone(), String::new(), &code, is_machine);
        if !reader.keep(&mut row) {
            break;
        }
        rows.push(row);
    }
    for mut row in rows {
        if let Some(upgrade) = upgrades.get(&row.id) {
            row.attributes.insert("upgrade_code".to_owned(), upgrade.clone());
        }
        reader.builder.add(INSTALLER, row);
    }
    reader.finish("Windows Installer has no products")
}

fn installed(reader: &mut Reader<'_>, key: &str, code: &str, is_machine: bool) -> Option<Observation> {
    let values = reader.values(key)?;
    let name = values.text("DisplayName").unwrap_or_else(|| code.to_owned());
    let version = values.text("DisplayVersion").unwrap_or_default();
    let mut row = product(name, version, code, is_machine);
    row.vendor = values.text("Publisher").unwrap_or_default();
    if let Some(folder) = values.text("InstallLocation") {
        if reader.is_missing_folder(&folder) {
            row.set_state(ReportedState::Missing);
        }
        row.path = folder;
    }
    Some(row)
}

fn product(name: String, version: String, code: &str, is_machine: bool) -> Observation {
    let mut row = Observation::new(Kind::Msi, name);
    row.version = version;
    code.clone_into(&mut row.id);
    row.attributes.insert("scope".to_owned(), if is_machine { "machine" } else { "user" }.to_owned());
    row
}

/// Two bytes, one of them each for major and minor, and two for the build.
fn version(number: u64) -> String {
    format!("{}.{}.{}", number >> 24 & 0xff, number >> 16 & 0xff, number & 0xffff)
}

/// The upgrade code of each product. A product that is named only here is not installed: vendors list the products of others
/// that theirs replaces.
fn upgrade_codes(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let key = format!("{INSTALLER}\\UpgradeCodes");
    let mut codes = BTreeMap::new();
    for packed in reader.keys(&key).unwrap_or_default() {
        let Some(upgrade) = unpack(&packed) else { continue };
        let values = reader.values(&format!("{key}\\{packed}")).unwrap_or_default();
        for product in values.0.iter().filter_map(|value| unpack(&value.name)) {
            if !reader.keep_text(product.len() + upgrade.len()) {
                return codes;
            }
            codes.insert(product, upgrade.clone());
        }
    }
    codes
}
