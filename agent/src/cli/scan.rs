//! `scan`: looks once and prints. No collector, nothing is sent or kept. It scans by the settings, as `once` and `run` do,
//! but needs none.
//!
//! What is printed is decoded from the canonical bytes, which are what `once` and `run` would upload: the scan cannot
//! show anything else than what would leave.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use muster_proto::canonical;
use muster_proto::model::{Observation, Outcome, Platform, SnapshotEntry, SourceName, UserScope};
use serde_json::{Value, json};

use super::Output;
use crate::app;
use crate::config::{ConfigFaults, Flags, Settings};
use crate::identity;
use crate::scan::{ScanOptions, ScanResult, scan_root};
use crate::sources::root::Root;
use crate::sources::{self};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Look at the machine whose files are below DIR, and at nothing of this one
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Ask only this source; may be given more than once
    #[arg(long = "source", value_name = "NAME", value_parser = source_name)]
    sources: Vec<SourceName>,
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
    /// Print everything that would be sent: facts, state, look and sections
    #[arg(long)]
    show_sent: bool,
    /// Of what the state tells who has it at home [default: scan.user_scope of the settings, or watchlist]; pseudonyms are
    /// made for this scan alone
    #[arg(long, value_name = "SCOPE", value_parser = user_scope)]
    user_scope: Option<UserScope>,
}

fn user_scope(text: &str) -> Result<UserScope, String> {
    text.parse().map_err(|_| "one of all, watchlist, none".to_owned())
}

fn source_name(text: &str) -> Result<SourceName, String> {
    let names: Vec<&str> = sources::all().iter().map(|source| source.name().name()).collect();
    let known = names.contains(&text).then(|| text.parse().ok()).flatten();
    known.ok_or_else(|| format!("this agent has no such source; it has {}", names.join(", ")))
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<ExitCode> {
    let settings = settings(flags)?;
    let root = match &arguments.root {
        Some(dir) => Root::below(dir)?,
        None => Root::running_system()?,
    };
    let by_settings = settings.as_ref().map_or_else(ScanOptions::default, |settings| ScanOptions {
        watchlist: app::watchlist_in_force(settings),
        time_limit: settings.scan_time_limit,
        ..ScanOptions::default()
    });
    let scope_of_settings = settings.as_ref().map(|settings| settings.user_scope);
    let options = ScanOptions {
        sources: arguments.sources.clone(),
        user_scope: arguments.user_scope.or(scope_of_settings).unwrap_or(UserScope::Watchlist),
        user_key: Some(identity::passing_user_key()?),
        ..by_settings
    };
    let taken = scan_root(root, &options);
    let mut out = BufWriter::new(io::stdout().lock());
    match arguments.output {
        Output::Table => table(&mut out, &taken, arguments.show_sent)?,
        Output::Json => json_document(&mut out, &taken, arguments.show_sent)?,
        Output::Ndjson => ndjson(&mut out, &taken, arguments.show_sent)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The settings to look by. Faults of a file that was named are an error, as they are for every verb. Of what merely happens
/// to be set on this machine they are told, and keep nobody from looking: the first scan comes before any configuration.
fn settings(flags: &Flags) -> Result<Option<Settings>, ConfigFaults> {
    match super::read_settings(flags) {
        Ok(settings) => Ok(Some(settings)),
        Err(faults) if flags.config.is_none() => {
            tracing::warn!(error = %faults, "the settings of this machine are not used: `run` would refuse them");
            Ok(None)
        }
        Err(faults) => Err(faults),
    }
}

/// Calls with the entry of each source and what it saw.
fn each_source(
    taken: &ScanResult,
    mut show: impl FnMut(OutcomeRecord<'_>, &[Observation]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for entry in taken.snapshot.entries() {
        let observations = match taken.section(entry.source) {
            Some(section) => {
                let section = canonical::read_section(&section.canonical).context("a section is not canonical")?;
                section.observations().to_vec()
            }
            None => Vec::new(),
        };
        show(record(taken, entry, observations.len()), &observations)?;
    }
    Ok(())
}

fn record<'a>(taken: &ScanResult, entry: &'a SnapshotEntry, items: usize) -> OutcomeRecord<'a> {
    let took = taken.took.iter().find(|(source, _)| *source == entry.source).map(|(_, took)| took.as_millis());
    OutcomeRecord {
        record: "outcome",
        source: entry.source,
        outcome: entry.outcome,
        reason: &entry.reason,
        items,
        took_ms: u64::try_from(took.unwrap_or_default()).unwrap_or(u64::MAX),
        watchlist: entry.watchlist,
    }
}

fn observation_record(source: SourceName, observation: &Observation) -> ObservationRecord<'_> {
    ObservationRecord {
        record: "observation",
        platform: sources::PLATFORM,
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

fn sent(taken: &ScanResult) -> [(&'static str, Value); 4] {
    let sections: Vec<Value> = taken
        .sections
        .iter()
        .map(|section| {
            json!({ "source": section.source, "digest": section.digest, "items": section.items,
                    "bytes": section.canonical.len() })
        })
        .collect();
    [
        ("facts", json!(taken.facts)),
        ("state", json!(taken.state)),
        ("snapshot", json!({ "digest": taken.digest(), "entries": taken.snapshot.entries() })),
        ("sections", Value::Array(sections)),
    ]
}

fn line(out: &mut impl Write, record: &impl serde::Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")?;
    Ok(())
}

fn ndjson(out: &mut impl Write, taken: &ScanResult, show_sent: bool) -> anyhow::Result<()> {
    if show_sent {
        for (name, value) in sent(taken) {
            line(out, &json!({ "record": name, name: value }))?;
        }
    }
    each_source(taken, |record, observations| {
        line(out, &record)?;
        observations.iter().try_for_each(|observation| line(out, &observation_record(record.source, observation)))
    })
}

fn json_document(out: &mut impl Write, taken: &ScanResult, show_sent: bool) -> anyhow::Result<()> {
    let (mut outcomes, mut all) = (Vec::new(), Vec::new());
    each_source(taken, |record, observations| {
        for observation in observations {
            all.push(serde_json::to_value(observation_record(record.source, observation))?);
        }
        outcomes.push(serde_json::to_value(record)?);
        Ok(())
    })?;
    let mut document = json!({ "outcomes": outcomes, "observations": all });
    if show_sent {
        document["sent"] = sent(taken).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    }
    serde_json::to_writer_pretty(&mut *out, &document)?;
    out.write_all(b"\n")?;
    Ok(())
}

fn table(out: &mut impl Write, taken: &ScanResult, show_sent: bool) -> anyhow::Result<()> {
    let facts = &taken.facts;
    let known = [&facts.hostname, &facts.os_name, &facts.kernel, &facts.architecture];
    let known: Vec<&str> = known.into_iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    writeln!(out, "{}\n", known.join(", "))?;
    if show_sent {
        for (name, value) in sent(taken) {
            writeln!(out, "{name}: {}\n", serde_json::to_string_pretty(&value)?)?;
        }
    }
    let mut outcomes = new_table(&["SOURCE", "OUTCOME", "ITEMS", "MS", "REASON"]);
    let mut seen = new_table(&["SOURCE", "NAME", "VERSION", "STATE", "VENDOR", "PATH"]);
    each_source(taken, |record, observations| {
        outcomes.add_row([
            record.source.name().to_owned(),
            record.outcome.name().to_owned(),
            record.items.to_string(),
            record.took_ms.to_string(),
            record.reason.to_owned(),
        ]);
        for observation in observations {
            let path = if observation.path == observation.name { "" } else { observation.path.as_str() };
            let Observation { name, version, state, vendor, .. } = observation;
            seen.add_row([record.source.name(), name, version, state, vendor, path]);
        }
        Ok(())
    })?;
    writeln!(out, "{}\n\n{}", outcomes.trim_fmt(), seen.trim_fmt())?;
    Ok(())
}

pub(super) fn new_table(header: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    table
}
