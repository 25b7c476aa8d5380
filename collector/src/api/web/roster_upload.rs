//! The form of `/coverage` that imports a list of machines, or says what an import would change.

use std::error::Error;
use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::response::Response;
use http::StatusCode;
use muster_proto::limits;
use muster_proto::model::{ImportReport, RosterRow};

use super::act::finish;
use super::chrome::{Chrome, page};
use super::format::{clean, counted, number};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::upload::Upload;
use super::visitor::Visitor;
use crate::actions::{ActionError, Caller, ListAsked, RosterImport};
use crate::clock::Clock;
use crate::roster_file::{CheckedList, Mapping, RosterFileError, check_list, read_machines};
use crate::rules::RuleSet;
use crate::store::Store;

/// Refused rows, columns and names that the page shows of each kind.
const SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "roster_upload.html")]
struct UploadPage {
    chrome: Chrome,
    source: String,
    is_dry_run: bool,
    /// `1,000 rows as CSV, UTF-8`.
    file: String,
    /// Columns with the fields for which they are used.
    used: Vec<(String, &'static str)>,
    ignored: String,
    left_out: Vec<String>,
    is_one_page_of_several: bool,
    /// Whether more than a tenth of the machines that the list had are gone.
    is_loss: bool,
    refused: Vec<String>,
    more_refused: String,
    changes: Vec<Changed>,
    unchanged: String,
    listed: String,
    matched: String,
    missing: String,
    review: u64,
    review_text: String,
}

/// Machines that the import changes in the same way.
struct Changed {
    what: &'static str,
    count: String,
    names: String,
}

/// `POST /coverage`.
pub(super) async fn import(
    Extract(state): Extract<State>,
    visitor: Visitor,
    upload: Upload,
) -> Result<Response, Refusal> {
    let fields = upload.fields(&["source", "preset", "map", "do", "accept_loss", "accept_errors"])?;
    let is_dry_run = match fields.get("do") {
        "import" => false,
        "preview" => true,
        other => return Err(Refusal::asked(format!("\"{}\" is neither preview nor import.", clean(other, 64)))),
    };
    let turn = Arc::clone(&state.list_turn).try_acquire_owned().map_err(|_| {
        let text = "Another list is being read. Try again when it is done. Nothing was changed.";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text)
    })?;
    let mut files = upload.files()?;
    let file = if files.len() == 1 { files.remove(0) } else { return Err(Refusal::asked("Choose one file.")) };
    let mapping = Mapping { preset: fields.one("preset")?, columns: columns(&fields)?, ..Mapping::default() };
    let (bytes, of_check) = (file.bytes.clone(), mapping.clone());
    let checked = apart(move || check_list(bytes.as_ref(), &of_check)).await?.map_err(|fault| unreadable(&fault))?;
    if checked.has_too_many_refused() && !fields.flag("accept_errors")? {
        return Err(too_many_refused(&checked));
    }
    let asked = ListAsked {
        source: fields.get("source").to_owned(),
        file: file.name,
        dry_run: is_dry_run,
        accept_loss: fields.flag("accept_loss")?,
        rows: checked.rows,
    };
    let parts = (Arc::clone(&state.store), state.rules.load_full(), Arc::clone(&state.clock));
    let caller = visitor.caller().clone();
    let sent = async move {
        let _turn = turn;
        send(parts, caller, asked, file.bytes, mapping).await
    };
    let report = finish(&state, sent).await?;
    let counts = report.counts;
    tracing::info!(
        source = report.source,
        added = counts.added,
        changed = counts.changed,
        absent = counts.absent,
        dry_run = report.dry_run,
        by = %visitor.caller().name,
        "imported a list of machines"
    );
    page(&view(Chrome::new(&state, &visitor, "/coverage"), &report, &checked))
}

/// Hands the machines of the file to an import.
async fn send(
    (store, rules, clock): (Arc<dyn Store>, Arc<RuleSet>, Clock),
    caller: Caller,
    asked: ListAsked,
    bytes: Bytes,
    mapping: Mapping,
) -> Result<ImportReport, ActionError> {
    let mut import = RosterImport::begin(store, &caller, &rules, clock, asked).await?;
    for rows in portions(bytes, mapping).await {
        if let Err(refused) = import.push(rows).await {
            import.abandon().await;
            return Err(refused);
        }
    }
    import.finish().await
}

/// The machines of a file that was read before without a fault.
async fn portions(bytes: Bytes, mapping: Mapping) -> Vec<Vec<RosterRow>> {
    let read = move || {
        let mut portions = Vec::new();
        let mut keep = |rows| {
            portions.push(rows);
            true
        };
        // An import of fewer rows than it was asked for is refused.
        let _ = read_machines(bytes.as_ref(), &mapping, limits::ROSTER_ROWS_PER_MESSAGE, &mut keep);
        portions
    };
    apart(read).await.unwrap_or_default()
}

/// Does work that keeps a processor busy where it holds up no other request.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    let failed = |_| Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR);
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

/// The columns that are used for a field although the file names them otherwise, one a line.
fn columns<T: std::str::FromStr<Err: std::fmt::Display>>(fields: &Query) -> Result<Vec<T>, Refusal> {
    let lines = fields.get("map").lines().map(str::trim).filter(|line| !line.is_empty());
    let read = |line: &str| line.parse().map_err(|wrong: T::Err| Refusal::asked(format!("Columns: {wrong}.")));
    lines.map(read).collect()
}

fn unreadable(fault: &RosterFileError) -> Refusal {
    let mut text = format!("The file cannot be read as a list: {fault}");
    let mut cause = fault.source();
    while let Some(one) = cause {
        text = format!("{text}: {one}");
        cause = one.source();
    }
    // The other advice names options of the command line; the form has the fields for them.
    let advice = match fault.advice() {
        Some(advice) if advice.contains("--") => {
            " Choose the system that the list comes from, or name its columns under \"Columns, losses and errors\"."
                .to_owned()
        }
        Some(advice) => format!(" Advice: {advice}."),
        None => String::new(),
    };
    Refusal::asked(format!("{}. Nothing was changed.{advice}", clean(&text, 1_000)))
}

fn too_many_refused(checked: &CheckedList) -> Refusal {
    let first: Vec<String> = checked.lines(5).iter().map(|line| clean(line, 200)).collect();
    Refusal::asked(format!(
        "{} of {} cannot be read, which is more than a twentieth, so nothing was changed: {}. Correct the rows, or tick \"leave out rows that cannot be read\".",
        number(checked.refused()),
        counted(checked.report.rows_read, "row"),
        first.join("; "),
    ))
}

fn view(chrome: Chrome, report: &ImportReport, checked: &CheckedList) -> UploadPage {
    let (counts, roster, file) = (report.counts, report.roster, &checked.report);
    let changed = |what, count: u64, names: &[String]| Changed {
        what,
        count: number(count),
        names: names.iter().take(SHOWN).map(|name| clean(name, 100)).collect::<Vec<_>>().join(", "),
    };
    let lines = checked.lines(SHOWN);
    let more = checked.refused().saturating_sub(SHOWN as u64);
    let ignored: Vec<String> = file.columns_ignored.iter().take(SHOWN).map(|column| clean(column, 60)).collect();
    UploadPage {
        chrome,
        source: clean(&report.source, 64),
        is_dry_run: report.dry_run,
        file: format!("{} as {}, {}", counted(file.rows_read, "row"), file.format, file.encoding),
        used: file.columns_used.iter().take(SHOWN).map(|used| (clean(&used.column, 60), used.field.name())).collect(),
        ignored: ignored.join(", "),
        left_out: checked
            .left_out
            .iter()
            .map(|(system, rows)| format!("{} with {system}, on which no agent runs", counted(*rows, "row")))
            .collect(),
        is_one_page_of_several: file.is_one_page_of_several,
        is_loss: counts.absent * 10 > counts.changed + counts.unchanged + counts.absent,
        refused: lines.iter().map(|line| clean(line, 200)).collect(),
        more_refused: if more == 0 { String::new() } else { format!("and {}", counted(more, "more row")) },
        changes: vec![
            changed("new", counts.added, &report.examples.added),
            changed("changed", counts.changed, &report.examples.changed),
            changed("absent", counts.absent, &report.examples.absent),
        ],
        unchanged: number(counts.unchanged),
        listed: number(roster.listed),
        matched: number(roster.matched),
        missing: number(roster.missing),
        review: roster.review,
        review_text: number(roster.review),
    }
}
