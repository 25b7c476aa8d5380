//! Folding: the one form in which texts are compared. Compatibility forms, case, quotation marks and blanks are ignored.

use unicode_normalization::UnicodeNormalization;

use super::script::in_one_script;

/// Folds a name or a vendor: NFKC, lower case, no quotation marks, one blank between words and none at the ends, and each
/// word in one script.
///
/// `АО «Лаборатория Касперского»`, `"АО ""Лаборатория Касперского"""` and `АО Лаборатория Касперского` fold to the same text.
#[must_use]
pub(super) fn fold(text: &str) -> String {
    // Most names are plain ASCII, for which folding is only lower case.
    if text.is_ascii() && !text.bytes().any(|byte| byte == b'"' || byte <= b' ' || byte == 0x7f) {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    if text.is_ascii() {
        for byte in text.bytes() {
            if byte > b' ' && byte < 0x7f && byte != b'"' {
                folded.push(char::from(byte.to_ascii_lowercase()));
            } else {
                push_folded(&mut folded, char::from(byte));
            }
        }
    } else {
        text.chars()
            // NFKC would turn ™ into the letters TM, so trade marks are dropped before it.
            .filter(|c| !is_invisible(*c))
            .nfkc()
            .flat_map(char::to_lowercase)
            .for_each(|c| push_folded(&mut folded, c));
        if let Some(settled) = in_one_script(&folded) {
            folded = settled;
        }
    }
    if folded.ends_with(' ') {
        folded.pop();
    }
    folded
}

fn push_folded(folded: &mut String, c: char) {
    // Turkish has an i with and without a dot in both cases. In lower case the dot of the capital is a combining mark.
    let c = match c {
        'ı' => 'i',
        // Dashes that editors use in place of a hyphen.
        '\u{2010}'..='\u{2012}' | '\u{2212}' => '-',
        c => c,
    };
    if is_quote(c) || is_invisible(c) || c == '\u{307}' && folded.ends_with('i') {
        return;
    }
    if !c.is_whitespace() && !c.is_control() {
        folded.push(c);
    } else if !folded.is_empty() && !folded.ends_with(' ') {
        folded.push(' ');
    }
}

const fn is_quote(c: char) -> bool {
    matches!(
        c,
        '"' | '«'
            | '»'
            | '‹'
            | '›'
            | '“'
            | '”'
            | '„'
            | '‟'
            | '‘'
            | '’'
            | '‚'
            | '‛'
            | '「'
            | '」'
            | '『'
            | '』'
    )
}

/// Zero-width characters, direction marks and trade marks, which do not change a name.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}' | '\u{ad}' | '®' | '™' | '©')
}

/// Whether a text is a path, not a name.
#[must_use]
pub(super) fn is_place(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || is_quote(c) || is_invisible(c));
    text.contains('\\') || text.starts_with(['/', '~', '%']) || text.as_bytes().get(1) == Some(&b':')
}

/// Folds a path: forward slashes, lower case, no quotation marks, and one spelling for folders that differ between
/// machines: `%programfiles%`, `%programdata%`, `%systemroot%`, `~`.
#[must_use]
pub(super) fn fold_path(text: &str) -> String {
    let path = fold_place(text);
    // Junctions that Windows keeps for old programs.
    for (old, now) in [
        ("%programdata%/application data", "%programdata%"),
        ("~/local settings/application data", "~/appdata/local"),
        ("~/application data", "~/appdata/roaming"),
    ] {
        if let Some(rest) = below(&path, old) {
            return format!("{now}{rest}");
        }
    }
    path
}

fn fold_place(text: &str) -> String {
    let mut path = fold(text).replace('\\', "/");
    if let Some((name, rest)) = shell_variable(&path) {
        path = format!("%{name}%{rest}");
    }
    // One replacement leaves two slashes where there were three.
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    while path.len() > 1 && path.ends_with('/') {
        path.pop();
    }
    // `\??\` and `\\?\` are Windows prefixes of absolute paths; their slashes are single by this step.
    if let Some(rest) = path.strip_prefix("/??/").or_else(|| path.strip_prefix("/?/")) {
        path = rest.to_owned();
    }
    if let Some(rest) = below_volume(&path) {
        // The letter of the volume is unknown. Any will do, because well-known folders are found on every drive.
        path = format!("c:/{rest}");
    }
    if let Some(rest) = path.strip_prefix("/systemroot/") {
        return format!("%systemroot%/{rest}");
    }
    well_known(&path).unwrap_or(path)
}

/// The path below a volume that the kernel names by number or id instead of a drive letter.
fn below_volume(path: &str) -> Option<&str> {
    let path = path.trim_start_matches('/');
    let path = path.strip_prefix("globalroot/").unwrap_or(path);
    let (volume, rest) = match path.strip_prefix("device/") {
        Some(device) => device.split_once('/')?,
        None => path.split_once('/')?,
    };
    let number = volume.strip_prefix("harddiskvolume").filter(|number| number.bytes().all(|c| c.is_ascii_digit()));
    let id = volume.strip_prefix("volume{").filter(|id| id.ends_with('}'));
    (number.is_some() || id.is_some()).then_some(rest)
}

/// Folders of a drive. Of two with the same start, the longer one is first.
const WELL_KNOWN: &[(&str, &str)] = &[
    ("program files (x86)", "%programfiles%"),
    ("program files", "%programfiles%"),
    // The 8.3 names of the two program folders.
    ("progra~1", "%programfiles%"),
    ("progra~2", "%programfiles%"),
    ("programme", "%programfiles%"),
    ("programmi", "%programfiles%"),
    ("archivos de programa (x86)", "%programfiles%"),
    ("archivos de programa", "%programfiles%"),
    ("arquivos de programas (x86)", "%programfiles%"),
    ("arquivos de programas", "%programfiles%"),
    // Windows XP translates the names of these folders.
    ("documents and settings/all users/application data", "%programdata%"),
    ("dokumente und einstellungen/all users/anwendungsdaten", "%programdata%"),
    ("documents and settings/all users/datos de programa", "%programdata%"),
    ("documents and settings/all users/dados de aplicativos", "%programdata%"),
    ("documents and settings/all users/dati applicazioni", "%programdata%"),
    ("users/all users", "%programdata%"),
    ("programdata", "%programdata%"),
    // The home of the account LocalSystem, for 64-bit and for 32-bit programs.
    ("windows/system32/config/systemprofile", "~"),
    ("windows/syswow64/config/systemprofile", "~"),
    ("windows", "%systemroot%"),
    ("winnt", "%systemroot%"),
];

/// `$env:ProgramData/…` and `${env:ProgramFiles(x86)}/…`: PowerShell's spelling of `%ProgramData%`.
fn shell_variable(path: &str) -> Option<(&str, &str)> {
    if let Some(rest) = path.strip_prefix("${env:") {
        return rest.split_once('}');
    }
    let rest = path.strip_prefix("$env:")?;
    Some(rest.find('/').map_or((rest, ""), |end| rest.split_at(end)))
}

fn well_known(path: &str) -> Option<String> {
    let drive = path.as_bytes().get(1) == Some(&b':') && path.as_bytes().get(2) == Some(&b'/');
    let inner = if drive { path.get(3..)? } else { path };
    if drive {
        for (place, short) in WELL_KNOWN {
            if let Some(rest) = below(inner, place) {
                return Some(format!("{short}{rest}"));
            }
        }
        let user = inner.strip_prefix("users/").or_else(|| inner.strip_prefix("documents and settings/"))?;
        return Some(home(user));
    }
    for (place, short) in [
        ("%programfiles(x86)%", "%programfiles%"),
        ("%programw6432%", "%programfiles%"),
        ("%windir%", "%systemroot%"),
        ("%allusersprofile%", "%programdata%"),
        ("%commonprogramfiles(x86)%", "%programfiles%/common files"),
        ("%commonprogramfiles%", "%programfiles%/common files"),
        ("%localappdata%", "~/appdata/local"),
        ("%appdata%", "~/appdata/roaming"),
        ("%userprofile%", "~"),
    ] {
        if let Some(rest) = below(path, place) {
            return Some(format!("{short}{rest}"));
        }
    }
    path.strip_prefix("/users/").or_else(|| path.strip_prefix("/home/")).map(home)
}

/// The rest of a path that is this folder or below it.
fn below<'p>(path: &'p str, place: &str) -> Option<&'p str> {
    path.strip_prefix(place).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn home(below_homes: &str) -> String {
    match below_homes.split_once('/') {
        Some((_, rest)) => format!("~/{rest}"),
        None => "~".to_owned(),
    }
}

/// Folds a registry key: short root names, and one spelling for the 32-bit and 64-bit views.
#[must_use]
pub(super) fn fold_registry(text: &str) -> String {
    let mut key = fold(text).replace('\\', "/");
    // PowerShell writes the first prefix, and the Registry Editor copies keys with the second.
    for before in ["registry::", "computer/"] {
        if let Some(rest) = key.strip_prefix(before).filter(|rest| rest.starts_with("hkey_")) {
            key = rest.to_owned();
        }
    }
    for (long, short) in [
        ("hkey_local_machine", "hklm"),
        ("hkey_current_user", "hkcu"),
        ("hkey_users", "hku"),
        // The kernel's name of the root.
        ("registry/machine", "hklm"),
    ] {
        if let Some(rest) = below(key.trim_start_matches('/'), long) {
            key = format!("{short}{rest}");
        }
    }
    // PowerShell writes roots like drives.
    for (long, short) in [("hklm:", "hklm"), ("hkcu:", "hkcu"), ("hklm64", "hklm"), ("hklm32", "hklm")] {
        if let Some(rest) = below(&key, long) {
            key = format!("{short}{rest}");
        }
    }
    // Below HKU are the hives of users by their SIDs; each is the HKCU of its user.
    if let Some((_, rest)) = key.strip_prefix("hku/").and_then(|rest| rest.split_once('/')) {
        key = format!("hkcu/{rest}");
    }
    while key.len() > 1 && key.ends_with('/') {
        key.pop();
    }
    key.replace("/wow6432node", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotation_marks_of_any_kind_are_ignored() {
        let spellings = [
            "АО «Лаборатория Касперского»",
            "\"АО \"\"Лаборатория Касперского\"\"\"",
            "АО “Лаборатория  Касперского”",
            " АО \u{a0}„ЛАБОРАТОРИЯ КАСПЕРСКОГО“ ",
        ];
        for spelling in spellings {
            assert_eq!(fold(spelling), "ао лаборатория касперского", "{spelling}");
        }
        assert_eq!(fold("WithSecure™ Elements"), "withsecure elements");
        assert_eq!(fold("Ｋａｓｐｅｒｓｋｙ"), "kaspersky");
        assert_eq!(fold("ANTİ-VİRÜS Aracısı"), "anti-virüs aracisi");
        assert_eq!(fold("KES‑21‐15"), "kes-21-15");
        assert_eq!(fold("Кaspersky"), "kaspersky", "the first letter is Cyrillic");
    }

    #[test]
    fn a_quoted_path_is_a_path() {
        for text in ["\"/opt/x\"", " /opt/x", "\u{feff}C:\\x", "«%ProgramFiles%\\x»"] {
            assert!(is_place(text), "{text}");
        }
        assert!(!is_place("\"x\""));
    }

    #[test]
    fn paths_have_one_spelling() {
        let same = [
            ("C:\\Program Files (x86)\\Kaspersky Lab\\", "%programfiles%/kaspersky lab"),
            ("d:\\Program Files\\X", "%programfiles%/x"),
            ("%ProgramFiles(x86)%\\X", "%programfiles%/x"),
            ("C:\\Documents and Settings\\All Users\\Application Data\\K", "%programdata%/k"),
            ("\\??\\C:\\Windows\\System32\\drivers\\klif.sys", "%systemroot%/system32/drivers/klif.sys"),
            ("\\SystemRoot\\system32\\x.sys", "%systemroot%/system32/x.sys"),
            ("/Users/jane/Library/K", "~/library/k"),
            ("C:\\Users\\jane\\AppData", "~/appdata"),
            ("/opt//kaspersky/", "/opt/kaspersky"),
            ("C:\\PROGRA~2\\X", "%programfiles%/x"),
            ("C:\\Programme\\X", "%programfiles%/x"),
            ("$env:ProgramData\\X", "%programdata%/x"),
            ("${env:ProgramFiles(x86)}\\X", "%programfiles%/x"),
            ("%ALLUSERSPROFILE%\\Application Data\\X", "%programdata%/x"),
            ("C:\\Users\\All Users\\X", "%programdata%/x"),
            ("%LocalAppData%\\X", "~/appdata/local/x"),
            ("C:\\Documents and Settings\\jane\\Local Settings\\Application Data\\X", "~/appdata/local/x"),
            ("C:\\Windows\\System32\\config\\systemprofile\\AppData\\Local\\X", "~/appdata/local/x"),
            ("\\Device\\HarddiskVolume3\\Program Files\\X", "%programfiles%/x"),
            ("\\\\?\\GLOBALROOT\\Device\\HarddiskVolume1\\X", "c:/x"),
            ("\\\\?\\Volume{1a2b3c4d-0000-0000-0000-100000000000}\\Windows\\X", "%systemroot%/x"),
            ("\\\\?\\C:\\ProgramData\\X", "%programdata%/x"),
        ];
        for (path, folded) in same {
            assert_eq!(fold_path(path), folded, "{path}");
        }
    }

    #[test]
    fn both_views_of_the_registry_have_one_spelling() {
        let keys = [
            "HKLM\\SOFTWARE\\KasperskyLab\\",
            "HKEY_LOCAL_MACHINE\\Software\\Wow6432Node\\KasperskyLab",
            "hklm:\\software\\kasperskylab",
            "Registry::HKEY_LOCAL_MACHINE\\SOFTWARE\\KasperskyLab",
        ];
        for key in keys {
            assert_eq!(fold_registry(key), "hklm/software/kasperskylab", "{key}");
        }
        assert_eq!(fold_registry("HKU\\S-1-5-21-1\\Software\\X"), "hkcu/software/x");
    }
}
