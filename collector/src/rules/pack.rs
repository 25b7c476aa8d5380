//! A pack: all files of one layer, compressed, named by the SHA-256 of what it holds. Rule sets that were in force are kept as
//! packs, so that a set with one changed order costs a few kilobytes.

use sha2::{Digest as _, Sha256};

use super::toml_reader::RuleFile;

/// Bytes of the files of one layer. The shipped ones have 1 MiB.
const MOST: u64 = 256 << 20;
/// The default level of zstd: the files shrink to a fifth, in 10 ms.
const LEVEL: i32 = 3;

/// The files of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePack {
    /// The SHA-256 of the files, as one JSON text.
    pub sha256: [u8; 32],
    /// Bytes of that text.
    pub size: u64,
    /// The text, compressed with zstd.
    pub packed: Vec<u8>,
}

/// Why a pack cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// zstd failed.
    #[error("compress or read a pack of rules")]
    Zstd(#[source] std::io::Error),
    /// It is no list of files.
    #[error("parse a pack of rules")]
    Json(#[source] serde_json::Error),
    /// It has other contents than its name says.
    #[error("a pack of rules does not have the digest {expected}")]
    Digest {
        /// The SHA-256 that it should have, in hex.
        expected: String,
    },
    /// It is too long.
    #[error("a pack of rules has {size} bytes; the limit is {MOST}")]
    Size {
        /// Its length.
        size: u64,
    },
}

impl RulePack {
    /// Packs files. The same files give the same pack, in whatever order they come.
    ///
    /// # Errors
    /// They are too long.
    pub(crate) fn of(files: &[RuleFile]) -> Result<Self, PackError> {
        let mut listed: Vec<(&str, &str, &str)> =
            files.iter().map(|file| (file.folder.as_str(), file.name.as_str(), file.text.as_str())).collect();
        listed.sort_unstable();
        let text = serde_json::to_vec(&listed).map_err(PackError::Json)?;
        let size = text.len() as u64;
        if size > MOST {
            return Err(PackError::Size { size });
        }
        let (sha256, packed) = packed(&text)?;
        Ok(Self { sha256, size, packed })
    }

    /// The files. Faults name them by their folder and name.
    ///
    /// # Errors
    /// The pack is damaged.
    pub(crate) fn files(&self) -> Result<Vec<RuleFile>, PackError> {
        let text = unpacked(&self.packed, self.size, &self.sha256)?;
        let listed: Vec<(String, String, String)> = serde_json::from_str(&text).map_err(PackError::Json)?;
        let file = |(folder, name, text): (String, String, String)| RuleFile {
            place: format!("{folder}/{name}"),
            folder,
            name,
            text,
        };
        Ok(listed.into_iter().map(file).collect())
    }
}

/// The SHA-256 of a text, and the text compressed.
///
/// # Errors
/// zstd fails, which it does only without memory.
pub(crate) fn packed(text: &[u8]) -> Result<([u8; 32], Vec<u8>), PackError> {
    Ok((sha256(text), zstd::bulk::compress(text, LEVEL).map_err(PackError::Zstd)?))
}

/// A text that was compressed. It is never longer than its stated size.
///
/// # Errors
/// It is damaged.
pub(crate) fn unpacked(packed: &[u8], size: u64, expected: &[u8; 32]) -> Result<String, PackError> {
    if size > MOST {
        return Err(PackError::Size { size });
    }
    let text = zstd::bulk::decompress(packed, usize::try_from(size).unwrap_or(usize::MAX)).map_err(PackError::Zstd)?;
    let damaged = || PackError::Digest { expected: data_encoding::HEXLOWER.encode(expected) };
    if sha256(&text) != *expected {
        return Err(damaged());
    }
    String::from_utf8(text).map_err(|_| damaged())
}

/// The SHA-256 of a text.
pub(crate) fn sha256(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> RuleFile {
        let (folder, name) = ("orders".to_owned(), name.to_owned());
        RuleFile { place: format!("{folder}/{name}"), folder, name, text: text.to_owned() }
    }

    #[test]
    fn a_pack_gives_back_its_files_and_a_damaged_one_is_refused() {
        let files = [file("b.toml", &"id = \"b\"\n".repeat(500)), file("a.toml", "id = \"a\"\n")];
        let pack = RulePack::of(&files).expect("packs");
        assert!(pack.packed.len() < 300, "{} bytes", pack.packed.len());
        let mut back = pack.files().expect("reads");
        back.reverse();
        assert_eq!(back, files);
        let other = RulePack { sha256: [7; 32], ..pack.clone() };
        assert!(other.files().expect_err("another digest").to_string().contains("07070707"));
        let cut = RulePack { packed: pack.packed[..20].to_vec(), ..pack.clone() };
        assert!(matches!(cut.files(), Err(PackError::Zstd(_))));
        let longer = RulePack { size: pack.size - 1, ..pack };
        assert!(matches!(longer.files(), Err(PackError::Zstd(_))), "no more bytes than it says");
    }
}
