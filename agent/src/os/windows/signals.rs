//! The controls of the service manager, or Ctrl-C and Ctrl-Break in a console. A service listens to no console: a log-off
//! would reach it there.

use std::io;

use tokio::signal::windows::{CtrlBreak, CtrlC, ctrl_break, ctrl_c};
use tokio::sync::watch;

use super::Signal;
use crate::os::supervisor::controls::Controls;
use crate::os::supervisor::{is_hosted, pending_controls};

#[derive(Debug)]
pub(super) enum Signals {
    Service { arrived: watch::Receiver<Controls>, taken: Controls },
    Console { interrupt: CtrlC, break_key: CtrlBreak },
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        if is_hosted() {
            return Ok(Self::Service { arrived: pending_controls(), taken: Controls::default() });
        }
        Ok(Self::Console { interrupt: ctrl_c()?, break_key: ctrl_break()? })
    }

    pub(super) async fn next(&mut self) -> Signal {
        match self {
            Self::Service { arrived, taken } => loop {
                let controls = *arrived.borrow_and_update();
                if let Some(signal) = taken.take(controls) {
                    return signal;
                }
                if arrived.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            },
            Self::Console { interrupt, break_key } => {
                tokio::select! {
                    _ = interrupt.recv() => Signal::End("ctrl-c"),
                    _ = break_key.recv() => Signal::End("ctrl-break"),
                }
            }
        }
    }
}
