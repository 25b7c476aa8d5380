//! The watchlist as this agent accepts it: a built-in default, and limits that no collector can change.
//!
//! A watchlist only says what to test for existence. An entry that would make the agent read home directories, leave the
//! machine's own tree or walk without bounds is rejected and named.

mod check;

use std::collections::BTreeSet;

use muster_proto::limits;
use muster_proto::model::{Platform, Watchlist};

use super::parse::macos;
use super::parse::windows::path::folded;

/// A watchlist as stored in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchlistFile {
    /// The platform that the list is for. The built-in lists are one file each and leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Grows with every change.
    pub version: u64,
    /// Absolute paths; `*` in the last component only. On Windows they begin with `C:` or a variable of the machine.
    pub paths: Vec<String>,
    /// Names of units and services.
    pub units: Vec<String>,
    /// Names of processes.
    pub processes: Vec<String>,
    /// Keys of the Windows registry.
    pub registry_keys: Vec<String>,
    /// Parts of certificate subjects.
    pub certificate_subjects: Vec<String>,
    /// Ids of browser extensions, or their names in lower case.
    pub extension_ids: Vec<String>,
}

/// A rejected entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The entry as received.
    pub entry: String,
    /// Why it was rejected.
    pub reason: &'static str,
}

/// The built-in watchlist of a platform.
#[must_use]
pub fn builtin(platform: Platform) -> Watchlist {
    // A test parses the built-in files. If one were invalid nevertheless, version 0 would tell the collector.
    let file: WatchlistFile = toml::from_str(text(platform)).unwrap_or_default();
    accept(platform, file.into()).0
}

const fn text(platform: Platform) -> &'static str {
    match platform {
        Platform::Linux => include_str!("../../watchlist/linux.toml"),
        Platform::Windows => include_str!("../../watchlist/windows.toml"),
        Platform::Macos => include_str!("../../watchlist/macos.toml"),
    }
}

/// Splits a watchlist into the accepted part and the rejected entries.
#[must_use]
pub fn accept(platform: Platform, list: Watchlist) -> (Watchlist, Vec<Dropped>) {
    let mut dropped = Vec::new();
    let mut keep = |entries: Vec<String>, check: &dyn Fn(&str) -> Result<(), &'static str>| {
        let mut accepted = BTreeSet::new();
        for entry in entries {
            let reason = match check(&entry) {
                Ok(()) if accepted.len() >= limits::WATCHLIST_ENTRIES => Some("the list has too many entries"),
                Ok(()) => None,
                Err(reason) => Some(reason),
            };
            match reason {
                Some(reason) => dropped.push(Dropped { entry, reason }),
                None => drop(accepted.insert(entry)),
            }
        }
        accepted.into_iter().collect()
    };
    let accepted = Watchlist {
        version: list.version,
        paths: keep(list.paths, &|entry| check::path(platform, entry)),
        units: keep(list.units, &check::name),
        processes: keep(list.processes, &check::name),
        registry_keys: keep(list.registry_keys, &check::key),
        certificate_subjects: keep(list.certificate_subjects, &check::text),
        extension_ids: keep(list.extension_ids, &check::text),
    };
    (accepted, dropped)
}

/// The differences between two lists for the log: `+` added, `-` removed.
#[must_use]
pub fn changes(old: &Watchlist, new: &Watchlist) -> Vec<String> {
    let mut changes = Vec::new();
    for (old, new) in [
        (&old.paths, &new.paths),
        (&old.units, &new.units),
        (&old.processes, &new.processes),
        (&old.registry_keys, &new.registry_keys),
        (&old.certificate_subjects, &new.certificate_subjects),
        (&old.extension_ids, &new.extension_ids),
    ] {
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (old.iter().collect(), new.iter().collect());
        changes.extend(new.difference(&old).map(|entry| format!("+{entry}")));
        changes.extend(old.difference(&new).map(|entry| format!("-{entry}")));
    }
    changes
}

/// Whether a pattern has a wildcard.
#[must_use]
pub fn has_wildcard(pattern: &str) -> bool {
    pattern.contains('*')
}

/// As [`matches()`], where upper and lower case do not matter.
#[must_use]
pub fn matches_in_any_case(pattern: &str, name: &str) -> bool {
    matches(&folded(pattern), &folded(name))
}

/// Whether a name matches a pattern on this platform: Windows and macOS do not tell upper case from lower case.
#[must_use]
pub fn matches_on(platform: Platform, pattern: &str, name: &str) -> bool {
    match platform {
        Platform::Windows => matches_in_any_case(pattern, name),
        Platform::Macos => matches(&macos::name::folded(pattern), &macos::name::folded(name)),
        Platform::Linux => matches(pattern, name),
    }
}

/// Whether a name matches a pattern in which `*` matches any run of characters. Linear in both per `*`.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    // The first hit of each middle part is the best one: it leaves the most for the parts behind it.
    rest.ends_with(last)
}

impl From<WatchlistFile> for Watchlist {
    fn from(file: WatchlistFile) -> Self {
        let WatchlistFile { platform: _, version, paths, units, processes, .. } = file;
        let WatchlistFile { registry_keys, certificate_subjects, extension_ids, .. } = file;
        Self { version, paths, units, processes, registry_keys, certificate_subjects, extension_ids }
    }
}

impl WatchlistFile {
    /// The file form of a list for a platform.
    #[must_use]
    pub fn of(platform: Platform, list: &Watchlist) -> Self {
        Self {
            platform: Some(platform),
            version: list.version,
            paths: list.paths.clone(),
            units: list.units.clone(),
            processes: list.processes.clone(),
            registry_keys: list.registry_keys.clone(),
            certificate_subjects: list.certificate_subjects.clone(),
            extension_ids: list.extension_ids.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_lists_are_accepted_on_their_platforms() {
        for platform in Platform::ALL {
            let file: WatchlistFile = toml::from_str(text(*platform)).expect("it is TOML");
            let (list, dropped) = accept(*platform, file.into());
            assert_eq!(dropped, [], "{platform}");
            assert!(list.version > 0 && !list.paths.is_empty() && !list.processes.is_empty(), "{platform}");
        }
        assert!(builtin(Platform::Linux).paths.iter().any(|path| path == "/opt/kaspersky"));
        assert!(!builtin(Platform::Windows).registry_keys.is_empty());
    }

    #[test]
    fn the_file_form_keeps_every_list() {
        let list = |name: &str| vec![name.to_owned()];
        let given = Watchlist {
            version: 7,
            paths: list("C:\\x"),
            units: list("avp"),
            processes: list("avp.exe"),
            registry_keys: list("HKLM/SOFTWARE/KasperskyLab"),
            certificate_subjects: list("Kaspersky"),
            extension_ids: list("x"),
        };
        let file = serde_json::to_vec(&WatchlistFile::of(Platform::Windows, &given)).expect("encodes");
        let file: WatchlistFile = serde_json::from_slice(&file).expect("decodes");
        assert_eq!(file.platform, Some(Platform::Windows));
        assert_eq!(accept(Platform::Windows, file.into()), (given, Vec::new()));
    }

    #[test]
    fn entries_in_home_directories_or_without_bounds_are_rejected() {
        let bad = [
            "opt/x",
            "/opt/../etc/shadow",
            "/home/jane",
            "/home",
            "/root",
            "/proc/1/environ",
            "/opt/*/bin",
            "/*",
            "/opt/*",
            "/opt//x",
            "/opt/x/",
            "",
            "/opt/\u{7}",
        ];
        let list =
            Watchlist { version: 7, paths: bad.iter().map(ToString::to_string).collect(), ..Watchlist::default() };
        let (accepted, dropped) = accept(Platform::Linux, list);
        assert_eq!(accepted.paths, Vec::<String>::new());
        assert_eq!(dropped.len(), bad.len());
        let fine = Watchlist { paths: vec!["/homework".into(), "/opt/kav*".into()], ..Watchlist::default() };
        assert_eq!(accept(Platform::Linux, fine.clone()).0.paths, fine.paths);
    }

    #[test]
    fn a_list_over_the_limit_is_cut() {
        let paths = (0..limits::WATCHLIST_ENTRIES + 3).map(|n| format!("/opt/p{n}")).collect();
        let (accepted, dropped) = accept(Platform::Linux, Watchlist { paths, ..Watchlist::default() });
        assert_eq!((accepted.paths.len(), dropped.len()), (limits::WATCHLIST_ENTRIES, 3));
    }

    #[test]
    fn a_star_matches_any_run_of_characters() {
        for (pattern, name, fits) in [
            ("kesl*.service", "kesl-supervisor.service", true),
            ("kesl*.service", "kesl.service", true),
            ("kesl*.service", "kesl.timer", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("exact", "exactly", false),
            ("exact", "exact", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} on {name}");
        }
    }

    #[test]
    fn changes_name_added_and_removed_entries() {
        let old = Watchlist { paths: vec!["/opt/a".into()], ..Watchlist::default() };
        let new = Watchlist { paths: vec!["/opt/b".into()], ..Watchlist::default() };
        assert_eq!(changes(&old, &new), ["+/opt/b", "-/opt/a"]);
    }
}
