//! Variables of Windows that name a folder of the machine, and the folders that they mean there.

use super::path::folded;
use super::text::strip_prefix;

/// A folder that differs between machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// Both folders of programs: those of 64 bits and those of 32.
    ProgramFiles,
    /// The folders that their programs share.
    CommonFiles,
    /// The data of programs for all users.
    ProgramData,
    /// The folder of Windows.
    SystemRoot,
}

/// The variables that the collector's rules know. Those of a user are missing: no watchlist reads home directories.
const KNOWN: &[(&str, Variable)] = &[
    ("%ProgramFiles%", Variable::ProgramFiles),
    ("%ProgramFiles(x86)%", Variable::ProgramFiles),
    ("%ProgramW6432%", Variable::ProgramFiles),
    ("%CommonProgramFiles%", Variable::CommonFiles),
    ("%CommonProgramFiles(x86)%", Variable::CommonFiles),
    ("%ProgramData%", Variable::ProgramData),
    ("%AllUsersProfile%", Variable::ProgramData),
    ("%SystemRoot%", Variable::SystemRoot),
    ("%WinDir%", Variable::SystemRoot),
];

/// The variable at the start of a text, and the rest; `None` if there is none, or another one.
#[must_use]
pub fn variable(text: &str) -> Option<(Variable, &str)> {
    let of = |(name, variable): &(&str, Variable)| strip_prefix(text, name).map(|rest| (*variable, rest));
    KNOWN.iter().find_map(of).filter(|(_, rest)| rest.is_empty() || rest.starts_with(['/', '\\']))
}

/// The folders of one machine, with the letters of their volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// The letter of the volume on which Windows is.
    pub letter: char,
    /// `C:\Program Files`, `C:\Program Files (x86)`.
    pub program_files: Vec<String>,
    /// `C:\ProgramData`.
    pub program_data: String,
    /// `C:\Windows`.
    pub system_root: String,
}

impl Folders {
    /// Those of nearly every machine.
    #[must_use]
    pub fn usual(letter: char) -> Self {
        let of = |name: &str| format!(r"{letter}:\{name}");
        Self {
            letter,
            program_files: vec![of("Program Files"), of("Program Files (x86)")],
            program_data: of("ProgramData"),
            system_root: of("Windows"),
        }
    }

    /// The paths that a path of a watchlist means on this machine, with backslashes. `C:` is the volume of Windows there.
    #[must_use]
    pub fn expand(&self, entry: &str) -> Vec<String> {
        let paths: Vec<String> = match variable(entry) {
            Some((variable, rest)) => self.of(variable).into_iter().map(|folder| format!("{folder}{rest}")).collect(),
            None => match strip_prefix(entry, "C:") {
                Some(rest) => vec![format!("{}:{rest}", self.letter)],
                None => vec![entry.to_owned()],
            },
        };
        paths.into_iter().map(|path| path.replace('/', r"\")).collect()
    }

    fn of(&self, variable: Variable) -> Vec<String> {
        let mut folders: Vec<String> = match variable {
            Variable::ProgramFiles => self.program_files.clone(),
            Variable::CommonFiles => {
                self.program_files.iter().map(|folder| format!(r"{folder}\Common Files")).collect()
            }
            Variable::ProgramData => vec![self.program_data.clone()],
            Variable::SystemRoot => vec![self.system_root.clone()],
        };
        folders.dedup_by_key(|folder| folded(folder));
        folders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_variable_is_expanded_and_no_other() {
        let folders = Folders::usual('D');
        for (entry, paths) in [
            ("%ProgramFiles%/X", &[r"D:\Program Files\X", r"D:\Program Files (x86)\X"][..]),
            ("%programfiles(x86)%\\X", &[r"D:\Program Files\X", r"D:\Program Files (x86)\X"]),
            ("%CommonProgramFiles%/X", &[r"D:\Program Files\Common Files\X", r"D:\Program Files (x86)\Common Files\X"]),
            ("%PROGRAMDATA%/X", &[r"D:\ProgramData\X"]),
            ("%SystemRoot%/x/*", &[r"D:\Windows\x\*"]),
            ("c:\\X", &[r"D:\X"]),
        ] {
            assert_eq!(folders.expand(entry), paths, "{entry}");
        }
        for other in ["%AppData%/x", "%USERPROFILE%", "%TEMP%/x", "%ProgramFiles%x", "ProgramFiles/x"] {
            assert_eq!(variable(other), None, "{other}");
        }
    }
}
