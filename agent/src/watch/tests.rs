//! Tests of the watch on real directories: which changes wake the agent, and how unwatchable places are reported.

use std::path::Path;

use super::*;
use crate::os::test_kit;
use crate::sources::places::Reach;

struct Fixture {
    /// Dropped before the directory: Wine removes no directory that is open.
    watch: Watch,
    places: Vec<Place>,
    dir: LateDir,
}

/// A temporary directory that is removed when its watches have ended.
struct LateDir(tempfile::TempDir);

impl Drop for LateDir {
    fn drop(&mut self) {
        test_kit::let_notices_arrive();
    }
}

impl Fixture {
    fn of(places: &[(&str, Reach)]) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let places = places.iter().map(|(path, reach)| Place { path: (*path).to_owned(), reach: *reach }).collect();
        let mut fixture = Self { watch: Watch::new(Instant::now()), places, dir: LateDir(dir) };
        fixture.arm();
        fixture
    }

    fn arm(&mut self) {
        self.watch.arm(Root::below(self.dir.0.path()).expect("a root"), &self.places);
    }

    /// Whether the system reports changes at all.
    const fn is_watching(&self) -> bool {
        self.watch.notifier.is_some()
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.dir.0.path().join(path)
    }

    fn write(&self, path: &str) {
        let file = self.path(path);
        std::fs::create_dir_all(file.parent().unwrap_or(Path::new("/"))).expect("made");
        std::fs::write(file, "x").expect("written");
    }

    /// Whether the operation wakes the agent.
    fn wakes(&mut self, operation: impl FnOnce(&Self)) -> bool {
        test_kit::let_notices_arrive();
        self.arm();
        operation(self);
        test_kit::let_notices_arrive();
        self.is_woken()
    }

    fn is_woken(&self) -> bool {
        let notices = self.watch.notifier.as_ref().map(|notifier| notifier.take().expect("taken"));
        notices.unwrap_or_default().iter().any(|notice| self.watch.concerns(notice))
    }
}

#[test]
fn only_changes_of_the_place_itself_wake_the_agent() {
    let mut fixture = Fixture::of(&[("/var/lib/dpkg/status", Reach::Entry)]);
    if !fixture.is_watching() {
        return test_kit::left_out("change notifications");
    }
    fixture.write("var/lib/dpkg/status");
    assert!(!fixture.wakes(|fixture| fixture.write("var/lib/dpkg/lock")));
    assert!(!fixture.wakes(|fixture| fixture.write("var/log/dpkg.log")));
    assert!(!fixture.wakes(|fixture| drop(std::fs::read(fixture.path("var/lib/dpkg/status")).expect("read"))));
    assert_eq!(fixture.wakes(|fixture| fixture.write("var/lib/dpkg/status")), test_kit::tells_of_writes());
    assert!(fixture.wakes(|fixture| {
        fixture.write("var/lib/dpkg/status-new");
        std::fs::rename(fixture.path("var/lib/dpkg/status-new"), fixture.path("var/lib/dpkg/status")).expect("renamed");
    }));
    assert!(fixture.wakes(|fixture| std::fs::remove_file(fixture.path("var/lib/dpkg/status")).expect("removed")));
}

#[test]
fn creating_any_parent_of_a_missing_place_wakes_the_agent() {
    let mut fixture = Fixture::of(&[("/opt/vendor/kav*", Reach::Entry)]);
    if !fixture.is_watching() {
        return test_kit::left_out("change notifications");
    }
    assert!(!fixture.wakes(|fixture| fixture.write("etc/passwd")));
    assert!(fixture.wakes(|fixture| std::fs::create_dir(fixture.path("opt")).expect("made")));
    assert!(fixture.wakes(|fixture| std::fs::create_dir(fixture.path("opt/vendor")).expect("made")));
    assert!(!fixture.wakes(|fixture| fixture.write("opt/vendor/other")));
    assert!(fixture.wakes(|fixture| fixture.write("opt/vendor/kav4fs")));
    assert!(fixture.wakes(|fixture| std::fs::rename(fixture.path("opt"), fixture.path("opt-old")).expect("renamed")));
    assert!(!fixture.wakes(|fixture| fixture.write("opt-old/vendor/kav4ws")), "the old path is not a place any more");
    assert!(fixture.wakes(|fixture| fixture.write("opt/vendor/kav4ws")));
}

#[test]
fn a_tree_includes_the_entries_of_its_subdirectories() {
    let mut fixture = Fixture::of(&[("/etc/systemd/system", Reach::Tree), ("/etc/init.d", Reach::Listing)]);
    if !fixture.is_watching() || !test_kit::has_watched_trees() {
        return test_kit::left_out("change notifications of trees");
    }
    fixture.write("etc/systemd/system/multi-user.target.wants/a.service");
    fixture.write("etc/init.d/deep/er");
    assert!(fixture.wakes(|fixture| fixture.write("etc/systemd/system/multi-user.target.wants/b.service")));
    assert!(fixture.wakes(|fixture| fixture.write("etc/systemd/system/b.service")));
    assert!(!fixture.wakes(|fixture| fixture.write("etc/init.d/deep/est")), "a listing is not a tree");
    assert!(fixture.wakes(|fixture| fixture.write("etc/init.d/b")));
}

#[test]
fn links_of_the_scanned_machine_lead_to_its_own_directories() {
    let mut fixture = Fixture::of(&[("/lib/systemd/system", Reach::Listing)]);
    fixture.write("usr/lib/systemd/system/a.service");
    if !test_kit::link("/usr/lib", &fixture.path("lib")) {
        return test_kit::left_out("links");
    }
    assert!(fixture.wakes(|fixture| fixture.write("usr/lib/systemd/system/b.service")));
    assert!(fixture.watch.summary().is_complete(), "{:?}", fixture.watch.summary());
}

#[test]
fn changes_before_the_arming_do_not_wake_the_agent() {
    let mut fixture = Fixture::of(&[("/etc/init.d", Reach::Listing)]);
    fixture.write("etc/init.d/a");
    test_kit::let_notices_arrive();
    fixture.arm();
    assert!(!fixture.is_woken());
}

#[test]
fn a_place_below_an_unreadable_directory_is_listed_as_unwatched() {
    let mut fixture = Fixture::of(&[("/etc/file/place", Reach::Entry), ("/loop/place", Reach::Entry)]);
    fixture.write("etc/file");
    if !test_kit::link("loop", &fixture.path("loop")) {
        return test_kit::left_out("links");
    }
    fixture.arm();
    let summary = fixture.watch.summary();
    assert_eq!(summary.unwatched.len(), 1, "a file where a directory should be is only absence: {summary:?}");
    assert!(summary.unwatched[0].starts_with("/loop: "), "{summary:?}");
}

#[test]
fn a_place_on_another_volume_is_listed_as_unwatched_and_not_taken_for_one_on_this() {
    let mut fixture = Fixture::of(&[("D:/Programs", Reach::Entry), ("/etc/init.d", Reach::Listing)]);
    fixture.write("etc/init.d/a");
    fixture.arm();
    let unwatched = &fixture.watch.summary().unwatched;
    assert!(unwatched.contains(&r"D:\Programs: only the volume of Windows is watched".to_owned()), "{unwatched:?}");
    if fixture.is_watching() {
        assert_eq!(unwatched.len(), 1, "{unwatched:?}");
        assert!(!fixture.wakes(|fixture| std::fs::create_dir(fixture.path("Programs")).expect("made")));
    }
}

#[tokio::test(start_paused = true)]
async fn many_changes_are_one_wake_and_a_change_during_the_scan_is_another() {
    let mut fixture = Fixture::of(&[("/etc/init.d", Reach::Listing)]);
    if !fixture.is_watching() {
        return test_kit::left_out("change notifications");
    }
    fixture.write("etc/init.d/a");
    test_kit::let_notices_arrive();
    fixture.arm();
    let started = Instant::now();
    for number in 0..500 {
        fixture.write(&format!("etc/init.d/{number}"));
    }
    fixture.watch.changed().await;
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(1), "{took:?}");
    test_kit::let_notices_arrive();
    fixture.arm();
    assert!(
        tokio::time::timeout(Duration::from_secs(600), fixture.watch.changed()).await.is_err(),
        "nothing has changed"
    );
    fixture.arm();
    fixture.write("etc/init.d/while-the-agent-scans");
    fixture.watch.changed().await;
}

#[tokio::test(start_paused = true)]
async fn constant_changes_wake_the_agent_within_the_budget() {
    let mut fixture = Fixture::of(&[("/etc/init.d", Reach::Listing)]);
    if !fixture.is_watching() {
        return test_kit::left_out("change notifications");
    }
    fixture.write("etc/init.d/a");
    let started = Instant::now();
    let mut wakes = 0_u64;
    while started.elapsed() < Duration::from_secs(3600) {
        fixture.arm();
        // A new one each time: macOS does not tell that an entry is written in place.
        fixture.write(&format!("etc/init.d/{wakes}"));
        fixture.watch.changed().await;
        wakes += 1;
    }
    assert!((240..=281).contains(&wakes), "{wakes} wakes in an hour");
}
