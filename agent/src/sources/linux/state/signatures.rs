//! Version and date of antivirus signatures, read without running the vendor's program: from the signature files, or from
//! the time at which the newest of them was written.

use std::collections::BTreeSet;

use muster_proto::limits;
use muster_proto::model::{SignatureState, Timestamp};

use crate::sources::ScanContext;
use crate::sources::parse::signatures::{
    CLAMAV_HEAD_BYTES, Release, clamav_directory, of_clamav, of_dated_version, of_definfo, of_sophos_status,
    symantec_directory,
};

const CLAMAV: &str = "/var/lib/clamav";
/// Configuration files that may name another directory: Debian's, upstream's, and those of Red Hat's instances.
const CLAMAV_CONFIGURATIONS: &[&str] =
    &["/etc/clamav/clamd.conf", "/etc/clamav/freshclam.conf", "/etc/clamd.conf", "/etc/freshclam.conf"];
const CLAMAV_INSTANCES: &str = "/etc/clamd.d";
const CLAMAV_FILES: &[&str] = &["daily.cld", "daily.cvd", "main.cld", "main.cvd"];
const SYMANTEC: &str = "/etc/Symantec.conf";
const STATUS_BYTES: usize = 4 * 1024 * 1024;

/// Directories whose newest entry with this suffix was written by the last update.
const WRITTEN: &[(&str, &str)] = &[
    ("/var/opt/microsoft/mdatp/definitions.noindex", ""),
    ("/opt/microsoft/mdatp/definitions.noindex", ""),
    ("/opt/sophos-spl/plugins/av/chroot/susi/update_source/vdl", ".ide"),
];
const WRITTEN_FILES: &[&str] = &["/var/opt/drweb.com/bases/dwrtoday.vdb"];

/// Reads version and date from a file's text.
type Reader = fn(&str) -> Option<Release>;

/// Files that state version or date.
const STATED: &[(&str, Reader)] = &[
    ("/opt/sophos-spl/base/mcs/status/ALC_status.xml", of_sophos_status),
    ("/usr/local/maldetect/sigs/maldet.sigs.ver", of_dated_version),
];

/// Of every product except ClamAV, whose databases may be in many directories.
pub(super) fn of_others(context: &ScanContext) -> Vec<SignatureState> {
    let mut found = Vec::from_iter(symantec(context));
    found.extend(STATED.iter().filter_map(|(path, read)| stated(context, path, *read)));
    found.extend(WRITTEN.iter().filter_map(|(dir, ending)| written(context, dir, ending)));
    found.extend(WRITTEN_FILES.iter().filter_map(|path| {
        let modified = context.root.times(path).ok()?.modified;
        Some(by_time(path, modified))
    }));
    found
}

pub(super) fn clamav(context: &ScanContext) -> Vec<SignatureState> {
    let mut configurations: Vec<String> = CLAMAV_CONFIGURATIONS.iter().map(|path| (*path).to_owned()).collect();
    let instances = context.root.list(CLAMAV_INSTANCES).unwrap_or_default();
    configurations.extend(instances.into_iter().take(16).map(|entry| format!("{CLAMAV_INSTANCES}/{}", entry.name)));
    let mut directories = BTreeSet::from([CLAMAV.to_owned()]);
    for configuration in configurations {
        let text = context.root.read_text(&configuration).unwrap_or_default();
        directories.extend(clamav_directory(&text).map(str::to_owned));
    }
    let mut found = Vec::new();
    for directory in directories {
        for file in CLAMAV_FILES {
            let place = format!("{directory}/{file}");
            let head = context.root.read_head(&place, CLAMAV_HEAD_BYTES).unwrap_or_default();
            found.extend(of_clamav(&head).map(|release| signature(&place, release)));
        }
    }
    found
}

fn symantec(context: &ScanContext) -> Option<SignatureState> {
    let text = context.root.read_text(SYMANTEC).ok()?;
    stated(context, &format!("{}/virusdefs/definfo.dat", symantec_directory(&text)?), of_definfo)
}

fn stated(context: &ScanContext, path: &str, read: Reader) -> Option<SignatureState> {
    let bytes = context.root.read(path, STATUS_BYTES).ok()?;
    read(&String::from_utf8_lossy(&bytes)).map(|release| signature(path, release))
}

/// The time of the newest entry of a directory. The directory's own time changes on a rename, but not when a file is
/// overwritten.
fn written(context: &ScanContext, dir: &str, ending: &str) -> Option<SignatureState> {
    let entries = context.root.list(dir).ok()?;
    let entries = entries.iter().filter(|entry| entry.name.ends_with(ending));
    let times = entries.filter_map(|entry| context.root.times(&format!("{dir}/{}", entry.name)).ok());
    times.map(|times| times.modified).max().map(|modified| by_time(dir, modified))
}

fn by_time(place: &str, modified: Timestamp) -> SignatureState {
    SignatureState { place: place.to_owned(), version: String::new(), released: Some(modified) }
}

fn signature(place: &str, release: Release) -> SignatureState {
    let version = muster_proto::canonical::clean_text(&release.version, limits::TEXT_BYTES);
    SignatureState { place: place.to_owned(), version, released: release.released }
}

#[cfg(all(test, unix))]
mod tests {
    use muster_proto::model::Watchlist;

    use super::super::super::canned::Canned;
    use super::*;
    use crate::sources::root::Root;

    fn signatures(root: &Canned) -> Vec<String> {
        let context = ScanContext::new(Root::below(root.path()).expect("a root"), Watchlist::default());
        let day = |at: Option<Timestamp>| at.map_or_else(|| "no day".to_owned(), |at| at.to_rfc3339()[..10].to_owned());
        let row = |one: SignatureState| format!("{} {} {}", one.place, one.version, day(one.released));
        let mut found = clamav(&context);
        found.extend(of_others(&context));
        found.sort();
        found.into_iter().map(row).collect()
    }

    #[test]
    fn clamav_is_read_wherever_it_keeps_its_databases() {
        let head = |version: u32, seconds: u32| format!("ClamAV-VDB:x:{version}:1:90:d:s:b:{seconds}   ");
        let root = Canned::new("debian")
            .file("var/lib/clamav/daily.cld", head(27464, 1_795_336_740))
            .file("var/lib/clamav/main.cvd", head(62, 1_631_795_562))
            .file("var/lib/clamav/daily.cvd", "ClamAV-VDB: cut")
            .file("etc/clamd.d/scan.conf", "DatabaseDirectory /srv/clam\n")
            .file("srv/clam/daily.cvd", head(27000, 1_700_000_000));
        assert_eq!(
            signatures(&root),
            [
                "/srv/clam/daily.cvd 27000 2023-11-14",
                "/var/lib/clamav/daily.cld 27464 2026-11-22",
                "/var/lib/clamav/main.cvd 62 2021-09-16",
            ]
        );
    }

    #[test]
    fn others_are_read_from_what_they_say_or_by_when_they_were_written() {
        let root = Canned::new("rhel")
            .file("etc/Symantec.conf", "[Symantec Shared]\nBaseDir=/opt/Symantec\n")
            .file("opt/Symantec/virusdefs/definfo.dat", "[DefDates]\nCurDefs=20261121.003\n")
            .file("opt/sophos-spl/base/mcs/status/ALC_status.xml", "<a><lastGood>20261120 01:02:03</lastGood></a>")
            .file("var/opt/microsoft/mdatp/definitions.noindex/0a1b/x", "")
            .file("var/opt/drweb.com/bases/dwrtoday.vdb", "");
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_795_000_000);
        for path in ["var/opt/microsoft/mdatp/definitions.noindex/0a1b", "var/opt/drweb.com/bases/dwrtoday.vdb"] {
            let file = std::fs::File::open(root.path().join(path)).expect("there");
            file.set_modified(old).expect("set");
        }
        assert_eq!(
            signatures(&root),
            [
                "/opt/Symantec/virusdefs/definfo.dat 20261121.003 2026-11-21",
                "/opt/sophos-spl/base/mcs/status/ALC_status.xml  2026-11-20",
                "/var/opt/drweb.com/bases/dwrtoday.vdb  2026-11-18",
                "/var/opt/microsoft/mdatp/definitions.noindex  2026-11-18",
            ]
        );
        assert_eq!(signatures(&Canned::new("debian")), Vec::<String>::new());
    }
}
