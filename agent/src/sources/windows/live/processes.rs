//! The processes of the running system, with the image path of those that are wanted. Arguments are not read.

use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_INVALID_PARAMETER, ERROR_NO_MORE_FILES, FILETIME, GetLastError, HANDLE,
    INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, PROCESS_NAME_WIN32, PROCESS_QUERY_LIMITED_INFORMATION, QueryFullProcessImageNameW,
};

use crate::sources::parse::windows::wmi::{ROWS, WmiError};

/// The longest path of a file in Windows, in units of UTF-16.
const PATH_UNITS: usize = 32_768;

/// A process, with its image path if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sources::windows) struct Process {
    pub(in crate::sources::windows) name: String,
    pub(in crate::sources::windows) path: Option<String>,
}

/// The wanted processes, and this one, which shows that the list was read.
///
/// # Errors
/// The list cannot be read, or is not complete.
pub(in crate::sources::windows) fn list(is_wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Process>, WmiError> {
    let all = all()?;
    let own = std::process::id();
    if all.iter().all(|(id, _)| *id != own) {
        return Err(WmiError::Failed("the list does not have the agent itself".to_owned()));
    }
    let mut found = Vec::new();
    for (id, name) in all.into_iter().filter(|(id, name)| *id == own || is_wanted(name)) {
        match image_path(id) {
            Ok(path) => found.push(Process { name, path: Some(path) }),
            // It has ended since.
            Err(ERROR_INVALID_PARAMETER) => {}
            Err(_) => found.push(Process { name, path: None }),
        }
    }
    Ok(found)
}

fn last_error() -> WmiError {
    match last_code() {
        ERROR_ACCESS_DENIED => WmiError::Denied,
        code => WmiError::Failed(format!("Windows answers with error {code}")),
    }
}

#[expect(unsafe_code, reason = "the standard library gives the code as a signed number only")]
fn last_code() -> u32 {
    // SAFETY: it reads a number of this thread.
    // <https://learn.microsoft.com/windows/win32/api/errhandlingapi/nf-errhandlingapi-getlasterror>
    unsafe { GetLastError() }
}

/// Id and name of every process.
pub(in crate::sources::windows) fn all() -> Result<Vec<(u32, String)>, WmiError> {
    let snapshot = snapshot()?;
    let mut entry = PROCESSENTRY32W { dwSize: size_of_u32::<PROCESSENTRY32W>(), ..PROCESSENTRY32W::default() };
    let mut found = Vec::new();
    let mut is_there = next(&snapshot, &mut entry, true);
    while is_there && found.len() < ROWS {
        let end = entry.szExeFile.iter().position(|unit| *unit == 0).unwrap_or(entry.szExeFile.len());
        found.push((entry.th32ProcessID, String::from_utf16_lossy(&entry.szExeFile[..end])));
        is_there = next(&snapshot, &mut entry, false);
    }
    match last_code() {
        _ if is_there => Err(WmiError::Failed(format!("there are more than {ROWS} processes"))),
        ERROR_NO_MORE_FILES => Ok(found),
        _ => Err(last_error()),
    }
}

fn size_of_u32<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX)
}

#[expect(unsafe_code, reason = "the standard library lists no processes")]
fn snapshot() -> Result<OwnedHandle, WmiError> {
    // SAFETY: the function takes two numbers and returns a new handle, which only this function's result owns.
    // <https://learn.microsoft.com/windows/win32/api/tlhelp32/nf-tlhelp32-createtoolhelp32snapshot>
    unsafe {
        let handle = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
        if handle == INVALID_HANDLE_VALUE { Err(last_error()) } else { Ok(OwnedHandle::from_raw_handle(handle)) }
    }
}

#[expect(unsafe_code, reason = "the standard library lists no processes")]
fn next(snapshot: &OwnedHandle, entry: &mut PROCESSENTRY32W, is_first: bool) -> bool {
    let snapshot: HANDLE = snapshot.as_raw_handle();
    // SAFETY: the handle is open, and the entry is writable and says its size.
    // <https://learn.microsoft.com/windows/win32/api/tlhelp32/nf-tlhelp32-process32nextw>
    unsafe { if is_first { Process32FirstW(snapshot, entry) != 0 } else { Process32NextW(snapshot, entry) != 0 } }
}

/// Opens a process for what is visible of every process, a protected one included.
///
/// # Errors
/// The error of Windows.
#[expect(unsafe_code, reason = "the standard library opens no processes")]
pub(in crate::sources::windows) fn open(id: u32) -> Result<OwnedHandle, u32> {
    // SAFETY: the function takes three numbers and returns a new handle or null; only this function's result owns it.
    // <https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-openprocess>
    unsafe {
        let handle = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, id);
        if handle.is_null() { Err(last_code()) } else { Ok(OwnedHandle::from_raw_handle(handle)) }
    }
}

#[expect(unsafe_code, reason = "the standard library does not know the paths of processes")]
fn image_path(id: u32) -> Result<String, u32> {
    let process = open(id)?;
    let mut path = vec![0_u16; PATH_UNITS];
    let mut length = u32::try_from(path.len()).unwrap_or(u32::MAX);
    // SAFETY: the handle is open, and the buffer has as many units as `length` says.
    // <https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-queryfullprocessimagenamew>
    let is_known = unsafe {
        QueryFullProcessImageNameW(process.as_raw_handle(), PROCESS_NAME_WIN32, path.as_mut_ptr(), &raw mut length) != 0
    };
    if !is_known {
        return Err(last_code());
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(path.len());
    Ok(String::from_utf16_lossy(&path[..length]))
}

/// When the oldest process of this name started, in hundreds of nanoseconds since 1601. The clock may have been wrong then, but
/// the time does not change afterwards.
pub(in crate::sources::windows) fn start_of(wanted: &str) -> Option<u64> {
    let of_name = all().ok()?.into_iter().filter(|(_, name)| name.eq_ignore_ascii_case(wanted));
    of_name.filter_map(|(id, _)| start(&open(id).ok()?)).min()
}

#[expect(unsafe_code, reason = "the standard library does not know when processes started")]
fn start(process: &OwnedHandle) -> Option<u64> {
    let [mut start, mut exit, mut kernel, mut user] = [FILETIME::default(); 4];
    // SAFETY: the handle is open, and every place is writable.
    // <https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-getprocesstimes>
    let is_known = unsafe {
        GetProcessTimes(process.as_raw_handle(), &raw mut start, &raw mut exit, &raw mut kernel, &raw mut user) != 0
    };
    let time = u64::from(start.dwHighDateTime) << 32 | u64::from(start.dwLowDateTime);
    (is_known && time > 0).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_listed_with_its_path() {
        let found = list(&|_| false).expect("listed");
        assert_eq!(found.len(), 1, "only this process is wanted: {found:?}");
        let own = std::env::current_exe().expect("a program");
        let (name, path) = (&found[0].name, found[0].path.clone().expect("a path"));
        assert!(own.ends_with(name), "{name} is not the name of {}", own.display());
        assert!(path.to_ascii_lowercase().ends_with(&name.to_ascii_lowercase()) && path.contains(':'), "{path}");
    }

    #[test]
    fn processes_of_the_system_have_a_path_too() {
        // It runs on every Windows, and is protected there.
        let is_manager = |name: &str| name.eq_ignore_ascii_case("services.exe");
        let found = list(&is_manager).expect("listed");
        let manager = found.iter().find(|process| is_manager(&process.name)).expect("it runs");
        let path = manager.path.clone().expect("a path").to_ascii_lowercase();
        assert!(path.ends_with(r"\system32\services.exe"), "{path}");
    }

    #[test]
    fn the_start_of_the_service_manager_does_not_change() {
        let first = start_of("SERVICES.EXE").expect("it runs on every Windows");
        assert_eq!(start_of("services.exe"), Some(first));
        assert_eq!(start_of("muster-none.exe"), None);
    }

    #[test]
    fn a_process_that_has_ended_cannot_be_opened() {
        // Ids are multiples of four.
        assert_eq!(image_path(3_999_999_998), Err(ERROR_INVALID_PARAMETER));
    }
}
