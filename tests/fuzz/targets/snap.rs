//! Fuzzes the parsers of a snap's metadata and snapd's state.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::snap::{parse_state, parse_yaml};

fuzz_target!(|bytes: &[u8]| {
    let _ = (parse_state(bytes), parse_yaml(&String::from_utf8_lossy(bytes)));
});
