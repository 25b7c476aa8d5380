//! The form of a file with a private key: the key itself (PKCS#8 in DER), or behind a first line the key as the machine protects
//! it. Systems without such a protection have the first form. Pure.

/// The first line of a protected key. A key in DER begins with another byte.
const HEAD: &[u8] = b"muster-agent key, protected by this machine, 1\n";

/// What is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyFile<'b> {
    Plain(&'b [u8]),
    Protected(&'b [u8]),
}

impl<'b> KeyFile<'b> {
    pub(super) fn parse(bytes: &'b [u8]) -> Self {
        bytes.strip_prefix(HEAD).map_or(Self::Plain(bytes), Self::Protected)
    }
}

/// The bytes of a file with a protected key.
pub(super) fn of_protected(protected: &[u8]) -> Vec<u8> {
    [HEAD, protected].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protected_key_and_one_of_an_earlier_version_are_told_apart() {
        assert_eq!(KeyFile::parse(&of_protected(b"\x01\x02")), KeyFile::Protected(b"\x01\x02"));
        assert_eq!(KeyFile::parse(b"\x30\x81\x87"), KeyFile::Plain(b"\x30\x81\x87"));
        assert_eq!(KeyFile::parse(b""), KeyFile::Plain(b""));
    }
}
