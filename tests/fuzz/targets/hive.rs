//! Fuzzes the reader of registry hives: all keys and values, and lookups by name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::hive::Hive;

fuzz_target!(|bytes: &[u8]| {
    let Ok(hive) = Hive::open(Box::new(bytes.to_vec()), Vec::new()) else { return };
    let mut paths = Vec::new();
    hive.walk(&mut |path| paths.extend((paths.len() < 64).then(|| path.to_vec())));
    for path in paths {
        let root = hive.root().ok();
        let key = path.iter().fold(root, |key, name| key.and_then(|key| hive.key(&key, name).ok().flatten()));
        let _ = key.map(|key| hive.value(&key, ""));
    }
});
