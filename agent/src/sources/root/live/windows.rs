//! Files of a running Windows. Every file is opened so that others may write, rename and delete it meanwhile, and with the
//! backup semantics that folders need.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use muster_proto::model::Platform;

use crate::sources::parse::windows::path::{Volume, parse};
use crate::sources::root::names::refused;

pub(in crate::sources::root) const SYSTEM: Platform = Platform::Windows;

/// `FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE`
const SHARE_EVERYTHING: u32 = 1 | 2 | 4;
/// `FILE_FLAG_BACKUP_SEMANTICS`: folders can be opened, and the backup privilege counts where the process has it.
const BACKUP_SEMANTICS: u32 = 0x0200_0000;

pub(in crate::sources::root) fn system_root() -> PathBuf {
    PathBuf::from(format!(r"{}:\", system_letter()))
}

/// The letter of the volume on which Windows is.
fn system_letter() -> char {
    let drive = std::env::var("SystemDrive").unwrap_or_default();
    drive.chars().next().filter(char::is_ascii_alphabetic).map_or('C', |letter| letter.to_ascii_uppercase())
}

/// The path in the form that may be longer than 260 characters and in which no name means a device.
pub(in crate::sources::root) fn path(path: &str) -> io::Result<PathBuf> {
    let path = parse(path).map_err(refused)?;
    let letter = match path.volume {
        Volume::Letter(letter) => letter,
        Volume::OfWindows | Volume::Unnamed => system_letter(),
    };
    Ok(PathBuf::from(format!(r"\\?\{letter}:\{}", path.names.join(r"\"))))
}

pub(in crate::sources::root) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).share_mode(SHARE_EVERYTHING).custom_flags(BACKUP_SEMANTICS).open(path)
}

pub(in crate::sources::root) fn identity(file: &File, _metadata: &Metadata) -> (u64, u64) {
    winapi_util::file::information(file)
        .map_or((0, 0), |information| (information.volume_serial_number(), information.file_index()))
}

/// Whether the path is on another volume than Windows, and that volume cannot be opened: its disk is detached, its drive is empty,
/// or its letter is that of a share which this account has not connected.
pub(in crate::sources::root) fn is_on_lost_volume(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let letter = text.strip_prefix(r"\\?\").and_then(|rest| rest.chars().next()).filter(char::is_ascii_alphabetic);
    let other = letter.filter(|letter| !letter.eq_ignore_ascii_case(&system_letter()));
    other.is_some_and(|letter| open(Path::new(&format!(r"\\?\{letter}:\"))).is_err())
}

pub(in crate::sources::root) fn identity_at(path: &Path, metadata: &Metadata) -> (u64, u64) {
    open(path).map_or((0, 0), |file| identity(&file, metadata))
}

/// Windows has no permission to execute that is visible here.
pub(in crate::sources::root) const fn is_executable(_metadata: &Metadata) -> bool {
    false
}

pub(in crate::sources::root) fn read_at(file: &File, mut place: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = file.seek_read(buffer, place)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
        place += read as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::test_kit;
    use crate::sources::root::{FileKind, Root};

    #[test]
    fn the_running_system_is_read_by_letters_in_any_case() {
        let root = Root::running_system().expect("opens");
        assert_eq!(root.platform(), Platform::Windows);
        let letter = system_letter().to_ascii_lowercase();
        for path in [r"\WINDOWS\system32", &format!("{letter}:/windows/System32"), r"\??\C:\Windows\SYSTEM32\."] {
            assert_eq!(root.kind_at(path).expect("known"), Some(FileKind::Directory), "{path}");
        }
        assert_eq!(root.kind_at(r"\Windows\gone\x").expect("known"), None);
        assert_eq!(root.kind_at(r"\\server\x").expect_err("unknown").kind(), io::ErrorKind::CrossesDevices);
    }

    #[test]
    fn nothing_is_absent_on_a_volume_that_is_not_there() {
        let root = Root::running_system().expect("opens");
        for path in [r"Programs\a.exe", "Programs", ""] {
            let path = format!(r"{}:\{path}", test_kit::free_letter());
            let answers = [
                root.kind_at(&path).err(),
                root.open(&path).err(),
                root.read(&path, 9).err(),
                root.list(&path).err(),
                root.directory(&path).err(),
                root.times(&path).err(),
                root.read_link(&path).err(),
            ];
            for answer in answers {
                let kind = answer.map(|error| error.kind());
                assert_eq!(kind, Some(io::ErrorKind::CrossesDevices), "{path}");
            }
        }
        let gone = root.open(r"C:\Windows\gone\x").expect_err("absent");
        assert_eq!(gone.kind(), io::ErrorKind::NotFound, "the volume of Windows is there");
    }

    #[test]
    fn nothing_is_absent_below_a_root_that_has_gone() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let folder = dir.path().join("root");
        std::fs::create_dir_all(folder.join("etc")).expect("made");
        let root = Root::below(&folder).expect("opens");
        assert_eq!(root.kind_at("/etc/gone").expect("known"), None);
        std::fs::remove_dir_all(&folder).expect("removed");
        for path in ["/etc", "/etc/gone", "/"] {
            let answers = [root.kind_at(path).err(), root.list(path).err(), root.open(path).err()];
            let kinds = answers.map(|error| error.map(|error| error.kind()));
            assert_eq!(kinds, [Some(io::ErrorKind::CrossesDevices); 3], "{path}");
        }
    }

    #[test]
    fn nothing_is_absent_behind_a_link_that_leads_nowhere() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        std::fs::create_dir(&target).expect("made");
        if !test_kit::link(&target, &link) {
            return test_kit::left_out("links that this account may make");
        }
        let root = Root::running_system().expect("opens");
        let path = |name: &str| link.join(name).to_string_lossy().into_owned();
        assert_eq!(root.kind_at(&path(r"a\b")).expect("known"), None, "the link leads to a folder without it");
        std::fs::remove_dir(&target).expect("removed");
        assert_eq!(root.kind_at(&link.to_string_lossy()).expect("known"), Some(FileKind::BrokenLink));
        for name in ["a", r"a\b"] {
            let answers = [root.kind_at(&path(name)).err(), root.list(&path(name)).err(), root.open(&path(name)).err()];
            let kinds = answers.map(|error| error.map(|error| error.kind()));
            assert_eq!(kinds, [Some(io::ErrorKind::CrossesDevices); 3], "{name}");
        }
    }

    #[test]
    fn a_file_that_is_read_can_be_renamed_and_deleted_by_others() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (path, moved) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&path, "text").expect("written");
        let file = open(&path).expect("opens");
        let same = open(&path).expect("opens");
        let metadata = file.metadata().expect("metadata");
        assert_eq!(identity(&file, &metadata), identity(&same, &metadata));
        assert_ne!(identity(&file, &metadata), (0, 0));
        std::fs::rename(&path, &moved).expect("renamed");
        std::fs::remove_file(&moved).expect("deleted");
        let mut buffer = [0; 2];
        read_at(&file, 2, &mut buffer).expect("read");
        assert_eq!(&buffer, b"xt");
    }
}
