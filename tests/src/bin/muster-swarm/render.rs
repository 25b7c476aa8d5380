//! The output of a run: a table or a document at the end, or a line for each phase as it ends.

use std::io::Write;

use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::statistics::Tally;

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object for each phase, as it ends.
    Ndjson,
}

/// The result of one phase.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Phase {
    phase: String,
    done: u64,
    failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_failure: Option<String>,
    seconds: f64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Canonical bytes of snapshots and sections that were sent.
    bytes: u64,
}

impl Phase {
    /// The figures of a phase.
    pub(crate) fn of(name: &str, tally: &Tally, bytes: u64) -> Self {
        Self {
            phase: name.to_owned(),
            done: tally.done(),
            failed: tally.failed,
            first_failure: tally.first_failure.clone(),
            seconds: rounded(tally.elapsed.as_secs_f64()),
            per_second: rounded(tally.per_second()),
            p50_ms: rounded(tally.percentile_ms(0.5)),
            p99_ms: rounded(tally.percentile_ms(0.99)),
            bytes,
        }
    }
}

/// All of standard output.
#[derive(Debug, Serialize)]
struct Document<'a> {
    phases: &'a [Phase],
}

/// Rounds to three decimals; more is noise.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// Prints phases.
pub(crate) struct Writer<'a> {
    output: Output,
    out: &'a mut dyn Write,
    phases: Vec<Phase>,
}

impl<'a> Writer<'a> {
    /// A writer to `out`.
    pub(crate) fn new(output: Output, out: &'a mut dyn Write) -> Self {
        Self { output, out, phases: Vec::new() }
    }

    /// A phase has ended.
    pub(crate) fn phase(&mut self, phase: Phase) -> Result<()> {
        if self.output == Output::Ndjson {
            serde_json::to_writer(&mut *self.out, &phase)?;
            writeln!(self.out)?;
            self.out.flush()?;
        }
        self.phases.push(phase);
        Ok(())
    }

    /// Prints what is left to print. Returns whether every call succeeded.
    pub(crate) fn end(self) -> Result<bool> {
        match self.output {
            Output::Ndjson => {}
            Output::Json => {
                serde_json::to_writer_pretty(&mut *self.out, &Document { phases: &self.phases })?;
                writeln!(self.out)?;
            }
            Output::Table => writeln!(self.out, "{}", table(&self.phases))?,
        }
        Ok(self.phases.iter().all(|phase| phase.failed == 0))
    }
}

fn table(phases: &[Phase]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        "PHASE",
        "DONE",
        "FAILED",
        "SECONDS",
        "PER SECOND",
        "P50 MS",
        "P99 MS",
        "BYTES",
        "FIRST FAILURE",
    ]);
    for phase in phases {
        table.add_row([
            phase.phase.clone(),
            phase.done.to_string(),
            phase.failed.to_string(),
            phase.seconds.to_string(),
            format!("{:.0}", phase.per_second),
            phase.p50_ms.to_string(),
            phase.p99_ms.to_string(),
            phase.bytes.to_string(),
            phase.first_failure.clone().unwrap_or_default(),
        ]);
    }
    for column in 1..8 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
