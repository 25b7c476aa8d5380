//! Fuzzes the strict readers of sections and snapshots, which must agree with each other and with the writer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_proto::canonical::{CanonicalSection, snapshot_bytes, read_snapshot, read_section, section_bytes};

fuzz_target!(|bytes: &[u8]| {
    let view = CanonicalSection::read(bytes.to_vec().into()).map(|section| section.observations().len());
    let section = read_section(bytes);
    assert_eq!(view.ok(), section.as_ref().ok().map(|section| section.observations().len()));
    if let Ok(section) = section {
        assert_eq!(section_bytes(&section), bytes);
    }
    if let Ok(snapshot) = read_snapshot(bytes) {
        assert_eq!(snapshot_bytes(&snapshot), bytes);
    }
});
