//! Tests on the registry and the disk of the running system. Every wait has a limit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use windows_registry::LOCAL_MACHINE;

use super::*;
use crate::os::test_kit;

/// Longer than Windows ever takes.
const LIMIT: Duration = Duration::from_secs(10);

/// The changes until there is one that is wanted, or none comes in time.
fn until(notifier: &Notifier, limit: Duration, is_wanted: impl Fn(&Notice) -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if notifier.take().expect("taken").iter().any(&is_wanted) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Whether nothing happens for a while.
fn is_quiet(notifier: &Notifier) -> bool {
    !until(notifier, Duration::from_millis(400), |_| true)
}

/// A key of this test, removed at its end.
struct TestKey(String);

impl TestKey {
    fn new(name: &str) -> Self {
        let path = format!(r"SOFTWARE\muster-test-{name}-{}", std::process::id());
        LOCAL_MACHINE.create(&path).expect("created");
        Self(path)
    }

    fn path(&self) -> String {
        format!(r"HKLM\{}", self.0)
    }
}

impl Drop for TestKey {
    fn drop(&mut self) {
        let _ = LOCAL_MACHINE.remove_tree(&self.0);
    }
}

fn open(dir: &std::path::Path) -> File {
    use std::os::windows::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().read(true).share_mode(7).custom_flags(0x0200_0000).open(dir).expect("opens")
}

#[test]
fn a_key_tells_what_was_asked_for_and_nothing_else() {
    let (notifier, key) = (Notifier::open().expect("opens"), TestKey::new("names"));
    let inner = LOCAL_MACHINE.create(format!(r"{}\inner", key.0)).expect("created");
    let id = notifier.add_key(&key.path(), Changes::Names).expect("watched");
    assert_eq!(notifier.add_key(&key.path().to_lowercase(), Changes::Names), Ok(id), "watched already");
    assert!(is_quiet(&notifier));
    inner.set_u32("Value", 1).expect("set");
    assert!(is_quiet(&notifier), "a value of a key below");
    for name in ["one", "two"] {
        LOCAL_MACHINE.create(format!(r"{}\{name}", key.0)).expect("created");
        assert!(until(&notifier, LIMIT, |notice| *notice == Notice::Key(id)), "{name}");
    }
    notifier.remove(id);
    LOCAL_MACHINE.create(format!(r"{}\three", key.0)).expect("created");
    assert!(is_quiet(&notifier), "not watched any more");
}

#[test]
fn a_key_tells_of_values_at_any_depth_and_reading_is_no_change() {
    let (notifier, key) = (Notifier::open().expect("opens"), TestKey::new("below"));
    let deep = LOCAL_MACHINE.create(format!(r"{}\a\b\c", key.0)).expect("created");
    deep.set_string("Value", "before").expect("set");
    let id = notifier.add_key(&key.path(), Changes::Below).expect("watched");
    assert!(is_quiet(&notifier));
    let again = LOCAL_MACHINE.open(format!(r"{}\a\b\c", key.0)).expect("opened");
    assert_eq!(again.get_string("Value").expect("read"), "before");
    assert!(is_quiet(&notifier), "it was only read");
    for value in ["one", "two", "three"] {
        deep.set_string("Value", value).expect("set");
        assert!(until(&notifier, LIMIT, |notice| *notice == Notice::Key(id)), "{value}");
    }
}

#[test]
fn a_key_that_is_made_again_is_watched_again() {
    let (notifier, key) = (Notifier::open().expect("opens"), TestKey::new("gone"));
    let path = format!(r"{}\inner", key.path());
    assert_eq!(notifier.add_key(&path, Changes::Names), Err(WatchError::Absent));
    LOCAL_MACHINE.create(&path[5..]).expect("created");
    let id = notifier.add_key(&path, Changes::Contents).expect("watched");
    assert_eq!(notifier.add_key(&path, Changes::Contents), Ok(id), "watched already");
    // Windows tells at once that the key is gone. Wine 8 does not, so the next arming must notice it.
    LOCAL_MACHINE.remove_tree(&path[5..]).expect("removed");
    assert_eq!(notifier.add_key(&path, Changes::Contents), Err(WatchError::Absent));
    let again = LOCAL_MACHINE.create(&path[5..]).expect("created");
    let new = notifier.add_key(&path, Changes::Contents).expect("watched");
    assert_ne!(new, id, "another key of this name");
    again.set_u32("Value", 1).expect("set");
    assert!(until(&notifier, LIMIT, |notice| *notice == Notice::Key(new)));
}

#[test]
fn a_folder_names_its_entries() {
    let (dir, notifier) = (tempfile::tempdir().expect("temporary directory"), Notifier::open().expect("opens"));
    let inner = dir.path().join("inner");
    std::fs::create_dir(&inner).expect("made");
    let id = notifier.add(&open(dir.path()), Changes::Names).expect("watched");
    assert_eq!(notifier.add(&open(dir.path()), Changes::Names), Ok(id), "watched already");
    let deep = notifier.add(&open(&inner), Changes::Names).expect("watched");
    std::fs::write(inner.join("deep"), "x").expect("written");
    let entry = |directory, name: &str| Notice::Entry { directory, name: name.to_owned() };
    assert!(until(&notifier, LIMIT, |notice| *notice == entry(deep, "deep")));
    assert!(is_quiet(&notifier), "an entry of a subfolder is no name of the folder");
    for name in ["one", "Лаборатория"] {
        std::fs::write(dir.path().join(name), "x").expect("written");
        assert!(until(&notifier, LIMIT, |notice| *notice == entry(id, name)), "{name}");
    }
    notifier.remove(deep);
    assert!(is_quiet(&notifier));
    std::fs::remove_dir_all(&inner).expect("removed");
    assert!(until(&notifier, LIMIT, |notice| *notice == entry(id, "inner")));
    notifier.remove(id);
    assert!(is_quiet(&notifier));
    std::fs::write(dir.path().join("two"), "x").expect("written");
    assert!(is_quiet(&notifier), "not watched any more");
}

#[test]
fn a_folder_tells_of_its_subfolders_and_of_writes() {
    if test_kit::is_wine() {
        return test_kit::left_out("changes in subfolders (Wine 8)");
    }
    let (dir, notifier) = (tempfile::tempdir().expect("temporary directory"), Notifier::open().expect("opens"));
    let inner = dir.path().join("a").join("b");
    std::fs::create_dir_all(&inner).expect("made");
    std::fs::write(inner.join("file"), "x").expect("written");
    let id = notifier.add(&open(dir.path()), Changes::Below).expect("watched");
    std::fs::write(inner.join("file"), "longer").expect("written");
    let wanted = Notice::Entry { directory: id, name: r"a\b\file".to_owned() };
    assert!(until(&notifier, LIMIT, |notice| *notice == wanted));
}

#[test]
fn more_places_than_one_thread_can_wait_for_are_watched_up_to_a_limit() {
    let (notifier, key) = (Notifier::open().expect("opens"), TestKey::new("many"));
    let mut ids = Vec::new();
    for number in 0..THREADS * PER_THREAD {
        LOCAL_MACHINE.create(format!(r"{}\{number}", key.0)).expect("created");
        ids.push(notifier.add_key(&format!(r"{}\{number}", key.path()), Changes::Names).expect("watched"));
    }
    let too_many = Err(WatchError::TooMany(THREADS * PER_THREAD));
    assert_eq!(notifier.add_key(&key.path(), Changes::Names), too_many);
    for number in [0, PER_THREAD - 1, PER_THREAD, ids.len() - 1] {
        LOCAL_MACHINE.create(format!(r"{}\{number}\new", key.0)).expect("created");
        assert!(until(&notifier, LIMIT, |notice| *notice == Notice::Key(ids[number])), "{number}");
    }
    notifier.remove(ids[70]);
    assert_eq!(notifier.add_key(&key.path(), Changes::Names).map(|id| id > 0), Ok(true), "one place is free");
}

/// A place that does not answer while somebody holds `go_on`; `asked` counts how often it was asked.
fn hanging(go_on: &Arc<Mutex<()>>, asked: &Arc<AtomicUsize>) -> impl FnOnce() -> Result<Open, WatchError> + use<> {
    let (go_on, asked) = (Arc::clone(go_on), Arc::clone(asked));
    move || {
        Ok(Box::new(move || {
            asked.fetch_add(1, Ordering::SeqCst);
            drop(lock(&go_on));
            Err(WatchError::Absent)
        }))
    }
}

#[test]
fn a_place_that_does_not_answer_holds_up_no_other_and_is_not_asked_again_until_it_does() {
    let limit = Duration::from_secs(2);
    let notifier = Notifier { limit, ..Notifier::open().expect("opens") };
    let (key, other) = (TestKey::new("beside"), TestKey::new("removed"));
    let id = notifier.add_key(&key.path(), Changes::Names).expect("watched");
    let removed = notifier.add_key(&other.path(), Changes::Names).expect("watched");
    let (go_on, asked) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
    let held = lock(&go_on);
    let stuck = || Identity::Key("stuck".to_owned(), Changes::Names);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| notifier.watch(stuck(), hanging(&go_on, &asked)));
        while asked.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let begun = Instant::now();
        notifier.remove(removed);
        assert!(begun.elapsed() < limit / 4, "somebody waits under the lock: {:?}", begun.elapsed());
        assert_eq!(waits.join().expect("no panic"), Err(NO_ANSWER));
    });
    assert!(notifier.take().expect("taken").contains(&Notice::Removed(id)), "its thread does not wait for it any more");

    let begun = Instant::now();
    let again = notifier.add_key(&key.path(), Changes::Names).expect("watched by another thread");
    assert_ne!(again, id);
    assert_eq!(notifier.watch(stuck(), hanging(&go_on, &asked)), Err(NO_ANSWER));
    assert!(begun.elapsed() < limit / 4, "{:?}", begun.elapsed());
    assert_eq!(asked.load(Ordering::SeqCst), 1, "its thread still hangs");
    LOCAL_MACHINE.create(format!(r"{}\new", key.0)).expect("created");
    assert!(until(&notifier, LIMIT, |notice| *notice == Notice::Key(again)));

    drop(held);
    let begun = Instant::now();
    while notifier.watch(stuck(), hanging(&go_on, &asked)) == Err(NO_ANSWER) && begun.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(notifier.watch(stuck(), hanging(&go_on, &asked)), Err(WatchError::Absent), "it answers again");
}

#[test]
fn places_that_do_not_answer_take_a_limited_number_of_threads() {
    let notifier = Notifier { limit: Duration::from_secs(1), ..Notifier::open().expect("opens") };
    // The first thread has no space for a place that does not answer.
    let full = TestKey::new("full");
    let of_first: Vec<String> = (0..PER_THREAD).map(|number| format!(r"{}\{number}", full.0)).collect();
    for key in &of_first {
        LOCAL_MACHINE.create(key).expect("created");
    }
    let watch_all = || {
        let add = |key: &String| notifier.add_key(&format!(r"HKLM\{key}"), Changes::Names).expect("watched");
        of_first.iter().map(add).collect::<Vec<_>>()
    };
    let ids = watch_all();
    let (go_on, asked) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
    let held = lock(&go_on);
    for number in 0..THREADS_GIVEN_UP + 3 {
        let stuck = Identity::Key(format!("stuck {number}"), Changes::Names);
        assert_eq!(notifier.watch(stuck, hanging(&go_on, &asked)), Err(NO_ANSWER));
    }
    assert_eq!(asked.load(Ordering::SeqCst), THREADS_GIVEN_UP);
    assert_eq!(ids, watch_all(), "the places of the other threads are watched as before");
    drop(held);
    let key = TestKey::new("after");
    let begun = Instant::now();
    while notifier.add_key(&key.path(), Changes::Names).is_err() {
        assert!(begun.elapsed() < LIMIT, "they have ended");
        std::thread::sleep(Duration::from_millis(20));
    }
}
