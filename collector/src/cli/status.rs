//! `muster status`: the state of the collector.

use std::time::Duration;

use muster_proto::model::{CollectorStatus, ListenerUse, Resources, StoreUse};

use super::client::Client;
use super::render::{Answer, Paint, Screen, bytes, clean, fields, instant, when};
use crate::config::format_span;

const HEADER: [&str; 20] = [
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
    "agent_connections",
    "operator_connections",
    "connections_refused",
    "store_bytes",
    "store_growth_per_day",
    "store_free_bytes",
];

pub(super) async fn run(mut client: Client, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let status = client.status().await?;
    let answer = Answer { whole: &status, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(&status), || vec![row(&status)], |paint| page(&status, paint))?;
    Ok(0)
}

fn row(status: &CollectorStatus) -> Vec<String> {
    let mut row = vec![
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
    ];
    row.extend(resources(status));
    row
}

/// The columns of what the collector uses. A number that is not known is empty.
fn resources(status: &CollectorStatus) -> [String; 6] {
    let Resources { listeners, store, .. } = &status.resources;
    let of = |name: &str| listeners.iter().find(|listener| listener.name == name);
    let connections = |name: &str| of(name).map(|listener| listener.connections.to_string()).unwrap_or_default();
    let refused: u64 = listeners.iter().map(|listener| listener.refused).sum();
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    [
        connections("agents"),
        connections("operators"),
        refused.to_string(),
        number(store.map(|store| store.bytes)),
        number(store.and_then(|store| store.growth_per_day)),
        number(store.and_then(|store| store.free_bytes)),
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
    let Resources { listeners, store, certificate_expires, operators_certificate } = &status.resources;
    let ports: Vec<_> =
        listeners.iter().map(|listener| (format!("port for {}", listener.name), port(listener))).collect();
    let mut lines = vec![
        ("version", status.version.clone()),
        ("rules", status.rules_version.clone()),
        ("hosts", hosts),
        ("judge queue", waiting),
        ("editions", format!("{}, {} % of the limit", status.editions, status.editions_percent)),
    ];
    lines.extend(ports.iter().map(|(name, port)| (name.as_str(), port.clone())));
    lines.extend(store.map(|store| ("store", size(&store))));
    lines.extend(
        certificate_expires.map(|until| ("certificate", format!("until {}, renewed before", when(until, status.now)))),
    );
    lines.extend(operators_certificate.as_ref().map(|certificate| {
        ("of the company", format!("until {}, on the operators' port", when(certificate.expires, status.now)))
    }));
    lines.push(("clock", status.now.whole_seconds().to_rfc3339()));
    let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let text = fields(&lines);
    let warnings = [
        store_refuses(status, paint),
        refused_rules(status, paint),
        full_dictionary(status, paint),
        certificate(status, paint),
    ];
    warnings.into_iter().flatten().fold(text, |text, warning| format!("{text}  {warning}\n"))
}

/// A warning about the company's certificate: it has ended, or a newer one cannot be used.
fn certificate(status: &CollectorStatus, paint: &Paint) -> Option<String> {
    let certificate = status.resources.operators_certificate.as_ref()?;
    if let Some(refused) = &certificate.refused {
        return Some(format!("{}: {}", paint.alarm("the new operators.certificate is not in use"), clean(refused)));
    }
    let is_over = certificate.expires < status.now;
    is_over.then(|| {
        format!(
            "{}; replace operators.certificate and operators.key",
            paint.alarm("the company's certificate has ended")
        )
    })
}

/// A warning that nothing is written, and what waits.
fn store_refuses(status: &CollectorStatus, paint: &Paint) -> Option<String> {
    let refuses = status.store_refuses.as_ref()?;
    let alarm = paint.alarm("the store accepts no writes");
    let since = when(refuses.since, status.now);
    Some(format!("{alarm} since {since}: {}; agents keep what they have to report", clean(&refuses.reason)))
}

/// `12 of 8192 connections, 3 of them not identified yet, 40 refused`
fn port(listener: &ListenerUse) -> String {
    let ListenerUse { connections, limit, unproven, refused, .. } = listener;
    let mut text = format!("{connections} of {limit} connections");
    if *unproven > 0 {
        text.push_str(&format!(", {unproven} of them not identified yet"));
    }
    if *refused > 0 {
        text.push_str(&format!(", {refused} refused"));
    }
    text
}

/// `1.5 GiB, grows by 12 MiB a day; 34 GiB free, enough for 2901 days`
fn size(store: &StoreUse) -> String {
    let mut text = bytes(store.bytes);
    if let Some(growth) = store.growth_per_day {
        text.push_str(&format!(", grows by {} a day", bytes(growth)));
    }
    if let Some(free) = store.free_bytes {
        text.push_str(&format!("; {} free", bytes(free)));
    }
    if let Some(days) = store.days_left() {
        text.push_str(&format!(", enough for {days} days"));
    }
    text
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
