//! Installs and removes the system service. This is the only part of the agent that changes the machine and runs the system's
//! programs, and only when an administrator calls `service install` or `service uninstall`.

use std::io;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
#[path = "linux/service.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "fallback/service.rs"]
mod platform;

/// Why the service cannot be installed, removed or inspected.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The agent does not support this system's service manager.
    #[error("this agent does not support services on this operating system")]
    Unsupported,
    /// The service belongs to a package, which installs and removes it.
    #[error("the service was installed by a package ({}); use the package manager", .0.display())]
    Packaged(PathBuf),
    /// A file cannot be written or removed.
    #[error("cannot {operation} {path}")]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A program of the system cannot be run.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A program of the system failed.
    #[error("{program} failed: {output}")]
    Failed {
        /// The program with its arguments.
        program: String,
        /// What it printed to standard error.
        output: String,
    },
}

/// The state of the service.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ServiceStatus {
    /// The unit file, if there is one.
    pub unit: Option<PathBuf>,
    /// Whether a package installed it.
    pub packaged: bool,
    /// Whether it is enabled, in the system's words (`enabled`, `disabled`); empty if unknown.
    pub enabled: String,
    /// Whether it is running, in the system's words (`active`, `inactive`, `failed`); empty if unknown.
    pub active: String,
    /// The status line that the service reports about itself.
    pub status_text: String,
}

/// Installs the service and starts it. With `root` it only writes the files there and starts nothing. Returns the completed
/// steps, one line each.
///
/// # Errors
/// A step failed; earlier steps are not undone.
pub fn install(program: &Path, root: Option<&Path>) -> Result<Vec<String>, ServiceError> {
    platform::install(program, root)
}

/// Stops the service and removes its files; settings and state are kept. Returns the completed steps, one line each.
///
/// # Errors
/// A step failed; earlier steps are not undone.
pub fn uninstall(root: Option<&Path>) -> Result<Vec<String>, ServiceError> {
    platform::uninstall(root)
}

/// Reads the state of the service.
///
/// # Errors
/// The service manager cannot be queried.
pub fn status(root: Option<&Path>) -> Result<ServiceStatus, ServiceError> {
    platform::status(root)
}
