//! Fuzzes the parser of browser extensions and of the policy that forces them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::extension::{parse_add_ons, parse_manifest, parse_message};
use muster_agent::sources::parse::extension_settings::parse_installed;

fuzz_target!(|bytes: &[u8]| {
    let _ = (parse_manifest(bytes), parse_message(bytes, "name"), parse_add_ons(bytes), parse_installed(bytes));
});
