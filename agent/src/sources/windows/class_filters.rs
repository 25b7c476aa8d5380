//! Class filters: drivers that Windows puts above or below the driver of every device of a class, such as a mouse. A class
//! names them in `UpperFilters` and `LowerFilters`. If one of them has no file or no service, no device of the class works, so
//! what names a driver that was removed has to be seen.

use std::collections::BTreeSet;

use muster_proto::model::{Kind, Observation, ReportedState};

use super::reader::{Found, Reader, Values};
use super::service_table::{Entry, EntryKind};
use crate::sources::parse::windows::image_path::of_driver;
use crate::sources::registry::is_same_name;

const CLASSES: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\Class";
const VALUES: [&str; 2] = ["UpperFilters", "LowerFilters"];
/// Limit of drivers in one value. Real ones have up to three.
const DRIVERS: usize = 64;

/// Adds one observation of the registry for each driver that a class names: its path is the key of the class with the value
/// and the driver, its state is `binary-missing` if the driver has no file. `entries` is the table of services.
pub(super) fn add(reader: &mut Reader<'_>, entries: &[Entry]) {
    for class in reader.keys(CLASSES).unwrap_or_default() {
        let key = format!("{CLASSES}\\{class}");
        let Some(values) = reader.values(&key) else { continue };
        for name in VALUES {
            for driver in drivers(reader, &key, &values, name) {
                let mut row = Observation::new(Kind::Registry, format!("{key} : {name} = {driver}"));
                row.path.clone_from(&row.name);
                if let Some(class) = values.text("Class") {
                    row.attributes.insert("class".to_owned(), class);
                }
                if is_missing(reader, entries, &driver) {
                    row.set_state(ReportedState::BinaryMissing);
                }
                reader.add(CLASSES, row);
            }
        }
    }
}

/// The drivers that a value names, each once.
fn drivers(reader: &mut Reader<'_>, key: &str, values: &Values, name: &str) -> BTreeSet<String> {
    let texts = values.get(name).and_then(|value| value.texts()).unwrap_or_default();
    let names = texts.iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let mut drivers: BTreeSet<String> = names.collect();
    if drivers.len() > DRIVERS {
        reader.builder.problem(format!("{name} of {key} has more than {DRIVERS} drivers"));
        drivers = drivers.into_iter().take(DRIVERS).collect();
    }
    drivers
}

/// Whether a driver has no file for certain. One without a service has that of its name, if any.
fn is_missing(reader: &mut Reader<'_>, entries: &[Entry], driver: &str) -> bool {
    let entry = entries.iter().find(|entry| entry.kind == EntryKind::Driver && is_same_name(&entry.name, driver));
    let image = entry.and_then(|entry| entry.values.text("ImagePath")).unwrap_or_default();
    matches!(reader.find(&of_driver(&image, driver, &reader.folders)), Found::Missing(_))
}
