//! What the directories of units contain, before anything is followed: the files of each unit in the order in which they
//! override each other, the links that start units, and the drop-ins.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::sources::root::Entry;

/// The types of units that are read.
const KINDS: &[&str] = &["service", "timer", "socket", "path"];

/// A unit file, or a link in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnitFile {
    pub(super) path: String,
    pub(super) is_link: bool,
}

/// The units of one manager: the system's, that of all user sessions, or those of one home directory.
#[derive(Debug, Default)]
pub(super) struct UnitFiles {
    /// The files of a unit name; an earlier one overrides a later one.
    files: BTreeMap<String, Vec<UnitFile>>,
    /// The link that starts a unit: `multi-user.target.wants/kesl.service`.
    started: BTreeMap<String, UnitFile>,
    /// The names of started units, instances by their template.
    enabled: BTreeSet<String>,
    /// The drop-ins of a unit name; an earlier one overrides a later one with the same file name.
    drop_ins: BTreeMap<String, Vec<String>>,
    /// How many files, links and drop-ins there are.
    count: usize,
}

/// Limit of files, links and drop-ins. A large server has a thousand.
const FILES: usize = 8192;

impl UnitFiles {
    /// Adds the entries of a directory, after those that override it.
    ///
    /// # Errors
    /// There are too many. What comes after the limit is left out.
    pub(super) fn add(
        &mut self,
        dir: &str,
        entries: &[Entry],
        mut list: impl FnMut(&str) -> Vec<Entry>,
    ) -> io::Result<()> {
        for entry in entries {
            self.count_one()?;
            let path = format!("{dir}/{}", entry.name);
            let (stem, extension) = entry.name.rsplit_once('.').unwrap_or((&entry.name, ""));
            match extension {
                "wants" | "requires" | "upholds" => {
                    for link in list(&path) {
                        self.count_one()?;
                        self.enabled.insert(template_of(&link.name));
                        if is_unit(&link.name) && !link.is_directory {
                            let file = UnitFile { path: format!("{path}/{}", link.name), is_link: link.is_link };
                            self.started.entry(link.name).or_insert(file);
                        }
                    }
                }
                "d" => {
                    let files = list(&path).into_iter().filter(|file| extension_of(&file.name) == "conf");
                    for file in files {
                        self.count_one()?;
                        self.drop_ins.entry(stem.to_owned()).or_default().push(format!("{path}/{}", file.name));
                    }
                }
                _ if is_unit(&entry.name) && !entry.is_directory => {
                    let file = UnitFile { path, is_link: entry.is_link };
                    self.files.entry(entry.name.clone()).or_default().push(file);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn count_one(&mut self) -> io::Result<()> {
        self.count += 1;
        if self.count > FILES {
            let words = format!("the folders of units have more than {FILES} entries");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
        }
        Ok(())
    }

    /// The units that have a file or a link that starts them. Drop-ins alone make no unit.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.files.keys().chain(self.started.keys()).map(String::as_str).collect()
    }

    /// The files with this very name.
    pub(super) fn files_of(&self, name: &str) -> &[UnitFile] {
        self.files.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The link that starts the unit.
    pub(super) fn start_link(&self, name: &str) -> Option<&UnitFile> {
        self.started.get(name)
    }

    pub(super) fn is_enabled(&self, name: &str) -> bool {
        self.enabled.contains(&template_of(name))
    }

    /// The drop-ins below this very name; an earlier one overrides a later one with the same file name.
    pub(super) fn drop_ins_of(&self, name: &str) -> &[String] {
        self.drop_ins.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The names whose drop-ins apply to a unit, the most specific first: the unit, its template, and the truncations
/// `a-b-.service` and `a-.service` of `a-b-c.service`.
pub(super) fn drop_in_names(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    let template = template_of(name);
    if template != name {
        names.push(template);
    }
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let stem = stem.split('@').next().unwrap_or_default();
    let dashes = stem.rmatch_indices('-').filter(|(at, _)| at + 1 < stem.len());
    names.extend(dashes.map(|(at, _)| format!("{}.{extension}", &stem[..=at])));
    names
}

/// The template of a unit name: `getty@.service` for the instance `getty@tty1.service`.
pub(super) fn template_of(name: &str) -> String {
    match (name.split_once('@'), name.rsplit_once('.')) {
        (Some((stem, _)), Some((_, extension))) => format!("{stem}@.{extension}"),
        _ => name.to_owned(),
    }
}

fn is_unit(name: &str) -> bool {
    KINDS.contains(&extension_of(name))
}

fn extension_of(name: &str) -> &str {
    name.rsplit_once('.').map(|(_, extension)| extension).unwrap_or_default()
}
