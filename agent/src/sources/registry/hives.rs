//! The registry in the hive files of a root: those of the machine below `System32\config`, and those of every profile.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::profiles::{self, Profiles};
use super::{Listing, Registry, RegistryError, User, Value, folded, is_same_name, kind, names};
use crate::sources::parse::hive::{Bytes, Hive, Key};
use crate::sources::parse::paged::PagedFault;
use crate::sources::root::Root;
use crate::sources::{error_reason, is_absent, is_denied};

/// The hives of the machine that have what an inventory needs.
const MACHINE: &[(&str, &str)] =
    &[("SOFTWARE", r"\Windows\System32\config\SOFTWARE"), ("SYSTEM", r"\Windows\System32\config\SYSTEM")];
/// The logs of a hive, in the order in which they are tried.
const LOGS: &[&str] = &["LOG1", "LOG2", "LOG"];
/// Those of Windows since Vista, which always makes both.
const PAIR: [&str; 2] = ["LOG1", "LOG2"];
/// Hives that are kept open: the two of the machine and those of two users. A hive takes up to 0.8 MiB, and 2 MiB more if
/// it is completed from its logs.
const OPEN_HIVES: usize = 6;
/// Links that are followed for one path. Windows has none that leads to another.
const LINKS_FOLLOWED: usize = 16;

/// The registry in the hive files of a root.
pub struct HiveRegistry {
    root: Arc<Root>,
    /// The hives that were used last, by path.
    open: Mutex<VecDeque<(String, Opened)>>,
    profiles: OnceLock<Profiles>,
}

type Opened = Result<Arc<Hive>, RegistryError>;

/// A key in an open hive.
struct Found {
    path: String,
    hive: Arc<Hive>,
    key: Key,
}

/// Where a path leads: to a key of a hive, or to a link with what follows it.
enum Step {
    Key(Found),
    Link(String),
}

impl fmt::Debug for HiveRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HiveRegistry").field("root", &self.root.given_path()).finish_non_exhaustive()
    }
}

impl Found {
    fn broken(&self, fault: &PagedFault) -> RegistryError {
        RegistryError::broken(format!("{} {}", self.path, fault.place), fault.what)
    }

    /// What a listing of this hive lacks.
    fn faults(&self, own: &[PagedFault]) -> Vec<String> {
        self.hive.faults().iter().chain(own).map(|fault| self.broken(fault).to_string()).collect()
    }

    /// Nothing was found, which is no proof if the hive is incomplete.
    fn absent(&self) -> RegistryError {
        self.hive.faults().first().map_or(RegistryError::Absent, |fault| self.broken(fault))
    }
}

impl HiveRegistry {
    /// The registry of a machine. The root gets the letter of its volume from it.
    #[must_use]
    pub fn open(root: Arc<Root>) -> Self {
        let registry = Self { root, open: Mutex::default(), profiles: OnceLock::new() };
        if let Some(letter) = profiles::windows_folder(&registry).and_then(|folder| folder.chars().next()) {
            registry.root.name_volume(letter);
        }
        registry
    }

    /// The hives of users alone, as files. `machine` is the registry of the machine.
    #[must_use]
    pub fn of_users(root: Arc<Root>, machine: &dyn Registry) -> Self {
        let profiles = profiles::read(machine, &root);
        Self { root, open: Mutex::default(), profiles: OnceLock::from(profiles) }
    }

    fn profiles(&self) -> &Profiles {
        self.profiles.get_or_init(|| profiles::read(self, &self.root))
    }

    /// Opens a hive, or takes it from those that are open.
    fn hive(&self, path: &str) -> Opened {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(known, _)| known == path)
            && let Some(found) = open.remove(at)
        {
            let opened = found.1.clone();
            open.push_front(found);
            return opened;
        }
        // Not under the lock: a file that does not answer must not hold up the others.
        drop(open);
        let opened = open_hive(&self.root, path);
        open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_front((path.to_owned(), opened.clone()));
        open.truncate(OPEN_HIVES);
        opened
    }

    /// The file of the hive that a path leads to, and the names that follow.
    fn file_of<'p>(&self, path: &[&'p str]) -> Result<(String, Vec<&'p str>), RegistryError> {
        let unknown = || RegistryError::broken(path.join(r"\"), "no hive that is read has this part of the registry");
        match path {
            [machine, hive, rest @ ..] if is_same_name(machine, "HKLM") => {
                let file = MACHINE.iter().find(|(name, _)| is_same_name(name, hive)).ok_or_else(unknown)?;
                Ok((file.1.to_owned(), rest.to_vec()))
            }
            [users, key, rest @ ..] if is_same_name(users, "HKU") => {
                let profiles = self.profiles();
                let (file, is_settings) = profiles.file_of(key).ok_or_else(|| match profiles.faults.first() {
                    Some(fault) => RegistryError::broken("HKU", fault),
                    None => RegistryError::Absent,
                })?;
                match rest {
                    // Windows links the one hive into the other when the user logs on.
                    [one, two, rest @ ..]
                        if is_settings && is_same_name(one, "Software") && is_same_name(two, "Classes") =>
                    {
                        let (classes, _) = profiles.file_of(&format!("{key}_Classes")).ok_or_else(unknown)?;
                        Ok((classes.to_owned(), rest.to_vec()))
                    }
                    _ => Ok((file.to_owned(), rest.to_vec())),
                }
            }
            _ => Err(unknown()),
        }
    }

    fn find(&self, key: &str) -> Result<Found, RegistryError> {
        let mut path = key.to_owned();
        for _ in 0..=LINKS_FOLLOWED {
            match self.step(&path)? {
                Step::Key(found) => return Ok(found),
                Step::Link(target) => path = target,
            }
        }
        Err(RegistryError::broken(key, "too many links"))
    }

    fn step(&self, path: &str) -> Result<Step, RegistryError> {
        let asked: Vec<&str> = names(path).collect();
        let (file, mut rest) = self.file_of(&asked)?;
        let hive = self.hive(&file)?;
        let root = hive.root();
        let root = root.map_err(|fault| RegistryError::broken(format!("{file} {}", fault.place), fault.what))?;
        let mut found = Found { path: file, hive, key: root };
        let control_set;
        if is_same_name(&found.path, MACHINE[1].1)
            && let Some(first) = rest.first_mut().filter(|name| is_same_name(name, "CurrentControlSet"))
        {
            control_set = current_control_set(&found)?;
            *first = &control_set;
        }
        let mut rest = rest.into_iter();
        loop {
            if found.key.is_link {
                let target = target_of(&found)?;
                return Ok(Step::Link(rest.fold(target, |path, name| format!(r"{path}\{name}"))));
            }
            let Some(name) = rest.next() else { return Ok(Step::Key(found)) };
            let below = found.hive.key(&found.key, name).map_err(|fault| found.broken(&fault))?;
            found.key = below.ok_or_else(|| found.absent())?;
        }
    }
}

/// The name of the control set with which Windows runs.
fn current_control_set(system: &Found) -> Result<String, RegistryError> {
    let unnamed =
        || RegistryError::broken(system.path.as_str(), "it does not say which control set is the current one");
    let broken = |fault: PagedFault| system.broken(&fault);
    let select = system.hive.key(&system.key, "Select").map_err(broken)?.ok_or_else(unnamed)?;
    let current = system.hive.value(&select, "Current").map_err(broken)?.ok_or_else(unnamed)?;
    Ok(format!("ControlSet{:03}", current.number().ok_or_else(unnamed)?))
}

/// The path that a link leads to.
fn target_of(link: &Found) -> Result<String, RegistryError> {
    let value = link.hive.value(&link.key, "SymbolicLinkValue").map_err(|fault| link.broken(&fault))?;
    let target = value.filter(|value| value.kind == kind::LINK).and_then(|value| value.text());
    let target = target.as_deref().and_then(|target| {
        let mut names = names(target);
        let is_absolute = names.next().is_some_and(|first| is_same_name(first, "Registry"));
        let top = match names.next().map(folded).as_deref() {
            Some("MACHINE") if is_absolute => "HKLM",
            Some("USER") if is_absolute => "HKU",
            _ => return None,
        };
        Some(names.fold(top.to_owned(), |path, name| format!(r"{path}\{name}")))
    });
    target.ok_or_else(|| RegistryError::broken(link.path.as_str(), "a link leads to no key"))
}

fn open_hive(root: &Root, path: &str) -> Opened {
    let main = root.open(path).map_err(|error| open_error(path, &error))?;
    let (mut logs, mut is_log_lacking, mut of_pair) = (Vec::new(), false, 0);
    for ending in LOGS {
        match root.open(&format!("{path}.{ending}")) {
            Ok(log) => {
                logs.push(Box::new(log) as Bytes);
                of_pair += u8::from(PAIR.contains(ending));
            }
            Err(error) => is_log_lacking |= !is_absent(&error),
        }
    }
    // Windows writes to both in turn, so the one that is missing may have had the newest changes.
    is_log_lacking |= of_pair == 1;
    let hive = Hive::open_with(Box::new(main), logs, is_log_lacking);
    let hive = hive.map_err(|fault| RegistryError::broken(format!("{path} {}", fault.place), fault.what))?;
    Ok(Arc::new(hive))
}

fn open_error(path: &str, error: &io::Error) -> RegistryError {
    if is_absent(error) {
        // A machine without it is damaged; a user without it has no settings.
        let is_of_machine = MACHINE.iter().any(|(_, file)| *file == path);
        return if is_of_machine { RegistryError::broken(path, "the hive is missing") } else { RegistryError::Absent };
    }
    if is_denied(error) {
        RegistryError::HiveDenied(path.to_owned())
    } else {
        RegistryError::broken(path, error_reason("the hive", error))
    }
}

impl Registry for HiveRegistry {
    fn keys(&self, key: &str) -> Result<Listing<String>, RegistryError> {
        let mut top = names(key);
        match (top.next().map(folded).as_deref(), top.next()) {
            (Some("HKLM"), None) => {
                return Ok(Listing::complete(MACHINE.iter().map(|(name, _)| (*name).to_owned()).collect()));
            }
            (Some("HKU"), None) => {
                let users = self.users();
                let keys = users.entries.iter().flat_map(|user| [&user.key, &user.classes]);
                let entries = keys.filter_map(|key| names(key).last().map(str::to_owned)).collect();
                return Ok(Listing { entries, faults: users.faults });
            }
            _ => {}
        }
        let found = self.find(key)?;
        let listed = found.hive.keys(&found.key);
        let entries = listed.entries.into_iter().map(|key| key.name).collect();
        Ok(Listing { entries, faults: found.faults(&listed.faults) })
    }

    fn values(&self, key: &str) -> Result<Listing<Value>, RegistryError> {
        let found = self.find(key)?;
        let listed = found.hive.values(&found.key);
        Ok(Listing { entries: listed.entries, faults: found.faults(&listed.faults) })
    }

    fn value(&self, key: &str, name: &str) -> Result<Value, RegistryError> {
        let found = self.find(key)?;
        let value = found.hive.value(&found.key, name).map_err(|fault| found.broken(&fault))?;
        value.ok_or_else(|| found.absent())
    }

    fn users(&self) -> Listing<User> {
        self.profiles().users()
    }
}

#[cfg(test)]
#[path = "hives_tests.rs"]
mod tests;
