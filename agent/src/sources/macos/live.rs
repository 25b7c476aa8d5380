//! What only the running macOS answers: the programs of its processes and its boot. Nothing here was run on a Mac by a test.

use std::ffi::CStr;
use std::ptr;

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use super::running::Running;
use crate::sources::parse::macos::boot_session;

/// The programs of all processes. Those of other users say nothing to anybody but an administrator.
pub(super) fn running() -> Running {
    let Ok(mut system) = System::new() else { return Running { some_hidden: true, ..Running::default() } };
    let refresh = ProcessRefreshKind::nothing().with_exe(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, refresh);
    let mut running = Running::default();
    for process in system.processes().values() {
        match process.exe().and_then(|path| path.to_str()).filter(|path| path.starts_with('/')) {
            Some(path) => drop(running.programs.insert(path.to_owned())),
            None => running.some_hidden = true,
        }
    }
    // The kernel is a process without a program.
    running.some_hidden &= !rustix::process::geteuid().is_root();
    running
}

/// An id that is new with every start.
pub(super) fn boot_id() -> String {
    let mut answer = [0_u8; 64];
    kernel_value(c"kern.bootsessionuuid", &mut answer).and_then(boot_session::id).unwrap_or_default()
}

/// What the kernel says under a name; `None` if it does not know the name, or says more than fits.
#[expect(unsafe_code, reason = "the standard library does not ask the kernel")]
fn kernel_value<'b>(name: &CStr, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut length = buffer.len();
    // SAFETY: the name ends with a zero, the buffer is writable and as long as is said, and nothing is set. `sysctlbyname(3)`.
    let failed =
        unsafe { libc::sysctlbyname(name.as_ptr(), buffer.as_mut_ptr().cast(), &raw mut length, ptr::null_mut(), 0) };
    if failed == 0 { buffer.get(..length) } else { None }
}
