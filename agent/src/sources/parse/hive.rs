//! Reads Windows registry hives: keys by name, and their values. Nothing is loaded whole, and nothing can be written.
//!
//! A hive is a heap of cells. This reader follows the references from the root key and trusts nothing that it meets: neither
//! the hashes and the order of lists, nor counts and sizes. Every key must name the key that lists it as its parent, so no
//! key can be reached twice or below itself. What is damaged or missing is a fault of the listing that it belongs to, with
//! the cell. Versions 1.2 to 1.6 are supported. A dirty hive is completed from its logs, in memory. The format is documented
//! in <https://github.com/msuhanov/regf/blob/master/Windows%20registry%20file%20format%20specification.md>.

pub(in crate::sources) mod bounds;
#[cfg(test)]
pub(crate) mod builder;
mod cells;
mod header;
#[cfg(test)]
mod hivex_tests;
mod index;
mod log;
mod marvin;
mod pages;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::paged::PagedFault;
use super::registry_value::{Value, folded, is_same_name};
use cells::Cells;
use header::{FileKind, HEADER_BYTES, Header};
use index::{Index, Recent};
use pages::{Overlay, Pages};

pub use cells::Key;
pub use pages::Bytes;

/// An open hive.
pub struct Hive {
    cells: Cells,
    root: u32,
    faults: Vec<PagedFault>,
    recent: Mutex<Recent>,
}

/// What could be read of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// What was read.
    pub entries: Vec<T>,
    /// What could not be read; only the first few.
    pub faults: Vec<PagedFault>,
}

/// What [`Hive::walk`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Keys, with the root.
    pub keys: u64,
    /// Values whose data could be read.
    pub values: u64,
    /// What could not be read.
    pub faults: u64,
}

impl fmt::Debug for Hive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hive").field("root", &self.root).field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl Hive {
    /// Opens a hive. Its logs, in the order LOG1, LOG2, LOG, are used if it is dirty.
    ///
    /// # Errors
    /// The file is not a hive, or not one that this reader supports.
    pub fn open(main: Bytes, logs: Vec<Bytes>) -> Result<Self, PagedFault> {
        Self::open_with(main, logs, false)
    }

    /// The same where one of the logs is missing or cannot be read: it may have the newest changes of a hive that was not closed.
    ///
    /// # Errors
    /// As for [`Hive::open`].
    pub fn open_with(main: Bytes, logs: Vec<Bytes>, is_log_lacking: bool) -> Result<Self, PagedFault> {
        let fault = |what| PagedFault::at("header", what);
        let mut head = [0; HEADER_BYTES];
        let is_long_enough = main.read_at(0, &mut head).is_ok();
        let primary = Header::parse(&head).filter(|header| is_long_enough && header.kind == FileKind::Primary);
        let mut faults = Vec::new();
        let (header, size, overlay) =
            match &primary {
                Some(header) if !header.is_dirty() => (header.clone(), header.size, Overlay::default()),
                _ => match (log::replay(&*main, primary.as_ref(), &logs), primary) {
                    (Ok(replay), _) => {
                        faults.extend(replay.fault.map(fault));
                        faults.extend(is_log_lacking.then(|| {
                            fault("the hive was not closed, and one of its logs is missing or cannot be read")
                        }));
                        (replay.header, replay.size, replay.overlay)
                    }
                    (Err(what), Some(header)) => {
                        faults.push(fault(what));
                        let size = header.size;
                        (header, size, Overlay::default())
                    }
                    (Err(_), None) => return Err(fault("not a registry hive")),
                },
            };
        if let Some(obstacle) = header.obstacle() {
            return Err(fault(obstacle));
        }
        let pages = Pages::new(main, logs, overlay, size);
        if !pages.are_complete() {
            faults.push(fault("the file is shorter than its header says"));
        }
        Ok(Self { cells: Cells::new(pages), root: header.root, faults, recent: Mutex::default() })
    }

    /// What is wrong with the hive as a whole. Any fault means that it may have more keys and values than are found in it.
    #[must_use]
    pub fn faults(&self) -> &[PagedFault] {
        &self.faults
    }

    /// The root key.
    ///
    /// # Errors
    /// It is damaged.
    pub fn root(&self) -> Result<Key, PagedFault> {
        self.cells.key(self.root)
    }

    /// The keys below a key, in stored order.
    #[must_use]
    pub fn keys(&self, key: &Key) -> Listed<Key> {
        let (mut entries, mut names) = (Vec::new(), HashSet::new());
        let mut faults = self.each_child(key, &mut |child| {
            // Only the first of two can be opened by its name.
            let is_first = names.insert(folded(&child.name));
            entries.push(child);
            if is_first { Ok(()) } else { Err("two keys have one name") }
        });
        faults.truncate(bounds::FAULTS);
        Listed { entries, faults }
    }

    /// Calls `visit` for the keys below a key, until their names are too long together, and returns the faults. Damaged keys
    /// are skipped.
    fn each_child(&self, key: &Key, visit: &mut dyn FnMut(Key) -> Result<(), &'static str>) -> Vec<PagedFault> {
        let (mut faults, mut bytes) = (Vec::new(), 0);
        for cell in self.cells.children(key, &mut faults) {
            let child = self.child(key, cell);
            bytes += child.as_ref().map_or(0, |child| child.name.len());
            if bytes > bounds::NAME_BYTES {
                // In the place of another fault: this one stands for all keys that follow.
                faults.insert(0, cells::fault(cell, "more names of keys than this reader lists"));
                break;
            }
            let visited = child.and_then(|child| visit(child).map_err(|what| cells::fault(cell, what)));
            if let Err(fault) = visited
                && faults.len() < bounds::FAULTS
            {
                faults.push(fault);
            }
        }
        faults
    }

    fn child(&self, key: &Key, cell: u32) -> Result<Key, PagedFault> {
        let child = self.cells.key(cell)?;
        match () {
            () if child.parent != key.cell => Err(cells::fault(cell, "belongs to another key")),
            () if child.name.is_empty() || child.name.contains('\\') => Err(cells::fault(cell, "invalid name")),
            () => Ok(child),
        }
    }

    /// The key of a name below a key, in any case; `None` if there is none.
    ///
    /// # Errors
    /// It was not found, and what is below the key could not be read completely.
    pub fn key(&self, key: &Key, name: &str) -> Result<Option<Key>, PagedFault> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.get(key.cell).is_none() {
            let mut children = Vec::new();
            let faults = self.each_child(key, &mut |child| {
                children.push((index::hash(&child.name), child.cell));
                Ok(())
            });
            recent.put(Index::new(key.cell, children, faults.into_iter().next()));
        }
        let index = recent.get(key.cell);
        let candidates = index.map(|index| index.candidates(name)).unwrap_or_default();
        let fault = index.and_then(|index| index.fault.clone());
        drop(recent);
        for cell in candidates {
            let child = self.child(key, cell)?;
            if is_same_name(&child.name, name) {
                return Ok(Some(child));
            }
        }
        fault.map_or(Ok(None), Err)
    }

    /// The values of a key, in stored order.
    #[must_use]
    pub fn values(&self, key: &Key) -> Listed<Value> {
        self.unseen_values(key, &mut HashSet::new())
    }

    /// The values of a key. A value in a cell that was seen before is a fault.
    fn unseen_values(&self, key: &Key, seen: &mut HashSet<u32>) -> Listed<Value> {
        let mut listed = Listed { entries: Vec::new(), faults: Vec::new() };
        let mut bytes = 0;
        let cells = self.cells.values(key).unwrap_or_else(|fault| {
            listed.faults.push(fault);
            Vec::new()
        });
        for cell in cells {
            let read = match seen.insert(cell) {
                true => self.cells.value(cell).and_then(|head| self.cells.data(head)),
                false => Err(cells::fault(cell, "a value is listed twice")),
            };
            let read = read.and_then(|value| {
                bytes += value.data.len() + value.name.len();
                let fits = bytes <= bounds::VALUES_BYTES;
                if fits { Ok(value) } else { Err(cells::fault(cell, "more values than this reader reads")) }
            });
            match read {
                Ok(value) => listed.entries.push(value),
                Err(fault) if listed.faults.len() < bounds::FAULTS => listed.faults.push(fault),
                Err(_) => {}
            }
            if bytes > bounds::VALUES_BYTES {
                break;
            }
        }
        listed
    }

    /// The value of a name, in any case; `None` if the key has none.
    ///
    /// # Errors
    /// It is damaged, or it was not found and the values could not be read completely.
    pub fn value(&self, key: &Key, name: &str) -> Result<Option<Value>, PagedFault> {
        let (mut fault, mut bytes) = (None, 0);
        for cell in self.cells.values(key)? {
            let head = self.cells.value(cell);
            bytes += head.as_ref().map_or(0, |head| head.name.len());
            if bytes > bounds::VALUES_BYTES {
                return Err(cells::fault(cell, "more names of values than this reader reads"));
            }
            match head {
                Ok(head) if is_same_name(&head.name, name) => return self.cells.data(head).map(Some),
                Ok(_) => {}
                Err(other) => drop(fault.get_or_insert(other)),
            }
        }
        fault.map_or(Ok(None), Err)
    }

    /// Reads every key and value, and calls `visit` with the names that lead to each key. Checks and fuzzers call this;
    /// sources read by name.
    pub fn walk(&self, visit: &mut dyn FnMut(&[String])) -> Counts {
        let mut counts = Counts { faults: self.faults.len() as u64, ..Counts::default() };
        let mut levels = match self.root() {
            Ok(root) => vec![vec![root].into_iter()],
            Err(_) => return Counts { faults: counts.faults + 1, ..counts },
        };
        let (mut path, mut seen) = (Vec::<String>::new(), HashSet::new());
        while let Some(level) = levels.last_mut() {
            let Some(key) = level.next() else {
                levels.pop();
                path.pop();
                continue;
            };
            path.push(key.name.clone());
            visit(&path[1..]);
            let (values, keys) = (self.unseen_values(&key, &mut seen), self.keys(&key));
            counts.keys += 1;
            counts.values += values.entries.len() as u64;
            counts.faults += (values.faults.len() + keys.faults.len()) as u64;
            if levels.len() < bounds::DEPTH {
                levels.push(keys.entries.into_iter());
            } else {
                counts.faults += u64::from(!keys.entries.is_empty());
                path.pop();
            }
        }
        counts
    }
}

#[cfg(test)]
#[path = "hive_tests.rs"]
mod tests;
