//! The table of services and drivers in the registry, with the file that each starts.

use muster_proto::model::{Kind, Observation, ReportedState};

use super::budget::Bound;
use super::reader::{Found, Reader, Values};
use crate::sources::parse::windows::image_path::{file_name, of_driver, of_program};
use crate::sources::registry::is_same_name;

pub(super) const SERVICES: &str = r"HKLM\SYSTEM\CurrentControlSet\Services";

/// Bits of the type of a service.
const ANY_DRIVER: u64 = 0x0f;
const ANY_SERVICE: u64 = 0x30;
/// A service that Windows makes for each session from a template.
const USER_INSTANCE: u64 = 0x80;

/// The values that are read. The others are most of what the table has.
const VALUES: &[&str] = &["Type", "Start", "DisplayName", "ImagePath", "Group", "DeleteFlag", "ServiceDll"];

/// What an entry of the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    Service,
    Driver,
    /// An instance of one session. It has the name of its template and a number that differs from day to day.
    Instance,
    /// A key without a type: only settings, or what is left of a service.
    Untyped,
}

/// One key of the table.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: EntryKind,
    pub(super) values: Values,
}

/// All entries; `None` if the table does not exist or cannot be read, which is noted.
pub(super) fn entries(reader: &mut Reader<'_>) -> Option<Vec<Entry>> {
    let Some(names) = reader.keys(SERVICES) else {
        // Windows does not start without this key.
        reader.builder.problem(format!("{SERVICES} is missing"));
        return None;
    };
    let mut entries = Vec::new();
    let for_rows = reader.budget.set_aside();
    for name in names {
        let Some(mut values) = reader.values(&format!("{SERVICES}\\{name}")) else { continue };
        values.0.retain(|value| VALUES.iter().any(|known| is_same_name(&value.name, known)));
        values.0.shrink_to_fit();
        if !reader.spend(Bound::KeptBytes, name.len() + values.bytes()) {
            break;
        }
        let kind = kind_of(&name, values.number("Type"));
        entries.push(Entry { name, kind, values });
    }
    reader.budget.kept_bytes += for_rows;
    Some(entries)
}

fn kind_of(name: &str, number: Option<u64>) -> EntryKind {
    match number {
        None => EntryKind::Untyped,
        Some(number) if number & USER_INSTANCE != 0 && has_session_number(name) => EntryKind::Instance,
        Some(number) if number & ANY_SERVICE != 0 => EntryKind::Service,
        Some(number) if number & ANY_DRIVER != 0 => EntryKind::Driver,
        // An unknown type is shown, because a row too few could be the one that counts.
        Some(_) => EntryKind::Service,
    }
}

fn has_session_number(name: &str) -> bool {
    name.rsplit_once('_').is_some_and(|(_, number)| number.len() >= 4 && number.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The observation of an entry, without attributes of its kind.
pub(super) fn observation(reader: &mut Reader<'_>, entry: &Entry, kind: Kind) -> Observation {
    let values = &entry.values;
    let display = values.text("DisplayName");
    let shown = display.as_deref().map(readable).filter(|name| !name.is_empty());
    let mut observation = Observation::new(kind, shown.unwrap_or(&entry.name));
    observation.id.clone_from(&entry.name);
    let mut attributes = vec![("display_name", display.clone().filter(|raw| raw.starts_with('@')))];
    attributes.push(("start", values.number("Start").and_then(start)));
    attributes.push(("group", values.text("Group")));
    attributes.push(("delete", values.is_set("DeleteFlag").then(|| "pending".to_owned())));
    let found = match entry.kind {
        EntryKind::Driver => {
            let text = values.text("ImagePath").unwrap_or_default();
            Some(reader.find(&of_driver(&text, &entry.name, &reader.folders)))
        }
        EntryKind::Service | EntryKind::Instance | EntryKind::Untyped => {
            let program = values.text("ImagePath").map(|text| reader.find(&of_program(&text, &reader.folders)));
            let library = program.as_ref().filter(|found| is_host(found)).and_then(|_| library(reader, entry));
            if library.is_some() {
                attributes.push(("host", program.as_ref().map(|found| found.path().to_owned())));
            }
            library.or(program)
        }
    };
    match found {
        Some(found) => {
            found.path().clone_into(&mut observation.path);
            if matches!(found, Found::Missing(_)) {
                observation.set_state(ReportedState::BinaryMissing);
            }
        }
        None => observation.set_state(ReportedState::NoCommand),
    }
    for (name, value) in attributes {
        observation.attributes.extend(value.map(|value| (name.to_owned(), value)));
    }
    observation
}

/// The text of a display name for people. `@file,-number` refers to a text in that file, which is not read; what follows a
/// semicolon is the text itself.
fn readable(name: &str) -> &str {
    if !name.starts_with('@') {
        return name;
    }
    name.split_once(';').map_or("", |(_, text)| text.trim())
}

fn start(number: u64) -> Option<String> {
    let name = match number {
        0 => "boot",
        1 => "system",
        2 => "auto",
        3 => "demand",
        4 => "disabled",
        _ => return None,
    };
    Some(name.to_owned())
}

/// Whether the program only loads the library that does the work.
fn is_host(found: &Found) -> bool {
    file_name(found.path()).eq_ignore_ascii_case("svchost.exe")
}

fn library(reader: &mut Reader<'_>, entry: &Entry) -> Option<Found> {
    let parameters = format!("{SERVICES}\\{}\\Parameters", entry.name);
    let text = reader.text(&parameters, "ServiceDll").or_else(|| entry.values.text("ServiceDll"))?;
    let quoted = format!("\"{}\"", text.trim_matches('"'));
    Some(reader.find(&of_program(&quoted, &reader.folders)))
}
