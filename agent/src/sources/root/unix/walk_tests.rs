//! Tests of the walk while somebody renames and replaces what it passes.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A root with a folder `a/b`, and beside the root another folder with files of the same names.
struct Machine {
    _dir: tempfile::TempDir,
    root: PathBuf,
    outside: PathBuf,
    handle: fs::File,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        for folder in [&root.join("a"), &outside] {
            fs::create_dir_all(folder.join("b")).expect("made");
            let text = if folder == &outside { "outside" } else { "inside" };
            for file in ["file", "b/file"] {
                fs::write(folder.join(file), text).expect("written");
            }
        }
        let handle = fs::File::open(&root).expect("opens");
        Self { _dir: dir, root, outside, handle }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The content of a file. `examined` is called with each name between the moments when it is examined and used.
    fn read(&self, path: &str, mut examined: impl FnMut(&str)) -> Result<String, WalkError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mut text = String::new();
        let opened = open_and_tell(self.handle.as_fd(), path, flags, &mut examined)?;
        fs::File::from(opened).read_to_string(&mut text).expect("readable");
        Ok(text)
    }
}

/// Puts another file, folder or link in the place of one, at once.
fn replace(old: &Path, new: &Path) {
    rustix::fs::renameat_with(rustix::fs::CWD, new, rustix::fs::CWD, old, rustix::fs::RenameFlags::EXCHANGE)
        .expect("exchanged");
}

#[test]
fn a_folder_that_becomes_a_link_once_it_was_examined_leads_nowhere_else() {
    for target in ["../outside", "/outside", "../../outside/."] {
        let machine = Machine::new();
        symlink(target, machine.at("link")).expect("linked");
        let mut seen = 0;
        let read = machine.read("/a/file", |name| {
            if name == "a" {
                seen += 1;
                if seen == 1 {
                    replace(&machine.at("a"), &machine.at("link"));
                }
            }
        });
        // The link is resolved inside the root, where nothing of that name is.
        assert_eq!((read, seen), (Err(Errno::NOENT.into()), 2), "{target}");
    }
}

#[test]
fn an_absolute_target_is_one_of_the_scanned_machine() {
    let machine = Machine::new();
    symlink(&machine.outside, machine.at("link")).expect("linked");
    assert_eq!(machine.read("/link/file", |_| {}), Err(Errno::NOENT.into()));
    fs::create_dir_all(machine.at(&format!(".{}", machine.outside.display()))).expect("made");
    fs::write(machine.at(&format!(".{}/file", machine.outside.display())), "of the machine").expect("written");
    assert_eq!(machine.read("/link/file", |_| {}).as_deref(), Ok("of the machine"));
}

#[test]
fn a_file_that_becomes_a_link_once_it_was_examined_is_read_inside_or_not_at_all() {
    let machine = Machine::new();
    symlink("../../outside/file", machine.at("a/link")).expect("linked");
    let mut seen = 0;
    let read = machine.read("/a/file", |name| {
        if name == "file" {
            seen += 1;
            if seen == 1 {
                replace(&machine.at("a/file"), &machine.at("a/link"));
            }
        }
    });
    assert_eq!((read, seen), (Err(Errno::NOENT.into()), 2));
}

#[test]
fn what_is_replaced_all_the_time_is_not_absent() {
    let machine = Machine::new();
    symlink("../outside", machine.at("link")).expect("linked");
    for path in ["/a/file", "/a/b/file"] {
        let mut rounds = 0;
        let read = machine.read(path, |name| {
            assert_eq!(name, "a");
            rounds += 1;
            // A folder whenever it is examined, and a link when it is opened; then the other way round.
            replace(&machine.at("a"), &machine.at("link"));
        });
        assert_eq!((read, rounds), (Err(WalkError::Replaced), CHANGES), "{path}");
    }
    let machine = Machine::new();
    symlink("file", machine.at("a/link")).expect("linked");
    let mut turns = 0;
    let read = machine.read("/a/file", |name| {
        if name == "a" && turns > 0 {
            // Back, before the file is examined again.
            replace(&machine.at("a/file"), &machine.at("a/link"));
        }
        if name == "file" {
            turns += 1;
            replace(&machine.at("a/file"), &machine.at("a/link"));
        }
    });
    assert_eq!((read, turns), (Err(WalkError::Replaced), CHANGES));
}

#[test]
fn two_dots_lead_back_to_where_the_walk_came_from() {
    let machine = Machine::new();
    fs::create_dir(machine.at("a/b/c")).expect("made");
    let read = machine.read("/a/b/c/../../file", |name| {
        if name == "c" {
            // The folder above is that with the other file now.
            fs::rename(machine.at("a/b"), machine.outside.join("moved")).expect("moved");
        }
    });
    assert_eq!(read.as_deref(), Ok("inside"));
    assert!(machine.outside.join("moved/c").exists());
}

#[test]
fn a_folder_that_goes_while_it_is_passed_is_absent() {
    let machine = Machine::new();
    let read = machine.read("/a/b/file", |name| {
        if name == "b" {
            fs::remove_dir_all(machine.at("a/b")).expect("removed");
        }
    });
    assert_eq!(read, Err(Errno::NOENT.into()));
}

#[test]
fn forty_links_are_followed_and_circles_are_left() {
    let machine = Machine::new();
    symlink("a/file", machine.at("0")).expect("linked");
    for number in 1..=LINKS_FOLLOWED {
        symlink(format!("/{}", number - 1), machine.at(&number.to_string())).expect("linked");
    }
    assert_eq!(machine.read(&format!("/{}", LINKS_FOLLOWED - 1), |_| {}).as_deref(), Ok("inside"));
    assert_eq!(machine.read(&format!("/{LINKS_FOLLOWED}"), |_| {}), Err(Errno::LOOP.into()));
    for (link, target) in
        [("self", "self"), ("one", "two"), ("two", "./one"), ("a/down", "../a/down/x"), ("a/up", "..")]
    {
        symlink(target, machine.at(link)).expect("linked");
    }
    for path in ["/self", "/self/x", "/one", "/two/x", "/a/down"] {
        let mut steps = 0;
        assert_eq!(machine.read(path, |_| steps += 1), Err(Errno::LOOP.into()), "{path}");
        assert!(steps <= 3 * LINKS_FOLLOWED, "{path}: {steps}");
    }
    let around = format!("/{}a/file", "a/up/".repeat(LINKS_FOLLOWED));
    assert_eq!(machine.read(&around, |_| {}).as_deref(), Ok("inside"));
    assert_eq!(machine.read(&around.replacen("a/up", "a/up/a/up", 1), |_| {}), Err(Errno::LOOP.into()));
}

/// Ends the threads of a test, also of one that fails.
struct Ends<'o>(&'o AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nothing_outside_is_read_while_folders_and_links_change_places() {
    let machine = Machine::new();
    for (target, link) in [("../outside", "link"), ("../../outside/b", "a/link"), ("../../../outside/file", "a/b/link")]
    {
        symlink(target, machine.at(link)).expect("linked");
    }
    // By path, a thread could follow a link that another one has just put there, and fetch a file from outside.
    let folders = ["", "a", "a/b"].map(|folder| fs::File::open(machine.at(folder)).expect("opens"));
    let is_over = AtomicBool::new(false);
    let (mut inside, mut absent) = (0, 0);
    std::thread::scope(|scope| {
        for (folder, name) in folders.iter().zip(["a", "b", "file"]) {
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let exchange = rustix::fs::RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(folder, name, folder, "link", exchange).expect("exchanged");
                }
            });
        }
        let _ends = Ends(&is_over);
        let begun = std::time::Instant::now();
        while begun.elapsed() < std::time::Duration::from_millis(500) {
            for path in ["/a/file", "/a/b/file", "/a/b/../file", "/a/b/../../a/b/file"] {
                match machine.read(path, |_| {}) {
                    Ok(text) => {
                        assert_eq!(text, "inside", "{path}");
                        inside += 1;
                    }
                    Err(WalkError::System(Errno::NOENT | Errno::NOTDIR) | WalkError::Replaced) => absent += 1,
                    Err(error) => panic!("{path}: {error}"),
                }
            }
        }
    });
    assert!(inside > 0 && absent > 0, "{inside} {absent}");
}
