//! Takes the rows of a file, whatever its format: counts them, hands the machines over, and keeps what was refused.

use std::ops::ControlFlow;

use super::columns::Columns;
use super::encoding::TextEncoding;
use super::error::RosterFileError;
use super::limits::{Limits, RosterLimit};
use super::mapping::Mapping;
use super::report::{RefusedRow, RosterFileFormat, RosterFileReport, RowRefusal};
use super::row::{Cells, Refused, machine};
use muster_proto::model::RosterRow;

/// Where the rows of one file go.
pub(super) struct Rows<'a> {
    pub(super) columns: Columns<'a>,
    mapping: &'a Mapping,
    limits: &'a Limits,
    each: &'a mut dyn FnMut(u64, RosterRow) -> ControlFlow<()>,
    read: u64,
    refused_count: u64,
    refused: Vec<RefusedRow>,
    is_stopped: bool,
    is_one_page_of_several: bool,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        mapping: &'a Mapping,
        limits: &'a Limits,
        each: &'a mut dyn FnMut(u64, RosterRow) -> ControlFlow<()>,
    ) -> Self {
        Self {
            columns: Columns::new(mapping, limits),
            mapping,
            limits,
            each,
            read: 0,
            refused_count: 0,
            refused: Vec::new(),
            is_stopped: false,
            is_one_page_of_several: false,
        }
    }

    /// Takes a row that begins in this line.
    pub(super) fn take(&mut self, line: u64, cells: &Cells) -> Result<ControlFlow<()>, RosterFileError> {
        self.count(line)?;
        match machine(&self.columns, cells, self.mapping.slash_dates) {
            Ok(machine) => {
                let flow = (self.each)(line, machine);
                self.is_stopped = flow.is_break();
                Ok(flow)
            }
            Err(Refused { column, reason }) => {
                self.list(line, column, reason);
                Ok(ControlFlow::Continue(()))
            }
        }
    }

    /// Refuses a row that has no cells to take.
    pub(super) fn refuse(&mut self, line: u64, reason: RowRefusal) -> Result<(), RosterFileError> {
        self.count(line)?;
        self.list(line, None, reason);
        Ok(())
    }

    /// Checks the length of a cell in a row that begins in this line.
    pub(super) fn check_cell(&self, line: u64, bytes: usize) -> Result<(), RosterFileError> {
        let limit = RosterLimit::CellBytes(self.limits.cell_bytes);
        if bytes > self.limits.cell_bytes { Err(RosterFileError::Limit { limit, line }) } else { Ok(()) }
    }

    /// A page of several ended. The last one counts.
    pub(super) const fn end_page(&mut self, names_next: bool) {
        self.is_one_page_of_several = names_next;
    }

    /// The report of the file.
    pub(super) fn finish(
        self,
        format: RosterFileFormat,
        encoding: TextEncoding,
        bytes: u64,
    ) -> Result<RosterFileReport, RosterFileError> {
        // An empty list of JSON has no columns, and columns after a stop are unknown.
        if self.columns.count() > 0 && !self.is_stopped {
            self.columns.check()?;
        }
        let (columns_used, columns_ignored) = self.columns.split();
        Ok(RosterFileReport {
            format,
            encoding,
            bytes,
            columns_used,
            columns_ignored,
            rows_read: self.read,
            rows_refused: self.refused_count,
            refused: self.refused,
            is_stopped: self.is_stopped,
            is_one_page_of_several: self.is_one_page_of_several,
        })
    }

    fn count(&mut self, line: u64) -> Result<(), RosterFileError> {
        if self.read >= self.limits.rows {
            return Err(RosterFileError::Limit { limit: RosterLimit::Rows(self.limits.rows), line });
        }
        self.read += 1;
        Ok(())
    }

    fn list(&mut self, line: u64, column: Option<usize>, reason: RowRefusal) {
        self.refused_count += 1;
        if self.refused.len() < self.limits.refused_listed {
            let column = column.map(|column| self.columns.name(column).to_owned());
            self.refused.push(RefusedRow { line, column, reason });
        }
    }
}
