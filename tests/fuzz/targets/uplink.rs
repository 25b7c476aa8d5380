//! Fuzzes what a proxy answers, and the enrollment token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::uplink::{Token, proxy_answer};

fuzz_target!(|bytes: &[u8]| {
    let _ = proxy_answer(bytes);
    let _ = Token::parse(&String::from_utf8_lossy(bytes));
});
