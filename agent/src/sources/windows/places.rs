//! The places to watch for changes on Windows. They correspond to the constants at the top of each source.
//!
//! An open folder keeps Windows from renaming the folders above it, and a product must be able to rename its own. So only folders
//! of Windows itself are watched, for the names in them, and only on its volume.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use muster_proto::model::Watchlist;

use super::browser_extensions;
use crate::sources::parse::windows::path::folded;
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

/// Folders of Windows itself, which nobody renames, on the volume of Windows. The machine may have others for programs.
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

/// The places of browsers and of the watchlist on a machine with these folders.
pub(in crate::sources) fn more(folders: &Folders, watchlist: &Watchlist) -> Vec<Place> {
    let browsers = browser_extensions::keys().into_iter().map(|path| Place { path, reach: Listing });
    let entry = |path| Place { path, reach: Entry };
    let keys = watchlist.registry_keys.iter().flat_map(|pattern| keys(pattern)).map(entry);
    let of_windows = of_windows(folders);
    let paths = watchlist.paths.iter().flat_map(|path| folders.expand(path));
    let mut others = BTreeSet::new();
    let paths = paths.filter_map(|path| match below_windows(&path, folders.letter) {
        Some(path) => watched_part(&path, &of_windows),
        None => top_folder(&path).filter(|top| others.insert(folded(top))),
    });
    browsers.chain(keys).chain(paths.map(entry)).collect()
}

/// The folders of Windows on its volume, each before those that contain it.
fn of_windows(folders: &Folders) -> Vec<String> {
    let both = [folders.program_files.distinct(), folders.common_files.distinct()].concat();
    let own = both.into_iter().chain([folders.program_data.as_str(), &folders.system_root]);
    let own = own.filter_map(|folder| below_windows(folder, folders.letter));
    let mut all: Vec<String> = OF_WINDOWS.iter().map(|folder| (*folder).to_owned()).chain(own).collect();
    all.sort_by_key(|folder| (Reverse(folder.len()), folded(folder)));
    all.dedup_by_key(|folder| folded(folder));
    all
}

/// A path on the volume of Windows without its letter, with `/`; `None` for one on another volume.
fn below_windows(path: &str, letter: char) -> Option<String> {
    let (volume, rest) = path.split_at_checked(2)?;
    volume.starts_with([letter, letter.to_ascii_lowercase()]).then(|| rest.replace('\\', "/"))
}

/// What stands for everything on another volume, with the letter: the first folder below its top.
fn top_folder(path: &str) -> Option<String> {
    let (volume, rest) = path.split_at_checked(2).filter(|(volume, _)| volume.ends_with(':'))?;
    let name = rest.split(['/', '\\']).find(|name| !name.is_empty())?;
    Some(format!("{volume}/{name}"))
}

/// The part of a path that is watched: the first name below a folder of Windows.
fn watched_part(path: &str, of_windows: &[String]) -> Option<String> {
    let begins = |folder: &&String| {
        let head = path.get(..folder.len());
        head.is_some_and(|head| folded(head) == folded(folder)) && path[folder.len()..].starts_with('/')
    };
    // A folder at the top of the volume is watched for its own name.
    let folder = of_windows.iter().find(begins).map_or(0, String::len);
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
    use crate::sources::parse::windows::variables::BothViews;

    /// The folders that are watched, or should be, because of one path of the watchlist.
    fn watched(folders: &Folders, path: &str) -> Vec<String> {
        let watchlist = Watchlist { paths: vec![path.to_owned()], ..Watchlist::default() };
        let places = more(folders, &watchlist).into_iter().filter(|place| !place.is_key());
        places.map(|place| place.path).collect()
    }

    #[test]
    fn only_folders_of_windows_are_watched_for_the_first_name_below() {
        for (path, watched_path) in [
            (r"C:\Program Files\Kaspersky Lab\KES\avp.exe", "/Program Files/Kaspersky Lab"),
            (r"C:\program files\common files\AV\Kaspersky", "/program files/common files/AV"),
            (r"C:\ProgramData\Kaspersky*", "/ProgramData/Kaspersky*"),
            (r"C:\Windows\System32\drivers\klif.sys", "/Windows/System32/drivers/klif.sys"),
            (r"C:\Windows\klick.dat", "/Windows/klick.dat"),
            (r"C:\Windows\SysWOW64\drivers\x.sys", "/Windows/SysWOW64"),
            (r"C:\KAV\setup.exe", "/KAV"),
        ] {
            assert_eq!(watched(&Folders::usual('C'), path), [watched_path], "{path}");
        }
        assert_eq!(watched(&Folders::usual('C'), r"C:\"), [""; 0]);
    }

    #[test]
    fn what_is_on_another_volume_is_named_with_its_letter_and_not_taken_for_the_volume_of_windows() {
        let of = |native: &str, of_32_bits: &str| {
            let program_files = BothViews { native: native.to_owned(), of_32_bits: of_32_bits.to_owned() };
            Folders { program_files, ..Folders::usual('C') }
        };
        let moved = of(r"D:\Programs\All", r"d:\programs\old");
        let path = "%ProgramFiles%/Kaspersky Lab";
        let usual = ["/Program Files/Kaspersky Lab", "/Program Files (x86)/Kaspersky Lab"];
        assert_eq!(watched(&moved, path), ["D:/Programs", usual[0], usual[1]], "each folder at the top once");
        assert_eq!(watched(&moved, "C:/KVRT_Data"), ["/KVRT_Data"]);
        // On the volume of Windows the product is watched in its folder, wherever that is and whatever its letter.
        let renamed = of(r"C:\Apps\Programs", r"C:\Program Files (x86)");
        assert_eq!(watched(&renamed, path), ["/Apps/Programs/Kaspersky Lab", usual[1], usual[0]]);
        assert_eq!(watched(&Folders::usual('E'), "C:/KVRT_Data"), ["/KVRT_Data"]);
        assert_eq!(watched(&Folders::usual('E'), path), usual);
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
