//! Ledgers that somebody has changed in every way, and what the verification says.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::attestation::VerifierKey;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::samples::{peter, sealed};
use crate::ledger::tiles::{Export, ExportError, TileWriter};
use crate::ledger::tree::{Hash, TreeState, leaf_hash};

/// A ledger as a store has it.
#[derive(Clone)]
struct Ledger(Vec<Row>);

#[derive(Clone)]
struct Row {
    no: u64,
    line: Vec<u8>,
    stored: Option<Hash>,
}

impl Ledger {
    fn of(size: u64) -> Self {
        let row = |no: u64| {
            let (line, hash) = sealed(no);
            Row { no, line, stored: Some(hash) }
        };
        Self((1..=size).map(row).collect())
    }

    fn row(&mut self, no: usize) -> &mut Row {
        &mut self.0[no - 1]
    }

    /// Changes an entry and nothing else.
    fn change(&mut self, no: usize) {
        self.row(no).line[10] ^= 1;
    }

    /// Changes an entry and the hash beside it.
    fn rewrite(&mut self, no: usize) {
        self.change(no);
        let row = self.row(no);
        row.stored = Some(leaf_hash(&row.line));
    }

    fn verify(&self, checkpoints: &[u64]) -> Report {
        let mut verifier = Verifier::new(checkpoints.iter().map(|size| checkpoint(*size)));
        for row in &self.0 {
            if verifier.feed(row.no, &row.line, row.stored.as_ref()).is_break() {
                break;
            }
        }
        verifier.finish()
    }

    fn compare(&self, directory: &Path) -> Result<Compared, ExportError> {
        let mut earlier = EarlierExport::new(Export::open(directory, &key())?);
        for row in &self.0 {
            earlier.feed(&row.line)?;
        }
        earlier.finish()
    }
}

fn key() -> VerifierKey {
    peter().verifier().clone()
}

/// The checkpoint of the ledger before anybody changed it.
fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint::open(note(size).as_bytes(), &key()).expect("good")
}

fn note(size: u64) -> String {
    let mut tree = TreeState::default();
    (1..=size).for_each(|no| tree.append(sealed(no).1));
    Checkpoint::sign(size, &tree.root(), &peter())
}

fn export(directory: &Path, size: u64) {
    let mut writer = TileWriter::open(directory, &key(), note(size).as_bytes()).expect("opens");
    (1..=size).for_each(|no| writer.append(&sealed(no).0).expect("appends"));
    writer.finish().expect("exports");
}

fn said(report: &Report) -> Vec<String> {
    report.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_ledger_is_covered_up_to_its_last_checkpoint() {
    let mut ledger = Ledger::of(300);
    for row in &mut ledger.0[290..] {
        row.stored = None;
    }
    let report = ledger.verify(&[280, 0, 1, 100, 100]);
    assert_eq!(report.faults, []);
    assert_eq!((report.entries, report.sealed, report.covered, report.checkpoints), (300, 290, 280, 5));
    assert_eq!(report.root, checkpoint(290).root);
    assert_eq!(Ledger::of(0).verify(&[0]).faults, []);
    assert_eq!(Ledger::of(0).verify(&[]).covered, 0);
}

#[test]
fn the_first_changed_entry_is_named() {
    let mut ledger = Ledger::of(300);
    ledger.change(120);
    assert_eq!(said(&ledger.verify(&[100, 200])), ["entry 120 was changed after it was sealed"]);
    ledger.change(130);
    assert_eq!(ledger.verify(&[300]).faults, [Fault::Changed { no: 120, others: 1 }]);
    ledger.change(300);
    assert_eq!(
        said(&ledger.verify(&[300])),
        ["entry 120 was changed after it was sealed (and 2 others after it)"],
        "the stored hashes agree with the checkpoint, so nothing was rewritten"
    );
    assert_eq!(ledger.verify(&[300]).covered, 300);
}

#[test]
fn a_changed_hash_is_distinguished_from_a_changed_entry() {
    let mut ledger = Ledger::of(300);
    ledger.row(120).stored = Some(Hash([7; 32]));
    let report = ledger.verify(&[100, 200, 300]);
    assert_eq!(report.faults, [Fault::HashChanged { no: 120, others: 0 }]);
    assert_eq!(report.checkpoints, 3, "the entries agree with each of them");
}

#[test]
fn a_rewritten_ledger_is_found_between_two_checkpoints() {
    let mut ledger = Ledger::of(300);
    ledger.rewrite(120);
    let report = ledger.verify(&[50, 100, 200, 300]);
    let [Fault::Rewritten { after: 100, size: 200, found, signed }] = report.faults.as_slice() else {
        panic!("{:?}", report.faults)
    };
    assert_eq!(*signed, checkpoint(200).root);
    assert_ne!(found, signed);
    assert!(said(&report)[0].starts_with("the ledger was rewritten between entries 101 and 200: "));
    assert_eq!((report.covered, report.checkpoints), (100, 2));
    ledger.change(7);
    let report = ledger.verify(&[300]);
    assert!(
        matches!(
            report.faults.as_slice(),
            [Fault::Changed { no: 7, .. }, Fault::Rewritten { after: 0, size: 300, .. }]
        ),
        "{:?}",
        report.faults
    );
}

#[test]
fn two_checkpoints_of_one_size_with_different_roots_do_not_both_agree() {
    let ledger = Ledger::of(10);
    let mut other = checkpoint(10);
    other.root = Hash([7; 32]);
    for checkpoints in [[checkpoint(10), other.clone()], [other, checkpoint(10)]] {
        let mut verifier = Verifier::new(checkpoints);
        for row in &ledger.0 {
            assert!(verifier.feed(row.no, &row.line, row.stored.as_ref()).is_continue());
        }
        let report = verifier.finish();
        assert!(matches!(report.faults.as_slice(), [Fault::Rewritten { size: 10, .. }]), "{:?}", report.faults);
    }
    let mut empty = checkpoint(0);
    empty.root = Hash([7; 32]);
    assert!(matches!(Verifier::new([empty]).finish().faults.as_slice(), [Fault::Rewritten { after: 0, size: 0, .. }]));
}

#[test]
fn missing_and_repeated_numbers_are_named() {
    let without = |gone: std::ops::RangeInclusive<u64>| {
        let mut ledger = Ledger::of(300);
        ledger.0.retain(|row| !gone.contains(&row.no));
        ledger.verify(&[300])
    };
    assert_eq!(said(&without(120..=120)), ["entry 120 is missing before entry 121"]);
    assert_eq!(said(&without(1..=7)), ["entries 1 to 7 are missing before entry 8"]);
    assert_eq!(without(120..=120).entries, 119);
    let mut ledger = Ledger::of(300);
    ledger.0.insert(120, ledger.0[119].clone());
    assert_eq!(said(&ledger.verify(&[300])), ["entry 120 follows entry 120"]);
    let mut ledger = Ledger::of(300);
    ledger.change(5);
    ledger.0.remove(119);
    let faults = ledger.verify(&[300]).faults;
    assert_eq!(faults, [Fault::Changed { no: 5, others: 0 }, Fault::Missing { first: 120, next: 121 }]);
}

#[test]
fn after_the_first_gap_nothing_more_is_verified() {
    let ledger = Ledger::of(3);
    let mut verifier = Verifier::new([]);
    assert!(verifier.feed(2, &ledger.0[1].line, None).is_break());
    assert!(verifier.feed(1, &ledger.0[0].line, None).is_break());
    assert_eq!(verifier.finish().faults, [Fault::Missing { first: 1, next: 2 }]);
}

#[test]
fn a_ledger_without_its_end_is_truncated() {
    let mut ledger = Ledger::of(300);
    ledger.0.truncate(250);
    let report = ledger.verify(&[100, 260, 300]);
    assert_eq!(
        said(&report),
        ["the end of the ledger is missing: a signed checkpoint covers 300 entries, and there are 250"]
    );
    assert_eq!((report.entries, report.covered), (250, 100));
}

#[test]
fn a_sealed_entry_without_its_hash_is_a_fault() {
    let mut ledger = Ledger::of(300);
    ledger.row(120).stored = None;
    assert_eq!(ledger.verify(&[200]).faults, [Fault::HashMissing { no: 120 }]);
    assert_eq!(ledger.verify(&[100]).faults, [Fault::HashMissing { no: 120 }], "the next entry has a hash");
    ledger.0.truncate(120);
    assert_eq!(ledger.verify(&[100]).faults, []);
}

#[test]
fn a_ledger_begins_with_what_was_exported_before() {
    let place = tempfile::tempdir().expect("a directory");
    export(place.path(), 300);
    let mut ledger = Ledger::of(700);
    let good = Compared { exported: 300, entries: 700, faults: Vec::new() };
    assert_eq!(ledger.compare(place.path()).expect("compares"), good);
    ledger.rewrite(301);
    assert_eq!(ledger.compare(place.path()).expect("compares"), good, "what follows the export is not compared");
    ledger.rewrite(258);
    ledger.rewrite(300);
    assert_eq!(ledger.compare(place.path()).expect("compares").faults, [Fault::Differs { no: 258, others: 1 }]);
    let mut ledger = Ledger::of(299);
    let faults = ledger.compare(place.path()).expect("compares").faults;
    assert_eq!(faults, [Fault::ShorterThanExport { exported: 300, entries: 299 }]);
    ledger.0.clear();
    let faults = ledger.compare(place.path()).expect("compares").faults;
    assert_eq!(faults, [Fault::ShorterThanExport { exported: 300, entries: 0 }]);
}

#[test]
fn nothing_follows_from_a_damaged_export() {
    let place = tempfile::tempdir().expect("a directory");
    export(place.path(), 300);
    let ledger = Ledger::of(10);
    let with = |name: &str, at: usize| {
        let path = place.path().join(name);
        let good = fs::read(&path).expect("reads");
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, bad).expect("writes");
        let result = ledger.compare(place.path());
        fs::write(&path, good).expect("writes");
        result.expect_err("damaged")
    };
    assert!(matches!(with("tile/entries/001.p/44", 40), ExportError::Entry { no: 257, .. }));
    assert!(matches!(with("tile/entries/000", 1), ExportError::Form { .. }));
    assert!(matches!(with("tile/0/000", 40), ExportError::Entry { no: 2, .. }));
    assert!(matches!(with("checkpoint", 20), ExportError::Checkpoint { .. }));
    // Entry and tile were changed together.
    let mut other = sealed(257).0;
    other[10] ^= 1;
    let (tile, bundle) = (place.path().join("tile/0/001.p/44"), place.path().join("tile/entries/001.p/44"));
    let mut bytes = fs::read(&bundle).expect("reads");
    bytes[2..2 + other.len()].copy_from_slice(&other);
    fs::write(&bundle, bytes).expect("writes");
    let mut bytes = fs::read(&tile).expect("reads");
    bytes[..32].copy_from_slice(&leaf_hash(&other).0);
    fs::write(&tile, bytes).expect("writes");
    assert!(matches!(ledger.compare(place.path()).expect_err("damaged"), ExportError::Root { size: 300, .. }));
}

#[test]
fn an_export_is_verified_as_a_store_is() {
    let place = tempfile::tempdir().expect("a directory");
    export(place.path(), 600);
    let verified = || {
        let export = Export::open(place.path(), &key()).expect("opens");
        let mut verifier = Verifier::new([export.checkpoint().clone()]);
        let mut leaves = export.leaves();
        while let Some(leaf) = leaves.read_next().expect("reads") {
            assert!(verifier.feed(leaf.no, leaf.line, Some(&leaf.hash)).is_continue());
        }
        verifier.finish()
    };
    assert_eq!((verified().faults, verified().covered), (Vec::new(), 600));
    let path = place.path().join("tile/entries/001");
    let mut bytes = fs::read(&path).expect("reads");
    bytes[2 + 10] ^= 1;
    fs::write(&path, bytes).expect("writes");
    assert_eq!(verified().faults, [Fault::Changed { no: 257, others: 0 }]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_change_of_what_a_checkpoint_covers_goes_unnoticed(
        size in 2_u64..600,
        at in any::<proptest::sample::Index>(),
        with in any::<proptest::sample::Index>(),
        kind in 0..6,
        byte in any::<proptest::sample::Index>(),
    ) {
        let mut ledger = Ledger::of(size);
        let (no, other) = (at.index(ledger.0.len()) + 1, with.index(ledger.0.len()) + 1);
        let line = ledger.row(no).line.len();
        match kind {
            0 => ledger.row(no).line[byte.index(line)] ^= 1,
            1 => ledger.row(no).stored = Some(Hash([7; 32])),
            2 => ledger.rewrite(no),
            3 => drop(ledger.0.remove(no - 1)),
            4 => ledger.0.truncate(no - 1),
            // The contents of two entries change places, with their hashes.
            _ => {
                let first = ledger.row(no).clone();
                let second = std::mem::replace(ledger.row(other), Row { no: other as u64, ..first });
                *ledger.row(no) = Row { no: no as u64, ..second };
            }
        }
        let report = ledger.verify(&[size]);
        if kind == 5 && no == other {
            prop_assert_eq!(report.faults, []);
        } else {
            prop_assert!(!report.faults.is_empty());
            if kind == 0 {
                prop_assert_eq!(report.faults, [Fault::Changed { no: no as u64, others: 0 }]);
            }
        }
    }
}

#[test]
#[ignore = "measures; run with --release -- --ignored --nocapture"]
fn a_verifier_takes_a_hundred_thousand_leaves_a_second() {
    let leaves: Vec<_> = (1..=10_000)
        .map(|no| {
            let mut line = sealed(no).0;
            line.resize(600, b'x');
            let hash = leaf_hash(&line);
            (line, hash)
        })
        .collect();
    let mut verifier = Verifier::new([]);
    let begun = std::time::Instant::now();
    let count = 1_000_000_u64;
    for no in 1..=count {
        let (line, hash) = &leaves[usize::try_from(no).expect("small") % leaves.len()];
        assert!(verifier.feed(no, line, Some(hash)).is_continue());
    }
    let report = verifier.finish();
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.0} leaves of 600 bytes a second, root {}", report.root);
    assert_eq!((report.sealed, report.faults), (count, Vec::new()));
    assert!(rate >= 100_000.0, "{rate:.0} leaves a second");
}
