//! Fuzzes what is read from property lists of macOS: jobs, bundles, receipts and lists of extensions of Safari.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::macos::{bundle, job, receipt, safari};
use muster_agent::sources::parse::plist;

fuzz_target!(|bytes: &[u8]| {
    let Ok(plist) = plist::parse(bytes) else { return };
    let _ = (job::Job::of(&plist), job::overrides(&plist), bundle::Bundle::of(&plist), safari::parse(&plist));
    let _ = (receipt::Receipt::of(&plist), receipt::Receipt::of_bundle(&plist), receipt::history(&plist));
    let _ = (receipt::Receipt::missing_key(&plist), bundle::Bundle::unreadable_key(&plist));
});
