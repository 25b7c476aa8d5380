//! Fuzzes the parser of the kernel's tables of modules and mounts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::{modules, mounts::Mounts};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let _ = (modules::loaded(&text), modules::listed(&text).count(), Mounts::parse(&text).is_on_network("/home/x"));
});
