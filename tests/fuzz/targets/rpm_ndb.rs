//! Fuzzes the parser of rpm's ndb database.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::rpm::of_ndb;

fuzz_target!(|bytes: &[u8]| {
    let _ = of_ndb(&bytes.to_vec());
});
