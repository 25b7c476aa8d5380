//! Secrets that only this machine can read, by its data protection (DPAPI). The protection is that of the machine and not of an
//! account: everybody who may read the file can read the secret on this machine, and nobody can on another one.

use std::io;
use std::ptr;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Cryptography::{
    CRYPT_INTEGER_BLOB, CRYPTPROTECT_LOCAL_MACHINE, CRYPTPROTECT_UI_FORBIDDEN, CryptProtectData, CryptUnprotectData,
};

/// Keeps other programs' protected secrets apart from this one's. It is no secret itself.
const PURPOSE: &[u8] = b"muster-agent key 1";

#[expect(clippy::unnecessary_wraps, reason = "other systems protect nothing")]
pub(in crate::os) fn protect(secret: &[u8]) -> Option<io::Result<Vec<u8>>> {
    Some(protected(secret))
}

#[expect(unsafe_code, reason = "data protection of Windows")]
fn protected(secret: &[u8]) -> io::Result<Vec<u8>> {
    let (secret, purpose, mut out) = (blob(secret)?, blob(PURPOSE)?, CRYPT_INTEGER_BLOB::default());
    let flags = CRYPTPROTECT_LOCAL_MACHINE | CRYPTPROTECT_UI_FORBIDDEN;
    // SAFETY: both blobs name memory that lives until the end of this function and is only read; the output is freed below.
    // <https://learn.microsoft.com/windows/win32/api/dpapi/nf-dpapi-cryptprotectdata>
    let done = unsafe {
        let (no_name, nothing, no_prompt) = (ptr::null(), ptr::null(), ptr::null());
        CryptProtectData(&secret, no_name, &purpose, nothing, no_prompt, flags, &mut out)
    };
    taken(done, out)
}

#[expect(unsafe_code, reason = "data protection of Windows")]
pub(in crate::os) fn unprotect(protected: &[u8]) -> io::Result<Vec<u8>> {
    let (protected, purpose, mut out) = (blob(protected)?, blob(PURPOSE)?, CRYPT_INTEGER_BLOB::default());
    // SAFETY: as above.
    // <https://learn.microsoft.com/windows/win32/api/dpapi/nf-dpapi-cryptunprotectdata>
    let done = unsafe {
        let (no_name, nothing, no_prompt) = (ptr::null_mut(), ptr::null(), ptr::null());
        CryptUnprotectData(&protected, no_name, &purpose, nothing, no_prompt, CRYPTPROTECT_UI_FORBIDDEN, &mut out)
    };
    taken(done, out)
}

fn blob(bytes: &[u8]) -> io::Result<CRYPT_INTEGER_BLOB> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    Ok(CRYPT_INTEGER_BLOB { cbData: length, pbData: bytes.as_ptr().cast_mut() })
}

/// Copies what Windows has allocated, clears it and frees it.
#[expect(unsafe_code, reason = "data protection of Windows")]
fn taken(done: i32, out: CRYPT_INTEGER_BLOB) -> io::Result<Vec<u8>> {
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: Windows says that so many bytes are there. They are nobody else's until they are freed, which is done once.
    // <https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-localfree>
    unsafe {
        let bytes = std::slice::from_raw_parts_mut(out.pbData, out.cbData as usize);
        let copy = bytes.to_vec();
        bytes.fill(0);
        LocalFree(out.pbData.cast());
        Ok(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_protected_is_read_again_and_not_readable_by_itself() {
        let secret = b"a private key, or as much of one as a test needs";
        let sealed = protected(secret).expect("protected");
        assert!(
            !sealed.windows(8).any(|part| secret.windows(8).any(|whole| whole == part)),
            "the secret is in the file"
        );
        assert_eq!(unprotect(&sealed).expect("read"), secret);
        let mut changed = sealed.clone();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        assert!(unprotect(&changed).is_err() && unprotect(b"nonsense").is_err());
    }
}
