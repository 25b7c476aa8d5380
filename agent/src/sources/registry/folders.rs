//! Where the folders of programs and of Windows are on a machine, as its registry says.

use super::Registry;
use super::profiles::windows_folder;
use crate::sources::parse::windows::text::strip_prefix;
use crate::sources::parse::windows::variables::Folders;

const PROFILES: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList";
const PROGRAMS: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion";

/// The folders of the machine. Where the registry says nothing, the usual ones on the volume with this letter.
#[must_use]
pub fn folders(registry: Option<&dyn Registry>, letter: char) -> Folders {
    let usual = Folders::usual(letter);
    let Some(registry) = registry else { return usual };
    let folder = |key: &str, name: &str| {
        let text = registry.value(key, name).ok()?.text()?;
        // Only this variable is needed to know the volume.
        let text = match strip_prefix(&text, "%SystemDrive%") {
            Some(rest) => format!("{letter}:{rest}"),
            None => text,
        };
        let path = text.trim().trim_end_matches('\\');
        (path.as_bytes().get(1) == Some(&b':') && path.len() > 3).then(|| path.to_owned())
    };
    let own = ["ProgramFilesDir", "ProgramFilesDir (x86)", "ProgramW6432Dir"];
    let mut program_files: Vec<String> = own.iter().filter_map(|name| folder(PROGRAMS, name)).collect();
    program_files.sort_by_key(|path| path.len());
    program_files.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    if program_files.is_empty() {
        program_files = usual.program_files;
    }
    Folders {
        letter,
        program_files,
        program_data: folder(PROFILES, "ProgramData").unwrap_or(usual.program_data),
        system_root: windows_folder(registry).unwrap_or(usual.system_root),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::registry::memory::MemoryRegistry;

    const WINDOWS: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion";

    #[test]
    fn the_registry_says_where_the_folders_are() {
        let registry = MemoryRegistry::default()
            .with_text(WINDOWS, "SystemRoot", r"D:\WINNT")
            .with_text(PROFILES, "ProgramData", r"%SystemDrive%\ProgramData")
            .with_text(PROGRAMS, "ProgramFilesDir", r"E:\Programme")
            .with_text(PROGRAMS, "ProgramW6432Dir", r"e:\programme");
        let found = folders(Some(&registry), 'D');
        assert_eq!(found.expand("%ProgramFiles%/X"), [r"E:\Programme\X"]);
        assert_eq!(found.expand("%ProgramData%/X"), [r"D:\ProgramData\X"]);
        assert_eq!(found.expand("%WinDir%/X"), [r"D:\WINNT\X"]);
        assert_eq!(folders(Some(&MemoryRegistry::default()), 'C'), Folders::usual('C'));
    }
}
