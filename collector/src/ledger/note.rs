//! Signed notes: a text, an empty line, and lines of signatures. <https://c2sp.org/signed-note>
//!
//! ```text
//! muster.example.com
//! 70000
//! CNvC0dI6IR7AEHFqgxQ07kiCrKc0Y3zJPJ9XaQKDgSg=
//!
//! — muster.example.com NZ9v3o…
//! ```
//!
//! A signature is the base64 of the key's id (4 bytes) and, for Ed25519, the 64 bytes over the text with its last line
//! feed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::attestation::{SealKey, VerifierKey};

/// The most bytes of a note. A verifier must accept 16 signatures, and one that resists quantum computers may have
/// nearly 5,000 bytes, which base64 makes a third longer (signed-note, "Format").
pub const NOTE_BYTES: usize = 128 * 1024;
/// The most signatures of a note.
pub const SIGNATURES: usize = 64;

/// What a line of a signature begins with: an em dash and a space.
const MARK: &str = "\u{2014} ";
/// The bytes of a key's id.
const ID_BYTES: usize = 4;

/// Why a note is not good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is too long.
    #[error("it is larger than {NOTE_BYTES} bytes, so it is no signed note")]
    TooLarge,
    /// It has bytes that a note never has.
    #[error("it is no signed note: it is not UTF-8, or has a control character other than a line feed")]
    Characters,
    /// No empty line with signatures after it.
    #[error("it is no signed note: no signature lines follow an empty line")]
    Unsigned,
    /// A line that is no signature is among them.
    #[error("line {line} after the empty line of the note is no signature")]
    Line {
        /// Which one; the first is 1.
        line: usize,
    },
    /// It has too many signatures.
    #[error("the note has more than {SIGNATURES} signatures")]
    TooMany,
    /// Others have signed it, and the key has not.
    #[error("the note is not signed with the key {wanted}")]
    OtherKey {
        /// The verifier key.
        wanted: String,
    },
    /// The signature is not of this text.
    #[error("the signature of {name} does not match: the text or the signature was changed after it was signed")]
    Signature {
        /// Whose.
        name: String,
    },
}

/// Signs a text, which ends with a line feed and has no control characters. The same arguments give the same bytes.
#[must_use]
pub(super) fn sign(text: &str, key: &SealKey) -> String {
    let signature = [key.verifier().note_key_id().as_slice(), &key.sign(text.as_bytes())].concat();
    format!("{text}\n{MARK}{} {}\n", key.verifier().origin(), STANDARD.encode(signature))
}

/// The text of a note that a key has signed. Signatures of other keys are ignored, as the format demands.
///
/// # Errors
/// It is no note, the key has not signed it, or one of the key's signatures does not match.
pub(super) fn open<'a>(note: &'a [u8], key: &VerifierKey) -> Result<&'a str, NoteError> {
    if note.len() > NOTE_BYTES {
        return Err(NoteError::TooLarge);
    }
    let note = std::str::from_utf8(note).map_err(|_| NoteError::Characters)?;
    if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteError::Characters);
    }
    let (text, signatures) = parts(note).ok_or(NoteError::Unsigned)?;
    let mut is_signed = false;
    for (at, line) in signatures.split('\n').enumerate() {
        if at == SIGNATURES {
            return Err(NoteError::TooMany);
        }
        let (name, id, signature) = signature(line).ok_or(NoteError::Line { line: at + 1 })?;
        if name != key.origin().as_str() || id != key.note_key_id() {
            continue;
        }
        UnparsedPublicKey::new(&ED25519, key.public())
            .verify(text.as_bytes(), &signature)
            .map_err(|_| NoteError::Signature { name: name.to_owned() })?;
        is_signed = true;
    }
    if is_signed { Ok(text) } else { Err(NoteError::OtherKey { wanted: key.to_string() }) }
}

/// The text with its last line feed, and the lines of signatures without theirs. The last empty line is between them.
fn parts(note: &str) -> Option<(&str, &str)> {
    let (text, _) = note.split_at_checked(note.rfind("\n\n")? + 1)?;
    let signatures = note.strip_prefix(text)?.strip_prefix('\n')?.strip_suffix('\n')?;
    Some((text, signatures))
}

/// Name, id and signature of a line.
fn signature(line: &str) -> Option<(&str, [u8; ID_BYTES], Vec<u8>)> {
    let (name, base64) = line.strip_prefix(MARK)?.split_once(' ')?;
    if name.is_empty() || name.contains(|found: char| found.is_whitespace() || found == '+') {
        return None;
    }
    let bytes = STANDARD.decode(base64).ok()?;
    let (id, signature) = bytes.split_first_chunk::<ID_BYTES>()?;
    (!signature.is_empty()).then(|| (name, *id, signature.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::samples::{PETER, peter};

    /// The examples of <https://pkg.go.dev/golang.org/x/mod/sumdb/note>: one signature, and one of another key after
    /// it.
    const TEXT: &str =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const BY_PETER: &str =
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const BY_ENOCH: &str =
        "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

    fn key() -> VerifierKey {
        PETER.parse().expect("a verifier key")
    }

    fn opened(note: &str) -> Result<String, NoteError> {
        open(note.as_bytes(), &key()).map(str::to_owned)
    }

    #[test]
    fn a_note_is_signed_and_read_as_go_does_it() {
        let note = format!("{TEXT}\n{BY_PETER}");
        assert_eq!(sign(TEXT, &peter()), note);
        assert_eq!(opened(&note).as_deref(), Ok(TEXT));
    }

    #[test]
    fn signatures_of_unknown_keys_are_ignored_wherever_they_are() {
        for note in [format!("{TEXT}\n{BY_PETER}{BY_ENOCH}"), format!("{TEXT}\n{BY_ENOCH}{BY_PETER}")] {
            assert_eq!(opened(&note).as_deref(), Ok(TEXT));
        }
        assert_eq!(
            opened(&format!("{TEXT}\n{BY_ENOCH}")),
            Err(NoteError::OtherKey { wanted: PETER.to_owned() }),
            "only another key has signed it"
        );
        // The same id under another name, and the same name with another id, are other keys.
        let renamed = BY_PETER.replace("PeterNeumann", "Peter");
        assert!(matches!(opened(&format!("{TEXT}\n{renamed}")), Err(NoteError::OtherKey { .. })));
        let other_id = BY_PETER.replace("x08go", "x08gp");
        assert!(matches!(opened(&format!("{TEXT}\n{other_id}")), Err(NoteError::OtherKey { .. })));
    }

    #[test]
    fn a_signature_of_the_key_that_does_not_match_spoils_a_note_that_it_also_signed_well() {
        let bad = BY_PETER.replace("/ZJkuBS9", "/ZJkuBS8");
        let spoiled = Err(NoteError::Signature { name: "PeterNeumann".to_owned() });
        assert_eq!(opened(&format!("{TEXT}\n{BY_PETER}{bad}")), spoiled);
        assert_eq!(opened(&format!("{}\n{BY_PETER}", TEXT.replace("cryptography", "Cryptography"))), spoiled);
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let note = format!("{TEXT}\n{BY_PETER}");
        assert_eq!(opened(""), Err(NoteError::Unsigned));
        assert_eq!(opened(TEXT), Err(NoteError::Unsigned));
        assert_eq!(opened(&format!("{TEXT}\n")), Err(NoteError::Unsigned));
        assert_eq!(opened(note.trim_end()), Err(NoteError::Unsigned), "the last line has no line feed");
        assert_eq!(opened(&format!("{note}\n")), Err(NoteError::Unsigned));
        assert_eq!(opened(&format!("{note}more\n")), Err(NoteError::Line { line: 2 }));
        assert_eq!(opened(&note.replace("— Peter", "- Peter")), Err(NoteError::Line { line: 1 }));
        assert_eq!(opened(&note.replace("AM=", "AM")), Err(NoteError::Line { line: 1 }), "base64 without padding");
        assert_eq!(opened(&format!("{TEXT}\n{BY_PETER}— a+b AAAAAAA=\n")), Err(NoteError::Line { line: 2 }));
        assert_eq!(
            opened(&format!("{TEXT}\n{BY_PETER}— a AAAAAA==\n")),
            Err(NoteError::Line { line: 2 }),
            "an id alone"
        );
        assert_eq!(opened(&note.replace('\n', "\r\n")), Err(NoteError::Characters));
        assert_eq!(open(b"\xff\n\n\xe2\x80\x94 a AAAA\n", &key()), Err(NoteError::Characters));
        let many = format!("{TEXT}\n{BY_PETER}{}", BY_ENOCH.repeat(SIGNATURES));
        assert_eq!(opened(&many), Err(NoteError::TooMany));
        assert_eq!(opened(&format!("{}\n{BY_PETER}", "x\n".repeat(NOTE_BYTES / 2))), Err(NoteError::TooLarge));
    }
}
