//! What one host, token, address or operator may take: each bound is tested against the real programs. One file a subject.

mod budgets;
mod descriptors;
mod enrollment;
mod full_store;
mod hive_writer;
mod hung_disk;
mod large_hive;
mod listeners;
mod memory;
mod searches;
mod settings;
mod tokens;
mod undo;

use anyhow::Result;
use muster_tests::lab::Lab;
use muster_tests::player::{Player, snapshot_of};
use tokio::runtime::Runtime;

fn runtime() -> Result<Runtime> {
    // The collector's pings must be answered while a test waits for something else.
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

/// The value of a metric with its labels; 0 if it has none yet.
fn metric(lab: &Lab, line: &str) -> Result<f64> {
    let (_, text) = lab.probe("/metrics")?;
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
    Ok(value.unwrap_or_default())
}

async fn assert_delivers(player: &mut Player, packages: &[&str]) -> Result<()> {
    let (snapshot, sections) = snapshot_of(packages);
    assert!(player.deliver(&snapshot, &sections).await?, "an honest snapshot was not accepted");
    Ok(())
}
