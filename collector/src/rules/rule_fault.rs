//! What is wrong with a rule file: file, line, reason. All faults of all files are reported at once.

use std::fmt;

/// One fault of one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleFault {
    /// The file: `catalogue/clamav.toml` of the embedded defaults, or its path.
    pub file: String,
    /// The line, from 1; 0 when the fault is the whole file's.
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

/// Why no rule set was made: every fault, in the order of files and lines.
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
        // Where whole files are at fault there is no line to count.
        match self.faults.iter().filter(|fault| fault.line > 0).count() {
            0 => f.write_str("the rule files cannot be used")?,
            lines => write!(f, "{} of the rule files cannot be used", count(lines))?,
        }
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for RuleErrors {}

fn count(lines: usize) -> String {
    if lines == 1 { "a line".to_owned() } else { format!("{lines} lines") }
}
