//! Fuzzes the parser of rpm's Berkeley DB database.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::rpm::of_berkeley;

fuzz_target!(|bytes: &[u8]| {
    let _ = of_berkeley(&bytes.to_vec());
});
