//! `muster orders apply`, `activate`, `deactivate`, `remove`, `diff` and `show --file`: changes of orders, and their files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use muster_proto::limits;
use muster_proto::model::{Lane, LaneMoves, OrderFile, OrderFilesReport, OrdersChangeReport};
use muster_proto::wire::OrderSwitch;

use super::args::orders::{ApplyOrdersArgs, ShowOrderArgs, SwitchOrderArgs};
use super::client::Client;
use super::faults;
use super::line_diff::line_diff;
use super::render::{Answer, Cell, Paint, Screen, Table, clean, counted};
use crate::rules::{self, RuleErrors, RuleFault, RuleFile};

const HEADER: [&str; 4] = ["order", "from", "to", "hosts"];
const FILE_HEADER: [&str; 3] = ["name", "sha256", "text"];
/// Bytes of a request that are left for the names of files.
const NAMES_BYTES: usize = 64 * 1024;

/// Applies files. They are read before the collector is asked.
pub(super) async fn apply<F: AsyncFnOnce() -> anyhow::Result<Client>>(
    connect: F,
    asked: &ApplyOrdersArgs,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let files = match files(&asked.files) {
        Ok(files) => files,
        Err(refused) => return faults::show(refused, screen),
    };
    let files =
        files.into_iter().map(|file| OrderFile { name: short_name(&file), text: file.text, sha256: String::new() });
    let report = connect().await?.orders_apply(files.collect(), asked.dry_run).await?;
    show(&report, "applied", screen)
}

fn files(paths: &[PathBuf]) -> Result<Vec<RuleFile>, RuleErrors> {
    let files = rules::read_order_files(paths)?;
    let bytes: usize = files.iter().map(|file| file.text.len()).sum();
    let most = limits::ACCOUNT_REQUEST_BYTES - NAMES_BYTES;
    if files.len() > limits::APPLIED_FILES || bytes > most {
        let reason = format!(
            "{} with {bytes} bytes are too many for one action; the limits are {} files and {most} bytes; apply them one \
             after the other",
            counted(files.len(), "file"),
            limits::APPLIED_FILES
        );
        let file = files.first().map(|file| file.place.clone()).unwrap_or_default();
        return Err(RuleErrors::new(vec![RuleFault { file, line: 0, reason }]));
    }
    Ok(files)
}

/// What faults call the file. The collector takes no long names.
fn short_name(file: &RuleFile) -> String {
    if file.place.len() <= limits::HOSTNAME_BYTES {
        return file.place.clone();
    }
    // A character has at most four bytes.
    file.name.chars().take(limits::HOSTNAME_BYTES / 4).collect()
}

pub(super) async fn switch(
    mut client: Client,
    change: OrderSwitch,
    asked: &SwitchOrderArgs,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let report = client.order_switch(&asked.id, change, asked.dry_run).await?;
    let done = match change {
        OrderSwitch::Activate => "activated",
        OrderSwitch::Remove => "removed",
        OrderSwitch::Deactivate | OrderSwitch::Unspecified => "deactivated",
    };
    show(&report, done, screen)
}

fn show(report: &OrdersChangeReport, done: &str, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let name = |lane: Option<Lane>| lane.map_or("", Lane::name).to_owned();
    let moves = &report.lanes.moves;
    let row = |one: &muster_proto::model::LaneMove| {
        vec![one.order.to_string(), name(one.from), name(one.to), one.hosts.to_string()]
    };
    let rows = || moves.iter().map(row).collect();
    screen.show(&Answer { whole: report, header: &HEADER }, moves, rows, |paint| page(report, done, paint))?;
    Ok(0)
}

fn page(report: &OrdersChangeReport, done: &str, paint: &Paint) -> String {
    let mut text = String::new();
    for difference in &report.differences {
        text.push_str(&format!("{}\n", paint.bold(difference.order.as_str())));
        for line in &difference.lines {
            text.push_str(&format!("  {}\n", clean(line)));
        }
    }
    if report.differences.is_empty() {
        text.push_str("no order differs\n");
    }
    if report.is_changed {
        let version = clean(&report.rules_version);
        text.push_str(&format!("{done}; rules version {version} is in force within seconds\n"));
    } else {
        text.push_str(&lanes(&report.lanes, paint));
        text.push_str("dry run: nothing was changed\n");
    }
    text
}

/// How many hosts would change lane, and from where to where.
fn lanes(lanes: &LaneMoves, paint: &Paint) -> String {
    let count = |number: u64, noun: &str| counted(usize::try_from(number).unwrap_or(usize::MAX), noun);
    let hosts = count(lanes.hosts, "host");
    if lanes.moves.is_empty() {
        return format!("none of {hosts} would change lane\n");
    }
    let mut table = Table::new(&HEADER);
    let name = |lane: Option<Lane>| lane.map_or("not judged", Lane::name);
    for one in &lanes.moves {
        table.row(vec![
            Cell::text(one.order.as_str()),
            Cell::text(name(one.from)),
            Cell::text(name(one.to)),
            Cell::number(one.hosts),
        ]);
    }
    format!("{}\n{} of {hosts} would change lane\n", table.text(paint), lanes.moved_hosts)
}

pub(super) async fn show_files(
    mut client: Client,
    asked: &ShowOrderArgs,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let report = client.order_files(&asked.id, asked.at).await?;
    let row = |file: &OrderFile| vec![file.name.clone(), file.sha256.clone(), file.text.clone()];
    let rows = || report.files.iter().map(row).collect();
    screen.show(&Answer { whole: &report, header: &FILE_HEADER }, &report.files, rows, |_| file_page(&report))?;
    Ok(0)
}

/// The files, each under a comment, so that the page is a file again if there is only one.
fn file_page(report: &OrderFilesReport) -> String {
    let (version, from) = (clean(&report.rules_version), report.from.whole_seconds());
    let state = if report.active { "active" } else { "not active" };
    let file = |file: &OrderFile| {
        let lines: String = file.text.lines().map(|line| format!("{}\n", clean(line))).collect();
        let (name, sha256) = (clean(&file.name), clean(&file.sha256));
        format!("# {name}, SHA-256 {sha256}\n# in force since {from} with rules version {version}; {state}\n{lines}")
    };
    report.files.iter().map(file).collect::<Vec<_>>().join("\n")
}

/// Compares a file with the one in force that has its id.
pub(super) async fn diff<F: AsyncFnOnce() -> anyhow::Result<Client>>(
    connect: F,
    path: &Path,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let file = match rules::read_order_files(&[path.to_owned()]) {
        Ok(mut files) => files.pop().context("no file was read")?,
        Err(refused) => return faults::show(refused, screen),
    };
    let Some(id) = rules::file_id(&file) else {
        let reason = "`id`: the file has no valid id, by which the one in force is found".to_owned();
        let fault = RuleFault { file: file.place, line: 1, reason };
        return faults::show(RuleErrors::new(vec![fault]), screen);
    };
    let in_force = connect().await?.order_files_if_any(&id).await?;
    let old = in_force.and_then(|report| report.files.into_iter().next());
    let (name, text) = old.map_or_else(|| ("nothing in force".to_owned(), String::new()), |old| (old.name, old.text));
    let lines = line_diff(&text, &file.text);
    let whole = serde_json::json!({ "id": id, "in_force": name, "file": file.place, "lines": lines });
    let rows = || lines.iter().map(|line| vec![line.clone()]).collect();
    let page = |_: &Paint| {
        let shown: String = lines.iter().map(|line| format!("{}\n", clean(line))).collect();
        if lines.is_empty() {
            return format!("{} is the same as {}\n", clean(&file.place), clean(&name));
        }
        format!("--- {}\n+++ {}\n{shown}", clean(&name), clean(&file.place))
    };
    screen.show(&Answer { whole: &whole, header: &["line"] }, &lines, rows, page)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{LaneMove, OrderDifference, OrderId};

    use super::*;

    #[test]
    fn a_dry_run_says_what_differs_and_how_many_hosts_would_move() {
        let order = OrderId::new("acme").expect("an id");
        let moves = vec![
            LaneMove { order: order.clone(), from: None, to: Some(Lane::Replace), hosts: 2 },
            LaneMove { order: order.clone(), from: Some(Lane::Clear), to: Some(Lane::Unknown), hosts: 1 },
        ];
        let differences = vec![OrderDifference { order, lines: vec!["patience: 7d → 3d".to_owned()] }];
        let lanes = LaneMoves { moves, moved_hosts: 3, hosts: 10 };
        let mut report = OrdersChangeReport { differences, rules_version: "r1".to_owned(), is_changed: false, lanes };
        let paint = Paint::plain();
        let shown = page(&report, "applied", &paint);
        for part in ["acme\n  patience: 7d → 3d\n", "not judged  replace", "3 of 10 hosts would change lane", "dry run"]
        {
            assert!(shown.contains(part), "no {part:?} in\n{shown}");
        }
        report.is_changed = true;
        let shown = page(&report, "applied", &paint);
        assert!(shown.ends_with("applied; rules version r1 is in force within seconds\n"), "{shown}");
    }
}
