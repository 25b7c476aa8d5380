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
    registered: Registered,
    has_folder: bool,
    /// The folder that a registration names. It may be on another volume.
    root_folder: Option<String>,
}

/// For whom a package is registered. The greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Registered {
    /// Only its folder is there.
    #[default]
    No,
    /// It was downloaded, and nobody has it yet.
    Staged,
    User,
    AllUsers,
}

impl Registered {
    const fn name(self) -> &'static str {
        match self {
            Self::No => "",
            Self::Staged => "staged",
            Self::User => "user",
            Self::AllUsers => "all-users",
        }
    }
}

impl Package {
    /// Notes a registration. One folder that exists shows that the package is there.
    fn register(&mut self, reader: &mut Reader<'_>, registered: Registered, folder: Option<String>) {
        self.registered = self.registered.max(registered);
        if self.root_folder.as_ref().is_none_or(|known| reader.is_missing_folder(known)) {
            self.root_folder = folder.or_else(|| self.root_folder.take());
        }
    }
}

pub(super) fn appx(mut reader: Reader<'_>) -> SourceReading {
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    let folder = format!("{}\\WindowsApps", reader.folders.program_files.native);
    let listed = reader.list(&folder);
    let is_folder_known = listed.is_some() || !reader.builder.has_problem();
    reader.builder.places_found += usize::from(listed.is_some());
    for entry in listed.unwrap_or_default() {
        packages.entry(entry.name).or_default().has_folder = true;
    }
    let for_rows = reader.budget.set_aside();
    for_all_users(&mut reader, &mut packages);
    for_users(&mut reader, &mut packages);
    reader.budget.kept_bytes += for_rows;
    for (full_name, package) in packages {
        let Some(row) = row(&mut reader, &full_name, &package, &folder, is_folder_known) else { continue };
        reader.add(STORE, row);
    }
    reader.finish("this Windows has no packages")
}

/// Notes the packages in the lists for all users.
fn for_all_users(reader: &mut Reader<'_>, packages: &mut BTreeMap<String, Package>) {
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
        let key = format!("{STORE}\\{list}");
        // The other lists are named after what they contain, or after a user.
        let registered = match list.as_str() {
            user if user.starts_with("S-1-") => Registered::User,
            staged if staged.eq_ignore_ascii_case("Staged") => Registered::Staged,
            _ => Registered::AllUsers,
        };
        for name in reader.keys(&key).unwrap_or_default() {
            // Packages that are staged are below the names of their families.
            let is_family = registered == Registered::Staged && msix::split(&name).is_none();
            let (list, names) = if is_family {
                let family = format!("{key}\\{name}");
                let names = reader.keys(&family).unwrap_or_default();
                (family, names)
            } else {
                (key.clone(), vec![name])
            };
            if !names.into_iter().all(|name| of_store(reader, packages, &list, name, registered)) {
                break;
            }
        }
    }
}

/// Notes a package in a list for all users; `false` beyond the bound, which is noted. The value `Path` of a package names its
/// manifest.
fn of_store(
    reader: &mut Reader<'_>,
    packages: &mut BTreeMap<String, Package>,
    list: &str,
    name: String,
    registered: Registered,
) -> bool {
    let manifest = reader.text(&format!("{list}\\{name}"), "Path");
    let folder = manifest.as_deref().and_then(msix::folder_of_manifest).map(str::to_owned);
    let is_kept = reader.keep_text(name.len() + folder.as_ref().map_or(0, String::len));
    if is_kept {
        packages.entry(name).or_default().register(reader, registered, folder);
    }
    is_kept
}

/// Notes the packages in the lists of every user.
fn for_users(reader: &mut Reader<'_>, packages: &mut BTreeMap<String, Package>) {
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
            package.register(reader, Registered::User, root_folder);
        }
    }
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
        return (package.registered != Registered::No).then(|| unnamed(full_name, package));
    };
    // `@{…}` refers to a text in the package.
    let shown = Some(package.display_name.as_str()).filter(|text| !text.is_empty() && !text.starts_with('@'));
    let mut row = Observation::new(Kind::Appx, shown.unwrap_or(name.name));
    name.version.clone_into(&mut row.version);
    name.name.clone_into(&mut row.id);
    row.attributes.insert("full_name".to_owned(), full_name.to_owned());
    row.attributes.insert("architecture".to_owned(), name.architecture.to_owned());
    if package.registered != Registered::No {
        row.attributes.insert("registered".to_owned(), package.registered.name().to_owned());
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
    row.attributes.insert("registered".to_owned(), package.registered.name().to_owned());
    row
}

/// Whether the package has its folder among those of Windows' own parts.
fn is_elsewhere(reader: &mut Reader<'_>, full_name: &str) -> bool {
    let family = msix::split(full_name).map(|name| format!("{}_{}", name.name, name.publisher)).unwrap_or_default();
    let own = ["SystemApps", "ImmersiveControlPanel", "PrintDialog"];
    let own = own.map(|parent| match parent {
        "SystemApps" => format!("{}\\SystemApps\\{family}", reader.folders.system_root),
        parent => format!("{}\\{parent}", reader.folders.system_root),
    });
    let is_own = family.starts_with("windows.") || family.starts_with("Microsoft.Windows");
    own.iter().take(if is_own { 3 } else { 1 }).any(|folder| matches!(reader.kind_at(folder), None | Some(Some(_))))
}
