//! `muster board`: the lanes of every active order, and the sum that shows that no host is missing.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_proto::model::{Board, BoardCounts, CollectorStatus, Lane, OrderReport, Timestamp};

use super::args::BoardArgs;
use super::client::Client;
use super::exit::of_boards;
use super::render::{Answer, Cell, Paint, Screen, Table, clean, counted, when};
use super::status::refused_rules;
use super::waivers::lanes_of;
use super::{due, past};
use crate::config::format_span;

const HEADER: [&str; 3] = ["order", "what", "hosts"];

pub(super) async fn run(mut client: Client, asked: BoardArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let boards = client.board(asked.order.as_ref(), asked.past.as_of).await?;
    let status = client.status().await?;
    let answer = Answer { whole: &boards, header: &HEADER };
    let sites = asked.past.as_of.map(past::as_of_line).unwrap_or_default();
    screen.show(&answer, &boards, || rows(&boards), |paint| page(&boards, &status, paint) + &sites)?;
    Ok(of_boards(&boards))
}

fn rows(boards: &[Board]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for board in boards {
        let mut row =
            |what: &str, hosts: u64| rows.push(vec![board.order.id.to_string(), what.to_owned(), hosts.to_string()]);
        counts(&board.counts, "", &mut row);
        if let (Some(outside), Some(roster)) = (&board.outside, &board.roster) {
            counts(outside, "outside-", &mut row);
            row("roster-listed", roster.listed);
            row("roster-matched", roster.matched);
            row("roster-missing", roster.missing);
            row("roster-review", roster.review);
            row("roster-excused", roster.excused);
        }
        // What is not known of the past has no row.
        board.judge_queue.into_iter().for_each(|hosts| row("judge_queue", hosts));
        row("overdue-duties", board.overdue_duties);
        board.unprotected.into_iter().for_each(|hosts| row("unprotected", hosts));
    }
    rows
}

/// The rows of counts, each with the beginning of its name.
fn counts(counts: &BoardCounts, of: &str, row: &mut impl FnMut(&str, u64)) {
    for (lane, hosts) in &counts.lanes {
        row(&format!("{of}{lane}"), *hosts);
    }
    row(&format!("{of}out-of-scope"), counts.out_of_scope);
    row(&format!("{of}total"), counts.total);
    for (name, lanes) in [("waived", &counts.waived), ("retired", &counts.retired)] {
        for (lane, hosts) in lanes {
            row(&format!("{of}{name}-{lane}"), *hosts);
        }
    }
    row(&format!("{of}self-approved"), counts.self_approved);
    row(&format!("{of}overdue"), counts.overdue);
    row(&format!("{of}seen-silent"), counts.silent);
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
    text.push_str(&lanes(board, paint));
    text.push_str(&decided(counts, "", paint));
    text.push_str(
        &board.outside.as_ref().map(|outside| decided(outside, "outside the roster, ", paint)).unwrap_or_default(),
    );
    text.push_str(&roster(board));
    let duties = overdue_duties(board, paint).map(|line| format!("  {line}\n")).unwrap_or_default();
    let unprotected = unprotected(board, paint).map(|line| format!("  {line}\n")).unwrap_or_default();
    let overdue = format!("{} overdue", counts.overdue);
    let overdue = if counts.overdue > 0 { paint.alarm(&overdue) } else { overdue };
    let lag = format_span(Duration::from_millis(status.judge_queue_lag_ms));
    let waiting = match board.judge_queue {
        None => String::new(),
        Some(0) => ", none waiting to be judged".to_owned(),
        Some(hosts) => format!(", {hosts} waiting (the oldest for {lag}) to be judged"),
    };
    text.push_str(&format!(
        "\n  {overdue}, {} silent in any lane{waiting}\n{unprotected}{duties}  as of {}\n",
        counts.silent,
        board.as_of.whole_seconds()
    ));
    text
}

/// The lanes of the machines that count; beside them, where there is a roster, those of the other hosts.
fn lanes(board: &Board, paint: &Paint) -> String {
    let counts = &board.counts;
    let bound: u64 = counts.lanes.values().sum();
    let (columns, total) = match (&board.outside, &board.roster) {
        (Some(_), Some(_)) => (["lane", "on roster", "share", "outside"].as_slice(), "on the roster"),
        _ => (["lane", "hosts", "share"].as_slice(), "total"),
    };
    let mut table = Table::new(columns).indented();
    let mut row = |name: Cell, machines: u64, share: String, outside: Option<u64>| {
        let mut cells = vec![name, Cell::number(machines), Cell::text(share)];
        cells.extend(outside.map(Cell::number));
        table.row(cells);
    };
    let outside = |of: fn(&BoardCounts) -> u64| board.outside.as_ref().map(of);
    for (lane, hosts) in &counts.lanes {
        let share = if bound == 0 || *hosts == 0 { String::new() } else { percent(*hosts, bound) };
        let outside = board.outside.as_ref().map(|outside| outside.lanes.get(lane).copied().unwrap_or_default());
        row(Cell::lane(*lane), *hosts, share, outside);
    }
    row(Cell::text("in scope"), bound, String::new(), outside(|counts| counts.lanes.values().sum()));
    row(Cell::text("out of scope"), counts.out_of_scope, String::new(), outside(|counts| counts.out_of_scope));
    let whole = board.roster.map_or(counts.total, |roster| roster.listed);
    let is_sum = counts.total == whole && bound.checked_add(counts.out_of_scope) == Some(whole);
    // Checked here too: the client must not show numbers that do not add up.
    let sum = if is_sum { "adds up" } else { "DOES NOT ADD UP" };
    row(Cell::text(total), whole, sum.to_owned(), outside(|counts| counts.total));
    table.text(paint)
}

/// The lanes that waived and retired hosts would be in otherwise: `waived 12: 10 replace, 2 remove`.
fn decided(counts: &BoardCounts, of: &str, paint: &Paint) -> String {
    let line = |lane: Lane, what: &str, lanes: &BTreeMap<Lane, u64>| {
        let hosts: u64 = lanes.values().sum();
        let line = format!("  {of}{lane} {hosts}: {}{what}\n", lanes_of(lanes));
        if hosts == 0 { String::new() } else { line }
    };
    let mut text = line(Lane::Waived, "", &counts.waived);
    text.push_str(&line(Lane::Retired, " at their last report", &counts.retired));
    if counts.self_approved > 0 {
        let hosts = counted(counts.self_approved, "host");
        let own = format!("{of}{hosts} waived or retired without a second person");
        text.push_str(&format!("  {}\n", paint.alarm(&own)));
    }
    text
}

/// What the counts are a part of.
fn roster(board: &Board) -> String {
    let Some(roster) = &board.roster else {
        return "  no roster: machines that never enrolled are not counted; `muster roster import` adds a list of machines\n"
            .to_owned();
    };
    let mut text = format!("  every share is a part of the machines in scope of the {} on the roster\n", roster.listed);
    if roster.review > 0 {
        text.push_str(&format!(
            "  {} of the missing ones may be known hosts: `muster roster --state review`\n",
            roster.review
        ));
    }
    if roster.excused > 0 {
        text.push_str(&format!("  {} excused and not counted: `muster roster --state excused`\n", roster.excused));
    }
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
    let alarm = match board.unprotected? {
        0 => return None,
        1 => "1 host is unprotected".to_owned(),
        hosts => format!("{hosts} hosts are unprotected"),
    };
    let (alarm, since) = (paint.alarm(&alarm), board.unprotected_since.map(|since| when(since, board.as_of)));
    Some(match since {
        Some(since) if board.unprotected == Some(1) => format!("{alarm}, since {since}"),
        Some(since) => format!("{alarm}, the first since {since}"),
        None => alarm,
    })
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
