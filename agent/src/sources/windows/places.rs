//! The places to watch for changes on Windows. They correspond to the constants at the top of each source.
//!
//! An open folder keeps Windows from renaming the folders above it, and a product must be able to rename its own. So only folders
//! of Windows itself are watched, for the names in them.

use muster_proto::model::Watchlist;

use super::browser_extensions;
use crate::sources::parse::windows::variables::Folders;
use crate::sources::places::Place;
use crate::sources::places::Reach::{self, Entry, Listing, Tree};

pub(super) const PLACES: &[(&str, Reach)] = &[
    (r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall", Tree),
    (r"HKLM\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall", Tree),
    (r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Installer\UserData\S-1-5-18\Products", Listing),
    (r"HKLM\SOFTWARE\Classes\Installer\Products", Listing),
    // Which services and drivers there are. Below the key of many of them Windows writes all the time.
    (r"HKLM\SYSTEM\CurrentControlSet\Services", Listing),
    (r"HKLM\SOFTWARE\Microsoft\Security Center\Provider", Tree),
    // Not the key beside it, where Windows notes every run of a task.
    (r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tree", Tree),
    ("/Windows/System32/Tasks", Tree),
    // Not the signatures below, which change several times a day.
    (r"HKLM\SOFTWARE\Microsoft\Windows Defender", Listing),
    (r"HKLM\SOFTWARE\Microsoft\Windows Defender\Real-Time Protection", Listing),
    (r"HKLM\SOFTWARE\Policies\Microsoft\Windows Defender", Tree),
    (r"HKLM\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection", Listing),
    (r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore\Applications", Listing),
    (r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore\InboxApplications", Listing),
    (r"HKLM\SOFTWARE\Microsoft\SystemCertificates\ROOT\Certificates", Listing),
    (r"HKLM\SOFTWARE\Microsoft\SystemCertificates\AuthRoot\Certificates", Listing),
    (r"HKLM\SOFTWARE\Microsoft\SystemCertificates\CA\Certificates", Listing),
    (r"HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\Root\Certificates", Listing),
    (r"HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\CA\Certificates", Listing),
    (r"HKLM\SOFTWARE\Microsoft\EnterpriseCertificates\Root\Certificates", Listing),
    (r"HKLM\SOFTWARE\Microsoft\EnterpriseCertificates\CA\Certificates", Listing),
];

/// Folders of Windows itself, which nobody renames, each before those that contain it.
const OF_WINDOWS: &[&str] = &[
    "/Windows/System32/drivers",
    "/Windows/System32",
    "/Windows",
    "/Program Files (x86)/Common Files",
    "/Program Files (x86)",
    "/Program Files/Common Files",
    "/Program Files",
    "/ProgramData",
];

/// The places of browsers and of the watchlist.
pub(in crate::sources) fn more(watchlist: &Watchlist) -> Vec<Place> {
    let browsers = browser_extensions::keys().into_iter().map(|path| Place { path, reach: Listing });
    let entry = |path| Place { path, reach: Entry };
    let keys = watchlist.registry_keys.iter().flat_map(|pattern| keys(pattern)).map(entry);
    let folders = Folders::usual('C');
    let paths = watchlist.paths.iter().flat_map(|path| folders.expand(path));
    browsers.chain(keys).chain(paths.filter_map(|path| watched_part(&path)).map(entry)).collect()
}

/// The part of a path that is watched, without a letter, which is that of the volume of Windows: the first name below a folder
/// of Windows.
fn watched_part(path: &str) -> Option<String> {
    let path = path.get(2..)?.replace('\\', "/");
    let begins = |folder: &&&str| {
        let head = path.get(..folder.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(folder)) && path[folder.len()..].starts_with('/')
    };
    // A folder at the top of the volume is watched for its own name.
    let folder = OF_WINDOWS.iter().find(begins).map_or(0, |folder| folder.len());
    let name = path[folder..].split('/').find(|name| !name.is_empty())?;
    Some(format!("{}/{name}", &path[..folder]))
}

/// The keys of the machine that a pattern means. Keys of users are not watched: an open key keeps the hive of a user loaded
/// after the user has logged off.
fn keys(pattern: &str) -> Vec<String> {
    let names: Vec<&str> = pattern.split(['/', '\\']).filter(|name| !name.is_empty()).collect();
    let below = match names.split_first() {
        Some((top, below)) if top.eq_ignore_ascii_case("HKLM") => below.to_vec(),
        Some((top, below)) if top.eq_ignore_ascii_case("HKCR") => [&["SOFTWARE", "Classes"], below].concat(),
        _ => return Vec::new(),
    };
    let key = |names: &[&str]| format!(r"HKLM\{}", names.join(r"\"));
    let mut keys = vec![key(&below)];
    if let [software, rest @ ..] = &below[..]
        && software.eq_ignore_ascii_case("SOFTWARE")
        && rest.first().is_some_and(|name| !name.eq_ignore_ascii_case("WOW6432Node"))
    {
        keys.push(key(&[&["SOFTWARE", "WOW6432Node"], rest].concat()));
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_windows_are_watched_for_the_first_name_below() {
        for (path, watched) in [
            (r"C:\Program Files\Kaspersky Lab\KES\avp.exe", "/Program Files/Kaspersky Lab"),
            (r"C:\program files\common files\AV\Kaspersky", "/program files/common files/AV"),
            (r"C:\ProgramData\Kaspersky*", "/ProgramData/Kaspersky*"),
            (r"C:\Windows\System32\drivers\klif.sys", "/Windows/System32/drivers/klif.sys"),
            (r"C:\Windows\klick.dat", "/Windows/klick.dat"),
            (r"C:\Windows\SysWOW64\drivers\x.sys", "/Windows/SysWOW64"),
            (r"C:\KAV\setup.exe", "/KAV"),
        ] {
            assert_eq!(watched_part(path).as_deref(), Some(watched), "{path}");
        }
        assert_eq!(watched_part(r"C:\"), None);
    }

    #[test]
    fn a_pattern_is_watched_in_both_views_and_never_in_the_hive_of_a_user() {
        assert_eq!(
            keys("HKLM/SOFTWARE/KasperskyLab/KES*"),
            [r"HKLM\SOFTWARE\KasperskyLab\KES*", r"HKLM\SOFTWARE\WOW6432Node\KasperskyLab\KES*"]
        );
        assert_eq!(
            keys(r"hkcr\KLScan"),
            [r"HKLM\SOFTWARE\Classes\KLScan", r"HKLM\SOFTWARE\WOW6432Node\Classes\KLScan"]
        );
        assert_eq!(keys(r"HKLM\SYSTEM\CurrentControlSet\Services\klif").len(), 1);
        assert_eq!(keys("HKCU/SOFTWARE/KasperskyLab"), [""; 0]);
    }
}
