//! `scan`: scans once and prints the result. It needs no collector and no configuration, sends nothing and saves nothing.
//! If there are settings, they apply as in `once` and `run`.
//!
//! The observations are decoded from the canonical bytes that `once` and `run` would upload, so the output cannot differ
//! from what would be sent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use muster_proto::canonical;
use muster_proto::model::{Digest, Observation, Outcome, Platform, SnapshotEntry, SourceName, UserScope, Watchlist};
use muster_proto::terminal::{Cell, Paint, Progress, Table};
use serde::ser::{Error as _, SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::Output;
use crate::app;
use crate::config::{ConfigFaults, Flags, Settings};
use crate::deadline::{self, StuckWork};
use crate::identity;
use crate::memory::{self, file::read_text};
use crate::scan::{ScanOptions, ScanResult, scan_root};
use crate::sources::parse::windows::wmi::Answers;
use crate::sources::root::{Accesses, Root};
use crate::sources::{self};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Scan the machine whose files are below DIR instead of this one
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Answers of Windows Management Instrumentation that were recorded on the machine below DIR: one JSON object a line,
    /// {"class": "root\\SecurityCenter2:AntiVirusProduct", "row": {…}}. A line without `row` says that there are no rows
    #[arg(long, value_name = "FILE", requires = "root")]
    wmi: Option<PathBuf>,
    /// Record what Windows Management Instrumentation answers into FILE, in the form that --wmi reads. The file also has
    /// the names and full paths of this machine's running programs that the watchlist names, and of the agent
    #[arg(long, value_name = "FILE", conflicts_with = "root")]
    record_wmi: Option<PathBuf>,
    /// Read only this source; can be repeated
    #[arg(long = "source", value_name = "NAME", value_parser = super::one_of::<SourceName>(source_names()))]
    sources: Vec<SourceName>,
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// Also print everything that would be sent: facts, state, snapshot and section digests
    #[arg(long)]
    show_sent: bool,
    /// Also print every path that was read, or that was found not to exist
    #[arg(long)]
    show_read: bool,
    /// Which software in home directories to attribute to users [default: scan.user_scope in the configuration file,
    /// otherwise watchlist]; user pseudonyms are new for every scan
    #[arg(long, value_name = "SCOPE", value_parser = super::one_of::<UserScope>(scope_names()))]
    user_scope: Option<UserScope>,
}

fn scope_names() -> impl Iterator<Item = &'static str> {
    UserScope::ALL.iter().map(|scope| scope.name())
}

/// The sources of all platforms: a root can be of any.
fn source_names() -> Vec<&'static str> {
    sources::names().into_iter().map(SourceName::name).collect()
}

/// A source that the scanned machine cannot have would be in the answer with nothing, as if it had been read.
fn check_sources(wanted: &[SourceName], platform: Platform) -> anyhow::Result<()> {
    let known: Vec<SourceName> = sources::all(platform).iter().map(|source| source.name()).collect();
    match wanted.iter().find(|source| !known.contains(source)) {
        Some(source) => {
            anyhow::bail!("cannot read {source}: the scanned system is {platform}, which has no such source")
        }
        None => Ok(()),
    }
}

#[derive(serde::Serialize)]
struct OutcomeRecord<'a> {
    record: &'static str,
    source: SourceName,
    outcome: Outcome,
    reason: &'a str,
    items: usize,
    took_ms: u64,
    #[serde(skip_serializing_if = "is_zero")]
    watchlist: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

#[derive(serde::Serialize)]
struct ObservationRecord<'a> {
    record: &'static str,
    platform: Platform,
    source: SourceName,
    source_kind: &'static str,
    name: &'a str,
    vendor: &'a str,
    version: &'a str,
    id: &'a str,
    path: &'a str,
    state: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<ExitCode> {
    let settings = settings(flags)?;
    let root = match &arguments.root {
        Some(dir) => Root::below(dir)?,
        None => Root::running_system()?,
    };
    let platform = root.platform();
    if arguments.record_wmi.is_some() && platform != Platform::Windows {
        anyhow::bail!(
            "cannot record Windows Management Instrumentation: this system is {platform}; run this on the Windows machine"
        );
    }
    check_sources(&arguments.sources, platform)?;
    let root = if arguments.show_read { root.recording() } else { root };
    let from_settings = settings.as_ref().map_or_else(ScanOptions::default, |settings| ScanOptions {
        watchlist: Some(watchlist(settings, platform)),
        time_limit: settings.scan_time_limit,
        identity: settings.identity,
        ..ScanOptions::default()
    });
    let configured_scope = settings.as_ref().map(|settings| settings.user_scope);
    let options = ScanOptions {
        wmi: arguments.wmi.as_deref().map(recorded).transpose()?,
        keep_wmi: arguments.record_wmi.is_some(),
        sources: arguments.sources.clone(),
        user_scope: arguments.user_scope.or(configured_scope).unwrap_or(UserScope::Watchlist),
        user_key: Some(identity::temporary_user_key()?),
        progress: Progress::default(),
        ..from_settings
    };
    let shown = options.progress.show("scanning");
    let result = scan_root(root, &options);
    drop(shown);
    if let Some(file) = &arguments.record_wmi {
        record_wmi(file, &result.wmi)?;
    }
    let paint = Paint::of_stdout();
    let mut out = super::output(arguments.output, paint.has_colour());
    match arguments.output {
        Output::Table => table(&mut out, &result, arguments, &paint)?,
        Output::Json => json_document(&mut out, &result, arguments.show_sent)?,
        Output::Ndjson => ndjson(&mut out, &result, arguments.show_sent)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Recorded answers of Windows Management Instrumentation.
fn recorded(file: &Path) -> anyhow::Result<Arc<Answers>> {
    let text = read_text(file, memory::file::ANSWERS).with_context(|| format!("cannot read {}", file.display()))?;
    let answers = Answers::parse(&text);
    Ok(Arc::new(answers.with_context(|| {
        format!("cannot use {}; record it again on the Windows machine with `scan --record-wmi FILE`", file.display())
    })?))
}

/// Records what Windows Management Instrumentation answered.
fn record_wmi(file: &Path, answers: &Answers) -> anyhow::Result<()> {
    let lines: String = answers.lines().into_iter().map(|line| line + "\n").collect();
    std::fs::write(file, lines).with_context(|| format!("cannot write {}", file.display()))
}

/// The settings for the scan. Errors in a file that `--config` names are fatal, as for every verb. Errors in the machine's
/// default settings are only a warning, because the first scan on a machine often comes before any configuration.
fn settings(flags: &Flags) -> Result<Option<Settings>, ConfigFaults> {
    match super::read_settings(flags) {
        Ok(settings) => Ok(Some(settings)),
        Err(faults) if flags.config.is_none() => {
            tracing::warn!(error = %faults, "ignoring the invalid settings of this machine; `run` would refuse them");
            Ok(None)
        }
        Err(faults) => Err(faults),
    }
}

/// The watchlist that the service uses. The state directory may be on a disk that does not answer.
fn watchlist(settings: &Settings, platform: Platform) -> Watchlist {
    let own = settings.clone();
    let read = move || app::current_watchlist(&own, platform);
    deadline::run("watchlist", deadline::OWN_FILES, &StuckWork::default(), read).unwrap_or_else(|unfinished| {
        tracing::warn!(error = %unfinished, "cannot read the saved watchlist; using the built-in one");
        sources::watchlist::builtin(platform)
    })
}

/// Calls `show` for each source with its outcome and its observations.
fn each_source(
    result: &ScanResult,
    mut show: impl FnMut(OutcomeRecord<'_>, &[Observation]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for entry in result.snapshot.entries() {
        let observations = match result.section(entry.source) {
            Some(section) => {
                canonical::read_section(&section.canonical).context("cannot decode a section")?.into_observations()
            }
            None => Vec::new(),
        };
        show(record(result, entry, observations.len()), &observations)?;
    }
    Ok(())
}

fn record<'a>(result: &ScanResult, entry: &'a SnapshotEntry, items: usize) -> OutcomeRecord<'a> {
    let took = result.took.iter().find(|(source, _)| *source == entry.source).map(|(_, took)| took.as_millis());
    OutcomeRecord {
        record: "outcome",
        source: entry.source,
        outcome: entry.outcome,
        reason: &entry.reason,
        items,
        took_ms: u64::try_from(took.unwrap_or_default()).unwrap_or(u64::MAX),
        watchlist: entry.watchlist,
        advice: sources::advice(result.snapshot.platform(), entry.source, entry.outcome),
    }
}

fn observation_record(platform: Platform, source: SourceName, observation: &Observation) -> ObservationRecord<'_> {
    ObservationRecord {
        record: "observation",
        platform,
        source,
        source_kind: observation.kind.name(),
        name: &observation.name,
        vendor: &observation.vendor,
        version: &observation.version,
        id: &observation.id,
        path: &observation.path,
        state: &observation.state,
        attributes: &observation.attributes,
    }
}

fn sent(result: &ScanResult) -> [(&'static str, Value); 5] {
    let sections: Vec<Value> = result
        .sections
        .iter()
        .map(|section| {
            json!({ "source": section.source, "digest": section.digest, "items": section.items,
                    "bytes": section.canonical.len() })
        })
        .collect();
    [
        ("facts", json!(result.facts)),
        ("fingerprint", json!(result.fingerprint.map(Digest::from_bytes))),
        ("state", json!(result.state)),
        ("snapshot", json!({ "digest": result.digest(), "entries": result.snapshot.entries() })),
        ("sections", Value::Array(sections)),
    ]
}

fn line(out: &mut impl Write, record: &impl serde::Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")?;
    Ok(())
}

fn ndjson(out: &mut impl Write, result: &ScanResult, show_sent: bool) -> anyhow::Result<()> {
    if show_sent {
        for (name, value) in sent(result) {
            line(out, &json!({ "record": name, name: value }))?;
        }
    }
    for (path, by) in &result.accessed {
        line(out, &json!({ "record": "read", "path": path, "by": by }))?;
    }
    each_source(result, |record, observations| {
        line(out, &record)?;
        let platform = result.snapshot.platform();
        let mut line = |observation| line(out, &observation_record(platform, record.source, observation));
        observations.iter().try_for_each(&mut line)
    })
}

/// The document of `-o json`. The observations of one source at a time are in memory.
struct Document<'a> {
    result: &'a ScanResult,
    show_sent: bool,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { result, show_sent } = self;
        let mut document = serializer.serialize_map(None)?;
        document.serialize_entry("observations", &Observations(result))?;
        document.serialize_entry("outcomes", &Outcomes(result))?;
        if !result.accessed.is_empty() {
            document.serialize_entry("read", &Reads(&result.accessed))?;
        }
        if *show_sent {
            document.serialize_entry("sent", &BTreeMap::from(sent(result)))?;
        }
        document.end()
    }
}

struct Observations<'a>(&'a ScanResult);

impl Serialize for Observations<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let platform = self.0.snapshot.platform();
        let mut failed = None;
        let shown = each_source(self.0, |record, observations| {
            let mut show = |one| list.serialize_element(&observation_record(platform, record.source, one));
            failed = observations.iter().try_for_each(&mut show).err();
            anyhow::ensure!(failed.is_none(), "cannot write");
            Ok(())
        });
        match (failed, shown) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(S::Error::custom(error)),
            (None, Ok(())) => list.end(),
        }
    }
}

struct Reads<'a>(&'a Accesses);

impl Serialize for Reads<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Read<'r> {
            path: &'r str,
            by: &'r BTreeSet<String>,
        }
        serializer.collect_seq(self.0.iter().map(|(path, by)| Read { path, by }))
    }
}

struct Outcomes<'a>(&'a ScanResult);

impl Serialize for Outcomes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let result = self.0;
        let records = result.snapshot.entries().iter().map(|entry| {
            let items = result.section(entry.source).map_or(0, |section| section.items);
            record(result, entry, items)
        });
        serializer.collect_seq(records)
    }
}

fn json_document(out: &mut impl Write, result: &ScanResult, show_sent: bool) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Document { result, show_sent })?;
    out.write_all(b"\n")?;
    Ok(())
}

fn table(out: &mut impl Write, result: &ScanResult, arguments: &Arguments, paint: &Paint) -> anyhow::Result<()> {
    let facts = &result.facts;
    let shown = [&facts.hostname, &facts.os_name, &facts.kernel, &facts.architecture];
    let shown: Vec<&str> = shown.into_iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    let mut page = format!("{}\n\n", shown.join(", "));
    if arguments.show_sent {
        for (name, value) in sent(result) {
            page.push_str(&format!("{name}: {}\n\n", serde_json::to_string_pretty(&value)?));
        }
    }
    if !result.accessed.is_empty() {
        let mut read = Table::new(&["read", "by"]);
        for (path, by) in &result.accessed {
            let by: Vec<&str> = by.iter().map(String::as_str).collect();
            read.row(vec![Cell::text(path), Cell::text(by.join(", "))]);
        }
        page.push_str(&format!("{}\n", read.text(paint)));
    }
    let mut outcomes = Table::new(&["source", "outcome", "items", "ms", "reason"]);
    // One cause, such as a damaged hive, often has the same advice for many sources.
    let mut advice: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut observed =
        Table::new(&["source", "name", "version", "state", "vendor", "path"]).dispensable(&["state", "vendor"]);
    // Each source is shown twice, because the rows of all of them would not fit in memory.
    each_source(result, |record, observations| {
        outcomes.row(vec![
            Cell::text(record.source.name()),
            Cell::text(record.outcome.name()),
            Cell::number(u64::try_from(record.items).unwrap_or(u64::MAX)),
            Cell::number(record.took_ms),
            Cell::text(record.reason),
        ]);
        if let Some(text) = record.advice {
            match advice.iter_mut().find(|(known, _)| *known == text) {
                Some((_, sources)) => sources.push(record.source.name()),
                None => advice.push((text, vec![record.source.name()])),
            }
        }
        observations.iter().for_each(|observation| observed.measure(&row_of(record.source, observation)));
        Ok(())
    })?;
    page.push_str(&format!("{}\n", outcomes.text(paint)));
    if !advice.is_empty() {
        // With --root the advice is for the scanned system, not for the one that runs this command.
        let root = arguments.root.as_deref();
        let below = root.map(|dir| format!("\n Paths and services are those of the system below {}.", dir.display()));
        let lines = advice.iter().map(|(text, sources)| format!(" {}: {text}", sources.join(", ")));
        let lines = lines.collect::<Vec<_>>().join("\n");
        let incomplete: usize = advice.iter().map(|(_, sources)| sources.len()).sum();
        let (sources, were) = if incomplete == 1 { ("source", "was") } else { ("sources", "were") };
        page.push_str(&format!(
            "{lines}{}\n\n{incomplete} {sources} {were} not read completely: what is not found there may still exist.\n\n",
            below.unwrap_or_default()
        ));
    }
    out.write_all(page.as_bytes())?;
    let printer = observed.printer(paint);
    out.write_all(printer.head().as_bytes())?;
    each_source(result, |record, observations| {
        let mut row = |one| out.write_all(printer.row(&row_of(record.source, one)).as_bytes());
        Ok(observations.iter().try_for_each(&mut row)?)
    })?;
    out.write_all(printer.foot().as_bytes())?;
    Ok(())
}

fn row_of(source: SourceName, observation: &Observation) -> Vec<Cell> {
    let Observation { name, version, state, vendor, path, .. } = observation;
    // A watched path has no other name.
    let name = if name == path { "" } else { name.as_str() };
    [source.name(), name, version, state, vendor, path].map(Cell::text).to_vec()
}
