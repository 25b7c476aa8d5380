//! Waits for changes in folders and in keys of the registry. A thread waits for up to 63 of them, and there are at most four
//! such threads; each sleeps until Windows signals an event.
//!
//! Who adds a place waits for the thread's answer, because the request belongs to the thread that makes it: Windows cancels
//! what a thread has requested when the thread ends, and the agent arms its watches on threads that end.

#[path = "notify/event.rs"]
mod event;
#[path = "notify/folder.rs"]
mod folder;
#[path = "notify/key.rs"]
mod key;
#[path = "notify/waiter.rs"]
mod waiter;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Changes, Notice, WatchError, WatchId};
use waiter::{PER_THREAD, Request, Waiter};

pub(super) const WATCHES_SUBDIRECTORIES: bool = true;

/// Limit of threads. The sources and the browsers have some eighty places, and the watchlist adds the keys of the vendors that are there.
const THREADS: usize = 4;
/// Limit of changes that wait to be taken. Beyond it anything may have changed.
const NOTICES: usize = 4096;

/// What is watched, so that it is not watched twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    /// The serial number of the volume, and the number of the folder.
    Folder(u64, u64, Changes),
    Key(String, Changes),
}

#[derive(Debug)]
pub(super) struct Notifier {
    shared: Arc<Shared>,
    /// The threads, and the id of the next place.
    waiters: Mutex<(Vec<Waiter>, WatchId)>,
}

/// What the threads and the agent share.
#[derive(Debug, Default)]
struct Shared {
    places: Mutex<Places>,
    notices: Mutex<Vec<Notice>>,
    ready: tokio::sync::Notify,
}

/// The places that are watched.
#[derive(Debug, Default)]
struct Places {
    ids: BTreeMap<Identity, WatchId>,
    /// The thread of each.
    threads: BTreeMap<WatchId, usize>,
}

impl Places {
    /// The id and the thread of a place that is watched.
    fn known(&self, identity: &Identity) -> Option<(WatchId, usize)> {
        let id = self.ids.get(identity)?;
        Some((*id, *self.threads.get(id)?))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn tell(&self, new: Vec<Notice>) {
        if new.is_empty() {
            return;
        }
        let mut notices = lock(&self.notices);
        if notices.len() + new.len() > NOTICES {
            notices.clear();
            notices.push(Notice::Overflow);
        } else {
            notices.extend(new);
        }
        drop(notices);
        self.ready.notify_one();
    }

    /// A place is not watched any more.
    fn forget(&self, id: WatchId) {
        let mut places = lock(&self.places);
        places.threads.remove(&id);
        places.ids.retain(|_, known| *known != id);
    }
}

impl Notifier {
    #[expect(clippy::unnecessary_wraps, reason = "other systems can fail here")]
    pub(super) fn open() -> Result<Self, WatchError> {
        Ok(Self { shared: Arc::default(), waiters: Mutex::new((Vec::new(), 1)) })
    }

    pub(super) fn add(&self, directory: &File, changes: Changes) -> Result<WatchId, WatchError> {
        let about = winapi_util::file::information(directory).map_err(|error| reason(&error))?;
        let identity = Identity::Folder(about.volume_serial_number(), about.file_index(), changes);
        self.watch(identity, || Ok(Request::Folder(folder::reopened(directory)?, changes)))
    }

    pub(super) fn add_key(&self, key: &str, changes: Changes) -> Result<WatchId, WatchError> {
        let identity = Identity::Key(key.to_lowercase(), changes);
        self.watch(identity, || Ok(Request::Key(key.to_owned(), changes)))
    }

    fn watch(
        &self,
        identity: Identity,
        request: impl FnOnce() -> Result<Request, WatchError>,
    ) -> Result<WatchId, WatchError> {
        // Held to the end: two threads may arm at once, and each place has one id.
        let mut waiters = lock(&self.waiters);
        let (threads, next) = &mut *waiters;
        let known = lock(&self.shared.places).known(&identity);
        if let Some((id, thread)) = known {
            // A folder is known by its number, but a key by its name, which may be that of another key by now.
            if matches!(identity, Identity::Folder(..)) || threads[thread].exists(id) {
                return Ok(id);
            }
            threads[thread].forget(id);
            self.shared.forget(id);
        }
        let number = self.thread_with_space(threads)?;
        let id = *next;
        {
            let mut places = lock(&self.shared.places);
            places.ids.insert(identity, id);
            places.threads.insert(id, number);
        }
        match request().and_then(|request| threads[number].watch(id, request)) {
            Ok(()) => {
                *next += 1;
                Ok(id)
            }
            Err(error) => {
                self.shared.forget(id);
                Err(error)
            }
        }
    }

    /// The number of a thread that can wait for one more place.
    fn thread_with_space(&self, threads: &mut Vec<Waiter>) -> Result<usize, WatchError> {
        let used = |number: usize| lock(&self.shared.places).threads.values().filter(|it| **it == number).count();
        if let Some(number) = (0..threads.len()).find(|number| used(*number) < PER_THREAD) {
            return Ok(number);
        }
        if threads.len() == THREADS {
            return Err(WatchError::TooMany(THREADS * PER_THREAD));
        }
        threads.push(Waiter::start(Arc::clone(&self.shared)).map_err(|error| reason(&error))?);
        Ok(threads.len() - 1)
    }

    pub(super) fn remove(&self, id: WatchId) {
        let waiters = lock(&self.waiters);
        let thread = lock(&self.shared.places).threads.get(&id).copied();
        if let Some(thread) = thread {
            waiters.0[thread].forget(id);
            self.shared.forget(id);
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "other systems can fail here")]
    pub(super) fn take(&self) -> io::Result<Vec<Notice>> {
        Ok(std::mem::take(&mut *lock(&self.shared.notices)))
    }

    pub(super) async fn ready(&self) -> io::Result<()> {
        // A permit that is left from changes that were taken already ends the wait early.
        while lock(&self.shared.notices).is_empty() {
            self.shared.ready.notified().await;
        }
        Ok(())
    }
}

fn reason(error: &io::Error) -> WatchError {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return WatchError::Denied;
    }
    WatchError::Refused(error.kind())
}

#[cfg(test)]
#[path = "notify/tests.rs"]
mod tests;
