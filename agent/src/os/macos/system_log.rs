//! The log of macOS, which `log show` and the Console read. macOS bounds and rotates it.

use std::ffi::CString;
use std::io::IsTerminal;

use super::Severity;

/// launchd is the parent of what it starts, and gives it no terminal.
pub(super) fn is_needed() -> bool {
    let is_of_launchd = rustix::process::getppid().is_some_and(rustix::process::Pid::is_init);
    is_of_launchd && !std::io::stderr().is_terminal()
}

#[expect(unsafe_code, reason = "the standard library does not know the log")]
pub(super) fn report(severity: Severity, text: &str) {
    let priority = match severity {
        Severity::Information => libc::LOG_NOTICE,
        Severity::Warning => libc::LOG_WARNING,
        Severity::Error => libc::LOG_ERR,
    };
    // A NUL would end the text early.
    let Ok(text) = CString::new(text.replace('\0', "")) else { return };
    // SAFETY: the format is constant and takes one text, which ends with a NUL and outlives the call. `syslog(3)`.
    unsafe { libc::syslog(libc::LOG_DAEMON | priority, c"%s".as_ptr(), text.as_ptr()) }
}
