//! Deliveries: what is sent, what is not sent twice, and what is spooled while the collector is unreachable.

use anyhow::{Context, Result};
use muster_proto::canonical;
use muster_tests::canned::Root;
use muster_tests::lab::{Agent, Lab};
use muster_tests::player::{Player, snapshot_of};
use muster_tests::process::Answer;
use muster_tests::wiretap::Wiretap;
use serde_json::Value;

/// The most that an unchanged host may cost: a handshake with both certificates, a check-in and its answer.
const CHECK_IN_ONLY: u64 = 6 * 1024;

/// An agent behind a tap that counts its bytes.
fn tapped_agent(lab: &Lab, tap: &Wiretap, name: &str) -> Result<Agent> {
    let agent = lab.agent(name);
    agent.enroll_at(tap.address(), &lab.token(1, "1h")?)?.expect_code(0)?;
    tap.take();
    Ok(agent)
}

/// The agent's JSON summary of its delivery.
fn report(agent: &Agent, root: &Root) -> Result<Value> {
    Answer::of(agent.command("once")?.args(["-o", "json", "--root"]).arg(root.path()))?.expect_code(0)?.json()
}

/// The host as `muster host` shows it.
fn host(lab: &Lab, name: &str) -> Result<Value> {
    lab.judged()?;
    let answer = lab.muster(&["host", name, "-o", "json"])?;
    answer.json().with_context(|| format!("muster host {name}"))
}

fn snapshot_digest(lab: &Lab, name: &str) -> Result<String> {
    let host = host(lab, name)?;
    let digest = host["snapshot"].as_str().context("the host has no snapshot")?;
    assert_eq!(digest.len(), 64, "{digest}");
    Ok(digest.to_owned())
}

#[test]
fn a_second_snapshot_sends_one_digest_and_no_section() -> Result<()> {
    let lab = Lab::start()?;
    let tap = Wiretap::before(&lab.listening().agents)?;
    let agent = tapped_agent(&lab, &tap, "web-1")?;
    let root = Root::debian("web-1")?;

    let said = report(&agent, &root)?;
    let first = tap.take();
    assert_eq!(said["sections_sent"], 3, "host, dpkg and systemd-units: {said}");
    let digest = snapshot_digest(&lab, "web-1")?;
    assert_eq!(said["snapshot"], digest);
    let said = report(&agent, &root)?;
    let second = tap.take();
    assert_eq!((said["sections_sent"].as_u64(), said["section_bytes"].as_u64()), (Some(0), Some(0)), "{said}");

    assert!(first.up > 20 * 1024, "the first snapshot sent only {} bytes", first.up);
    assert!(second.up < CHECK_IN_ONLY, "the second snapshot sent {} bytes", second.up);
    assert!(second.up > 32, "the second snapshot sent nothing: {second:?}");
    assert_eq!(snapshot_digest(&lab, "web-1")?, digest);
    Ok(())
}

#[test]
fn two_machines_of_one_image_share_every_section() -> Result<()> {
    let lab = Lab::start()?;
    let tap = Wiretap::before(&lab.listening().agents)?;
    for (name, user) in [("clone-1", "alice"), ("clone-2", "bob")] {
        let agent = tapped_agent(&lab, &tap, name)?;
        let root = Root::debian(name)?;
        // Users, ids and logs differ between machines of one image. None of it may get into a section.
        root.write("etc/passwd", &format!("{user}:x:1000:1000::/home/{user}:/bin/bash\n"))?;
        root.write("etc/machine-id", &format!("{:0>32}\n", name.len() + user.len()))?;
        root.write(&format!("home/{user}/.profile"), "umask 022\n")?;
        let said = report(&agent, &root)?;
        let sent = tap.take();
        if name == "clone-2" {
            assert_eq!(said["sections_sent"], 0, "{said}");
            assert!(sent.up < CHECK_IN_ONLY, "the second machine of the image sent {} bytes", sent.up);
        }
    }
    assert_eq!(snapshot_digest(&lab, "clone-1")?, snapshot_digest(&lab, "clone-2")?);
    Ok(())
}

#[test]
fn a_changed_source_sends_its_own_section_and_no_other() -> Result<()> {
    let lab = Lab::start()?;
    let tap = Wiretap::before(&lab.listening().agents)?;
    let agent = tapped_agent(&lab, &tap, "db-1")?;
    let root = Root::debian("db-1")?;
    agent.report(root.path())?;
    let whole = tap.take();
    let before = snapshot_digest(&lab, "db-1")?;
    // One more unit: the packages, which are most of the snapshot, do not change.
    root.write("usr/lib/systemd/system/extra.service", "[Service]\nExecStart=/usr/bin/true\n")?;
    let said = report(&agent, &root)?;
    let part = tap.take();
    assert_eq!(said["sections_sent"], 1, "{said}");
    assert!(part.up < whole.up / 2, "one changed unit sent {} of {} bytes", part.up, whole.up);
    assert_ne!(snapshot_digest(&lab, "db-1")?, before);
    Ok(())
}

#[test]
fn a_snapshot_made_while_the_collector_is_away_arrives_when_it_is_back() -> Result<()> {
    let mut lab = Lab::start()?;
    let agent = lab.enrolled_agent("laptop")?;
    let root = Root::debian("laptop")?;
    agent.report(root.path())?;
    let before = snapshot_digest(&lab, "laptop")?;
    lab.stop_collector()?;
    root.install("made-while-away", "1.0")?;
    let failed = agent.once(root.path())?.expect_code(1)?;
    let address = lab.listening().agents.clone();
    assert!(failed.stderr.contains(&address), "the error does not name {address}: {}", failed.stderr);
    lab.serve()?;
    agent.report(root.path())?;
    assert_ne!(snapshot_digest(&lab, "laptop")?, before);
    Ok(())
}

#[test]
fn a_replayed_upload_changes_nothing() -> Result<()> {
    let lab = Lab::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut player = Player::enroll(&lab, "replayed").await?;
        let (old, old_sections) = snapshot_of(&["a"]);
        let (new, new_sections) = snapshot_of(&["a", "b"]);
        assert!(player.deliver(&old, &old_sections).await?);
        let header = player.header(&old);
        assert!(player.deliver(&new, &new_sections).await?);
        // The same message again, as from a network that delivers twice.
        let replayed = player.upload_parts(vec![header]).await;
        assert_eq!(
            snapshot_digest(&lab, "replayed")?,
            canonical::snapshot_digest(&new).to_string(),
            "the replay ({replayed:?}) brought the old snapshot back"
        );
        Ok(())
    })
}

#[test]
fn a_snapshot_counts_only_when_all_its_sections_are_there() -> Result<()> {
    let lab = Lab::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut player = Player::enroll(&lab, "partial").await?;
        let (snapshot, sections) = snapshot_of(&["only", "half"]);
        let asked = player.check_in(&snapshot).await?;
        assert!(asked.snapshot_wanted, "an unknown snapshot is requested");
        let half = player.upload(&snapshot, &sections[..1]).await?;
        assert!(!half.accepted, "a snapshot without all its sections was accepted");
        assert_eq!(half.sections_wanted.len(), 1, "{half:?}");
        assert_eq!(half.sections_wanted[0].as_ref(), canonical::section_digest(&sections[1]).as_bytes());
        // What arrived is kept: only the rest is requested and sent.
        let asked = player.check_in(&snapshot).await?;
        assert!(asked.snapshot_wanted, "not all its sections are there");
        assert_eq!(asked.sections_wanted, half.sections_wanted);
        let header = player.header(&snapshot);
        let rest = player.upload_parts(vec![header, muster_tests::player::section_part(&sections[1])]).await?;
        assert!(rest.accepted, "{rest:?}");
        assert_eq!(snapshot_digest(&lab, "partial")?, canonical::snapshot_digest(&snapshot).to_string());
        Ok(())
    })
}
