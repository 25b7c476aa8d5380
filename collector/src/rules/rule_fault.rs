//! Errors of rule files, with file, line and reason. All errors of all files are reported at once.

use std::fmt;

/// One fault of one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleFault {
    /// The file: `catalogue/clamav.toml` of the embedded defaults, or its path.
    pub file: String,
    /// The line, from 1; 0 if the fault concerns the whole file.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for RuleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.reason),
            line => write!(f, "{}:{line}: {}", self.file, self.reason),
        }
    }
}

/// Why the rules were not loaded: every fault, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleErrors {
    /// The faults; never empty.
    pub faults: Vec<RuleFault>,
}

impl RuleErrors {
    pub(crate) fn new(mut faults: Vec<RuleFault>) -> Self {
        faults.sort();
        faults.dedup();
        Self { faults }
    }
}

impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.len() {
            1 => f.write_str("the rules have 1 error")?,
            faults => write!(f, "the rules have {faults} errors")?,
        }
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for RuleErrors {}
