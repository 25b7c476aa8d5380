//! Systems whose supervisors ask for nothing.

use std::ffi::OsString;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Supervisor;

impl Supervisor {
    pub(super) fn of(_variable: impl Fn(&str) -> Option<OsString>) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "other systems have something to say")]
    pub(super) const fn patience(&self) -> Option<Duration> {
        None
    }

    #[expect(clippy::unused_self, reason = "other systems have somebody to say it to")]
    pub(super) const fn say(&self, _words: &str) {}
}
