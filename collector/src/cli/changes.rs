//! `muster changes`: which hosts changed lane, from what, to what, and why.

use std::collections::BTreeSet;
use std::time::Duration;

use muster_proto::model::{ChangeRow, ChangesReport, Lane, Timestamp};

use super::args::ChangesArgs;
use super::client::{ChangesFilter, Client};
use super::render::{Answer, Cell, Paint, Screen, Table, ago, counted, or_dash};
use crate::config::format_span;

const HEADER: [&str; 8] = ["at", "host", "hostname", "site", "order", "from", "to", "cause"];
/// Hosts that one row names if many changed in the same way at the same time.
const NAMED: usize = 2;

pub(super) async fn run(mut client: Client, asked: ChangesArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let ChangesArgs { since, order, sites, filter, sort, limit } = asked;
    let report = client.changes(&ChangesFilter { span: since, order, sites, filter, sort, limit }).await?;
    let now = screen.now();
    let answer = Answer { whole: &report, header: &HEADER };
    let rows = || report.changes.iter().map(row).collect();
    screen.show(&answer, &report.changes, rows, |paint| page(&report, since, now, paint))?;
    Ok(0)
}

fn row(change: &ChangeRow) -> Vec<String> {
    let lane = |lane: Option<Lane>| lane.map_or(String::new(), |lane| lane.to_string());
    vec![
        change.at.to_rfc3339(),
        change.host.to_string(),
        change.hostname.clone(),
        change.site.to_string(),
        change.order.to_string(),
        lane(change.from),
        lane(change.to),
        change.cause.to_string(),
    ]
}

pub(super) fn page(report: &ChangesReport, span: Duration, now: Timestamp, paint: &Paint) -> String {
    if report.changes.is_empty() {
        return format!("no host changed lane in the last {}\n", last(span));
    }
    let orders: BTreeSet<_> = report.changes.iter().map(|change| &change.order).collect();
    let mut header = vec!["when", "host", "site", "order", "from", "to", "cause"];
    // One order is named in the last line.
    if orders.len() == 1 {
        header.retain(|name| *name != "order");
    }
    let mut table = Table::new(&header);
    let is_same = |one: &ChangeRow, next: &ChangeRow| {
        let key = |row: &ChangeRow| (row.at.whole_seconds(), row.order.clone(), row.from, row.to, row.cause);
        key(one) == key(next)
    };
    for changes in report.changes.chunk_by(is_same) {
        let first = &changes[0];
        let lane = |lane: Option<Lane>| lane.map_or_else(|| Cell::text("-"), Cell::lane);
        let mut cells = vec![Cell::text(ago(first.at, now)), Cell::text(hosts(changes)), Cell::text(sites(changes))];
        if orders.len() > 1 {
            cells.push(Cell::text(first.order.as_str()));
        }
        cells.extend([lane(first.from), lane(first.to), Cell::text(first.cause.name())]);
        table.row(cells);
    }
    format!("{}\n{}", table.text(paint), summary(report, span))
}

fn hosts(changes: &[ChangeRow]) -> String {
    let names: Vec<&str> = changes.iter().map(|change| or_dash(&change.hostname)).collect();
    // The name of one more host is not longer than "and 1 more".
    if names.len() <= NAMED + 1 {
        return names.join(", ");
    }
    format!("{} and {} more", names[..NAMED].join(", "), names.len() - NAMED)
}

fn sites(changes: &[ChangeRow]) -> String {
    let sites: BTreeSet<&str> = changes.iter().map(|change| change.site.as_str()).collect();
    if sites.len() == 1 { changes[0].site.to_string() } else { counted(sites.len(), "site") }
}

/// `14 hosts changed lane in the last day: 9 installed, 5 rules`.
fn summary(report: &ChangesReport, span: Duration) -> String {
    let mut causes: Vec<_> = report.causes.iter().collect();
    causes.sort_by_key(|(cause, count)| (std::cmp::Reverse(**count), **cause));
    let causes: Vec<String> = causes.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
    let times = if report.total == report.hosts { String::new() } else { format!(" {} times", report.total) };
    let (hosts, span, causes) = (counted(report.hosts, "host"), last(span), causes.join(", "));
    let shown = report.changes.len() as u64;
    let part = if shown < report.total { format!("; {shown} of {} are shown", report.total) } else { String::new() };
    format!("{hosts} changed lane{times} in the last {span}: {causes}{part}\n")
}

/// `day`, `hour`, `2d 3h`: what comes after "the last".
fn last(span: Duration) -> String {
    match format_span(span).as_str() {
        "1d" => "day".to_owned(),
        "1h" => "hour".to_owned(),
        "1m" => "minute".to_owned(),
        span => span.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use muster_proto::model::{Cause, HostId};

    use super::*;

    fn change(n: u8, seconds: u64, from: Option<Lane>, to: Lane, cause: Cause) -> ChangeRow {
        ChangeRow {
            at: Timestamp::from_millis(0).plus(Duration::from_secs(seconds)),
            host: HostId::from_bytes([n; 16]),
            hostname: format!("web-{n}"),
            site: "hq".parse().expect("valid"),
            order: "us-bis-icts-2021-002".parse().expect("valid"),
            from,
            to: Some(to),
            cause,
        }
    }

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn hosts_that_changed_together_share_a_row_and_causes_are_counted() {
        let rules = |n| change(n, 3_000, Some(Lane::Clear), Lane::Unknown, Cause::Rules);
        let installed = change(9, 600, Some(Lane::Clear), Lane::Replace, Cause::Installed);
        let report = ChangesReport {
            changes: [rules(1), rules(2), rules(3), rules(4), installed].to_vec(),
            total: 5,
            hosts: 5,
            causes: BTreeMap::from([(Cause::Installed, 1), (Cause::Rules, 4)]),
        };
        let now = Timestamp::from_millis(0).plus(Duration::from_secs(3_600));
        let text = "WHEN     HOST                     SITE  FROM   TO       CAUSE\n\
                    10m ago  web-1, web-2 and 2 more  hq    clear  unknown  rules\n\
                    50m ago  web-9                    hq    clear  replace  installed\n\n\
                    5 hosts changed lane in the last day: 4 rules, 1 installed\n";
        assert_eq!(page(&report, DAY, now, &Paint::plain()), text);
    }

    #[test]
    fn the_last_line_says_how_many_changes_are_not_shown() {
        let report = ChangesReport {
            changes: vec![change(1, 60, None, Lane::Clear, Cause::Enrolled)],
            total: 37,
            hosts: 30,
            causes: BTreeMap::from([(Cause::Enrolled, 37)]),
        };
        let text = summary(&report, DAY);
        assert_eq!(text, "30 hosts changed lane 37 times in the last day: 37 enrolled; 1 of 37 are shown\n");
        let none = page(&ChangesReport::default(), DAY, Timestamp::from_millis(0), &Paint::plain());
        assert_eq!(none, "no host changed lane in the last day\n");
    }
}
