//! Fuzzes the answer of a proxy and the enrollment token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::uplink::proxy_answer;
use muster_proto::model::EnrollmentToken;

fuzz_target!(|bytes: &[u8]| {
    let _ = proxy_answer(bytes);
    let _ = String::from_utf8_lossy(bytes).parse::<EnrollmentToken>();
});
