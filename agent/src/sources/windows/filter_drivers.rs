//! `filter-drivers`: drivers that see every access to a file, each with the altitudes at which it does.

use muster_proto::model::{Kind, SourceName};

use super::machine;
use super::reader::Reader;
use super::service_table::{EntryKind, SERVICES, entries, observation};
use crate::sources::parse::windows::altitude;
use crate::sources::{ScanContext, Source, SourceReading};

/// Limit of altitudes of one filter. Windows' own container filter has two.
const ALTITUDES: usize = 16;

pub(super) struct FilterDrivers;

impl Source for FilterDrivers {
    fn name(&self) -> SourceName {
        SourceName::FilterDrivers
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, filter_drivers)
    }
}

pub(super) fn filter_drivers(mut reader: Reader<'_>) -> SourceReading {
    let Some(entries) = entries(&mut reader) else { return reader.finish("") };
    // The table was read, and may have no filter; but every Windows has drivers.
    reader.builder.places_found += 1;
    if !entries.iter().any(|entry| entry.kind == EntryKind::Driver) {
        reader.builder.problem("no driver is listed, but every Windows has some".to_owned());
    }
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Driver) {
        let altitudes = altitudes(&mut reader, &entry.name);
        if altitudes.is_empty() {
            continue;
        }
        let mut row = observation(&mut reader, entry, Kind::Filter);
        let mut groups: Vec<&str> = Vec::new();
        for group in altitudes.iter().filter_map(|altitude| altitude::group(altitude)) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        if !groups.is_empty() {
            row.attributes.insert("group".to_owned(), groups.join(", "));
        }
        row.attributes.insert("altitude".to_owned(), altitudes.join(", "));
        reader.add(SERVICES, row);
    }
    reader.finish("")
}

/// The altitudes of all instances of a filter, each once, that of the default instance first; none if the driver is no
/// filter. Newer builds of Windows have the instances in the second place.
fn altitudes(reader: &mut Reader<'_>, driver: &str) -> Vec<String> {
    let mut altitudes: Vec<String> = Vec::new();
    for place in ["Instances", "Parameters\\Instances"] {
        let key = format!("{SERVICES}\\{driver}\\{place}");
        let Some(mut instances) = reader.keys(&key) else { continue };
        let default = reader.text(&key, "DefaultInstance").unwrap_or_default();
        // The default instance first, the others in one order on every machine.
        instances.sort_by_key(|instance| (!instance.eq_ignore_ascii_case(&default), instance.to_lowercase()));
        for instance in instances {
            let Some(values) = reader.values(&format!("{key}\\{instance}")) else { continue };
            // Some installers write a number in place of a text.
            let number = || values.number("Altitude").map(|number| number.to_string());
            let Some(altitude) = values.text("Altitude").or_else(number) else { continue };
            if altitudes.contains(&altitude) {
                continue;
            }
            if altitudes.len() == ALTITUDES {
                reader.builder.problem(format!("{key} has more than {ALTITUDES} altitudes"));
                return altitudes;
            }
            altitudes.push(altitude);
        }
    }
    altitudes
}
