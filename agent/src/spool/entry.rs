//! The file format of an entry: `"MSPL" version:u8 length:u64le blake3:32 payload`.

use std::io;

use crate::os::WriteContent;

const MAGIC: &[u8; 4] = b"MSPL";
const VERSION: u8 = 1;
const HEADER: usize = 4 + 1 + 8 + 32;

/// Why bytes are not a valid entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The header is incomplete, or not that of an entry.
    #[error("not a spool entry")]
    Header,
    /// The version is unknown, for instance from a newer agent.
    #[error("unsupported version {0}; this agent supports {VERSION}")]
    Version(u8),
    /// The payload has a different length than the header says.
    #[error("the payload has {found} bytes instead of {expected}")]
    Length {
        /// The length of the payload.
        found: u64,
        /// The length in the header.
        expected: u64,
    },
    /// The checksum does not match the payload.
    #[error("the checksum does not match")]
    Checksum,
}

/// The header of an entry with this payload, and the length of the entry. The payload is never in memory as a whole.
pub(super) fn header(payload: WriteContent<'_>) -> io::Result<(Vec<u8>, u64)> {
    let mut hasher = blake3::Hasher::new();
    payload(&mut hasher)?;
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend_from_slice(MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&hasher.count().to_le_bytes());
    bytes.extend_from_slice(hasher.finalize().as_bytes());
    Ok((bytes, HEADER as u64 + hasher.count()))
}

/// Decodes an entry. Returns the payload, in the same buffer.
///
/// # Errors
/// The bytes are damaged, incomplete, or of an unknown version.
pub fn decode(mut bytes: Vec<u8>) -> Result<Vec<u8>, EntryError> {
    let header = bytes.get(..HEADER).filter(|header| header.starts_with(MAGIC)).ok_or(EntryError::Header)?;
    if header[4] != VERSION {
        return Err(EntryError::Version(header[4]));
    }
    let expected = u64::from_le_bytes(header[5..13].try_into().map_err(|_| EntryError::Header)?);
    let checksum: [u8; 32] = header[13..].try_into().map_err(|_| EntryError::Header)?;
    let found = (bytes.len() - HEADER) as u64;
    // Compared before the checksum, because it tells a truncated file from a damaged one.
    if found != expected {
        return Err(EntryError::Length { found, expected });
    }
    if blake3::hash(&bytes[HEADER..]) != blake3::Hash::from_bytes(checksum) {
        return Err(EntryError::Checksum);
    }
    bytes.drain(..HEADER);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(payload: &[u8]) -> Vec<u8> {
        let (header, length) = header(&|out| out.write_all(payload)).expect("in memory");
        let bytes = [&header, payload].concat();
        assert_eq!(bytes.len() as u64, length);
        bytes
    }

    #[test]
    fn a_truncated_or_changed_entry_is_refused() {
        let payload: Vec<u8> = (0..200_u8).collect();
        let whole = encode(&payload);
        assert_eq!(decode(whole.clone()), Ok(payload));
        for at in 0..whole.len() {
            assert!(decode(whole[..at].to_vec()).is_err(), "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 0x40;
            assert!(decode(changed).is_err(), "changed at {at}");
        }
        assert_eq!(decode([whole, vec![0]].concat()), Err(EntryError::Length { found: 201, expected: 200 }));
    }

    #[test]
    fn an_unknown_version_is_not_reported_as_damage() {
        let mut entry = encode(b"x");
        entry[4] = 9;
        assert_eq!(decode(entry), Err(EntryError::Version(9)));
    }
}
