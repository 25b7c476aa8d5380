//! Fuzzes the parser of systemd's unit files and os-release.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::{os_release::OsRelease, unit_file::Unit};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    Unit::default().read(&text);
    let _ = OsRelease::parse(&text).ids().count();
});
