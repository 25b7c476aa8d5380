//! Where the folders of programs and of Windows are on a machine, as its registry says.

use super::profiles::windows_folder;
use super::{Registry, RegistryError};
use crate::sources::parse::windows::text::strip_prefix;
use crate::sources::parse::windows::variables::{BothViews, Folders};

const PROFILES: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList";
const WINDOWS: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion";
const PROGRAMS: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion";

/// The folders of the machine. Where the registry says nothing, the usual ones on the volume with this letter.
#[must_use]
pub fn folders(registry: &dyn Registry, letter: char) -> Folders {
    let system_root = windows_folder(registry);
    let letter = system_root.as_deref().and_then(volume_of).unwrap_or(letter);
    let usual = Folders::usual(letter);
    let mut asked = Asked { registry, letter, volume_of_setup: None, doubt: None };
    if system_root.is_none() {
        asked.volume_of_setup = asked.text(WINDOWS, "SystemRoot").and_then(|root| volume_of(&root));
    }
    // The first value is there for programs of 32 bits, for which the second one has another text.
    let program_files = ["ProgramW6432Dir", "ProgramFilesDir"];
    let program_files = asked.both(program_files, "ProgramFilesDir (x86)", usual.program_files);
    let common_files = ["CommonW6432Dir", "CommonFilesDir"];
    let common_files = asked.both(common_files, "CommonFilesDir (x86)", usual.common_files);
    Folders {
        letter,
        program_files,
        common_files,
        program_data: asked.folder(PROFILES, "ProgramData").unwrap_or(usual.program_data),
        public: asked.folder(PROFILES, "Public").unwrap_or(usual.public),
        system_root: system_root.unwrap_or(usual.system_root),
        doubt: asked.doubt,
    }
}

/// The registry while it is asked for folders.
struct Asked<'r> {
    registry: &'r dyn Registry,
    letter: char,
    /// An image that was never started names the volume of the setup that made it.
    volume_of_setup: Option<char>,
    doubt: Option<String>,
}

impl Asked<'_> {
    fn text(&mut self, key: &str, name: &str) -> Option<String> {
        match self.registry.value(key, name) {
            Ok(value) => value.text(),
            Err(RegistryError::Absent) => None,
            Err(error) => {
                self.doubt.get_or_insert_with(|| format!("cannot read {key}: {error}"));
                None
            }
        }
    }

    /// A folder with the letter of its volume; `None` if the registry names none.
    fn folder(&mut self, key: &str, name: &str) -> Option<String> {
        let (path, letter) = (self.text(key, name)?, self.letter);
        // Only this variable is needed to know the volume.
        let path = match strip_prefix(&path, "%SystemDrive%") {
            Some(rest) => format!("{letter}:{rest}"),
            None => path,
        };
        let path = path.trim().trim_end_matches('\\');
        let volume = volume_of(path).filter(|_| path.len() > 3)?;
        let is_of_setup = Some(volume) == self.volume_of_setup;
        Some(if is_of_setup { format!("{letter}{}", &path[1..]) } else { path.to_owned() })
    }

    /// The folder that the first of the names has, and that for programs of 32 bits.
    fn both(&mut self, native: [&str; 2], of_32_bits: &str, usual: BothViews) -> BothViews {
        let native = native.iter().find_map(|name| self.folder(PROGRAMS, name));
        match (native, self.folder(PROGRAMS, of_32_bits)) {
            (Some(native), Some(of_32_bits)) => BothViews { native, of_32_bits },
            // Windows of 32 bits has one folder, but an image may also lack a value; looking there finds nothing then.
            (Some(native), None) => BothViews { native, of_32_bits: usual.of_32_bits },
            (None, Some(of_32_bits)) => BothViews { of_32_bits, ..usual },
            (None, None) => usual,
        }
    }
}

/// The letter of the volume that a path begins with, in upper case.
fn volume_of(path: &str) -> Option<char> {
    match path.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => Some(char::from(letter.to_ascii_uppercase())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::registry::memory::MemoryRegistry;

    #[test]
    fn the_registry_says_where_the_folders_are() {
        let registry = MemoryRegistry::default()
            .with_text(WINDOWS, "SystemRoot", r"D:\WINNT")
            .with_text(PROFILES, "ProgramData", r"%SystemDrive%\ProgramData")
            .with_text(PROFILES, "Public", r"E:\All")
            .with_text(PROGRAMS, "ProgramFilesDir", r"E:\Programme")
            .with_text(PROGRAMS, "ProgramW6432Dir", r"e:\programme");
        let found = folders(&registry, 'D');
        let expanded = [r"e:\programme\X", r"D:\Program Files (x86)\X", r"D:\Program Files\X"];
        assert_eq!(found.expand("%ProgramFiles%/X"), expanded, "what was installed before is in the usual folder");
        assert_eq!(found.expand("%ProgramData%/X"), [r"D:\ProgramData\X"]);
        assert_eq!(found.expand("%WinDir%/X"), [r"D:\WINNT\X"]);
        assert_eq!(found.public, r"E:\All");
        assert_eq!(folders(&MemoryRegistry::default(), 'C'), Folders::usual('C'));
    }

    #[test]
    fn both_folders_of_programs_and_of_shared_files_are_read() {
        let registry = MemoryRegistry::default()
            .with_text(WINDOWS, "SystemRoot", r"C:\Windows")
            .with_text(PROGRAMS, "ProgramFilesDir", r"D:\Programs")
            .with_text(PROGRAMS, "ProgramFilesDir (x86)", r"D:\Programs of 32 bits\")
            .with_text(PROGRAMS, "CommonFilesDir", r"D:\Shared")
            .with_text(PROGRAMS, "CommonFilesDir (x86)", r"%SystemDrive%\Shared");
        let found = folders(&registry, 'C');
        assert_eq!(found.program_files.distinct(), [r"D:\Programs", r"D:\Programs of 32 bits"]);
        assert_eq!(found.common_files.distinct(), [r"D:\Shared", r"C:\Shared"]);
        // Texts that are no folder of a machine say nothing.
        let odd = MemoryRegistry::default().with_text(PROGRAMS, "ProgramFilesDir", r"\\server\programs").with_text(
            PROGRAMS,
            "CommonFilesDir",
            "C:\\",
        );
        assert_eq!(folders(&odd, 'C'), Folders::usual('C'));
    }

    #[test]
    fn the_folders_of_an_image_that_was_never_started_are_on_its_own_volume() {
        let registry = MemoryRegistry::default()
            .with_text(WINDOWS, "SystemRoot", r"X:\$windows.~bt\Windows")
            .with_text(PROGRAMS, "ProgramFilesDir", r"x:\Program Files")
            .with_text(PROGRAMS, "CommonFilesDir", r"E:\Shared");
        let found = folders(&registry, 'C');
        assert_eq!(found.program_files.native, r"C:\Program Files");
        assert_eq!(found.common_files.native, r"E:\Shared");
    }

    #[test]
    fn a_registry_that_cannot_say_where_the_folders_are_leaves_a_doubt() {
        let denied = MemoryRegistry::default().with_error(PROGRAMS, RegistryError::Denied);
        let found = folders(&denied, 'C');
        assert_eq!(found.doubt.as_deref(), Some(&*format!("cannot read {PROGRAMS}: permission denied")));
        assert_eq!(Folders { doubt: None, ..found }, Folders::usual('C'));
        let unsure = MemoryRegistry::default().with_value_fault(PROFILES, "cell 0x20");
        assert!(folders(&unsure, 'C').doubt.is_some_and(|doubt| doubt.contains("cell 0x20")));
    }
}
