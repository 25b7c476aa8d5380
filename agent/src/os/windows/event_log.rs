//! The Event Log of Windows, log "Application", source `MusterAgent`. The texts need no message file of our own: Windows has a program,
//! `EventCreate.exe`, whose messages 1 to 1000 are the text itself.

use std::io;

use windows_registry::LOCAL_MACHINE;
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE, REPORT_EVENT_TYPE,
    RegisterEventSourceW, ReportEventW,
};

use super::Severity;
use crate::os::service::NAME;
use crate::os::supervisor;

const SOURCES: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application";
const MESSAGE_FILE: &str = r"%SystemRoot%\System32\EventCreate.exe";
/// The source has errors, warnings and information.
const TYPES: u32 = 7;
/// The errors of Windows for a key that does not exist.
const FILE_NOT_FOUND: i32 = 2;

pub(super) fn is_needed() -> bool {
    supervisor::is_hosted()
}

/// The type of an event, and its id, by which administrators filter.
const fn kind(severity: Severity) -> (REPORT_EVENT_TYPE, u32) {
    match severity {
        Severity::Information => (EVENTLOG_INFORMATION_TYPE, 1),
        Severity::Warning => (EVENTLOG_WARNING_TYPE, 2),
        Severity::Error => (EVENTLOG_ERROR_TYPE, 3),
    }
}

fn wide(text: &str) -> Vec<u16> {
    // A NUL would end the text early.
    text.encode_utf16().filter(|unit| *unit != 0).chain([0]).collect()
}

#[expect(unsafe_code, reason = "the standard library does not know the Event Log")]
pub(super) fn report(severity: Severity, text: &str) {
    let (kind, id) = kind(severity);
    let (name, text) = (wide(NAME), wide(text));
    // SAFETY: both texts end with a NUL and outlive the calls; the array has the one string that is announced; no user and no
    // data are passed; the handle is closed once.
    // <https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-reporteventw>
    unsafe {
        let source = RegisterEventSourceW(std::ptr::null(), name.as_ptr());
        if source.is_null() {
            return;
        }
        let strings = [text.as_ptr()];
        // There is no other place to say that this failed.
        let _ = ReportEventW(source, kind, 0, id, std::ptr::null_mut(), 1, 0, strings.as_ptr(), std::ptr::null());
        let _ = DeregisterEventSource(source);
    }
}

pub(super) fn register() -> io::Result<String> {
    let key = of_windows(LOCAL_MACHINE.create(format!(r"{SOURCES}\{NAME}")))?;
    of_windows(key.set_expand_string("EventMessageFile", MESSAGE_FILE))?;
    of_windows(key.set_u32("TypesSupported", TYPES))?;
    Ok(format!("registered the source {NAME} of the Event Log"))
}

pub(super) fn unregister() -> io::Result<Option<String>> {
    let sources = of_windows(LOCAL_MACHINE.options().read().write().open(SOURCES));
    match sources.and_then(|sources| of_windows(sources.remove_tree(NAME))) {
        Ok(()) => Ok(Some(format!("removed the source {NAME} of the Event Log"))),
        Err(error) if error.raw_os_error() == Some(FILE_NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The error of Windows is the lower half of the code.
fn of_windows<T>(result: windows_registry::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::from_raw_os_error(error.code().0 & 0xffff))
}
