//! Fuzzes the parser of the programs of services, drivers and tasks, and the parser of tasks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::windows::variables::Folders;
use muster_agent::sources::parse::windows::{image_path, task};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let folders = Folders::usual('C');
    let _ = (image_path::of_driver(&text, "klif", &folders), image_path::of_program(&text, &folders));
    let _ = (task::of_actions(bytes), task::of_xml(bytes));
});
