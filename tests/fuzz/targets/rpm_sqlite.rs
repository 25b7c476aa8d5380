//! Fuzzes the parser of rpm's SQLite database with its log; the first two bytes say where the log begins.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::rpm::of_sqlite;

fuzz_target!(|bytes: &[u8]| {
    let Some((place, bytes)) = bytes.split_first_chunk::<2>() else { return };
    let (main, wal) = bytes.split_at(usize::from(u16::from_le_bytes(*place)).min(bytes.len()));
    let (main, wal) = (main.to_vec(), wal.to_vec());
    let _ = of_sqlite(&main, Some(&wal));
});
