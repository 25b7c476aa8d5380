//! Systems whose service manager expects no notifications.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use super::Notification;

#[expect(clippy::unnecessary_wraps, reason = "other systems can fail here")]
pub(super) fn host<T, E>(work: impl FnOnce() -> Result<T, E>) -> io::Result<Result<T, E>> {
    Ok(work())
}

#[derive(Debug)]
pub(super) struct Supervisor;

impl Supervisor {
    pub(super) fn of(_variable: impl Fn(&str) -> Option<OsString>) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "other systems use their fields")]
    pub(super) const fn watchdog_timeout(&self) -> Option<Duration> {
        None
    }

    #[expect(clippy::unused_self, reason = "other systems use their fields")]
    pub(super) const fn notify(&self, _notification: Notification<'_>) {}
}
