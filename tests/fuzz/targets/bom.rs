//! Fuzzes the bills of materials of packages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::macos::bom::Bom;

fuzz_target!(|bytes: &[u8]| {
    if let Some(bom) = Bom::parse(bytes) {
        let _ = bom.remains("/", 1000, &mut |_| Some(true));
    }
});
