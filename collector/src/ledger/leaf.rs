//! The leaf of an entry: the line that the ledger's Merkle tree hashes, and that exports contain.
//!
//! It is the number, the time and the stored text of the entry, as one line of JSON without a line feed:
//!
//! ```text
//! {"v":1,"no":7,"at":"2026-11-30T04:18:55.25Z","entry":{"v":1,"actor":{"by":"judge"},"kind":"lanes-changed",…}}
//! ```
//!
//! The text of the entry is spliced in byte for byte and never parsed: what was stored is what was hashed.

use muster_proto::model::Timestamp;

use super::tree::{Hash, leaf_hash};

/// The most bytes of a leaf: exports write its length in 16 bits (<https://c2sp.org/tlog-tiles>, "Log entries").
pub const LEAF_BYTES: usize = u16::MAX as usize;

/// The most bytes of an entry's stored text, so that its leaf is never too long. What writes entries has to keep it: an
/// entry that cannot be sealed would hold up all that follow.
pub const ENTRY_BYTES: usize = LEAF_BYTES - 135;

/// Why an entry cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotALeaf {
    /// It is too long.
    #[error("a leaf has at most {LEAF_BYTES} bytes; this one has {bytes}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It has a line feed or another control character, which JSON writes as an escape.
    #[error("a leaf is one line without control characters; this one has the byte {found:#04x}")]
    Control {
        /// The character.
        found: u8,
    },
}

/// The line of an entry. Whether it can be sealed is for [`sealable`] to say.
#[must_use]
pub fn line(no: u64, at: Timestamp, entry: &str) -> Vec<u8> {
    format!(r#"{{"v":1,"no":{no},"at":"{at}","entry":{entry}}}"#).into_bytes()
}

/// The hash of a line that is about to be sealed or exported.
///
/// # Errors
/// It is too long, or has a control character.
pub fn sealable(line: &[u8]) -> Result<Hash, NotALeaf> {
    if line.len() > LEAF_BYTES {
        return Err(NotALeaf::TooLong { bytes: line.len() });
    }
    match line.iter().find(|byte| **byte < b' ') {
        Some(found) => Err(NotALeaf::Control { found: *found }),
        None => Ok(leaf_hash(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_bytes_that_were_sealed_before() {
        let entry = r#"{"v":1,"actor":{"by":"judge"},"kind":"rules-adopted","from":null,"to":"r1"}"#;
        let line = line(7, Timestamp::from_millis(1_795_925_935_250), entry);
        assert_eq!(
            String::from_utf8_lossy(&line),
            concat!(
                r#"{"v":1,"no":7,"at":"2026-11-29T04:18:55.25Z","entry":{"v":1,"actor":{"by":"judge"},"#,
                r#""kind":"rules-adopted","from":null,"to":"r1"}}"#
            )
        );
        // By sha256sum of a zero byte and the line. Another value would break the seal of every ledger.
        assert_eq!(sealable(&line).expect("sealable").to_string(), "6Pf3/Dkq6RxzdZfiRJ7Krye6WR8Q89DAxsZE1Nxsnyo=");
    }

    #[test]
    fn what_an_export_could_not_hold_is_not_sealed() {
        let longest = vec![b'x'; LEAF_BYTES];
        sealable(&longest).expect("fits");
        for at in [i64::MIN, i64::MAX, 253_402_300_799_999] {
            let longest = line(u64::MAX, Timestamp::from_millis(at), &"x".repeat(ENTRY_BYTES));
            sealable(&longest).expect("fits");
        }
        let longer = vec![b'x'; LEAF_BYTES + 1];
        assert_eq!(sealable(&longer), Err(NotALeaf::TooLong { bytes: 65_536 }));
        assert_eq!(sealable(b"{\n}"), Err(NotALeaf::Control { found: b'\n' }));
    }
}
