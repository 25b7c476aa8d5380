//! `uninstall-keys`: what the list of installed programs shows, and what it hides, for the machine and for every user.

use std::collections::BTreeMap;

use muster_proto::model::{Kind, Observation, ReportedState, SourceName};

use super::machine;
use super::reader::{Reader, Values};
use crate::sources::parse::windows::product_code;
use crate::sources::{HomeItem, ScanContext, Source, SourceReading};

const MACHINE: &str = r"HKLM\SOFTWARE";
const BELOW: &str = r"Microsoft\Windows\CurrentVersion\Uninstall";

pub(super) struct UninstallKeys;

impl Source for UninstallKeys {
    fn name(&self) -> SourceName {
        SourceName::UninstallKeys
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, uninstall_keys)
    }
}

pub(super) fn uninstall_keys(mut reader: Reader<'_>) -> SourceReading {
    let native = format!("{MACHINE}\\{BELOW}");
    let bits = if reader.keys(r"HKLM\SOFTWARE\WOW6432Node").is_some() { "64" } else { "32" };
    if reader.keys(&native).is_some() {
        reader.builder.places_found += 1;
    } else {
        reader.builder.problem(format!("{native} is missing, but every Windows has it"));
    }
    let mut rows = entries(&mut reader, MACHINE, "machine", bits);
    for user in reader.users() {
        let of_user = entries(&mut reader, &format!("{}\\Software", user.key), "user", bits);
        for row in &of_user {
            if reader.keep_text(user.profile.len() + row.id.len()) {
                let place = format!("uninstall-key:{}", row.id);
                reader.builder.add_home_item(HomeItem { home: user.profile.clone(), place, watched: false });
            }
        }
        rows.extend(of_user);
    }
    for row in rows {
        reader.builder.add(&native, row);
    }
    reader.finish("")
}

/// The entries below one place, in both views. Two entries of one product are one.
fn entries(reader: &mut Reader<'_>, place: &str, scope: &str, bits: &str) -> Vec<Observation> {
    let mut rows = Vec::new();
    let mut by_code: BTreeMap<String, usize> = BTreeMap::new();
    for (view, node) in [(bits, ""), ("32", "WOW6432Node\\")] {
        let key = format!("{place}\\{node}{BELOW}");
        for name in reader.keys(&key).unwrap_or_default() {
            let Some(values) = reader.values(&format!("{key}\\{name}")) else { continue };
            let code = product_code::in_entry(&name);
            let mut row = entry(reader, &name, code.as_deref(), &values, scope, view);
            // An entry that is merged into another is counted as well: it takes up to as much.
            if !reader.keep(&mut row) {
                return rows;
            }
            // The installer of a bundle adds `InstallWIX_{GUID}`, which is shown, beside `{GUID}`, which is hidden.
            let known = code.as_ref().and_then(|code| by_code.get(code)).and_then(|at| rows.get_mut(*at));
            match known {
                Some(known) if is_same_product(known, &row) => merge(known, row),
                _ => {
                    by_code.extend(code.map(|code| (code, rows.len())));
                    rows.push(row);
                }
            }
        }
    }
    rows
}

fn entry(
    reader: &mut Reader<'_>,
    name: &str,
    code: Option<&str>,
    values: &Values,
    scope: &str,
    view: &str,
) -> Observation {
    let shown = values.text("DisplayName").or_else(|| values.text("QuietDisplayName"));
    let mut row = Observation::new(Kind::UninstallKey, shown.as_deref().unwrap_or(name));
    row.vendor = values.text("Publisher").unwrap_or_default();
    row.version = values.text("DisplayVersion").unwrap_or_default();
    row.id = code.unwrap_or(name).to_owned();
    let attributes = [
        ("scope", Some(scope.to_owned())),
        ("view", Some(view.to_owned())),
        ("hidden", values.is_set("SystemComponent").then(|| "system-component".to_owned())),
        ("parent", values.text("ParentKeyName")),
    ];
    for (name, value) in attributes {
        row.attributes.extend(value.map(|value| (name.to_owned(), value)));
    }
    if let Some(folder) = values.text("InstallLocation") {
        let folder = folder.trim_matches('"').to_owned();
        if reader.is_missing_folder(&folder) {
            row.set_state(ReportedState::Missing);
        }
        row.path = folder;
    }
    row
}

/// Whether two entries with one product code are of one product: an entry without a name has its key as name.
fn is_same_product(one: &Observation, other: &Observation) -> bool {
    let is_unnamed = |row: &Observation| product_code::in_entry(&row.name).is_some();
    one.name == other.name || is_unnamed(one) || is_unnamed(other)
}

/// Completes an entry with what another of the same product says.
fn merge(known: &mut Observation, other: Observation) {
    if product_code::in_entry(&known.name).is_some() {
        known.name = other.name;
    }
    for (field, value) in [(&mut known.vendor, other.vendor), (&mut known.version, other.version)] {
        if field.is_empty() {
            *field = value;
        }
    }
    // One folder that exists shows that the product is there.
    if known.path.is_empty() || (!known.state.is_empty() && other.state.is_empty() && !other.path.is_empty()) {
        (known.path, known.state) = (other.path, other.state);
    }
    if known.attributes.contains_key("hidden") && !other.attributes.contains_key("hidden") {
        known.attributes.remove("hidden");
    }
    let views = ["64", "32"].into_iter().filter(|view| {
        [&known.attributes, &other.attributes].iter().any(|of| of.get("view").is_some_and(|text| text.contains(view)))
    });
    let views = views.collect::<Vec<_>>().join(", ");
    known.attributes.insert("view".to_owned(), views);
}
