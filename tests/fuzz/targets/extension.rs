//! Fuzzes the parser of browser extensions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::extension::{parse_add_ons, parse_manifest, parse_message};

fuzz_target!(|bytes: &[u8]| {
    let _ = (parse_manifest(bytes), parse_message(bytes, "name"), parse_add_ons(bytes));
});
