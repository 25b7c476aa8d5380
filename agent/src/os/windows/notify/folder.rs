//! A folder that is watched. Windows names the entries that have changed.

use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OVERLAPPED, FILE_LIST_DIRECTORY, FILE_NOTIFY_CHANGE_DIR_NAME,
    FILE_NOTIFY_CHANGE_FILE_NAME, FILE_NOTIFY_CHANGE_LAST_WRITE, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE,
    ReOpenFile, ReadDirectoryChangesW,
};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};

use super::super::folder_changes::names;
use super::event::Event;
use super::{Changes, Notice, WatchError, WatchId, reason};

/// The buffer for changes that Windows collects: some hundred names. Its elements are as large as its alignment must be.
const BUFFER: usize = 2048;
const BUFFER_BYTES: u32 = 4 * BUFFER as u32;
/// How long a request may take to be cancelled.
const CANCELLED: Duration = Duration::from_secs(1);

/// The folder again, with a handle that can be waited for.
#[expect(unsafe_code, reason = "the handle of a source cannot be waited for")]
pub(super) fn reopened(directory: &File) -> Result<OwnedHandle, WatchError> {
    // SAFETY: the handle is that of an open file, and the new one is checked before it is owned.
    // <https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-reopenfile>
    let handle = unsafe {
        ReOpenFile(
            directory.as_raw_handle(),
            FILE_LIST_DIRECTORY,
            // Others may remove or rename the folder meanwhile.
            FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
            FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED,
        )
    };
    if handle == INVALID_HANDLE_VALUE {
        return Err(reason(&io::Error::last_os_error()));
    }
    // SAFETY: the handle is new and nobody else's.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// An open folder, and what Windows writes its changes into.
pub(super) struct FolderWatch {
    folder: OwnedHandle,
    pub(super) event: Event,
    changes: Changes,
    /// Windows has the addresses of both while a request waits.
    request: Box<(OVERLAPPED, [u32; BUFFER])>,
    is_waiting: bool,
}

impl FolderWatch {
    pub(super) fn open(folder: OwnedHandle, changes: Changes, event: Event) -> Result<Self, WatchError> {
        let request = Box::new((OVERLAPPED::default(), [0; BUFFER]));
        let mut watch = Self { folder, event, changes, request, is_waiting: false };
        watch.request().map_err(|error| reason(&error))?;
        Ok(watch)
    }

    /// Requests the next changes.
    #[expect(unsafe_code, reason = "Windows reports changes of folders only so")]
    fn request(&mut self) -> io::Result<()> {
        let filter = FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_DIR_NAME;
        // Windows counts a new entry as a write of its folder, so a folder is not watched for the writes of folders in it.
        let filter = if self.changes == Changes::Names { filter } else { filter | FILE_NOTIFY_CHANGE_LAST_WRITE };
        let below = i32::from(self.changes == Changes::Below);
        self.request.0 = OVERLAPPED { hEvent: self.event.handle(), ..OVERLAPPED::default() };
        let (overlapped, buffer) = &mut *self.request;
        // SAFETY: the request is on the heap and neither moved, changed nor freed while Windows has its addresses: `drop` waits
        // for the request to be cancelled, or leaves the memory to it. The folder was opened for requests that wait.
        // <https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-readdirectorychangesw>
        let done = unsafe {
            let buffer = buffer.as_mut_ptr().cast();
            let folder = self.folder.as_raw_handle();
            ReadDirectoryChangesW(folder, buffer, BUFFER_BYTES, below, filter, ptr::null_mut(), overlapped, None)
        };
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        self.is_waiting = true;
        Ok(())
    }

    /// What has happened, after the event was signaled. Windows collects further changes until the next request is made.
    pub(super) fn happened(&mut self, id: WatchId) -> Vec<Notice> {
        let mut notices = match self.result() {
            // So much has changed that the names had no space.
            Ok(0) => vec![Notice::Overflow],
            Ok(length) => {
                let bytes: Vec<u8> = self.request.1.iter().flat_map(|four| four.to_ne_bytes()).take(length).collect();
                let entry = |name| Notice::Entry { directory: id, name };
                names(&bytes).map_or_else(|| vec![Notice::Overflow], |names| names.into_iter().map(entry).collect())
            }
            Err(_) => return vec![Notice::Removed(id)],
        };
        if self.request().is_err() {
            notices.push(Notice::Removed(id));
        }
        notices
    }

    /// The number of bytes in the buffer.
    #[expect(unsafe_code, reason = "Windows reports changes of folders only so")]
    fn result(&mut self) -> io::Result<usize> {
        let mut length = 0;
        // SAFETY: the request was made with this folder, and the event says that it is done; no wait.
        // <https://learn.microsoft.com/windows/win32/api/ioapiset/nf-ioapiset-getoverlappedresult>
        let done = unsafe { GetOverlappedResult(self.folder.as_raw_handle(), &self.request.0, &mut length, 0) };
        self.is_waiting = false;
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok((length as usize).min(4 * BUFFER)) }
    }
}

impl Drop for FolderWatch {
    #[expect(unsafe_code, reason = "Windows reports changes of folders only so")]
    fn drop(&mut self) {
        if !self.is_waiting {
            return;
        }
        // SAFETY: the request was made with this folder and is still in place.
        // <https://learn.microsoft.com/windows/win32/api/ioapiset/nf-ioapiset-cancelioex>
        unsafe { CancelIoEx(self.folder.as_raw_handle(), &self.request.0) };
        if !self.event.wait(CANCELLED) {
            // Windows may still write there.
            let left = std::mem::replace(&mut self.request, Box::new((OVERLAPPED::default(), [0; BUFFER])));
            std::mem::forget(left);
        }
    }
}
