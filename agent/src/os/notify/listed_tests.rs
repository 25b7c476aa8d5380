//! Tests of watched directories that are listed again, on real directories. The signals are those of inotify, without the names.

use std::cell::RefCell;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::*;

/// What kqueue would signal.
struct WithoutNames {
    instance: OwnedFd,
    ids: RefCell<BTreeMap<i32, WatchId>>,
}

impl WithoutNames {
    fn open() -> Self {
        let instance = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).expect("inotify");
        Self { instance, ids: RefCell::default() }
    }
}

impl Signals for WithoutNames {
    fn add(&self, directory: &OwnedFd, id: WatchId) -> io::Result<()> {
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let events = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVE_SELF
            | WatchFlags::DELETE_SELF;
        let number = inotify::add_watch(&self.instance, path, events)?;
        self.ids.borrow_mut().insert(number, id);
        Ok(())
    }

    fn take(&self) -> io::Result<Vec<Signal>> {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.instance, &mut buffer);
        let mut signals = Vec::new();
        while let Ok(event) = reader.next() {
            let is_removed = event.events().intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF);
            signals.extend(self.ids.borrow().get(&event.wd()).map(|id| Signal { id: *id, is_removed }));
        }
        Ok(signals)
    }
}

fn add(directories: &Directories<WithoutNames>, path: &Path) -> Result<WatchId, WatchError> {
    // As macOS opens them: without the right to list.
    let opened = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let opened = File::from(opened.expect("a directory"));
    let about = opened.metadata().expect("metadata");
    directories.add(&opened, (about.dev(), about.ino()))
}

/// The changed names of all directories, sorted, each once.
fn names(directories: &Directories<WithoutNames>) -> Vec<String> {
    let mut names: Vec<String> = directories.take().expect("taken").iter().map(shown).collect();
    names.sort();
    names.dedup();
    names
}

fn shown(notice: &Notice) -> String {
    match notice {
        Notice::Entry { directory, name } => format!("{directory} {name}"),
        Notice::Removed(directory) => format!("{directory} gone"),
        Notice::Overflow => "anything".to_owned(),
        Notice::Key(_) => "a key".to_owned(),
    }
}

#[test]
fn entries_that_appear_disappear_or_are_replaced_are_named_and_no_others() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = |name: &str| dir.path().join(name);
    for name in ["kept", "removed", "replaced", "renamed", "written"] {
        fs::write(path(name), name).expect("written");
    }
    let directories = Directories::new(WithoutNames::open());
    let id = add(&directories, dir.path()).expect("watched");
    assert!(names(&directories).is_empty());
    fs::write(path("Новый"), "").expect("written");
    fs::remove_file(path("removed")).expect("removed");
    fs::write(path("next"), "").expect("written");
    fs::rename(path("next"), path("replaced")).expect("replaced");
    fs::rename(path("renamed"), path("other")).expect("renamed");
    fs::write(path("written"), "in place").expect("written");
    let expected = ["other", "removed", "renamed", "replaced", "Новый"].map(|name| format!("{id} {name}"));
    assert_eq!(names(&directories), expected);
    assert!(names(&directories).is_empty(), "each change is reported once");
    fs::write(path("passing"), "").expect("written");
    fs::remove_file(path("passing")).expect("removed");
    assert!(names(&directories).is_empty(), "what came and went between two listings is no change");
}

#[test]
fn a_directory_is_watched_once_and_one_in_its_place_anew() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).expect("made");
    let directories = Directories::new(WithoutNames::open());
    let first = add(&directories, &inner).expect("watched");
    assert_eq!(add(&directories, &dir.path().join("inner/../inner")), Ok(first));
    fs::rename(&inner, dir.path().join("old")).expect("moved");
    assert_eq!(names(&directories), [format!("{first} gone")]);
    fs::create_dir(&inner).expect("made");
    let second = add(&directories, &inner).expect("watched");
    assert_ne!(first, second);
    directories.remove(first);
    fs::write(inner.join("file"), "").expect("written");
    assert_eq!(names(&directories), [format!("{second} file")]);
    fs::rename(&inner, dir.path().join("moved")).expect("moved");
    assert_eq!(names(&directories), [format!("{second} gone")]);
    directories.remove(second);
    fs::write(dir.path().join("moved/other"), "").expect("written");
    assert!(names(&directories).is_empty(), "what is not watched any more is not reported");
}

#[test]
fn any_change_of_a_directory_that_is_too_long_to_keep_is_reported() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let directories = Directories { most_entries: 2, ..Directories::new(WithoutNames::open()) };
    let id = add(&directories, dir.path()).expect("watched");
    for (name, expected) in [("a", format!("{id} a")), ("b", format!("{id} b")), ("c", "anything".to_owned())] {
        fs::write(dir.path().join(name), "").expect("written");
        assert_eq!(names(&directories), [expected], "{name}");
    }
    fs::remove_file(dir.path().join("c")).expect("removed");
    assert_eq!(names(&directories), ["anything"], "what it was before is unknown");
    fs::remove_file(dir.path().join("b")).expect("removed");
    assert_eq!(names(&directories), [format!("{id} b")], "it is short enough again");
}

#[test]
fn all_listings_together_are_bounded() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).expect("made");
    let directories = Directories::new(WithoutNames::open());
    let (outer, inner_id) =
        (add(&directories, dir.path()).expect("watched"), add(&directories, &inner).expect("watched"));
    let all = lock(&directories.watched).directories.clone();
    let full = (0..).map(|number| Listed { name: format!("{number}").into(), number });
    directories.keep(&all[&outer], Some(full.take(ENTRIES_TOGETHER).collect()));
    assert!(lock(&all[&outer].listing).is_some());
    fs::write(inner.join("file"), "").expect("written");
    assert_eq!(names(&directories), [format!("{inner_id} file")]);
    assert!(lock(&all[&inner_id].listing).is_none(), "there is no space for another name");
    fs::write(inner.join("other"), "").expect("written");
    assert_eq!(names(&directories), ["anything"]);
}

#[test]
fn directories_are_bounded() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let directories = Directories::new(WithoutNames::open());
    let mut last = None;
    for number in 0..=DIRECTORIES {
        let path = dir.path().join(number.to_string());
        fs::create_dir(&path).expect("made");
        last = Some(add(&directories, &path));
    }
    assert_eq!(last, Some(Err(WatchError::TooMany(DIRECTORIES))));
    directories.remove(1);
    assert!(add(&directories, &dir.path().join(DIRECTORIES.to_string())).is_ok());
}
