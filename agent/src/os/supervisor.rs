//! Whoever started the service and wants to know how it is: systemd, by its notification socket. Elsewhere, and when
//! nobody asked to be told, every word goes nowhere.

use std::time::Duration;

#[cfg(target_os = "linux")]
#[path = "linux/supervisor.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere/supervisor.rs"]
mod platform;

/// The line to the supervisor.
#[derive(Debug)]
pub struct Supervisor(platform::Supervisor);

impl Supervisor {
    /// The supervisor that the environment names, if it names one.
    #[must_use]
    pub fn of_environment() -> Self {
        Self(platform::Supervisor::of(|name| std::env::var_os(name)))
    }

    /// How often it wants to hear that the process lives: half of the time after which it would lose patience.
    #[must_use]
    pub fn pulse(&self) -> Option<Duration> {
        self.0.patience().map(|patience| patience / 2)
    }

    /// The service is at work; `status` is one line for people.
    pub fn ready(&self, status: &str) {
        self.0.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// The settings are read anew; [`Self::ready`] follows.
    pub fn reloading(&self) {
        self.0.say("RELOADING=1");
    }

    /// The service is about to end.
    pub fn stopping(&self) {
        self.0.say("STOPPING=1");
    }

    /// The process lives.
    pub fn alive(&self) {
        self.0.say("WATCHDOG=1");
    }

    /// One line for people.
    pub fn status(&self, status: &str) {
        self.0.say(&format!("STATUS={status}"));
    }
}
