//! Fuzzes the door to property lists: binary, XML and the old text form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::plist;

fuzz_target!(|bytes: &[u8]| {
    let _ = plist::parse(bytes);
});
