//! The agent on a full disk: it delivers what it can, and what is already spooled stays intact.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use muster_proto::model::Digest;
use muster_tests::canned::Root;
use muster_tests::lab::{Agent, Lab};
use muster_tests::left_out;
use muster_tests::process::Answer;
use serde_json::Value;

fn status(agent: &Agent) -> Result<Value> {
    Answer::of(agent.command("status")?.args(["-o", "json"]))?.expect_code(0)?.json()
}

fn snapshot_at_collector(lab: &Lab, name: &str) -> Result<String> {
    let host = lab.muster(&["host", name, "-o", "json"])?.json()?;
    Ok(host["snapshot"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_snapshot_that_no_file_can_hold_is_delivered_all_the_same_and_counted_when_it_was_not() -> Result<()> {
    let mut lab = Lab::start()?;
    let root = Root::debian("narrow")?;
    let agent = lab.enrolled_agent("narrow")?;
    // The system cuts every file of this process at 8 KiB: a write beyond fails in its middle, as on a full disk.
    let limited = |agent: &Agent| -> Result<Answer> {
        let once = agent.command("once")?;
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""]).arg(once.get_program());
        shell.args(once.get_args()).arg("--root").arg(root.path());
        Answer::of(&mut shell)
    };
    let answer = limited(&agent)?.expect_code(0)?;
    assert!(answer.stderr.contains("cannot spool the snapshot"), "{}", answer.stderr);
    let counts = |after: &Value| (after["spool"]["snapshots"].as_u64(), after["spool"]["dropped"].as_u64());
    let after = status(&agent)?;
    assert_eq!(counts(&after), (Some(0), Some(0)), "{after}");
    assert_eq!(snapshot_at_collector(&lab, "narrow")?, after["last_acknowledged_snapshot"].as_str().unwrap_or("none"));

    lab.stop_collector()?;
    root.install("unseen", "1")?;
    limited(&agent)?.expect_code(1)?;
    let after = status(&agent)?;
    assert_eq!(counts(&after), (Some(0), Some(1)), "{after}");
    Ok(())
}

#[test]
fn what_was_lost_before_it_could_be_delivered_is_told_to_the_collector_and_shown() -> Result<()> {
    let mut lab = Lab::start()?;
    let root = Root::debian("lossy")?;
    let agent = lab.enrolled_agent("lossy")?;
    let losses = |lab: &Lab| -> Result<Value> {
        Ok(lab.muster(&["host", "lossy", "-o", "json"])?.json()?["state"]["losses"].clone())
    };
    agent.report(root.path())?;
    assert_eq!(losses(&lab)?, serde_json::json!({"coalesced": 0, "dropped": 0, "damaged": 0}));
    let page = lab.muster(&["host", "lossy"])?.stdout;
    assert!(!page.contains("lost scans"), "{page}");

    lab.stop_collector()?;
    for package in ["one", "two", "three"] {
        root.install(package, "1")?;
        agent.once(root.path())?.expect_code(1)?;
    }
    // The disk does not give back the oldest as it was written, and the next is no snapshot.
    let mut kept: Vec<PathBuf> =
        std::fs::read_dir(agent.state_dir().join("spool"))?.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    kept.sort();
    assert_eq!(kept.len(), 3, "{kept:?}");
    std::fs::write(&kept[0], &std::fs::read(&kept[0])?[..100])?;
    let no_snapshot = b"not a snapshot";
    let (length, digest) = ((no_snapshot.len() as u64).to_le_bytes(), Digest::of(no_snapshot));
    let header = [b"MSPL\x01".as_slice(), &length, digest.as_bytes()];
    std::fs::write(&kept[1], [&header.concat(), no_snapshot.as_slice()].concat())?;
    lab.serve()?;
    agent.report(root.path())?;
    assert_eq!(losses(&lab)?, serde_json::json!({"coalesced": 0, "dropped": 0, "damaged": 2}));
    for command in ["host", "explain"] {
        let page = lab.muster(&[command, "lossy"])?.stdout;
        assert!(page.contains("lost scans") && page.contains("2 damaged"), "{command}: {page}");
    }
    // The losses are sent once and stay recorded.
    root.install("four", "1")?;
    agent.report(root.path())?;
    assert_eq!(losses(&lab)?["damaged"], 2);
    let said = lab.collector()?.output();
    assert!(said.contains("a host lost snapshots before it could deliver them"), "{said}");
    Ok(())
}

/// A filesystem of a few pages that goes away with the value.
pub(crate) struct Tiny(PathBuf);

impl Tiny {
    /// `None` where the test has no right to mount.
    pub(crate) fn mount(at: &Path, size: &str) -> Result<Option<Self>> {
        std::fs::create_dir_all(at)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"]).arg(at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        Ok(mounted.then(|| Self(at.to_owned())))
    }

    /// Writes a file until nothing more fits.
    pub(crate) fn fill(&self) -> Result<PathBuf> {
        use std::io::Write;
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path)?;
        while file.write_all(&[0; 512]).is_ok() {}
        Ok(path)
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        // A test that fails leaves no mount behind either.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_what_was_kept_survives_and_nothing_stops() -> Result<()> {
    let mut lab = Lab::start()?;
    let agent = lab.agent("full");
    let Some(disk) = Tiny::mount(agent.state_dir(), "256k")? else {
        left_out("a full disk", "no permission to mount a filesystem; the first test uses a file size limit instead");
        return Ok(());
    };
    agent.enroll(&lab.token(1, "1h")?)?.expect_code(0)?;
    let root = Root::debian("full")?;
    root.install("before", "1")?;
    root.write("etc/passwd", "jane:x:1000:1000::/home/jane:/bin/bash\n")?;
    let extension = ".config/google-chrome/Default/Extensions/ddoleachckhhdmhpbkddgechjfhnphpe/2.0_0/manifest.json";
    root.write(&format!("home/jane/{extension}"), r#"{"name":"Kaspersky Protection","version":"2.0"}"#)?;
    let filler = disk.fill()?;
    let once =
        || -> Result<Answer> { Answer::of(agent.command("once")?.arg("--root").arg(root.path()))?.expect_code(0) };
    // Even the secret for pseudonyms does not fit: no user items are reported, and the outcome is not empty.
    let answer = once().context("the first snapshot on a full disk")?;
    assert!(answer.stderr.contains("cannot load the secret for user pseudonyms"), "{}", answer.stderr);
    let users = |lab: &Lab| -> Result<(Value, usize)> {
        let state = lab.muster(&["host", "full", "-o", "json"])?.json()?["state"].clone();
        Ok((state["users_outcome"].clone(), state["user_items"].as_array().map_or(0, Vec::len)))
    };
    assert_eq!(users(&lab)?, (Value::from("failed"), 0));
    std::fs::remove_file(&filler)?;
    once().context("with free space again")?;
    assert_eq!(users(&lab)?, (Value::from("found"), 1));
    root.install("again", "1")?;
    let filler = disk.fill()?;
    once().context("with a full disk and an existing secret")?;

    lab.stop_collector()?;
    std::fs::remove_file(&filler)?;
    root.install("first", "1")?;
    agent.once(root.path())?.expect_code(1)?;
    assert_eq!(status(&agent)?["spool"]["snapshots"], 1);
    disk.fill()?;
    root.install("second", "1")?;
    let answer = agent.once(root.path())?.expect_code(1)?;
    // Even the loss counter does not fit, so the log must say it.
    assert!(answer.stderr.contains("cannot spool the snapshot"), "{}", answer.stderr);
    assert_eq!(status(&agent)?["spool"]["snapshots"], 1, "what was kept before is still there");

    lab.serve()?;
    let answer = Answer::of(agent.command("once")?.args(["-o", "json", "--root"]).arg(root.path()))?.expect_code(0)?;
    assert_eq!(
        answer.json()?["snapshots_delivered"],
        2,
        "the one that was kept, and the present one: {}",
        answer.stderr
    );
    assert_eq!(snapshot_at_collector(&lab, "full")?, answer.json()?["snapshot"].as_str().unwrap_or("none"));
    assert_eq!(status(&agent)?["spool"]["snapshots"], 0);
    Ok(())
}
