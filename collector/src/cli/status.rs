//! `muster status`: the state of the collector.

use std::time::Duration;

use muster_proto::model::CollectorStatus;

use super::client::Client;
use super::render::{Answer, Paint, Screen, clean, fields, instant, when};
use crate::config::format_span;

const HEADER: [&str; 14] = [
    "version",
    "rules_version",
    "hosts",
    "judge_queue",
    "judge_queue_lag_ms",
    "now",
    "rules_refused_since",
    "rules_fault",
    "editions",
    "editions_percent",
    "editions_alarm",
    "marks",
    "store_refuses_since",
    "store_refuses_reason",
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
        status.editions.to_string(),
        status.editions_percent.to_string(),
        status.editions_alarm.to_string(),
        marks(status),
        instant(status.store_refuses.as_ref().map(|refuses| refuses.since)),
        status.store_refuses.as_ref().map(|refuses| refuses.reason.clone()).unwrap_or_default(),
    ]
}

/// `2 quarantined, 1 revoked`; empty if no host has a mark.
fn marks(status: &CollectorStatus) -> String {
    status.marks.iter().map(|(mark, hosts)| format!("{hosts} {mark}")).collect::<Vec<_>>().join(", ")
}

pub(super) fn page(status: &CollectorStatus, paint: &Paint) -> String {
    let waiting = match status.judge_queue {
        0 => "empty".to_owned(),
        hosts => {
            format!("{hosts} waiting, the oldest for {}", format_span(Duration::from_millis(status.judge_queue_lag_ms)))
        }
    };
    let marks = marks(status);
    let hosts = if marks.is_empty() { status.hosts.to_string() } else { format!("{} ({marks})", status.hosts) };
    let text = fields(&[
        ("version", &status.version),
        ("rules", &status.rules_version),
        ("hosts", &hosts),
        ("judge queue", &waiting),
        ("editions", &format!("{}, {} % of the limit", status.editions, status.editions_percent)),
        ("clock", &status.now.whole_seconds().to_rfc3339()),
    ]);
    let warnings = [store_refuses(status, paint), refused_rules(status, paint), full_dictionary(status, paint)];
    warnings.into_iter().flatten().fold(text, |text, warning| format!("{text}  {warning}\n"))
}

/// A warning that nothing is written, and what waits.
fn store_refuses(status: &CollectorStatus, paint: &Paint) -> Option<String> {
    let refuses = status.store_refuses.as_ref()?;
    let alarm = paint.alarm("the store accepts no writes");
    let since = when(refuses.since, status.now);
    Some(format!("{alarm} since {since}: {}; agents keep what they have to report", clean(&refuses.reason)))
}

/// A warning that there will soon be no space for new software.
fn full_dictionary(status: &CollectorStatus, paint: &Paint) -> Option<String> {
    let alarm = paint.alarm("the dictionary of editions is nearly full");
    status.editions_alarm.then(|| format!("{alarm}: sections with new software are refused at 100 %"))
}

/// A warning that the rules on disk were refused, so that the numbers come from older rules.
pub(super) fn refused_rules(status: &CollectorStatus, paint: &Paint) -> Option<String> {
    let refused = status.rules_refused.as_ref()?;
    let alarm = paint.alarm("the rules on disk were refused");
    Some(format!("{alarm} since {}: {}", when(refused.since, status.now), clean(&refused.fault)))
}
