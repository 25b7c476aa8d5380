//! `muster findings`: unfinished hosts, the worst first.

use muster_proto::model::{Finding, Timestamp};

use super::args::FindingsArgs;
use super::client::{Client, FindingsFilter};
use super::exit::of_boards;
use super::render::{Answer, Cell, Paint, Screen, Table, ago, clean, or_dash};

const HEADER: [&str; 12] = [
    "order",
    "host",
    "hostname",
    "site",
    "platform",
    "lane",
    "overdue",
    "presence",
    "protection",
    "since",
    "reason",
    "advice",
];

pub(super) async fn run(mut client: Client, asked: FindingsArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let FindingsArgs { order, lanes, limit } = asked;
    let filter = FindingsFilter { order, lanes, limit };
    let findings = client.findings(&filter).await?;
    // A filter hides findings but does not solve them, so the exit code comes from the whole board.
    let boards = client.board(filter.order.as_ref()).await?;
    let now = screen.now();
    let answer = Answer { whole: &findings, header: &HEADER };
    screen.show(&answer, &findings, || findings.iter().map(row).collect(), |paint| page(&findings, now, paint))?;
    Ok(of_boards(&boards))
}

fn row(finding: &Finding) -> Vec<String> {
    vec![
        finding.order.to_string(),
        finding.host.to_string(),
        finding.hostname.clone(),
        finding.site.to_string(),
        finding.platform.to_string(),
        finding.lane.to_string(),
        finding.overdue.to_string(),
        finding.presence.to_string(),
        finding.protection.to_string(),
        finding.since.to_rfc3339(),
        finding.reason.clone(),
        finding.advice.clone(),
    ]
}

pub(super) fn page(findings: &[Finding], now: Timestamp, paint: &Paint) -> String {
    if findings.is_empty() {
        return "no findings\n".to_owned();
    }
    let mut text = String::new();
    for of_order in findings.chunk_by(|one, next| one.order == next.order) {
        let overdue = of_order.iter().any(|finding| finding.overdue);
        let order = paint.bold(of_order[0].order.as_str());
        let mark = if overdue { format!("  {}", paint.alarm("past the due date")) } else { String::new() };
        text.push_str(&format!("{order}{mark}\n"));
        let mut table =
            Table::new(&["lane", "host", "site", "platform", "presence", "protection", "since", "reason"]).indented();
        for finding in of_order {
            table.row(vec![
                Cell::lane(finding.lane),
                Cell::text(or_dash(&finding.hostname)),
                Cell::text(finding.site.as_str()),
                Cell::text(finding.platform.name()),
                Cell::text(finding.presence.name()),
                Cell::text(finding.protection.name()),
                Cell::text(ago(finding.since, now)),
                Cell::text(&finding.reason),
            ]);
        }
        text.push_str(&table.text(paint));
        text.push('\n');
    }
    let mut advices: Vec<(&str, &str)> = findings
        .iter()
        .map(|finding| (finding.lane.name(), finding.advice.as_str()))
        .filter(|(_, advice)| !advice.is_empty())
        .collect();
    advices.sort_unstable();
    advices.dedup();
    for (lane, advice) in advices.iter().take(12) {
        text.push_str(&format!("{lane}: {}\n", clean(advice)));
    }
    text.push_str(&format!("{} finding(s); `muster explain HOST` explains one\n", findings.len()));
    text
}
