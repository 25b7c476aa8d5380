//! Wakes the agent when a place that a source reads has changed. A wake only says that a scan is worthwhile, not what has
//! changed.
//!
//! [`Watch::arm`] is called before every scan, so that a change during the scan wakes the agent again. Every directory on
//! the path to a place is watched for the next name on that path. A place that does not exist yet is thus watched by its
//! nearest existing parent, and a replaced one is found again. Where watching is impossible, changes are found at the next
//! scheduled scan, and the [`Summary`] says so.
//!
//! Of a key of the registry Windows says that it has changed and not what, so every change counts. Therefore only the key itself
//! is watched, or the nearest one above, in which it will appear.
mod debounce;
mod plan;
mod wake_budget;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::deadline::{self, StuckWork};
use crate::os::notify::{self, Changes, Notice, Notifier, WatchError, WatchId};
use crate::sources::is_absent;
use crate::sources::places::Place;
use crate::sources::root::Root;
use debounce::Debounce;
use plan::{NameFilter, Plan, parent_key};
use wake_budget::WakeBudget;

/// How often events of a busy directory are read. In between the kernel queues them at no cost to the agent.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Limit of watched subdirectories per tree; real machines have a few dozen.
const TREE_DIRECTORIES: usize = 256;
/// How many directories that do not answer one arming waits for. The first arming comes before the service is ready, and its
/// manager waits for 90 seconds.
const HUNG_AT_ONCE: usize = 4;
/// Limit of places listed as unwatched; further ones are counted.
const FAULTS_LISTED: usize = 16;

/// An open folder keeps the disk of its volume from being removed safely.
const ELSEWHERE: &str = "only the volume of Windows is watched";

/// What is watched, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Summary {
    /// The number of watched directories.
    pub directories: usize,
    /// The number of watched keys of the registry; left out where there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keys: usize,
    /// Places that cannot be watched, each with the reason. Their changes are found at the next scheduled scan.
    pub unwatched: Vec<String>,
    /// The number of further such places.
    pub more_unwatched: usize,
}

impl Summary {
    /// Whether a change in any place wakes the agent.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.unwatched.is_empty()
    }

    /// How much is watched, for people.
    #[must_use]
    pub fn counted(&self) -> String {
        let keys = if self.keys > 0 { format!(" and {} registry keys", self.keys) } else { String::new() };
        format!("{} directories{keys}", self.directories)
    }

    fn add_unwatched(&mut self, place: &str, reason: &str) {
        if self.unwatched.len() < FAULTS_LISTED {
            self.unwatched.push(format!("{place}: {reason}"));
        } else {
            self.more_unwatched += 1;
        }
    }
}

/// Watches the places of one machine.
#[derive(Debug)]
pub struct Watch {
    notifier: Option<Arc<Notifier>>,
    /// Directories that have not answered, each with what its thread holds.
    hung: Vec<(String, Weak<Mutex<Armed>>)>,
    filters: BTreeMap<WatchId, NameFilter>,
    keys: BTreeSet<WatchId>,
    summary: Summary,
    wake_budget: WakeBudget,
}

impl Watch {
    /// A watch without any places yet. `now` starts its budget of wakes.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            notifier: None,
            hung: Vec::new(),
            filters: BTreeMap::new(),
            keys: BTreeSet::new(),
            summary: Summary::default(),
            wake_budget: WakeBudget::full(now.into_std()),
        }
    }

    /// What the last [`Self::arm`] could watch.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Watches these places of the root as far as possible, and forgets earlier changes. Closes the root. A directory that
    /// does not answer is listed as unwatched with everything below it, and not tried again while its thread waits.
    pub fn arm(&mut self, root: Root, places: &[Place]) {
        let notifier = match self.notifier.take().map_or_else(|| Notifier::open().map(Arc::new), Ok) {
            Ok(notifier) => notifier,
            Err(error) => {
                self.filters.clear();
                self.keys.clear();
                self.summary = Summary::default();
                self.summary.add_unwatched("all places", &error.to_string());
                return;
            }
        };
        // Events up to now are older than the scan that follows.
        let taking = Arc::clone(&notifier);
        let taken = deadline::run("watch", deadline::OWN_FILES, &StuckWork::default(), move || taking.take());
        let broken = taken.map_err(io::Error::from).and_then(|taken| taken).err();
        let root = Arc::new(root);
        let plan = Arc::new(Plan::of(places, root.platform()));
        let Armed { filters, keys, mut summary, .. } = self.armed(&notifier, &root, &plan);
        root.close();
        // After the new watches are added: a directory in both plans keeps its watch, and no event is lost.
        let is_old = |number: &&WatchId| !filters.contains_key(number) && !keys.contains(number);
        for number in self.filters.keys().chain(&self.keys).filter(is_old) {
            notifier.remove(*number);
        }
        (summary.directories, summary.keys) = (filters.len(), keys.len());
        (self.filters, self.keys, self.summary) = (filters, keys, summary);
        // A broken notifier is opened again at the next arming.
        self.notifier = match broken {
            None => Some(notifier),
            Some(error) => {
                self.summary.add_unwatched("all places", &error.kind().to_string());
                None
            }
        };
    }

    /// Goes through the plan on a thread, and on another one after each directory that does not answer.
    fn armed(&mut self, notifier: &Arc<Notifier>, root: &Arc<Root>, plan: &Arc<Plan>) -> Armed {
        self.hung.retain(|(_, thread)| thread.strong_count() > 0);
        let mut armed = Armed::default();
        for place in plan.elsewhere() {
            armed.summary.add_unwatched(place, ELSEWHERE);
        }
        for (directory, _) in &self.hung {
            armed.give_up(directory);
        }
        for _ in 0..=HUNG_AT_ONCE {
            let state = Arc::new(Mutex::new(armed.clone()));
            let arming = Arming { notifier: Arc::clone(notifier), root: Arc::clone(root), armed: Arc::clone(&state) };
            let plan_of_thread = Arc::clone(plan);
            let work = move || arming.all(&plan_of_thread);
            let done = deadline::run("watch", deadline::OWN_FILES, &StuckWork::default(), work);
            armed = lock(&state).clone();
            if done.is_ok() {
                return armed;
            }
            if !armed.has_keys {
                armed.has_keys = true;
                armed.summary.add_unwatched("some keys of the registry", "they do not answer");
                continue;
            }
            let directory = plan.directories().nth(armed.at).map_or("/", |(directory, _)| directory).to_owned();
            armed.give_up(&directory);
            armed.at += 1;
            self.hung.push((directory, Arc::downgrade(&state)));
        }
        armed.summary.add_unwatched("later places", "too many directories do not answer");
        armed
    }

    /// Waits until something has changed, no further change has followed for a moment, and the wake budget allows a scan. May
    /// be dropped at any time: the next [`Self::arm`] and scan make up for lost events.
    pub async fn changed(&mut self) {
        if self.until_first().await.is_err() {
            // The notifier is broken. Wait for the next scheduled scan, whose arming opens it again.
            self.notifier = None;
            std::future::pending::<()>().await;
        }
        let mut debounce = Debounce::since(Instant::now().into_std());
        while let Some(rest) = debounce.rest(Instant::now().into_std()) {
            sleep(rest.min(POLL_INTERVAL)).await;
            // An error here does not matter: there already is a change to scan for.
            if self.take().await.unwrap_or(false) {
                debounce.again(Instant::now().into_std());
            }
        }
        let allowed = self.wake_budget.next(Instant::now().into_std());
        sleep_until(allowed.into()).await;
        // Only after the wait, because a wait that is dropped has woken nobody.
        self.wake_budget.take(Instant::now().into_std());
    }

    async fn until_first(&self) -> io::Result<()> {
        let Some(notifier) = &self.notifier else { return std::future::pending().await };
        loop {
            notifier.ready().await?;
            if self.take().await? {
                return Ok(());
            }
            // A watched directory may be busy with files that no source reads.
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Whether any of the new events concerns a watched place.
    async fn take(&self) -> io::Result<bool> {
        let Some(notifier) = self.notifier.clone() else { return Ok(false) };
        let notices = if notify::TAKING_READS_DISKS {
            // A disk that does not answer holds this up until the next scheduled scan.
            deadline::on_thread("watch", move || notifier.take()).await??
        } else {
            notifier.take()?
        };
        Ok(notices.iter().any(|notice| self.concerns(notice)))
    }

    fn concerns(&self, notice: &Notice) -> bool {
        match notice {
            // The kernel has dropped events, and a watched place may be among them.
            Notice::Overflow => true,
            Notice::Removed(id) => self.filters.contains_key(id) || self.keys.contains(id),
            Notice::Key(key) => self.keys.contains(key),
            Notice::Entry { directory, name } => self.filters.get(directory).is_some_and(|filter| filter.accepts(name)),
        }
    }
}

/// The result of an arming so far.
#[derive(Debug, Clone, Default)]
struct Armed {
    filters: BTreeMap<WatchId, NameFilter>,
    keys: BTreeSet<WatchId>,
    /// The keys of the plan are tried only once: one that does not answer would hold up every attempt.
    has_begun_keys: bool,
    /// All keys of the plan were tried, or given up.
    has_keys: bool,
    summary: Summary,
    /// Directories that do not exist or cannot be watched. Nothing below them is tried.
    absent: Vec<String>,
    /// The directory of the plan that is tried.
    at: usize,
}

impl Armed {
    fn give_up(&mut self, directory: &str) {
        self.summary.add_unwatched(directory, "it does not answer");
        self.absent.push(directory.to_owned());
    }
}

fn lock(armed: &Mutex<Armed>) -> MutexGuard<'_, Armed> {
    armed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that arms. The lock is never held while a directory is asked.
struct Arming {
    notifier: Arc<Notifier>,
    root: Arc<Root>,
    armed: Arc<Mutex<Armed>>,
}

impl Arming {
    fn all(&self, plan: &Plan) {
        // Only a running Windows reports changes of its registry. That of a root is in files.
        let are_new = !std::mem::replace(&mut lock(&self.armed).has_begun_keys, true);
        if self.root.is_running_system() && are_new {
            for (key, changes) in plan.keys() {
                self.key(key, *changes);
            }
        }
        lock(&self.armed).has_keys = true;
        let first = lock(&self.armed).at;
        for (at, (directory, filter)) in plan.directories().enumerate().skip(first) {
            {
                let mut armed = lock(&self.armed);
                armed.at = at;
                // Its parents are watched, so the agent wakes when it appears.
                if armed.absent.iter().any(|missing| missing == directory || is_below(directory, missing)) {
                    continue;
                }
            }
            let watched = self.one(directory, filter);
            let mut armed = lock(&self.armed);
            match watched {
                Ok(true) => {}
                Ok(false) => armed.absent.push(directory.to_owned()),
                Err(error) if error.is_limit() => {
                    let places = format!("{directory} and later places");
                    armed.summary.add_unwatched(&places, &error.to_string());
                    return;
                }
                Err(error) => {
                    armed.summary.add_unwatched(directory, &error.to_string());
                    if error == WatchError::Remote {
                        // Everything below is on the same file system; one message is enough.
                        armed.absent.push(directory.to_owned());
                    }
                }
            }
        }
    }

    /// Watches one key, or the nearest one above for the next name.
    fn key(&self, key: &str, changes: Changes) {
        let (mut at, mut wanted) = (key, changes);
        loop {
            match (self.notifier.add_key(at, wanted), parent_key(at)) {
                (Ok(number), _) => drop(lock(&self.armed).keys.insert(number)),
                (Err(WatchError::Absent), Some(parent)) => {
                    (at, wanted) = (parent, Changes::Names);
                    continue;
                }
                (Err(error), _) => lock(&self.armed).summary.add_unwatched(key, &error.to_string()),
            }
            return;
        }
    }

    /// Watches one directory. Returns whether it exists.
    fn one(&self, directory: &str, filter: &NameFilter) -> Result<bool, WatchError> {
        let opened = match self.root.directory(directory) {
            Ok(opened) => opened,
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => return Err(WatchError::Refused(error.kind())),
        };
        // The watch comes before the listing below, so a directory that is created in between wakes the agent.
        let number = self.notifier.add(&opened, filter.changes())?;
        // Two paths may lead to the same directory.
        lock(&self.armed).filters.entry(number).or_default().add(filter);
        if filter.below && !notify::WATCHES_SUBDIRECTORIES {
            self.below(directory)?;
        }
        Ok(true)
    }

    fn below(&self, directory: &str) -> Result<(), WatchError> {
        // The source reports a directory that cannot be listed; here it is only not watched.
        let entries = self.root.list(directory).map_err(|error| WatchError::Refused(error.kind()))?;
        let inner: Vec<_> = entries.iter().filter(|entry| entry.is_directory).collect();
        for entry in inner.iter().take(TREE_DIRECTORIES) {
            self.one(&format!("{directory}/{}", entry.name), &NameFilter::everything())?;
        }
        if inner.len() > TREE_DIRECTORIES {
            lock(&self.armed).summary.add_unwatched(
                directory,
                &format!("only {TREE_DIRECTORIES} of its {} subdirectories are watched", inner.len()),
            );
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
