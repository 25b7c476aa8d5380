//! A thread that waits for up to 63 folders and keys, and for commands.

use std::io;
use std::os::windows::io::OwnedHandle;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use windows_sys::Win32::Foundation::HANDLE;

use super::event::{Event, wait};
use super::folder::FolderWatch;
use super::key::KeyWatch;
use super::{Changes, Notice, Shared, WatchError, WatchId, reason};

/// Windows waits for 64 objects at once. One of them says that there is a command.
pub(super) const PER_THREAD: usize = 63;
/// The rest after a round of changes: a place that changes all the time costs ten rounds a second. Windows collects the
/// changes meanwhile.
const REST: Duration = Duration::from_millis(100);
/// The thread needs little; the usual megabytes would only be reserved.
const STACK: usize = 128 * 1024;

/// Opens what is to be watched, on the thread that will wait for it.
pub(super) type Open = Box<dyn FnOnce() -> Result<Watched, WatchError> + Send>;

enum Command {
    Watch(WatchId, Open, SyncSender<Result<(), WatchError>>),
    /// Whether a place is still watched.
    Check(WatchId, SyncSender<bool>),
    Forget(WatchId),
}

/// The thread does not answer: it waits for a place that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hung;

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Waiter {
    /// `None` only while it is dropped.
    commands: Option<Sender<Command>>,
    has_command: Arc<Event>,
    life: Weak<()>,
}

impl Waiter {
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let (commands, received) = channel();
        let has_command = Arc::new(Event::new()?);
        let event = Arc::clone(&has_command);
        let of_thread = Arc::new(());
        let life = Arc::downgrade(&of_thread);
        // What is watched is made there: an open key belongs to its thread.
        let run = move || {
            Thread { shared, received, has_command: event, watched: Vec::new() }.run();
            drop(of_thread);
        };
        std::thread::Builder::new().name("watch".to_owned()).stack_size(STACK).spawn(run)?;
        Ok(Self { commands: Some(commands), has_command, life })
    }

    /// Has no strong reference any more once the thread has ended.
    pub(super) fn life(&self) -> Weak<()> {
        Weak::clone(&self.life)
    }

    /// Watches a place. Returns its answer, or that the thread has given none within `limit`.
    pub(super) fn watch(&self, id: WatchId, open: Open, limit: Duration) -> Result<Result<(), WatchError>, Hung> {
        let (answer, answered) = sync_channel(1);
        self.send(Command::Watch(id, open, answer));
        answered.recv_timeout(limit).map_err(|_| Hung)
    }

    /// Whether a place is still watched: the key of the registry may be deleted.
    pub(super) fn exists(&self, id: WatchId, limit: Duration) -> Result<bool, Hung> {
        let (answer, answered) = sync_channel(1);
        self.send(Command::Check(id, answer));
        answered.recv_timeout(limit).map_err(|_| Hung)
    }

    pub(super) fn forget(&self, id: WatchId) {
        self.send(Command::Forget(id));
    }

    fn send(&self, command: Command) {
        // A thread that has ended answers nothing, and the caller notices that.
        let _ = self.commands.as_ref().map(|commands| commands.send(command));
        self.has_command.set();
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.commands = None;
        self.has_command.set();
    }
}

/// A place that is open, with the event that its next change signals.
pub(super) enum Watched {
    Folder(FolderWatch),
    Key(KeyWatch),
}

impl Watched {
    pub(super) fn folder(folder: OwnedHandle, changes: Changes) -> Result<Self, WatchError> {
        FolderWatch::open(folder, changes, new_event()?).map(Self::Folder)
    }

    pub(super) fn key(path: &str, changes: Changes) -> Result<Self, WatchError> {
        KeyWatch::open(path, changes, new_event()?).map(Self::Key)
    }

    fn exists(&self) -> bool {
        match self {
            Self::Folder(_) => true,
            Self::Key(key) => key.exists(),
        }
    }

    fn handle(&self) -> HANDLE {
        match self {
            Self::Folder(folder) => folder.event.handle(),
            Self::Key(key) => key.event.handle(),
        }
    }

    fn happened(&mut self, id: WatchId) -> Vec<Notice> {
        match self {
            Self::Folder(folder) => folder.happened(id),
            Self::Key(key) => key.happened(id),
        }
    }
}

fn new_event() -> Result<Event, WatchError> {
    Event::new().map_err(|error| reason(&error))
}

struct Thread {
    shared: Arc<Shared>,
    received: Receiver<Command>,
    has_command: Arc<Event>,
    watched: Vec<(WatchId, Watched)>,
}

impl Thread {
    fn run(mut self) {
        while self.obey() {
            let handles: Vec<HANDLE> = std::iter::once(self.has_command.handle())
                .chain(self.watched.iter().map(|(_, it)| it.handle()))
                .collect();
            match wait(&handles, None) {
                Ok(Some(0)) => {}
                Ok(Some(first)) => {
                    self.round(&handles, first);
                    // A command ends the rest.
                    if self.has_command.wait(REST) {
                        self.has_command.set();
                    }
                }
                Ok(None) => {}
                Err(_) => {
                    // Nothing can be waited for any more. The agent scans, and arms again what it can.
                    let all: Vec<Notice> = self.watched.iter().map(|(id, _)| Notice::Removed(*id)).collect();
                    self.watched.clear();
                    self.tell(all);
                }
            }
        }
    }

    /// Carries out the commands. Returns whether there may be more.
    fn obey(&mut self) -> bool {
        loop {
            match self.received.try_recv() {
                Ok(Command::Watch(id, open, answer)) => {
                    let opened = open().map(|watched| self.watched.push((id, watched)));
                    // A caller that does not wait any more has given up this thread.
                    let _ = answer.send(opened);
                }
                Ok(Command::Check(id, answer)) => {
                    let exists = self.watched.iter().any(|(known, watched)| *known == id && watched.exists());
                    let _ = answer.send(exists);
                }
                Ok(Command::Forget(id)) => self.watched.retain(|(known, _)| *known != id),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Handles every place that has changed, from the first on: a busy one must not hide those behind it.
    fn round(&mut self, handles: &[HANDLE], first: usize) {
        let mut notices = Vec::new();
        let mut next = Some(first);
        while let Some(at) = next {
            if let Some((id, watched)) = self.watched.get_mut(at - 1) {
                notices.extend(watched.happened(*id));
            }
            let rest = &handles[at + 1..];
            let more = if rest.is_empty() { Ok(None) } else { wait(rest, Some(Duration::ZERO)) };
            next = more.ok().flatten().map(|further| at + 1 + further);
        }
        for notice in &notices {
            if let Notice::Removed(id) = notice {
                self.watched.retain(|(known, _)| known != id);
            }
        }
        self.tell(notices);
    }

    fn tell(&self, notices: Vec<Notice>) {
        for notice in &notices {
            if let Notice::Removed(id) = notice {
                self.shared.forget(*id);
            }
        }
        self.shared.tell(notices);
    }
}
