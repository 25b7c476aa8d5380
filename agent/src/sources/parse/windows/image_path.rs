//! The program that a service, a driver or a task starts, from a text that can have many spellings: `\SystemRoot\…`, `\??\…`,
//! `%SystemRoot%\…`, `system32\…`, with or without quotation marks, blanks and arguments.
//!
//! An unquoted text with blanks is ambiguous, and Windows starts the first program that exists. So the answer is the list of
//! files in the order in which Windows tries them; the source asks which of them exists.

use super::text::strip_prefix;
use super::variables::{BothViews, Folders};

/// Limit of blanks at which an unquoted text is cut. A path of Windows has 32,767 characters, and no real one has as many words.
const CUTS: usize = 32;
/// Endings of programs. What follows one is an argument.
const PROGRAMS: &[&str] = &[".exe", ".sys", ".com", ".dll", ".bat", ".cmd", ".scr", ".srv"];

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilePlace {
    /// On the volume with this letter: `C:\Windows\system32\x.exe`.
    Local(String),
    /// On a volume that the kernel names by number or id: `\Windows\system32\x.exe`.
    UnknownVolume(String),
    /// On another machine: `\\server\share\x.exe`.
    Remote(String),
    /// Behind a variable that has a value for each user or process: `%APPDATA%\x.exe`.
    Variable(String),
}

impl FilePlace {
    /// The path as text.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Local(path) | Self::UnknownVolume(path) | Self::Remote(path) | Self::Variable(path) => path,
        }
    }
}

/// The program that a text names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImagePath {
    /// The files that it can mean, in the order in which Windows tries them. Empty if the text names none.
    pub tries: Vec<FilePlace>,
    /// The likeliest of them if none exists, without arguments.
    pub likeliest: Option<FilePlace>,
}

/// The file of a driver. Its text is a path of the kernel without arguments. An empty one means the file of its name in the
/// folder of drivers.
#[must_use]
pub fn of_driver(text: &str, name: &str, folders: &Folders) -> ImagePath {
    let windows = &folders.system_root;
    let text = text.trim().trim_matches('"').trim();
    let default = format!("System32\\drivers\\{name}.sys");
    let text = if text.is_empty() { &default } else { text };
    let mut tries = Vec::new();
    for expanded in expand(text, folders) {
        tries.extend(absolute(&expanded, windows, &["", "System32\\drivers"]));
    }
    if file_name(text).rsplit_once('.').is_none() {
        let more: Vec<FilePlace> = tries.iter().map(|place| with_ending(place, ".sys")).collect();
        tries.extend(more);
    }
    ImagePath { likeliest: tries.first().cloned(), tries }
}

/// The program of a service or a task.
#[must_use]
pub fn of_program(text: &str, folders: &Folders) -> ImagePath {
    let windows = &folders.system_root;
    let text = text.trim();
    let (candidates, likeliest) = match text.strip_prefix('"') {
        // A quotation mark that is missing at the end is assumed there.
        Some(quoted) => {
            let program = quoted.split('"').next().unwrap_or(quoted).trim();
            (vec![program], program)
        }
        None => (cuts(text), likeliest(text)),
    };
    let resolve = |text: &str| -> Vec<FilePlace> {
        let text = text.trim().trim_matches('"');
        if text.is_empty() {
            return Vec::new();
        }
        let expanded = expand(text, folders);
        expanded.iter().flat_map(|text| absolute(text, windows, &["System32", ""])).flat_map(with_both_views).collect()
    };
    let mut tries: Vec<FilePlace> = Vec::new();
    for candidate in candidates {
        for place in resolve(candidate) {
            let completed = file_name(candidate).rsplit_once('.').is_none().then(|| with_ending(&place, ".exe"));
            for one in [Some(place), completed].into_iter().flatten() {
                if !tries.contains(&one) {
                    tries.push(one);
                }
            }
        }
    }
    ImagePath { likeliest: resolve(likeliest).into_iter().next(), tries }
}

/// The folders or files that a whole text means, which has no arguments. A variable can mean two folders, and a relative text
/// means none: the folder in which it begins is unknown.
#[must_use]
pub fn of_folder(text: &str, folders: &Folders) -> Vec<FilePlace> {
    let windows = &folders.system_root;
    let text = text.trim().trim_matches('"').trim();
    if text.is_empty() {
        return Vec::new();
    }
    let is_relative = |text: &str| matches!(text.as_bytes(), [letter, b':', next, ..] if letter.is_ascii_alphabetic() && !matches!(next, b'\\' | b'/'));
    let expanded = expand(text, folders);
    expanded.iter().filter(|text| !is_relative(text)).flat_map(|text| absolute(text, windows, &[])).collect()
}

/// The name of the file at the end of a path.
#[must_use]
pub fn file_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

/// Everything that an unquoted text may mean: up to each blank, and the whole.
fn cuts(text: &str) -> Vec<&str> {
    let blanks = text.match_indices(char::is_whitespace).map(|(at, _)| at);
    let ends = blanks.filter(|at| !text[..*at].ends_with(char::is_whitespace)).take(CUTS).chain([text.len()]);
    ends.map(|end| &text[..end]).filter(|cut| !cut.is_empty()).collect()
}

/// What an unquoted text means if no file exists: up to the ending of a program, else up to an argument.
fn likeliest(text: &str) -> &str {
    let lower = text.to_ascii_lowercase();
    let is_end = |at: &usize| lower[*at..].chars().next().is_none_or(|next| next.is_whitespace() || next == '"');
    let ends = PROGRAMS.iter().flat_map(|ending| lower.match_indices(ending).map(|(at, _)| at + ending.len()));
    let program = ends.filter(is_end).min();
    let argument = || [" -", " /", " \"", " %1"].iter().filter_map(|mark| text.find(mark)).min();
    text[..program.or_else(argument).unwrap_or(text.len())].trim()
}

/// Replaces a variable at the start. One that means two folders, for programs of 64 and of 32 bits, gives both.
fn expand(text: &str, folders: &Folders) -> Vec<String> {
    let Some((name, rest)) = text.strip_prefix('%').and_then(|rest| rest.split_once('%')) else {
        return vec![text.to_owned()];
    };
    let in_folder = |folder: &str| format!("{folder}{rest}");
    let in_both = |both: &BothViews| both.distinct().into_iter().map(in_folder).collect();
    let Folders { letter, program_files, common_files, program_data, public, system_root, doubt } = folders;
    let mut expanded: Vec<String> = match name.to_ascii_lowercase().as_str() {
        "systemroot" | "windir" => vec![in_folder(system_root)],
        "systemdrive" | "homedrive" => vec![format!("{letter}:{rest}")],
        "programfiles" => in_both(program_files),
        "programw6432" => vec![in_folder(&program_files.native)],
        "programfiles(x86)" => vec![in_folder(&program_files.of_32_bits)],
        "commonprogramfiles" => in_both(common_files),
        "commonprogramw6432" => vec![in_folder(&common_files.native)],
        "commonprogramfiles(x86)" => vec![in_folder(&common_files.of_32_bits)],
        "programdata" | "allusersprofile" => vec![in_folder(program_data)],
        "public" => vec![in_folder(public)],
        _ => return vec![text.to_owned()],
    };
    // It may be in another folder, so that it must not count as missing.
    expanded.extend(doubt.as_ref().map(|_| text.to_owned()));
    expanded
}

/// The absolute path of a text. A relative one is below each of the folders of Windows.
fn absolute(text: &str, windows: &str, folders: &[&str]) -> Vec<FilePlace> {
    let text = text.replace('/', "\\");
    let mut rest = text.as_str();
    let mut is_kernel_name = false;
    while let Some(inner) = ["\\??\\", "\\\\?\\", "\\\\.\\", "\\DosDevices\\", "\\GLOBAL??\\", "GLOBALROOT\\"]
        .iter()
        .find_map(|prefix| strip_prefix(rest, prefix))
    {
        (rest, is_kernel_name) = (inner, true);
    }
    if let Some(share) = strip_prefix(rest, "UNC\\").filter(|_| is_kernel_name) {
        return vec![FilePlace::Remote(format!("\\\\{share}"))];
    }
    if rest.starts_with("\\\\") || strip_prefix(rest, "\\Device\\Mup\\").is_some() {
        return vec![FilePlace::Remote(rest.to_owned())];
    }
    let below_windows = strip_prefix(rest, "\\SystemRoot\\").or_else(|| strip_prefix(rest, "SystemRoot\\"));
    if let Some(below) = below_windows {
        return vec![FilePlace::Local(tidy(&format!("{windows}\\{below}")))];
    }
    if let Some(below) = below_volume(rest) {
        return vec![FilePlace::UnknownVolume(tidy(below))];
    }
    let mut characters = rest.chars();
    if let (Some(letter), Some(':')) = (characters.next().filter(char::is_ascii_alphabetic), characters.next()) {
        let below = rest[2..].trim_start_matches('\\');
        return vec![FilePlace::Local(tidy(&format!("{}:\\{below}", letter.to_ascii_uppercase())))];
    }
    if rest.starts_with('%') {
        return vec![FilePlace::Variable(rest.to_owned())];
    }
    if rest.starts_with('\\') {
        return vec![FilePlace::Local(tidy(&format!("{}{rest}", windows.get(..2).unwrap_or("C:"))))];
    }
    folders.iter().map(|folder| FilePlace::Local(tidy(&format!("{windows}\\{folder}\\{rest}")))).collect()
}

/// The path below a volume that the kernel names by number or id.
fn below_volume(path: &str) -> Option<&str> {
    let path = strip_prefix(path, "\\Device\\").or_else(|| strip_prefix(path, "\\ArcName\\")).unwrap_or(path);
    let at = path.find('\\')?;
    let is_volume = ["HarddiskVolume", "Volume{", "multi(", "HarddiskDmVolumes", "BootDevice"]
        .iter()
        .any(|start| strip_prefix(&path[..at], start).is_some());
    is_volume.then(|| &path[at..])
}

/// A path without empty components, `.` and `..`, which Windows resolves by name before it opens a file.
fn tidy(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('\\') {
        match part {
            "" | "." => {}
            ".." if parts.len() > 1 => drop(parts.pop()),
            ".." => {}
            part => parts.push(part),
        }
    }
    let start = if path.starts_with('\\') { "\\" } else { "" };
    format!("{start}{}", parts.join("\\"))
}

/// A program of 32 bits that names the folder of system files means another one, and only such a program can name `Sysnative`.
fn with_both_views(place: FilePlace) -> Vec<FilePlace> {
    let FilePlace::Local(path) = &place else { return vec![place] };
    let lower = path.to_ascii_lowercase();
    let replaced = |name: &str, other: &str| {
        let at = lower.find(name)?;
        Some(FilePlace::Local(format!("{}{other}{}", &path[..at], &path[at + name.len()..])))
    };
    if let Some(native) = replaced("\\sysnative\\", "\\System32\\") {
        return vec![native];
    }
    let other = replaced("\\system32\\", "\\SysWOW64\\");
    [Some(place), other].into_iter().flatten().collect()
}

fn with_ending(place: &FilePlace, ending: &str) -> FilePlace {
    match place {
        FilePlace::Local(path) => FilePlace::Local(format!("{path}{ending}")),
        FilePlace::UnknownVolume(path) => FilePlace::UnknownVolume(format!("{path}{ending}")),
        FilePlace::Remote(path) => FilePlace::Remote(format!("{path}{ending}")),
        FilePlace::Variable(path) => FilePlace::Variable(format!("{path}{ending}")),
    }
}

#[cfg(test)]
#[path = "image_path_tests.rs"]
mod tests;
