//! `filter-drivers`: drivers that see every access to a file, each with the altitude at which it does.

use muster_proto::model::{Kind, SourceName};

use super::machine;
use super::reader::Reader;
use super::service_table::{EntryKind, SERVICES, entries, observation};
use crate::sources::parse::windows::altitude;
use crate::sources::{ScanContext, Source, SourceReading};

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
    // The table was read, and may have no filter.
    reader.builder.places_found += 1;
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Driver) {
        let Some(altitude) = altitude_of(&mut reader, &entry.name) else { continue };
        let mut row = observation(&mut reader, entry, Kind::Filter);
        if let Some(group) = altitude::group(&altitude) {
            row.attributes.insert("group".to_owned(), group.to_owned());
        }
        row.attributes.insert("altitude".to_owned(), altitude);
        reader.add(SERVICES, row);
    }
    reader.finish("")
}

/// The altitude of the default instance of a filter, else of the first one; `None` if the driver is no filter.
fn altitude_of(reader: &mut Reader<'_>, driver: &str) -> Option<String> {
    for place in ["Instances", "Parameters\\Instances"] {
        let key = format!("{SERVICES}\\{driver}\\{place}");
        let Some(mut instances) = reader.keys(&key) else { continue };
        let default = reader.text(&key, "DefaultInstance").unwrap_or_default();
        // The default instance first, the others in one order on every machine.
        instances.sort_by_key(|instance| (!instance.eq_ignore_ascii_case(&default), instance.to_lowercase()));
        let altitude = instances.iter().find_map(|instance| {
            let values = reader.values(&format!("{key}\\{instance}"))?;
            // Some installers write a number in place of a text.
            values.text("Altitude").or_else(|| values.number("Altitude").map(|number| number.to_string()))
        });
        if altitude.is_some() {
            return altitude;
        }
    }
    None
}
