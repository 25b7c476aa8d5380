//! Setting the agent up as a service of the system, and taking it away again. The one part of the agent that changes the
//! machine and runs the system's own programs, and only when an administrator asks for it by its verb.

use std::io;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
#[path = "linux/service.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere/service.rs"]
mod platform;

/// Why the service cannot be set up or asked about.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// This system's services are not known to the agent yet.
    #[error("this agent cannot set itself up as a service of this system")]
    Unsupported,
    /// A package has set it up, and will take it away.
    #[error("the service belongs to a package: {} is there", .0.display())]
    Packaged(PathBuf),
    /// A file cannot be written or removed.
    #[error("cannot {operation} {path}")]
    File {
        /// What was tried.
        operation: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program of the system cannot be run.
    #[error("cannot run {program}")]
    Run {
        /// Which.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program of the system failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// With its arguments.
        program: String,
        /// What it printed.
        said: String,
    },
}

/// What is known of the service.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ServiceStatus {
    /// The file that describes it to the system, when there is one.
    pub unit: Option<PathBuf>,
    /// Whether a package has put it there.
    pub packaged: bool,
    /// In the system's own words (`enabled`, `disabled`); empty where nobody can be asked.
    pub enabled: String,
    /// In the system's own words (`active`, `inactive`, `failed`).
    pub active: String,
    /// What the service says of itself.
    pub says: String,
}

/// Sets the service up and starts it; below `root` only its files are written and nothing is started. Gives what was done,
/// a line each.
///
/// # Errors
/// A step failed; those before it stand.
pub fn install(program: &Path, root: Option<&Path>) -> Result<Vec<String>, ServiceError> {
    platform::install(program, root)
}

/// Stops the service and takes its files away; settings and state stay. Gives what was done, a line each.
///
/// # Errors
/// A step failed; those before it stand.
pub fn uninstall(root: Option<&Path>) -> Result<Vec<String>, ServiceError> {
    platform::uninstall(root)
}

/// What is known of the service.
///
/// # Errors
/// The system cannot be asked.
pub fn status(root: Option<&Path>) -> Result<ServiceStatus, ServiceError> {
    platform::status(root)
}
