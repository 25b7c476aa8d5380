//! The columns of one file, and what each is used as.

use std::collections::HashMap;

use super::error::RosterFileError;
use super::limits::{Limits, RosterLimit};
use super::mapping::Mapping;
use super::report::UsedColumn;
use muster_proto::model::{RosterField, clean_text};

/// Bytes of a column's name that reports and errors show.
const SHOWN_BYTES: usize = 200;

/// The columns in the order in which they appear. Those of CSV are known from the header, those of JSON appear with each object.
pub(super) struct Columns<'m> {
    mapping: &'m Mapping,
    max: usize,
    names: Vec<String>,
    /// The place of the first column with this name.
    places: HashMap<String, usize>,
    /// Whether the column with this number is used.
    is_used: Vec<bool>,
    /// For each field the columns that can give it, the best one first.
    by_field: Vec<(RosterField, Vec<Candidate>)>,
}

/// A column that can give the value of a field. They are in order of their rank, then of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    rank: usize,
    column: usize,
}

impl<'m> Columns<'m> {
    pub(super) fn new(mapping: &'m Mapping, limits: &Limits) -> Self {
        Self {
            mapping,
            max: limits.columns,
            names: Vec::new(),
            places: HashMap::new(),
            is_used: Vec::new(),
            by_field: RosterField::ALL.iter().map(|field| (*field, Vec::new())).collect(),
        }
    }

    /// Adds a column, even if there is one with its name; its number.
    pub(super) fn add(&mut self, name: &str) -> Result<usize, RosterLimit> {
        let column = self.names.len();
        if column >= self.max {
            return Err(RosterLimit::Columns(self.max));
        }
        let mut is_used = false;
        for (field, candidates) in &mut self.by_field {
            if let Some(rank) = self.mapping.rank(*field, name) {
                is_used = true;
                candidates.push(Candidate { rank, column });
                candidates.sort_unstable();
            }
        }
        self.is_used.push(is_used);
        self.names.push(clean_text(name, SHOWN_BYTES));
        self.places.entry(name.to_owned()).or_insert(column);
        Ok(column)
    }

    /// The number of the column with this name, which is added if it is new.
    pub(super) fn place(&mut self, name: &str) -> Result<usize, RosterLimit> {
        match self.places.get(name) {
            Some(column) => Ok(*column),
            None => self.add(name),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.names.len()
    }

    pub(super) fn is_used(&self, column: usize) -> bool {
        self.is_used.get(column).copied().unwrap_or_default()
    }

    /// The name of a column, as it is shown.
    pub(super) fn name(&self, column: usize) -> &str {
        self.names.get(column).map(String::as_str).unwrap_or_default()
    }

    /// The columns that can give a field, the best one first.
    pub(super) fn of(&self, field: RosterField) -> impl Iterator<Item = usize> {
        let candidates = self.by_field.iter().find(|(of, _)| *of == field).map(|(_, candidates)| candidates.as_slice());
        candidates.unwrap_or_default().iter().map(|candidate| candidate.column)
    }

    /// Checks that every mapped column exists and that one names a machine.
    pub(super) fn check(&self) -> Result<(), RosterFileError> {
        let missing = self.mapping.missing_of(&self.names);
        if !missing.is_empty() {
            return Err(RosterFileError::MissingColumns { missing, existing: self.names.clone() });
        }
        let names_machines = self.by_field.iter().any(|(field, of)| field.names_a_machine() && !of.is_empty());
        if names_machines { Ok(()) } else { Err(RosterFileError::NoNamingColumn { existing: self.names.clone() }) }
    }

    /// The columns that are used, and those that are not.
    pub(super) fn split(self) -> (Vec<UsedColumn>, Vec<String>) {
        let mut used = Vec::new();
        let mut ignored = Vec::new();
        for (column, name) in self.names.iter().enumerate() {
            let is_candidate = |of: &[Candidate]| of.iter().any(|candidate| candidate.column == column);
            let fields = self.by_field.iter().filter(|(_, of)| is_candidate(of)).map(|(field, _)| *field);
            used.extend(fields.map(|field| UsedColumn { column: name.clone(), field }));
            if !self.is_used(column) && !name.is_empty() {
                ignored.push(name.clone());
            }
        }
        (used, ignored)
    }
}
