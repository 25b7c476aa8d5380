//! Fuzzes the replay of the logs of a registry hive. The first four bytes say where the two logs begin, in units of 512.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::hive::{Bytes, Hive};

fuzz_target!(|bytes: &[u8]| {
    let Some((ends, bytes)) = bytes.split_first_chunk::<4>() else { return };
    let end = |of: [u8; 2]| usize::from(u16::from_le_bytes(of)) * 512;
    let (main, logs) = bytes.split_at(end([ends[0], ends[1]]).min(bytes.len()));
    let (one, two) = logs.split_at(end([ends[2], ends[3]]).min(logs.len()));
    let logs = [one, two].map(|log| Box::new(log.to_vec()) as Bytes);
    let Ok(hive) = Hive::open(Box::new(main.to_vec()), logs.into()) else { return };
    let _ = hive.walk(&mut |_| ());
});
