//! Security descriptors of Windows as text, and folders that are created with one.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_INVALID_OWNER, GENERIC_WRITE, HLOCAL, INVALID_HANDLE_VALUE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertSidToStringSidW,
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetNamedSecurityInfoW, SDDL_REVISION_1, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetTokenInformation, OBJECT_SECURITY_INFORMATION, OWNER_SECURITY_INFORMATION,
    PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::Storage::FileSystem::{
    CREATE_NEW, CreateDirectoryW, CreateFileW, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_DELETE, FILE_SHARE_READ,
    FILE_SHARE_WRITE,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// Only Windows itself and the administrators; nothing is inherited from above. What is made in a folder inherits its list.
const PRIVATE_FOLDER: &str = "D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";
const PRIVATE_FILE: &str = "D:PAI(A;;FA;;;SY)(A;;FA;;;BA)";

/// Memory that Windows has allocated and the caller must free.
struct Allocated(*mut c_void);

impl Drop for Allocated {
    #[expect(unsafe_code, reason = "memory of Windows")]
    fn drop(&mut self) {
        let memory: HLOCAL = self.0;
        // SAFETY: the functions that fill this say that the memory is freed so, and nobody else has it.
        // <https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-localfree>
        unsafe { LocalFree(memory) };
    }
}

impl Allocated {
    /// A text of Windows, which ends with a zero.
    #[expect(unsafe_code, reason = "memory of Windows")]
    fn text(&self) -> String {
        let start: *const u16 = self.0.cast();
        let mut length = 0;
        // SAFETY: the functions that are used here end every text with a zero, and nothing is read behind it.
        let units = unsafe {
            while *start.add(length) != 0 {
                length += 1;
            }
            std::slice::from_raw_parts(start, length)
        };
        String::from_utf16_lossy(units)
    }
}

fn wide(text: impl IntoIterator<Item = u16>) -> Vec<u16> {
    text.into_iter().chain([0]).collect()
}

/// The absolute path.
fn wide_path(path: &Path) -> io::Result<Vec<u16>> {
    Ok(wide(std::path::absolute(path)?.as_os_str().encode_wide()))
}

/// Owner and access list of a file or folder, as text.
#[expect(unsafe_code, reason = "access lists of Windows")]
pub(in crate::os) fn descriptor_of(path: &Path) -> io::Result<String> {
    let (path, mut descriptor) = (wide_path(path)?, ptr::null_mut());
    let parts = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    // SAFETY: the path ends with a zero; the parts that are not wanted have no place; the descriptor is freed below.
    // <https://learn.microsoft.com/windows/win32/api/aclapi/nf-aclapi-getnamedsecurityinfow>
    let code = unsafe {
        let none = ptr::null_mut;
        GetNamedSecurityInfoW(
            path.as_ptr(),
            SE_FILE_OBJECT,
            parts,
            none(),
            none(),
            ptr::null_mut(),
            ptr::null_mut(),
            &mut descriptor,
        )
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code.cast_signed()));
    }
    text_of(&Allocated(descriptor), parts)
}

/// Sets the access list of a file or folder to that of a descriptor. The owner stays.
#[cfg(test)]
#[expect(unsafe_code, reason = "access lists of Windows")]
pub(in crate::os) fn set_list(path: &Path, text: &str) -> io::Result<()> {
    use windows_sys::Win32::Security::SetFileSecurityW;
    let (path, descriptor) = (wide_path(path)?, descriptor(text)?);
    // SAFETY: the path ends with a zero, and the descriptor lives until the end of this function.
    // <https://learn.microsoft.com/windows/win32/api/securitybaseapi/nf-securitybaseapi-setfilesecurityw>
    let done = unsafe { SetFileSecurityW(path.as_ptr(), DACL_SECURITY_INFORMATION, descriptor.0) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[expect(unsafe_code, reason = "access lists of Windows")]
fn text_of(descriptor: &Allocated, parts: OBJECT_SECURITY_INFORMATION) -> io::Result<String> {
    let (mut text, source): (_, PSECURITY_DESCRIPTOR) = (ptr::null_mut(), descriptor.0);
    // SAFETY: the descriptor is one that Windows made, and the text is freed below.
    // <https://learn.microsoft.com/windows/win32/api/sddl/nf-sddl-convertsecuritydescriptortostringsecuritydescriptorw>
    let done = unsafe {
        let none = ptr::null_mut();
        ConvertSecurityDescriptorToStringSecurityDescriptorW(source, SDDL_REVISION_1, parts, &mut text, none)
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Allocated(text.cast()).text()) }
}

#[expect(unsafe_code, reason = "access lists of Windows")]
fn descriptor(text: &str) -> io::Result<Allocated> {
    let (text, mut descriptor) = (wide(text.encode_utf16()), ptr::null_mut());
    // SAFETY: the text ends with a zero, and the descriptor is freed by its owner.
    // <https://learn.microsoft.com/windows/win32/api/sddl/nf-sddl-convertstringsecuritydescriptortosecuritydescriptorw>
    let done = unsafe {
        let none = ptr::null_mut();
        ConvertStringSecurityDescriptorToSecurityDescriptorW(text.as_ptr(), SDDL_REVISION_1, &mut descriptor, none)
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Allocated(descriptor)) }
}

/// The account of this process, in the spelling of descriptors: `S-1-5-21-…`, or two letters for a known one.
pub(in crate::os) fn own_account() -> io::Result<String> {
    let owner = format!("O:{}", own_identifier()?);
    let text = text_of(&descriptor(&owner)?, OWNER_SECURITY_INFORMATION)?;
    Ok(text.trim_start_matches("O:").to_owned())
}

/// The security identifier of the account of this process.
#[expect(unsafe_code, reason = "accounts of Windows")]
fn own_identifier() -> io::Result<String> {
    let mut handle = ptr::null_mut();
    // SAFETY: the handle of the process itself needs no closing, and that of its token is owned below.
    // <https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-openprocesstoken>
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut handle) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is new and nobody else's.
    let token = unsafe { OwnedHandle::from_raw_handle(handle) };
    // An identifier has at most 68 bytes. The elements have the alignment of the structure.
    let mut buffer = [0_u64; 32];
    let (size, mut length) = (u32::try_from(size_of_val(&buffer)).unwrap_or(u32::MAX), 0);
    // SAFETY: the buffer is as large as named, and aligned for the structure that is written to its start.
    // <https://learn.microsoft.com/windows/win32/api/securitybaseapi/nf-securitybaseapi-gettokeninformation>
    let done = unsafe {
        let buffer = buffer.as_mut_ptr().cast();
        GetTokenInformation(token.as_raw_handle(), TokenUser, buffer, size, &mut length)
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    let mut text = ptr::null_mut();
    // SAFETY: the structure was written above, and its identifier lies in the same buffer; the text is freed below.
    // <https://learn.microsoft.com/windows/win32/api/sddl/nf-sddl-convertsidtostringsidw>
    let done = unsafe {
        let user: *const TOKEN_USER = buffer.as_ptr().cast();
        ConvertSidToStringSidW((*user).User.Sid, &mut text)
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Allocated(text.cast()).text()) }
}

/// Creates a folder for Windows itself and the administrators, who own it. Where this process may not give it to them, it is for
/// them and for the account of this process. The folder has its access list from its first moment on.
pub(super) fn create_private_folder(path: &Path) -> io::Result<()> {
    match create_folder(path, &format!("O:BAG:BA{PRIVATE_FOLDER}")) {
        Err(error) if error.raw_os_error() == Some(ERROR_INVALID_OWNER.cast_signed()) => {
            create_folder(path, &format!("{PRIVATE_FOLDER}(A;OICI;FA;;;{})", own_identifier()?))
        }
        done => done,
    }
}

/// Creates a file for writing that is private as [`create_private_folder`] is. There must be none.
pub(super) fn create_private_file(path: &Path) -> io::Result<File> {
    match create_file(path, &format!("O:BAG:BA{PRIVATE_FILE}")) {
        Err(error) if error.raw_os_error() == Some(ERROR_INVALID_OWNER.cast_signed()) => {
            create_file(path, &format!("{PRIVATE_FILE}(A;;FA;;;{})", own_identifier()?))
        }
        done => done,
    }
}

fn attributes(descriptor: &Allocated) -> SECURITY_ATTRIBUTES {
    SECURITY_ATTRIBUTES {
        nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(u32::MAX),
        lpSecurityDescriptor: descriptor.0,
        bInheritHandle: 0,
    }
}

#[expect(unsafe_code, reason = "access lists of Windows")]
fn create_file(path: &Path, text: &str) -> io::Result<File> {
    let (path, descriptor) = (wide_path(path)?, descriptor(text)?);
    let attributes = attributes(&descriptor);
    let share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    // SAFETY: the path ends with a zero, the descriptor lives until the end of this function, and the handle is checked before it
    // is owned. <https://learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-createfilew>
    let handle = unsafe {
        let no_template = ptr::null_mut();
        CreateFileW(path.as_ptr(), GENERIC_WRITE, share, &attributes, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, no_template)
    };
    if handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is new and nobody else's.
    Ok(unsafe { File::from_raw_handle(handle) })
}

#[expect(unsafe_code, reason = "access lists of Windows")]
fn create_folder(path: &Path, text: &str) -> io::Result<()> {
    let (path, descriptor) = (wide_path(path)?, descriptor(text)?);
    let attributes = attributes(&descriptor);
    // SAFETY: the path ends with a zero, and the descriptor lives until the end of this function.
    // <https://learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-createdirectoryw>
    let done = unsafe { CreateDirectoryW(path.as_ptr(), &attributes) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
