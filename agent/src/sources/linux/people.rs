//! The home directories on this machine: those of all local accounts, and everything in `/home`.
//!
//! A home directory on a network file system is skipped, and the source is then `partial`: it does not belong to one
//! machine, would be read from every machine its user logs in to, and may hang. User names stay here.

use std::collections::BTreeSet;

use super::{HOMES as KNOWN_HOMES, home_of_person};
use crate::sources::parse::mounts::Mounts;
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::record::Part;
use crate::sources::{ScanContext, is_absent};

const ACCOUNTS: &str = "/etc/passwd";
/// More than ten thousand accounts. Four sources read them at once.
const ACCOUNTS_BYTES: usize = 1024 * 1024;
/// Some ten thousand mounts.
const MOUNTS_BYTES: usize = 2 * 1024 * 1024;

/// The home directories that must not appear in what is sent. Of accounts that cannot be read they are unknown.
pub(super) const HOMES: Part = Part {
    what: "the home directories",
    read: |context| {
        let accounts = match context.root.read(ACCOUNTS, ACCOUNTS_BYTES) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if is_absent(&error) => Some(String::new()),
            Err(_) => None,
        };
        let homes = accounts.map(|accounts| {
            let known = KNOWN_HOMES.iter().map(|home| (*home).to_owned());
            known.chain(accounts.lines().filter_map(home_of_person)).collect()
        });
        Box::new(move |record| record.homes = homes)
    },
    unread: |record| record.homes = None,
};

/// Every home directory on a local disk. Skipped ones are recorded as a problem.
pub(super) fn local_homes(context: &ScanContext, builder: &mut ReadingBuilder) -> BTreeSet<String> {
    let mounts = mounts(context, builder);
    let passwd = builder.read(context, ACCOUNTS, ACCOUNTS_BYTES).unwrap_or_else(|| {
        builder.problem(format!("{ACCOUNTS} is missing, so the home directories are unknown"));
        Vec::new()
    });
    let mut homes: BTreeSet<String> = String::from_utf8_lossy(&passwd).lines().filter_map(home_of_person).collect();
    homes.insert("/root".to_owned());
    // Accounts of a directory service are not in /etc/passwd, but their home directories are created here.
    if mounts.is_on_network("/home") {
        builder.problem("/home is on a network file system and was skipped");
    } else {
        let entries = builder.list(context, "/home").unwrap_or_default();
        homes.extend(entries.iter().filter(|entry| entry.is_directory).map(|entry| format!("/home/{}", entry.name)));
    }
    let all = homes.len();
    homes.retain(|home| !mounts.is_on_network(home) && !leads_to_network(context, &mounts, home));
    if homes.len() < all {
        builder.problem("home directories on network file systems were skipped");
    }
    homes
}

/// The mount table; empty for a root that is not running.
fn mounts(context: &ScanContext, builder: &mut ReadingBuilder) -> Mounts {
    if !context.root.is_running_system() {
        return Mounts::default();
    }
    let place = format!("/proc/{}/mountinfo", std::process::id());
    let bytes = builder.read(context, &place, MOUNTS_BYTES).unwrap_or_default();
    Mounts::parse(&String::from_utf8_lossy(&bytes))
}

/// Whether the home directory or its parent is a link to a network file system.
fn leads_to_network(context: &ScanContext, mounts: &Mounts, home: &str) -> bool {
    let parent = home.rsplit_once('/').map_or("", |(parent, _)| parent);
    [home, parent]
        .iter()
        .filter_map(|path| context.root.read_link(path).ok())
        .any(|target| mounts.is_on_network(&target))
}
