//! `appx`: MSIX and Store packages, for all users and for single ones, and what their folder contains.

use std::collections::BTreeMap;

use muster_proto::model::{Kind, Observation, ReportedState, SourceName};

use super::machine;
use super::reader::Reader;
use crate::sources::parse::windows::msix;
use crate::sources::{HomeItem, ScanContext, Source, SourceReading};

const STORE: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore";
const OF_USER: &str = r"Local Settings\Software\Microsoft\Windows\CurrentVersion\AppModel\Repository\Packages";

pub(super) struct Appx;

impl Source for Appx {
    fn name(&self) -> SourceName {
        SourceName::Appx
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, appx)
    }
}

/// Where a package was seen.
#[derive(Default)]
struct Package {
    display_name: String,
    /// `all-users`, `user`, or empty if only the folder is there.
    registered: &'static str,
    has_folder: bool,
    /// The folder in which a user's registration has it. It may be on another volume.
    root_folder: Option<String>,
}

pub(super) fn appx(mut reader: Reader<'_>) -> SourceReading {
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    let folder = format!("{}\\Program Files\\WindowsApps", &reader.windows[..2]);
    let listed = reader.list(&folder);
    let is_folder_known = listed.is_some() || !reader.builder.has_problem();
    reader.builder.places_found += usize::from(listed.is_some());
    for entry in listed.unwrap_or_default() {
        packages.entry(entry.name).or_default().has_folder = true;
    }
    let for_rows = reader.budget.set_aside();
    let lists = reader.keys(STORE);
    reader.builder.places_found += usize::from(lists.is_some());
    for list in lists.unwrap_or_default() {
        // These name packages that were removed, or that Windows may download.
        if ["Deleted", "EndOfLife", "Config", "Downlevel", "DownlevelGather", "Updates", "Upgrade"]
            .iter()
            .any(|other| other.eq_ignore_ascii_case(&list))
        {
            continue;
        }
        // The other lists are named after what they contain, or after a user.
        let registered = if list.starts_with("S-1-") { "user" } else { "all-users" };
        for name in reader.keys(&format!("{STORE}\\{list}")).unwrap_or_default() {
            if !reader.keep_text(name.len()) {
                break;
            }
            let package = packages.entry(name).or_default();
            if package.registered != "all-users" {
                package.registered = registered;
            }
        }
    }
    for user in reader.users() {
        let key = format!("{}\\{OF_USER}", user.classes);
        for name in reader.keys(&key).unwrap_or_default() {
            let display_name = reader.text(&format!("{key}\\{name}"), "DisplayName").unwrap_or_default();
            if !reader.keep_text(user.profile.len() + name.len() * 2 + display_name.len()) {
                break;
            }
            reader.builder.add_home_item(HomeItem {
                home: user.profile.clone(),
                place: format!("appx:{name}"),
                watched: false,
            });
            let root_folder = reader.text(&format!("{key}\\{name}"), "PackageRootFolder");
            let package = packages.entry(name).or_default();
            package.display_name = display_name;
            // One folder that exists shows that the package is there.
            if package.root_folder.as_ref().is_none_or(|known| reader.is_missing_folder(known)) {
                package.root_folder = root_folder.or_else(|| package.root_folder.take());
            }
            if package.registered.is_empty() {
                package.registered = "user";
            }
        }
    }
    reader.budget.kept_bytes += for_rows;
    for (full_name, package) in packages {
        let Some(row) = row(&mut reader, &full_name, &package, &folder, is_folder_known) else { continue };
        reader.add(STORE, row);
    }
    reader.finish("this Windows has no packages")
}

fn row(
    reader: &mut Reader<'_>,
    full_name: &str,
    package: &Package,
    folder: &str,
    is_folder_known: bool,
) -> Option<Observation> {
    let Some(name) = msix::split(full_name) else {
        // The folder has other folders too. What is registered is a package, whatever its name looks like.
        return (!package.registered.is_empty()).then(|| unnamed(full_name, package));
    };
    // `@{…}` refers to a text in the package.
    let shown = Some(package.display_name.as_str()).filter(|text| !text.is_empty() && !text.starts_with('@'));
    let mut row = Observation::new(Kind::Appx, shown.unwrap_or(name.name));
    name.version.clone_into(&mut row.version);
    name.name.clone_into(&mut row.id);
    row.attributes.insert("full_name".to_owned(), full_name.to_owned());
    row.attributes.insert("architecture".to_owned(), name.architecture.to_owned());
    if !package.registered.is_empty() {
        row.attributes.insert("registered".to_owned(), package.registered.to_owned());
    }
    if package.has_folder {
        row.path = format!("{folder}\\{full_name}");
    } else if let Some(root) = package.root_folder.as_ref().filter(|root| !reader.is_missing_folder(root)) {
        row.path.clone_from(root);
    } else if is_folder_known && !is_elsewhere(reader, full_name) {
        row.set_state(ReportedState::Missing);
    }
    Some(row)
}

/// What is known of a package whose full name has another form.
fn unnamed(full_name: &str, package: &Package) -> Observation {
    let shown = Some(package.display_name.as_str()).filter(|text| !text.is_empty() && !text.starts_with('@'));
    let mut row = Observation::new(Kind::Appx, shown.unwrap_or(full_name));
    full_name.clone_into(&mut row.id);
    row.attributes.insert("registered".to_owned(), package.registered.to_owned());
    row
}

/// Whether the package has its folder among those of Windows' own parts.
fn is_elsewhere(reader: &mut Reader<'_>, full_name: &str) -> bool {
    let family = msix::split(full_name).map(|name| format!("{}_{}", name.name, name.publisher)).unwrap_or_default();
    let own = ["SystemApps", "ImmersiveControlPanel", "PrintDialog"];
    let own = own.map(|parent| match parent {
        "SystemApps" => format!("{}\\SystemApps\\{family}", reader.windows),
        parent => format!("{}\\{parent}", reader.windows),
    });
    let is_own = family.starts_with("windows.") || family.starts_with("Microsoft.Windows");
    own.iter().take(if is_own { 3 } else { 1 }).any(|folder| matches!(reader.kind_at(folder), None | Some(Some(_))))
}
