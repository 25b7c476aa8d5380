//! What an entry of a watchlist may be. The list comes from the collector, so the agent itself keeps it out of private and
//! special folders.

use muster_proto::limits;
use muster_proto::model::Platform;

use crate::sources::parse::windows::path::{ShortName, Volume, folded, parse};
use crate::sources::parse::windows::text::strip_prefix;
use crate::sources::parse::windows::variables::{Variable, variable};

/// Directories that belong to users or to the kernel, or are temporary.
const FORBIDDEN_ON_LINUX: &[&str] =
    &["/home", "/root", "/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/Users", "/media", "/mnt"];
const FORBIDDEN_ON_MACOS: &[&str] = &[
    "/users",
    "/home",
    "/root",
    "/var/root",
    "/private/var/root",
    "/dev",
    "/tmp",
    "/private/tmp",
    "/var/tmp",
    "/private/var/tmp",
    "/var/folders",
    "/private/var/folders",
    "/volumes",
    "/network",
    "/system/volumes",
];
/// The same below the volume of Windows. Homes and their names before Windows Vista; hives, in which passwords are.
const FORBIDDEN_ON_WINDOWS: &[&[&str]] = &[
    &["USERS"],
    &["DOCUMENTS AND SETTINGS"],
    &["DOKUMENTE UND EINSTELLUNGEN"],
    &["TEMP"],
    &["TMP"],
    &["$RECYCLE.BIN"],
    &["RECYCLER"],
    &["SYSTEM VOLUME INFORMATION"],
    // What an upgrade leaves of the Windows before it, with the homes of its users.
    &["WINDOWS.OLD"],
    &["$WINDOWS.~BT"],
    &["$WINDOWS.~WS"],
    &["WINDOWS", "TEMP"],
    &["WINDOWS", "SERVICEPROFILES"],
    &["WINDOWS", "SYSTEM32", "CONFIG"],
    &["WINDOWS", "SYSWOW64", "CONFIG"],
    &["WINNT", "TEMP"],
    &["WINNT", "PROFILES"],
    &["WINNT", "SYSTEM32", "CONFIG"],
];
/// Folders of programs and their data in which many vendors have files.
const SHARED_ON_WINDOWS: &[&str] =
    &["COMMON FILES", "MICROSOFT", "PACKAGES", "APPLICATIONS", "WINDOWSAPPS", "START MENU"];
/// The hives whose keys may be checked.
const HIVES: &[&str] = &[r"HKLM\SOFTWARE\", r"HKLM\SYSTEM\", r"HKCU\SOFTWARE\"];
/// Keys in them that belong to no product.
const COMMON_KEYS: &[&str] =
    &["WOW6432NODE", "CURRENTCONTROLSET", "CONTROLSET001", "CONTROLSET002", "SERVICES", "CONTROL"];

const NOT_READ: &str = "the path is in a directory that agents do not read";
const WHOLE: &str = "the pattern matches a whole directory";

pub(super) fn text(entry: &str) -> Result<(), &'static str> {
    if entry.is_empty() || entry.len() > limits::TEXT_BYTES {
        return Err("the entry is empty or too long");
    }
    if entry.chars().any(char::is_control) { Err("the entry has control characters") } else { Ok(()) }
}

pub(super) fn name(entry: &str) -> Result<(), &'static str> {
    text(entry)?;
    if entry.contains(['/', '\\']) {
        return Err("a name must not contain a slash");
    }
    if entry.trim_matches('*').is_empty() { Err("the pattern matches everything") } else { Ok(()) }
}

pub(super) fn path(platform: Platform, entry: &str) -> Result<(), &'static str> {
    text(entry)?;
    match platform {
        Platform::Linux => unix_path(entry, FORBIDDEN_ON_LINUX, entry),
        // macOS does not tell upper case from lower case.
        Platform::Macos => unix_path(entry, FORBIDDEN_ON_MACOS, &entry.to_lowercase()),
        Platform::Windows => windows_path(entry),
    }
}

fn unix_path(entry: &str, forbidden: &[&str], compared: &str) -> Result<(), &'static str> {
    let Some(below) = entry.strip_prefix('/') else { return Err("the path is not absolute") };
    let components: Vec<&str> = below.split('/').collect();
    let (last, parents) = bounded(&components)?;
    // A folder of /opt is one vendor's, so the names in it are those of the vendor's programs.
    let is_vendor_folder = matches!(parents, ["opt", _]);
    if (is_everything(last) && !is_vendor_folder) || (parents.is_empty() && last.contains('*')) {
        return Err(WHOLE);
    }
    let within =
        |place: &&str| compared.strip_prefix(*place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if forbidden.iter().any(within) { Err(NOT_READ) } else { Ok(()) }
}

/// The last component and those above it.
fn bounded<'c>(components: &'c [&'c str]) -> Result<(&'c str, &'c [&'c str]), &'static str> {
    if components.iter().any(|component| component.is_empty() || matches!(*component, "." | "..")) {
        return Err("the path has an empty, '.' or '..' component");
    }
    let Some((last, parents)) = components.split_last() else { return Err("the path is empty") };
    if parents.iter().any(|component| component.contains('*')) {
        return Err("'*' is allowed in the last component only");
    }
    Ok((last, parents))
}

fn is_everything(last: &str) -> bool {
    last.trim_matches('*').is_empty()
}

fn windows_path(entry: &str) -> Result<(), &'static str> {
    // `C:` is the volume of Windows, whatever its letter is there.
    let (first, rest): (&[&str], &str) = match variable(entry) {
        Some((Variable::ProgramFiles | Variable::CommonFiles, rest)) => (&["PROGRAM FILES"], rest),
        Some((Variable::ProgramData, rest)) => (&["PROGRAMDATA"], rest),
        Some((Variable::SystemRoot, rest)) => (&["WINDOWS"], rest),
        None if entry.starts_with('%') => return Err("the path begins with a variable that agents do not know"),
        None => match strip_prefix(entry, "C:").filter(|rest| rest.starts_with(['/', '\\'])) {
            Some(rest) => (&[], rest),
            None => return Err("the path is neither on C: nor below a known variable"),
        },
    };
    let below = rest.get(1..).unwrap_or_default();
    let components: Vec<&str> = below.split(['/', '\\']).collect();
    let (last, parents) = bounded(&components)?;
    // A folder of one vendor: the names in it are those of the vendor's programs.
    let is_vendor_folder = matches!((first, parents), (["PROGRAM FILES" | "PROGRAMDATA"], [_]))
        && parents.iter().all(|parent| !SHARED_ON_WINDOWS.contains(&folded(parent).as_str()));
    if (is_everything(last) && !is_vendor_folder) || (first.is_empty() && parents.is_empty() && last.contains('*')) {
        return Err(WHOLE);
    }
    let plain = rest.replace('*', "x");
    let names = match parse(&format!(r"C:\{}", plain.trim_start_matches(['/', '\\']))) {
        Ok(path) if path.volume == Volume::Letter('C') && path.names.len() == components.len() => path.names,
        Ok(_) | Err(_) => return Err("no file of Windows can have this path"),
    };
    if below.contains('%') || names.iter().any(|name| ShortName::parse(name).is_some()) {
        return Err("the path has a variable or a short name within it");
    }
    let names: Vec<String> =
        first.iter().map(|name| (*name).to_owned()).chain(names.iter().map(|name| folded(name))).collect();
    let is_below = |place: &&[&str]| names.len() >= place.len() && names.iter().zip(place.iter()).all(|(a, b)| a == b);
    if FORBIDDEN_ON_WINDOWS.iter().any(is_below) { Err(NOT_READ) } else { Ok(()) }
}

/// A key below `HKLM` or `HKCU`, written with either slash. `HKCU` stands for every user.
pub(super) fn key(entry: &str) -> Result<(), &'static str> {
    text(entry)?;
    let key = entry.replace('/', r"\");
    let Some(below) = HIVES.iter().find_map(|hive| strip_prefix(&key, hive)) else {
        return Err("the key is not in a part of the registry that agents read");
    };
    let names: Vec<&str> = below.split('\\').collect();
    let is_own = |name: &str| !is_everything(name) && !COMMON_KEYS.contains(&folded(name).as_str());
    let names_something = names.iter().any(|name| is_own(name));
    // Below a vendor's key a star stands for one product; above it, for everything.
    let own = names.iter().position(|name| is_own(name));
    let is_open =
        names.iter().position(|name| is_everything(name)).is_some_and(|star| own.is_none_or(|own| star < own));
    if names.iter().any(|name| name.is_empty()) {
        return Err("the key has an empty name");
    }
    if !names_something || is_open { Err("the pattern matches a whole hive") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_paths_begin_with_a_known_variable_or_the_volume_of_windows() {
        for entry in [
            "%ProgramFiles%/Kaspersky Lab",
            "%programfiles%/kaspersky lab/*",
            "%ProgramData%\\Kaspersky Lab\\*",
            "%ProgramFiles(x86)%\\Kaspersky Lab\\avp*",
            "%ProgramData%/Kaspersky Lab",
            "%SystemRoot%/System32/drivers/klif.sys",
            "C:\\Kaspersky",
            "c:/Program Files/Common Files/AV",
        ] {
            assert_eq!(path(Platform::Windows, entry), Ok(()), "{entry}");
        }
        for entry in [
            "/opt/kaspersky",
            "D:\\Kaspersky",
            "\\\\server\\share\\x",
            "\\\\?\\C:\\Kaspersky",
            "%USERPROFILE%/x",
            "%LocalAppData%/x",
            "%TEMP%/x",
            "%ProgramFiles%",
            "%ProgramFiles%/*",
            "%ProgramFiles%/Common Files/*",
            "%ProgramFiles%/Kaspersky Lab/KES/*",
            "%ProgramFiles%/*/x",
            "%ProgramFiles%/../Users/jane",
            "%ProgramFiles%/x/%USERNAME%",
            "%SystemRoot%/Temp/x",
            "%SystemRoot%\\system32\\CONFIG\\SAM",
            "C:\\users\\jane",
            "C:/Documents and Settings/jane",
            "C:\\DOCUME~1\\jane",
            "C:\\Users.\\jane",
            "C:\\*",
            "C:\\",
            "C:x",
            "C:\\x.txt:stream",
            "C:\\a?b",
            "Kaspersky",
            "",
        ] {
            assert!(path(Platform::Windows, entry).is_err(), "{entry}");
        }
    }

    #[test]
    fn homes_of_macos_are_forbidden_in_any_case() {
        assert_eq!(path(Platform::Macos, "/Applications/Kaspersky*"), Ok(()));
        for entry in ["/users/jane", "/Users", "/VOLUMES/x", "/private/var/folders/x", "Applications/x"] {
            assert!(path(Platform::Macos, entry).is_err(), "{entry}");
        }
    }

    #[test]
    fn keys_are_of_machine_and_users_and_name_something() {
        for entry in [
            "HKLM/SOFTWARE/KasperskyLab",
            "HKLM\\SOFTWARE\\WOW6432Node\\KasperskyLab",
            "hkcu\\Software\\KasperskyLab\\AVP*",
            "HKLM/SOFTWARE/KasperskyLab/*/environment",
            "HKLM/SYSTEM/CurrentControlSet/Services/klif",
            "HKLM/SYSTEM/CrowdStrike",
        ] {
            assert_eq!(key(entry), Ok(()), "{entry}");
        }
        for entry in [
            "HKLM",
            "HKLM/SAM/SAM",
            "HKLM/SECURITY/Policy",
            "HKLM/SOFTWARE/*",
            "HKLM/SOFTWARE/*/KasperskyLab",
            "HKLM/SYSTEM/CurrentControlSet/Services/*",
            "HKLM/SOFTWARE/WOW6432Node",
            "HKLM/SYSTEM/CurrentControlSet/Services",
            "HKU/S-1-5-21-1/Software/x",
            "HKCU/Network",
            "HKLM/SOFTWARE//x",
            "/opt/x",
        ] {
            assert!(key(entry).is_err(), "{entry}");
        }
    }
}
