//! Home directories and security identifiers in texts of a Windows machine. A path may begin with a letter, with a prefix of
//! the kernel or with nothing, has either slash, any case, and long or short names.

use super::accounts::Accounts;
use crate::sources::parse::windows::path::{FOLDERS_OF_NOBODY, ShortName, capital, folded};
use crate::sources::parse::windows::text::strip_prefix;

/// Identifiers of people: of an account of a machine or domain, of a cloud account, of a session.
const OF_PEOPLE: &[&str] = &["S-1-5-21-", "S-1-12-1-", "S-1-5-5-"];
/// Keys below `HKU` of the system's own accounts.
const SYSTEM_KEYS: &[&str] = &["~", ".DEFAULT", "S-1-5-18", "S-1-5-19", "S-1-5-20"];
const PREFIXES: &[&str] = &[r"\\?\GLOBALROOT", r"\\?\", r"\??\", r"\\.\"];

/// Where people have their homes.
#[derive(Debug)]
pub(super) struct Homes {
    /// The folders on the way to each home, folded.
    homes: Vec<Vec<String>>,
    /// The same for folders in which every folder is a home.
    parents: Vec<Vec<String>>,
    /// Where nobody has a home, if there may be more homes than these.
    system_folders: Option<&'static [&'static str]>,
    /// Who the homes belong to.
    pub(super) accounts: Accounts,
}

impl Homes {
    pub(super) fn new(homes: &[String], system_folders: Option<&'static [&'static str]>) -> Self {
        let is_parent = |home: &&String| home.ends_with(['/', '\\']);
        let all = |parents: bool| {
            let some = homes.iter().filter(|home| is_parent(home) == parents).map(|home| names(home));
            let mut some: Vec<Vec<String>> = some.filter(|names| !names.is_empty()).collect();
            some.sort_by_key(|names| std::cmp::Reverse(names.len()));
            some.dedup();
            some
        };
        let accounts = Accounts::new(homes.iter().filter(|home| !is_parent(home)), system_folders.is_none());
        Self { homes: all(false), parents: all(true), system_folders, accounts }
    }

    /// Replaces every home directory and every identifier of a person in a text.
    pub(super) fn text(&self, text: &str) -> String {
        let text = without_user_keys(&without_identifiers(text));
        let mut clean = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(next) = rest.chars().next() {
            let volume = volume(rest);
            // Without a volume a path begins only where no other one can go on.
            let begins = volume > 0 || (is_slash(next) && !clean.ends_with(goes_on));
            if begins {
                if let Some(length) = self.home(&rest[volume..]) {
                    clean.push('~');
                    rest = &rest[volume + length..];
                    continue;
                }
                // Where the name of a person ends is unknown too.
                if volume > 0 && self.system_folders.is_some_and(|folders| !is_of_system(&rest[volume..], folders)) {
                    clean.push('~');
                    return clean;
                }
            }
            let length = volume.max(next.len_utf8());
            clean.push_str(&rest[..length]);
            rest = &rest[length..];
        }
        clean
    }

    /// The length of the home at the start of a path without its volume.
    fn home(&self, path: &str) -> Option<usize> {
        let listed = self.homes.iter().filter_map(|home| {
            let length = eat_all(path, home)?;
            // Behind the name of one person the longer name of another can go on: `dave` and `dave miller`.
            Some(length + name_length(&path[length..]))
        });
        let below = self.parents.iter().find_map(|parent| {
            let below = eat_all(path, parent)?;
            let name = below + slashes(&path[below..])?;
            let length = name_length(&path[name..]);
            let is_person = length > 0 && !FOLDERS_OF_NOBODY.contains(&folded(&path[name..name + length]).as_str());
            is_person.then_some(name + length)
        });
        listed.chain(below).max()
    }
}

/// The length of a name at the start of a text. It ends at the next slash, because names have blanks and apostrophes in them;
/// where a sentence goes on behind it, too much is taken rather than too little.
fn name_length(text: &str) -> usize {
    let end = text.find(|c| is_slash(c) || is_in_no_name(c)).unwrap_or(text.len());
    let begins_path = |at: usize| !text[..at].ends_with(goes_on) && volume(&text[at..]) > 0;
    let end = text[..end].char_indices().map(|(at, _)| at).skip(1).find(|at| begins_path(*at)).unwrap_or(end);
    text[..end].trim_end_matches([' ', '.', ',', ';', '\'', '=', '(', ')', '[', ']']).len()
}

const fn is_slash(c: char) -> bool {
    matches!(c, '/' | '\\')
}

/// Characters that no name has.
const fn is_in_no_name(c: char) -> bool {
    matches!(c, '"' | ':' | '*' | '?' | '<' | '>' | '|')
}

/// Characters that no name has, or at which a sentence is likelier to go on than a name.
const fn ends_name(c: char) -> bool {
    is_in_no_name(c) || matches!(c, '\'' | ',' | ';')
}

/// Whether a path goes on behind this character, so that a slash does not begin another one.
const fn goes_on(c: char) -> bool {
    !matches!(c, ' ' | '"' | '\'' | '=' | ',' | ';' | '(' | '[' | '<' | '>' | '|' | '\t')
}

/// The folded names of a folder, without its volume.
fn names(folder: &str) -> Vec<String> {
    folder[volume(folder)..].split(is_slash).filter(|name| !name.is_empty()).map(folded).collect()
}

/// The length of what names a volume at the start of a path; 0 if nothing does. A slash follows it.
fn volume(text: &str) -> usize {
    let slashed = |length: usize| text[length..].starts_with(is_slash).then_some(length);
    // Most characters begin no path, so this is tested first.
    let may_begin = match text.as_bytes() {
        [b'\\' | b'/' | b'%', ..] => true,
        [letter, b':', ..] => letter.is_ascii_alphabetic(),
        _ => false,
    };
    if !may_begin {
        return 0;
    }
    let backward: String = text.chars().take(PREFIXES[0].len()).map(|c| if c == '/' { '\\' } else { c }).collect();
    let prefix =
        PREFIXES.iter().find(|prefix| strip_prefix(&backward, prefix).is_some()).map_or(0, |prefix| prefix.len());
    let rest = &text[prefix..];
    let bytes = rest.as_bytes();
    let length = match bytes {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => Some(2),
        [b'%', ..] => strip_prefix(rest, "%SystemDrive%").map(|_| "%SystemDrive%".len()),
        _ => None,
    };
    let device = [r"\Device\HarddiskVolume", r"Device\HarddiskVolume"].iter().find_map(|device| {
        let number = strip_prefix(rest, device)?;
        Some(device.len() + number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len()))
    });
    let id = strip_prefix(rest, "Volume{").filter(|_| prefix > 0).and_then(|_| rest.find('}')).map(|at| at + 1);
    let remote = match bytes {
        // The name of the server is the first of the path.
        [b'\\', b'\\', next, ..] if prefix == 0 && next.is_ascii_alphanumeric() => Some(1),
        _ => strip_prefix(rest, r"UNC\").filter(|_| prefix > 0).map(|_| 3),
    };
    length.or(device).or(id).or(remote).and_then(|length| slashed(prefix + length)).unwrap_or(0)
}

/// The number of slashes at the start, at least one.
fn slashes(text: &str) -> Option<usize> {
    let count = text.len() - text.trim_start_matches(is_slash).len();
    (count > 0).then_some(count)
}

/// The length of these names at the start of a path.
fn eat_all(path: &str, names: &[String]) -> Option<usize> {
    names.iter().try_fold(0, |at, name| {
        let at = at + slashes(&path[at..])?;
        Some(at + eat(&path[at..], name)?)
    })
}

/// The length of a name at the start of a text, in any case, long or short.
fn eat(text: &str, name: &str) -> Option<usize> {
    let mut rest = text.chars();
    if name.chars().all(|c| rest.next().map(capital) == Some(c)) {
        let rest = rest.as_str();
        let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '$' | '~');
        if !rest.starts_with(goes_on) {
            return Some(text.len() - rest.len());
        }
    }
    let is_end = |c: char| is_slash(c) || is_in_no_name(c) || matches!(c, ' ' | ',' | ';');
    let length = text[..text.find(is_end).unwrap_or(text.len())].trim_end_matches('\'').len();
    let is_short = ShortName::parse(&text[..length]).is_some_and(|short| short.may_be_of(name));
    let is_long = || {
        let length = name_length(text);
        ShortName::parse(name).filter(|short| short.may_be_of(&text[..length])).map(|_| length)
    };
    if is_short { Some(length) } else { is_long() }
}

fn is_of_system(path: &str, folders: &[&str]) -> bool {
    let rest = path.trim_start_matches(is_slash);
    let first = folded(&rest[..rest.find(|c| is_slash(c) || ends_name(c)).unwrap_or(rest.len())]);
    first.is_empty() || folders.iter().any(|folder| folded(folder) == first)
}

/// Replaces the identifiers of people. They stand in names too: `OneDrive Standalone Update Task-S-1-5-21-…`.
fn without_identifiers(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['S', 's']) {
        let begins = OF_PEOPLE.iter().find_map(|prefix| strip_prefix(&rest[at..], prefix));
        let number = begins.filter(|number| number.starts_with(|c: char| c.is_ascii_digit()));
        let Some(number) = number else {
            clean.push_str(&rest[..=at]);
            rest = &rest[at + 1..];
            continue;
        };
        clean.push_str(&rest[..at]);
        clean.push('~');
        let end = number.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(number.len());
        rest = &number[number[..end].trim_end_matches('-').len()..];
    }
    clean.push_str(rest);
    clean
}

/// Replaces the names of keys below `HKU`: identifiers, or the folders of users whose identifier is unknown.
fn without_user_keys(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['H', 'h']) {
        let below = ["HKU", "HKEY_USERS"].iter().find_map(|top| strip_prefix(&rest[at..], top));
        let Some(below) = below.and_then(|below| below.strip_prefix(is_slash)) else {
            clean.push_str(&rest[..=at]);
            rest = &rest[at + 1..];
            continue;
        };
        clean.push_str(&rest[..rest.len() - below.len()]);
        let name = &below[..below.find(is_slash).unwrap_or(below.len())];
        let (user, classes) = match strip_suffix(name, "_CLASSES") {
            Some(user) => (user, &name[user.len()..]),
            None => (name, ""),
        };
        clean.push_str(if SYSTEM_KEYS.contains(&folded(user).as_str()) { user } else { "~" });
        clean.push_str(classes);
        rest = &below[name.len()..];
    }
    clean.push_str(rest);
    clean
}

fn strip_suffix<'t>(text: &'t str, suffix: &str) -> Option<&'t str> {
    let at = text.len().checked_sub(suffix.len())?;
    text.get(at..).filter(|tail| tail.eq_ignore_ascii_case(suffix)).map(|_| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn homes() -> Homes {
        let homes = [r"\Users\", r"\Documents and Settings\", r"D:\Profiles\Jane Doe", r"\\server\homes$\ola"];
        Homes::new(&homes.map(str::to_owned), None)
    }

    #[test]
    fn homes_become_a_tilde_in_every_spelling() {
        for (text, clean) in [
            (r"C:\Users\jane\AppData\x.exe", r"~\AppData\x.exe"),
            (r"c:/users/JANE/AppData", "~/AppData"),
            (r"C:\Users\jane", "~"),
            (r"C:\Users\Jane Doe\x", r"~\x"),
            (r"\\?\C:\Users\jane\x", r"~\x"),
            (r"\??\C:\Users\jane\x", r"~\x"),
            (r"\Device\HarddiskVolume3\Users\jane\x", r"~\x"),
            (r"\\?\Volume{1a2b-3c}\Users\jane\x", r"~\x"),
            (r"%SystemDrive%\Users\jane\x", r"~\x"),
            (r"\Users\jane\x", r"~\x"),
            ("file:///C:/Users/jane/x", "file:///~/x"),
            (r#""C:\Users\jane\x.exe" /arg"#, r#""~\x.exe" /arg"#),
            (r"x --path=C:\Users\jane\x", r"x --path=~\x"),
            (r"cannot read C:\Users\jane: not found", "cannot read ~: not found"),
            (r"C:\DOCUME~1\jane\x", r"~\x"),
            (r"D:\profiles\jane doe\x", r"~\x"),
            (r"E:\Profiles\JANEDO~1\x", r"~\x"),
            (r"cannot read D:\Profiles\Jane Doe and more", "cannot read ~"),
            (r"D:\Profiles\Jane Doe Miller\x", r"~\x"),
            (r"D:\Profiles\Jane Doe.CORP\x", r"~\x"),
            (r"D:\Profiles\Jane Doe;C:\Windows\x", r"~;C:\Windows\x"),
            (r"C:\Users\o'brien\x", r"~\x"),
            (r"'C:\Users\o'brien' is missing", "'~"),
            (r"'C:\Users\o'brien'", "'~'"),
            (r"C:\Users\doe, jane; sales\x", r"~\x"),
            (r"C:\Users\jane;D:\x", r"~;D:\x"),
            (r"C:\Users\jane, C:\Users\Лена\x", r"~, ~\x"),
            (r"--a=C:\Users\jane;%SystemDrive%\x", r"--a=~;%SystemDrive%\x"),
            (r"C:\DOCUME~1\o'brien\x", r"~\x"),
            (r"\\SERVER\homes$\ola\x", r"~\x"),
            (r"\\?\UNC\server\homes$\ola\x", r"~\x"),
            (r"C:\Users\Лена\x", r"~\x"),
            (r"\\?\C:\Users\Лена", "~"),
        ] {
            assert_eq!(homes().text(text), clean, "{text}");
        }
    }

    #[test]
    fn what_belongs_to_nobody_stays() {
        for text in [
            r"C:\Users\Public\x",
            r"C:\Users\All Users\x",
            r"C:\Users",
            r"C:\Program Files\Users\x",
            r"C:\Program Files (x86)\Users\x",
            r"D:\Profiles\Jane Doeson\x",
            r"C:\Windows\System32\drivers\klif.sys",
            r"HKLM\SOFTWARE\KasperskyLab",
            r"HKU\.DEFAULT\Software",
            r"HKU\S-1-5-18\Software",
            r"\Microsoft\Windows\Users\x",
            "S-1-5-80-956008885-3418522649",
            "AVP's -S-1-5-21-",
        ] {
            assert_eq!(homes().text(text), text);
        }
    }

    #[test]
    fn identifiers_of_people_become_a_tilde_wherever_they_stand() {
        for (text, clean) in [
            (r"HKU\S-1-5-21-1-2-3-1001\Software\x", r"HKU\~\Software\x"),
            (r"HKEY_USERS\S-1-12-1-11-22-33-44_Classes\x", r"HKEY_USERS\~_Classes\x"),
            (r"HKU\folder:jane\Software", r"HKU\~\Software"),
            ("GoogleUpdateTaskUserS-1-5-21-1-2-3-1001Core{A}", "GoogleUpdateTaskUser~Core{A}"),
            ("Task-s-1-5-21-1-2-3-500 and S-1-12-1-4-5", "Task-~ and ~"),
        ] {
            assert_eq!(homes().text(text), clean, "{text}");
        }
    }

    #[test]
    fn while_the_homes_are_unknown_only_folders_of_the_system_stay() {
        let homes = Homes::new(&[r"\Users\".to_owned()], Some(&["Windows", "Program Files"]));
        for (text, clean) in [
            (r"C:\windows\x", r"C:\windows\x"),
            (r"C:\Program Files\x and D:\Profiles\jane\x", r"C:\Program Files\x and ~"),
            (r"C:\Users\jane\x", r"~\x"),
            (r"\\server\homes\jane", "~"),
            (r"HKLM\SOFTWARE\x", r"HKLM\SOFTWARE\x"),
        ] {
            assert_eq!(homes.text(text), clean, "{text}");
        }
    }
}
