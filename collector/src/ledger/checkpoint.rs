//! Checkpoints: the size and the root of the ledger at some time, as a signed note. <https://c2sp.org/tlog-checkpoint>
//!
//! The text of the note has three lines: the origin, the size in decimal digits, and the root in base64. The name of
//! the signature is the origin too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::note::{self, NoteError};
use super::tree::{Hash, TREE_LEAVES};
use crate::attestation::{Origin, SealKey, VerifierKey};

/// The most lines of a checkpoint's text. Those after the third are extensions, which Muster neither writes nor reads.
pub const CHECKPOINT_LINES: usize = 16;

/// Why a text is no checkpoint of this ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is no note, or is not signed with the key.
    #[error("cannot verify the checkpoint")]
    Note(#[from] NoteError),
    /// It has too few or too many lines, or an empty one.
    #[error("the checkpoint has not the lines origin, size and root, or more than {CHECKPOINT_LINES}, or an empty one")]
    Lines,
    /// It is of another log.
    #[error("the checkpoint is of {found}, and the key of {wanted}")]
    Origin {
        /// As stated.
        found: String,
        /// The origin of the key.
        wanted: String,
    },
    /// The second line is no number, or has another form than a computer writes.
    #[error("the size {found:?} in the checkpoint is not a decimal number up to {TREE_LEAVES}")]
    Size {
        /// As stated.
        found: String,
    },
    /// The third line is not the base64 of 32 bytes.
    #[error("the root {found:?} in the checkpoint is not 32 bytes in base64")]
    Root {
        /// As stated.
        found: String,
    },
}

/// A ledger at some size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose ledger it is: the origin of the seal key.
    pub origin: Origin,
    /// How many entries it has.
    pub size: u64,
    /// The root of its tree.
    pub root: Hash,
}

impl Checkpoint {
    /// The signed checkpoint of a size and a root: the same arguments give the same bytes.
    #[must_use]
    pub fn sign(size: u64, root: &Hash, key: &SealKey) -> String {
        note::sign(&format!("{}\n{size}\n{root}\n", key.verifier().origin()), key)
    }

    /// Verifies and reads a signed checkpoint.
    ///
    /// # Errors
    /// It is no checkpoint, is of another origin, or the key has not signed it.
    pub fn open(note: &[u8], key: &VerifierKey) -> Result<Self, CheckpointError> {
        let text = note::open(note, key)?;
        let lines: Vec<&str> = text.split_terminator('\n').take(CHECKPOINT_LINES + 1).collect();
        if lines.len() > CHECKPOINT_LINES || lines.iter().any(|line| line.is_empty()) {
            return Err(CheckpointError::Lines);
        }
        let [origin, size, root, ..] = lines.as_slice() else { return Err(CheckpointError::Lines) };
        if *origin != key.origin().as_str() {
            let wanted = key.origin().to_string();
            return Err(CheckpointError::Origin { found: (*origin).to_owned(), wanted });
        }
        Ok(Self {
            origin: key.origin().clone(),
            size: read_size(size).ok_or_else(|| CheckpointError::Size { found: (*size).to_owned() })?,
            root: read_root(root).ok_or_else(|| CheckpointError::Root { found: (*root).to_owned() })?,
        })
    }
}

fn read_size(text: &str) -> Option<u64> {
    let size: u64 = text.parse().ok().filter(|size| *size <= TREE_LEAVES)?;
    // The parser also accepts a sign and leading zeros.
    (size.to_string() == text).then_some(size)
}

fn read_root(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok().map(Hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::samples::peter;
    use crate::ledger::tree::TreeState;

    fn opened(text: &str) -> Result<Checkpoint, CheckpointError> {
        Checkpoint::open(note::sign(text, &peter()).as_bytes(), peter().verifier())
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_signed() {
        let root = TreeState::default().root();
        let signed = Checkpoint::sign(0, &root, &peter());
        assert!(signed.starts_with("PeterNeumann\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— PeterNeumann "));
        let read = Checkpoint::open(signed.as_bytes(), peter().verifier()).expect("good");
        assert_eq!(read, Checkpoint { origin: peter().verifier().origin().clone(), size: 0, root });
    }

    #[test]
    fn lines_that_follow_the_root_are_extensions() {
        let three = "PeterNeumann\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
        assert_eq!(opened(&format!("{three}extension\n")).expect("good").size, 7);
        assert_eq!(opened(&format!("{three}{}", "x\n".repeat(13))).expect("good").size, 7);
        assert_eq!(opened(&format!("{three}{}", "x\n".repeat(14))), Err(CheckpointError::Lines));
        assert_eq!(opened(&format!("{three}\nextension\n")), Err(CheckpointError::Lines));
    }

    #[test]
    fn a_signed_text_that_is_no_checkpoint_is_refused() {
        let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(opened("PeterNeumann\n7\n"), Err(CheckpointError::Lines));
        assert!(matches!(opened(&format!("Peter\n7\n{root}\n")), Err(CheckpointError::Origin { .. })));
        for size in ["07", "+7", "-1", "", " 7", "7 ", "0x7", "9223372036854775808", "99999999999999999999"] {
            let error = opened(&format!("PeterNeumann\n{size}\n{root}\n")).expect_err(size);
            assert!(matches!(error, CheckpointError::Size { .. } | CheckpointError::Lines), "{error}");
        }
        for bad in ["47DEQpj8HBSa", &root.replace("FU=", "FV="), &root.replace('=', ""), &format!("{root} ")] {
            let error = opened(&format!("PeterNeumann\n7\n{bad}\n")).expect_err(bad);
            assert!(matches!(error, CheckpointError::Root { .. }), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_checkpoint_with_another_byte_is_refused(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let good = Checkpoint::sign(70_000, &TreeState::default().root(), &peter()).into_bytes();
            let mut changed = good.clone();
            changed[at.index(good.len())] = byte;
            prop_assert_eq!(Checkpoint::open(&changed, peter().verifier()).is_ok(), changed == good);
        }

        #[test]
        fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Checkpoint::open(&bytes, peter().verifier()).is_err());
        }
    }
}
