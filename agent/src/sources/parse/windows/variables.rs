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
    /// `C:\Program Files` and `C:\Program Files (x86)`.
    pub program_files: BothViews,
    /// `C:\Program Files\Common Files` and `C:\Program Files (x86)\Common Files`.
    pub common_files: BothViews,
    /// `C:\ProgramData`.
    pub program_data: String,
    /// `C:\Users\Public`.
    pub public: String,
    /// `C:\Windows`.
    pub system_root: String,
    /// Why the registry could not say where they are: programs may be in other folders then. `None` if it could.
    pub doubt: Option<String>,
}

/// A folder for the programs that Windows itself is made for, and one for programs of 32 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BothViews {
    /// The folder of the programs that Windows itself is made for: `C:\Program Files`.
    pub native: String,
    /// That of programs of 32 bits: `C:\Program Files (x86)`. A Windows of 32 bits has one folder for both.
    pub of_32_bits: String,
}

impl BothViews {
    /// Each folder once, the native one first.
    #[must_use]
    pub fn distinct(&self) -> Vec<&str> {
        let Self { native, of_32_bits } = self;
        if folded(native) == folded(of_32_bits) { vec![native] } else { vec![native, of_32_bits] }
    }

    /// These folders and others, each once.
    fn and(&self, others: &Self) -> Vec<String> {
        let mut all: Vec<&str> = self.distinct();
        for other in others.distinct() {
            if all.iter().all(|known| folded(known) != folded(other)) {
                all.push(other);
            }
        }
        all.into_iter().map(str::to_owned).collect()
    }
}

impl Folders {
    /// Those of nearly every machine.
    #[must_use]
    pub fn usual(letter: char) -> Self {
        let of = |name: &str| format!(r"{letter}:\{name}");
        Self {
            letter,
            program_files: BothViews { native: of("Program Files"), of_32_bits: of("Program Files (x86)") },
            common_files: BothViews {
                native: of(r"Program Files\Common Files"),
                of_32_bits: of(r"Program Files (x86)\Common Files"),
            },
            program_data: of("ProgramData"),
            public: of(r"Users\Public"),
            system_root: of("Windows"),
            doubt: None,
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

    /// The folders that a variable means. The usual folders of programs are among them: what was installed before somebody moved the
    /// folders of the registry is still there.
    fn of(&self, variable: Variable) -> Vec<String> {
        let usual = Self::usual(self.letter);
        match variable {
            Variable::ProgramFiles => self.program_files.and(&usual.program_files),
            Variable::CommonFiles => self.common_files.and(&usual.common_files),
            Variable::ProgramData => vec![self.program_data.clone()],
            Variable::SystemRoot => vec![self.system_root.clone()],
        }
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
        let moved = BothViews { native: r"D:\Programs".to_owned(), of_32_bits: r"D:\program files (X86)".to_owned() };
        let moved = Folders { program_files: moved, ..folders };
        let all = [r"D:\Programs\X", r"D:\program files (X86)\X", r"D:\Program Files\X"];
        assert_eq!(moved.expand("%ProgramFiles%/X"), all, "what was installed before is still in the usual folder");
        for other in ["%AppData%/x", "%USERPROFILE%", "%TEMP%/x", "%ProgramFiles%x", "ProgramFiles/x"] {
            assert_eq!(variable(other), None, "{other}");
        }
    }
}
