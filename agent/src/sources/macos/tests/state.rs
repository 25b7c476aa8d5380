//! Tests of the host state of a Mac.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{Outcome, Watchlist};

use super::machine::{Mac, rows};
use crate::sources::macos::people::{HOMES, homes};
use crate::sources::macos::processes::{evidence, processes, running_jobs};
use crate::sources::macos::running::Running;
use crate::sources::macos::state::xprotect;
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::record;

fn running(programs: &[&str], some_hidden: bool) -> Running {
    Running { programs: programs.iter().map(|program| (*program).to_owned()).collect(), some_hidden }
}

#[test]
fn a_process_has_the_name_of_its_file_and_not_of_the_kernel() {
    let program = "/Library/SystemExtensions/5A/x.systemextension/Contents/MacOS/com.crowdstrike.falcon.Agent";
    let list = ["com.crowdstrike.falcon.Agent", "kav"].map(str::to_owned).to_vec();
    let context = Mac::new().context(Watchlist { processes: list, ..Watchlist::default() });
    let all = running(&[program, "/usr/sbin/other"], false);
    let reading = processes(&context, &all);
    assert_eq!(rows(&reading), ["com.crowdstrike.falcon.Agent | com.crowdstrike.falcon.Agent |  | "]);
    let (found, outcome) = evidence(&context, &all);
    assert_eq!((found[0].place.as_str(), outcome), ("process:com.crowdstrike.falcon.Agent", Outcome::Found));
    assert_eq!(processes(&context, &running(&[program], true)).outcome, Outcome::Partial);
    assert_eq!(evidence(&context, &running(&[program], true)).1, Outcome::Denied);
    assert_eq!(processes(&context, &running(&[], false)).outcome, Outcome::Failed);
    assert_eq!(evidence(&context, &running(&["/bin/sh"], false)).1, Outcome::Empty);
}

#[test]
fn a_job_runs_if_its_program_does() {
    let jobs = [("a", "/var/x/Agent"), ("b", "/opt/b"), ("c", "")];
    let jobs: BTreeMap<String, String> =
        jobs.iter().map(|(label, program)| ((*label).to_owned(), (*program).to_owned())).collect();
    let (states, outcome) = running_jobs(&jobs, &running(&["/private/var/x/agent"], false));
    assert_eq!(outcome, Outcome::Found);
    assert_eq!(states.iter().map(|state| state.active).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(running_jobs(&jobs, &running(&["/bin/sh"], true)).1, Outcome::Denied);
    assert_eq!(running_jobs(&BTreeMap::new(), &running(&["/bin/sh"], false)).1, Outcome::Empty);
}

#[test]
fn xprotect_has_the_version_of_its_newest_place() {
    let context = |mac: Mac| xprotect(&mac.context(Watchlist::default()));
    let old = "Library/Apple/System/Library/CoreServices/XProtect.bundle/Contents/Info.plist";
    let new = "private/var/protected/xprotect/XProtect.bundle/Contents/Info.plist";
    let version = |number| [("CFBundleShortVersionString", number)];
    let both = Mac::new().list(old, &version("2173")).list(new, &version("5312"));
    let found = context(both).expect("a version");
    assert_eq!(
        (found.version.as_str(), found.place.as_str()),
        ("5312", "/var/protected/xprotect/XProtect.bundle/Contents/Info.plist")
    );
    assert_eq!(context(Mac::new().list(old, &version("2173"))).map(|found| found.version), Some("2173".to_owned()));
    assert_eq!(context(Mac::new()), None);
}

#[test]
fn homes_that_are_elsewhere_are_known_by_their_accounts() {
    let account =
        |home: &str| format!("<plist><dict><key>home</key><array><string>{home}</string></array></dict></plist>");
    let users = "private/var/db/dslocal/nodes/Default/users";
    let mac = Mac::new()
        .folder("Users/jane")
        .file(&format!("{users}/jane.plist"), "damaged, and not needed")
        .file(&format!("{users}/ola.plist"), account("/Volumes/Homes/ola"))
        .file(&format!("{users}/_mysql.plist"), account("/opt/mysql"))
        .file(&format!("{users}/guest.plist"), account("/Users/guest"));
    let context = mac.context(Watchlist::default());
    let mut builder = ReadingBuilder::default();
    let found: BTreeSet<String> = homes(&context, &mut builder).into_iter().collect();
    assert_eq!(
        found.iter().map(String::as_str).collect::<Vec<_>>(),
        ["/Users/Shared", "/Users/jane", "/Volumes/Homes/ola", "/private/var/root"]
    );
    assert!(!builder.has_problem());
    let mut record = record(&context);
    (HOMES.read)(&context)(&mut record);
    assert_eq!(record.homes, None, "an account that cannot be read may be anywhere");
    let mac = mac.without(&format!("{users}/jane.plist"));
    (HOMES.read)(&mac.context(Watchlist::default()))(&mut record);
    let homes = record.homes.expect("known");
    assert!(homes.contains(&"/Volumes/Homes/ola".to_owned()) && homes.contains(&"/Users/".to_owned()), "{homes:?}");
}
