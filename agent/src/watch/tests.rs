//! The watch against real directories: what wakes, what does not, and what is said of places that cannot be watched.

use std::path::Path;

use super::*;
use crate::sources::places::Reach;

struct Scene {
    dir: tempfile::TempDir,
    root: Root,
    places: Vec<Place>,
    watch: Watch,
}

impl Scene {
    fn of(places: &[(&str, Reach)]) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let root = Root::below(dir.path()).expect("a root");
        let places = places.iter().map(|(path, reach)| Place { path: (*path).to_owned(), reach: *reach }).collect();
        let mut scene = Self { dir, root, places, watch: Watch::new(Instant::now()) };
        scene.arm();
        scene
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

    /// Whether the deed gives a notice that matters. inotify's notices are there when the deed's call returns.
    fn wakes(&mut self, deed: impl FnOnce(&Self)) -> bool {
        self.arm();
        deed(self);
        self.watch.take().expect("taken")
    }
}

#[test]
fn a_place_that_is_replaced_written_or_removed_wakes_and_its_neighbours_do_not() {
    let mut scene = Scene::of(&[("/var/lib/dpkg/status", Reach::Entry)]);
    scene.write("var/lib/dpkg/status");
    assert!(!scene.wakes(|scene| scene.write("var/lib/dpkg/lock")));
    assert!(!scene.wakes(|scene| scene.write("var/log/dpkg.log")));
    assert!(!scene.wakes(|scene| drop(std::fs::read(scene.path("var/lib/dpkg/status")).expect("read"))));
    assert!(scene.wakes(|scene| scene.write("var/lib/dpkg/status")));
    assert!(scene.wakes(|scene| {
        scene.write("var/lib/dpkg/status-new");
        std::fs::rename(scene.path("var/lib/dpkg/status-new"), scene.path("var/lib/dpkg/status")).expect("renamed");
    }));
    assert!(scene.wakes(|scene| std::fs::remove_file(scene.path("var/lib/dpkg/status")).expect("removed")));
}

#[test]
fn a_place_that_is_not_there_yet_wakes_when_any_part_of_the_way_to_it_comes() {
    let mut scene = Scene::of(&[("/opt/vendor/kav*", Reach::Entry)]);
    assert!(!scene.wakes(|scene| scene.write("etc/passwd")));
    assert!(scene.wakes(|scene| std::fs::create_dir(scene.path("opt")).expect("made")));
    assert!(scene.wakes(|scene| std::fs::create_dir(scene.path("opt/vendor")).expect("made")));
    assert!(!scene.wakes(|scene| scene.write("opt/vendor/other")));
    assert!(scene.wakes(|scene| scene.write("opt/vendor/kav4fs")));
    assert!(scene.wakes(|scene| std::fs::rename(scene.path("opt"), scene.path("opt-old")).expect("renamed")));
    assert!(!scene.wakes(|scene| scene.write("opt-old/vendor/kav4ws")), "the old place is none any more");
    assert!(scene.wakes(|scene| scene.write("opt/vendor/kav4ws")));
}

#[test]
fn a_tree_wakes_for_entries_of_the_directories_in_it() {
    let mut scene = Scene::of(&[("/etc/systemd/system", Reach::Tree), ("/etc/init.d", Reach::Listing)]);
    scene.write("etc/systemd/system/multi-user.target.wants/a.service");
    scene.write("etc/init.d/deep/er");
    assert!(scene.wakes(|scene| scene.write("etc/systemd/system/multi-user.target.wants/b.service")));
    assert!(scene.wakes(|scene| scene.write("etc/systemd/system/b.service")));
    assert!(!scene.wakes(|scene| scene.write("etc/init.d/deep/est")), "a listing is no tree");
    assert!(scene.wakes(|scene| scene.write("etc/init.d/b")));
}

#[test]
fn links_of_the_looked_at_machine_lead_to_its_own_directories() {
    let mut scene = Scene::of(&[("/lib/systemd/system", Reach::Listing)]);
    scene.write("usr/lib/systemd/system/a.service");
    std::os::unix::fs::symlink("/usr/lib", scene.path("lib")).expect("linked");
    assert!(scene.wakes(|scene| scene.write("usr/lib/systemd/system/b.service")));
    assert!(scene.watch.summary().is_complete(), "{:?}", scene.watch.summary());
}

#[test]
fn what_changed_before_the_arming_is_covered_by_the_look_and_wakes_nobody() {
    let mut scene = Scene::of(&[("/etc/init.d", Reach::Listing)]);
    scene.write("etc/init.d/a");
    scene.arm();
    assert!(!scene.watch.take().expect("taken"));
}

#[test]
fn a_place_behind_a_directory_that_may_not_be_opened_is_named() {
    let mut scene = Scene::of(&[("/etc/file/place", Reach::Entry), ("/loop/place", Reach::Entry)]);
    scene.write("etc/file");
    std::os::unix::fs::symlink("loop", scene.path("loop")).expect("linked");
    scene.arm();
    let summary = scene.watch.summary();
    assert_eq!(summary.unwatched.len(), 1, "a file where a directory should be is only absence: {summary:?}");
    assert!(summary.unwatched[0].starts_with("/loop: "), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn many_changes_are_one_wake_and_a_change_during_the_look_is_another() {
    let mut scene = Scene::of(&[("/etc/init.d", Reach::Listing)]);
    scene.write("etc/init.d/a");
    scene.arm();
    let begun = Instant::now();
    for number in 0..500 {
        scene.write(&format!("etc/init.d/{number}"));
    }
    scene.watch.changed().await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(2), "{took:?}");
    scene.arm();
    assert!(
        tokio::time::timeout(Duration::from_secs(600), scene.watch.changed()).await.is_err(),
        "nothing has changed"
    );
    scene.arm();
    scene.write("etc/init.d/while-the-agent-looks");
    scene.watch.changed().await;
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_never_rests_wakes_the_agent_within_the_allowance_only() {
    let mut scene = Scene::of(&[("/etc/init.d", Reach::Listing)]);
    scene.write("etc/init.d/a");
    let begun = Instant::now();
    let mut wakes = 0_u64;
    while begun.elapsed() < Duration::from_secs(3600) {
        scene.arm();
        scene.write("etc/init.d/a");
        scene.watch.changed().await;
        wakes += 1;
    }
    assert!((240..=281).contains(&wakes), "{wakes} wakes in an hour");
}
