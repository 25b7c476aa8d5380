//! Fuzzes the reader of certificates in the Windows registry, and of the list of roots that Microsoft distributes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::certificate;
use muster_agent::sources::parse::windows::cert_blob;

fuzz_target!(|bytes: &[u8]| {
    if let Some(der) = cert_blob::certificate(bytes) {
        // A certificate is a part of the blob, and cannot be longer.
        assert!(der.len() + 12 <= bytes.len());
        let _ = (certificate::parse(der), cert_blob::thumbprint(der));
    }
    assert!(cert_blob::thumbprints(bytes).len() <= bytes.len() / 2);
});
