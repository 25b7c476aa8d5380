//! `muster findings`: unfinished hosts, the worst first.

use std::collections::HashMap;

use muster_proto::model::{Board, Finding, Lane, Timestamp};

use super::args::FindingsArgs;
use super::board::{due_line, overdue_duties};
use super::client::{Client, FindingsFilter, PageArgs, Part};
use super::exit::of_boards;
use super::past;
use super::render::{Answer, Cell, Paint, Screen, Table, ago, clean, instant, or_dash};

const HEADER: [&str; 14] = [
    "order",
    "host",
    "hostname",
    "site",
    "platform",
    "lane",
    "overdue",
    "silent",
    "presence",
    "protection",
    "since",
    "last_seen",
    "reason",
    "advice",
];

/// The JSON document.
#[derive(serde::Serialize)]
struct Document<'a> {
    /// The number of findings of the whole list; absent if these do not begin at its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// The value of `--after` that continues after these findings; null at the end of the list.
    next: Option<&'a str>,
    findings: &'a [Finding],
}

pub(super) async fn run(mut client: Client, asked: FindingsArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    if let Some(as_of) = asked.past.as_of {
        return past::findings(client, asked, as_of, screen).await;
    }
    let FindingsArgs { order, lanes, sites, filter, sort, limit, after, past: _ } = asked;
    let filter = FindingsFilter { order, lanes, sites, filter, page: PageArgs { sort, limit, after } };
    let part = client.findings(&filter).await?;
    // A filter hides findings but does not solve them, so the exit code comes from the whole board.
    let boards = client.board(filter.order.as_ref(), None).await?;
    let now = screen.now();
    let document = Document { total: part.total, next: part.next.as_deref(), findings: &part.rows };
    let answer = Answer { whole: &document, header: &HEADER };
    screen.show(
        &answer,
        &part.rows,
        || part.rows.iter().map(row).collect(),
        |paint| page(&part, &boards, now, paint),
    )?;
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
        finding.silent.to_string(),
        finding.presence.to_string(),
        finding.protection.to_string(),
        finding.since.to_rfc3339(),
        instant(finding.last_seen),
        finding.reason.clone(),
        finding.advice.clone(),
    ]
}

pub(super) fn page(part: &Part<Finding>, boards: &[Board], now: Timestamp, paint: &Paint) -> String {
    let findings = &part.rows;
    let mut text = String::new();
    let duties: String =
        boards.iter().filter_map(|board| overdue_duties(board, paint)).map(|line| format!("{line}\n")).collect();
    if findings.is_empty() {
        return format!("no findings\n{duties}");
    }
    for of_order in findings.chunk_by(|one, next| one.order == next.order) {
        let id = &of_order[0].order;
        let board = boards.iter().find(|board| board.order.id == *id);
        let title = board.map_or(String::new(), |board| format!("  {}", clean(&board.order.title)));
        text.push_str(&format!("{}{title}\n", paint.bold(id.as_str())));
        if let Some(board) = board {
            text.push_str(&format!("  {}\n\n", due_line(&board.order, now, board.counts.overdue, paint)));
        }
        let mut table =
            Table::new(&["lane", "host", "site", "platform", "presence", "protection", "since", "reason"]).indented();
        table = table.dispensable(&["platform", "protection", "presence", "site"]);
        for finding in of_order {
            table.row(vec![
                Cell::marked_lane(finding.lane, finding.overdue),
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
    text.push_str(&advices(findings));
    text.push_str(&format!("{}\n{duties}for details run `muster explain HOST`\n", part.size("finding")));
    text
}

/// How many hosts a line of advice names.
const NAMED: usize = 3;

/// One line for each advice, so that every finding has one. It names the hosts that it is for, because uninstall
/// commands differ between hosts.
fn advices(findings: &[Finding]) -> String {
    // The lines have the order of the table: that of the first host with the advice.
    let mut lines: Vec<((Lane, &str), Vec<&str>)> = Vec::new();
    let mut places: HashMap<(Lane, &str), usize> = HashMap::new();
    for finding in findings.iter().filter(|finding| !finding.advice.is_empty()) {
        let key = (finding.lane, finding.advice.as_str());
        let place = *places.entry(key).or_insert(lines.len());
        if place == lines.len() {
            lines.push((key, Vec::new()));
        }
        lines[place].1.push(or_dash(&finding.hostname));
    }
    let line = |((lane, advice), hosts): &((Lane, &str), Vec<&str>)| {
        let named: Vec<String> = hosts.iter().take(NAMED).map(|host| clean(host)).collect();
        let more = hosts.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("{lane} ({}{more}): {}\n", named.join(", "), clean(advice))
    };
    lines.iter().map(line).collect()
}
