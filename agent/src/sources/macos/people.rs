//! The home directories of a Mac: everything in `/Users`, the administrator's, and those of local accounts that are elsewhere.

use std::collections::BTreeSet;

use super::plists;
use crate::sources::ScanContext;
use crate::sources::parse::macos::name::{folded, is_within};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::record::Part;

/// Where macOS makes home directories.
const USERS: &str = "/Users";
/// The administrator's.
const ROOT: &str = "/private/var/root";
/// One property list for each local account. Only an administrator may read them.
const ACCOUNTS: &str = "/private/var/db/dslocal/nodes/Default/users";
/// The same folder by its other name, and in the other half of the machine.
const DATA: &str = "/System/Volumes/Data";
/// Folders in which accounts of the system have their homes.
const OF_SYSTEM: &[&str] = &["/var", "/private/var", "/usr", "/System", "/Library", "/dev"];

/// Parents of home directories, and the administrator's.
pub(super) const KNOWN_HOMES: &[&str] = &[
    "/Users/",
    "/System/Volumes/Data/Users/",
    "/var/root",
    "/private/var/root",
    "/System/Volumes/Data/private/var/root",
];

/// The home directories that must not appear in what is sent. While an account cannot be read they are unknown.
pub(super) const HOMES: Part = Part {
    what: "the home directories",
    read: |context| {
        let mut builder = ReadingBuilder::default();
        let elsewhere = homes_elsewhere(context, &BTreeSet::new(), &mut builder);
        let all = elsewhere.into_iter().flat_map(|home| [format!("{DATA}{home}"), home]);
        let known = KNOWN_HOMES.iter().map(|home| (*home).to_owned()).chain(all).collect();
        let homes: Option<Vec<String>> = (!builder.has_problem()).then_some(known);
        Box::new(move |record| record.homes = homes)
    },
    unread: |record| record.homes = None,
};

/// Every home directory. One that cannot be seen is recorded as a problem.
pub(super) fn homes(context: &ScanContext, builder: &mut ReadingBuilder) -> Vec<String> {
    let entries = builder.list(context, USERS).unwrap_or_default();
    let is_home = |name: &str| !name.starts_with('.');
    let mut names = BTreeSet::new();
    let mut homes = Vec::new();
    for entry in entries.iter().filter(|entry| (entry.is_directory || entry.is_link) && is_home(&entry.name)) {
        names.insert(folded(&entry.name));
        homes.push(format!("{USERS}/{}", entry.name));
    }
    // Every Mac has a folder that its users share.
    if homes.is_empty() && !builder.has_problem() {
        builder.problem(format!("{USERS} has no home directory, so this is not the whole Mac"));
    }
    homes.push(ROOT.to_owned());
    homes.extend(homes_elsewhere(context, &names, builder));
    homes
}

/// The homes of local accounts that are not in `/Users`. Accounts with these names are known to be there.
fn homes_elsewhere(context: &ScanContext, known: &BTreeSet<String>, builder: &mut ReadingBuilder) -> Vec<String> {
    let accounts = builder.list(context, ACCOUNTS).unwrap_or_default();
    let mut homes = Vec::new();
    for entry in &accounts {
        let Some(account) = entry.name.strip_suffix(".plist") else { continue };
        // The names of the system's own accounts begin with an underscore.
        let is_systems = account.starts_with('_') || matches!(account, "daemon" | "nobody" | "root");
        if is_systems || known.contains(&folded(account)) {
            continue;
        }
        let (path, shown) = (format!("{ACCOUNTS}/{}", entry.name), format!("an account in {ACCOUNTS}"));
        let Some(account) = plists::read_as(context, &path, &shown, builder) else { continue };
        let is_elsewhere = |home: &String| {
            home.starts_with('/')
                && home.len() > 1
                && !is_within(home, USERS)
                && !OF_SYSTEM.iter().any(|folder| is_within(home, folder))
        };
        let named = account.texts("home").into_iter().map(|home| home.trim_end_matches('/').to_owned());
        homes.extend(named.filter(is_elsewhere));
    }
    homes.sort();
    homes.dedup();
    homes
}

/// A path with `~` for the home directory that it is in.
pub(super) fn with_tilde(path: &str, home: &str) -> String {
    path.strip_prefix(home).map_or_else(|| path.to_owned(), |rest| format!("~{rest}"))
}

/// A text with dots in which the name of the account of a home directory is a part, with `~` in its place. Programs name the
/// jobs that they make for a person after the person: `com.example.jane.agent`.
pub(super) fn without_account(text: &str, home: &str) -> String {
    let account = folded(home.rsplit('/').next().unwrap_or_default());
    let parts = text.split('.').map(|part| if folded(part) == account { "~" } else { part });
    parts.collect::<Vec<_>>().join(".")
}
