//! Fuzzes the reader of the version resource of programs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::windows::version_resource;

fuzz_target!(|bytes: &[u8]| {
    let _ = (version_resource::read(&bytes.to_vec()), version_resource::parse(bytes));
});
