//! Hives that another program wrote: hivex, as Debian packages it. The script also writes their logs, with its own code.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::sources::parse::hive::builder::Tree;
use crate::sources::parse::hive::{Bytes, Hive, Key};

/// Set by `deploy/ci/test`, which installs hivex: then the test may not be left out.
const NEEDED: &str = "MUSTER_TEST_HIVEX";
/// Debian's Python, for which Debian packages hivex.
const PYTHON: &str = "/usr/bin/python3";

/// Fills the hive `first`, copies it to `second` and adds more, and writes dirty hives with logs that lead from one to the
/// other. Prints the values of both as `PATH TAB NAME TAB TYPE TAB HEX`.
const SCRIPT: &str = r#"
import hivex, os, shutil, struct, sys
folder = sys.argv[1]
place = lambda name: os.path.join(folder, name)
load = lambda name: open(place(name), 'rb').read()
wide = lambda text: text.encode('utf-16-le') + b'\0\0'

def fill(name, top):
    hive = hivex.Hivex(place(name), write=True)
    for number in range(60):
        key = hive.node_add_child(hive.root(), '%s %d' % (top, number * 37 % 60))
        product = hive.node_add_child(key, 'Лаборатория Касперского' if number % 3 else 'Müller & Söhne')
        values = [{'key': 'DisplayName', 't': 1, 'value': wide('Kaspersky %d' % number)},
                  {'key': '', 't': 2, 'value': wide('%ProgramFiles%\\Касперский')},
                  {'key': 'odd', 't': 1, 'value': b'a\0b'}, {'key': 'empty', 't': 3, 'value': b''},
                  {'key': 'number', 't': 4, 'value': struct.pack('<I', number)},
                  {'key': 'long', 't': 11, 'value': struct.pack('<Q', number)},
                  {'key': 'list', 't': 7, 'value': wide('a\0\0b\0')}, {'key': 'many', 't': 3, 'value': b'x' * (number * 250)}]
        hive.node_set_values(product, values)
    hive.commit(None)

def show(name):
    hive = hivex.Hivex(place(name))
    def walk(node, path):
        print(name, path, '', '', '', sep='\t')
        for value in hive.node_values(node):
            kind, data = hive.value_value(value)
            print(name, path, hive.value_key(value), kind, data.hex(), sep='\t')
        for child in hive.node_children(node):
            walk(child, path + '\\' + hive.node_name(child))
    walk(hive.root(), '')

def seal(head):
    total = 0
    for word in struct.unpack_from('<127I', head):
        total ^= word
    struct.pack_into('<I', head, 508, {0: 1, 0xffffffff: 0xfffffffe}.get(total, total))
    return bytes(head)

def marvin(data):
    mask = 0xffffffff
    turn = lambda word, by: (word << by | word >> 32 - by) & mask
    low, high = 0x7a4e55c5, 0x82ef4d88
    words = list(struct.unpack('<%dI' % (len(data) // 4), data)) + [0x80, 0]
    for word in words:
        low = low + word & mask
        high ^= low
        low = turn(low, 20) + high & mask
        high = turn(high, 9) ^ low
        low = turn(low, 27) + high & mask
        high = turn(high, 19)
    return struct.pack('<II', low, high)

fill('first', 'Product')
shutil.copy(place('first'), place('second'))
fill('second', 'Added')
show('first')
show('second')
before, after = load('first'), load('second')
pages = [at for at in range(4096, len(after), 4096) if before[at:at + 4096] != after[at:at + 4096]]
head = bytearray(before[:512])
begun, finished = struct.unpack_from('<II', head, 4)
struct.pack_into('<II', head, 4, finished + 1, finished)
time, = struct.unpack_from('<Q', before, 12)
open(place('dirty'), 'wb').write(seal(head) + before[512:])

log = bytearray(after[:512])
struct.pack_into('<IIQ', log, 4, finished + 1, finished + 1, time)
struct.pack_into('<I', log, 28, 1)
bitmap = bytearray((len(after) // 4096 - 1))
for at in pages:
    bitmap[at // 4096 - 1] = 0xff
body = b'DIRT' + bytes(bitmap)
body += bytes(-len(body) % 512)
open(place('old-log'), 'wb').write(seal(log) + body + b''.join(after[at:at + 4096] for at in pages))

struct.pack_into('<II', log, 4, finished, finished)
struct.pack_into('<I', log, 28, 6)
entries = b''
for number, some in enumerate([pages[:3], pages[3:]]):
    body = b''.join(struct.pack('<II', at - 4096, 4096) for at in some) + b''.join(after[at:at + 4096] for at in some)
    body += bytes(-(len(body) + 40) % 512)
    entry = struct.pack('<4s5I', b'HvLE', len(body) + 40, 0, finished + number, len(after) - 4096, len(some)) + marvin(body)
    entries += entry + marvin(entry) + body
open(place('new-log'), 'wb').write(seal(log) + entries)
"#;

/// Path and name of each value to its type and data; a key has an entry with an empty type.
type Contents = BTreeMap<(String, String, String), String>;

fn has_hivex() -> bool {
    let found = Command::new(PYTHON).args(["-c", "import hivex"]).output().is_ok_and(|output| output.status.success());
    assert!(found || std::env::var_os(NEEDED).is_none(), "python3-hivex is missing: install it (deploy/ci/test does)");
    if !found {
        println!("left out: hives written by hivex: python3-hivex is missing");
    }
    found
}

fn read(main: Vec<u8>, logs: Vec<Vec<u8>>) -> (Contents, Vec<String>) {
    let logs = logs.into_iter().map(|log| Box::new(log) as Bytes).collect();
    let hive = Hive::open(Box::new(main), logs).expect("a hive");
    let mut found = (Contents::new(), hive.faults().iter().map(ToString::to_string).collect());
    match hive.root() {
        Ok(root) => add(&hive, &root, String::new(), &mut found),
        Err(fault) => found.1.push(fault.to_string()),
    }
    found
}

fn add(hive: &Hive, key: &Key, path: String, found: &mut (Contents, Vec<String>)) {
    let (values, keys) = (hive.values(key), hive.keys(key));
    found.1.extend(values.faults.iter().chain(&keys.faults).map(ToString::to_string));
    found.0.insert((path.clone(), String::new(), String::new()), String::new());
    for value in values.entries {
        let data = data_encoding::HEXLOWER.encode(&value.data);
        found.0.insert((path.clone(), value.name, value.kind.to_string()), data);
    }
    keys.entries.iter().for_each(|key| add(hive, key, format!(r"{path}\{}", key.name), found));
}

fn script(folder: &Path) -> BTreeMap<String, Contents> {
    let output = Command::new(PYTHON)
        .args(["-c", SCRIPT])
        .arg(folder)
        .env("PYTHONIOENCODING", "utf-8")
        .output()
        .expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut hives: BTreeMap<String, Contents> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let [hive, path, name, kind, data] = <[String; 5]>::try_from(fields).expect("five fields");
        hives.entry(hive).or_default().insert((path, name, kind), data);
    }
    hives
}

#[test]
fn hives_and_logs_of_another_writer_are_read_as_it_reads_them() {
    if !has_hivex() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let load = |name: &str| std::fs::read(folder.path().join(name)).expect("written by the script");
    std::fs::write(folder.path().join("first"), Tree::new("ROOT").hive()).expect("written");
    let hives = script(folder.path());
    let (first, second) = (&hives["first"], &hives["second"]);
    assert!(first.len() > 60 * 9 && second.len() > 120 * 9, "{} {}", first.len(), second.len());
    assert_eq!(read(load("first"), Vec::new()), (first.clone(), Vec::new()));
    assert_eq!(read(load("second"), Vec::new()), (second.clone(), Vec::new()));
    // The second half is only in the log.
    assert_eq!(read(load("dirty"), vec![load("old-log")]), (second.clone(), Vec::new()));
    assert_eq!(read(load("dirty"), vec![load("new-log")]), (second.clone(), Vec::new()));
    let (found, faults) = read(load("dirty"), Vec::new());
    assert_eq!((&found, faults.len()), (first, 1));
    let whole = load("second");
    for cut in (4096..whole.len()).step_by(4096) {
        assert_ne!(read(whole[..cut].to_vec(), Vec::new()).1.len(), 0, "cut at {cut}");
    }
}

/// Prints how many keys and values hivex finds in a hive.
const COUNT: &str = r#"
import hivex, sys
hive = hivex.Hivex(sys.argv[1])
def count(node):
    below = [count(child) for child in hive.node_children(node)]
    return 1 + sum(keys for keys, _ in below), len(hive.node_values(node)) + sum(values for _, values in below)
sys.setrecursionlimit(10000)
print(*count(hive.root()))
"#;

/// Reads every hive of a folder with the logs that are beside it, and compares those that are closed with hivex. Prints a line
/// for each. `MUSTER_HIVES=DIR cargo test -p muster-agent --lib hives_of_a_folder -- --ignored --nocapture`
#[test]
#[ignore = "needs MUSTER_HIVES, a folder with hives of real machines"]
fn the_hives_of_a_folder_are_read_as_hivex_reads_them_or_are_incomplete() {
    let folder = std::env::var_os("MUSTER_HIVES").expect("MUSTER_HIVES names a folder");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    for file in &files {
        let name = file.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        if name.to_ascii_uppercase().rsplit('.').next().is_some_and(|ending| ending.starts_with("LOG")) {
            continue;
        }
        let is_log = |other: &&std::path::PathBuf| {
            let other = other.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_uppercase();
            other.strip_prefix(&name.to_ascii_uppercase()).is_some_and(|ending| ending.starts_with(".LOG"))
        };
        let load = |file: &std::path::PathBuf| std::fs::read(file).expect("readable");
        let logs: Vec<Vec<u8>> = files.iter().filter(is_log).map(load).collect();
        let count = logs.len();
        let boxed = logs.into_iter().map(|log| Box::new(log) as Bytes).collect();
        let hive = match Hive::open(Box::new(load(file)), boxed) {
            Ok(hive) => hive,
            Err(fault) => {
                println!("{name}: refused: {fault}");
                continue;
            }
        };
        let mut faults: Vec<String> = hive.faults().iter().map(ToString::to_string).collect();
        let mut sizes = (0, 0);
        match hive.root() {
            Ok(root) => tally(&hive, &root, &mut sizes, &mut faults),
            Err(fault) => faults.push(fault.to_string()),
        }
        let output = Command::new(PYTHON).args(["-c", COUNT]).arg(file).output().expect("started");
        let counted = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let (own, first) = (format!("{} {}", sizes.0, sizes.1), faults.first().cloned().unwrap_or_default());
        println!("{name}: {own}; hivex without logs: {counted}; {count} logs; {} faults {first}", faults.len());
        // hivex refuses hives whose blocks have damaged heads, which hold nothing.
        let is_comparable = faults.is_empty() && count == 0 && !counted.is_empty();
        assert!(!is_comparable || own == counted, "{name} is complete and differs");
    }
}

fn tally(hive: &Hive, key: &Key, sizes: &mut (usize, usize), faults: &mut Vec<String>) {
    let (values, keys) = (hive.values(key), hive.keys(key));
    faults.extend(values.faults.iter().chain(&keys.faults).map(ToString::to_string));
    *sizes = (sizes.0 + 1, sizes.1 + values.entries.len());
    keys.entries.iter().for_each(|key| tally(hive, key, sizes, faults));
}
