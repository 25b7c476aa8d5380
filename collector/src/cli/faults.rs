//! Faults of rule files. People get them as an error message, programs get them in their format.

use serde_json::{Value, json};

use super::args::Output;
use super::render::{Answer, Screen};
use crate::rules::{RuleErrors, RuleFault};

pub(super) const FAULT_HEADER: [&str; 3] = ["file", "line", "reason"];

pub(super) fn record(fault: &RuleFault) -> Value {
    json!({ "file": fault.file, "line": fault.line, "reason": fault.reason })
}

/// Shows why rule files were refused. The exit code is 1.
pub(super) fn show(refused: RuleErrors, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    if screen.asked().is_none_or(|output| output == Output::Table) {
        return Err(refused.into());
    }
    let faults: Vec<Value> = refused.faults.iter().map(record).collect();
    let rows = || {
        let row = |fault: &RuleFault| vec![fault.file.clone(), fault.line.to_string(), fault.reason.clone()];
        refused.faults.iter().map(row).collect()
    };
    let whole = json!({ "ok": false, "faults": faults });
    screen.show(&Answer { whole: &whole, header: &FAULT_HEADER }, &faults, rows, |_| String::new())?;
    Ok(1)
}
