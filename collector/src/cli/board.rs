//! `muster board`: the lanes of every active order, and the sum that shows that no host is missing.

use std::time::Duration;

use muster_proto::model::{Board, CollectorStatus, OrderReport, Timestamp};

use super::args::BoardArgs;
use super::client::Client;
use super::due;
use super::exit::of_boards;
use super::render::{Answer, Cell, Paint, Screen, Table, clean, when};
use super::status::refused_rules;
use crate::config::format_span;

const HEADER: [&str; 3] = ["order", "what", "hosts"];

pub(super) async fn run(mut client: Client, asked: BoardArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let boards = client.board(asked.order.as_ref()).await?;
    let status = client.status().await?;
    let answer = Answer { whole: &boards, header: &HEADER };
    screen.show(&answer, &boards, || rows(&boards), |paint| page(&boards, &status, paint))?;
    Ok(of_boards(&boards))
}

fn rows(boards: &[Board]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for board in boards {
        let mut row =
            |what: &str, hosts: u64| rows.push(vec![board.order.id.to_string(), what.to_owned(), hosts.to_string()]);
        for (lane, hosts) in &board.counts.lanes {
            row(lane.name(), *hosts);
        }
        row("out-of-scope", board.counts.out_of_scope);
        row("total", board.counts.total);
        row("overdue", board.counts.overdue);
        row("seen-silent", board.counts.silent);
        row("judge_queue", board.judge_queue);
        row("overdue-duties", board.overdue_duties);
        row("unprotected", board.unprotected);
    }
    rows
}

pub(super) fn page(boards: &[Board], status: &CollectorStatus, paint: &Paint) -> String {
    if boards.is_empty() {
        return "no order is active, so no host is judged; `muster orders --all` lists all orders\n".to_owned();
    }
    let mut text = boards.iter().map(|board| one(board, status, paint)).collect::<Vec<_>>().join("\n");
    if let Some(line) = refused_rules(status, paint) {
        text.push_str(&format!("\n  {line}\n"));
    }
    text
}

fn one(board: &Board, status: &CollectorStatus, paint: &Paint) -> String {
    let (order, counts) = (&board.order, &board.counts);
    let mut text = format!("{}  {}\n", paint.bold(order.id.as_str()), clean(&order.title));
    text.push_str(&format!("  {}\n\n", due_line(order, board.as_of, counts.overdue, paint)));
    let bound: u64 = counts.lanes.values().sum();
    let mut table = Table::new(&["lane", "hosts", "share"]).indented();
    for (lane, hosts) in &counts.lanes {
        let share = if bound == 0 || *hosts == 0 { String::new() } else { percent(*hosts, bound) };
        table.row(vec![Cell::lane(*lane), Cell::number(*hosts), Cell::text(share)]);
    }
    table.row(vec![Cell::text("in scope"), Cell::number(bound), Cell::text("")]);
    table.row(vec![Cell::text("out of scope"), Cell::number(counts.out_of_scope), Cell::text("")]);
    table.row(vec![
        Cell::text("total"),
        Cell::number(counts.total),
        Cell::text(sum(bound, counts.out_of_scope, counts.total)),
    ]);
    text.push_str(&table.text(paint));
    let duties = overdue_duties(board, paint).map(|line| format!("  {line}\n")).unwrap_or_default();
    let unprotected = unprotected(board, paint).map(|line| format!("  {line}\n")).unwrap_or_default();
    let overdue = format!("{} overdue", counts.overdue);
    let overdue = if counts.overdue > 0 { paint.alarm(&overdue) } else { overdue };
    let lag = format_span(Duration::from_millis(status.judge_queue_lag_ms));
    let waiting =
        if board.judge_queue == 0 { "none waiting".to_owned() } else { format!("{} waiting", board.judge_queue) };
    let waiting = if board.judge_queue == 0 { waiting } else { format!("{waiting} (the oldest for {lag})") };
    text.push_str(&format!(
        "\n  {overdue}, {} silent in any lane, {waiting} to be judged\n{unprotected}{duties}  as of {}\n",
        counts.silent,
        board.as_of.whole_seconds()
    ));
    text
}

/// How many duties of an order are overdue, and where they are listed; `None` if none is.
pub(super) fn overdue_duties(board: &Board, paint: &Paint) -> Option<String> {
    let alarm = match board.overdue_duties {
        0 => return None,
        1 => "1 duty is overdue".to_owned(),
        duties => format!("{duties} duties are overdue"),
    };
    Some(format!("{}: `muster duties --order {}`", paint.alarm(&alarm), board.order.id))
}

/// How many hosts are unprotected, and since when the first of them is; `None` if none is.
fn unprotected(board: &Board, paint: &Paint) -> Option<String> {
    let alarm = match board.unprotected {
        0 => return None,
        1 => "1 host is unprotected".to_owned(),
        hosts => format!("{hosts} hosts are unprotected"),
    };
    let (alarm, since) = (paint.alarm(&alarm), board.unprotected_since.map(|since| when(since, board.as_of)));
    Some(match since {
        Some(since) if board.unprotected == 1 => format!("{alarm}, since {since}"),
        Some(since) => format!("{alarm}, the first since {since}"),
        None => alarm,
    })
}

/// Checks the sum here too: the client must not show numbers that do not add up.
fn sum(bound: u64, out_of_scope: u64, total: u64) -> &'static str {
    if bound.checked_add(out_of_scope) == Some(total) { "adds up" } else { "DOES NOT ADD UP" }
}

pub(super) fn due_line(order: &OrderReport, now: Timestamp, overdue: u64, paint: &Paint) -> String {
    let text = due::or(order, now, "no due date");
    let text = if order.due.is_some() { format!("due {text}") } else { text };
    if overdue > 0 { paint.alarm(&text) } else { text }
}

fn percent(part: u64, whole: u64) -> String {
    // In tenths of a percent, rounded down: 99.9 % must not read as done.
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    format!("{}.{}%", tenths / 10, tenths % 10)
}
