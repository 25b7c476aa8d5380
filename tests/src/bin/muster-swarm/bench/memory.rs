//! The memory of a collector after each phase of the bench.

use serde::Serialize;

use super::collector::Collector;
use super::load::rest;
use super::progress;
use crate::render::rounded;

/// The memory of a collector at the end of a phase.
#[derive(Debug, Serialize)]
pub(crate) struct MemoryAfter {
    /// The fleet: `distinct` or `images`.
    fleet: &'static str,
    phase: &'static str,
    /// Zero if the system does not report it; the same below.
    resident_mib: f64,
    /// The most since the collector started.
    peak_mib: f64,
}

/// The memory of one collector after the phases so far.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    fleet: &'static str,
    pub(crate) phases: Vec<MemoryAfter>,
}

impl MemoryWatch {
    /// No phase yet.
    pub(crate) fn of(fleet: &'static str) -> Self {
        Self { fleet, phases: Vec::new() }
    }

    /// A phase has ended: waits until the collector is idle and notes its memory.
    pub(crate) async fn note(&mut self, collector: &Collector, phase: &'static str) {
        rest(&[collector.pid()]).await;
        let status = std::fs::read_to_string(format!("/proc/{}/status", collector.pid())).unwrap_or_default();
        let (resident_mib, peak_mib) = (mib(&status, "VmRSS:"), mib(&status, "VmHWM:"));
        progress(&format!("{}, {phase}: {resident_mib:.0} MiB resident, {peak_mib:.0} MiB at most", self.fleet));
        self.phases.push(MemoryAfter { fleet: self.fleet, phase, resident_mib, peak_mib });
    }
}

/// A figure of `/proc/PID/status`, which has kilobytes.
fn mib(status: &str, name: &str) -> f64 {
    let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let kilobytes = value.trim().trim_end_matches("kB").trim().parse::<f64>();
    kilobytes.map_or(0.0, |kilobytes| rounded(kilobytes / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_by_its_name_and_unknown_memory_is_zero() {
        let status = "Name:\tmuster-collecto\nVmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\n";
        assert!((mib(status, "VmRSS:") - 100.0).abs() < 1e-9);
        assert!((mib(status, "VmHWM:") - 200.0).abs() < 1e-9);
        assert!(mib("", "VmRSS:").abs() < 1e-9);
    }
}
