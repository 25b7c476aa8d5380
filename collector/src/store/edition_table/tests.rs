//! Tests of the table, and the bound of its memory.

use super::*;
use crate::store::edition_detail::write_title_of;

/// What a million editions may take in memory.
const MOST_FOR_A_MILLION: usize = 60 << 20;
/// So many that the table of numbers has just become larger: an edition then takes the most memory.
const EDITIONS: usize = (1 << 17) / 8 * 7 + 1;

/// The text of an edition.
fn text(kind: u8, name: &str, vendor: &str, version: &str, id: &str, state: &str) -> Vec<u8> {
    let mut text = Vec::new();
    write_title_of(1, kind, name.as_bytes(), vendor.as_bytes(), &mut text);
    let id = Id::of(name.as_bytes(), id.as_bytes());
    Detail { id, state: state.as_bytes(), version: version.as_bytes() }.spell(name.as_bytes(), &mut text);
    text
}

fn package(name: &str, version: &str, state: &str) -> Vec<u8> {
    text(1, name, "Debian", version, &format!("{name}:amd64"), state)
}

/// The text of the n-th program of Windows: with a product code of its own.
fn program(n: usize) -> Vec<u8> {
    let code = format!("{{{n:08X}-4567-89EF-0011-{:012X}}}", n * 7919);
    text(
        2,
        &format!("Product of Some Vendor {}", n / 12),
        "Some Vendor Corporation",
        &format!("12.{n}.4711.0"),
        &code,
        "",
    )
}

#[test]
fn an_edition_has_one_number_and_keeps_its_text() {
    let mut table = EditionTable::default();
    let texts: Vec<Vec<u8>> = (0..40_000)
        .map(|n| match n % 3 {
            // More states than there are shared texts, and some that are too long to be shared.
            0 => package(&format!("lib{}", n / 7), "1.2-3", &format!("state {}", n / 2)),
            1 => package(&format!("lib{}", n / 7), &n.to_string(), &"long ".repeat(n % 40)),
            _ => program(n),
        })
        .collect();
    let distinct: HashSet<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let numbers: Vec<u32> = texts.iter().map(|text| table.number(text).expect("a text")).collect();
    assert_eq!(table.last() as usize, distinct.len());
    assert_eq!(table.totals().text_bytes as usize, distinct.iter().map(|text| text.len()).sum::<usize>());
    for (text, number) in texts.iter().zip(numbers) {
        assert_eq!((table.text(number).as_ref(), table.find(text)), (Some(text), Some(number)));
        assert_eq!(table.edition(number).as_deref(), text.get(1..));
    }
    assert_eq!((table.text(0), table.text(table.last() + 1), table.add(b"no edition")), (None, None, None));
    assert_eq!(table.find(&package("lib0", "9", "state 0")), None);
}

#[test]
fn an_edition_that_was_forgotten_is_new_again_and_no_other_is_touched() {
    let mut table = EditionTable::default();
    let texts: Vec<Vec<u8>> =
        (0..20_000).map(|n| package(&format!("lib{}", n / 10), &format!("{n}-{n}-{n}"), "ii")).collect();
    texts.iter().for_each(|text| assert!(table.add(text).is_some()));
    let (before, memory) = (table.totals(), table.heap_bytes());
    // All of the first titles, and one of the title after them.
    let forgotten = 1..=15_001;
    forgotten.clone().for_each(|number| table.forget(number));
    table.forget(1);
    table.forget(20_001);
    let unused: Vec<u32> = (1..=2_000).filter(|title| !table.titles_in_use().contains(i64::from(*title))).collect();
    assert_eq!(unused, (1..=1_500).collect::<Vec<u32>>());
    unused.into_iter().for_each(|title| table.title_forget(title));
    assert_eq!((table.totals().editions, table.last()), (4_999, 20_000));
    assert!(table.heap_bytes() < memory - 15_000 * 10, "{memory} bytes were {}", table.heap_bytes());
    for (number, text) in (1..).zip(&texts) {
        let is_there = !forgotten.contains(&number);
        let expected = (is_there.then_some(text), is_there.then_some(number));
        assert_eq!((table.text(number).as_ref(), table.find(text)), expected);
    }
    for (number, text) in (20_001..).zip(&texts[..15_001]) {
        assert_eq!((table.number(text), table.find(text)), (Some(number), Some(number)));
        assert_eq!(table.text(number).as_ref(), Some(text));
    }
    assert_eq!(table.totals(), before);
}

/// Fills a table with editions, and fails if a million of them would take more memory than they may.
fn assert_bounded(what: &str, text: impl Fn(usize) -> Vec<u8>) {
    let mut table = EditionTable::default();
    (0..EDITIONS).for_each(|n| assert!(table.add(&text(n)).is_some()));
    let EditionTotals { editions, text_bytes } = table.totals();
    assert_eq!(editions as usize, EDITIONS);
    let a_million = table.heap_bytes() * 1_000_000 / EDITIONS;
    println!("{what}: {:.1} MiB, {} bytes of text each", a_million as f64 / 1_048_576.0, text_bytes / editions);
    assert!(a_million <= MOST_FOR_A_MILLION, "{what}: {a_million} bytes");
}

#[test]
fn a_million_editions_take_no_more_memory_than_they_may() {
    assert_bounded("ten versions of each package", |n| {
        let version = format!("{}.{}.{}-{}", n % 10, n / 20_000 % 7, n % 23, n % 5);
        package(&format!("lib{}-{}", n / 10, n / 20_000), &version, "install ok installed")
    });
    assert_bounded("three versions of each package", |n| {
        package(&format!("librust-crate-{}-dev", n / 3), &format!("0.12.{}-1+b2", n % 3), "install ok installed")
    });
    assert_bounded("programs of Windows", program);
    assert_bounded("short texts that have nothing in common", |n| {
        let name = format!("pkg-{n:x}");
        text(1, &name, "", &format!("1.{n}"), &name, "")
    });
}
