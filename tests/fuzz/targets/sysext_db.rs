//! Fuzzes the list of system extensions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::macos::extensions_db;
use muster_agent::sources::parse::plist;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(plist) = plist::parse(bytes) {
        let _ = extensions_db::parse(&plist);
    }
});
