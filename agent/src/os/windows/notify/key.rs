//! A key of the registry that is watched. Windows says that something has changed, and not what.

use windows_registry::{Key, LOCAL_MACHINE};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_FILE_NOT_FOUND, ERROR_KEY_DELETED, ERROR_PATH_NOT_FOUND,
};
use windows_sys::Win32::System::Registry::{
    KEY_NOTIFY, KEY_QUERY_VALUE, KEY_WOW64_64KEY, REG_NOTIFY_CHANGE_LAST_SET, REG_NOTIFY_CHANGE_NAME,
    REG_NOTIFY_THREAD_AGNOSTIC, RegNotifyChangeKeyValue,
};

use super::event::Event;
use super::{Changes, Notice, WatchError, WatchId};

/// An open key and the event that its next change signals.
pub(super) struct KeyWatch {
    key: Key,
    pub(super) event: Event,
    changes: Changes,
}

impl KeyWatch {
    /// Opens a key below `HKLM` and requests its next change.
    pub(super) fn open(path: &str, changes: Changes, event: Event) -> Result<Self, WatchError> {
        let (top, below) = path.split_once('\\').unwrap_or((path, ""));
        if !top.eq_ignore_ascii_case("HKLM") {
            return Err(WatchError::NotOffered);
        }
        let opened = LOCAL_MACHINE.options().access(KEY_NOTIFY | KEY_QUERY_VALUE | KEY_WOW64_64KEY).open(below);
        // The lower half of the code is the error of Windows.
        let key = opened.map_err(|error| reason(error.code().0.cast_unsigned() & 0xffff))?;
        let watch = Self { key, event, changes };
        watch.request()?;
        Ok(watch)
    }

    /// Whether the key still exists. Another one may have its name by now.
    pub(super) fn exists(&self) -> bool {
        self.key.keys().is_ok()
    }

    /// Requests the next change.
    #[expect(unsafe_code, reason = "the registry of Windows reports changes only so")]
    fn request(&self) -> Result<(), WatchError> {
        let filter = match self.changes {
            Changes::Names => REG_NOTIFY_CHANGE_NAME,
            Changes::Contents | Changes::Below => REG_NOTIFY_CHANGE_NAME | REG_NOTIFY_CHANGE_LAST_SET,
        };
        let below = i32::from(self.changes == Changes::Below);
        // SAFETY: key and event are open handles of `self`. Windows keeps references to both until the key changes or closes.
        // <https://learn.microsoft.com/windows/win32/api/winreg/nf-winreg-regnotifychangekeyvalue>
        let code = unsafe {
            let filter = filter | REG_NOTIFY_THREAD_AGNOSTIC;
            RegNotifyChangeKeyValue(self.key.as_raw(), below, filter, self.event.handle(), 1)
        };
        if code == 0 { Ok(()) } else { Err(reason(code)) }
    }

    /// What has happened, after the event was signaled. The next change is requested first, so that none is lost.
    pub(super) fn happened(&self, id: WatchId) -> Vec<Notice> {
        match self.request() {
            Ok(()) => vec![Notice::Key(id)],
            Err(_) => vec![Notice::Removed(id)],
        }
    }
}

fn reason(code: u32) -> WatchError {
    match code {
        ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND | ERROR_KEY_DELETED => WatchError::Absent,
        ERROR_ACCESS_DENIED => WatchError::Denied,
        code => WatchError::Refused(std::io::Error::from_raw_os_error(code.cast_signed()).kind()),
    }
}
