//! Paths of Windows: the volume, and the names below it. Nothing here asks whether a file exists.

/// A path, without its spelling: both slashes, prefixes of the kernel, `.` and `..` are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowsPath {
    /// The volume.
    pub volume: Volume,
    /// The names from the top of the volume down.
    pub names: Vec<String>,
}

/// The volume of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volume {
    /// None is named: it is the one on which Windows is.
    OfWindows,
    /// The one with this letter, in upper case.
    Letter(char),
    /// One that the kernel names by number or id.
    Unnamed,
}

/// A text is not the path of a file on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `x.txt:stream`.
    #[error("it names a stream within a file, and streams are not read")]
    Stream,
    /// `\\server\share\x`.
    #[error("it is on another machine, which is not scanned")]
    Remote,
    /// It begins neither with a volume nor with a slash.
    #[error("the path is not absolute")]
    Relative,
    /// Windows allows no such name.
    #[error("no file can have this name")]
    Impossible,
}

/// Prefixes of absolute paths for the kernel: `\\?\C:\x`, `\??\C:\x`, `\\.\C:\x`, `\\?\GLOBALROOT\Device\…`.
const PREFIXES: &[&str] = &[r"\\?\GLOBALROOT\", r"\\?\", r"\??\GLOBALROOT\", r"\??\", r"\\.\GLOBALROOT\", r"\\.\"];

/// Reads a path.
///
/// # Errors
/// It is not the path of a file on a volume.
pub fn parse(text: &str) -> Result<WindowsPath, PathError> {
    let text = text.replace('/', r"\");
    let prefix = PREFIXES.iter().find_map(|prefix| below(&text, prefix));
    let rest = prefix.unwrap_or(&text);
    let is_of_kernel = prefix.is_some();
    if rest.starts_with(r"\\") || (is_of_kernel && below(rest, r"UNC\").is_some()) {
        return Err(PathError::Remote);
    }
    let device = below(rest, r"\Device\").or_else(|| below(rest, r"Device\").filter(|_| is_of_kernel));
    if let Some(device) = device {
        let (name, rest) = device.split_once('\\').unwrap_or((device, ""));
        let is_disk = below(name, "HarddiskVolume").is_some();
        return if is_disk { of_names(Volume::Unnamed, rest) } else { Err(PathError::Remote) };
    }
    if is_of_kernel && below(rest, "Volume{").is_some() {
        return of_names(Volume::Unnamed, rest.split_once('\\').map_or("", |(_, rest)| rest));
    }
    match rest.as_bytes() {
        [letter, b':'] | [letter, b':', b'\\', ..] if letter.is_ascii_alphabetic() => {
            of_names(Volume::Letter(char::from(letter.to_ascii_uppercase())), &rest[2..])
        }
        [b'\\', ..] => of_names(Volume::OfWindows, rest),
        _ => Err(PathError::Relative),
    }
}

fn below<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn of_names(volume: Volume, rest: &str) -> Result<WindowsPath, PathError> {
    let mut names = Vec::new();
    for name in rest.split('\\') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(as_stored(name)?.to_owned()),
        }
    }
    Ok(WindowsPath { volume, names })
}

/// A name as it is stored: Windows drops dots and blanks at its end.
fn as_stored(name: &str) -> Result<&str, PathError> {
    if name.contains(':') {
        return Err(PathError::Stream);
    }
    let stored = name.trim_end_matches(['.', ' ']);
    let forbidden = |c: char| matches!(c, '<' | '>' | '"' | '|' | '?' | '*') || c < ' ';
    if stored.is_empty() || stored.contains(forbidden) { Err(PathError::Impossible) } else { Ok(stored) }
}

/// The names of a text that may be relative, as the target of a link: from where they begin, and the names.
///
/// # Errors
/// As [`parse`], apart from [`PathError::Relative`].
pub fn parse_target(text: &str) -> Result<(Option<Volume>, Vec<String>), PathError> {
    match parse(text) {
        Ok(path) => Ok((Some(path.volume), path.names)),
        Err(PathError::Relative) => {
            let names = text.split(['/', '\\']).filter(|name| !matches!(*name, "" | "."));
            let kept = |name: &str| if name == ".." { Ok("..") } else { as_stored(name) }.map(str::to_owned);
            // `x` of `C:x` is relative to a folder that nobody knows here.
            if text.as_bytes().get(1) == Some(&b':') {
                return Err(PathError::Impossible);
            }
            let names: Vec<String> = names.map(kept).collect::<Result<_, _>>()?;
            Ok((None, names))
        }
        Err(error) => Err(error),
    }
}

/// Folders beside the homes that belong to nobody and are the same on every machine, folded.
pub const FOLDERS_OF_NOBODY: &[&str] = &["ALL USERS", "DEFAULT", "DEFAULT USER", "PUBLIC"];

/// The form of a name in which Windows compares it. NTFS has a table with one capital for each letter, so letters with a
/// capital of two characters stay as they are.
#[must_use]
pub fn folded(name: &str) -> String {
    name.chars().map(capital).collect()
}

/// The capital of a letter, as [`folded`] has it.
#[must_use]
pub fn capital(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_uppercase();
    }
    let mut capital = c.to_uppercase();
    match (capital.next(), capital.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// A name of the form `KASPER~1.EXE`, which Windows makes for programs that know only short names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortName {
    stem: String,
    number: u32,
    ending: String,
}

impl ShortName {
    /// The parts of a short name; `None` for any other name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = folded(name);
        let (whole, ending) = name.split_once('.').unwrap_or((&name, ""));
        let (stem, number) = whole.rsplit_once('~')?;
        let fits = whole.chars().count() <= 8 && ending.chars().count() <= 3 && !stem.is_empty();
        let number = number.parse().ok().filter(|_| fits && !name.contains(' ') && !ending.contains('.'))?;
        Some(Self { stem: stem.to_owned(), number, ending: ending.to_owned() })
    }

    /// The usual bearer of this short name at the top of a volume: setup makes these folders in this order.
    #[must_use]
    pub fn usual_at_top(&self) -> Option<&'static str> {
        match (self.stem.as_str(), self.number, self.ending.as_str()) {
            ("PROGRA", 1, "") => Some("Program Files"),
            ("PROGRA", 2, "") => Some("Program Files (x86)"),
            ("PROGRA", 3, "") => Some("ProgramData"),
            _ => None,
        }
    }

    /// Whether a file with this long name can have this short one. Only the disk knows for certain, and a mounted one does
    /// not tell.
    #[must_use]
    pub fn may_be_of(&self, long: &str) -> bool {
        let long = folded(long);
        let (stem, ending) = long.rsplit_once('.').unwrap_or((&long, ""));
        let fits = |text: &str, most: usize| {
            text.chars().count() <= most
                && text.chars().all(|c| c.is_ascii() && !matches!(c, ' ' | '.') && !is_replaced(c))
        };
        // A name that is short already has no other.
        if fits(stem, 8) && fits(ending, 3) && !stem.is_empty() {
            return false;
        }
        let basis = |text: &str| text.chars().filter(|c| !matches!(c, ' ' | '.')).collect::<Vec<char>>();
        let (stem, ending) = (basis(stem), basis(ending));
        let own_ending: Vec<char> = self.ending.chars().collect();
        let own_stem: Vec<char> = self.stem.chars().collect();
        if !begins_with(&ending[..ending.len().min(3)], &own_ending) || own_ending.len() < ending.len().min(3) {
            return false;
        }
        // After four files with the same start Windows keeps two letters and adds a hash.
        let is_hashed = own_stem.len() == 6 && own_stem[2..].iter().all(char::is_ascii_hexdigit);
        let digits = self.number.to_string().len();
        let length = stem.len().min(7_usize.saturating_sub(digits));
        (own_stem.len() == length && begins_with(&stem, &own_stem)) || (is_hashed && begins_with(&stem, &own_stem[..2]))
    }
}

/// Characters that a long name may have and a short one has as `_`.
const fn is_replaced(c: char) -> bool {
    matches!(c, '+' | ',' | ';' | '=' | '[' | ']')
}

/// Whether the start of a long name can have become this. What becomes of letters beyond ASCII depends on the machine.
fn begins_with(long: &[char], short: &[char]) -> bool {
    let same =
        |(long, short): (&char, &char)| long == short || !long.is_ascii() || (is_replaced(*long) && *short == '_');
    long.len() >= short.len() && long.iter().zip(short).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_has_the_same_names() {
        for text in [
            r"C:\Program Files\Kaspersky Lab\avp.exe",
            r"c:/Program Files\\Kaspersky Lab/avp.exe",
            r"\\?\C:\Program Files\Kaspersky Lab\avp.exe",
            r"\??\C:\Program Files\.\Kaspersky Lab\x\..\avp.exe",
            r"C:\Program Files\Kaspersky Lab. \avp.exe ",
        ] {
            let path = parse(text).expect("a path");
            assert_eq!(path.volume, Volume::Letter('C'), "{text}");
            assert_eq!(path.names.join("|"), "Program Files|Kaspersky Lab|avp.exe", "{text}");
        }
    }

    #[test]
    fn the_volume_is_known_by_letter_by_number_or_not_at_all() {
        for (text, volume) in [
            (r"D:\x", Volume::Letter('D')),
            ("/x", Volume::OfWindows),
            (r"\Windows\..\x", Volume::OfWindows),
            (r"\Device\HarddiskVolume3\x", Volume::Unnamed),
            (r"\\?\GLOBALROOT\Device\HarddiskVolume1\x", Volume::Unnamed),
            (r"\\?\Volume{1a2b3c4d-0000-0000-0000-100000000000}\x", Volume::Unnamed),
        ] {
            let path = parse(text).expect("a path");
            assert_eq!((path.volume, path.names), (volume, vec!["x".to_owned()]), "{text}");
        }
        for (text, error) in [
            (r"C:\x.txt:stream", PathError::Stream),
            (r"C:\x::$DATA", PathError::Stream),
            (r"\\server\share\x", PathError::Remote),
            (r"\\?\UNC\server\share\x", PathError::Remote),
            (r"\Device\Mup\server\x", PathError::Remote),
            (r"C:x", PathError::Relative),
            ("x", PathError::Relative),
            ("", PathError::Relative),
            (r"C:\a?b", PathError::Impossible),
            (r"C:\...", PathError::Impossible),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn the_target_of_a_link_may_be_relative() {
        let names = |text: &str| parse_target(text).map(|(volume, names)| (volume, names.join("|")));
        assert_eq!(names(r"..\x"), Ok((None, "..|x".to_owned())));
        assert_eq!(names("../x/y"), Ok((None, "..|x|y".to_owned())));
        assert_eq!(names(r"\??\D:\x"), Ok((Some(Volume::Letter('D')), "x".to_owned())));
        assert_eq!(names("/x"), Ok((Some(Volume::OfWindows), "x".to_owned())));
        assert_eq!(names("C:x"), Err(PathError::Impossible));
    }

    #[test]
    fn names_differ_only_if_their_capitals_do() {
        assert_eq!(folded("Лаборатория.Exe"), folded("ЛАБОРАТОРИЯ.exe"));
        assert_ne!(folded("straße"), folded("STRASSE"));
    }

    #[test]
    fn a_short_name_fits_the_long_names_that_it_can_come_from() {
        for (short, long, fits) in [
            ("KASPER~1", "Kaspersky Lab", true),
            ("kasper~1", "Kaspersky Security", true),
            ("KASPER~1", "Kasper", false),
            ("PROGRA~2", "Program Files (x86)", true),
            ("AVPSUS~1.EXE", "avpsus.service.exe", true),
            ("AVPSUS~1.EXE", "avpsus.service.dll", false),
            ("KA5F2B~1", "Kaspersky Lab", true),
            ("KB5F2B~1", "Kaspersky Lab", false),
            ("A_B~1", "a+b", true),
            ("LONGNA~1.HTM", "long name.html", true),
            ("JANEDO~1", "jane.doe.smith", false),
        ] {
            let name = ShortName::parse(short).expect("a short name");
            assert_eq!(name.may_be_of(long), fits, "{short} {long}");
        }
        for other in ["Program Files", "x~y", "~1", "longstem~1", "a~1.b.c", "a~1.long"] {
            assert_eq!(ShortName::parse(other), None, "{other}");
        }
        assert_eq!(ShortName::parse("progra~1").and_then(|name| name.usual_at_top()), Some("Program Files"));
    }
}
