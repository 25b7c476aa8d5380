//! Events: what Windows signals, and what a thread waits for.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::{HANDLE, WAIT_OBJECT_0, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{CreateEventW, INFINITE, SetEvent, WaitForMultipleObjects};

/// An event that the end of a wait resets.
#[derive(Debug)]
pub(super) struct Event(OwnedHandle);

impl Event {
    #[expect(unsafe_code, reason = "events of Windows")]
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointer is passed, and the handle is checked before it is owned.
        // <https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-createeventw>
        let handle = unsafe { CreateEventW(ptr::null(), 0, 0, ptr::null()) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the handle is new and nobody else's.
        Ok(Self(unsafe { OwnedHandle::from_raw_handle(handle) }))
    }

    pub(super) fn handle(&self) -> HANDLE {
        self.0.as_raw_handle()
    }

    #[expect(unsafe_code, reason = "events of Windows")]
    pub(super) fn set(&self) {
        // SAFETY: the handle is an open event. <https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-setevent>
        unsafe { SetEvent(self.handle()) };
    }

    /// Whether it was signaled in time.
    pub(super) fn wait(&self, limit: Duration) -> bool {
        matches!(wait(&[self.handle()], Some(limit)), Ok(Some(_)))
    }
}

/// Waits for the first of at most 64 handles to be signaled, and returns its number; `None` when the time is over.
///
/// # Errors
/// A handle cannot be waited for.
#[expect(unsafe_code, reason = "events of Windows")]
pub(super) fn wait(handles: &[HANDLE], limit: Option<Duration>) -> io::Result<Option<usize>> {
    let count = u32::try_from(handles.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let millis = limit.map_or(INFINITE, |limit| u32::try_from(limit.as_millis()).unwrap_or(INFINITE - 1));
    // SAFETY: the slice has as many handles as are named, and the caller owns them for the whole of the call.
    // <https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-waitformultipleobjects>
    let result = unsafe { WaitForMultipleObjects(count, handles.as_ptr(), 0, millis) };
    match result {
        WAIT_TIMEOUT => Ok(None),
        number if number.wrapping_sub(WAIT_OBJECT_0) < count => Ok(Some(number.wrapping_sub(WAIT_OBJECT_0) as usize)),
        _ => Err(io::Error::last_os_error()),
    }
}
