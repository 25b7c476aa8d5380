//! Exports in temporary directories: written at once, in steps, after a crash, and over what somebody has changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::attestation::VerifierKey;
use crate::ledger::checkpoint::{Checkpoint, CheckpointError};
use crate::ledger::leaf::NotALeaf;
use crate::ledger::samples::{peter, sealed};
use crate::ledger::tree::{TreeState, leaf_hash};

fn key() -> VerifierKey {
    peter().verifier().clone()
}

/// The signed checkpoint of the sample ledger.
fn note(size: u64) -> Vec<u8> {
    let mut tree = TreeState::default();
    (1..=size).for_each(|no| tree.append(sealed(no).1));
    Checkpoint::sign(size, &tree.root(), &peter()).into_bytes()
}

/// A writer that has all entries up to a size, and is not finished.
fn filled(directory: &Path, size: u64) -> Result<TileWriter, ExportError> {
    let mut writer = TileWriter::open(directory, &key(), &note(size))?;
    for no in writer.size() + 1..=size {
        writer.append(&sealed(no).0)?;
    }
    Ok(writer)
}

fn export(directory: &Path, size: u64) -> Result<Written, ExportError> {
    filled(directory, size)?.finish()
}

/// All files below a directory.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("lists") {
            let path = entry.expect("lists").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(directory).expect("below").to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).expect("reads"));
            }
        }
    }
    found
}

fn names(directory: &Path) -> Vec<String> {
    files(directory).into_keys().collect()
}

fn read_back(directory: &Path) -> u64 {
    let export = Export::open(directory, &key()).expect("opens");
    let mut leaves = export.leaves();
    let mut tree = TreeState::default();
    while let Some(read) = leaves.read_next().expect("reads") {
        assert_eq!((read.no, read.line), (tree.size() + 1, sealed(read.no).0.as_slice()));
        assert_eq!(read.hash, leaf_hash(read.line));
        tree.append(read.hash);
    }
    assert_eq!((tree.size(), tree.root()), (export.checkpoint().size, export.checkpoint().root));
    tree.size()
}

#[test]
fn an_export_has_the_files_of_the_specification() {
    let expected: [(u64, &[&str]); 6] = [
        (0, &["checkpoint"]),
        (1, &["checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"]),
        (255, &["checkpoint", "tile/0/000.p/255", "tile/entries/000.p/255"]),
        (256, &["checkpoint", "tile/0/000", "tile/1/000.p/1", "tile/entries/000"]),
        (
            257,
            &[
                "checkpoint",
                "tile/0/000",
                "tile/0/001.p/1",
                "tile/1/000.p/1",
                "tile/entries/000",
                "tile/entries/001.p/1",
            ],
        ),
        (512, &["checkpoint", "tile/0/000", "tile/0/001", "tile/1/000.p/2", "tile/entries/000", "tile/entries/001"]),
    ];
    for (size, files) in expected {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().join("made/by/the/export");
        assert_eq!(export(&directory, size).expect("exports"), Written { from: 0, size });
        assert_eq!(names(&directory), files);
        assert_eq!(read_back(&directory), size);
    }
}

#[test]
fn an_export_of_the_same_size_changes_nothing_and_keeps_other_signatures() {
    let place = tempfile::tempdir().expect("a directory");
    export(place.path(), 300).expect("exports");
    let witness = "— witness.example AAAAAAAA\n";
    let cosigned = [fs::read(place.path().join("checkpoint")).expect("reads"), witness.into()].concat();
    fs::write(place.path().join("checkpoint"), cosigned).expect("writes");
    let before = files(place.path());
    assert_eq!(export(place.path(), 300).expect("exports"), Written { from: 300, size: 300 });
    assert_eq!(files(place.path()), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn an_export_in_steps_is_that_of_one_step(steps in proptest::collection::btree_set(0_u64..1_400, 1..6)) {
        let (stepped, once) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let mut from = 0;
        for size in &steps {
            prop_assert_eq!(export(stepped.path(), *size).expect("exports"), Written { from, size: *size });
            prop_assert_eq!(read_back(stepped.path()), *size);
            from = *size;
        }
        export(once.path(), from).expect("exports");
        let (mut stepped, once) = (files(stepped.path()), files(once.path()));
        // Tiles of the sizes between remain only until the full tile exists.
        let full: Vec<String> = stepped.keys().filter(|name| !name.contains(".p/")).cloned().collect();
        for name in full {
            prop_assert!(!stepped.keys().any(|other| other.starts_with(&format!("{name}.p/"))), "{}", name);
        }
        stepped.retain(|name, _| once.contains_key(name));
        prop_assert_eq!(stepped, once);
    }
}

#[test]
fn an_export_after_a_crash_completes_what_was_written() {
    let place = tempfile::tempdir().expect("a directory");
    export(place.path(), 100).expect("exports");
    let before = files(place.path());
    drop(filled(place.path(), 700).expect("fills"));
    assert!(names(place.path()).contains(&"tile/0/001".to_owned()), "two tiles were full");
    assert_eq!(fs::read(place.path().join("checkpoint")).expect("reads"), before["checkpoint"]);
    assert_eq!(read_back(place.path()), 100, "the old export can still be read");
    assert_eq!(export(place.path(), 900).expect("exports"), Written { from: 100, size: 900 });
    assert_eq!(read_back(place.path()), 900);
}

#[test]
fn a_file_with_other_content_is_never_replaced() {
    let place = tempfile::tempdir().expect("a directory");
    drop(filled(place.path(), 700).expect("fills"));
    for name in ["tile/0/001", "tile/entries/001"] {
        let path = place.path().join(name);
        let good = fs::read(&path).expect("reads");
        for other in [&good[1..], &[good.as_slice(), b"x"].concat(), b""] {
            fs::write(&path, other).expect("writes");
            let error = export(place.path(), 700).expect_err("differs");
            assert!(matches!(&error, ExportError::Differs { path: found } if *found == path), "{error}");
            assert_eq!(fs::read(&path).expect("reads"), other);
        }
        fs::write(&path, good).expect("writes");
    }
    export(place.path(), 700).expect("exports");
}

#[test]
fn entries_that_were_not_sealed_leave_the_export_as_it_was() {
    let place = tempfile::tempdir().expect("a directory");
    export(place.path(), 300).expect("exports");
    let before = files(place.path());
    let mut writer = TileWriter::open(place.path(), &key(), &note(1_000)).expect("opens");
    for no in 301..=1_000 {
        let (mut line, _) = sealed(no);
        if no == 600 {
            line[10] ^= 1;
        }
        writer.append(&line).expect("appends");
    }
    assert!(names(place.path()).len() > before.len());
    let error = writer.finish().expect_err("another root");
    assert!(matches!(error, ExportError::OtherRoot { size: 1_000, .. }), "{error}");
    assert_eq!(files(place.path()), before);
    export(place.path(), 1_000).expect("exports");
    assert_eq!(read_back(place.path()), 1_000);
}

#[test]
fn a_writer_takes_exactly_the_entries_of_the_checkpoint() {
    let place = tempfile::tempdir().expect("a directory");
    let mut writer = TileWriter::open(place.path(), &key(), &note(2)).expect("opens");
    writer.append(&sealed(1).0).expect("appends");
    let error = writer.append(&vec![b'x'; 65_536]).expect_err("too long");
    assert!(matches!(error, ExportError::Leaf { no: 2, source: NotALeaf::TooLong { bytes: 65_536 } }), "{error}");
    writer.append(&sealed(2).0).expect("appends");
    let error = writer.append(&sealed(3).0).expect_err("too many");
    assert!(matches!(error, ExportError::OtherSize { size: 2, given: 3 }), "{error}");
    writer.finish().expect("exports");
    let writer = TileWriter::open(place.path(), &key(), &note(9)).expect("opens");
    let error = writer.finish().expect_err("too few");
    assert!(matches!(error, ExportError::OtherSize { size: 9, given: 2 }), "{error}");
    assert_eq!(read_back(place.path()), 2);
}

#[test]
fn an_export_that_is_longer_foreign_or_damaged_is_not_continued() {
    let place = tempfile::tempdir().expect("a directory");
    export(place.path(), 300).expect("exports");
    let refused = |size: u64| export(place.path(), size).expect_err("refused");
    assert!(matches!(refused(299), ExportError::Longer { exported: 300, size: 299, .. }));

    let changed = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let path = place.path().join(name);
        let good = fs::read(&path).expect("reads");
        let mut bad = good.clone();
        change(&mut bad);
        fs::write(&path, bad).expect("writes");
        let error = refused(400);
        fs::write(&path, good).expect("writes");
        error
    };
    let flip = |bytes: &mut Vec<u8>| bytes[40] ^= 1;
    assert!(matches!(changed("tile/0/001.p/44", &flip), ExportError::Root { size: 300, .. }));
    assert!(matches!(changed("tile/1/000.p/1", &|bytes| bytes[4] ^= 1), ExportError::Root { size: 300, .. }));
    assert!(matches!(changed("tile/entries/001.p/44", &flip), ExportError::Entry { no: 257, .. }));
    assert!(matches!(changed("tile/0/001.p/44", &|bytes| bytes.truncate(70)), ExportError::Form { .. }));
    assert!(matches!(changed("tile/entries/001.p/44", &|bytes| bytes.push(0)), ExportError::Form { .. }));
    let error = changed("checkpoint", &|bytes| bytes[13] = b'4');
    assert!(
        matches!(error, ExportError::Checkpoint { source: CheckpointError::Note(_), .. }),
        "the size was changed: {error}"
    );
    export(place.path(), 400).expect("each change was undone");
}

#[test]
fn a_tile_that_is_no_file_is_an_error_and_never_waits() {
    let place = tempfile::tempdir().expect("a directory");
    export(place.path(), 3).expect("exports");
    let tile = place.path().join("tile/0/000.p/3");
    fs::remove_file(&tile).expect("removes");
    let error = export(place.path(), 4).expect_err("missing");
    assert!(matches!(&error, ExportError::Missing { path } if *path == tile), "{error}");
    rustix::fs::mknodat(rustix::fs::CWD, &tile, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("a pipe");
    let error = export(place.path(), 4).expect_err("a pipe");
    assert!(matches!(&error, ExportError::File { path, .. } if *path == tile), "{error}");
}

#[test]
fn an_unfinished_tile_may_be_the_beginning_of_the_full_one() {
    let (place, longer) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    export(place.path(), 100).expect("exports");
    export(longer.path(), 256).expect("exports");
    for name in ["tile/0/000", "tile/entries/000"] {
        fs::remove_dir_all(place.path().join(format!("{name}.p"))).expect("removes");
        fs::copy(longer.path().join(name), place.path().join(name)).expect("copies");
    }
    assert_eq!(read_back(place.path()), 100);
    assert_eq!(export(place.path(), 101).expect("exports"), Written { from: 100, size: 101 });
    assert_eq!(read_back(place.path()), 101);
}
