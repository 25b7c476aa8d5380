//! Stopping: a token that every task watches, and the signals that trigger it. The only file with `cfg(unix)`.

use std::sync::Arc;

use tokio::sync::watch;

/// A stop signal shared by all clones.
#[derive(Debug, Clone)]
pub struct StopToken {
    sender: Arc<watch::Sender<bool>>,
}

impl StopToken {
    /// A token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self { sender: Arc::new(watch::Sender::new(false)) }
    }

    /// Cancels all clones. A second call changes nothing.
    pub fn cancel(&self) {
        // `send` fails and stores nothing while nobody waits; `send_replace` always stores the value.
        self.sender.send_replace(true);
    }

    /// Whether the token is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.sender.borrow()
    }

    /// Waits until the token is cancelled; returns at once if it already is. The future owns what it needs.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut receiver = self.sender.subscribe();
        // Keep the sender: without one, waiting would end when the last other clone is dropped.
        let sender = Arc::clone(&self.sender);
        async move {
            // `wait_for` checks the current value first, so it does not miss an earlier stop.
            let _ = receiver.wait_for(|stop| *stop).await;
            drop(sender);
        }
    }
}

impl Default for StopToken {
    fn default() -> Self {
        Self::new()
    }
}

/// A request from outside the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Stop: SIGTERM, SIGINT, ctrl-c.
    Stop,
    /// Read rules and certificates again: SIGHUP.
    Reload,
}

/// The signals of this operating system.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    /// Starts to listen, which turns off the default reaction (to end at once).
    ///
    /// # Errors
    /// The operating system refuses a handler.
    pub fn listen() -> std::io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hang_up: signal(SignalKind::hangup())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        #[cfg(unix)]
        {
            tokio::select! {
                _ = self.terminate.recv() => Signal::Stop,
                _ = self.interrupt.recv() => Signal::Stop,
                _ = self.hang_up.recv() => Signal::Reload,
            }
        }
        #[cfg(not(unix))]
        {
            let _ = tokio::signal::ctrl_c().await;
            Signal::Stop
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_after_the_stop_returns_at_once() {
        let token = StopToken::new();
        token.cancel();
        token.cancelled().await;
        assert!(token.is_cancelled());
    }

    #[tokio::test]
    async fn every_clone_is_cancelled() {
        let token = StopToken::new();
        let clone = token.clone();
        let waiting = tokio::spawn(async move { clone.cancelled().await });
        token.cancel();
        waiting.await.expect("the waiting task ends");
    }

    #[tokio::test]
    async fn a_waiting_future_does_not_end_when_the_other_clones_are_dropped() {
        let waiting = StopToken::new().cancelled();
        let timeout = tokio::time::timeout(std::time::Duration::from_millis(20), waiting).await;
        assert!(timeout.is_err(), "nobody cancelled it");
    }
}
