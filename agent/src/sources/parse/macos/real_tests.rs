//! Property lists and bills of materials of real Macs, if somebody has them: those of the tests of osquery
//! (`tools/tests/configs/db.plist`, `launchd.plist`, `test_Info.plist`, `test_bom.bom`) and of the crate `plist`.

use std::path::PathBuf;

use super::bom::{Bom, Remains};
use super::bundle::Bundle;
use super::damage_tests::{BINARY, assert_damage_shows, bills, database, lists};
use super::job::Job;
use crate::sources::parse::plist::{self, PlistFault};

fn read(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(std::env::var_os("MUSTER_PLISTS").expect("MUSTER_PLISTS names the folder"));
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
#[ignore = "needs MUSTER_PLISTS, a folder with property lists of real Macs"]
fn the_lists_of_real_macs_are_read() {
    let found = database(&read("osquery-systemextensions-db.plist")).expect("a database");
    let [lulu] = found.extensions.as_slice() else { panic!("{found:?}") };
    assert_eq!((lulu.id.as_str(), lulu.state.as_str()), ("com.objective-see.lulu.extension", "activated_enabled"));
    assert_eq!(lulu.categories, ["network_extension"]);
    assert!(!lulu.may_protect(), "a firewall");
    let list = |name: &str| plist::parse(&read(name)).expect("a list");
    let job = Job::of(&list("osquery-launchd.plist"));
    assert_eq!(job.fault, None);
    assert_eq!((job.label.as_str(), job.program.as_str()), ("com.apple.mDNSResponder", "/usr/sbin/mDNSResponder"));
    let bundle = Bundle::of(&list("osquery-Info.plist"));
    assert_eq!((bundle.id.as_str(), bundle.version.as_str()), ("com.apple.PhotoBooth", "6.0"));
    assert!(plist::parse(&read("rust-plist-binary_circular_array.plist")).is_err());
    assert_eq!(plist::parse(&read("rust-plist-nskeyed.plist")), Err(PlistFault::Archive));
    assert_eq!(plist::parse(&read("plaso-backgrounditems.btm")), Err(PlistFault::Archive));
}

#[test]
#[ignore = "needs MUSTER_PLISTS, a folder with property lists of real Macs"]
fn the_bill_of_materials_of_a_real_package_has_every_file() {
    let bom = Bom::parse(&read("osquery-test.bom")).expect("a bill");
    let mut asked = Vec::new();
    let remains = bom.remains("/", 10_000, &mut |path| {
        asked.push(path.to_owned());
        Some(!path.contains('.') && !path.contains("osquery"))
    });
    assert_eq!(remains, Remains::Nothing);
    assert!(asked.contains(&"/private/var/osquery".to_owned()), "{asked:?}");
}

#[test]
#[ignore = "needs MUSTER_PLISTS, a folder with property lists of real Macs"]
fn a_damaged_list_of_extensions_is_never_complete_with_less() {
    let bytes = read("osquery-systemextensions-db.plist");
    assert_damage_shows(&bytes, bytes.len(), BINARY);
}

#[test]
#[ignore = "needs MUSTER_PLISTS, a folder with property lists of real Macs"]
fn a_damaged_job_bundle_or_bill_is_never_complete_with_less() {
    let end = |bytes: &[u8]| bytes.windows(7).rposition(|window| window == b"</dict>").expect("an end") + 7;
    let job = read("osquery-launchd.plist");
    lists::assert_damage_shows(&job, end(&job), b"<", lists::of_job, false);
    let bundle = read("osquery-Info.plist");
    lists::assert_damage_shows(&bundle, end(&bundle), b"<", lists::of_bundle, true);
    let bill = read("osquery-test.bom");
    bills::assert_damage_shows(&bill, 0);
}
