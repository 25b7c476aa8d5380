//! The watch against real directories: what wakes, what does not, and what is said of places that cannot be watched.

use std::path::Path;

use super::*;
use crate::sources::places::Reach;

struct ScanContext {
    dir: tempfile::TempDir,
    root: Root,
    places: Vec<Place>,
    watch: Watch,
}

impl ScanContext {
    fn of(places: &[(&str, Reach)]) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let root = Root::below(dir.path()).expect("a root");
        let places = places.iter().map(|(path, reach)| Place { path: (*path).to_owned(), reach: *reach }).collect();
        let mut context = Self { dir, root, places, watch: Watch::new(Instant::now()) };
        context.arm();
        context
    }

    fn arm(&mut self) {
        self.watch.arm(&self.root, &self.places);
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str) {
        let file = self.path(path);
        std::fs::create_dir_all(file.parent().unwrap_or(Path::new("/"))).expect("made");
        std::fs::write(file, "x").expect("written");
    }

    /// Whether the operation gives a notice that matters. inotify's notices are there when the operation's call returns.
    fn wakes(&mut self, operation: impl FnOnce(&Self)) -> bool {
        self.arm();
        operation(self);
        self.watch.take().expect("taken")
    }
}

#[test]
fn a_place_that_is_replaced_written_or_removed_wakes_and_its_neighbours_do_not() {
    let mut context = ScanContext::of(&[("/var/lib/dpkg/status", Reach::Entry)]);
    context.write("var/lib/dpkg/status");
    assert!(!context.wakes(|context| context.write("var/lib/dpkg/lock")));
    assert!(!context.wakes(|context| context.write("var/log/dpkg.log")));
    assert!(!context.wakes(|context| drop(std::fs::read(context.path("var/lib/dpkg/status")).expect("read"))));
    assert!(context.wakes(|context| context.write("var/lib/dpkg/status")));
    assert!(context.wakes(|context| {
        context.write("var/lib/dpkg/status-new");
        std::fs::rename(context.path("var/lib/dpkg/status-new"), context.path("var/lib/dpkg/status")).expect("renamed");
    }));
    assert!(context.wakes(|context| std::fs::remove_file(context.path("var/lib/dpkg/status")).expect("removed")));
}

#[test]
fn a_place_that_is_not_there_yet_wakes_when_any_part_of_the_way_to_it_comes() {
    let mut context = ScanContext::of(&[("/opt/vendor/kav*", Reach::Entry)]);
    assert!(!context.wakes(|context| context.write("etc/passwd")));
    assert!(context.wakes(|context| std::fs::create_dir(context.path("opt")).expect("made")));
    assert!(context.wakes(|context| std::fs::create_dir(context.path("opt/vendor")).expect("made")));
    assert!(!context.wakes(|context| context.write("opt/vendor/other")));
    assert!(context.wakes(|context| context.write("opt/vendor/kav4fs")));
    assert!(context.wakes(|context| std::fs::rename(context.path("opt"), context.path("opt-old")).expect("renamed")));
    assert!(!context.wakes(|context| context.write("opt-old/vendor/kav4ws")), "the old place is none any more");
    assert!(context.wakes(|context| context.write("opt/vendor/kav4ws")));
}

#[test]
fn a_tree_wakes_for_entries_of_the_directories_in_it() {
    let mut context = ScanContext::of(&[("/etc/systemd/system", Reach::Tree), ("/etc/init.d", Reach::Listing)]);
    context.write("etc/systemd/system/multi-user.target.wants/a.service");
    context.write("etc/init.d/deep/er");
    assert!(context.wakes(|context| context.write("etc/systemd/system/multi-user.target.wants/b.service")));
    assert!(context.wakes(|context| context.write("etc/systemd/system/b.service")));
    assert!(!context.wakes(|context| context.write("etc/init.d/deep/est")), "a listing is no tree");
    assert!(context.wakes(|context| context.write("etc/init.d/b")));
}

#[test]
fn links_of_the_scanned_machine_lead_to_its_own_directories() {
    let mut context = ScanContext::of(&[("/lib/systemd/system", Reach::Listing)]);
    context.write("usr/lib/systemd/system/a.service");
    std::os::unix::fs::symlink("/usr/lib", context.path("lib")).expect("linked");
    assert!(context.wakes(|context| context.write("usr/lib/systemd/system/b.service")));
    assert!(context.watch.summary().is_complete(), "{:?}", context.watch.summary());
}

#[test]
fn what_changed_before_the_arming_is_covered_by_the_snapshot_and_wakes_nobody() {
    let mut context = ScanContext::of(&[("/etc/init.d", Reach::Listing)]);
    context.write("etc/init.d/a");
    context.arm();
    assert!(!context.watch.take().expect("taken"));
}

#[test]
fn a_place_behind_a_directory_that_may_not_be_opened_is_named() {
    let mut context = ScanContext::of(&[("/etc/file/place", Reach::Entry), ("/loop/place", Reach::Entry)]);
    context.write("etc/file");
    std::os::unix::fs::symlink("loop", context.path("loop")).expect("linked");
    context.arm();
    let summary = context.watch.summary();
    assert_eq!(summary.unwatched.len(), 1, "a file where a directory should be is only absence: {summary:?}");
    assert!(summary.unwatched[0].starts_with("/loop: "), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn many_changes_are_one_wake_and_a_change_during_the_snapshot_is_another() {
    let mut context = ScanContext::of(&[("/etc/init.d", Reach::Listing)]);
    context.write("etc/init.d/a");
    context.arm();
    let begun = Instant::now();
    for number in 0..500 {
        context.write(&format!("etc/init.d/{number}"));
    }
    context.watch.changed().await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(2), "{took:?}");
    context.arm();
    assert!(
        tokio::time::timeout(Duration::from_secs(600), context.watch.changed()).await.is_err(),
        "nothing has changed"
    );
    context.arm();
    context.write("etc/init.d/while-the-agent-snapshots");
    context.watch.changed().await;
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_never_rests_wakes_the_agent_within_the_allowance_only() {
    let mut context = ScanContext::of(&[("/etc/init.d", Reach::Listing)]);
    context.write("etc/init.d/a");
    let begun = Instant::now();
    let mut wakes = 0_u64;
    while begun.elapsed() < Duration::from_secs(3600) {
        context.arm();
        context.write("etc/init.d/a");
        context.watch.changed().await;
        wakes += 1;
    }
    assert!((240..=281).contains(&wakes), "{wakes} wakes in an hour");
}
