//! Fuzzes the parser of the dpkg database.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::dpkg::{Form, parse};

fuzz_target!(|bytes: &[u8]| {
    let _ = (parse(bytes, Form::Status), parse(bytes, Form::Control));
});
