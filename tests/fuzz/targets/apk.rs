//! Fuzzes the parser of Alpine's package database.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::apk::parse;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse(bytes).first_missing(&String::from_utf8_lossy(bytes));
});
