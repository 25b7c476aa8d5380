//! `muster roster import`: reads a list twice, first to check it, then to send it.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use muster_proto::limits;
use muster_proto::model::{ImportReport, RosterCounts, RosterRow};
use muster_proto::wire;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::cli::args::roster::ImportArgs;
use crate::cli::client::Client;
use crate::cli::render::{Answer, Screen, clean, counted, fields};
use crate::roster_file::{CheckedList, Mapping, RosterFileError, RosterFileReport, check_list, read_machines};

const HEADER: [&str; 13] = [
    "source",
    "dry_run",
    "added",
    "changed",
    "unchanged",
    "absent",
    "refused",
    "listed",
    "matched",
    "missing",
    "review",
    "excused",
    "outside",
];

/// Refused rows that are shown.
const SHOWN: usize = 10;
/// Messages that wait to be sent.
const WAITING: usize = 4;

/// Why a list is not sent.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum NotImported {
    /// The file cannot be read as a list.
    #[error("cannot read the list {}", place.display())]
    File {
        /// The file.
        place: PathBuf,
        /// Why.
        source: RosterFileError,
    },
    /// Too many rows were refused.
    #[error("{refused} of {rows} rows cannot be read, which is more than a twentieth, so nothing was sent:{first}")]
    TooManyRefused {
        /// Rows that were refused.
        refused: u64,
        /// Rows of the file.
        rows: u64,
        /// The first of them, one a line.
        first: String,
    },
    /// The file changed while it was sent.
    #[error("the list {} has changed while it was read, so nothing was changed", place.display())]
    Changed {
        /// The file.
        place: PathBuf,
    },
}

impl NotImported {
    /// What to do about it.
    pub(in crate::cli) fn advice(&self) -> Option<String> {
        match self {
            Self::File { source, .. } => source.advice().map(ToOwned::to_owned),
            Self::TooManyRefused { .. } => {
                Some("correct the rows, or leave them out of the roster with --accept-errors".to_owned())
            }
            Self::Changed { .. } => Some("import it again when nobody writes to it".to_owned()),
        }
    }
}

pub(super) async fn run(mut client: Client, asked: ImportArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let mapping = Mapping { preset: asked.preset, columns: asked.map.clone(), ..Mapping::default() };
    let (place, of_check) = (asked.file.clone(), mapping.clone());
    let checked = tokio::task::spawn_blocking(move || check(&place, &of_check)).await.context("read the list")??;
    let (refused, rows) = (checked.refused(), checked.report.rows_read);
    if checked.has_too_many_refused() && !asked.accept_errors {
        let first: String = checked.lines(SHOWN).iter().map(|line| format!("\n  {}", clean(line))).collect();
        return Err(NotImported::TooManyRefused { refused, rows, first }.into());
    }
    let list = wire::ImportedList {
        source: asked.source.clone(),
        file: asked.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        dry_run: asked.dry_run,
        accept_loss: asked.accept_loss,
        rows: checked.rows,
    };
    let (sender, receiver) = mpsc::channel(WAITING);
    let place = asked.file.clone();
    let sending = tokio::task::spawn_blocking(move || send(&place, &mapping, &sender));
    let answer = client.roster_import(list, ReceiverStream::new(receiver)).await;
    let sent = sending.await.context("send the list")?;
    // A file that changed is the reason of the refusal that follows from it.
    if sent.as_ref().is_ok_and(|sent| *sent != checked.rows) && answer.is_err() {
        return Err(NotImported::Changed { place: asked.file }.into());
    }
    let report = answer?;
    sent?;
    let whole = serde_json::json!({ "import": report, "refused": checked.lines(usize::MAX), "left_out": checked.left_out, "columns": columns(&checked.report) });
    let answer = Answer { whole: &whole, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(&whole), || vec![row(&report, refused)], |_| page(&report, &checked))?;
    Ok(0)
}

fn check(place: &Path, mapping: &Mapping) -> anyhow::Result<CheckedList> {
    let failed = |source| NotImported::File { place: place.to_owned(), source };
    Ok(check_list(open(place)?, mapping).map_err(failed)?)
}

/// Sends the rows, and says how many they were. Ends early if nobody wants them any more.
fn send(place: &Path, mapping: &Mapping, to: &mpsc::Sender<Vec<RosterRow>>) -> anyhow::Result<u64> {
    let failed = |source| NotImported::File { place: place.to_owned(), source };
    // If nobody wants them, the answer says why.
    let sent = read_machines(open(place)?, mapping, limits::ROSTER_ROWS_PER_MESSAGE, &mut |rows| {
        to.blocking_send(rows).is_ok()
    });
    Ok(sent.map_err(failed)?)
}

fn open(place: &Path) -> Result<File, NotImported> {
    let failed = |error| NotImported::File { place: place.to_owned(), source: RosterFileError::Read(error) };
    File::open(place).map_err(failed)
}

fn columns(report: &RosterFileReport) -> serde_json::Value {
    let used: serde_json::Map<String, serde_json::Value> =
        report.columns_used.iter().map(|used| (used.column.clone(), used.field.name().into())).collect();
    serde_json::json!({ "used": used, "ignored": report.columns_ignored })
}

fn row(report: &ImportReport, refused: u64) -> Vec<String> {
    let (counts, roster) = (report.counts, report.roster);
    let mut row = vec![report.source.clone(), report.dry_run.to_string()];
    let numbers = [
        counts.added,
        counts.changed,
        counts.unchanged,
        counts.absent,
        refused,
        roster.listed,
        roster.matched,
        roster.missing,
        roster.review,
        roster.excused,
        roster.outside,
    ];
    row.extend(numbers.map(|number| number.to_string()));
    row
}

fn page(report: &ImportReport, checked: &CheckedList) -> String {
    let file = &checked.report;
    let mut text = format!("{} as {}, {}\n", counted(file.rows_read, "row"), file.format, file.encoding);
    let used: Vec<String> =
        file.columns_used.iter().map(|used| format!("{} is the {}", clean(&used.column), used.field)).collect();
    text.push_str(&format!("  columns: {}\n", used.join(", ")));
    if !file.columns_ignored.is_empty() {
        let ignored: Vec<String> = file.columns_ignored.iter().map(|column| clean(column)).collect();
        text.push_str(&format!("  not used: {}\n", ignored.join(", ")));
    }
    for (system, rows) in &checked.left_out {
        text.push_str(&format!("  left out: {} with {system}, on which no agent runs\n", counted(*rows, "row")));
    }
    if file.is_one_page_of_several {
        text.push_str("  the file names a next page, so it is only a part of the list: export all pages\n");
    }
    for line in checked.lines(SHOWN) {
        text.push_str(&format!("  refused: {}\n", clean(&line)));
    }
    let more = checked.refused().saturating_sub(SHOWN as u64);
    if more > 0 {
        text.push_str(&format!("  and {more} more; `-o json` has all\n"));
    }
    let counts = report.counts;
    let head = if report.dry_run { "nothing was changed; the import of" } else { "imported" };
    text.push_str(&format!(
        "\n{head} {}{}\n",
        clean(&report.source),
        if report.dry_run { " would change" } else { "" }
    ));
    for (what, count, names) in [
        ("new", counts.added, &report.examples.added),
        ("changed", counts.changed, &report.examples.changed),
        ("absent", counts.absent, &report.examples.absent),
    ] {
        let named: Vec<String> = names.iter().map(|name| clean(name)).collect();
        let more = if count > named.len() as u64 { ", …" } else { "" };
        let list = if named.is_empty() { String::new() } else { format!(": {}{more}", named.join(", ")) };
        text.push_str(&format!("  {count} {what}{list}\n"));
    }
    text.push_str(&format!("  {} unchanged\n\n", counts.unchanged));
    text.push_str(&roster(&report.roster, report.dry_run));
    text
}

fn roster(roster: &RosterCounts, dry_run: bool) -> String {
    let RosterCounts { listed, matched, missing, review, excused, outside } = roster;
    let mut text = if dry_run { "the roster now, unchanged\n" } else { "the roster now\n" }.to_owned();
    text.push_str(&fields(&[
        ("machines", &listed.to_string()),
        ("with a host", &matched.to_string()),
        ("missing", &format!("{missing}, of which {review} may be known hosts")),
        ("excused", &excused.to_string()),
        ("hosts outside", &outside.to_string()),
    ]));
    if *review > 0 {
        text.push_str("\nreview them with `muster roster --state review`\n");
    }
    text
}
