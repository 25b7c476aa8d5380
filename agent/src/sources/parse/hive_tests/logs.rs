//! Tests of the hive reader with dirty hives and their logs.

use super::*;

/// Four states of one hive, each with one key more.
fn states() -> Vec<Vec<u8>> {
    let mut tree = sample();
    let state = |at: usize| {
        tree.at("Added").keys.extend((0..at * 60).map(|key| Tree::new(&format!("added {at} {key}"))));
        tree.hive()
    };
    (0..4).map(state).collect()
}

/// The hive after its logs.
fn replayed(hive: &[u8], logs: &[&[u8]]) -> (usize, String) {
    let (tree, faults) = read_all(&open_with(hive, logs).expect("a hive"));
    let added = tree.keys.iter().find(|key| key.name == "Added");
    (added.map_or(0, |key| key.keys.len()), faults.join("; "))
}

#[test]
fn a_dirty_hive_is_complete_with_its_logs_and_not_without() {
    let states = states();
    let dirty = builder::dirty(&states[0]);
    let nothing = "header: the hive was not closed, and it has no usable log";
    assert_eq!(replayed(&dirty, &[]), (0, nothing.to_owned()));
    assert_eq!(replayed(&dirty, &[b"", b"something else"]), (0, nothing.to_owned()));
    assert_eq!(replayed(&dirty, &[&old_log(&states[0], &states[3])]), (360, String::new()));
    assert_eq!(replayed(&dirty, &[b"", &old_log(&states[0], &states[3]), b""]), (360, String::new()));
    let steps: Vec<&[u8]> = states.iter().map(Vec::as_slice).collect();
    assert_eq!(replayed(&dirty, &[&new_log(7, &steps)]), (360, String::new()));
    // The entries are in both logs, the older ones in the second.
    let (first, second) = (new_log(7, &steps[..3]), new_log(9, &steps[2..]));
    assert_eq!(replayed(&dirty, &[&second, &first]), (360, String::new()));
    assert_eq!(replayed(&dirty, &[&first, &second]), (360, String::new()));
    // Entries from before the last finished write change nothing.
    assert_eq!(replayed(&dirty, &[&new_log(6, &[steps[3], steps[0], steps[1]])]), (60, String::new()));
    // A clean hive needs no log.
    assert_eq!(replayed(&states[0], &[&new_log(7, &steps)]), (0, String::new()));
}

#[test]
fn a_hive_with_a_damaged_header_takes_it_from_its_log() {
    let states = states();
    let steps: Vec<&[u8]> = states.iter().map(Vec::as_slice).collect();
    for damage in [&b"\0\0\0\0"[..], b"regf\xff"] {
        let mut damaged = states[0].clone();
        damaged[..damage.len()].copy_from_slice(damage);
        assert_eq!(replayed(&damaged, &[&new_log(7, &steps)]), (360, String::new()));
        assert_eq!(replayed(&damaged, &[&new_log(9, &steps[2..]), &new_log(7, &steps[..3])]), (360, String::new()));
        assert_eq!(replayed(&damaged, &[&old_log(&states[0], &states[3])]), (360, String::new()));
        assert!(!faults_of(&damaged, &[]).is_empty());
    }
}

#[test]
fn logs_that_may_lack_something_leave_the_hive_incomplete() {
    let states = states();
    let dirty = builder::dirty(&states[0]);
    let steps: Vec<&[u8]> = states.iter().map(Vec::as_slice).collect();
    let (first, second) = (new_log(7, &steps[..3]), new_log(9, &steps[2..]));
    let gap = "its logs have a gap";
    assert!(replayed(&dirty, &[&second]).1.contains(gap));
    assert!(replayed(&dirty, &[&first, &new_log(10, &steps[2..])]).1.contains(gap));
    // The other log has a header, but nothing that is not in the hive already.
    let used = new_log(5, &steps[..2]);
    assert!(replayed(&dirty, &[&second, &used]).1.contains(gap));
    assert!(replayed(&dirty, &[&second, &first[..512]]).1.contains(gap));
    let mut headless = states[0].clone();
    headless[..4].copy_from_slice(b"\0\0\0\0");
    assert!(replayed(&headless, &[&first, &new_log(10, &steps[2..])]).1.contains(gap));
    // Windows began both logs again, after it had written their pages into the hive.
    let (later, last) = (new_log(20, &steps[..3]), new_log(22, &steps[2..]));
    assert_eq!(replayed(&dirty, &[&later, &last]), (360, String::new()));
    // An entry that is damaged, or not whole, ends the log.
    let whole = new_log(7, &steps);
    for place in (512 + 40..whole.len()).step_by(512) {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        assert!(replayed(&dirty, &[&damaged]).1.contains("header: "), "damaged at {place}");
    }
    let old = old_log(&states[0], &states[3]);
    for cut in (0..old.len()).step_by(512) {
        assert_ne!(replayed(&dirty, &[&old[..cut]]).1, "", "cut at {cut}");
    }
    // A log of another state of the hive.
    let mut other = old;
    put32(&mut other, 12, 1);
    builder::seal(&mut other);
    assert!(replayed(&dirty, &[&other]).1.contains("none of its logs belongs to it"));
}

#[test]
fn a_log_that_replaces_what_is_outside_of_the_hive_is_not_used() {
    let states = states();
    let dirty = builder::dirty(&states[0]);
    for (place, number) in [(512 + 40, u32::MAX - 511), (512 + 44, u32::MAX), (512 + 40, 1)] {
        let mut log = new_log(7, &[&states[0], &states[1]]);
        put32(&mut log, place, number);
        let hash = marvin::of(&log[552..]).to_le_bytes();
        log[536..544].copy_from_slice(&hash);
        let hash = marvin::of(&log[512..544]).to_le_bytes();
        log[544..552].copy_from_slice(&hash);
        assert_ne!(replayed(&dirty, &[&log]).1, "");
    }
}
