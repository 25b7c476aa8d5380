//! Hives that would take much memory or time: what is beyond a bound is a fault, and a lookup that meets it proves nothing.

use std::sync::atomic::Ordering;

use super::*;

#[test]
fn a_name_longer_than_windows_allows_is_a_fault() {
    for (longest, longer) in [("x".repeat(256), "x".repeat(257)), ("\u{436}".repeat(256), "\u{436}".repeat(257))] {
        let hive = open(&Tree::new("ROOT").with_key(&longest).hive());
        let root = hive.root().expect("a root");
        assert!(hive.key(&root, &longest).expect("read").is_some());
        let hive = open(&Tree::new("ROOT").with_key("one").with_key(&longer).hive());
        let root = hive.root().expect("a root");
        let listed = hive.keys(&root);
        assert_eq!((listed.entries.len(), listed.faults[0].what), (1, "a name longer than Windows allows"));
        assert!(hive.key(&root, "one").expect("read").is_some());
        assert_eq!(hive.key(&root, "two").expect_err("no proof").what, "a name longer than Windows allows");
    }
    let longer = Tree { values: vec![value(&"x".repeat(16_384), kind::NONE, &[])], ..Tree::new("ROOT") };
    assert!(faults_of(&longer.hive(), &[]).ends_with("a name longer than Windows allows"));
}

#[test]
fn a_lookup_reads_no_more_names_than_a_listing() {
    let keys = (0..20_000).map(|at| Tree::new(&format!("{at:0250}"))).collect();
    let hive = open(&Tree { keys, ..Tree::new("ROOT") }.hive());
    let root = hive.root().expect("a root");
    assert!(hive.key(&root, &format!("{:0250}", 1)).expect("read").is_some());
    for beyond in [format!("{:0250}", 19_999), "none".to_owned()] {
        let fault = hive.key(&root, &beyond).expect_err("no proof");
        assert_eq!(fault.what, "more names of keys than this reader lists");
    }

    let values = (0..300).map(|at| value(&format!("{at:016000}"), kind::NONE, &[])).collect();
    let hive = open(&Tree { values, ..Tree::new("ROOT") }.hive());
    let root = hive.root().expect("a root");
    assert!(hive.value(&root, &format!("{:016000}", 1)).expect("read").is_some());
    assert_eq!(hive.value(&root, "none").expect_err("no proof").what, "more names of values than this reader reads");
}

#[test]
fn a_hive_is_left_after_too_many_entries_of_its_lists() {
    let tree = Tree::new("ROOT").with_text("one", "Name", "1").with_text("two", "Name", "2");
    let hive = open(&tree.hive());
    let root = hive.root().expect("a root");
    let one = hive.key(&root, "one").expect("read").expect("a key");
    // Two lists of keys with two entries each, and one list of values with one entry.
    hive.cells.left.store(8, Ordering::Relaxed);
    assert!(hive.keys(&root).faults.is_empty() && hive.keys(&root).faults.is_empty());
    assert!(hive.values(&one).faults.is_empty());
    let what = "longer lists than this reader reads of one hive";
    assert_eq!(hive.values(&one).faults[0].what, what);
    assert_eq!(hive.keys(&root).faults[0].what, what);
    assert_eq!(hive.value(&one, "Name").expect_err("no proof").what, what);
    assert_eq!(hive.key(&one, "none"), Ok(None));
    let hive = open(&tree.hive());
    hive.cells.left.store(1, Ordering::Relaxed);
    let root = hive.root().expect("a root");
    assert_eq!(hive.key(&root, "none").expect_err("no proof").what, what);
}
