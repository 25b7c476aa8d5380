//! Fuzzes the parsers of the package databases that `system-packages` reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::package_entry as entry;
use muster_agent::sources::parse::{dpkg, inventory, xbps};

fuzz_target!(|bytes: &[u8]| {
    let _ = (xbps::parse(bytes), inventory::parse(bytes), dpkg::parse(bytes, dpkg::Form::Opkg));
    for name in String::from_utf8_lossy(bytes).lines() {
        let _ = (entry::of_portage(name), entry::of_pkgtools(name), entry::of_eopkg(name), entry::of_xbps(name));
    }
});
