//! Things in the rules folder that are no rule files: the collector refuses them by name, keeps its rules, and goes on to
//! answer probes and signals.

use std::process::Command;

use anyhow::{Result, ensure};
use muster_tests::eventually;
use muster_tests::lab::{Lab, PATIENCE};

use super::{assert_serves, runtime};

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    ensure!(Command::new(program).args(arguments).status()?.success(), "{program} {arguments:?} failed");
    Ok(())
}

/// Waits until `/readyz` shows the text, or does not show it. It must be ready the whole time.
fn wait_for_note(lab: &Lab, note: &str, is_shown: bool) -> Result<()> {
    let what = format!("{note:?} is {}shown", if is_shown { "" } else { "no longer " });
    eventually(&what, PATIENCE, || {
        let (status, text) = lab.probe("/readyz")?;
        ensure!(status == 200, "the collector is not ready: {text}");
        Ok((text.contains(note) == is_shown).then_some(()))
    })
}

#[test]
fn a_pipe_in_the_rules_folder_stops_neither_the_collector_nor_its_stop() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let catalogue = folder.path().join("catalogue");
    std::fs::create_dir(&catalogue)?;
    let settings = format!("[rules]\noverlay = '{}'\npoll = '12h'\n", folder.path().display());
    let mut lab = Lab::start_with_settings(&settings)?;
    let id = lab.collector()?.id().to_string();

    let pipe = catalogue.join("pipe.toml").display().to_string();
    run("mkfifo", &[&pipe])?;
    run("kill", &["-HUP", &id])?;
    wait_for_note(&lab, &format!("{pipe}: is a named pipe"), true)?;
    runtime()?.block_on(assert_serves(&lab))?;

    std::fs::remove_file(&pipe)?;
    std::fs::write(&pipe, vec![b'#'; 300_000])?;
    run("kill", &["-HUP", &id])?;
    wait_for_note(&lab, "has more than 262144 bytes (rules.file_bytes)", true)?;

    std::fs::remove_file(&pipe)?;
    run("kill", &["-HUP", &id])?;
    wait_for_note(&lab, "refused", false)?;

    run("mkfifo", &[&pipe])?;
    run("kill", &["-HUP", &id])?;
    wait_for_note(&lab, "is a named pipe", true)?;
    lab.stop_collector()
}
