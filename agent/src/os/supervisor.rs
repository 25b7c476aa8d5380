//! The service manager that started this process: runs the service's work under it, and reports the state of the service.
//! That is systemd, by its notification socket, or the service manager of Windows. Without one, as in a terminal, the work
//! simply runs and the reports go nowhere.

use std::io;
use std::time::Duration;

#[cfg(windows)]
pub(in crate::os) use platform::{is_hosted, pending_controls, system_error};

#[cfg(any(windows, test))]
#[path = "windows/controls.rs"]
pub(in crate::os) mod controls;
#[cfg(target_os = "linux")]
#[path = "linux/supervisor.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows/supervisor.rs"]
mod platform;
#[cfg(not(any(target_os = "linux", windows)))]
#[path = "fallback/supervisor.rs"]
mod platform;

/// Runs the service's work. On Windows the service manager needs the thread that calls this, so the work then runs on
/// another one; call it before an async runtime is started. The service manager learns whether the work failed.
///
/// # Errors
/// The service manager has started this process, but cannot be used.
pub fn host<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> io::Result<Result<T, E>>
where
    T: Send + 'static,
    E: Send + 'static,
{
    platform::host(work)
}

/// What the service reports to its manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notification<'a> {
    /// The service has started, or has reloaded its settings. The text is one line for people.
    Ready(&'a str),
    Reloading,
    Stopping,
    Alive,
    /// One line for people.
    Status(&'a str),
}

/// The connection to the service manager.
#[derive(Debug)]
pub struct Supervisor(platform::Supervisor);

impl Supervisor {
    /// The service manager that started this process, if any.
    #[must_use]
    pub fn of_environment() -> Self {
        Self(platform::Supervisor::of(|name| std::env::var_os(name)))
    }

    /// How often to call [`Self::alive`]: half the watchdog timeout; `None` without a watchdog.
    #[must_use]
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.0.watchdog_timeout().map(|watchdog_timeout| watchdog_timeout / 2)
    }

    /// The service has started; `status` is one line for people.
    pub fn ready(&self, status: &str) {
        self.0.notify(Notification::Ready(status));
    }

    /// The service reloads its settings; [`Self::ready`] must follow.
    pub fn reloading(&self) {
        self.0.notify(Notification::Reloading);
    }

    /// The service is stopping.
    pub fn stopping(&self) {
        self.0.notify(Notification::Stopping);
    }

    /// The service is alive.
    pub fn alive(&self) {
        self.0.notify(Notification::Alive);
    }

    /// Sets the status line for people.
    pub fn status(&self, status: &str) {
        self.0.notify(Notification::Status(status));
    }
}
