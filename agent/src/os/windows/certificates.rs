//! The certification authorities that this machine trusts: its ROOT store, with those of policies and of the domain.

use std::ptr;

use windows_sys::Win32::Security::Cryptography::{
    CERT_CONTEXT, CERT_STORE_PROV_SYSTEM_W, CERT_STORE_READONLY_FLAG, CERT_SYSTEM_STORE_LOCAL_MACHINE, CertCloseStore,
    CertEnumCertificatesInStore, CertOpenStore,
};

/// Limit of certificates. A machine trusts some hundred.
const CERTIFICATES: usize = 4096;

/// The certificates in DER; none if the store cannot be read.
#[expect(unsafe_code, reason = "the store of certificates of Windows")]
pub(in crate::os) fn trusted_cas() -> Vec<Vec<u8>> {
    let name: Vec<u16> = "ROOT\0".encode_utf16().collect();
    let flags = CERT_SYSTEM_STORE_LOCAL_MACHINE | CERT_STORE_READONLY_FLAG;
    // SAFETY: the name ends with a zero, and the store is closed below.
    // <https://learn.microsoft.com/windows/win32/api/wincrypt/nf-wincrypt-certopenstore>
    let store = unsafe { CertOpenStore(CERT_STORE_PROV_SYSTEM_W, 0, 0, flags, name.as_ptr().cast()) };
    if store.is_null() {
        return Vec::new();
    }
    let (mut found, mut last): (_, *mut CERT_CONTEXT) = (Vec::new(), ptr::null_mut());
    loop {
        // SAFETY: the store is open, and `last` is what the call before returned; it frees that.
        // <https://learn.microsoft.com/windows/win32/api/wincrypt/nf-wincrypt-certenumcertificatesinstore>
        last = unsafe { CertEnumCertificatesInStore(store, last) };
        if last.is_null() {
            break;
        }
        if found.len() < CERTIFICATES {
            // SAFETY: the certificate is valid until the next call, and has as many bytes as it says.
            found.push(
                unsafe { std::slice::from_raw_parts((*last).pbCertEncoded, (*last).cbCertEncoded as usize) }.to_vec(),
            );
        }
    }
    // SAFETY: the store was opened above, and no certificate of it is used any more.
    // <https://learn.microsoft.com/windows/win32/api/wincrypt/nf-wincrypt-certclosestore>
    unsafe { CertCloseStore(store, 0) };
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_has_certificates() {
        let found = trusted_cas();
        assert!(found.len() > 5, "{}", found.len());
        assert!(found.iter().all(|der| der.first() == Some(&0x30)), "each is a sequence in DER");
    }
}
