//! Tests of the queue on a real directory.

use std::time::Duration;

use super::*;
use crate::os::test_kit;

const BOUNDS: Bounds = Bounds { bytes: 1 << 20, age: Duration::from_secs(100) };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn drain(spool: &mut Spool) -> Vec<String> {
    let mut payloads = Vec::new();
    while let Some(entry) = spool.oldest().expect("readable") {
        payloads.push(String::from_utf8(entry.payload).expect("text"));
        spool.acknowledged(entry.number).expect("removed");
    }
    payloads
}

#[test]
fn entries_are_read_in_order_and_survive_a_restart() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut spool = Spool::open(dir.path(), BOUNDS).expect("opened");
    for text in ["one", "two", "three"] {
        spool.put("x", text.as_bytes(), at(1)).expect("put");
    }
    assert_eq!(spool.oldest().expect("readable").expect("there").payload, b"one");
    spool.acknowledged(1).expect("removed");
    drop(spool);
    let mut spool = Spool::open(dir.path(), BOUNDS).expect("opened again");
    spool.put("x", b"four", at(2)).expect("put");
    assert_eq!(drain(&mut spool), ["two", "three", "four"]);
    assert!(Spool::open(dir.path(), BOUNDS).expect("opened").is_empty());
}

#[test]
fn a_truncated_file_is_dropped_and_counted_and_the_others_are_read() {
    let whole = 45 + 3;
    for cut in 0..whole {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut spool = Spool::open(dir.path(), BOUNDS).expect("opened");
        spool.put("x", b"one", at(1)).expect("put");
        let path = dir.path().join(&spool.entries[0].name);
        spool.put("x", b"two", at(1)).expect("put");
        drop(spool);
        let bytes = std::fs::read(&path).expect("read");
        assert_eq!(bytes.len(), whole);
        std::fs::write(&path, &bytes[..cut]).expect("cut");
        let mut spool = Spool::open(dir.path(), BOUNDS).expect("opened");
        assert_eq!(spool.oldest().expect("readable").expect("there").payload, b"two", "cut at {cut}");
        assert_eq!((spool.len(), spool.losses().damaged), (1, 1), "cut at {cut}");
        assert_eq!(Spool::open(dir.path(), BOUNDS).expect("opened").losses().damaged, 1);
    }
}

#[test]
fn a_temporary_file_of_a_killed_process_is_not_an_entry() {
    let dir = tempfile::tempdir().expect("temporary directory");
    std::fs::write(dir.path().join("0000000000000001-1-x.snapshot.new-77"), "half").expect("written");
    let mut spool = Spool::open(dir.path(), BOUNDS).expect("opened");
    assert_eq!(drain(&mut spool), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0);
}

#[test]
fn the_oldest_entries_are_dropped_but_never_the_newest() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let small = Bounds { bytes: 150, age: Duration::from_secs(100) };
    let mut spool = Spool::open(dir.path(), small).expect("opened");
    let lost = |coalesced, dropped| Losses { coalesced, dropped, damaged: 0 };
    assert_eq!(spool.put("a", &[b'a'; 60], at(1)).expect("put"), lost(0, 0));
    assert_eq!(spool.put("b", &[b'b'; 60], at(2)).expect("put"), lost(1, 0));
    assert_eq!(spool.put("c", &[b'c'; 600], at(3)).expect("put"), lost(1, 0));
    assert_eq!((spool.len(), spool.newest_label()), (1, Some("c")));
    assert_eq!(spool.put("d", b"d", at(500)).expect("put"), lost(0, 1));
    assert_eq!(Spool::open(dir.path(), small).expect("opened").losses(), lost(2, 1));
}

#[test]
fn only_the_owner_may_read_the_spool() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let place = dir.path().join("spool");
    let mut spool = Spool::open(&place, Bounds { bytes: 1, age: Duration::from_secs(1) }).expect("opened");
    spool.put("a", b"a", at(1)).expect("put");
    spool.put("b", b"b", at(9)).expect("put");
    let Some(mode) = test_kit::mode(&place) else { return test_kit::left_out("file modes") };
    assert_eq!(mode, 0o700);
    let files: Vec<_> = std::fs::read_dir(&place).expect("listed").map(|file| file.expect("a file").path()).collect();
    assert_eq!(files.len(), 2, "one entry and the losses: {files:?}");
    assert!(files.iter().all(|file| test_kit::mode(file) == Some(0o600)), "{files:?}");
}

#[test]
fn a_rejected_entry_is_given_up_unless_it_is_the_newest() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut spool = Spool::open(dir.path(), BOUNDS).expect("opened");
    spool.put("a", b"a", at(1)).expect("put");
    assert!(!spool.give_up(1).expect("asked"));
    spool.put("b", b"b", at(1)).expect("put");
    assert!(spool.give_up(1).expect("asked"));
    assert_eq!(drain(&mut spool), ["b"]);
    assert_eq!(spool.losses().dropped, 1);
}
