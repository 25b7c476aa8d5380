//! The bytes of one entry: `"MSPL" version:u8 length:u64le blake3:32 payload`.

const MAGIC: &[u8; 4] = b"MSPL";
const VERSION: u8 = 1;
const HEADER: usize = 4 + 1 + 8 + 32;

/// Why bytes are not an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The header is not whole, or not of an entry.
    #[error("it does not begin with the header of a spool entry")]
    Header,
    /// A newer agent wrote it.
    #[error("it has the version {0}, this agent knows {VERSION}")]
    Version(u8),
    /// Bytes are missing or too many.
    #[error("it has {has} bytes behind the header, {said} were written")]
    Length {
        /// What is there.
        has: u64,
        /// What the header says.
        said: u64,
    },
    /// The payload is not what was written.
    #[error("its checksum does not fit its bytes")]
    Checksum,
}

pub(super) fn encode(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(blake3::hash(payload).as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The payload of an entry, in the same buffer without its header.
///
/// # Errors
/// The bytes are not those of an entry as it was written, or a newer agent wrote them.
pub fn decode(mut bytes: Vec<u8>) -> Result<Vec<u8>, EntryError> {
    let header = bytes.get(..HEADER).filter(|header| header.starts_with(MAGIC)).ok_or(EntryError::Header)?;
    if header[4] != VERSION {
        return Err(EntryError::Version(header[4]));
    }
    let said = u64::from_le_bytes(header[5..13].try_into().map_err(|_| EntryError::Header)?);
    let checksum: [u8; 32] = header[13..].try_into().map_err(|_| EntryError::Header)?;
    let has = (bytes.len() - HEADER) as u64;
    if has != said {
        return Err(EntryError::Length { has, said });
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

    #[test]
    fn an_entry_cut_at_any_byte_or_with_any_byte_changed_is_refused() {
        let payload: Vec<u8> = (0..200_u8).collect();
        let whole = encode(&payload);
        assert_eq!(decode(whole.clone()), Ok(payload));
        for at in 0..whole.len() {
            assert!(decode(whole[..at].to_vec()).is_err(), "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 0x40;
            assert!(decode(changed).is_err(), "changed at {at}");
        }
        assert_eq!(decode([whole, vec![0]].concat()), Err(EntryError::Length { has: 201, said: 200 }));
    }

    #[test]
    fn an_entry_of_a_newer_agent_is_told_apart_from_a_damaged_one() {
        let mut entry = encode(b"x");
        entry[4] = 9;
        assert_eq!(decode(entry), Err(EntryError::Version(9)));
    }
}
