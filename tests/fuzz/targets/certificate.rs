//! Fuzzes the parser of certificates.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::certificate::parse;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse(bytes);
});
