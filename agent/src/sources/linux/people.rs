//! The homes of people, for the sources that scan into them: of all local accounts, and whatever else stands in `/home`.
//!
//! A home on a network belongs to no one machine, is looked at from wherever its person works, and may hang: it is
//! passed over, and the source is then partial. Names of people stay here.

use std::collections::BTreeSet;

use super::findings::Findings;
use super::home_of_person;
use crate::sources::ScanContext;
use crate::sources::parse::mounts::Mounts;

const ACCOUNTS: &str = "/etc/passwd";

/// Every home that is on this machine. What was passed over is kept in the findings.
pub(super) fn local_homes(context: &ScanContext, findings: &mut Findings) -> BTreeSet<String> {
    let mounts = mounts(context, findings);
    let passwd = findings.read(context, ACCOUNTS, 16 * 1024 * 1024).unwrap_or_else(|| {
        findings.broken(format!("{ACCOUNTS} is missing, so whose homes there are is not known"));
        Vec::new()
    });
    let mut homes: BTreeSet<String> = String::from_utf8_lossy(&passwd).lines().filter_map(home_of_person).collect();
    homes.insert("/root".to_owned());
    // Accounts of a directory service are not in the file; their homes are made here.
    if mounts.is_on_network("/home") {
        findings.broken("/home is on a network and was not looked at");
    } else {
        let entries = findings.list(context, "/home").unwrap_or_default();
        homes.extend(entries.iter().filter(|entry| entry.is_directory).map(|entry| format!("/home/{}", entry.name)));
    }
    let all = homes.len();
    homes.retain(|home| !mounts.is_on_network(home) && !leads_to_network(context, &mounts, home));
    if homes.len() < all {
        findings.broken("homes on a network were not looked at");
    }
    homes
}

/// The table of mounts; a root that is not running has none.
fn mounts(context: &ScanContext, findings: &mut Findings) -> Mounts {
    if !context.root.is_running_system() {
        return Mounts::default();
    }
    let place = format!("/proc/{}/mountinfo", std::process::id());
    let bytes = findings.read(context, &place, 16 * 1024 * 1024).unwrap_or_default();
    Mounts::parse(&String::from_utf8_lossy(&bytes))
}

/// Whether the home, or the directory it is in, is a link to a network.
fn leads_to_network(context: &ScanContext, mounts: &Mounts, home: &str) -> bool {
    let parent = home.rsplit_once('/').map_or("", |(parent, _)| parent);
    [home, parent]
        .iter()
        .filter_map(|path| context.root.read_link(path).ok())
        .any(|target| mounts.is_on_network(&target))
}
