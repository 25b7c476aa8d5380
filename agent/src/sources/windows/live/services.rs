//! The services and drivers that the service manager of the running system knows, and which of them run.

use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_INVALID_HANDLE, ERROR_MORE_DATA, GetLastError};
use windows_sys::Win32::System::Services::{
    CloseServiceHandle, ENUM_SERVICE_STATUS_PROCESSW, EnumServicesStatusExW, OpenSCManagerW, SC_ENUM_PROCESS_INFO,
    SC_HANDLE, SC_MANAGER_ENUMERATE_SERVICE, SERVICE_DRIVER, SERVICE_RUNNING, SERVICE_STATE_ALL, SERVICE_WIN32,
};

use std::time::Duration;

use muster_proto::model::Outcome;

use crate::sources::windows::service_status::ServiceStatus;

/// Bytes of one call. Windows accepts at most 256 KiB and continues where the last call ended.
const BUFFER_BYTES: usize = 256 * 1024;
/// Limit of calls. Each returns some hundred services.
const CALLS: usize = 1024;
/// How often the services are listed at most while the connection to the service manager breaks.
const ATTEMPTS: u32 = 3;
/// Pause before the second attempt; the next one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// An open service manager.
struct Manager(SC_HANDLE);

impl Drop for Manager {
    #[expect(unsafe_code, reason = "the standard library does not know the service manager")]
    fn drop(&mut self) {
        // SAFETY: the handle was opened by `open` and is closed once.
        // <https://learn.microsoft.com/windows/win32/api/winsvc/nf-winsvc-closeservicehandle>
        unsafe { CloseServiceHandle(self.0) };
    }
}

/// Every service and driver.
///
/// # Errors
/// `denied` or `failed`.
pub(in crate::sources::windows) fn list() -> Result<Vec<ServiceStatus>, Outcome> {
    let mut attempt = 1;
    loop {
        match list_once() {
            Err(code) if attempt < ATTEMPTS && is_broken_connection(code) => {
                std::thread::sleep(PAUSE * attempt);
                attempt += 1;
            }
            result => return result.map_err(outcome_of),
        }
    }
}

fn list_once() -> Result<Vec<ServiceStatus>, u32> {
    let manager = open()?;
    // Entries are structures with pointers, so the buffer is aligned as they are.
    let mut buffer = vec![0_u64; BUFFER_BYTES / size_of::<u64>()];
    let (mut found, mut resume) = (Vec::new(), 0);
    for _ in 0..CALLS {
        let is_complete = next(&manager, &mut buffer, &mut resume, &mut found)?;
        if is_complete {
            return Ok(found);
        }
    }
    Err(ERROR_MORE_DATA)
}

/// Whether the service manager may answer the next time. It is another process. While it is busy or starts, calls fail; and
/// under Wine 8 the handles of one process that two threads open at once may be lost.
fn is_broken_connection(code: u32) -> bool {
    // `RPC_S_SERVER_UNAVAILABLE`, `RPC_S_SERVER_TOO_BUSY` and `RPC_S_CALL_FAILED`:
    // <https://learn.microsoft.com/windows/win32/rpc/rpc-return-values>
    matches!(code, ERROR_INVALID_HANDLE | 1722 | 1723 | 1726)
}

fn outcome_of(code: u32) -> Outcome {
    if code == ERROR_ACCESS_DENIED { Outcome::Denied } else { Outcome::Failed }
}

#[expect(unsafe_code, reason = "the standard library does not know the service manager")]
fn open() -> Result<Manager, u32> {
    // SAFETY: the names are null, which means this machine and its active database.
    // <https://learn.microsoft.com/windows/win32/api/winsvc/nf-winsvc-openscmanagerw>
    unsafe {
        let manager = OpenSCManagerW(std::ptr::null(), std::ptr::null(), SC_MANAGER_ENUMERATE_SERVICE);
        if manager.is_null() { Err(GetLastError()) } else { Ok(Manager(manager)) }
    }
}

/// Adds the services of one call; `true` if there are no more.
///
/// # Errors
/// The code of Windows. `ERROR_MORE_DATA`: there are more, but no call will return them.
#[expect(unsafe_code, reason = "the standard library does not know the service manager")]
fn next(manager: &Manager, buffer: &mut [u64], resume: &mut u32, found: &mut Vec<ServiceStatus>) -> Result<bool, u32> {
    let (mut needed, mut count) = (0, 0);
    let bytes = u32::try_from(size_of_val(buffer)).unwrap_or(u32::MAX);
    // SAFETY: the handle is open; the buffer is writable and has as many bytes as is said; no group is named.
    // <https://learn.microsoft.com/windows/win32/api/winsvc/nf-winsvc-enumservicesstatusexw>
    let (is_complete, code) = unsafe {
        let is_complete = EnumServicesStatusExW(
            manager.0,
            SC_ENUM_PROCESS_INFO,
            SERVICE_WIN32 | SERVICE_DRIVER,
            SERVICE_STATE_ALL,
            buffer.as_mut_ptr().cast(),
            bytes,
            &raw mut needed,
            &raw mut count,
            resume,
            std::ptr::null(),
        ) != 0;
        (is_complete, GetLastError())
    };
    if !is_complete && code != ERROR_MORE_DATA {
        return Err(code);
    }
    let count = usize::try_from(count).unwrap_or_default();
    if !is_complete && (count == 0 || *resume == 0) {
        // Not even one fits, or the next call would begin again.
        return Err(ERROR_MORE_DATA);
    }
    let count = count.min(size_of_val(buffer) / size_of::<ENUM_SERVICE_STATUS_PROCESSW>());
    // SAFETY: Windows has written this many entries at the start of the buffer, which is aligned for them and outlives them.
    let entries = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<ENUM_SERVICE_STATUS_PROCESSW>(), count) };
    for entry in entries {
        let status = &entry.ServiceStatusProcess;
        found.push(ServiceStatus {
            name: text(entry.lpServiceName),
            is_running: status.dwCurrentState == SERVICE_RUNNING,
            is_driver: status.dwServiceType & SERVICE_DRIVER != 0,
        });
    }
    Ok(is_complete)
}

#[expect(unsafe_code, reason = "the text is where Windows wrote it")]
fn text(start: *const u16) -> String {
    if start.is_null() {
        return String::new();
    }
    // SAFETY: the name of a service is a text in the buffer of the call, which ends with a zero and has at most 256 units.
    unsafe {
        let length = (0..=256).take_while(|at| *start.add(*at) != 0).count();
        String::from_utf16_lossy(std::slice::from_raw_parts(start, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_listed_with_their_states() {
        let all = list().expect("listed");
        // Wine runs neither `EventLog` nor `Winmgmt` until somebody needs them, but knows both.
        for name in ["EventLog", "Winmgmt"] {
            assert!(all.iter().any(|one| one.name.eq_ignore_ascii_case(name)), "{name} is not among {all:?}");
        }
        assert!(all.iter().any(|one| one.is_running), "nothing runs: {all:?}");
        assert!(all.iter().any(|one| one.is_driver), "no driver: {all:?}");
    }

    /// Every service with space for few of them, so that there are several calls; or the code and where the next would begin.
    fn list_in_small_portions() -> Result<Vec<ServiceStatus>, (u32, u32)> {
        let (mut found, mut resume) = (Vec::new(), 0);
        let manager = open().map_err(|code| (code, resume))?;
        let mut buffer = vec![0_u64; 128];
        for _ in 0..CALLS {
            if next(&manager, &mut buffer, &mut resume, &mut found).map_err(|code| (code, resume))? {
                return Ok(found);
            }
        }
        panic!("the services have no end")
    }

    #[test]
    fn a_small_buffer_is_filled_again_until_nothing_is_left() {
        let is_answer =
            |listed: &Result<_, (u32, u32)>| !matches!(listed, Err((code, _)) if is_broken_connection(*code));
        match (0..20).map(|_| list_in_small_portions()).find(is_answer).expect("answered") {
            Ok(found) => {
                let names = |list: &[ServiceStatus]| list.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
                assert_eq!(names(&found), names(&list().expect("listed")));
            }
            Err((code, resume)) => {
                // Wine 8 does not continue: it gives no services and no place to continue at. That must not look complete.
                assert_eq!((code, resume), (ERROR_MORE_DATA, 0));
                assert_eq!(outcome_of(code), Outcome::Failed);
            }
        }
    }
}
