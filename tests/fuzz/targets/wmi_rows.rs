//! Fuzzes recorded answers of Windows Management Instrumentation, and what is read from their rows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::sources::parse::windows::defender_status::DefenderStatus;
use muster_agent::sources::parse::windows::wmi::{Answer, Answers};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let Ok(answers) = Answers::parse(&text) else { return };
    // What is recorded can be replayed.
    assert_eq!(Answers::parse(&answers.lines().join("\n")).as_ref(), Ok(&answers));
    for class in ["d", "root\\Microsoft\\Windows\\Defender:MSFT_MpComputerStatus"] {
        if let Some(Answer::Rows(rows)) = answers.of(class) {
            rows.iter().for_each(|row| drop(DefenderStatus::of(row)));
        }
    }
});
