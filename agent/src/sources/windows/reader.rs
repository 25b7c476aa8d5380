//! Reads keys and files of a Windows machine for one source, and notes what could not be read.

use std::io;

use muster_proto::model::Observation;

use super::budget::{Bound, Budget, ENTRY_BYTES};
use crate::memory::turn;
use crate::sources::parse::windows::image_path::{FilePlace, ImagePath};
use crate::sources::parse::windows::path::{self, PathError};
use crate::sources::parse::windows::text::strip_prefix;
use crate::sources::parse::windows::variables::Folders;
use crate::sources::reading_builder::{ReadingBuilder, bytes_of, cut_texts};
use crate::sources::registry::{Listing, Registry, RegistryError, User, Value, folders, is_same_name};
use crate::sources::root::{Entry, FileKind, Root};
use crate::sources::{SourceReading, is_absent};

/// One source that reads.
pub(super) struct Reader<'m> {
    pub(super) registry: &'m dyn Registry,
    pub(super) root: &'m Root,
    pub(super) builder: ReadingBuilder,
    pub(super) budget: Budget,
    /// Where Windows and its programs are.
    pub(super) folders: Folders,
}

/// The values of one key.
#[derive(Debug, Default)]
pub(super) struct Values(pub(super) Vec<Value>);

/// Whether a file exists, and its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    There(String),
    Missing(String),
    /// It is on another volume or machine, or could not be examined.
    Unknown(String),
}

impl Found {
    pub(super) fn path(&self) -> &str {
        match self {
            Self::There(path) | Self::Missing(path) | Self::Unknown(path) => path,
        }
    }
}

impl Values {
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|value| is_same_name(&value.name, name))
    }

    /// A text without blanks at its ends; `None` if it is missing, empty or no text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = self.get(name)?.text()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A number, also one that is written as text.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let value = self.get(name)?;
        value.number().or_else(|| value.text()?.trim().parse().ok())
    }

    /// The bytes of all values in memory.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|value| ENTRY_BYTES + value.name.len() + value.data.len()).sum()
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.number(name).is_some_and(|number| number != 0)
    }
}

impl<'m> Reader<'m> {
    pub(super) fn new(registry: &'m dyn Registry, root: &'m Root) -> Self {
        let folders = folders(registry, root.volume());
        Self { registry, root, builder: ReadingBuilder::default(), budget: Budget::default(), folders }
    }

    /// The names of the keys below a key; `None` if it does not exist or cannot be read, which is noted.
    pub(super) fn keys(&mut self, key: &str) -> Option<Vec<String>> {
        if !self.may_ask() {
            return None;
        }
        let listing = self.registry.keys(key);
        let names = self.listed(key, listing)?;
        let bytes = names.iter().map(|name| ENTRY_BYTES + name.len()).sum();
        self.spend(Bound::ReadBytes, bytes).then_some(names)
    }

    /// The values of a key; `None` as for [`Self::keys`].
    pub(super) fn values(&mut self, key: &str) -> Option<Values> {
        if !self.may_ask() {
            return None;
        }
        let listing = self.registry.values(key);
        let values = Values(self.listed(key, listing)?);
        self.spend(Bound::ReadBytes, values.bytes()).then_some(values)
    }

    /// One text; `None` as for [`Self::keys`].
    pub(super) fn text(&mut self, key: &str, name: &str) -> Option<String> {
        if !self.may_ask() {
            return None;
        }
        match self.registry.value(key, name) {
            Ok(value) if !self.spend(Bound::ReadBytes, value.data.len()) => None,
            Ok(value) => value.text().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
            Err(error) => self.failed(key, &error),
        }
    }

    /// Counts a key that is asked for; `false` if the source has asked for enough, or read enough.
    fn may_ask(&mut self) -> bool {
        // One key may have megabytes of values.
        if let Err(error) = turn::take() {
            self.builder.access_failed("the registry", &error);
            return false;
        }
        self.spend(Bound::Keys, 1) && self.spend(Bound::ReadBytes, 1)
    }

    /// Counts against a bound of this source; `false` beyond it, which is noted.
    pub(super) fn spend(&mut self, bound: Bound, amount: usize) -> bool {
        let is_within = self.budget.spend(bound, amount);
        if !is_within {
            self.builder.problem(bound.reason());
        }
        is_within
    }

    /// Cuts the texts of an observation and counts what it takes until the source has read everything; `false` if it must not
    /// be kept.
    pub(super) fn keep(&mut self, row: &mut Observation) -> bool {
        cut_texts(row);
        self.spend(Bound::KeptBytes, bytes_of(row))
    }

    /// Counts a text that is kept; `false` if it must not be.
    pub(super) fn keep_text(&mut self, bytes: usize) -> bool {
        self.spend(Bound::KeptBytes, ENTRY_BYTES + bytes)
    }

    fn listed<T>(&mut self, key: &str, listing: Result<Listing<T>, RegistryError>) -> Option<Vec<T>> {
        match listing {
            Ok(listing) => {
                if let Some(fault) = listing.faults.first() {
                    self.builder.problem(format!("cannot read all of {}: {fault}", shown_key(key)));
                }
                Some(listing.entries)
            }
            Err(error) => self.failed(key, &error),
        }
    }

    fn failed<T>(&mut self, key: &str, error: &RegistryError) -> Option<T> {
        match error {
            RegistryError::Absent => {}
            RegistryError::Denied => {
                self.builder.access_failed(&shown_key(key), &io::ErrorKind::PermissionDenied.into());
            }
            // The file, because its permissions are what somebody can change.
            RegistryError::HiveDenied(file) => {
                self.builder.access_failed(file, &io::ErrorKind::PermissionDenied.into());
            }
            RegistryError::Broken { .. } => {
                self.builder.problem(format!("cannot read {}: {error}", shown_key(key)));
            }
        }
        None
    }

    /// Everybody who has a profile. Profiles that could not be found out are noted.
    pub(super) fn users(&mut self) -> Vec<User> {
        let users = self.registry.users();
        if let Some(fault) = users.faults.first() {
            self.builder.problem(format!("cannot list all users: {fault}"));
        }
        users.entries
    }

    /// Which of the files that a text can mean exists.
    pub(super) fn find(&mut self, image: &ImagePath) -> Found {
        let mut is_unknown = image.tries.is_empty();
        for place in &image.tries {
            let (file, is_here) = match place {
                FilePlace::Local(file) => (file.clone(), true),
                // It may be the scanned volume.
                FilePlace::UnknownVolume(file) => (format!("{}{file}", &self.folders.system_root[..2]), false),
                FilePlace::Remote(_) | FilePlace::Variable(_) => {
                    is_unknown = true;
                    continue;
                }
            };
            if path::parse(&file) == Err(PathError::Stream) {
                // Arguments such as `\Processid:{…}` look like one. A program that is one stays unknown.
                is_unknown |= image.tries.len() == 1;
                continue;
            }
            match self.kind_at(&file) {
                Some(Some(FileKind::File)) => return Found::There(file),
                Some(Some(FileKind::Directory)) => {}
                Some(None) if is_here => {}
                // A link that leads nowhere, or to another volume.
                Some(Some(FileKind::BrokenLink | FileKind::Other) | None) | None => is_unknown = true,
            }
        }
        let likeliest = image.likeliest.as_ref().map_or_else(String::new, |place| place.text().to_owned());
        if is_unknown { Found::Unknown(likeliest) } else { Found::Missing(likeliest) }
    }

    /// What is at a path; the outer `None` if that cannot be said. A path that cannot be read is noted. One on another volume,
    /// one with an ambiguous short name, and a text that is no path of a file are not: nobody can repair them.
    pub(super) fn kind_at(&mut self, path: &str) -> Option<Option<FileKind>> {
        match self.root.kind_at(path) {
            // What is behind a folder that is a link to nowhere is not known to be missing.
            Ok(None) if !matches!(self.root.broken_link_above(path), Ok(None)) => None,
            Ok(kind) => Some(kind),
            Err(error) if is_absent(&error) => Some(None),
            Err(error) if is_undecidable(&error) => None,
            Err(error) => {
                self.builder.access_failed(path, &error);
                None
            }
        }
    }

    /// The entries of a folder; `None` if it does not exist or cannot be read, which is noted.
    pub(super) fn list(&mut self, path: &str) -> Option<Vec<Entry>> {
        self.builder.unless_absent(path, self.root.list(path))
    }

    /// The content of a file; `None` as for [`Self::list`].
    pub(super) fn read(&mut self, path: &str, most: usize) -> Option<Vec<u8>> {
        self.builder.unless_absent(path, self.root.read(path, most))
    }

    /// Whether a folder that a text names is missing for certain.
    pub(super) fn is_missing_folder(&mut self, text: &str) -> bool {
        let text = text.trim().trim_matches('"').trim_end_matches(['\\', '/']);
        let folders = crate::sources::parse::windows::image_path::of_folder(text, &self.folders);
        let mut is_missing = !folders.is_empty();
        for folder in folders {
            is_missing &= match folder {
                // A name that no file can have says nothing of the folder that was meant.
                FilePlace::Local(folder) if folder.len() > 3 && path::parse(&folder).is_ok() => {
                    self.kind_at(&folder) == Some(None)
                }
                FilePlace::Local(_) | FilePlace::UnknownVolume(_) | FilePlace::Remote(_) | FilePlace::Variable(_) => {
                    false
                }
            };
        }
        is_missing
    }

    /// Adds an observation.
    pub(super) fn add(&mut self, place: &str, mut observation: Observation) {
        if self.keep(&mut observation) {
            self.builder.add(place, observation);
        }
    }

    /// The finished reading, with each observation once: users of one machine have the same software.
    pub(super) fn finish(mut self, absent: &str) -> SourceReading {
        self.builder.keep_distinct();
        self.builder.finish(absent)
    }
}

/// A key without the identifier of a user.
pub(super) fn shown_key(key: &str) -> String {
    let Some(rest) = strip_prefix(key, "HKU\\") else { return key.to_owned() };
    match rest.split_once('\\') {
        Some((_, below)) => format!("HKCU\\{below}"),
        None => "HKCU".to_owned(),
    }
}

/// Whether the error means that the root cannot say what is at a path, although all of the root can be read.
fn is_undecidable(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, InvalidFilename, InvalidInput};
    matches!(error.kind(), CrossesDevices | InvalidFilename | InvalidInput)
}
