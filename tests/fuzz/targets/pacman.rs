//! Fuzzes the parser of an entry of Arch's package database.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::pacman::parse;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse(bytes);
});
