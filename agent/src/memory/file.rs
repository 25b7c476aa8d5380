//! Reads the agent's own files: settings, keys, certificates, state. Each has a limit, because whatever is at such a path is read
//! as a whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A limit of one kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    bytes: u64,
    remedy: &'static str,
}

/// A certificate in PEM has 2 KiB. All authorities that a browser trusts have 220 KiB together.
pub const CERTIFICATES: Limit =
    limit(2 * 1024 * 1024, "keep only the certificates in it that the collector's is issued by");
/// As for reading them.
pub const SETTINGS: Limit = limit(muster_proto::limits::SETTINGS_FILE_BYTES, "write only settings into it");
/// A name and a password.
pub const PASSWORD: Limit = limit(4 * 1024, "write only `NAME:PASSWORD` into it");
/// Key, certificates and trust bundle have up to 20 KiB.
pub const IDENTITY: Limit = limit(1024 * 1024, "restore it from a backup, or enroll this machine again");
/// 32 bytes.
pub const USER_KEY: Limit = limit(1024, "remove it; users get new pseudonyms");
/// A watchlist has at most 4,096 entries in each of its lists; what is watched has 200 paths.
pub const STATE: Limit = limit(4 * 1024 * 1024, "remove it; it is written again");
/// A digest.
pub const DIGEST: Limit = limit(1024, "remove it; it is written again");
/// Recorded answers of Windows Management Instrumentation: a few rows for each class.
pub const ANSWERS: Limit = limit(4 * 1024 * 1024, "record only the classes that are asked for");
/// A snapshot with its sections: [`super::SECTIONS_BYTES`], facts and state.
pub const SPOOL_ENTRY: Limit =
    limit(super::SECTIONS_BYTES as u64 + 1024 * 1024, "remove it; the next snapshot is sent");

const fn limit(bytes: u64, remedy: &'static str) -> Limit {
    Limit { bytes, remedy }
}

/// A file is larger than its limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file has more than {limit} bytes; {remedy}")]
pub struct TooLarge {
    limit: u64,
    remedy: &'static str,
}

/// Reads a whole file.
///
/// # Errors
/// As the system says; `FileTooLarge` with [`TooLarge`] if it is larger.
pub fn read(path: &Path, limit: Limit) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let expected = file.metadata().map_or(0, |metadata| metadata.len()).min(limit.bytes);
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0) + 1);
    // One byte more reveals a file over the limit. The size is no proof, because files grow.
    file.take(limit.bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit.bytes {
        let Limit { bytes: limit, remedy } = limit;
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, TooLarge { limit, remedy }));
    }
    Ok(bytes)
}

/// Reads a whole text file.
///
/// # Errors
/// As [`read`]; `InvalidData` if it is not UTF-8.
pub fn read_text(path: &Path, limit: Limit) -> io::Result<String> {
    String::from_utf8(read(path, limit)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_over_its_limit_is_refused_with_the_limit_and_a_remedy() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("password");
        std::fs::write(&path, vec![b'x'; 4096]).expect("written");
        assert_eq!(read(&path, PASSWORD).expect("read").len(), 4096);
        std::fs::write(&path, vec![b'x'; 4097]).expect("written");
        let error = read(&path, PASSWORD).expect_err("too large");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "the file has more than 4096 bytes; write only `NAME:PASSWORD` into it");
    }
}
