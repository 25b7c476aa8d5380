//! A store without space: probes, status and log say so, agents keep their reports, and all goes on when there is space.

use anyhow::{Result, ensure};
use muster_tests::canned::Root;
use muster_tests::lab::{Lab, PATIENCE};
use muster_tests::{eventually, left_out};

use crate::disk::Tiny;

/// Waits for the answer of `/readyz`, which must then contain the text.
fn wait_for_readiness(lab: &Lab, code: u16, text: &str) -> Result<()> {
    eventually(&format!("/readyz answers {code} with {text:?}"), PATIENCE, || {
        let (status, shown) = lab.probe("/readyz")?;
        Ok((status == code && shown.contains(text)).then_some(()))
    })
}

#[test]
fn a_full_store_is_reported_everywhere_and_nothing_is_lost() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("store");
    let Some(disk) = Tiny::mount(&place, "8m")? else {
        left_out("a full store", "no permission to mount a filesystem; the contract suite limits the pages instead");
        return Ok(());
    };
    let mut lab = Lab::start_on(&format!("sqlite://{}", place.join("muster.db").display()))?;
    lab.stop_collector()?;
    lab.write_settings("[store]\ncheck_every = '100ms'\n")?;
    lab.serve()?;
    let root = Root::debian("kept")?;
    let agent = lab.enrolled_agent("kept")?;
    agent.report(root.path())?;
    wait_for_readiness(&lab, 200, "ok writes")?;

    let filler = disk.fill()?;
    root.install("unseen", "1")?;
    agent.once(root.path())?.expect_code(1)?;
    wait_for_readiness(&lab, 503, "not ready writes: accepted none since")?;
    wait_for_readiness(&lab, 503, "no space left")?;
    let (_, metrics) = lab.probe("/metrics")?;
    ensure!(metrics.contains("muster_store_writable 0"), "{metrics}");
    let status = lab.muster(&["status"])?.expect_code(0)?.stdout;
    ensure!(status.contains("the store accepts no writes since"), "{status}");
    ensure!(lab.collector()?.log_lines("the store accepts no writes")? == 1, "{}", lab.collector()?.output());

    std::fs::remove_file(&filler)?;
    wait_for_readiness(&lab, 200, "ok writes")?;
    agent.report(root.path())?;
    let host = lab.muster(&["host", "kept", "-o", "json"])?.json()?;
    ensure!(host["snapshot"].is_string(), "{host}");
    ensure!(lab.collector()?.log_lines("the store accepts writes again")? == 1, "{}", lab.collector()?.output());
    lab.stop_collector()
}
