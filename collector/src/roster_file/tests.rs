//! Tests of whole files.

mod formats;
mod hostile;
mod limits;
mod presets;

use std::ops::ControlFlow;

use super::*;
use muster_proto::model::Timestamp;

/// Reads a file within the limits in use.
fn read_all(file: &[u8], mapping: &Mapping) -> Result<(Vec<(u64, RosterRow)>, RosterFileReport), RosterFileError> {
    let mut rows = Vec::new();
    let report = read(file, mapping, &mut |line, row| {
        rows.push((line, row));
        ControlFlow::Continue(())
    })?;
    Ok((rows, report))
}

fn preset(preset: Preset) -> Mapping {
    Mapping { preset: Some(preset), ..Mapping::default() }
}

fn mapped(columns: &[&str]) -> Mapping {
    let columns = columns.iter().map(|column| column.parse().expect("a mapped column")).collect();
    Mapping { columns, ..Mapping::default() }
}

fn at(text: &str) -> Option<Timestamp> {
    Some(Timestamp::parse_rfc3339(text).expect("RFC 3339"))
}

/// The lines and names of the machines of a file with plain headers.
fn names(file: &[u8]) -> Vec<(u64, String)> {
    let (rows, report) = read_all(file, &Mapping::default()).expect("a list");
    assert_eq!(report.rows_refused, 0, "{:?}", report.refused);
    rows.into_iter().map(|(line, row)| (line, row.name)).collect()
}

/// The refused rows of a file, as they are shown.
fn refusals(report: &RosterFileReport) -> Vec<String> {
    report.refused.iter().map(ToString::to_string).collect()
}
