//! One enrolled host that sends without pause gets no further than its budgets. It stays seen, the metrics show it, and
//! others report as before.

use anyhow::{Context, Result};
use muster_proto::wire::HostState;
use muster_tests::eventually::eventually;
use muster_tests::lab::{Lab, PATIENCE};
use muster_tests::player::{Player, snapshot_of};
use tokio::runtime::Runtime;
use tonic::Code;

const SETTINGS: &str =
    "[budgets]\nhost_editions_per_hour = 20000\nhost_changes_per_hour = 20\nhost_uploads_per_hour = 50\n";

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn names(wave: usize) -> Vec<String> {
    (0..1_000).map(|n| format!("package-{wave}-{n}")).collect()
}

fn metric(lab: &Lab, name: &str) -> Result<u64> {
    let (_, text) = lab.probe("/metrics")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("{name} in {text}"))?;
    Ok(line.trim().parse::<f64>()? as u64)
}

#[test]
fn a_host_that_sends_new_software_without_pause_is_throttled_and_hurts_nobody() -> Result<()> {
    let lab = Lab::start_with_settings(SETTINGS)?;
    runtime()?.block_on(async {
        let mut hostile = Player::enroll(&lab, "hostile").await?;
        let mut postponed = 0;
        for wave in 0..40 {
            let names = names(wave);
            let (snapshot, sections) = snapshot_of(&names.iter().map(String::as_str).collect::<Vec<_>>());
            if let Err(status) = hostile.deliver(&snapshot, &sections).await {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                assert!(status.message().starts_with("budgets.host_"), "{status}");
                postponed += 1;
            }
        }
        assert!(postponed > 0);
        // The hour may have changed once in between.
        assert!(metric(&lab, "muster_editions ")? <= 2 * 20_000 + 1_000);
        assert!(metric(&lab, "muster_throttlings_total{budget=\"host-editions\"} ")? >= 1);
        eventually("the host is counted", PATIENCE, || {
            Ok((metric(&lab, "muster_throttled_hosts ")? == 1).then_some(()))
        })?;
        let listed = || {
            let answer = lab.muster(&["hosts", "--throttled"])?;
            Ok(answer.stdout.contains("hostile").then_some(()))
        };
        eventually("the host is listed", PATIENCE, listed)?;
        let shown = lab.muster(&["host", "hostile"])?.stdout;
        assert!(shown.contains("it has spent budgets.host_editions_per_hour"), "{shown}");
        let status = lab.muster(&["status"])?.stdout;
        assert!(status.contains("1 throttled"), "{status}");
        let mut honest = Player::enroll(&lab, "honest").await?;
        let (snapshot, sections) = snapshot_of(&["adduser", "dpkg"]);
        assert!(honest.deliver(&snapshot, &sections).await?, "an honest host is not affected");
        Ok(())
    })
}

#[test]
fn a_host_that_changes_its_state_without_pause_is_throttled_and_stays_seen() -> Result<()> {
    let lab = Lab::start_with_settings(SETTINGS)?;
    runtime()?.block_on(async {
        let mut hostile = Player::enroll(&lab, "hostile").await?;
        let (snapshot, sections) = snapshot_of(&["adduser"]);
        assert!(hostile.deliver(&snapshot, &sections).await?);
        let mut postponed = 0;
        for n in 0..60 {
            let mut request = hostile.check_in_request(&snapshot);
            request.state = Some(HostState { boot_id: format!("boot-{n}"), ..HostState::default() });
            if let Err(status) = hostile.door.check_in(request).await {
                assert!(status.message().starts_with("budgets.host_changes_per_hour is spent"), "{status}");
                postponed += 1;
            }
        }
        // Twenty in each of at most two hours, and the first one was its delivery.
        assert!((21..=41).contains(&postponed), "{postponed}");
        Ok(())
    })
}
