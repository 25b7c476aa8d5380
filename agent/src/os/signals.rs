//! What the system or the user asks of a running agent: to end, or to read its settings anew.

use std::io;

#[cfg(unix)]
#[path = "unix/signals.rs"]
mod platform;
#[cfg(not(unix))]
#[path = "elsewhere/signals.rs"]
mod platform;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// To end, with the name of what said so.
    End(&'static str),
    /// To read the settings anew.
    Reload,
}

/// The signals of this process from now on.
#[derive(Debug)]
pub struct Signals(platform::Signals);

impl Signals {
    /// Takes the signals over from the system, whose answer would be to end the process at once.
    ///
    /// # Errors
    /// They cannot be caught.
    pub fn listen() -> io::Result<Self> {
        platform::Signals::listen().map(Self)
    }

    /// Waits for the next one. Nothing is lost when it is dropped.
    pub async fn next(&mut self) -> Signal {
        self.0.next().await
    }
}
