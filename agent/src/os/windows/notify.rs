//! Waits for changes in folders and in keys of the registry. A thread waits for up to 63 of them, and there are at most four
//! such threads; each sleeps until Windows signals an event.
//!
//! Who adds a place waits for the thread's answer, because the request belongs to the thread that makes it: Windows cancels
//! what a thread has requested when the thread ends, and the agent arms its watches on threads that end. A thread that does not
//! answer is given up, because a place on a dead disk may hold it for ever. Its other places are reported as removed, and the next
//! arming gives them to another thread.

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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::{Changes, Notice, WatchError, WatchId};
use waiter::{Hung, Open, PER_THREAD, Waiter, Watched};

pub(super) const WATCHES_SUBDIRECTORIES: bool = true;

/// Limit of threads. The sources and the browsers have some eighty places, and the watchlist adds the keys of the vendors that are there.
const THREADS: usize = 4;
/// Limit of threads that were given up and have not ended.
const THREADS_GIVEN_UP: usize = 4;
/// How long a thread may take to answer: half the time in which the watch is armed. Nobody waits for it under a lock.
const ANSWERED: Duration = Duration::from_secs(5);
/// What is said of a place that does not answer.
const NO_ANSWER: WatchError = WatchError::Refused(io::ErrorKind::TimedOut);
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
    waiters: Mutex<Waiters>,
    /// [`ANSWERED`], or less in tests.
    limit: Duration,
}

/// The threads that wait.
#[derive(Debug, Default)]
struct Waiters {
    /// By their numbers.
    running: BTreeMap<usize, Arc<Waiter>>,
    /// How many were started.
    started: usize,
    /// Those that were given up, until they end, each with the place that it did not answer for.
    given_up: Vec<(Identity, Weak<()>)>,
    /// The id of the last place.
    last: WatchId,
}

/// The id of a place, with its thread and the thread's number.
struct Placed {
    id: WatchId,
    number: usize,
    waiter: Arc<Waiter>,
    /// It was known before, and need only be checked.
    is_known: bool,
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

    /// No place of a thread is watched any more.
    fn forget_thread(&self, number: usize) {
        let mut places = lock(&self.places);
        let gone: Vec<WatchId> =
            places.threads.iter().filter(|(_, thread)| **thread == number).map(|(id, _)| *id).collect();
        places.threads.retain(|_, thread| *thread != number);
        places.ids.retain(|_, id| !gone.contains(id));
        drop(places);
        self.tell(gone.into_iter().map(Notice::Removed).collect());
    }
}

impl Notifier {
    #[expect(clippy::unnecessary_wraps, reason = "other systems can fail here")]
    pub(super) fn open() -> Result<Self, WatchError> {
        Ok(Self { shared: Arc::default(), waiters: Mutex::default(), limit: ANSWERED })
    }

    pub(super) fn add(&self, directory: &File, changes: Changes) -> Result<WatchId, WatchError> {
        let about = winapi_util::file::information(directory).map_err(|error| reason(&error))?;
        let identity = Identity::Folder(about.volume_serial_number(), about.file_index(), changes);
        self.watch(identity, || {
            let folder = folder::reopened(directory)?;
            Ok(Box::new(move || Watched::folder(folder, changes)))
        })
    }

    pub(super) fn add_key(&self, key: &str, changes: Changes) -> Result<WatchId, WatchError> {
        let identity = Identity::Key(key.to_lowercase(), changes);
        let path = key.to_owned();
        self.watch(identity, || Ok(Box::new(move || Watched::key(&path, changes))))
    }

    fn watch(
        &self,
        identity: Identity,
        request: impl FnOnce() -> Result<Open, WatchError>,
    ) -> Result<WatchId, WatchError> {
        loop {
            let Placed { id, number, waiter, is_known } = self.place(&identity)?;
            if !is_known {
                let opened = request().map_or_else(|error| Ok(Err(error)), |open| waiter.watch(id, open, self.limit));
                return match opened {
                    Ok(Ok(())) if lock(&self.shared.places).threads.contains_key(&id) => Ok(id),
                    // Another thread of the agent has asked for the place before this one could, and watches it by now.
                    Ok(Ok(())) => {
                        waiter.forget(id);
                        lock(&self.shared.places).known(&identity).map(|(known, _)| known).ok_or(NO_ANSWER)
                    }
                    Ok(Err(error)) => {
                        self.shared.forget(id);
                        Err(error)
                    }
                    Err(Hung) => Err(self.give_up(number, identity)),
                };
            }
            // A key is known by its name, which may be that of another key by now. And another thread of the agent may be adding
            // the place just now, which is settled once this is answered.
            match waiter.exists(id, self.limit) {
                Ok(true) => return Ok(id),
                Ok(false) => {
                    waiter.forget(id);
                    self.shared.forget(id);
                }
                Err(Hung) => return Err(self.give_up(number, identity)),
            }
        }
    }

    /// The thread of a place: the one that waits for it already, or one that has space. Two threads of the agent may arm at once,
    /// and each place has one id.
    fn place(&self, identity: &Identity) -> Result<Placed, WatchError> {
        let mut waiters = lock(&self.waiters);
        waiters.given_up.retain(|(_, life)| life.strong_count() > 0);
        let known = lock(&self.shared.places).known(identity);
        if let Some((id, number)) = known
            && let Some(waiter) = waiters.running.get(&number)
        {
            return Ok(Placed { id, number, waiter: Arc::clone(waiter), is_known: true });
        }
        // It would make another thread hang.
        if waiters.given_up.iter().any(|(hung, _)| hung == identity) || waiters.given_up.len() >= THREADS_GIVEN_UP {
            return Err(NO_ANSWER);
        }
        let (number, waiter) = self.thread_with_space(&mut waiters)?;
        waiters.last += 1;
        let id = waiters.last;
        let mut places = lock(&self.shared.places);
        places.ids.insert(identity.clone(), id);
        places.threads.insert(id, number);
        Ok(Placed { id, number, waiter, is_known: false })
    }

    /// A thread that can wait for one more place, and its number.
    fn thread_with_space(&self, waiters: &mut Waiters) -> Result<(usize, Arc<Waiter>), WatchError> {
        let used = |number: usize| lock(&self.shared.places).threads.values().filter(|it| **it == number).count();
        if let Some((number, waiter)) = waiters.running.iter().find(|(number, _)| used(**number) < PER_THREAD) {
            return Ok((*number, Arc::clone(waiter)));
        }
        if waiters.running.len() == THREADS {
            return Err(WatchError::TooMany(THREADS * PER_THREAD));
        }
        let waiter = Arc::new(Waiter::start(Arc::clone(&self.shared)).map_err(|error| reason(&error))?);
        waiters.started += 1;
        waiters.running.insert(waiters.started, Arc::clone(&waiter));
        Ok((waiters.started, waiter))
    }

    /// Gives up a thread that does not answer for a place. It ends once it goes on.
    fn give_up(&self, number: usize, identity: Identity) -> WatchError {
        let mut waiters = lock(&self.waiters);
        // Who has waited for it at the same time may have given it up already.
        if let Some(waiter) = waiters.running.remove(&number) {
            waiters.given_up.push((identity, waiter.life()));
            drop(waiters);
            self.shared.forget_thread(number);
        }
        NO_ANSWER
    }

    pub(super) fn remove(&self, id: WatchId) {
        let waiters = lock(&self.waiters);
        let thread = lock(&self.shared.places).threads.get(&id).copied();
        if let Some(waiter) = thread.and_then(|thread| waiters.running.get(&thread)) {
            waiter.forget(id);
        }
        self.shared.forget(id);
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
