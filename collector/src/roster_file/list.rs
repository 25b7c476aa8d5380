//! A list that is imported: read twice, first to check it whole, then to hand over its machines. It may be far larger than memory.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::ops::ControlFlow;

use muster_proto::model::RosterRow;

use super::{Mapping, RosterFileError, RosterFileReport, read};

/// One refused row among so many is too many: then the columns are likely wrong.
const ROWS_FOR_ONE_REFUSED: u64 = 20;

/// A list that was read once.
#[derive(Debug, Clone)]
pub struct CheckedList {
    /// What the file is, and which rows of it cannot be read.
    pub report: RosterFileReport,
    /// Machines that it has.
    pub rows: u64,
    /// Rows about a machine of an earlier row: the lines of both.
    pub twice: Vec<(u64, u64)>,
    /// Rows about telephones and the like, by their system.
    pub left_out: BTreeMap<String, u64>,
}

impl CheckedList {
    /// How many rows are refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.report.rows_refused + self.twice.len() as u64
    }

    /// Whether more than a twentieth of the rows is refused.
    #[must_use]
    pub fn has_too_many_refused(&self) -> bool {
        self.refused() * ROWS_FOR_ONE_REFUSED > self.report.rows_read
    }

    /// The first refused rows, one a line, each with its reason; at most so many.
    #[must_use]
    pub fn lines(&self, most: usize) -> Vec<String> {
        let refused = self.report.refused.iter().map(ToString::to_string);
        let twice = self.twice.iter().map(|(line, first)| format!("line {line}: the same machine as line {first}"));
        refused.chain(twice).take(most).collect()
    }
}

/// Reads a list without keeping it.
///
/// # Errors
/// As [`read`].
pub fn check_list(source: impl Read, mapping: &Mapping) -> Result<CheckedList, RosterFileError> {
    let (mut lines, mut twice, mut left_out) = (HashMap::new(), Vec::new(), BTreeMap::new());
    let report = read(source, mapping, &mut |line, row| {
        if let Some(system) = system_without_agent(&row.os) {
            *left_out.entry(system.to_owned()).or_default() += 1;
            return ControlFlow::Continue(());
        }
        let first = *lines.entry(key(&row)).or_insert(line);
        if first != line {
            twice.push((line, first));
        }
        ControlFlow::Continue(())
    })?;
    Ok(CheckedList { report, rows: lines.len() as u64, twice, left_out })
}

/// Hands over the machines of a list, at most `most` at a time, and says how many they were. Ends early when `take` wants no more.
///
/// # Errors
/// As [`read`].
pub fn read_machines(
    source: impl Read,
    mapping: &Mapping,
    most: usize,
    take: &mut dyn FnMut(Vec<RosterRow>) -> bool,
) -> Result<u64, RosterFileError> {
    let (mut seen, mut rows, mut handed) = (HashMap::new(), Vec::new(), 0);
    read(source, mapping, &mut |line, row| {
        if system_without_agent(&row.os).is_some() || *seen.entry(key(&row)).or_insert(line) != line {
            return ControlFlow::Continue(());
        }
        rows.push(row);
        handed += 1;
        if rows.len() < most || take(std::mem::take(&mut rows)) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    take(rows);
    Ok(handed)
}

/// The system of a telephone or the like, on which no agent runs. Directories list them among the computers.
fn system_without_agent(os: &str) -> Option<&'static str> {
    const SYSTEMS: [&str; 7] = ["iOS", "iPadOS", "iPhone", "Android", "tvOS", "ChromeOS", "Windows Phone"];
    let squeezed = |text: &str| text.to_lowercase().replace(' ', "");
    let os = squeezed(os);
    SYSTEMS.into_iter().find(|system| os.starts_with(&squeezed(system)))
}

/// What tells the rows of a list apart, in 16 bytes.
fn key(row: &RosterRow) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(blake3::hash(row.key().as_bytes()).as_bytes().split_at(16).0);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telephones_are_left_out_and_computers_are_not() {
        for os in ["iOS", "IPadOS 18.1", "Android", "AndroidForWork", "Chrome OS", "iPhone"] {
            assert!(system_without_agent(os).is_some(), "{os}");
        }
        for os in ["", "Windows", "macOS", "Linux", "Windows 11 Pro", "Cisco IOS XE"] {
            assert_eq!(system_without_agent(os), None, "{os}");
        }
    }
}
