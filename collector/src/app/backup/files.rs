//! Files of a backup: copied with the owner's permissions only, synced, and named by size and digest.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use anyhow::Context;

/// Bytes that are read at once.
const CHUNK: usize = 1024 * 1024;

/// The size of a file and its BLAKE3 digest in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) bytes: u64,
    pub(super) blake3: String,
}

/// Reads a file once. `more` gets the number of bytes of each step.
pub(super) fn content(path: &Path, more: &mut dyn FnMut(u64)) -> io::Result<Content> {
    through(File::open(path)?, None, more)
}

/// Copies a file to a new one that only its owner may read, and syncs it. Returns what was copied. After an error there
/// is no new file.
pub(super) fn copy(from: &Path, to: &Path) -> anyhow::Result<Content> {
    let source = File::open(from).with_context(|| format!("read {}", from.display()))?;
    let mut target = create(to)?;
    let copied = through(source, Some(&mut target), &mut |_| {});
    let copied = copied.with_context(|| format!("copy {} to {}", from.display(), to.display()));
    let copied = copied.and_then(|copied| {
        target.sync_all().with_context(|| format!("write {}", to.display()))?;
        Ok(copied)
    });
    or_remove(copied, to)
}

/// Writes a new file that only its owner may read, and syncs it. After an error there is no new file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = create(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    or_remove(written.with_context(|| format!("write {}", path.display())), path)
}

/// Removes a file that was created and could not be filled. Its error is the one to report.
fn or_remove<T>(filled: anyhow::Result<T>, path: &Path) -> anyhow::Result<T> {
    if filled.is_err() {
        let _ = std::fs::remove_file(path);
    }
    filled
}

fn create(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    let created = options.write(true).create_new(true).mode(0o600).open(path);
    created.with_context(|| format!("create {}", path.display()))
}

fn through(mut source: File, mut target: Option<&mut File>, more: &mut dyn FnMut(u64)) -> io::Result<Content> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        let read = source.read(&mut chunk)?;
        if read == 0 {
            return Ok(Content { bytes, blake3: hasher.finalize().to_hex().to_string() });
        }
        hasher.update(&chunk[..read]);
        if let Some(target) = target.as_deref_mut() {
            target.write_all(&chunk[..read])?;
        }
        bytes += read as u64;
        more(read as u64);
    }
}

/// Whether a file or directory exists. One that cannot be read is an error: left out, it would be missed after a restore.
pub(super) fn exists(path: &Path) -> anyhow::Result<bool> {
    path.try_exists().with_context(|| format!("read {}", path.display()))
}

/// Creates a directory, and those above it, that only their owner may enter.
pub(super) fn directory(path: &Path) -> anyhow::Result<()> {
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.with_context(|| format!("create {}", path.display()))
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> anyhow::Result<()> {
    File::open(path).and_then(|file| file.sync_all()).with_context(|| format!("sync {}", path.display()))
}

/// All files below a directory, as paths relative to it, sorted; and all directories, itself included. Links are
/// followed; one that leads to a directory above it is an error.
pub(super) fn below(top: &Path) -> anyhow::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut files, mut directories) = (Vec::new(), vec![top.to_owned()]);
    let mut next = 0;
    while let Some(directory) = directories.get(next).cloned() {
        next += 1;
        let list = || format!("list {}", directory.display());
        for entry in std::fs::read_dir(&directory).with_context(list)? {
            let path = entry.with_context(list)?.path();
            let found = match std::fs::metadata(&path) {
                Ok(found) => found,
                // Deleted meanwhile, or a link to nothing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
            };
            if found.is_dir() {
                refuse_loop(top, &path, &found)?;
                directories.push(path);
            } else if found.is_file() {
                files.push(path.strip_prefix(top).unwrap_or(&path).to_owned());
            }
        }
    }
    files.sort();
    Ok((files, directories))
}

/// Refuses a directory that is the same as one of those above it, up to the top: it has no end.
fn refuse_loop(top: &Path, path: &Path, found: &Metadata) -> anyhow::Result<()> {
    for above in path.ancestors().skip(1).take_while(|above| above.starts_with(top)) {
        let other = std::fs::metadata(above).with_context(|| format!("read {}", above.display()))?;
        anyhow::ensure!(
            (other.dev(), other.ino()) != (found.dev(), found.ino()),
            "follow the link {}: it leads to {}, which is above it",
            path.display(),
            above.display()
        );
    }
    Ok(())
}

/// Whether a path of a manifest stays below its folder.
pub(super) fn stays_below(path: &Path) -> bool {
    path.components().next().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leaves_the_folder_is_recognised() {
        for path in ["../ca.key", "/etc/passwd", "rules/../../x", ""] {
            assert!(!stays_below(Path::new(path)), "{path}");
        }
        assert!(stays_below(Path::new("rules/orders/x.toml")));
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a directory");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        write(&one, b"1").expect("written");
        write(&two, b"22").expect("written");
        copy(&one, &two).expect_err("is there");
        assert_eq!(content(&two, &mut |_| {}).expect("read").bytes, 2);
    }

    #[test]
    fn links_to_directories_are_followed_and_one_to_a_directory_above_is_named() {
        let (folder, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let (top, elsewhere) = (folder.path(), other.path());
        write(&top.join("a.toml"), b"1").expect("written");
        directory(&elsewhere.join("more")).expect("made");
        write(&elsewhere.join("more/b.toml"), b"2").expect("written");
        std::os::unix::fs::symlink(elsewhere, top.join("orders")).expect("linked");
        let found = below(top).expect("listed").0;
        assert_eq!(found, [Path::new("a.toml"), Path::new("orders/more/b.toml")]);
        let link = elsewhere.join("more/again");
        std::os::unix::fs::symlink(elsewhere, &link).expect("linked");
        let refused = below(top).expect_err("has no end").to_string();
        assert!(refused.contains("orders/more/again: it leads to"), "{refused}");
    }

    #[test]
    fn what_cannot_be_read_is_not_left_out() {
        let folder = tempfile::tempdir().expect("a directory");
        let link = folder.path().join("overlay");
        assert!(!exists(&link).expect("missing"));
        // A link to itself, which no user can read, not even root.
        std::os::unix::fs::symlink(&link, &link).expect("linked");
        exists(&link).expect_err("cannot be read");
        below(folder.path()).expect_err("cannot be read");
    }
}
