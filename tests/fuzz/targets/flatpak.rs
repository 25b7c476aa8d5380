//! Fuzzes the parsers of flatpak's metadata and of application metadata.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::{key_file, metainfo};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let _ = (key_file::parse(&text), metainfo::parse(&text));
});
