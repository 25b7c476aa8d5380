//! Tests of the hive reader with hives of every form and damaged ones; those with logs are in `logs`, those
//! that would take too much memory or time in `bounded`.

#[path = "hive_tests/bounds.rs"]
mod bounded;
#[path = "hive_tests/logs.rs"]
mod logs;

use proptest::prelude::*;

use super::builder::{self, Form, ListKind, Tree, new_log, old_log, put16, put32};
use super::*;
use crate::sources::parse::registry_value::kind;

fn open(hive: &[u8]) -> Hive {
    open_with(hive, &[]).expect("a hive")
}

fn open_with(hive: &[u8], logs: &[&[u8]]) -> Result<Hive, PagedFault> {
    let logs = logs.iter().map(|log| Box::new(log.to_vec()) as Bytes).collect();
    Hive::open(Box::new(hive.to_vec()), logs)
}

/// Everything that is below a key, and the faults.
fn read(hive: &Hive, key: &Key, faults: &mut Vec<String>) -> Tree {
    let (values, keys) = (hive.values(key), hive.keys(key));
    faults.extend(values.faults.iter().chain(&keys.faults).map(ToString::to_string));
    let below = keys.entries.iter().map(|key| read(hive, key, faults)).collect();
    Tree { name: key.name.clone(), flags: if key.is_link { 0x10 } else { 0 }, values: values.entries, keys: below }
}

fn read_all(hive: &Hive) -> (Tree, Vec<String>) {
    let mut faults: Vec<String> = hive.faults().iter().map(ToString::to_string).collect();
    match hive.root() {
        Ok(root) => (read(hive, &root, &mut faults), faults),
        Err(fault) => (Tree::default(), vec![fault.to_string()]),
    }
}

fn faults_of(hive: &[u8], logs: &[&[u8]]) -> String {
    match open_with(hive, logs) {
        Ok(hive) => read_all(&hive).1.join("; "),
        Err(fault) => fault.to_string(),
    }
}

fn value(name: &str, kind: u32, data: &[u8]) -> Value {
    Value { name: name.to_owned(), kind, data: data.to_vec() }
}

/// A hive of several blocks with something of every form.
fn sample() -> Tree {
    let mut tree = Tree::new("ROOT").with_text(r"Software\Лаборатория", "Имя", "Касперский").with_text(
        r"Software\Müller & Söhne",
        "",
        "default",
    );
    let key = tree.at("Values");
    (0..=5).for_each(|length| key.values.push(value(&format!("{length}"), kind::BINARY, &vec![7; length])));
    [16_343, 16_344, 16_345, 40_000].iter().for_each(|length| {
        let data: Vec<u8> = (0..*length).map(|at: usize| at.to_le_bytes()[0]).collect();
        key.values.push(value(&format!("{length}"), kind::BINARY, &data));
    });
    (0..40).for_each(|at| tree.at("Many").keys.push(Tree::new(&format!("key {}", at * 7 % 40))));
    tree
}

#[test]
fn every_form_of_a_hive_reads_as_what_was_written() {
    for minor in 2..=6 {
        for list in [ListKind::Fast, ListKind::Hashed, ListKind::Plain, ListKind::Split(1), ListKind::Split(7)] {
            let hive = open(&sample().hive_in(Form { minor, list }));
            assert_eq!(read_all(&hive), (sample(), Vec::new()), "1.{minor} with {list:?}");
        }
    }
}

#[test]
fn other_versions_and_other_files_are_refused() {
    for minor in [0, 1, 7] {
        let fault = faults_of(&sample().hive_in(Form { minor, ..Form::default() }), &[]);
        assert_eq!(fault, "header: unsupported format version");
    }
    assert_eq!(faults_of(b"MZ", &[]), "header: not a registry hive");
    assert_eq!(faults_of(&[0; 8192], &[]), "header: not a registry hive");
    assert_eq!(faults_of(b"", &[]), "header: not a registry hive");
}

#[test]
fn keys_and_values_are_found_in_any_case() {
    let hive = open(&sample().hive());
    let root = hive.root().expect("a root");
    let software = hive.key(&root, "SOFTWARE").expect("read").expect("found");
    let key = hive.key(&software, "лабораторИЯ").expect("read").expect("found");
    assert_eq!(hive.value(&key, "ИМЯ").expect("read").and_then(|value| value.text()).as_deref(), Some("Касперский"));
    assert_eq!(hive.value(&key, "Other"), Ok(None));
    let latin = hive.key(&software, "MÜLLER & SÖHNE").expect("read").expect("found");
    assert_eq!(hive.value(&latin, "").expect("read").and_then(|value| value.text()).as_deref(), Some("default"));
    assert_eq!(hive.key(&software, "Kaspersky"), Ok(None));
    for at in (0..40).chain(0..40) {
        let many = hive.key(&root, "many").expect("read").expect("found");
        assert!(hive.key(&many, &format!("KEY {at}")).expect("read").is_some());
    }
}

#[test]
fn the_values_of_a_predefined_handle_are_none() {
    let mut tree = sample();
    tree.at("Handle").flags = 0x40;
    let mut bytes = tree.hive();
    let cell = place_of(&bytes, b"Handle") - 76;
    put32(&mut bytes, cell + 36, 0x8000_0060);
    let (read, faults) = read_all(&open(&bytes));
    assert_eq!((read.keys.len(), faults), (4, Vec::new()));
}

/// Where these bytes are in a hive.
fn place_of(hive: &[u8], bytes: &[u8]) -> usize {
    hive.windows(bytes.len()).position(|window| window == bytes).expect("they are there")
}

/// The cells in use, each with its contents.
fn cells(hive: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut place, mut found) = (4096 + 32, Vec::new());
    while place < hive.len() {
        let size = i32::from_le_bytes(*hive[place..].first_chunk().unwrap());
        let length = size.unsigned_abs() as usize;
        if size < 0 {
            found.push(place + 4..place + length);
        }
        place += length;
    }
    found
}

#[test]
fn a_hive_that_is_cut_is_never_complete() {
    for form in [Form::default(), Form { minor: 3, list: ListKind::Split(3) }] {
        let hive = sample().hive_in(form);
        for cut in (0..hive.len()).step_by(512) {
            assert_ne!(faults_of(&hive[..cut], &[]), "", "cut at {cut}");
        }
        // Windows allocates more than it uses.
        let longer = [&hive[..], &[0; 4096]].concat();
        assert_eq!(faults_of(&longer, &[]), "");
    }
}

#[test]
fn a_damaged_cell_makes_the_hive_incomplete_and_is_named() {
    let hive = sample().hive_in(Form { minor: 5, list: ListKind::Split(7) });
    // No key has its own security descriptor, and none is read.
    for cell in cells(&hive).into_iter().filter(|cell| !hive[cell.clone()].starts_with(b"sk")) {
        for size in [0_i32, 8, -4, -12, i32::MIN, i32::MAX] {
            let mut damaged = hive.clone();
            damaged[cell.start - 4..cell.start].copy_from_slice(&size.to_le_bytes());
            let is_shorter = usize::try_from(-i64::from(size)).is_ok_and(|size| size == cell.len() + 4);
            let faults = faults_of(&damaged, &[]);
            // A cell that holds only a few bytes can be cut to just these.
            let is_named = faults.contains(&format!("cell {:#x}: ", cell.start - 4 - 4096));
            assert!(is_named || is_shorter || size == -12 && faults.is_empty(), "{cell:?} {size}: {faults}");
        }
        if [b"nk", b"vk", b"lh", b"ri", b"db"].iter().any(|signature| hive[cell.clone()].starts_with(*signature)) {
            let mut damaged = hive.clone();
            damaged[cell.start] = b'?';
            assert_ne!(faults_of(&damaged, &[]), "", "{cell:?}");
        }
    }
}

#[test]
fn a_key_is_reached_only_by_its_parent() {
    let tree = Tree::new("ROOT").with_key(r"one\two\three");
    let hive = tree.hive();
    let cell = |name: &[u8]| place_of(&hive, name) - 80 - 4096;
    let list = |of: &[u8]| u32::from_le_bytes(*hive[cell(of) + 4096 + 4 + 28..].first_chunk().unwrap()) as usize;
    for ancestor in [&b"ROOT"[..], b"one", b"two"] {
        let mut looped = hive.clone();
        put32(&mut looped, 4096 + list(b"two") + 8, u32::try_from(cell(ancestor)).unwrap());
        assert!(faults_of(&looped, &[]).ends_with("belongs to another key"), "{}", faults_of(&looped, &[]));
    }
}

#[test]
fn lists_are_checked_against_each_other() {
    let hive = Tree::new("ROOT").with_key("one").with_key("two").with_key("two two").hive();
    let key = place_of(&hive, b"ROOT") - 76;
    let list = 4096 + u32::from_le_bytes(*hive[key + 28..].first_chunk().unwrap()) as usize + 4;
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut hive = hive.clone();
        change(&mut hive);
        faults_of(&hive, &[])
    };
    let named = |what| format!("cell {:#x}: {what}", key - 4 - 4096);
    assert_eq!(changed(&|_| ()), "");
    assert_eq!(changed(&|hive| put32(hive, key + 20, 2)), named("its list of keys has another length than it says"));
    assert_eq!(changed(&|hive| put16(hive, list + 2, 2)), named("its list of keys has another length than it says"));
    assert!(changed(&|hive| put16(hive, list + 2, 9)).ends_with("too short for its contents"));
    let twice = |hive: &mut Vec<u8>| hive.copy_within(list + 4..list + 8, list + 12);
    assert_eq!(changed(&twice), named("a key is listed twice"));
    let one_name = |hive: &mut Vec<u8>| {
        let place = place_of(hive, b"one");
        hive[place..place + 3].copy_from_slice(b"TWO");
    };
    assert!(changed(&one_name).ends_with("two keys have one name"));
    let separator = |hive: &mut Vec<u8>| {
        let place = place_of(hive, b"one");
        hive[place] = b'\\';
    };
    assert!(changed(&separator).ends_with("invalid name"));
    let split = Tree::new("ROOT").with_key("one").with_key("two").hive_in(Form { list: ListKind::Split(1), minor: 5 });
    let list = 4096 + u32::from_le_bytes(*split[key + 28..].first_chunk().unwrap()) as usize;
    let mut looped = split.clone();
    put32(&mut looped, list + 8, u32::try_from(list - 4096).unwrap());
    assert!(faults_of(&looped, &[]).contains("not a list of keys"));
    let mut looped = split;
    looped.copy_within(list + 8..list + 12, list + 12);
    assert!(faults_of(&looped, &[]).contains("a list of keys is listed twice"));
}

#[test]
fn what_is_beyond_a_limit_is_named_and_the_rest_is_read() {
    let mut tree = Tree::new("ROOT");
    tree.values.push(value("small", kind::BINARY, &[1; 100]));
    tree.values.push(value("large", kind::BINARY, &vec![1; bounds::VALUE_BYTES + 1]));
    let (read, faults) = read_all(&open(&tree.hive_in(Form { minor: 3, ..Form::default() })));
    assert_eq!((read.values.len(), faults.len()), (1, 1));
    assert!(faults[0].ends_with("a value longer than this reader reads"), "{faults:?}");

    let each = value("many", kind::BINARY, &vec![1; bounds::VALUE_BYTES]);
    let tree = Tree { values: vec![each; 5], ..Tree::new("ROOT") };
    let (read, faults) = read_all(&open(&tree.hive()));
    assert_eq!((read.values.len(), faults.len()), (3, 1));
    assert!(faults[0].ends_with("more values than this reader reads"), "{faults:?}");

    let mut twice = Tree::new("ROOT").with_text("", "one", "1").with_text("", "two", "2").hive();
    let key = place_of(&twice, b"ROOT") - 76;
    let list = 4096 + u32::from_le_bytes(*twice[key + 40..].first_chunk().unwrap()) as usize + 4;
    twice.copy_within(list..list + 4, list + 4);
    assert!(faults_of(&twice, &[]).ends_with("a value is listed twice"));

    let tree = Tree { values: vec![value("", kind::NONE, &[]); bounds::VALUES + 1], ..Tree::new("ROOT") };
    assert!(faults_of(&tree.hive(), &[]).ends_with("more values than this reader lists"));

    let keys = (0..=bounds::KEYS).map(|at| Tree::new(&format!("{at:x}"))).collect();
    let (read, faults) =
        read_all(&open(&Tree { keys, ..Tree::new("ROOT") }.hive_in(Form { list: ListKind::Split(500), minor: 5 })));
    assert_eq!((read.keys.len(), faults.len()), (bounds::KEYS, 1));
    assert!(faults[0].ends_with("more keys below one key than this reader lists"), "{faults:?}");

    let keys = (0..20_000).map(|at| Tree::new(&format!("{at:0250}"))).collect();
    let (read, faults) = read_all(&open(&Tree { keys, ..Tree::new("ROOT") }.hive()));
    assert_eq!((read.keys.len(), faults.len()), (bounds::NAME_BYTES / 250, 1));
    assert!(faults[0].ends_with("more names of keys than this reader lists"), "{faults:?}");
}

/// A file that counts how often it is read.
struct Counted(Vec<u8>, std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl crate::sources::parse::paged::Storage for Counted {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, place: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.0.read_at(place, buffer)
    }
}

#[test]
fn the_longest_list_is_read_once_for_all_lookups() {
    let keys = (0..bounds::KEYS).map(|at| Tree::new(&format!("{at:x}"))).collect();
    let bytes = Tree { keys, ..Tree::new("ROOT") }.hive_in(Form { list: ListKind::Split(500), minor: 5 });
    let reads = std::sync::Arc::default();
    let hive = Hive::open(Box::new(Counted(bytes, std::sync::Arc::clone(&reads))), Vec::new()).expect("a hive");
    let root = hive.root().expect("a root");
    let read = || reads.load(std::sync::atomic::Ordering::Relaxed);
    assert!(hive.key(&root, "0").expect("read").is_some());
    let once = read();
    for at in (0..bounds::KEYS).step_by(1000) {
        assert!(hive.key(&root, &format!("{at:X}")).expect("read").is_some(), "{at:x}");
    }
    // A lookup reads the key that it finds, and whatever key has the same hash.
    assert!(read() - once <= 66 * 4, "{} reads after {once}", read() - once);
}

#[test]
fn a_lookup_in_an_incomplete_list_is_no_proof_of_absence() {
    let mut hive = Tree::new("ROOT").with_key("one").with_key("two").hive();
    let place = place_of(&hive, b"one") - 76;
    hive[place] = b'?';
    let hive = open(&hive);
    let root = hive.root().expect("a root");
    assert!(hive.key(&root, "two").expect("read").is_some());
    assert_eq!(hive.key(&root, "three").expect_err("incomplete").what, "not a key");
    let mut hive = Tree::new("ROOT").with_text("", "one", "1").with_text("", "two", "2").hive();
    let place = place_of(&hive, b"vk");
    hive[place] = b'?';
    let hive = open(&hive);
    let root = hive.root().expect("a root");
    assert!(hive.value(&root, "two").expect("read").is_some());
    assert_eq!(hive.value(&root, "three").expect_err("incomplete").what, "not a value");
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,12}", "[А-я]{1,8}", "[ -\\[\\]-ÿ]{1,20}", Just("\u{1f600}".to_owned())]
}

type Values = Vec<(String, u32, Vec<u8>)>;

fn values() -> impl Strategy<Value = Values> {
    proptest::collection::vec((names(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..4)
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = (names(), values()).prop_map(|(name, values)| tree(name, values, Vec::new()));
    leaf.prop_recursive(4, 60, 8, move |inner| {
        let keys = proptest::collection::vec(inner, 0..8);
        (names(), values(), keys).prop_map(|(name, values, keys)| tree(name, values, keys))
    })
}

fn tree(name: String, values: Values, keys: Vec<Tree>) -> Tree {
    let mut names = HashSet::new();
    let keys = keys.into_iter().filter(|key| names.insert(folded(&key.name))).collect();
    let values = values.into_iter().map(|(name, kind, data)| Value { name, kind, data }).collect();
    Tree { name, flags: 0, values, keys }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_tree_is_read_as_it_was_written(tree in trees(), other in trees(), minor in 2_u32..7, each in 1_usize..5) {
        let hive = tree.hive_in(Form { minor, list: ListKind::Split(each) });
        let (read, faults) = read_all(&open(&hive));
        prop_assert_eq!((&read, faults), (&tree, Vec::new()));
        // And as the other tree, if that is only in the log.
        let after = other.hive_in(Form { minor, list: ListKind::Fast });
        let dirty = builder::dirty(&hive);
        for log in [old_log(&hive, &after), new_log(7, &[&hive, &after])] {
            let (read, faults) = read_all(&open_with(&dirty, &[&log]).expect("a hive"));
            prop_assert_eq!((&read, faults), (&other, Vec::new()));
        }
    }

    #[test]
    fn a_changed_byte_never_loses_a_key_without_a_fault(tree in trees(), at in any::<proptest::sample::Index>(), bit in 0_u32..8) {
        let mut hive = tree.hive();
        let cells = cells(&hive);
        let keys: Vec<_> = cells.iter().filter(|cell| hive[cell.start..].starts_with(b"nk")).collect();
        let cell = keys[at.index(keys.len())];
        // The parts of a key that lead to others: signature, parent, number and list of the keys below it.
        let place = cell.start + [0, 16, 20, 28][at.index(4)];
        hive[place] ^= 1_u8 << bit;
        let (read, faults) = read_all(&open(&hive));
        prop_assert!(read == tree || !faults.is_empty(), "{place}");
    }
}
