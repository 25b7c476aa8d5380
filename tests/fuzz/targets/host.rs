//! Fuzzes the parsers for the host's facts: os-release, the head of a program, tables of addresses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::os_release::OsRelease;
use muster_agent::sources::parse::{elf, network};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let os = OsRelease::parse(&text);
    let _ = (os.pretty_name(), os.ids().count(), elf::architecture(bytes));
    let _ = (network::ipv4_of_fib_trie(&text), network::ipv6_of_if_inet6(&text));
});
