//! Systems whose service manager expects no notifications.

use std::ffi::OsString;
use std::time::Duration;

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
    pub(super) const fn notify(&self, _message: &str) {}
}
