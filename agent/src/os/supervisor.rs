//! Reports the state of the service to the service manager: systemd, by its notification socket. Does nothing on other
//! systems, and when the service was not started by systemd.

use std::time::Duration;

#[cfg(target_os = "linux")]
#[path = "linux/supervisor.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "fallback/supervisor.rs"]
mod platform;

/// The connection to the service manager.
#[derive(Debug)]
pub struct Supervisor(platform::Supervisor);

impl Supervisor {
    /// The service manager that the environment names, if any.
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
        self.0.notify(&format!("READY=1\nSTATUS={status}"));
    }

    /// The service reloads its settings; [`Self::ready`] must follow.
    pub fn reloading(&self) {
        self.0.notify("RELOADING=1");
    }

    /// The service is stopping.
    pub fn stopping(&self) {
        self.0.notify("STOPPING=1");
    }

    /// The service is alive.
    pub fn alive(&self) {
        self.0.notify("WATCHDOG=1");
    }

    /// Sets the status line for people.
    pub fn status(&self, status: &str) {
        self.0.notify(&format!("STATUS={status}"));
    }
}
