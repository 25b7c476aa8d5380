//! `muster status`: how the collector is.

use std::time::Duration;

use muster_proto::model::CollectorStatus;

use super::client::Client;
use super::render::{Answer, Paint, Screen, clean, instant, when};
use crate::config::format_span;

const HEADER: [&str; 8] = [
    "version",
    "rules_version",
    "hosts",
    "judge_queue",
    "judge_queue_lag_ms",
    "now",
    "rules_refused_since",
    "rules_fault",
];

pub(super) async fn run(mut client: Client, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let status = client.status().await?;
    let answer = Answer { whole: &status, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(&status), || vec![row(&status)], |paint| page(&status, paint))?;
    Ok(0)
}

fn row(status: &CollectorStatus) -> Vec<String> {
    vec![
        status.version.clone(),
        status.rules_version.clone(),
        status.hosts.to_string(),
        status.judge_queue.to_string(),
        status.judge_queue_lag_ms.to_string(),
        status.now.to_rfc3339(),
        instant(status.rules_refused.as_ref().map(|refused| refused.since)),
        status.rules_refused.as_ref().map(|refused| refused.fault.clone()).unwrap_or_default(),
    ]
}

pub(super) fn page(status: &CollectorStatus, paint: &Paint) -> String {
    format!(
        "collector  {}\nrules      {}\n{}hosts      {}\ndocket     {} waiting, the oldest for {}\nclock      {}\n",
        status.version,
        status.rules_version,
        refused_rules(status, paint).map(|line| format!("           {line}\n")).unwrap_or_default(),
        status.hosts,
        status.judge_queue,
        format_span(Duration::from_millis(status.judge_queue_lag_ms)),
        status.now
    )
}

/// That other rules are on disk than in force: who looks at numbers should know by which rules they are made.
pub(super) fn refused_rules(status: &CollectorStatus, paint: &Paint) -> Option<String> {
    let refused = status.rules_refused.as_ref()?;
    let alarm = paint.alarm("the rules on disk are refused");
    Some(format!("{alarm} since {}: {}", when(refused.since, status.now), clean(&refused.fault)))
}
