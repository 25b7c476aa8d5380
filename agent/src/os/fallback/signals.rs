//! Ctrl-C stops the agent; there is no signal to reload.

use std::io;

use super::Signal;

#[derive(Debug)]
pub(super) struct Signals;

impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "other systems can fail here")]
    pub(super) const fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::End("ctrl-c")
    }
}
