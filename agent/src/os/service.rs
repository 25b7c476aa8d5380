//! Installs, removes, starts and stops the system service. This is the only part of the agent that changes the machine and runs
//! the system's programs, and only when an administrator calls `service`.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use muster_proto::model::Platform;

use super::access::AccessError;

#[cfg(windows)]
pub(in crate::os) use windows::NAME;

#[cfg(unix)]
#[path = "macos/service.rs"]
mod launchd;
#[cfg(unix)]
#[path = "linux/service.rs"]
mod systemd;
#[cfg(windows)]
#[path = "windows/service.rs"]
mod windows;
#[cfg(any(windows, test))]
#[path = "windows/service_settings.rs"]
mod windows_settings;

/// Why the service cannot be installed, removed or inspected.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The agent does not support this system's service manager.
    #[error("this agent does not install services on {}", .0.name())]
    Unsupported(Platform),
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
        let where_the_log_is = manager(RUNNING).and_then(|manager| manager.where_the_log_is);
        let fixed = match self {
            Self::Access(error) => return error.advice().map(Cow::Owned),
            Self::Manager { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Some(DENIED),
            Self::NotInstalled(_) => Some("run `muster-agent service install`"),
            Self::OtherProgram { .. } => Some("run `muster-agent service uninstall` first, or use that program"),
            Self::State(_) => where_the_log_is,
            Self::Manager { .. }
            | Self::Unsupported(_)
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

/// The completed steps, one line each.
type Steps = Result<Vec<String>, ServiceError>;

/// The service manager of a platform.
struct Manager {
    install: fn(&Path, Option<&Path>, bool) -> Steps,
    uninstall: fn(Option<&Path>) -> Steps,
    start: fn() -> Steps,
    stop: fn() -> Steps,
    status: fn(Option<&Path>) -> Result<ServiceStatus, ServiceError>,
    where_the_log_is: Option<&'static str>,
}

#[cfg(target_os = "linux")]
const RUNNING: Platform = Platform::Linux;
#[cfg(target_os = "macos")]
const RUNNING: Platform = Platform::Macos;
#[cfg(windows)]
const RUNNING: Platform = Platform::Windows;

/// The files of each Unix can be written below a root on every other one.
const fn manager(platform: Platform) -> Option<Manager> {
    match platform {
        #[cfg(unix)]
        Platform::Linux => Some(systemd::MANAGER),
        #[cfg(unix)]
        Platform::Macos => Some(launchd::MANAGER),
        #[cfg(unix)]
        Platform::Windows => None,
        // It refuses every root, and says so better than that the platform below it is another one.
        #[cfg(windows)]
        Platform::Windows | Platform::Linux | Platform::Macos => Some(windows::MANAGER),
    }
}

fn of(platform: Platform) -> Result<Manager, ServiceError> {
    manager(platform).ok_or(ServiceError::Unsupported(platform))
}

/// Installs the service, or sets up an installed one again, and starts it if `start` says so. With `root`, whose platform is given,
/// it only writes the files there and starts nothing. Returns the completed steps, one line each.
///
/// # Errors
/// A step failed; earlier steps are not undone.
pub fn install(
    platform: Platform,
    program: &Path,
    root: Option<&Path>,
    start: bool,
) -> Result<Vec<String>, ServiceError> {
    (of(platform)?.install)(program, root, start)
}

/// Stops the service and removes its files; settings and state are kept. Returns the completed steps, one line each.
///
/// # Errors
/// A step failed; earlier steps are not undone.
pub fn uninstall(platform: Platform, root: Option<&Path>) -> Result<Vec<String>, ServiceError> {
    (of(platform)?.uninstall)(root)
}

/// Starts the installed service of the running system and waits until it runs. Returns the completed steps, one line each.
///
/// # Errors
/// It is not installed, or does not start.
pub fn start() -> Result<Vec<String>, ServiceError> {
    (of(RUNNING)?.start)()
}

/// Stops the service of the running system and waits until it has stopped. Returns the completed steps, one line each.
///
/// # Errors
/// It is not installed, or does not stop.
pub fn stop() -> Result<Vec<String>, ServiceError> {
    (of(RUNNING)?.stop)()
}

/// Reads the state of the service.
///
/// # Errors
/// The service manager cannot be queried.
pub fn status(platform: Platform, root: Option<&Path>) -> Result<ServiceStatus, ServiceError> {
    (of(platform)?.status)(root)
}

#[cfg(unix)]
fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ServiceError {
    let path = path.to_owned();
    move |source| ServiceError::File { operation, path, source }
}

/// Runs a program of the system. Returns what it printed.
#[cfg(unix)]
fn run(command: &[&str]) -> Result<String, ServiceError> {
    let program = command.join(" ");
    let output = std::process::Command::new(command[0]).args(&command[1..]).output();
    let output = output.map_err(|source| ServiceError::Run { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ServiceError::Failed { program, output: stderr })
}
