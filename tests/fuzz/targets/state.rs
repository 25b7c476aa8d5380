//! Fuzzes the parsers for the host state: descriptors of processes, and vendors' files with signatures and settings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::fdinfo::Hooks;
use muster_agent::sources::parse::signatures as s;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    Hooks::default().read(&text);
    let _ = (s::of_clamav(bytes), s::clamav_directory(&text), s::of_definfo(&text), s::symantec_directory(&text));
    let _ = (s::of_sophos_status(&text), s::sophos_on_access(&text), s::of_dated_version(&text), s::ufw_enabled(&text));
});
