//! `muster status`: how the collector is.

use std::time::Duration;

use muster_proto::model::CollectorStatus;

use super::client::Client;
use super::render::{Answer, Screen};
use crate::config::format_span;

const HEADER: [&str; 6] = ["version", "rules_version", "hosts", "docket", "docket_lag_ms", "now"];

pub(super) async fn run(mut client: Client, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let status = client.status().await?;
    let answer = Answer { whole: &status, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(&status), || vec![row(&status)], |_| page(&status))?;
    Ok(0)
}

fn row(status: &CollectorStatus) -> Vec<String> {
    vec![
        status.version.clone(),
        status.rules_version.clone(),
        status.hosts.to_string(),
        status.docket.to_string(),
        status.docket_lag_ms.to_string(),
        status.now.to_rfc3339(),
    ]
}

fn page(status: &CollectorStatus) -> String {
    format!(
        "collector  {}\nrules      {}\nhosts      {}\ndocket     {} waiting, the oldest for {}\nclock      {}\n",
        status.version,
        status.rules_version,
        status.hosts,
        status.docket,
        format_span(Duration::from_millis(status.docket_lag_ms)),
        status.now
    )
}
