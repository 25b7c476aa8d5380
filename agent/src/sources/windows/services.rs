//! `services` and `drivers`: everything that the service manager and the kernel can start, and the drivers that classes of
//! devices name.

use muster_proto::model::{Kind, Observation, SourceName};

use super::reader::Reader;
use super::service_table::{EntryKind, SERVICES, entries, observation};
use super::{class_filters, machine};
use crate::sources::{ScanContext, Source, SourceReading};

/// Where Windows up to 7 kept a record of every driver that was ever installed.
const LEGACY: &str = r"HKLM\SYSTEM\CurrentControlSet\Enum\Root";

pub(super) struct Services;
pub(super) struct Drivers;

impl Source for Services {
    fn name(&self) -> SourceName {
        SourceName::Services
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, services)
    }
}

impl Source for Drivers {
    fn name(&self) -> SourceName {
        SourceName::Drivers
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, drivers)
    }
}

pub(super) fn services(mut reader: Reader<'_>) -> SourceReading {
    let Some(entries) = entries(&mut reader) else { return reader.finish("") };
    let mut count = 0;
    for entry in &entries {
        let row = match entry.kind {
            EntryKind::Service => {
                count += 1;
                observation(&mut reader, entry, Kind::Service)
            }
            // It is no service, and may be what is left of one.
            EntryKind::Untyped => key(format!("{SERVICES}\\{}", entry.name)),
            EntryKind::Driver | EntryKind::Instance => continue,
        };
        reader.add(SERVICES, row);
    }
    if count == 0 {
        reader.builder.problem(format!("{SERVICES} has no services, but every Windows has some"));
    }
    reader.finish("")
}

pub(super) fn drivers(mut reader: Reader<'_>) -> SourceReading {
    let Some(entries) = entries(&mut reader) else { return reader.finish("") };
    let mut count = 0;
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Driver) {
        count += 1;
        let row = observation(&mut reader, entry, Kind::Driver);
        reader.add(SERVICES, row);
    }
    if count == 0 {
        reader.builder.problem(format!("{SERVICES} has no drivers, but every Windows has some"));
    }
    for name in reader.keys(LEGACY).unwrap_or_default() {
        let Some(driver) = name.get(..7).filter(|start| start.eq_ignore_ascii_case("LEGACY_")).map(|_| &name[7..])
        else {
            continue;
        };
        // The record of a driver that is installed says nothing more.
        if !entries.iter().any(|entry| entry.name.eq_ignore_ascii_case(driver)) {
            reader.add(LEGACY, key(format!("{LEGACY}\\{name}")));
        }
    }
    class_filters::add(&mut reader, &entries);
    reader.finish("")
}

/// The observation of a registry key.
fn key(path: String) -> Observation {
    let mut observation = Observation::new(Kind::Registry, path.as_str());
    observation.path = path;
    observation
}
