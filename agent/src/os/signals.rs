//! Signals to a running agent: stop, reload the settings, or note that a user has logged on.

use std::io;

#[cfg(unix)]
#[path = "unix/signals.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows/signals.rs"]
mod platform;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Stop. The name is that of the signal.
    End(&'static str),
    /// Reload the settings.
    Reload,
    /// A user has logged on, so the system has loaded what belongs to that user. Only Windows says so.
    LogOn,
}

/// Receives the signals of this process.
#[derive(Debug)]
pub struct Signals(platform::Signals);

impl Signals {
    /// Starts to receive signals. Without this the system's default would end the process at once.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        platform::Signals::listen().map(Self)
    }

    /// Waits for the next signal. Cancel-safe.
    pub async fn next(&mut self) -> Signal {
        self.0.next().await
    }
}
