//! Certificates as the registry stores them, and the list of roots that Microsoft distributes.
//!
//! A certificate is a blob of properties: number, type and length in four bytes each, then the bytes.
//! <https://learn.microsoft.com/openspecs/windows_protocols/ms-gpef/e051aba9-c9df-4f82-a42a-c13012c9d381>

use std::collections::BTreeSet;

/// The property that is the certificate itself, in DER.
const CERTIFICATE: u32 = 32;

/// The DER of an octet string of 20 bytes, the length of a SHA-1.
const THUMBPRINT_HEAD: [u8; 2] = [0x04, 20];

/// The SHA-1 of a certificate, by which Windows names it.
pub type Thumbprint = [u8; 20];

/// The certificate in a blob; `None` if the blob has none or is damaged.
#[must_use]
pub fn certificate(blob: &[u8]) -> Option<&[u8]> {
    let mut rest = blob;
    loop {
        let word = |at: usize| Some(u32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?));
        let (number, length) = (word(0)?, usize::try_from(word(8)?).ok()?);
        let bytes = rest.get(12..12_usize.checked_add(length)?)?;
        if number == CERTIFICATE {
            return Some(bytes);
        }
        rest = rest.get(12 + length..)?;
    }
}

/// Every thumbprint in a list of trusted roots (`EncodedCtl`). The list names each root by an octet string with its thumbprint;
/// the other octet strings of that length are ids of keys, which are no thumbprints of certificates.
#[must_use]
pub fn thumbprints(list: &[u8]) -> BTreeSet<Thumbprint> {
    let at_head = |window: &[u8]| -> Option<Thumbprint> { window.strip_prefix(&THUMBPRINT_HEAD)?.try_into().ok() };
    list.windows(THUMBPRINT_HEAD.len() + 20).filter_map(at_head).collect()
}

/// The thumbprint of a certificate.
#[must_use]
pub fn thumbprint(certificate: &[u8]) -> Thumbprint {
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
    let mut thumbprint = Thumbprint::default();
    // SHA-1 has 20 bytes.
    thumbprint.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    thumbprint
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn property(number: u32, bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).expect("short");
        [&number.to_le_bytes()[..], &1_u32.to_le_bytes(), &length.to_le_bytes(), bytes].concat()
    }

    #[test]
    fn the_certificate_is_found_behind_other_properties() {
        let blob = [property(3, &[0; 20]), property(CERTIFICATE, b"der"), property(4, b"md5")].concat();
        assert_eq!(certificate(&blob), Some(&b"der"[..]));
        assert_eq!(certificate(&property(3, &[0; 20])), None);
        assert_eq!(certificate(&[]), None);
        let mut longer = property(CERTIFICATE, b"der");
        longer[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(certificate(&longer), None);
    }

    #[test]
    fn the_thumbprints_of_a_list_are_its_octet_strings() {
        let one = thumbprint(b"one");
        let list = [&[0x30, 0x2a, 0x30, 22][..], &THUMBPRINT_HEAD, &one, &[0x04, 3, 1, 2, 3]].concat();
        assert_eq!(thumbprints(&list), BTreeSet::from([one]));
        assert_eq!(thumbprints(&list[..list.len() - 6]), BTreeSet::new(), "cut within it");
    }

    #[test]
    fn a_thumbprint_is_the_sha_1_of_the_certificate() {
        let hex = data_encoding::HEXLOWER.encode(&thumbprint(b"abc"));
        assert_eq!(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (certificate(&bytes), thumbprints(&bytes), thumbprint(&bytes));
        }
    }
}
