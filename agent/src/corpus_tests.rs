//! Runs every parser on the seeds of the fuzzers: complete, truncated everywhere, and mutated at random.
//!
//! `MUSTER_FUZZ_SECONDS=600` mutates for that long per parser and prints the number of inputs; `MUSTER_FUZZ_ONLY` selects
//! parsers, separated by commas. Without them the tests take a fraction of a second. They run everywhere; the fuzzers in
//! `tests/fuzz`, which measure coverage, need another build.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use muster_proto::canonical::{self, CanonicalSection};

use crate::sources::parse::macos::{bom, bundle, extensions_db, job, receipt, safari};
use crate::sources::parse::mounts::Mounts;
use crate::sources::parse::os_release::OsRelease;
use crate::sources::parse::windows::defender_status::DefenderStatus;
use crate::sources::parse::windows::variables::Folders;
use crate::sources::parse::windows::{cert_blob, image_path, task, version_resource, wmi};
use crate::sources::parse::{
    apk, certificate, dpkg, elf, extension, extension_settings, fdinfo, hive, inventory, key_file, metainfo, modules,
    network, package_entry as entry, pacman, plist, rpm, signatures as s, snap, unit_file, xbps,
};
use crate::{spool, uplink};

type Parser = fn(&[u8]);

/// The fuzzers by name, each with the parsers that it calls.
const PARSERS: &[(&str, Parser)] = &[
    ("apk", |bytes| drop(apk::parse(bytes).first_missing(&text(bytes)).map(str::to_owned))),
    ("bom", |bytes| {
        if let Some(bom) = bom::Bom::parse(bytes) {
            bom.remains("/", 1000, &mut |_| Some(true));
        }
    }),
    ("canonical", |bytes| {
        let view = CanonicalSection::read(bytes.to_vec().into()).map(|section| section.observations().len());
        let section = canonical::read_section(bytes);
        // Both readers must accept the same bytes, and writing must reproduce them.
        assert_eq!(view.ok(), section.as_ref().ok().map(|section| section.observations().len()));
        if let Ok(section) = section {
            assert_eq!(canonical::section_bytes(&section), bytes);
        }
        if let Ok(snapshot) = canonical::read_snapshot(bytes) {
            assert_eq!(canonical::snapshot_bytes(&snapshot), bytes);
        }
    }),
    ("cert_blob", |bytes| {
        if let Some(der) = cert_blob::certificate(bytes) {
            // A certificate is a part of the blob, and cannot be longer.
            assert!(der.len() + 12 <= bytes.len());
            drop((certificate::parse(der), cert_blob::thumbprint(der)));
        }
        assert!(cert_blob::thumbprints(bytes).len() <= bytes.len() / 2);
    }),
    ("certificate", |bytes| drop(certificate::parse(bytes))),
    ("dpkg", |bytes| drop((dpkg::parse(bytes, dpkg::Form::Status), dpkg::parse(bytes, dpkg::Form::Control)))),
    ("extension", |bytes| {
        let parsed = (extension::parse_manifest(bytes), extension::parse_message(bytes, "name"));
        drop((parsed, extension::parse_add_ons(bytes), extension_settings::parse_installed(bytes)));
    }),
    ("flatpak", |bytes| drop((key_file::parse(&text(bytes)), metainfo::parse(&text(bytes))))),
    ("hive", |bytes| read_hive(bytes, &[])),
    ("hive_log", |bytes| {
        let Some((ends, bytes)) = bytes.split_first_chunk::<4>() else { return };
        let end = |of: [u8; 2]| usize::from(u16::from_le_bytes(of)) * 512;
        let (main, logs) = bytes.split_at(end([ends[0], ends[1]]).min(bytes.len()));
        let (one, two) = logs.split_at(end([ends[2], ends[3]]).min(logs.len()));
        read_hive(main, &[one, two]);
    }),
    ("host", |bytes| {
        let (text, os) = (text(bytes), OsRelease::parse(&text(bytes)));
        drop((os.pretty_name(), os.ids().count(), elf::architecture(bytes)));
        drop((network::ipv4_of_fib_trie(&text), network::ipv6_of_if_inet6(&text)));
    }),
    ("image_path", |bytes| {
        let text = text(bytes);
        let folders = Folders::usual('C');
        drop((image_path::of_driver(&text, "klif", &folders), image_path::of_program(&text, &folders)));
        drop((task::of_actions(bytes), task::of_xml(bytes)));
    }),
    ("kernel", |bytes| {
        let text = text(bytes);
        drop((modules::loaded(&text), modules::listed(&text).count(), Mounts::parse(&text).is_on_network("/home/x")));
    }),
    ("launchd", |bytes| {
        let Ok(list) = plist::parse(bytes) else { return };
        drop((job::Job::of(&list), job::overrides(&list), bundle::Bundle::of(&list), safari::parse(&list)));
        drop((receipt::Receipt::of(&list), receipt::Receipt::of_bundle(&list), receipt::history(&list)));
        let _ = (receipt::Receipt::missing_key(&list), bundle::Bundle::unreadable_key(&list));
    }),
    ("pacman", |bytes| drop(pacman::parse(bytes))),
    ("plist_door", |bytes| drop(plist::parse(bytes))),
    ("rpm_berkeley", |bytes| drop(rpm::of_berkeley(&bytes.to_vec()))),
    ("rpm_ndb", |bytes| drop(rpm::of_ndb(&bytes.to_vec()))),
    ("rpm_sqlite", |bytes| {
        let Some((place, bytes)) = bytes.split_first_chunk::<2>() else { return };
        let (main, log) = bytes.split_at(usize::from(u16::from_le_bytes(*place)).min(bytes.len()));
        drop(rpm::of_sqlite(&main.to_vec(), Some(&log.to_vec())));
    }),
    ("snap", |bytes| drop((snap::parse_state(bytes), snap::parse_yaml(&text(bytes))))),
    ("spool", |bytes| {
        drop(uplink::Delivery::decode(bytes.to_vec()));
        drop(spool::decode(bytes.to_vec()).map(uplink::Delivery::decode));
    }),
    ("state", |bytes| {
        let text = text(bytes);
        fdinfo::Hooks::default().read(&text);
        drop((s::of_clamav(bytes), s::clamav_directory(&text), s::of_definfo(&text), s::symantec_directory(&text)));
        drop((
            s::of_sophos_status(&text),
            s::sophos_on_access(&text),
            s::of_dated_version(&text),
            s::ufw_enabled(&text),
        ));
    }),
    ("sysext_db", |bytes| drop(plist::parse(bytes).map(|list| extensions_db::parse(&list)))),
    ("system_packages", |bytes| {
        let text = text(bytes);
        drop((xbps::parse(bytes), inventory::parse(bytes), dpkg::parse(bytes, dpkg::Form::Opkg)));
        for name in text.lines() {
            drop((entry::of_portage(name), entry::of_pkgtools(name), entry::of_eopkg(name), entry::of_xbps(name)));
        }
    }),
    ("unit_file", |bytes| unit_file::Unit::default().read(&text(bytes))),
    ("uplink", |bytes| {
        drop((uplink::proxy_answer(bytes), text(bytes).parse::<muster_proto::model::EnrollmentToken>()))
    }),
    ("version_resource", |bytes| drop((version_resource::read(&bytes.to_vec()), version_resource::parse(bytes)))),
    ("wmi_rows", |bytes| {
        let Ok(answers) = wmi::Answers::parse(&text(bytes)) else { return };
        // What is recorded can be replayed.
        assert_eq!(wmi::Answers::parse(&answers.lines().join("\n")).as_ref(), Ok(&answers));
        for class in ["d", r"root\Microsoft\Windows\Defender:MSFT_MpComputerStatus"] {
            if let Some(wmi::Answer::Rows(rows)) = answers.of(class) {
                rows.iter().for_each(|row| drop(DefenderStatus::of(row)));
            }
        }
    }),
];

/// Reads a hive completely, and then some of its keys by name.
fn read_hive(main: &[u8], logs: &[&[u8]]) {
    let logs = logs.iter().map(|log| Box::new(log.to_vec()) as hive::Bytes).collect();
    let Ok(hive) = hive::Hive::open(Box::new(main.to_vec()), logs) else { return };
    let mut paths = Vec::new();
    hive.walk(&mut |path| paths.extend((paths.len() < 64).then(|| path.to_vec())));
    for path in paths {
        let root = hive.root().ok();
        let key = path.iter().fold(root, |key, name| key.and_then(|key| hive.key(&key, name).ok().flatten()));
        drop(key.map(|key| hive.value(&key, "")));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz")
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder().join("seeds").join(name)).expect("a corpus");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

/// The longest time for one input, in an unoptimised build on a busy machine.
const INPUT_TIME_LIMIT: Duration = Duration::from_secs(5);

fn try_one(name: &str, parser: Parser, bytes: &[u8]) {
    let started = Instant::now();
    if catch_unwind(AssertUnwindSafe(|| parser(bytes))).is_err() || started.elapsed() > INPUT_TIME_LIMIT {
        let path = std::env::temp_dir().join(format!("muster-{name}-{}", std::process::id()));
        std::fs::write(&path, bytes).expect("written");
        panic!("{name} panics on the bytes in {}, or takes {:?} for them", path.display(), started.elapsed());
    }
}

/// A pseudorandom number generator (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (end.max(1) as u64)).unwrap_or(0)
    }
}

/// Mutates the input in ways that find bugs in parsers of lengths, offsets and magic numbers.
fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const TELLING: [u32; 8] = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, u32::MAX];
    let at = random.below(bytes.len());
    match random.below(8) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = u8::try_from(random.below(256)).unwrap_or(0),
        2 => bytes.truncate(at),
        3 if at + 4 <= bytes.len() => {
            let number = TELLING[random.below(TELLING.len())];
            let number = if random.below(2) == 0 { number.to_le_bytes() } else { number.to_be_bytes() };
            bytes[at..at + 4].copy_from_slice(&number);
        }
        4 if !other.is_empty() => {
            let from = random.below(other.len());
            let length = random.below((other.len() - from).min(600)) + 1;
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, other[from..from + length].iter().copied());
        }
        5 if !bytes.is_empty() => {
            // Duplicates a part, so that a page, a line or a magic number is in the wrong place.
            let length = random.below((bytes.len() - at).min(600)) + 1;
            let part = bytes[at..at + length].to_vec();
            let to = random.below(bytes.len() - length + 1);
            bytes[to..to + length].copy_from_slice(&part);
        }
        6 if bytes.len() < 64 * 1024 => {
            let part: Vec<u8> = bytes[at..].iter().take(64).copied().collect();
            bytes.splice(at..at, part);
        }
        _ => bytes.push(u8::try_from(random.below(256)).unwrap_or(0)),
    }
}

#[test]
fn every_fuzzer_has_a_corpus_and_is_replayed_here() {
    let names = |dir: &str| -> Vec<String> {
        let entries = std::fs::read_dir(folder().join(dir)).expect("a folder");
        let name = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
        let mut names: Vec<String> = entries.map(|entry| name(entry.expect("an entry").path())).collect();
        names.sort();
        names
    };
    let known: Vec<String> = PARSERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("targets"), known);
    assert_eq!(names("seeds"), known);
}

#[test]
fn no_complete_or_truncated_seed_makes_a_parser_panic() {
    for (name, parser) in PARSERS {
        for seed in corpus(name) {
            let step = (seed.len() / 2000).max(1);
            (0..seed.len()).step_by(step).for_each(|cut| try_one(name, *parser, &seed[..cut]));
            try_one(name, *parser, &seed);
        }
    }
}

#[test]
fn no_mutated_seed_makes_a_parser_panic() {
    let seconds: Option<u64> = std::env::var("MUSTER_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let only = std::env::var("MUSTER_FUZZ_ONLY").ok();
    for (name, parser) in
        PARSERS.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only.split(',').any(|one| one == *name)))
    {
        let mut pool = corpus(name);
        let seeds = pool.len();
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seconds.unwrap_or(0));
        let (started, mut tried) = (Instant::now(), 0_u64);
        while seconds.map_or(tried < 300, |seconds| started.elapsed() < Duration::from_secs(seconds)) {
            let mut bytes = pool[random.below(pool.len())].clone();
            let other = pool[random.below(seeds)].clone();
            (0..=random.below(6)).for_each(|_| change(&mut bytes, &other, &mut random));
            try_one(name, *parser, &bytes);
            tried += 1;
            // Mutated inputs are mutated further, so that mutations add up. The seeds stay.
            if pool.len() < seeds + 64 {
                pool.push(bytes);
            } else if tried.is_multiple_of(7) {
                let at = seeds + random.below(64);
                pool[at] = bytes;
            }
        }
        if seconds.is_some() {
            eprintln!("{name}: {tried} inputs in {} s", started.elapsed().as_secs());
        }
    }
}
