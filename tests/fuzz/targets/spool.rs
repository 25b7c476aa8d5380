//! Fuzzes the readers of the spool: an entry, and the delivery in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::{spool, uplink::Delivery};

fuzz_target!(|bytes: &[u8]| {
    let _ = Delivery::decode(bytes.to_vec());
    let _ = spool::decode(bytes.to_vec()).map(Delivery::decode);
});
