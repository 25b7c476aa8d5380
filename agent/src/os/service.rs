//! Installs, removes, starts and stops the system service. This is the only part of the agent that changes the machine and runs
//! the system's programs, and only when an administrator calls `service`.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use super::access::AccessError;

#[cfg(windows)]
pub(in crate::os) use platform::NAME;

#[cfg(target_os = "linux")]
#[path = "linux/service.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows/service.rs"]
mod platform;
#[cfg(not(any(target_os = "linux", windows)))]
#[path = "fallback/service.rs"]
mod platform;
#[cfg(any(windows, test))]
#[path = "windows/service_settings.rs"]
mod windows_settings;

/// Why the service cannot be installed, removed or inspected.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The agent does not support this system's service manager.
    #[error("this agent does not support services on this operating system")]
    Unsupported,
    /// The service belongs to a package, which installs and removes it.
    #[error("the service was installed by a package ({}); use the package manager", .0.display())]
    Packaged(PathBuf),
    /// This system's service manager knows the running system only.
    #[error("the service can be installed, removed and inspected on the running system only, not below {}", .0.display())]
    NoImage(PathBuf),
    /// The service is not installed.
    #[error("the service {0} is not installed")]
    NotInstalled(&'static str),
    /// Another program is installed as this service.
    #[error("the service is that of another program ({installed})")]
    OtherProgram {
        /// Its command line.
        installed: String,
    },
    /// Others can change the program or the settings of the service.
    #[error("the service would not be safe")]
    Access(#[from] AccessError),
    /// The service manager refuses or fails.
    #[error("cannot {operation}")]
    Manager {
        /// What was attempted.
        operation: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The service did not start or stop within the time limit, or ended at once.
    #[error("{0}")]
    State(String),
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

/// Access to the service manager is denied.
const DENIED: &str = "run this as an administrator";

impl ServiceError {
    /// What to do about it, if the type of the error says so.
    #[must_use]
    pub fn advice(&self) -> Option<Cow<'static, str>> {
        let fixed = match self {
            Self::Access(error) => return error.advice().map(Cow::Owned),
            Self::Manager { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Some(DENIED),
            Self::NotInstalled(_) => Some("run `muster-agent service install`"),
            Self::OtherProgram { .. } => Some("run `muster-agent service uninstall` first, or use that program"),
            Self::State(_) => platform::WHERE_THE_LOG_IS,
            Self::Manager { .. }
            | Self::Unsupported
            | Self::Packaged(_)
            | Self::NoImage(_)
            | Self::File { .. }
            | Self::Run { .. }
            | Self::Failed { .. } => None,
        };
        fixed.map(Cow::Borrowed)
    }
}

/// The state of the service.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ServiceStatus {
    /// What describes the service to the system, if it is installed: the unit file, or the registry key on Windows.
    pub unit: Option<PathBuf>,
    /// Whether a package installed it.
    pub packaged: bool,
    /// Whether it starts by itself, in the system's words (`enabled` or `disabled` on Linux, `automatic (delayed)` on Windows);
    /// empty if unknown.
    pub enabled: String,
    /// Whether it is running, in the system's words (`active`, `inactive` or `failed` on Linux, `running` or `stopped` on
    /// Windows); empty if unknown.
    pub active: String,
    /// The status line that the service reports about itself; on Windows its process, or how it ended.
    pub status_text: String,
}

/// Installs the service, or sets up an installed one again, and starts it if `start` says so. With `root` it only writes the
/// files there and starts nothing. Returns the completed steps, one line each.
///
/// # Errors
/// A step failed; earlier steps are not undone.
pub fn install(program: &Path, root: Option<&Path>, start: bool) -> Result<Vec<String>, ServiceError> {
    platform::install(program, root, start)
}

/// Stops the service and removes its files; settings and state are kept. Returns the completed steps, one line each.
///
/// # Errors
/// A step failed; earlier steps are not undone.
pub fn uninstall(root: Option<&Path>) -> Result<Vec<String>, ServiceError> {
    platform::uninstall(root)
}

/// Starts the installed service and waits until it runs. Returns the completed steps, one line each.
///
/// # Errors
/// It is not installed, or does not start.
pub fn start() -> Result<Vec<String>, ServiceError> {
    platform::start()
}

/// Stops the service and waits until it has stopped. Returns the completed steps, one line each.
///
/// # Errors
/// It is not installed, or does not stop.
pub fn stop() -> Result<Vec<String>, ServiceError> {
    platform::stop()
}

/// Reads the state of the service.
///
/// # Errors
/// The service manager cannot be queried.
pub fn status(root: Option<&Path>) -> Result<ServiceStatus, ServiceError> {
    platform::status(root)
}
